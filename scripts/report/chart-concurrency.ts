// The axis of load: achieved concurrency, log, with the planned levels as ticks where there are
// enough of them, since those are the numbers a reader looks for.

import type { Language } from "../experiment/experiment.ts";
import type { ChartPoint, ChartValue } from "./chart-data.ts";
import { fittingTicks } from "./chart-panel.ts";
import { type Axis, type AxisRoom, logAxis, pixelOf, valueAt } from "./chart-scale.ts";
import { list, pointName, say } from "./chart-text.ts";

/** A point that has a place on the axis. */
export interface LoadedPoint {
  readonly point: ChartPoint;
  readonly achieved: number;
}

/** The points with a measured concurrency above 0; the others have no place on a log axis. */
export function loadedPoints(points: readonly ChartPoint[]): readonly LoadedPoint[] {
  return points.flatMap((point) => {
    const achieved = point.achievedConcurrency?.value;
    return achieved === undefined || !(achieved > 0) ? [] : [{ point, achieved }];
  });
}

export function concurrencyTitle(language: Language): string {
  return say(language, "实测并发（请求，对数轴）→", "Achieved concurrency (requests, log) →");
}

/** The log axis of the points given, at least one. */
export function concurrencyAxis(
  points: readonly LoadedPoint[],
  room: Omit<AxisRoom, "tickGapPx">,
  language: Language,
): Axis {
  const axis = logAxis(
    points.map(({ achieved }) => achieved),
    { ...room, tickGapPx: 36 },
  );
  const planned = points.flatMap(({ point }) => point.plannedConcurrency ?? []);
  const shown = (ticks: readonly number[]): Axis => ({
    ...axis,
    ticks: fittingTicks({ ...axis, ticks }, language),
  });
  if (planned.length === 0) return shown(axis.ticks);
  const [low, high] = axis.domain;
  const levels = [...new Set(planned)]
    .sort((a, b) => a - b)
    .filter((level) => level >= low && level <= high);
  const first = levels[0];
  if (first === undefined) return shown(axis.ticks);
  if (levels.length >= 3) return shown(levels);
  const doublings: number[] = [];
  for (let level = first; level <= high; level *= 2) doublings.push(level);
  return shown(doublings);
}

/** A value moved along the axis by some px, so that marks of one load stand side by side. */
export function shifted(axis: Axis, value: number, px: number): number {
  return valueAt(axis, pixelOf(axis, value) + px);
}

/** Names of the points that a chart over concurrency could not draw. */
export function leftOut(
  points: readonly ChartPoint[],
  drawn: readonly LoadedPoint[],
): readonly string[] {
  return points
    .filter((point) => drawn.every((loaded) => loaded.point !== point))
    .map(({ name }) => name);
}

/** Why no point has a place in a chart of a metric over concurrency. */
export function nothingToDraw(
  points: readonly ChartPoint[],
  measured: readonly ChartPoint[],
  metric: string,
  language: Language,
): string {
  if (points.length === 0) return say(language, "没有测点", "no points");
  if (measured.length === 0)
    return say(language, `没有测点测得${metric}`, `no point has a ${metric}`);
  return say(language, "没有测点测得实测并发", "no point has a measured concurrency");
}

/** Sentence of a note for hollow marks; undefined where all points count. */
export function hollowNote(points: readonly ChartPoint[], language: Language): string | undefined {
  const qualified = points.filter(({ verdict }) => verdict === "qualified");
  const parts: string[] = [];
  if (points.some(({ verdict }) => verdict === "invalid")) {
    parts.push(
      say(
        language,
        "空心点无效，不参与结论",
        "Hollow points are invalid and left out of the finding",
      ),
    );
  }
  if (qualified.length > 0) {
    const names = list(
      qualified.map((point) => pointName(point, language)),
      language,
    );
    parts.push(say(language, `有保留：${names}`, `Qualified: ${names.replaceAll(", ", " at ")}`));
  }
  return parts.length === 0 ? undefined : parts.join(say(language, "。", ". "));
}

/** Sentence of a note for what the vertical bars are. */
export function barsNote(
  values: readonly ChartValue[],
  cut: boolean,
  language: Language,
  bothWays = false,
): string {
  const zh = bothWays ? "横线与竖线" : "竖线";
  const some = values.some(({ low }) => low !== undefined);
  const all = values.every(({ low }) => low !== undefined);
  if (!some) return say(language, "没有置信区间", "There are no confidence intervals");
  const bars = say(language, `${zh}为 95% 置信区间`, "Bars: 95\u00a0% CI");
  const lacking = all
    ? ""
    : say(language, `，无${zh}的点没有区间`, "; a point without a bar has none");
  const beyond = cut
    ? say(
        language,
        `，到边缘的${zh}超出坐标范围`,
        "; a bar that ends at the edge goes on beyond it",
      )
    : "";
  return bars + lacking + beyond;
}

/** Sentence of a note for variants whose names found no room; none, where all are named. */
export function unnamedNote(names: readonly string[], language: Language): readonly string[] {
  if (names.length === 0) return [];
  const all = list(names, language);
  return [say(language, `位置不足，未标名称：${all}`, `Not named for lack of room: ${all}`)];
}
