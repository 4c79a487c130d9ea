// From estimates to printed numbers: decimals chosen once per column from the size of the intervals,
// so that a column reads straight down and no digit is printed that the spread does not support.
import type { LocalText } from "../experiment/experiment.ts";
import { absenceText } from "../stats/absence.ts";
import type { Estimate } from "../stats/samples.ts";
import { counted, formatNumber } from "../units.ts";

/** A number as the record prints it, with where it comes from and how sure it is. */
export interface PrintedNumber {
  /** Anchor, one per point and metric: "fp32-c4-ttft". */
  readonly id: string;
  /** Metric key that made it: "ttft.mean"; "plan" and "requests" for counts. */
  readonly source: string;
  /** Digits with the decimals of its column; undefined: no value, and a remark says why. */
  readonly text: string | undefined;
  /** Half-width of an interval that is symmetric and whole: "0.4", or "<0.01" where it rounds to nothing. */
  readonly plusMinus: string | undefined;
  /** Ends of any other interval, same decimals: one that is not symmetric, or is held at 0. */
  readonly interval: { readonly low: string; readonly high: string } | undefined;
  /** Order-statistic interval of the median round, from ten rounds on; same decimals. */
  readonly medianRound?: { readonly low: string; readonly high: string };
  readonly unit: LocalText;
  /** Why there is no value or no interval, or how it was averaged. */
  readonly remarks: readonly LocalText[];
  /** Requests and rounds behind it: "60 requests, 3 rounds". */
  readonly basis: LocalText;
  /** Full precision, for sorting; undefined: no value. */
  readonly exact: number | undefined;
}

export interface NumberColumn {
  readonly key: string;
  readonly unit: LocalText;
  /** Printed value = estimate x scale: 100 for a ratio printed in per cent. */
  readonly scale: number;
  readonly decimals: number;
}

const mostDecimals = 4;

/** The interval as text, "±0.4" or "[1.2, 2.4]"; undefined: the number has none. */
export function spreadText({
  plusMinus,
  interval,
}: Pick<PrintedNumber, "plusMinus" | "interval">): string | undefined {
  if (plusMinus !== undefined) return `±${plusMinus}`;
  return interval === undefined ? undefined : `[${interval.low}, ${interval.high}]`;
}

/** Value and interval as text, "1.8 ±0.4"; undefined: there is no value. */
export function numberText(number: PrintedNumber): string | undefined {
  const spread = spreadText(number);
  return number.text === undefined || spread === undefined
    ? number.text
    : `${number.text} ${spread}`;
}

/**
 * Decimals for a column: two significant digits of the typical half-width (median over the cells), or
 * four significant digits of the typical value where no cell has an interval; 0 to 4.
 *
 * @example half-widths 0.14, 0.38, 0.04 -> 2
 */
export function decimalsOf(estimates: readonly Estimate[], scale = 1): number {
  const halfWidths: number[] = [];
  const values: number[] = [];
  for (const { low, high, value } of estimates) {
    if (low !== undefined && high !== undefined && high > low) {
      halfWidths.push(((high - low) / 2) * scale);
    }
    if (value !== undefined && value !== 0) values.push(Math.abs(value * scale));
  }
  if (halfWidths.length > 0) return clampDecimals(1 - magnitude(lowerMedian(halfWidths)));
  if (values.length === 0 || values.every(Number.isInteger)) return 0;
  return clampDecimals(3 - magnitude(lowerMedian(values)));
}

function clampDecimals(decimals: number): number {
  return Math.min(mostDecimals, Math.max(0, decimals));
}

/** Power of ten of the first digit, after rounding to two digits: 0.0998 -> -1. */
function magnitude(value: number): number {
  return Number(value.toExponential(1).split("e")[1]);
}

function lowerMedian(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? 1;
}

/**
 * Prints an estimate in its column.
 *
 * @param remarks what must be said of it besides: where its token counts come from, or why there is
 *   no estimate
 */
export function printEstimate(
  estimate: Estimate | undefined,
  point: string,
  { key, unit, scale, decimals }: NumberColumn,
  remarks: readonly LocalText[] = [],
): PrintedNumber {
  const empty = {
    id: numberId(point, key),
    source: key,
    unit,
    plusMinus: undefined,
    interval: undefined,
  };
  if (estimate === undefined) {
    return {
      ...empty,
      text: undefined,
      remarks: remarks.length > 0 ? remarks : [{ zh: "未计算", en: "not computed" }],
      basis: { zh: "", en: "" },
      exact: undefined,
    };
  }
  const print = (value: number): string => formatNumber(value * scale, decimals);
  const { value, low, high, halfWidth, medianRound } = estimate;
  const byEnds =
    value !== undefined && low !== undefined && high !== undefined && halfWidth === undefined;
  return {
    ...empty,
    text: value === undefined ? undefined : print(value),
    plusMinus: halfWidth === undefined ? undefined : printHalfWidth(halfWidth, scale, decimals),
    interval: byEnds ? { low: print(low), high: print(high) } : undefined,
    ...(medianRound === undefined
      ? {}
      : { medianRound: { low: print(medianRound.low), high: print(medianRound.high) } }),
    remarks: [...remarksOf(estimate), ...(value === undefined ? [] : remarks)],
    basis: basisOf(estimate),
    exact: value,
  };
}

/**
 * A count or a planned quantity: exact, no interval.
 *
 * @param why there is no count, where there is none
 * @param remarks what must be said of one that is there
 */
export function printCount(
  point: string,
  key: string,
  count: number | undefined,
  unit: LocalText,
  why: LocalText,
  remarks: readonly LocalText[] = [],
): PrintedNumber {
  return {
    id: numberId(point, key),
    source: key,
    text: count === undefined ? undefined : formatNumber(count, Number.isInteger(count) ? 0 : 2),
    plusMinus: undefined,
    interval: undefined,
    unit,
    remarks: count === undefined ? [why] : remarks,
    basis: { zh: "", en: "" },
    exact: count,
  };
}

/** "fp32/c4", "ttft.mean" -> "fp32-c4-ttft". The mean needs no word: it is the plain figure. */
export function numberId(point: string, key: string): string {
  return `${point}-${key.replace(/\.mean$/, "")}`.replaceAll(/[^A-Za-z0-9]+/g, "-").toLowerCase();
}

function printHalfWidth(halfWidth: number, scale: number, decimals: number): string {
  const text = formatNumber(halfWidth * scale, decimals);
  const roundsAway = halfWidth > 0 && Number(text.replaceAll(",", "")) === 0;
  return roundsAway ? `<${formatNumber(10 ** -decimals, decimals)}` : text;
}

function basisOf({ n, rounds }: Estimate): LocalText {
  const requests = formatNumber(n, 0);
  return {
    zh: `${requests} 个请求，${rounds} 轮`,
    en: `${counted(n, "request")}, ${counted(rounds, "round")}`,
  };
}

/** What must stand under the table for this number. One round says it once for the whole table. */
function remarksOf(estimate: Estimate): readonly LocalText[] {
  const { absence, geometric, rounds, method, missingRounds = [], low, high } = estimate;
  const remarks: LocalText[] = [];
  if (absence !== undefined && absence.kind !== "one_round") remarks.push(absenceText(absence));
  if (geometric) {
    remarks.push({
      zh: "几何均值：轮间波动超过 20%，区间在对数尺度上算出",
      en: "geometric mean: rounds vary by more than 20 %, interval computed on the log scale",
    });
  }
  if (estimate.unit === "ratio" && method !== "none" && (low === 0 || high === 1)) {
    remarks.push({
      zh: "区间止于占比的界限 0 或 100%",
      en: "the interval ends where a share does, at 0 or 100 %",
    });
  }
  if (rounds === 2 && method !== "none") {
    remarks.push({ zh: "只有 2 轮，区间很宽", en: "two rounds only, so the interval is wide" });
  }
  if (missingRounds.length > 0 && estimate.value !== undefined) {
    const list = missingRounds.map(({ round }) => round);
    remarks.push({
      zh: `第 ${list.join("、")} 轮没有值`,
      en: `no value in round ${list.join(", ")}`,
    });
  }
  return remarks;
}
