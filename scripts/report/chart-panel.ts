// What the panels of several charts have in common: rows of data for dots, intervals, lines and
// text, and how panels are laid out in a given width. Positions of text are px from the panel's
// upper left corner, all else is in the values of the axes.

import type { Language } from "../experiment/experiment.ts";
import { ink2, paper } from "./chart-colors.ts";
import { type ChartValue } from "./chart-data.ts";
import {
  type Box,
  type Label,
  type LabelScene,
  labelHeightPx,
  placeLabels,
  type Segment,
} from "./chart-labels.ts";
import { type Axis, pixelOf, tickText } from "./chart-scale.ts";
import type { Frame } from "./chart-svg.ts";
import type { TemplateValues } from "./chart-template.ts";
import { textWidth } from "./text-width.ts";

/** A chart ready to be rendered: its template, what to fill in, and what it says. */
export interface Drawing {
  /** File in templates/charts/, without .json. */
  readonly template: string;
  readonly values: TemplateValues;
  readonly frame: Frame;
  /** One line: what the numbers show. */
  readonly finding: string;
  /** What is drawn and how to read it; without n, rounds and interval method, which the caption adds. */
  readonly note: string;
  /** The numbers in words, for who cannot see the chart. */
  readonly description: string;
  /** Points that could not be drawn, by name. */
  readonly omitted: readonly string[];
  /** Every piece of text with its box in the frame; tests hold that none meets another. */
  readonly texts: readonly { readonly text: string; readonly box: Box }[];
}

/** A chart, or why there is none to draw, in the chart's language. */
export type DrawingResult =
  | { readonly status: "drawn"; readonly drawing: Drawing }
  | { readonly status: "empty"; readonly reason: string };

export interface DotRow {
  readonly x: number;
  readonly y: number;
  readonly shape: string;
  readonly size: number;
  readonly fill: string;
  readonly stroke: string;
}

export interface BarRow {
  readonly x: number;
  readonly low: number;
  readonly high: number;
  readonly color: string;
}

/** A horizontal interval. */
export interface FlatRow {
  readonly y: number;
  readonly low: number;
  readonly high: number;
  readonly color: string;
}

export interface LineRow {
  readonly line: string;
  readonly x: number;
  readonly y: number;
  readonly color: string;
  readonly dash: readonly number[];
  readonly width: number;
  /** Order along the line; by x unless given. */
  readonly order?: number;
}

export interface TextRow {
  readonly px: number;
  /** Middle of the line. */
  readonly py: number;
  readonly text: string;
  readonly align: "left" | "right" | "center";
  readonly color: string;
  readonly weight: 400 | 600;
}

export interface LeaderRow {
  readonly x1: number;
  readonly y1: number;
  readonly x2: number;
  readonly y2: number;
}

/** Width of a measured line; a thin one is a reference or leads to an invalid point. */
export const lineWidth = { measured: 1.75, thin: 1.25 } as const;

export const solid: readonly number[] = [];
export const dashed: readonly number[] = [6, 4];
/** Towards an invalid point. */
export const dotted: readonly number[] = [1.5, 4];

/** A mark: filled, or hollow where the point is invalid. */
export function dotRow(
  place: { readonly x: number; readonly y: number },
  look: {
    readonly shape: string;
    readonly size: number;
    readonly color: string;
    readonly hollow: boolean;
  },
): DotRow {
  const { shape, size, color, hollow } = look;
  return { ...place, shape, size, fill: hollow ? paper.light : color, stroke: color };
}

/** How far, as a ratio, an interval may stretch a log axis beyond the values themselves. */
const stretch = 3;

/**
 * What a log axis must reach: the values, and their intervals as far as that leaves the values
 * readable. With two rounds an interval can be twenty times as long as everything else.
 */
export function logExtent(values: readonly ChartValue[]): number[] {
  const inner = values.map(({ value }) => value);
  const floor = Math.min(...inner) / stretch;
  const ceiling = Math.max(...inner) * stretch;
  const ends = values.flatMap(({ low, high }) => [low, high]).filter((end) => end !== undefined);
  return [...inner, ...ends.map((end) => Math.min(Math.max(end, floor), ceiling))];
}

/** The same for a linear axis: intervals count up to once the spread of the values to each side. */
export function linearExtent(values: readonly ChartValue[]): number[] {
  const inner = values.map(({ value }) => value);
  const [least, most] = [Math.min(...inner), Math.max(...inner)];
  const reach = Math.max(most - least, most * 0.1);
  const ends = values.flatMap(({ low, high }) => [low, high]).filter((end) => end !== undefined);
  return [...inner, ...ends.map((end) => Math.min(Math.max(end, least - reach), most + reach))];
}

/** The interval as far as the axis reaches; undefined where there is none. `cut`: it goes on beyond. */
export function intervalOn(
  axis: Axis,
  { low, high }: Pick<ChartValue, "low" | "high">,
): { readonly low: number; readonly high: number; readonly cut: boolean } | undefined {
  if (low === undefined || high === undefined) return undefined;
  const [first, last] = axis.domain;
  return { low: Math.max(low, first), high: Math.min(high, last), cut: low < first || high > last };
}

/** Px needed left of the panels for the labels of the vertical axis. */
export function axisWidth(axis: Axis, language: Language): number {
  return (
    Math.ceil(Math.max(...axis.ticks.map((tick) => textWidth(tickText(tick), { language })))) + 10
  );
}

/**
 * Ticks of a horizontal axis whose labels have room: from the left, each that keeps 10 px from the
 * one before and does not hang over the end.
 */
export function fittingTicks(axis: Axis, language: Language): readonly number[] {
  const kept: number[] = [];
  let free = Number.NEGATIVE_INFINITY;
  for (const tick of axis.ticks) {
    const half = textWidth(tickText(tick), { language }) / 2;
    const px = pixelOf(axis, tick);
    if (px - half < free || px + half > axis.lengthPx + 6) continue;
    kept.push(tick);
    free = px + half + 10;
  }
  return kept;
}

/** A text's box in the panel it belongs to. */
function textBox({ px, py, text, align, weight }: TextRow, language: Language): Box {
  const width = textWidth(text, { language, weight });
  const x = align === "left" ? px : align === "right" ? px - width : px - width / 2;
  return { x, y: py - labelHeightPx / 2, width, height: labelHeightPx };
}

/** Boxes of the tick labels of a panel, as Vega sets them. */
function tickBoxes(
  xAxis: Axis,
  yAxis: Axis | undefined,
  height: number,
  language: Language,
): { readonly text: string; readonly box: Box }[] {
  const below = xAxis.ticks.map((tick): TextRow => {
    const px = pixelOf(xAxis, tick);
    return {
      px,
      py: height + 15,
      text: tickText(tick),
      align: "center",
      color: ink2.light,
      weight: 400,
    };
  });
  const beside = (yAxis?.ticks ?? []).map((tick): TextRow => {
    const py = height - pixelOf(yAxis ?? xAxis, tick);
    return { px: -5, py, text: tickText(tick), align: "right", color: ink2.light, weight: 400 };
  });
  return [...below, ...beside].map((row) => ({ text: row.text, box: textBox(row, language) }));
}

export interface LabelWish extends Omit<Label, "widthPx"> {
  readonly color: string;
  readonly weight: 400 | 600;
}

/** Places labels and turns them into rows of text and of leaders; what found no place is left out. */
export function labelRows(
  wishes: readonly LabelWish[],
  scene: LabelScene,
  language: Language,
): { readonly texts: TextRow[]; readonly leaders: LeaderRow[]; readonly unplaced: string[] } {
  const labels = wishes.map(
    (wish): Label => ({
      ...wish,
      widthPx: textWidth(wish.text, { language, weight: wish.weight }),
    }),
  );
  const texts: TextRow[] = [];
  const leaders: LeaderRow[] = [];
  const unplaced: string[] = [];
  placeLabels(labels, scene).forEach((placed, index) => {
    const wish = wishes[index];
    if (wish === undefined) return;
    if (placed === undefined) {
      unplaced.push(wish.text);
      return;
    }
    const { box, align, leader } = placed;
    const px =
      align === "left" ? box.x : align === "right" ? box.x + box.width : box.x + box.width / 2;
    const { text, color, weight } = wish;
    texts.push({ px, py: box.y + box.height / 2, text, align, color, weight });
    if (leader !== undefined) {
      leaders.push({ x1: leader.from.x, y1: leader.from.y, x2: leader.to.x, y2: leader.to.y });
    }
  });
  return { texts, leaders, unplaced };
}

/** Dots, intervals and lines of a panel as obstacles for its labels. */
export function labelScene(
  axes: { readonly x: Axis; readonly y: Axis },
  rows: {
    readonly dots: readonly DotRow[];
    readonly bars: readonly BarRow[];
    readonly flats?: readonly FlatRow[];
    readonly lines: readonly LineRow[];
  },
): LabelScene {
  const { x, y } = axes;
  const place = (at: { readonly x: number; readonly y: number }): { x: number; y: number } => ({
    x: pixelOf(x, at.x),
    y: y.lengthPx - pixelOf(y, at.y),
  });
  const dots = rows.dots.map((dot): Box => {
    const { x: cx, y: cy } = place(dot);
    return { x: cx - 5, y: cy - 5, width: 10, height: 10 };
  });
  const bars = rows.bars.map((bar): Box => {
    const top = place({ x: bar.x, y: bar.high });
    const bottom = place({ x: bar.x, y: bar.low });
    return { x: top.x - 2, y: top.y, width: 4, height: bottom.y - top.y };
  });
  const flats = (rows.flats ?? []).map((flat): Box => {
    const left = place({ x: flat.low, y: flat.y });
    const right = place({ x: flat.high, y: flat.y });
    return { x: left.x, y: left.y - 2, width: right.x - left.x, height: 4 };
  });
  return {
    bounds: { x: 0, y: -4, width: x.lengthPx, height: y.lengthPx + 2 },
    marks: [...dots, ...bars, ...flats],
    lines: segmentsOf(rows.lines).map(
      ([from, to]) => ({ from: place(from), to: place(to) }) satisfies Segment,
    ),
  };
}

function segmentsOf(rows: readonly LineRow[]): [LineRow, LineRow][] {
  const lines = new Map<string, LineRow[]>();
  for (const row of rows) lines.set(row.line, [...(lines.get(row.line) ?? []), row]);
  return [...lines.values()].flatMap((line) => {
    const ordered = [...line].sort((a, b) => (a.order ?? a.x) - (b.order ?? b.x));
    return ordered.slice(1).map((to, index): [LineRow, LineRow] => [ordered[index] ?? to, to]);
  });
}

/** Rows of one panel, as drawn. */
export interface PanelRows {
  readonly dots: readonly DotRow[];
  readonly bars: readonly BarRow[];
  readonly lines: readonly LineRow[];
  readonly texts: readonly TextRow[];
  readonly leaders: readonly LeaderRow[];
}

/** A chart of one panel: values of its template, frame and all text with its place. */
export function singlePanel(options: {
  readonly panel: PanelRows;
  /** Titles of axes. */
  readonly headings: readonly TextRow[];
  readonly xAxis: Axis;
  readonly yAxis: Axis;
  readonly frame: Frame;
  readonly language: Language;
}): Pick<Drawing, "values" | "frame" | "texts"> {
  const { panel, headings, xAxis, yAxis, frame, language } = options;
  const texts = [...headings, ...panel.texts];
  return {
    values: {
      panels: [{ ...panel, texts, yLabels: true }],
      columns: 1,
      gapX: 0,
      gapY: 0,
      width: xAxis.lengthPx,
      height: yAxis.lengthPx,
      ...axisValues(xAxis, yAxis),
    },
    frame,
    texts: inFrame(
      texts,
      { xAxis, yAxis, height: yAxis.lengthPx, at: { x: frame.left, y: frame.top } },
      language,
    ),
  };
}

/** What the templates call domain, ticks and type of the two axes. */
export function axisValues(xAxis: Axis, yAxis: Axis): TemplateValues {
  return {
    xType: xAxis.type,
    xDomain: xAxis.domain,
    xTicks: xAxis.ticks,
    yType: yAxis.type,
    yDomain: yAxis.domain,
    yTicks: yAxis.ticks,
  };
}

/** Texts and tick labels of a panel with their boxes in the frame. */
export function inFrame(
  rows: readonly TextRow[],
  panel: {
    readonly xAxis: Axis;
    readonly yAxis: Axis | undefined;
    readonly height: number;
    readonly at: { readonly x: number; readonly y: number };
  },
  language: Language,
): Drawing["texts"] {
  const boxes = [
    ...rows.map((row) => ({ text: row.text, box: textBox(row, language) })),
    ...tickBoxes(panel.xAxis, panel.yAxis, panel.height, language),
  ];
  return boxes.map(({ text, box }) => ({
    text,
    box: { ...box, x: box.x + panel.at.x, y: box.y + panel.at.y },
  }));
}
