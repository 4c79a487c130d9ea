// The cell about the SLO: each load with its figures held against the limits, the share and the rate
// of requests that met all of them, and per variant up to which load the SLO is met.
import {
  type CellContext,
  checkOptions,
  column,
  inlineCell,
  noTable,
  numberedCaption,
  plainRow,
  pointHead,
  pointsOf,
  simpleHead,
  textCell,
  word,
} from "./cell-context.ts";
import { capitalized } from "./chart-text.ts";
import type { Block, Inline, Table, TableCell } from "./document.ts";
import { metricText } from "./metric-texts.ts";
import type { Cell } from "./notebook-source.ts";
import { localInlines, textInlines } from "./phrase.ts";
import type { PointData } from "./record-parts.ts";
import type { SloData, SloPointVerdict } from "./record-slo.ts";
import { computedOf, numberCell } from "./results-table.ts";
import { visible } from "./typography.ts";

/** Requests that met all limits: as a share of all, and per second. */
const metKeys = ["slo_share", "goodput"] as const;

/** Nothing where the experiment has no SLO. */
export function sloTable(cell: Cell, context: CellContext): readonly Block[] {
  checkOptions(context, cell, ["variants", "workloads", "points"]);
  const { slo, metrics } = context.data;
  const points = pointsOf(context, cell).filter(({ measured }) => measured);
  if (slo === undefined || points.length === 0) return [];
  const { language } = context;
  const loadKeys = loadKeysOf(points);
  const footnotes = new Map<string, string>();
  const headOf = (key: string): string => {
    const { name, unit } = metrics[key] ?? metricText(key) ?? {};
    const [open, close] = language === "zh" ? ["（", "）"] : [" (", ")"];
    return `${capitalized(name?.[language] ?? key)}${open}${unit?.[language] ?? ""}${close}`;
  };
  const heads = [
    column(context, "point"),
    ...loadKeys.map(headOf),
    ...slo.limits.map(({ text }) => text),
    ...metKeys.map(headOf),
    column(context, "slo_verdict"),
  ];
  const figure = (point: PointData, key: string): TableCell => {
    const number = point.numbers[key];
    return number === undefined ? dash : numberCell(number, footnotes, context);
  };
  const bodies = points.map((point) => {
    const verdict = slo.verdicts[point.name];
    return [
      {
        ...plainRow([
          pointHead(point, context),
          ...loadKeys.map((key) => figure(point, key)),
          ...slo.limits.map(({ key }) =>
            limitCell(figure(point, key), verdict?.limits[key], context),
          ),
          ...metKeys.map((key) => figure(point, key)),
          textCell(verdictWord(point, slo, verdict, context), context),
        ]),
        struck: point.mark === "invalid",
      },
    ];
  });
  const table: Table = {
    ...noTable,
    ...numberedCaption("slo", context),
    layout: "wide",
    head: simpleHead(heads, context, [...heads.keys()].slice(1, -1)),
    bodies,
    notes: notesOf(slo, points, footnotes, context),
    computed: computedOf(
      sloKeys(context).map((key) => ({ key })),
      context,
    ),
  };
  return [table];
}

/** Keys of the figures that the table shows, whose definitions a record must give. */
export function sloKeys({ data }: CellContext): readonly string[] {
  if (data.slo === undefined) return [];
  return [...loadKeysOf(data.points), ...data.slo.limits.map(({ key }) => key), ...metKeys];
}

/** What was asked for is in the point's name; this is what was in flight, or arrived and was answered. */
function loadKeysOf(points: readonly PointData[]): readonly string[] {
  const isOpen = points.some(({ load }) => load.kind !== "concurrency");
  return isOpen ? ["offered_rate", "qps", "concurrency_achieved"] : ["concurrency_achieved"];
}

const dash: TableCell = inlineCell([{ kind: "absent", text: "–" }], { numeric: true });

/** The figure with its verdict, in words: colour alone would not be read by everybody. */
function limitCell(
  figure: TableCell,
  limit: SloPointVerdict["limits"][string] | undefined,
  context: CellContext,
): TableCell {
  if (limit === undefined) return figure;
  const name = limit.by === "failures" ? "slo_failures" : `slo_${limit.verdict}`;
  const text = ` ${word(context, name)}`;
  return { ...figure, content: [...figure.content, ...textInlines(text, context.language)] };
}

function verdictWord(
  point: PointData,
  { leftOut }: SloData,
  verdict: SloPointVerdict | undefined,
  context: CellContext,
): string {
  if (verdict !== undefined) return word(context, `slo_${verdict.verdict}`);
  const why = leftOut.find((one) => one.point === point.name)?.why;
  return why === undefined ? "–" : word(context, `slo_left_out_${why}`);
}

/** The answers first: they are what the table is for. */
function notesOf(
  { series }: SloData,
  points: readonly PointData[],
  footnotes: ReadonlyMap<string, string>,
  context: CellContext,
): Table["notes"] {
  const { language, data } = context;
  const shown = new Set(points.map(({ variant }) => variant));
  const [colon, stop] = language === "zh" ? ["：", "。"] : [": ", "."];
  const answers = series
    .filter(({ variant }) => shown.has(variant))
    .map(({ label, answer }): readonly Inline[] => [
      { kind: "strong", children: [{ kind: "data", text: visible(label[language]) }] },
      ...textInlines(`${colon}${answer[language]}${stop}`, language),
    ]);
  const letters = [...footnotes].map(([text, letter]) => `${letter}\u00a0${text}`);
  return [
    ...answers,
    ...(letters.length === 0
      ? []
      : [textInlines(`${letters.join(language === "zh" ? "；" : "; ")}${stop}`, language)]),
    textInlines(word(context, "slo_note"), language),
    localInlines(data.intervalNote, language),
  ];
}
