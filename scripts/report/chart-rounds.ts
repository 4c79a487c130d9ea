// Figure 15: each round's value of a point as its deviation from the point's mean, with the interval
// of the mean behind it; one panel per metric, one row per point.

import type { Language } from "../experiment/experiment.ts";
import { ink, ink2, variantColor, variantShape } from "./chart-colors.ts";
import { type ChartInput, type ChartPoint, type ChartValue, counts, loadOf } from "./chart-data.ts";
import {
  type DotRow,
  type Drawing,
  type DrawingResult,
  dotRow,
  fittingTicks,
  inFrame,
  type TextRow,
} from "./chart-panel.ts";
import {
  describeRounds,
  roundsFinding,
  roundsNote,
  type StripMetric,
  strip,
} from "./chart-rounds-reading.ts";
import { type Axis, linearAxis } from "./chart-scale.ts";
import { capitalized, commonDecimals, loadName, pointName, say, valueText } from "./chart-text.ts";
import { fitText, textWidth } from "./text-width.ts";

const metrics: readonly StripMetric[] = [
  { key: "output_tps", zh: "输出吞吐", en: "output throughput", unit: "token/s" },
  { key: "ttft.mean", zh: "平均 TTFT", en: "mean TTFT", unit: "ms" },
];

const rowPx = 26;
const topPx = 34;
const bottomPx = 46;
const gapPx = 12;
const rightPx = 4;

/** An interval may be this many times as long as the rounds lie apart before it is cut. */
const longest = 3;

/** A row: one point, with what each metric has of it. */
interface Row {
  readonly point: ChartPoint;
  readonly position: number;
}

/** Draws the spread between rounds. */
export function drawRoundStrip(input: ChartInput): DrawingResult {
  const { language, width } = input;
  const drawable = input.points.filter((point) =>
    metrics.some(({ key }) => strip(point, key) !== undefined),
  );
  const points = [...drawable].sort((a, b) => loadOf(a) - loadOf(b) || a.colorIndex - b.colorIndex);
  if (points.length === 0) return { status: "empty", reason: nothingToDraw(input, language) };
  const rows = points.map((point, position): Row => ({ point, position }));
  const shown = metrics.filter(({ key }) =>
    points.some((point) => strip(point, key) !== undefined),
  );
  const narrow = width < 600;
  const columns = narrow ? 1 : shown.length;
  const height = rows.length * rowPx;
  const namePx = Math.min(
    Math.max(...points.map((point) => textWidth(pointName(point, language), { language }))),
    narrow ? 112 : 170,
  );
  const columnsOfText = shown.map((metric) => valueColumn(rows, metric, language));
  const valuePx = Math.max(...columnsOfText.map(({ widthPx }) => widthPx));
  const left = Math.ceil(namePx) + gapPx;
  const valueRoom = Math.ceil(valuePx) + gapPx;
  const between = narrow ? 0 : 28;
  const stripPx = Math.floor(
    (width - left - rightPx - columns * valueRoom - (columns - 1) * between) / columns,
  );
  const gapX = valueRoom + between;
  const texts: Drawing["texts"][number][] = [];
  let cut = false;

  const panels = shown.map((metric, index) => {
    const axis = deviationAxis(rows, metric, stripPx, language);
    const panel = drawPanel(rows, metric, axis);
    cut ||= panel.arrows.length > 0;
    const column = narrow ? 0 : index;
    const own = panelTexts(rows, metric, {
      language,
      axis,
      left,
      namePx,
      height,
      names: column === 0,
      values: columnsOfText[index] ?? { texts: [], numberPx: 0, widthPx: 0 },
      title: narrow || index === shown.length - 1 || axisTitleFits(stripPx, language),
    });
    const at = {
      x: left + column * (stripPx + gapX),
      y: topPx + (narrow ? index * (height + topPx + bottomPx) : 0),
    };
    texts.push(...inFrame(own, { xAxis: axis, yAxis: undefined, height, at }, language));
    return { ...panel, texts: own, xDomain: axis.domain, xTicks: axis.ticks };
  });
  const stacked = narrow ? shown.length : 1;
  return {
    status: "drawn",
    drawing: {
      template: "round-strip",
      values: {
        panels,
        columns,
        gapX,
        gapY: topPx + bottomPx,
        width: stripPx,
        height,
        yDomain: [rows.length - 0.5, -0.5],
      },
      frame: { width, height: stacked * (height + topPx + bottomPx), left, top: topPx },
      finding: roundsFinding(points, shown, language),
      note: roundsNote(points, shown, cut, language),
      description: describeRounds(points, shown, language),
      omitted: input.points.filter((point) => !drawable.includes(point)).map(({ name }) => name),
      texts,
    },
  };
}

function nothingToDraw({ points }: ChartInput, language: Language): string {
  if (points.length === 0) return say(language, "没有测点", "no points");
  const single = points.some((point) =>
    metrics.some(({ key }) => point.metrics[key]?.perRound.length === 1),
  );
  return single
    ? say(
        language,
        "只有 1 轮，未测得轮间波动",
        "one round: spread between rounds was not measured",
      )
    : say(language, "没有测点有逐轮数值", "no point has values by round");
}

function deviation(value: ChartValue, of: number): number {
  return (of / value.value - 1) * 100;
}

// Symmetric about the mean, as wide as the rounds need; intervals count up to a limit, since that of
// two rounds is nine times their spread and would press them into one dot.
function deviationAxis(
  rows: readonly Row[],
  { key }: StripMetric,
  lengthPx: number,
  language: Language,
): Axis {
  const values = rows.flatMap(({ point }) => strip(point, key) ?? []);
  const rounds = values.flatMap((value) =>
    value.perRound.map((round) => Math.abs(deviation(value, round.value))),
  );
  const ends = values.flatMap((value) =>
    [value.low, value.high]
      .filter((end) => end !== undefined)
      .map((end) => Math.abs(deviation(value, end))),
  );
  const spread = Math.max(...rounds);
  const reach = Math.max(spread, Math.min(Math.max(0, ...ends), spread * longest), 0.1);
  const axis = linearAxis([-reach, reach], { lengthPx, startPx: 10, endPx: 10, tickGapPx: 32 });
  return { ...axis, ticks: fittingTicks(axis, language) };
}

function drawPanel(rows: readonly Row[], { key }: StripMetric, axis: Axis) {
  const dots: DotRow[] = [];
  const bands: { y: number; low: number; high: number }[] = [];
  const arrows: { x: number; y: number; shape: string }[] = [];
  const [first, last] = axis.domain;
  for (const { point, position: y } of rows) {
    const value = strip(point, key);
    if (value === undefined) continue;
    const shape = variantShape(point.colorIndex);
    for (const round of value.perRound) {
      const at = { x: deviation(value, round.value), y };
      dots.push(
        dotRow(at, {
          shape,
          size: 42,
          color: variantColor(point.colorIndex),
          hollow: !counts(point),
        }),
      );
    }
    if (value.low === undefined || value.high === undefined) continue;
    const [low, high] = [deviation(value, value.low), deviation(value, value.high)];
    bands.push({ y, low: Math.max(low, first), high: Math.min(high, last) });
    if (low < first) arrows.push({ x: first, y, shape: "triangle-left" });
    if (high > last) arrows.push({ x: last, y, shape: "triangle-right" });
  }
  return { dots, bands, arrows, zero: [{ x: 0 }] };
}

interface TextOptions {
  readonly language: Language;
  readonly axis: Axis;
  readonly left: number;
  readonly namePx: number;
  readonly height: number;
  readonly names: boolean;
  readonly values: ValueColumn;
  readonly title: boolean;
}

function panelTexts(rows: readonly Row[], metric: StripMetric, options: TextOptions): TextRow[] {
  const { language, axis, left, namePx, height, names, values, title } = options;
  const plain = { color: ink2.light, weight: 400 } as const;
  const texts: TextRow[] = [
    {
      px: 0,
      py: -14,
      text: say(
        language,
        `${metric.zh}（${metric.unit}）`,
        `${capitalized(metric.en)} (${metric.unit})`,
      ),
      align: "left",
      color: ink.light,
      weight: 600,
    },
  ];
  for (const { point, position } of rows) {
    const py = (position + 0.5) * rowPx;
    if (names) {
      const text = rowName(point, namePx, language);
      texts.push({ px: 2 - left, py, text, align: "left", color: ink.light, weight: 400 });
    }
    texts.push(...outlierLabels(strip(point, metric.key), axis, { py, language }));
    const { number, interval } = values.texts[position] ?? { number: "", interval: "" };
    const px = axis.lengthPx + gapPx + values.numberPx;
    texts.push({ px, py, text: number, align: "right", ...plain });
    if (interval !== "") texts.push({ px: px + 4, py, text: interval, align: "left", ...plain });
  }
  if (title)
    texts.push({
      px: axis.lengthPx,
      py: height + 34,
      text: axisTitle(language),
      align: "right",
      ...plain,
    });
  return texts;
}

/** A labelled round has its number on the side of the mean, where there is room: the others are there. */
function outlierLabels(
  value: ChartValue | undefined,
  { domain: [first, last], lengthPx }: Axis,
  { py, language }: { readonly py: number; readonly language: Language },
): readonly TextRow[] {
  if (value === undefined) return [];
  return value.perRound
    .filter(({ round }) => value.outlying?.includes(round) === true)
    .map(({ round, value: of }): TextRow => {
      const off = deviation(value, of);
      const x = ((off - first) / (last - first)) * lengthPx;
      const text = say(language, `第 ${round} 轮`, `round ${round}`);
      const [px, align] = off > 0 ? ([x - 8, "right"] as const) : ([x + 8, "left"] as const);
      return { px, py, text, align, color: ink.light, weight: 400 };
    });
}

// The load stays whole: without it two rows could not be told apart.
export function rowName(point: ChartPoint, limitPx: number, language: Language): string {
  const load = say(language, `，${loadName(point, language)}`, `, ${loadName(point, language)}`);
  return fitText(point.variantLabel, limitPx - textWidth(load, { language }), { language }) + load;
}

function axisTitle(language: Language): string {
  return say(language, "与均值的偏差（%）→", "Deviation from the mean (%) →");
}

function axisTitleFits(px: number, language: Language): boolean {
  return textWidth(axisTitle(language), { language }) <= px;
}

/** Mean and interval of each row, the numbers to be set flush right. */
interface ValueColumn {
  readonly texts: readonly { readonly number: string; readonly interval: string }[];
  readonly numberPx: number;
  readonly widthPx: number;
}

function valueColumn(rows: readonly Row[], { key }: StripMetric, language: Language): ValueColumn {
  const values = rows.map(({ point }) => strip(point, key));
  const decimals = commonDecimals(values.filter((value) => value !== undefined));
  const texts = values.map((value) => {
    const [number = "–", ...rest] = (value === undefined ? "–" : valueText(value, decimals)).split(
      " ",
    );
    return { number, interval: rest.join(" ") };
  });
  const width = (text: string): number => textWidth(text, { language });
  const numberPx = Math.max(...texts.map(({ number }) => width(number)));
  const intervalPx = Math.max(...texts.map(({ interval }) => width(interval)));
  return { texts, numberPx, widthPx: numberPx + (intervalPx > 0 ? intervalPx + 4 : 0) };
}
