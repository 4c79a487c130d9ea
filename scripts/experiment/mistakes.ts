// From what zod found wrong to what helps the person who wrote it: the value seen, what it must be,
// the nearest right key or value, an example.
import type { z } from "zod";
import { formsOf, type JsonSchema, keysOf, schemaAt, valueAt } from "./json-schema.ts";
import { nearest } from "./nearest.ts";
import { durationAdvice, durationPattern, shareAdvice, sharePattern } from "./quantity.ts";
import { slugTitle } from "./schema/leaves.ts";
import { isSecretPath, looksSecret } from "./secrets.ts";
import { slugOf } from "./slug.ts";
import type { Mistake, WrittenPath } from "./written.ts";

type Issue = z.core.$ZodIssue;

/** Zod's issues about `value`, in words. */
export function mistakesOf(
  issues: readonly Issue[],
  value: unknown,
  schema: JsonSchema,
): readonly Mistake[] {
  return issues.flatMap((issue) => mistakesOfIssue(issue, pathOf(issue), value, schema));
}

function mistakesOfIssue(
  issue: Issue,
  path: WrittenPath,
  value: unknown,
  schema: JsonSchema,
): readonly Mistake[] {
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys.map((key) => unknownKey([...path, key], value, schema));
    case "invalid_key":
      return [badName(path, value, schema)];
    case "custom":
      return [
        { path, part: "value", what: `${nameOf(path)}: ${issue.message}`, mend: mendOf(issue) },
      ];
    case "invalid_union": {
      if ("options" in issue) return [wrongKind(path, value, issue.options.map(String))];
      const inner = bestForm(issue.errors, valueAt(value, path));
      if (inner === undefined) return [wrongValue(path, value, schema)];
      return inner.flatMap((nested) =>
        mistakesOfIssue(nested, [...path, ...pathOf(nested)], value, schema),
      );
    }
    case "invalid_type":
    case "invalid_value":
    case "invalid_format":
    case "invalid_element":
    case "too_small":
    case "too_big":
    case "not_multiple_of":
      return [wrongValue(path, value, schema)];
  }
}

/**
 * Of a union's complaints those about the form that was meant: a map or list is compared with the
 * forms for maps and lists. undefined: no form fits even by its type, or the value is a plain one.
 */
function bestForm(
  forms: readonly (readonly Issue[])[],
  value: unknown,
): readonly Issue[] | undefined {
  if (typeof value !== "object" || value === null) {
    // A plain value that broke a rule of our own ("a duration must be above 0") says which.
    return forms.find((issues) => issues.every((issue) => issue.code === "custom"));
  }
  const sameType = forms.filter(
    (issues) => !issues.some((issue) => issue.code === "invalid_type" && issue.path.length === 0),
  );
  const strangers = (issues: readonly Issue[]): number =>
    issues.reduce(
      (sum, issue) => sum + (issue.code === "unrecognized_keys" ? issue.keys.length * 2 : 1),
      0,
    );
  const [best, next] = sameType.toSorted((left, right) => strangers(left) - strangers(right));
  if (best === undefined) return undefined;
  // Two forms that fit as badly: say what all of them are.
  return next !== undefined && strangers(next) === strangers(best) ? undefined : best;
}

/** The value that says which of several maps is meant. */
function wrongKind(path: WrittenPath, value: unknown, kinds: readonly string[]): Mistake {
  const schema: JsonSchema = { title: `one of ${kinds.join(", ")}`, enum: kinds, examples: kinds };
  return wrongAs(schema, path, valueAt(value, path));
}

function unknownKey(path: WrittenPath, value: unknown, root: JsonSchema): Mistake {
  const key = String(path.at(-1));
  const parent = path.slice(0, -1);
  const around = schemaAt(root, parent, value);
  const known = around === undefined ? [] : keysOf(around, valueAt(value, parent));
  return {
    path,
    part: "key",
    what: `there is no key ${quoted(key)}${parent.length === 0 ? "" : ` in ${parent.join(".")}`}`,
    mend: adviseKey(key, known, parent, around, root),
  };
}

function adviseKey(
  key: string,
  known: readonly string[],
  parent: WrittenPath,
  around: JsonSchema | undefined,
  root: JsonSchema,
): string {
  const near = nearest(key, known);
  if (near !== undefined) {
    const schema = around === undefined ? undefined : schemaAt(around, [near], undefined);
    return `did you mean ${near}? write ${near}: ${exampleOf(schema ?? {})}`;
  }
  const home = Object.entries(root.properties ?? {}).find(
    ([section, schema]) => section !== parent[0] && keysOf(schema, undefined).includes(key),
  );
  if (home !== undefined) {
    const [section] = home;
    return `it belongs under ${section}: write ${section}: { ${key}: ${exampleOf(schemaAt(root, [section, key], undefined) ?? {})} }`;
  }
  if (parent.length > 0 && Object.hasOwn(root.properties ?? {}, key)) {
    return `${key} belongs at the top of the file: write it without indentation`;
  }
  const elsewhere =
    parent[0] === "stated" ? `; anything else goes under other: { label: text }` : "";
  return `here are ${known.join(", ")}${elsewhere}`;
}

/** A key of a map whose keys are names, when it is not fit to be one. */
function badName(path: WrittenPath, value: unknown, root: JsonSchema): Mistake {
  const key = String(path.at(-1));
  const parent = path.slice(0, -1);
  const forms = formsOf(schemaAt(root, parent, value) ?? {});
  const title =
    forms.find((form) => form.propertyNames !== undefined)?.propertyNames?.title ?? "a name";
  return {
    path,
    part: "key",
    what: `${quoted(key)} must be ${title}`,
    mend: adviseName(key, title),
  };
}

function adviseName(key: string, title: string): string {
  if (title === slugTitle) return `write ${slugOf(key) ?? "another name"}; a title takes any text`;
  if (/^\d+(\.\d+)?$/.test(key)) return `write p${key}`;
  const stripped = key.replace(/^-+/, "");
  return stripped !== key && stripped !== "" ? `write ${stripped}` : `write ${title}`;
}

function wrongValue(path: WrittenPath, value: unknown, root: JsonSchema): Mistake {
  return wrongAs(schemaAt(root, path, value) ?? {}, path, valueAt(value, path));
}

function wrongAs(schema: JsonSchema, path: WrittenPath, seen: unknown): Mistake {
  const key = String(path.at(-1) ?? "");
  const written = (example: string): string =>
    `write ${typeof path.at(-1) === "string" ? `${key}: ${example}` : example}`;
  if (seen === undefined) {
    return {
      path,
      part: "key",
      what: `${nameOf(path)} is missing`,
      mend: written(exampleOf(schema)),
    };
  }
  const what = `${nameOf(path)} must be ${titleOf(schema)}, got ${shown(seen, path)}`;
  return {
    path,
    part: "value",
    what,
    mend: adviseValue(schema, seen) ?? written(exampleOf(schema)),
  };
}

/** What to write instead of a value, where more can be said than an example; else undefined. */
function adviseValue(schema: JsonSchema, seen: unknown): string | undefined {
  const forms = formsOf(schema);
  const example = exampleOf(schema);
  const choices = forms.flatMap(
    ({ const: only, enum: several }) => several ?? (only === undefined ? [] : [only]),
  );
  if (typeof seen === "string") {
    const slug = schema.title === slugTitle ? slugOf(seen) : undefined;
    if (slug !== undefined && slug !== seen) return `write ${slug}`;
    const near = nearest(
      seen,
      choices.filter((choice) => typeof choice === "string"),
    );
    if (near !== undefined) return `did you mean ${near}?`;
    if (
      forms.some(({ type }) => type === "integer" || type === "number") &&
      /^\s*\d+(\.\d+)?\s*$/.test(seen)
    ) {
      return `write ${seen.trim()}, without quotes`;
    }
    if (forms.some(({ type }) => type === "boolean")) {
      if (/^(yes|on|y)$/i.test(seen)) return "write true";
      if (/^(no|off|n)$/i.test(seen)) return "write false";
    }
  }
  if (typeof seen === "string" || typeof seen === "number") {
    if (forms.some(({ pattern }) => pattern === durationPattern.source))
      return durationAdvice(seen, example);
    if (forms.some(({ pattern }) => pattern === sharePattern.source))
      return shareAdvice(seen, example);
  }
  return undefined;
}

function titleOf(schema: JsonSchema): string {
  if (schema.title !== undefined) return schema.title;
  if (schema.type === "object") return "a map";
  return schema.type === "array" ? "a list" : "something else";
}

function exampleOf(schema: JsonSchema): string {
  const example =
    schema.examples?.[0] ??
    formsOf(schema).find((form) => form.examples !== undefined)?.examples?.[0];
  return example === undefined ? "..." : inline(example);
}

/** A value on one line, as one may write it in YAML. */
export function inline(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(inline).join(", ")}]`;
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value).map(([key, item]) => `${key}: ${inline(item)}`);
    return entries.length === 0 ? "{}" : `{ ${entries.join(", ")} }`;
  }
  if (typeof value === "string")
    return /^[A-Za-z0-9][\w ./%-]*$/.test(value) ? value : quoted(value);
  return String(value);
}

/** The value as it was written, shortened; not at all where it may be a secret. */
function shown(value: unknown, path: WrittenPath): string {
  if (value === null) return "nothing";
  if (Array.isArray(value) && value.length === 0) return "an empty list";
  if (isSecretPath(path)) return "a value that is not shown";
  const text = typeof value === "string" ? quoted(value) : inline(value);
  if (looksSecret(text)) return "a value that is not shown";
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

function quoted(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}...` : text);
}

function nameOf(path: WrittenPath): string {
  return path.length === 0 ? "the experiment" : path.join(".");
}

/** Zod allows symbols in paths; a YAML file has none. */
function pathOf(issue: Issue): WrittenPath {
  return issue.path.map((step) => (typeof step === "symbol" ? String(step) : step));
}

function mendOf(issue: Extract<Issue, { readonly code: "custom" }>): string {
  const mend: unknown = issue.params?.["mend"];
  return typeof mend === "string" ? mend : "write another value";
}
