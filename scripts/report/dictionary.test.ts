import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { clientFields } from "../environment/client.ts";
import { engineFields } from "../environment/engine-fields.ts";
import { gpuFieldsWithoutGpu } from "../environment/gpu.ts";
import { gpuFactIds } from "../environment/gpu-facts.ts";
import { declaredHostFields } from "../environment/host.ts";
import { declaredModelFields } from "../environment/model.ts";
import { declaredPythonFields } from "../environment/python.ts";
import { reasons } from "../environment/reasons.ts";
import { fieldGroups } from "../environment/snapshot.ts";
import { UserError } from "../errors.ts";
import { fieldLabel, readDictionary, translated, wordOf } from "./dictionary.ts";
import { templatesFolder } from "./render-record.ts";

const dictionary = readDictionary(join(templatesFolder, "dictionary.json"));
const han = /\p{Script=Han}/u;

describe("the dictionary", () => {
  const { glossary, ...shelves } = dictionary;
  const entries = [
    ...Object.entries(shelves).flatMap(([shelf, words]) =>
      Object.entries(words).map(([name, text]) => ({ name: `${shelf}.${name}`, text })),
    ),
    ...Object.entries(glossary).flatMap(([name, { term, meaning }]) => [
      { name: `glossary.${name}.term`, text: term },
      { name: `glossary.${name}.meaning`, text: meaning },
    ]),
  ];

  it("has hundreds of words", () => {
    expect(entries.length).toBeGreaterThan(200);
  });

  it("has English without Chinese, but for the name of the other language", () => {
    const mixed = entries.filter(
      ({ name, text }) => han.test(text.en) && name !== "words.other_language",
    );
    expect(mixed.map(({ name }) => name)).toEqual([]);
  });

  it("has the same places to fill in both languages", () => {
    const places = (text: string): string => (text.match(/\{\w+\}/g) ?? []).sort().join();
    const uneven = entries.filter(({ text }) => places(text.zh) !== places(text.en));
    expect(uneven.map(({ name }) => name)).toEqual([]);
  });

  it("uses full-width punctuation in Chinese", () => {
    const halfWidth = entries.filter(({ text }) => /\p{Script=Han}[,;:?!]/u.test(text.zh));
    expect(halfWidth.map(({ name }) => name)).toEqual([]);
  });

  it("translates every reason that a probe may give, and names every group", () => {
    const missing = Object.values(reasons).filter(
      (reason) => !Object.hasOwn(dictionary.reasons, reason),
    );
    expect(missing).toEqual([]);
    expect(Object.keys(dictionary.field_groups)).toEqual(expect.arrayContaining([...fieldGroups]));
  });
});

describe("the names of fields", () => {
  const engine = engineFields(
    { variant: "v", kind: "vllm", facts: undefined },
    { at: "2026-01-14T20:06:31.000+08:00", light: false, secrets: [] },
  );
  const declared = [
    ...[...declaredHostFields(false, true), ...clientFields, ...gpuFieldsWithoutGpu],
    ...[...declaredModelFields("v"), ...declaredPythonFields("v"), ...engine],
  ].map(({ id }) => id.replace(/^(\w+)\.v\./, "$1.*."));
  const gpus = [
    ...["count", "xid.count", "xid.last", "read_problems"].map((name) => `gpu.${name}`),
    ...gpuFactIds.map((id) => `gpu.*.${id}`),
  ];

  it("has every field that a probe may give, in both languages", () => {
    expect(declared.length + gpus.length).toBeGreaterThan(150);
    expect([...declared, ...gpus].filter((id) => !Object.hasOwn(dictionary.fields, id))).toEqual(
      [],
    );
  });

  it("tells two facts of a GPU apart, and leaves it to the table which GPU it is", () => {
    for (const language of ["zh", "en"] as const) {
      const names = gpuFactIds.map((id) => dictionary.fields[`gpu.*.${id}`]?.[language] ?? id);
      expect(names.filter((name, at) => names.indexOf(name) !== at)).toEqual([]);
      expect(names.filter((name) => name.includes("{"))).toEqual([]);
    }
  });
});

describe("looking up", () => {
  it("fills places and refuses words that are not there", () => {
    expect(wordOf(dictionary, "words", "passed", "en", { count: "6" })).toBe("Rules checked: 6");
    expect(() => wordOf(dictionary, "words", "constructor", "en")).toThrow("no words.constructor");
  });

  it("names a field by its id, then by its pattern, then by what remains of the id", () => {
    expect(fieldLabel(dictionary, ["host.kernel"], "zh")).toBe("内核版本");
    expect(fieldLabel(dictionary, ["model.fp8.path", "model.*.path"], "en")).toBe(
      dictionary.fields["model.*.path"]?.en,
    );
    const config = ["engine.fp8.config.block_size", "engine.*.config.block_size"];
    expect(fieldLabel(dictionary, config, "en")).toBe("config.block_size");
  });

  it("leaves a reason as it is that nobody translated", () => {
    expect(translated(dictionary, "reasons", "the moon was full", "zh")).toBe("the moon was full");
  });

  it("refuses a file that it cannot use, naming it", () => {
    expect(() => readDictionary("no/such/dictionary.json")).toThrow(UserError);
  });
});
