// The experiment schema as JSON Schema: for editors (data/experiment.schema.json), and for error
// messages, which look up what a key means and which keys and values there are.
import { z } from "zod";
import { experimentSchema } from "./schema.ts";
import type { WrittenPath } from "./written.ts";

/** The part of JSON Schema draft 7 that our schema uses. */
export interface JsonSchema {
  readonly title?: string;
  readonly description?: string;
  readonly examples?: readonly unknown[];
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly pattern?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly propertyNames?: JsonSchema;
  readonly additionalProperties?: JsonSchema | boolean;
  readonly items?: JsonSchema | readonly JsonSchema[];
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
}

/** What a person may write (not what it becomes), as JSON Schema draft 7, which editors know best. */
export function experimentJsonSchema(): JsonSchema {
  // Zod types its output for every draft at once; this is the part that it writes for ours.
  return z.toJSONSchema(experimentSchema, { target: "draft-7", io: "input" }) as JsonSchema;
}

/** The text of data/experiment.schema.json. */
export function experimentJsonSchemaText(): string {
  return `${JSON.stringify(experimentJsonSchema(), null, 2)}\n`;
}

/** The forms that a value may take: the branches of a union, or the schema itself. */
export function formsOf(schema: JsonSchema): readonly JsonSchema[] {
  const branches = schema.anyOf ?? schema.oneOf;
  return branches === undefined ? [schema] : branches.flatMap(formsOf);
}

/** The schema of what stands at a path of `value`; undefined where the schema knows nothing. */
export function schemaAt(
  root: JsonSchema,
  path: WrittenPath,
  value: unknown,
): JsonSchema | undefined {
  let schema: JsonSchema | undefined = root;
  let here: unknown = value;
  for (const step of path) {
    if (schema === undefined) return undefined;
    const forms = fittingForms(schema, here);
    schema = forms.map((form) => childOf(form, step)).find((child) => child !== undefined);
    here = childValue(here, step);
  }
  return schema;
}

/** The keys that a map may have; those of its own kind when it says a kind that exists. */
export function keysOf(schema: JsonSchema, value: unknown): readonly string[] {
  return [
    ...new Set(fittingForms(schema, value).flatMap((form) => Object.keys(form.properties ?? {}))),
  ];
}

function fittingForms(schema: JsonSchema, value: unknown): readonly JsonSchema[] {
  const forms = formsOf(schema);
  const kind = childValue(value, "kind");
  const ofKind = forms.filter(
    (form) => kind !== undefined && form.properties?.["kind"]?.const === kind,
  );
  return ofKind.length > 0 ? ofKind : forms;
}

function childOf(schema: JsonSchema, step: string | number): JsonSchema | undefined {
  if (typeof step === "number") return itemAt(schema.items, step);
  const { properties, additionalProperties } = schema;
  if (properties !== undefined && Object.hasOwn(properties, step)) return properties[step];
  return typeof additionalProperties === "object" ? additionalProperties : undefined;
}

/** A tuple lists its items, a list has one schema for all. */
function itemAt(items: JsonSchema["items"], index: number): JsonSchema | undefined {
  return items !== undefined && "length" in items ? items[index] : items;
}

/** What stands under a key or at a position of plain data; undefined where nothing does. */
export function childValue(value: unknown, step: string | number): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, step)) return undefined;
  return Object.entries(value).find(([key]) => key === String(step))?.[1];
}

/** What stands at a path of plain data; undefined where nothing does. */
export function valueAt(value: unknown, path: WrittenPath): unknown {
  return path.reduce<unknown>(childValue, value);
}
