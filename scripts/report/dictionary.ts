// The words of the record in both languages, from templates/dictionary.json: section titles, column
// heads, names of environment fields, glossary. A word that is missing is an error, never a blank.
import { readFileSync } from "node:fs";
import { z } from "zod";
import { messageOf, UserError } from "../errors.ts";
import type { Language, LocalText } from "../experiment/experiment.ts";

const localText = z.object({ zh: z.string().min(1), en: z.string().min(1) }).strict();
const words = z.record(z.string(), localText);

const dictionarySchema = z
  .object({
    sections: words,
    words,
    marks: words,
    severities: words,
    sources: words,
    classes: words,
    field_groups: words,
    rows: words,
    columns: words,
    column_groups: words,
    tables: words,
    glossary: z.record(z.string(), z.object({ term: localText, meaning: localText }).strict()),
    /** By id of the field, a star for one of several: "gpu.*.driver". */
    fields: words,
    /** By the English text that the probes give. */
    reasons: words,
    /** Values that are words of ours: "same host". */
    values: words,
  })
  .strict();

export type Dictionary = Readonly<z.infer<typeof dictionarySchema>>;
type Shelf = Exclude<keyof Dictionary, "glossary">;

/** Reads the dictionary. @throws UserError where the file is missing, broken or lacks a language. */
export function readDictionary(path: string): Dictionary {
  try {
    return dictionarySchema.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch (error) {
    const what =
      error instanceof z.ZodError
        ? error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; ")
        : messageOf(error);
    throw new UserError(
      {
        what: `the dictionary cannot be used: ${what}`,
        where: path,
        mend: "give every entry a zh and an en text",
      },
      { cause: error },
    );
  }
}

/**
 * A word in a language, its `{name}` places filled.
 *
 * @throws Error for a word that is not in the dictionary: a template and the dictionary disagree
 */
export function wordOf(
  dictionary: Dictionary,
  shelf: Shelf,
  name: string,
  language: Language,
  places: Readonly<Record<string, string>> = {},
): string {
  const entry = Object.hasOwn(dictionary[shelf], name) ? dictionary[shelf][name] : undefined;
  if (entry === undefined) throw new Error(`the dictionary has no ${shelf}.${name}`);
  return entry[language].replaceAll(/\{(\w+)\}/g, (all, place: string) =>
    Object.hasOwn(places, place) ? (places[place] ?? "") : all,
  );
}

/** The name of an environment field: by its own id, by its pattern, else the id without its group. */
export function fieldLabel(
  dictionary: Dictionary,
  labels: readonly string[],
  language: Language,
): string {
  for (const id of labels) {
    const entry: LocalText | undefined = Object.hasOwn(dictionary.fields, id)
      ? dictionary.fields[id]
      : undefined;
    if (entry !== undefined) return entry[language];
  }
  return (labels.at(-1) ?? "").replace(/^\w+\.(?:\*\.)?/, "");
}

/** A reason or a value in a language; what the dictionary does not have stays as it is. */
export function translated(
  dictionary: Dictionary,
  shelf: "reasons" | "values",
  text: string,
  language: Language,
): string {
  const entry = Object.hasOwn(dictionary[shelf], text) ? dictionary[shelf][text] : undefined;
  return entry?.[language] ?? text;
}
