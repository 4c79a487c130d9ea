// From a comparison to its table: per point and metric both values, the ratio with its interval, the
// corrected p-value and the outcome. The record's cell and the page of two runs share it.
import type { Comparison } from "../stats/comparison.ts";
import {
  type CellContext,
  column,
  inlineCell,
  noTable,
  numberedCaption,
  plainRow,
  simpleHead,
  textCell,
  type Wording,
  word,
} from "./cell-context.ts";
import { capitalized } from "./chart-text.ts";
import {
  comparedName,
  comparisonNotes,
  outcomeText,
  pText,
  ratioTexts,
} from "./comparison-text.ts";
import type { Computed, Table, TableCell } from "./document.ts";
import { textInlines } from "./phrase.ts";

/** What a row shows beside its cell of the comparison. */
interface ComparedRow {
  readonly head: TableCell;
  /** Value of the side that is held against the other, and of that other. */
  readonly value: TableCell;
  readonly base: TableCell;
}

export interface ComparisonTableInput {
  readonly comparison: Comparison;
  /** One for each cell of the comparison, in its order. */
  readonly rows: readonly ComparedRow[];
  readonly base: string;
  /** Heads the column of values; undefined: there are several variants. */
  readonly compared: string | undefined;
  readonly oneProcess: boolean;
  /** Requests and rounds behind the values. */
  readonly basis: readonly string[];
  readonly computed: readonly Computed[];
}

/** The table, with what its outcomes rest on as notes. */
export function comparisonTable(
  { comparison, rows, base, compared, oneProcess, basis, computed }: ComparisonTableInput,
  context: Wording & Pick<CellContext, "number">,
): Table {
  const { language } = context;
  const ratios = ratioTexts(comparison);
  const heads = [
    column(context, "point"),
    column(context, "metric"),
    base,
    compared ?? column(context, "compared_value"),
    column(context, "compared_ratio"),
    column(context, "compared_p"),
    column(context, "compared_rounds"),
    column(context, "compared_outcome"),
  ];
  const caption = numberedCaption("comparison", context);
  const label = caption.label.replace("{base}", base);
  const bodies = new Map<string, ReturnType<typeof plainRow>[]>();
  for (const [index, cell] of comparison.cells.entries()) {
    const row = rows[index];
    if (row === undefined) continue;
    const { ratio = "–", interval = "" } = ratios[index] ?? {};
    const text = interval === "" ? ratio : `${ratio} ${interval}`;
    const { a, b } = cell.rounds;
    const own = bodies.get(cell.point) ?? [];
    bodies.set(cell.point, own);
    own.push(
      plainRow([
        row.head,
        textCell(capitalized(comparedName(cell.metric, language)), context),
        row.base,
        row.value,
        inlineCell([{ kind: "text", text }], { numeric: true }),
        inlineCell([{ kind: "text", text: pText(cell) }], { numeric: true }),
        inlineCell([{ kind: "text", text: a === b ? String(a) : `${a} / ${b}` }], {
          numeric: true,
        }),
        textCell(outcomeText(cell, language), context),
      ]),
    );
  }
  return {
    ...noTable,
    ...caption,
    label,
    caption: [{ kind: "strong", children: [{ kind: "data", text: label }] }],
    layout: "wide",
    head: simpleHead(heads, context, [2, 3, 4, 5, 6]),
    bodies: [...bodies.values()],
    notes: [...comparisonNotes({ comparison, oneProcess }, language), ...basis].map((note) =>
      textInlines(note, language),
    ),
    computed: [
      ...computed,
      { source: "log_ratio, holm", definition: word(context, "compare_formula") },
    ],
  };
}
