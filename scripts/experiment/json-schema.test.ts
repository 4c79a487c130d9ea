// The schema that editors read.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  experimentJsonSchema,
  experimentJsonSchemaText,
  type JsonSchema,
  schemaAt,
} from "./json-schema.ts";

const committed = join(import.meta.dirname, "../../data/experiment.schema.json");

describe("data/experiment.schema.json", () => {
  it("is up to date (npm run generate makes it so)", () => {
    expect(readFileSync(committed, "utf8")).toBe(experimentJsonSchemaText());
  });

  it("asks for variants alone", () => {
    expect(experimentJsonSchema().required).toEqual(["variants"]);
  });

  it("says of every key what it means, and shows how it looks", () => {
    const silent: string[] = [];
    const visit = (schema: JsonSchema, path: string): void => {
      for (const [key, child] of Object.entries(schema.properties ?? {})) {
        const here = `${path}.${key}`;
        if (
          child.description === undefined ||
          (child.examples ?? []).length === 0 ||
          child.title === undefined
        ) {
          silent.push(here);
        }
        visit(child, here);
      }
      for (const form of [...(schema.anyOf ?? []), ...(schema.oneOf ?? [])]) visit(form, path);
      if (typeof schema.additionalProperties === "object")
        visit(schema.additionalProperties, `${path}.*`);
    };
    visit(experimentJsonSchema(), "");
    expect(silent).toEqual([]);
  });

  it("shows defaults", () => {
    const root = experimentJsonSchema();
    expect(schemaAt(root, ["measure", "rounds"], {})).toMatchObject({ default: 3 });
    expect(schemaAt(root, ["limits", "request"], {})).toMatchObject({ default: "10 min" });
  });
});
