// How printed fields stand in a document: each with its name and the one of several that it is about,
// its value as data, or the state and the reason why it has none, and where it was read.
import { type CellContext, word } from "./cell-context.ts";
import { fieldLabel, translated, wordOf } from "./dictionary.ts";
import type { Block, Inline } from "./document.ts";
import { textInlines } from "./phrase.ts";
import type { EnvironmentRow, FieldName, PrintedField } from "./record-fields.ts";
import { visible } from "./typography.ts";

/** The value, or why there is none; undefined: there is no such field. */
export function fieldInlines(
  value: PrintedField | undefined,
  context: CellContext,
): readonly Inline[] {
  if (value === undefined) return [{ kind: "absent", text: word(context, "gone") }];
  if (value.state === "value") {
    const text = translated(context.dictionary, "values", value.text, context.language);
    return [{ kind: "data", text: visible(text) }];
  }
  const state = word(context, value.state);
  if (value.reason === "") return [{ kind: "absent", text: state }];
  const reason = translated(context.dictionary, "reasons", value.reason, context.language);
  return [
    { kind: "absent", text: `${state}${word(context, "title_separator")}${visible(reason)}` },
  ];
}

/** "权重摘要 · fp32": which of several the field is about. */
export function fieldName(
  { labels, instance }: FieldName,
  { dictionary, language }: CellContext,
): string {
  const name = fieldLabel(dictionary, labels, language);
  return instance === undefined ? name : `${name} · ${instance}`;
}

/** Groups of fields as a block; several that are absent for one reason are one row. */
export function fieldsBlock(
  groups: readonly { readonly title: string; readonly rows: readonly EnvironmentRow[] }[],
  label: string,
  context: CellContext,
): Block {
  return {
    kind: "fields",
    label,
    groups: groups.map(({ title, rows }) => ({
      title,
      rows: mergeAbsent(rows, context).map((row) => ({
        label: textInlines(row.label, context.language),
        value: fieldInlines(row.value, context),
        source: row.source,
      })),
    })),
  };
}

interface LabelledRow {
  readonly label: string;
  readonly value: PrintedField;
  readonly source: string;
}

/**
 * Three rows or more in a group that are absent for one reason become one row that names them all.
 * They stand behind what is there.
 */
function mergeAbsent(
  rows: readonly EnvironmentRow[],
  context: CellContext,
): readonly LabelledRow[] {
  const labelled = rows.map((row): LabelledRow => {
    return { label: fieldName(row, context), value: row.value, source: sourceOf(row, context) };
  });
  const keyOf = ({ value, source }: LabelledRow): string =>
    value.state === "value" ? "" : JSON.stringify([value, source]);
  const merged = new Map<string, LabelledRow[]>();
  for (const row of labelled) {
    const key = keyOf(row);
    if (key !== "") merged.set(key, [...(merged.get(key) ?? []), row]);
  }
  const isMerged = (row: LabelledRow): boolean => (merged.get(keyOf(row)) ?? []).length >= 3;
  const absent = [...merged.values()].flatMap((same): readonly LabelledRow[] => {
    const [first] = same;
    const label = same.map((row) => row.label).join(word(context, "list_separator"));
    return first === undefined || !isMerged(first) ? [] : [{ ...first, label }];
  });
  return [...labelled.filter((row) => !isMerged(row)), ...absent];
}

/** "探测（gpu-node-7）": where it was read, if not on this host. */
function sourceOf({ source, readOn }: EnvironmentRow, context: CellContext): string {
  const name = wordOf(context.dictionary, "sources", source, context.language);
  return readOn === undefined
    ? name
    : word(context, "source_on", { source: name, host: visible(readOn) });
}
