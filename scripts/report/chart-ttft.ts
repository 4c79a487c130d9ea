// Figure 2: TTFT against achieved concurrency, one panel per variant, one line per percentile.

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
import { byVariant, type ChartInput, type ChartPoint, counts } from "./chart-data.ts";
import {
  axisValues,
  axisWidth,
  type BarRow,
  type DotRow,
  type Drawing,
  type DrawingResult,
  dashed,
  dotRow,
  inFrame,
  intervalOn,
  type LabelWish,
  type LineRow,
  labelRows,
  labelScene,
  lineWidth,
  logExtent,
  solid,
  type TextRow,
} from "./chart-panel.ts";
import { type Axis, logAxis, pixelOf } from "./chart-scale.ts";
import { invalidName, say } from "./chart-text.ts";
import {
  describeTtft,
  type Percentile,
  percentilesOf,
  ttft,
  ttftFinding,
  ttftNote,
} from "./chart-ttft-reading.ts";
import { fitText, textWidth } from "./text-width.ts";

const dashes: Readonly<Record<Percentile, readonly number[]>> = {
  p50: solid,
  p90: dashed,
  p95: [6, 3, 1.5, 3],
  p99: [1.5, 3],
};

const topPx = 46;
const bottomPx = 44;
const rightPx = 6;

/** Draws TTFT percentiles over load. */
export function drawTtft(input: ChartInput): DrawingResult {
  const { language, width } = input;
  const percentiles = percentilesOf(input.points);
  const drawable = input.points.filter((point) =>
    percentiles.some((p) => ttft(point, p) !== undefined),
  );
  const loaded = loadedPoints(drawable);
  if (loaded.length === 0)
    return { status: "empty", reason: nothingToDraw(input.points, drawable, "TTFT", language) };

  const groups = byVariant(loaded.map(({ point }) => point));
  const narrow = width < 600;
  const columns = Math.min(groups.length, narrow || groups.length === 4 ? 2 : 3);
  const height = narrow ? 190 : 220;
  const values = loaded.flatMap(({ point }) => percentiles.flatMap((p) => ttft(point, p) ?? []));
  const yAxis = logAxis(logExtent(values), {
    lengthPx: height,
    startPx: 10,
    endPx: 10,
    tickGapPx: 26,
  });
  const left = axisWidth(yAxis, language);
  const gap = narrow ? 16 : 36;
  const panelWidth = Math.floor((width - left - rightPx - gap * (columns - 1)) / columns);
  const labelPx = Math.max(...percentiles.map((p) => textWidth(p, { language })));
  const xAxis = concurrencyAxis(
    loaded,
    { lengthPx: panelWidth, startPx: 14, endPx: labelPx + 18 },
    language,
  );

  let cut = false;
  const texts: Drawing["texts"][number][] = [];
  const panels = groups.map((points, index) => {
    const column = index % columns;
    const lastInRow = column === columns - 1 || index === groups.length - 1;
    const panel = drawPanel(points, { percentiles, xAxis, yAxis, narrow, language });
    cut ||= panel.cut;
    const headings = panelHeadings(points, {
      language,
      left,
      lastInRow,
      first: column === 0,
      xAxis,
      height,
    });
    const own = [...headings, ...panel.texts];
    const offset = {
      x: left + column * (panelWidth + gap),
      y: topPx + Math.floor(index / columns) * (height + topPx + bottomPx),
    };
    const yTicks = column === 0 ? yAxis : undefined;
    texts.push(...inFrame(own, { xAxis, yAxis: yTicks, height, at: offset }, language));
    return { ...panel, texts: own, yLabels: column === 0 };
  });

  const rows = Math.ceil(groups.length / columns);
  return {
    status: "drawn",
    drawing: {
      template: "ttft-by-concurrency",
      values: {
        panels,
        columns,
        gapX: gap,
        gapY: topPx + bottomPx,
        width: panelWidth,
        height,
        ...axisValues(xAxis, yAxis),
      },
      frame: { width, height: rows * (height + topPx + bottomPx), left, top: topPx },
      finding: ttftFinding(
        loaded.map(({ point }) => point),
        percentiles,
        language,
      ),
      note: ttftNote(
        loaded.map(({ point }) => point),
        percentiles,
        cut,
        language,
      ),
      description: describeTtft(groups, percentiles, language),
      omitted: leftOut(input.points, loaded),
      texts,
    },
  };
}

interface PanelOptions {
  readonly percentiles: readonly Percentile[];
  readonly xAxis: Axis;
  readonly yAxis: Axis;
  readonly narrow: boolean;
  readonly language: Language;
}

function drawPanel(points: readonly ChartPoint[], options: PanelOptions) {
  const { percentiles, xAxis, yAxis, narrow, language } = options;
  const place = points[0]?.colorIndex ?? 0;
  const color = variantColor(place);
  const shape = variantShape(place);
  const dots: DotRow[] = [];
  const bars: BarRow[] = [];
  const lines: LineRow[] = [];
  const wishes: LabelWish[] = [];
  let cut = false;

  percentiles.forEach((percentile, index) => {
    const shiftPx = (index - (percentiles.length - 1) / 2) * 6;
    let last: { x: number; y: number } | undefined;
    for (const { point, achieved } of loadedPoints(points)) {
      const value = ttft(point, percentile);
      if (value === undefined) continue;
      const x = shifted(xAxis, achieved, shiftPx);
      const at = { x, y: value.value };
      const size = percentile === "p50" ? shapeArea(shape) : shapeArea(shape) * 0.6;
      dots.push(dotRow(at, { shape, size, color, hollow: !counts(point) }));
      const interval = intervalOn(yAxis, value);
      if (interval !== undefined) bars.push({ x, low: interval.low, high: interval.high, color });
      cut ||= interval?.cut === true;
      if (!counts(point)) continue;
      lines.push({
        line: percentile,
        ...at,
        color,
        dash: dashes[percentile],
        width: lineWidth.measured,
      });
      last = at;
    }
    if (last !== undefined) {
      const anchor = { x: pixelOf(xAxis, last.x), y: yAxis.lengthPx - pixelOf(yAxis, last.y) };
      wishes.push({
        text: percentile,
        anchor,
        sides: ["right", "above", "below"],
        required: true,
        color: ink2.light,
        weight: 400,
      });
    }
  });
  for (const { point, achieved } of loadedPoints(points)) {
    if (counts(point)) continue;
    const named = percentiles.map((p) => ttft(point, p)).find((value) => value !== undefined);
    if (named === undefined) continue;
    const anchor = { x: pixelOf(xAxis, achieved), y: yAxis.lengthPx - pixelOf(yAxis, named.value) };
    const text = narrow ? say(language, "无效", "invalid") : invalidName(point, language);
    wishes.push({
      text,
      anchor,
      sides: ["above", "left", "below"],
      required: false,
      color: ink2.light,
      weight: 400,
    });
  }
  const placed = labelRows(
    wishes,
    labelScene({ x: xAxis, y: yAxis }, { dots, bars, lines }),
    language,
  );
  return { dots, bars, lines, texts: placed.texts, leaders: placed.leaders, cut };
}

interface HeadingOptions {
  readonly language: Language;
  readonly left: number;
  readonly first: boolean;
  readonly lastInRow: boolean;
  readonly xAxis: Axis;
  readonly height: number;
}

function panelHeadings(points: readonly ChartPoint[], options: HeadingOptions): TextRow[] {
  const { language, left, first, lastInRow, xAxis, height } = options;
  const place = points[0]?.colorIndex ?? 0;
  const plain = { color: ink2.light, weight: 400 } as const;
  const x = first ? 2 - left : 0;
  const rows: TextRow[] = [
    {
      px: x,
      py: -34,
      text: fitText(points[0]?.variantLabel ?? "", xAxis.lengthPx, { language, weight: 600 }),
      align: "left",
      color: variantColor(place),
      weight: 600,
    },
  ];
  if (first) {
    rows.push({
      px: x,
      py: -15,
      text: say(language, "↑ TTFT（ms，对数轴）", "↑ TTFT (ms, log)"),
      align: "left",
      ...plain,
    });
  }
  const title = concurrencyTitle(language);
  const py = height + 34;
  if (textWidth(title, { language }) <= xAxis.lengthPx || (lastInRow && !first)) {
    rows.push({ px: xAxis.lengthPx, py, text: title, align: "right", ...plain });
  } else if (lastInRow) {
    // A narrow panel alone in its row: to the right of it all is free.
    rows.push({ px: x, py, text: title, align: "left", ...plain });
  }
  return rows;
}
