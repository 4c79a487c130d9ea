// The tables of measured numbers: one row per point, columns by metric, heads grouped, every number
// with its anchor, its interval and a footnote where something must be said of it.
import { UserError } from "../errors.ts";
import type { LocalText } from "../experiment/experiment.ts";
import {
  type CellContext,
  checkOptions,
  column,
  inlineCell,
  nameOption,
  noTable,
  pointHead,
  pointsOf,
  textOption,
  unknown,
  word,
} from "./cell-context.ts";
import { wordOf } from "./dictionary.ts";
import {
  type Computed,
  type Inline,
  plainText,
  type Table,
  type TableCell,
  type TableRow,
} from "./document.ts";
import { loadNotes } from "./load-notes.ts";
import { metricText } from "./metric-texts.ts";
import type { Cell } from "./notebook-source.ts";
import { localInlines, pointMark, textInlines } from "./phrase.ts";
import type { PrintedNumber } from "./record-numbers.ts";
import type { FindingData, PointData } from "./record-parts.ts";
import { type Column, columnsOf, headOf } from "./results-columns.ts";
import { visible } from "./typography.ts";

const resultsOptions = ["columns", "variants", "workloads", "points", "per", "reasons", "title"];

/** A results table, or one per variant. */
export function resultsTables(cell: Cell, context: CellContext): readonly Table[] {
  checkOptions(context, cell, resultsOptions);
  const points = pointsOf(context, cell);
  const columns = columnsOf(cell, points, context);
  const per = nameOption(context, cell, "per");
  if (per === undefined) {
    return [resultsTable(points, columns, { cell, context, variant: undefined })];
  }
  if (per !== "variant") throw unknown(context, cell, "per", per, ["variant"]);
  return context.data.variants
    .filter((variant) => points.some((point) => point.variant === variant.name))
    .map((variant) =>
      resultsTable(
        points.filter((point) => point.variant === variant.name),
        columns,
        { cell, context, variant: variant.name },
      ),
    );
}

interface Asked {
  readonly cell: Cell;
  readonly context: CellContext;
  /** The one variant of the table; undefined: all of them, and rows say which. */
  readonly variant: string | undefined;
}

function resultsTable(
  points: readonly PointData[],
  columns: readonly Column[],
  asked: Asked,
): Table {
  const { context, cell, variant } = asked;
  const { data } = context;
  const footnotes = new Map<string, string>();
  const reasons = cell.options["reasons"] ?? variant !== undefined;
  const bodies = points.map((point) => {
    const cells = columns.map((one) => columnCell(point, one, footnotes, context));
    const row: TableRow = {
      kind: "row",
      struck: point.mark === "invalid",
      cells: [headCell(point, asked), ...cells],
    };
    return reasons === true ? [row, ...reasonRow(point, columns.length, context)] : [row];
  });
  const title = data.variants.find((one) => one.name === variant);
  const number = context.number("table");
  const label = captionOf(asked, title?.title);
  return {
    ...noTable,
    id: `tab-${number.replaceAll(/\D/g, "")}`,
    numbered: number,
    caption: [{ kind: "strong", children: [{ kind: "data", text: label }] }],
    label,
    head: headOf(columns, context),
    bodies,
    layout: "wide",
    sortable: points.length > 1,
    notes: notesOf(points, columns, footnotes, context),
    computed: computedOf(columns, context),
  };
}

function captionOf({ cell, context }: Asked, variant: LocalText | undefined): string {
  const { language } = context;
  const given = textOption(context, cell, "title");
  if (variant !== undefined) return visible(variant[language]);
  return given ?? wordOf(context.dictionary, "tables", "results", language);
}

function headCell(point: PointData, { context, variant }: Asked): TableCell {
  if (variant === undefined) return pointHead(point, context);
  const label = point.shortLabel[context.language];
  return inlineCell(textInlines(label, context.language), { head: true });
}

function columnCell(
  point: PointData,
  { key, kind }: Column,
  footnotes: Map<string, string>,
  context: CellContext,
): TableCell {
  const { language, dictionary } = context;
  if (kind === "verdict") {
    return inlineCell([pointMark(point, language, dictionary)], { sort: point.mark });
  }
  if (kind === "lengths") {
    const base = key.replace(/\.range$/, "");
    const parts = [`${base}.min`, base, `${base}.p99`, `${base}.max`].map(
      (one) => point.numbers[one],
    );
    const content = parts.flatMap((number, index): readonly Inline[] => {
      if (number === undefined) return [];
      // The four share their remarks: said once, at the last.
      const last = index === parts.length - 1;
      return [
        ...(index === 0 ? [] : [{ kind: "text" as const, text: " / " }]),
        {
          kind: "number",
          number,
          unit: false,
          ...(last ? footnoteOf(number, footnotes, context) : {}),
        },
      ];
    });
    return inlineCell(content, { numeric: true });
  }
  const number = point.numbers[key];
  if (number === undefined) return inlineCell([{ kind: "absent", text: "–" }], { numeric: true });
  return numberCell(number, footnotes, context);
}

/** A number with its anchor; what must be said of it becomes a lettered footnote, each text once. */
export function numberCell(
  number: PrintedNumber,
  footnotes: Map<string, string>,
  context: CellContext,
): TableCell {
  const footnote = footnoteOf(number, footnotes, context);
  return inlineCell([{ kind: "number", number, unit: false, ...footnote }], {
    numeric: true,
    id: number.id,
    sort: number.exact === undefined ? "" : String(number.exact),
  });
}

function footnoteOf(
  { remarks }: PrintedNumber,
  footnotes: Map<string, string>,
  { language }: CellContext,
): { readonly footnote?: string } {
  const own = new Set(remarks.map((remark) => visible(remark[language])));
  for (const text of own) {
    if (!footnotes.has(text)) footnotes.set(text, letterOf(footnotes.size));
  }
  const letters = [...footnotes].flatMap(([text, letter]) => (own.has(text) ? [letter] : []));
  return letters.length === 0 ? {} : { footnote: letters.join(",") };
}

/** a to z, then aa, ab, as columns of a sheet are lettered. */
function letterOf(index: number): string {
  const before = index < 26 ? "" : letterOf(Math.floor(index / 26) - 1);
  return before + String.fromCharCode(97 + (index % 26));
}

/** The point's own findings in full; what holds for the variant, the run or the machine by its rule. */
function reasonRow(point: PointData, columns: number, context: CellContext): readonly TableRow[] {
  if (point.reasons.length === 0) return [];
  const { language } = context;
  const label = plainText([pointMark(point, language, context.dictionary)]);
  const own = point.reasons.filter(({ where }) => where === point.name);
  const wider = point.reasons.filter(({ where }) => where !== point.name);
  const parts = [
    ...own.map((reason) => reasonInlines(reason, context)),
    ...wider.map((reason): readonly Inline[] => [
      { kind: "data", text: `${visible(reason.label[language])} ` },
      ruleLink(reason),
    ]),
  ];
  const content: Inline[] = [...textInlines(label + word(context, "title_separator"), language)];
  for (const [index, part] of parts.entries()) {
    if (index > 0) content.push({ kind: "text", text: word(context, "clause_separator") });
    content.push(...part);
  }
  const cells = [inlineCell([]), inlineCell(content, { columns, wide: true })];
  return [{ kind: "reason", struck: false, cells }];
}

function ruleLink(reason: FindingData): Inline {
  return { kind: "link", href: `#${reason.id}`, children: [{ kind: "text", text: reason.rule }] };
}

/** What was seen, what was asked for, and a link to the finding. */
function reasonInlines(reason: FindingData, context: CellContext): readonly Inline[] {
  const { language } = context;
  const [open, close] = language === "zh" ? ["（", "）"] : [" (", ")"];
  const required = `${column(context, "expected")}${word(context, "title_separator")}`;
  return [
    ...localInlines(reason.seen, language),
    { kind: "text", text: open + required },
    ...localInlines(reason.expected, language),
    { kind: "text", text: `${close} ` },
    ruleLink(reason),
  ];
}

function notesOf(
  points: readonly PointData[],
  columns: readonly Column[],
  footnotes: ReadonlyMap<string, string>,
  { data, language }: CellContext,
): Table["notes"] {
  const estimated = columns.some(({ key }) => Object.hasOwn(data.metrics, key));
  const notes: (readonly Inline[])[] = [];
  if (footnotes.size > 0) {
    const end = language === "zh" ? "；" : "; ";
    const parts = [...footnotes].map(([text, letter]) => `${letter}\u00a0${text}`);
    notes.push(textInlines(`${parts.join(end)}${language === "zh" ? "。" : "."}`, language));
  }
  if (estimated) {
    for (const note of loadNotes(points)) notes.push(localInlines(note, language));
    notes.push(localInlines(data.intervalNote, language));
  }
  return notes;
}

/** Keys of the columns that a results cell shows, without rendering it. */
export function shownKeys(cell: Cell, context: CellContext): readonly string[] {
  return columnsOf(cell, pointsOf(context, cell), context).map(({ key }) => key);
}

/** One line per column: which metric, which definition, in words. */
export function computedOf(
  columns: readonly { readonly key: string }[],
  { data, language }: CellContext,
): readonly Computed[] {
  const seen = new Set<string>();
  return columns.flatMap(({ key }) => {
    const text = data.metrics[key] ?? metricText(key.replace(/\.range$/, ""));
    if (text === undefined || seen.has(text.definition + text.formula.en)) return [];
    seen.add(text.definition + text.formula.en);
    return [{ source: text.definition, definition: text.formula[language] }];
  });
}

/** @throws UserError for a key that no point has a number for */
export function metricOfPoint(
  key: string,
  point: PointData,
  where: string,
  known: readonly string[],
): PrintedNumber {
  const number = point.numbers[key] ?? point.numbers[`${key}.mean`];
  if (number === undefined) {
    throw new UserError({
      what: `no metric ${JSON.stringify(key)}`,
      where,
      mend: `use one of ${known.slice(0, 12).join(", ")}`,
    });
  }
  return number;
}
