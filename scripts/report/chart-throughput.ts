// Figure 4: output throughput against achieved concurrency, with the line along which it would rise
// if every added request brought as much as the first ones did.

import type { Language } from "../experiment/experiment.ts";
import { ink2, shapeArea, variantColor, variantShape } from "./chart-colors.ts";
import {
  concurrencyAxis,
  concurrencyTitle,
  leftOut,
  loadedPoints,
  nothingToDraw,
  shifted,
} from "./chart-concurrency.ts";
import { byVariant, type ChartInput, counts } from "./chart-data.ts";
import {
  axisWidth,
  type BarRow,
  type DotRow,
  type DrawingResult,
  dashed,
  dotRow,
  dotted,
  intervalOn,
  type LabelWish,
  type LineRow,
  labelRows,
  labelScene,
  lineWidth,
  logExtent,
  singlePanel,
  solid,
  type TextRow,
} from "./chart-panel.ts";
import { type Axis, logAxis, pixelOf } from "./chart-scale.ts";
import { invalidName, percent, pointName, say, sentences, valueText } from "./chart-text.ts";
import {
  idealAt,
  type Series,
  scalingOf,
  seriesOf,
  throughput,
  throughputFinding,
  throughputNote,
} from "./chart-throughput-reading.ts";
import { textWidth } from "./text-width.ts";

const topPx = 28;
const bottomPx = 44;
const rightPx = 8;

/** Draws output throughput over load. */
export function drawThroughput(input: ChartInput): DrawingResult {
  const { language, width } = input;
  const measured = input.points.filter((point) => throughput(point) !== undefined);
  const loaded = loadedPoints(measured);
  if (loaded.length === 0) {
    const metric = say(language, "输出吞吐", "output throughput");
    return { status: "empty", reason: nothingToDraw(input.points, measured, metric, language) };
  }
  const all = byVariant(loaded.map(({ point }) => point)).map(seriesOf);
  const narrow = width < 600;
  const height = narrow ? 230 : 260;
  const values = loaded.flatMap(({ point }) => throughput(point) ?? []);
  const ideals = all.flatMap(({ ends }) =>
    ends === undefined ? [] : idealAt(ends.first, ends.last.achieved),
  );
  const yAxis = logAxis([...logExtent(values), ...ideals], {
    lengthPx: height,
    startPx: 12,
    endPx: 14,
    tickGapPx: 28,
  });
  const left = axisWidth(yAxis, language);
  const lengthPx = width - left - rightPx;
  const names = all.map((series) =>
    textWidth(endLabel(series, language), { language, weight: 600 }),
  );
  const idealPx = ideals.length === 0 ? 0 : textWidth(idealName(language), { language });
  const endPx = Math.min(Math.max(...names, idealPx) + 20, lengthPx * 0.35);
  const xAxis = concurrencyAxis(loaded, { lengthPx, startPx: 16, endPx }, language);
  const panel = drawPanel(all, { xAxis, yAxis, narrow, language });
  const plain = { color: ink2.light, weight: 400 } as const;
  const headings: TextRow[] = [
    {
      px: 2 - left,
      py: -15,
      text: say(language, "↑ 输出吞吐（token/s，对数轴）", "↑ Output throughput (token/s, log)"),
      align: "left",
      ...plain,
    },
    { px: lengthPx, py: height + 34, text: concurrencyTitle(language), align: "right", ...plain },
  ];
  return {
    status: "drawn",
    drawing: {
      template: "output-throughput",
      ...singlePanel({
        panel,
        headings,
        xAxis,
        yAxis,
        frame: { width, height: height + topPx + bottomPx, left, top: topPx },
        language,
      }),
      finding: throughputFinding(
        loaded.map(({ point }) => point),
        all,
        language,
      ),
      note: throughputNote(loaded, all, panel, language),
      description: sentences(
        loaded.map(({ point }) => {
          const value = throughput(point);
          return `${pointName(point, language)}: ${value === undefined ? "" : valueText(value)} token/s`;
        }),
        language,
      ),
      omitted: leftOut(input.points, loaded),
    },
  };
}

function idealName(language: Language): string {
  return say(language, "理想（线性）", "ideal (linear)");
}

function endLabel(series: Series, language: Language): string {
  const scaling = scalingOf(series);
  return scaling === undefined ? series.label : `${series.label} ${percent(scaling, language)}`;
}

function drawPanel(
  all: readonly Series[],
  {
    xAxis,
    yAxis,
    narrow,
    language,
  }: { xAxis: Axis; yAxis: Axis; narrow: boolean; language: Language },
) {
  const dots: DotRow[] = [];
  const bars: BarRow[] = [];
  const lines: LineRow[] = [];
  const names: LabelWish[] = [];
  const others: LabelWish[] = [];
  const pixel = (x: number, y: number) => ({
    x: pixelOf(xAxis, x),
    y: yAxis.lengthPx - pixelOf(yAxis, y),
  });
  const quiet = { color: ink2.light, weight: 400 } as const;
  let cut = false;
  let idealNamed = false;

  all.forEach((series, index) => {
    const color = variantColor(series.place);
    const shape = variantShape(series.place);
    const shiftPx = (index - (all.length - 1) / 2) * 5;
    let last: { x: number; y: number } | undefined;
    for (const { point, achieved } of series.points) {
      const value = throughput(point);
      if (value === undefined) continue;
      const at = { x: shifted(xAxis, achieved, shiftPx), y: value.value };
      dots.push(dotRow(at, { shape, size: shapeArea(shape), color, hollow: !counts(point) }));
      const interval = intervalOn(yAxis, value);
      if (interval !== undefined)
        bars.push({ x: at.x, low: interval.low, high: interval.high, color });
      cut ||= interval?.cut === true;
      if (counts(point)) {
        lines.push({ line: series.variant, ...at, color, dash: solid, width: lineWidth.measured });
        last = at;
        continue;
      }
      if (last !== undefined) {
        const line = `to ${point.name}`;
        lines.push(
          { line, ...last, color, dash: dotted, width: lineWidth.thin },
          { line, ...at, color, dash: dotted, width: lineWidth.thin },
        );
      }
      const text = narrow ? say(language, "无效", "invalid") : invalidName(point, language);
      others.push({
        text,
        anchor: pixel(at.x, at.y),
        sides: ["above", "left", "below"],
        required: false,
        ...quiet,
      });
    }
    const end = last ?? firstPlace(series, xAxis, shiftPx);
    if (end !== undefined) {
      names.push({
        text: endLabel(series, language),
        anchor: pixel(end.x, end.y),
        sides: ["right", "below", "above"],
        required: true,
        color,
        weight: 600,
      });
    }
    if (series.ends === undefined) return;
    const { first, last: top } = series.ends;
    const from = {
      x: shifted(xAxis, first.achieved, shiftPx),
      y: throughput(first.point)?.value ?? 1,
    };
    const to = { x: shifted(xAxis, top.achieved, shiftPx), y: idealAt(first, top.achieved) };
    const line = `${series.variant} ideal`;
    lines.push(
      { line, ...from, color, dash: dashed, width: lineWidth.thin },
      { line, ...to, color, dash: dashed, width: lineWidth.thin },
    );
    if (idealNamed) return;
    idealNamed = true;
    const text = idealName(language);
    others.push({
      text,
      anchor: pixel(to.x, to.y),
      sides: ["right", "left"],
      required: false,
      ...quiet,
    });
  });
  const placed = labelRows(
    [...names, ...others],
    labelScene({ x: xAxis, y: yAxis }, { dots, bars, lines }),
    language,
  );
  const unnamed = names.map(({ text }) => text).filter((text) => placed.unplaced.includes(text));
  return { dots, bars, lines, texts: placed.texts, leaders: placed.leaders, cut, unnamed };
}

// A variant with no point that counts is named at the first that it has.
function firstPlace(
  { points }: Series,
  xAxis: Axis,
  shiftPx: number,
): { x: number; y: number } | undefined {
  const first = points[0];
  const value = first === undefined ? undefined : throughput(first.point);
  return first === undefined || value === undefined
    ? undefined
    : { x: shifted(xAxis, first.achieved, shiftPx), y: value.value };
}
