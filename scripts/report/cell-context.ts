// What every cell may use, and how it says that it was asked for something that is not there.
import { UserError } from "../errors.ts";
import type { Language } from "../experiment/experiment.ts";
import { nearest } from "../experiment/nearest.ts";
import type { ChartRequest, NoChart, RenderedChart } from "./charts.ts";
import { type Dictionary, wordOf } from "./dictionary.ts";
import type { Block, Inline, Table, TableCell, TableRow } from "./document.ts";
import type { Cell } from "./notebook-source.ts";
import { textInlines } from "./phrase.ts";
import type { RecordData } from "./record-data.ts";
import type { PointData } from "./record-parts.ts";

/** Draws one chart; `renderChart` of charts.ts. */
export type DrawChart = (request: ChartRequest) => Promise<RenderedChart | NoChart>;

export interface CellContext {
  readonly data: RecordData;
  readonly language: Language;
  readonly dictionary: Dictionary;
  readonly drawChart: DrawChart;
  /** "templates/test-record.md": for messages. */
  readonly path: string;
  /** The next number of a table or figure, as printed: "表 3". */
  readonly number: (kind: "table" | "figure") => string;
  /** Metric keys that the document shows: whose definitions it must give. */
  readonly shown: ReadonlySet<string>;
}

/** What it takes to say something in the words of the dictionary. */
export type Wording = Pick<CellContext, "language" | "dictionary">;

export function word(
  context: Wording,
  name: string,
  places?: Readonly<Record<string, string>>,
): string {
  return wordOf(context.dictionary, "words", name, context.language, places);
}

export function column(context: Wording, name: string): string {
  return wordOf(context.dictionary, "columns", name, context.language);
}

/** A mistake in a cell, with the nearest right name. */
export function unknown(
  context: CellContext,
  cell: { readonly line: number },
  what: string,
  name: string,
  known: readonly string[],
): UserError {
  const near = nearest(name, known);
  return new UserError({
    what: `unknown ${what} ${JSON.stringify(name)}`,
    where: `${context.path}:${cell.line}`,
    mend: near === undefined ? `use one of ${known.join(", ")}` : `write ${near}`,
  });
}

/** A list of names under an option; a single name is a list of one; undefined: not given. */
export function listOption(
  context: CellContext,
  cell: Cell,
  name: string,
): readonly string[] | undefined {
  const value = cell.options[name];
  if (value === undefined) return undefined;
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  return list.map((one) => {
    if (typeof one === "string" || typeof one === "number") return String(one);
    throw new UserError({
      what: `${name} takes names, got ${JSON.stringify(one)}`,
      where: `${context.path}:${cell.line}`,
      mend: `write ${name}: [first, second]`,
    });
  });
}

/** One name under an option; undefined: not given. */
export function nameOption(context: CellContext, cell: Cell, name: string): string | undefined {
  return listOption(context, cell, name)?.[0];
}

/** A text under an option, one for both languages or `{ zh: , en: }`; undefined: not given. */
export function textOption(context: CellContext, cell: Cell, name: string): string | undefined {
  const value = cell.options[name];
  if (value === undefined || typeof value === "string") return value;
  const texts: Readonly<Record<string, unknown>> =
    typeof value === "object" && value !== null ? Object.fromEntries(Object.entries(value)) : {};
  const text = texts[context.language];
  if (typeof text === "string") return text;
  throw new UserError({
    what: `${name} has no text for ${context.language}`,
    where: `${context.path}:${cell.line}`,
    mend: `write ${name}: a text, or ${name}: { zh: ..., en: ... }`,
  });
}

/** Refuses options that the cell does not have. */
export function checkOptions(context: CellContext, cell: Cell, known: readonly string[]): void {
  for (const name of Object.keys(cell.options)) {
    if (!known.includes(name)) throw unknown(context, cell, "option", name, known);
  }
}

/** The points that a cell asks for by `variants`, `workloads` and `points`. */
export function pointsOf(context: CellContext, cell: Cell): readonly PointData[] {
  const { points, variants, workloads } = context.data;
  const choose = (option: string, known: readonly string[]): readonly string[] => {
    const asked = listOption(context, cell, option) ?? known;
    for (const name of asked) {
      if (!known.includes(name)) throw unknown(context, cell, option.slice(0, -1), name, known);
    }
    return asked;
  };
  const chosen = {
    variants: choose(
      "variants",
      variants.map(({ name }) => name),
    ),
    workloads: choose(
      "workloads",
      workloads.map(({ name }) => name),
    ),
    points: choose(
      "points",
      points.map(({ name }) => name),
    ),
  };
  return points.filter(
    (point) =>
      chosen.variants.includes(point.variant) &&
      chosen.workloads.includes(point.workload) &&
      chosen.points.includes(point.name),
  );
}

export const noTable = {
  kind: "table",
  numbered: undefined,
  caption: [],
  head: [],
  notes: [],
  computed: [],
  sortable: false,
} as const satisfies Partial<Table>;

export function textCell(
  text: string,
  context: Pick<CellContext, "language">,
  options: Partial<TableCell> = {},
): TableCell {
  return inlineCell(textInlines(text, context.language), options);
}

export function inlineCell(
  content: readonly Inline[],
  options: Partial<TableCell> = {},
): TableCell {
  return { content, numeric: false, head: false, columns: 1, ...options };
}

/** The head of a point's row: with the symbol of its variant, where there are several. */
export function pointHead(point: PointData, { data, language }: CellContext): TableCell {
  return inlineCell(
    data.variants.length > 1
      ? [{ kind: "variant", place: point.place, label: point.label[language] }]
      : textInlines(point.shortLabel[language], language),
    { head: true },
  );
}

export function paragraph(text: string, context: Pick<CellContext, "language">): Block {
  return { kind: "paragraph", content: textInlines(text, context.language) };
}

/** A head of one row, text columns unless named numeric. */
export function simpleHead(
  heads: readonly string[],
  context: Pick<CellContext, "language">,
  numeric: readonly number[] = [],
): Table["head"] {
  return [
    heads.map((head, index) => ({
      content: textInlines(head, context.language),
      unit: undefined,
      numeric: numeric.includes(index),
      columns: 1,
      rows: 1,
      group: false,
    })),
  ];
}

/** A table's title in the dictionary. */
export function titled(name: string, context: Wording): string {
  return wordOf(context.dictionary, "tables", name, context.language);
}

/** Number, anchor and caption of a table that can be referred to. */
export function numberedCaption(
  name: string,
  context: Wording & Pick<CellContext, "number">,
): Pick<Table, "id" | "numbered" | "caption" | "label"> {
  const number = context.number("table");
  const label = titled(name, context);
  return {
    id: `tab-${number.replaceAll(/\D/g, "")}`,
    numbered: number,
    caption: [{ kind: "strong", children: textInlines(label, context.language) }],
    label,
  };
}

export function plainRow(rowCells: TableRow["cells"]): TableRow {
  return { kind: "row", struck: false, cells: rowCells };
}
