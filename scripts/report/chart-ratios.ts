// Figure 14: the ratio of every variant to the base with its interval, on a log axis with the margin
// of equivalence behind it; one panel per metric, one row per load and variant.

import type { Language } from "../experiment/experiment.ts";
import { ink, ink2, variantColor, variantShape } from "./chart-colors.ts";
import { type ChartInput, type ChartPoint } from "./chart-data.ts";
import {
  type DotRow,
  type Drawing,
  type DrawingResult,
  dotRow,
  type FlatRow,
  fittingTicks,
  inFrame,
  intervalOn,
  logExtent,
  type TextRow,
} from "./chart-panel.ts";
import {
  describeRatios,
  nothingToCompare,
  ratiosFinding,
  ratiosNote,
} from "./chart-ratios-reading.ts";
import { rowName } from "./chart-rounds.ts";
import { type Axis, logAxis } from "./chart-scale.ts";
import { capitalized, pointName } from "./chart-text.ts";
import { comparedName, type RatioText, ratioTexts } from "./comparison-text.ts";
import { fitText, textWidth } from "./text-width.ts";
import { type VariantRatio, type VariantRatios, variantRatios } from "./variant-ratios.ts";

const rowPx = 26;
const topPx = 34;
const bottomPx = 46;
const gapPx = 12;
const rightPx = 4;

/** A metric's panel: per row its ratio, undefined where the metric has none there. */
interface Panel {
  readonly metric: string;
  readonly ratios: readonly (VariantRatio | undefined)[];
  readonly values: ValueColumn;
}

/** Draws the ratios of variants. */
export function drawRatios(input: ChartInput): DrawingResult {
  const { language, width, compare = { paired: false } } = input;
  const family = variantRatios(input.points, compare);
  const found = family === undefined ? undefined : onlyPanels(family, compare.panels);
  if (found === undefined || found.comparison.cells.every(({ p }) => p === undefined))
    return { status: "empty", reason: nothingToCompare(found, language) };
  const points = [...new Set(found.rows.map(({ point }) => point))];
  const narrow = width < 600;
  const columns = narrow ? 1 : Math.min(2, found.metrics.length);
  const lines = Math.ceil(found.metrics.length / columns);
  const height = points.length * rowPx;
  const namePx = Math.min(
    Math.max(...points.map((point) => textWidth(pointName(point, language), { language }))),
    narrow ? 112 : 170,
  );
  const panels = panelsOf(found, points, language);
  const left = Math.ceil(namePx) + gapPx;
  const valueRoom = Math.ceil(Math.max(...panels.map(({ values }) => values.widthPx))) + gapPx;
  const between = narrow ? 0 : 28;
  const gapX = valueRoom + between;
  const lengthPx = Math.floor(
    (width - left - rightPx - columns * valueRoom - (columns - 1) * between) / columns,
  );
  const axis = ratioAxis(found, lengthPx, language);
  const texts: Drawing["texts"][number][] = [];
  let cut = false;

  const drawn = panels.map((panel, index) => {
    const rows = drawPanel(panel, axis);
    cut ||= rows.arrows.length > 0;
    const column = index % columns;
    const own = panelTexts(panel, points, {
      language,
      axis,
      left,
      namePx,
      height,
      names: column === 0,
      base: found.rows[0]?.base.variantLabel ?? "",
    });
    const at = {
      x: left + column * (lengthPx + gapX),
      y: topPx + Math.floor(index / columns) * (height + topPx + bottomPx),
    };
    texts.push(...inFrame(own, { xAxis: axis, yAxis: undefined, height, at }, language));
    return { ...rows, texts: own };
  });
  const [least, most] = marginEnds(found);
  return {
    status: "drawn",
    drawing: {
      template: "variant-ratios",
      values: {
        panels: drawn,
        columns,
        gapX,
        gapY: topPx + bottomPx,
        width: lengthPx,
        height,
        xDomain: axis.domain,
        xTicks: axis.ticks,
        yDomain: [points.length - 0.5, -0.5],
        band: [
          {
            low: Math.max(least, axis.domain[0]),
            high: Math.min(most, axis.domain[1]),
            top: -0.5,
            bottom: points.length - 0.5,
          },
        ],
        one: [{ x: 1 }],
      },
      frame: { width, height: lines * (height + topPx + bottomPx), left, top: topPx },
      finding: ratiosFinding(found, language),
      note: ratiosNote(found, { cut, oneProcess: compare.oneProcess === true }, language),
      description: describeRatios(found, language),
      omitted: found.leftOut,
      texts,
    },
  };
}

// What is not drawn stays in the family: a correction is over all that was tested.
function onlyPanels(family: VariantRatios, panels: readonly string[] | undefined): VariantRatios {
  return panels === undefined
    ? family
    : { ...family, metrics: family.metrics.filter((metric) => panels.includes(metric)) };
}

function panelsOf(
  { rows, metrics, comparison }: VariantRatios,
  points: readonly ChartPoint[],
  language: Language,
): readonly Panel[] {
  const texts = ratioTexts(comparison);
  return metrics.map((metric) => {
    const indexes = points.map((point) =>
      rows.findIndex((row) => row.point === point && row.cell.metric === metric),
    );
    return {
      metric,
      ratios: indexes.map((index) => rows[index]),
      values: valueColumn(
        indexes.map((index) => texts[index]),
        language,
      ),
    };
  });
}

function marginEnds({ comparison: { margin } }: VariantRatios): readonly [number, number] {
  return [1 / (1 + margin), 1 + margin];
}

// One axis for all panels: a small change must not look as large as a big one beside it.
function ratioAxis(found: VariantRatios, lengthPx: number, language: Language): Axis {
  const values = found.rows.flatMap(({ cell: { metric, ratio, low, high } }) =>
    ratio === undefined || !found.metrics.includes(metric)
      ? []
      : [{ value: ratio, low, high, perRound: [] }],
  );
  const margin = marginEnds(found).map((value) => ({
    value,
    low: undefined,
    high: undefined,
    perRound: [],
  }));
  const axis = logAxis(logExtent([...values, ...margin]), {
    lengthPx,
    startPx: 10,
    endPx: 10,
    tickGapPx: 30,
  });
  return { ...axis, ticks: fittingTicks(axis, language) };
}

function drawPanel({ ratios }: Panel, axis: Axis) {
  const dots: DotRow[] = [];
  const bars: FlatRow[] = [];
  const arrows: { x: number; y: number; shape: string }[] = [];
  const [first, last] = axis.domain;
  for (const [y, row] of ratios.entries()) {
    if (row?.cell.ratio === undefined) continue;
    const { point, cell } = row;
    const at = { x: row.cell.ratio, y };
    const color = variantColor(point.colorIndex);
    if (cell.outcome === "not_testable") {
      dots.push(dotRow(at, { shape: "circle", size: 14, color: ink2.light, hollow: false }));
      continue;
    }
    const hollow = cell.outcome === "inconclusive";
    dots.push(dotRow(at, { shape: variantShape(point.colorIndex), size: 48, color, hollow }));
    const bar = intervalOn(axis, cell);
    if (bar === undefined) continue;
    bars.push({ y, low: bar.low, high: bar.high, color });
    if (cell.low !== undefined && cell.low < first)
      arrows.push({ x: first, y, shape: "triangle-left" });
    if (cell.high !== undefined && cell.high > last)
      arrows.push({ x: last, y, shape: "triangle-right" });
  }
  return { dots, bars, arrows };
}

interface TextOptions {
  readonly language: Language;
  readonly axis: Axis;
  readonly left: number;
  readonly namePx: number;
  readonly height: number;
  readonly names: boolean;
  readonly base: string;
}

function panelTexts(
  { metric, values }: Panel,
  points: readonly ChartPoint[],
  { language, axis, left, namePx, height, names, base }: TextOptions,
): TextRow[] {
  const plain = { color: ink2.light, weight: 400 } as const;
  const title = capitalized(comparedName(metric, language));
  const texts: TextRow[] = [
    { px: 0, py: -14, text: title, align: "left", color: ink.light, weight: 600 },
  ];
  for (const [position, point] of points.entries()) {
    const py = (position + 0.5) * rowPx;
    if (names) {
      const text = rowName(point, namePx, language);
      texts.push({ px: 2 - left, py, text, align: "left", color: ink.light, weight: 400 });
    }
    const { ratio, interval } = values.texts[position] ?? { ratio: "–", interval: "" };
    const px = axis.lengthPx + gapPx + values.numberPx;
    texts.push({ px, py, text: ratio, align: "right", ...plain });
    if (interval !== "") texts.push({ px: px + 4, py, text: interval, align: "left", ...plain });
  }
  texts.push({
    px: axis.lengthPx,
    py: height + 34,
    text: axisTitle(base, axis.lengthPx + left - 8, language),
    align: "right",
    ...plain,
  });
  return texts;
}

// The name of the base gives way: the words around it must stay whole.
function axisTitle(base: string, limitPx: number, language: Language): string {
  const [before, after] =
    language === "zh" ? ["与 ", " 之比（对数轴）→"] : ["Ratio to ", " (log) →"];
  const room = limitPx - textWidth(before + after, { language });
  return before + fitText(base, room, { language }) + after;
}

/** Ratio and interval of each row, the ratios to be set flush right. */
interface ValueColumn {
  readonly texts: readonly RatioText[];
  readonly numberPx: number;
  readonly widthPx: number;
}

function valueColumn(rows: readonly (RatioText | undefined)[], language: Language): ValueColumn {
  const texts = rows.map((row) => row ?? { ratio: "–", interval: "" });
  const width = (text: string): number => textWidth(text, { language });
  const numberPx = Math.max(...texts.map(({ ratio }) => width(ratio)));
  const intervalPx = Math.max(...texts.map(({ interval }) => width(interval)));
  return { texts, numberPx, widthPx: numberPx + (intervalPx > 0 ? intervalPx + 4 : 0) };
}
