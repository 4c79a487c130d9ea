// From the values on an axis to its domain, its ticks and pixel positions. Computed here and handed
// to Vega complete, because labels are placed in pixels before Vega has seen the chart.

import { formatNumber } from "../units.ts";

export interface Axis {
  readonly type: "log" | "linear";
  /** Ends of the scale, low first. */
  readonly domain: readonly [number, number];
  /** Ascending, inside the domain. */
  readonly ticks: readonly number[];
  readonly lengthPx: number;
}

export interface AxisRoom {
  readonly lengthPx: number;
  /** Free px between the ends of the axis and the outermost values. */
  readonly startPx: number;
  readonly endPx: number;
  /** Least px from tick to tick. */
  readonly tickGapPx: number;
}

/** A smaller ratio of largest to smallest value is not spread over the whole axis: it would look large. */
const leastRatio = 1.6;

/** A log axis around values above 0, at least one. */
export function logAxis(values: readonly number[], room: AxisRoom): Axis {
  let low = Math.min(...values);
  let high = Math.max(...values);
  if (high / low < leastRatio) {
    const middle = Math.sqrt(low * high);
    low = middle / Math.sqrt(leastRatio);
    high = middle * Math.sqrt(leastRatio);
  }
  const perPx = Math.log(high / low) / (room.lengthPx - room.startPx - room.endPx);
  const domain = [
    low * Math.exp(-perPx * room.startPx),
    high * Math.exp(perPx * room.endPx),
  ] as const;
  return { type: "log", domain, ticks: logTicks(domain, room), lengthPx: room.lengthPx };
}

/** A linear axis around any values, at least one; it need not begin at 0. */
export function linearAxis(values: readonly number[], room: AxisRoom): Axis {
  let low = Math.min(...values);
  let high = Math.max(...values);
  const least = Math.max(Math.abs(low), Math.abs(high)) * 0.2 || 1;
  if (high - low < least) {
    const middle = (low + high) / 2;
    low = middle - least / 2;
    high = middle + least / 2;
  }
  const perPx = (high - low) / (room.lengthPx - room.startPx - room.endPx);
  // What is never negative gets no axis below 0.
  const start = low - perPx * room.startPx;
  const domain = [low >= 0 ? Math.max(0, start) : start, high + perPx * room.endPx] as const;
  return { type: "linear", domain, ticks: linearTicks(domain, room), lengthPx: room.lengthPx };
}

/** Px of a value from the low end of its axis. */
export function pixelOf(axis: Axis, value: number): number {
  const [low, high] = axis.domain;
  const share =
    axis.type === "log"
      ? Math.log(value / low) / Math.log(high / low)
      : (value - low) / (high - low);
  return share * axis.lengthPx;
}

/** The value at a distance in px from the low end. */
export function valueAt(axis: Axis, px: number): number {
  const [low, high] = axis.domain;
  const share = px / axis.lengthPx;
  return axis.type === "log" ? low * (high / low) ** share : low + (high - low) * share;
}

/** A tick as Vega prints it with the format ",~f". */
export function tickText(tick: number): string {
  const text = formatNumber(tick, 6);
  return text.replace(/\.?0+$/, "");
}

function logTicks(domain: readonly [number, number], room: AxisRoom): readonly number[] {
  const [low, high] = domain;
  const decades = range(Math.floor(Math.log10(low)), Math.ceil(Math.log10(high)));
  for (const steps of [[1, 2, 5], [1, 3], [1]]) {
    const ticks = decades
      .flatMap((decade) => steps.map((step) => round(step * 10 ** decade)))
      .filter((tick) => tick >= low && tick <= high);
    if (ticks.length >= 3 && apart(ticks, domain, room)) return ticks;
  }
  for (const every of [2, 3, 4]) {
    const ticks = decades
      .filter((decade) => decade % every === 0)
      .map((decade) => round(10 ** decade));
    const inside = ticks.filter((tick) => tick >= low && tick <= high);
    if (inside.length >= 3) return inside;
  }
  return linearTicks(domain, { ...room, tickGapPx: room.tickGapPx * 1.3 });
}

function apart(
  ticks: readonly number[],
  [low, high]: readonly [number, number],
  room: AxisRoom,
): boolean {
  const perRatio = room.lengthPx / Math.log(high / low);
  return ticks.every((tick, index) => {
    const before = ticks[index - 1];
    return before === undefined || Math.log(tick / before) * perRatio >= room.tickGapPx;
  });
}

function linearTicks([low, high]: readonly [number, number], room: AxisRoom): readonly number[] {
  const most = Math.max(1, Math.floor(room.lengthPx / room.tickGapPx));
  const rough = (high - low) / most;
  const decade = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((factor) => factor * decade >= rough) ?? 10) * decade;
  return range(Math.ceil(low / step), Math.floor(high / step)).map((count) => round(count * step));
}

function range(first: number, last: number): readonly number[] {
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => first + index);
}

// 3 * 0.1 is 0.30000000000000004; no tick needs more than twelve digits.
function round(value: number): number {
  return Number(value.toPrecision(12));
}
