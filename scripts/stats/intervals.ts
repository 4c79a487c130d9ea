// From one value per round to an interval that covers. The unit of repetition is the engine start:
// requests of one run share scheduler steps, so intervals over requests cover anything from 2 % to 100 %.
import { mean as meanOf, sampleStandardDeviation } from "simple-statistics";
import { quantileRanks, studentQuantile } from "./distributions.ts";
import { type Ascending, sortAscending } from "./quantiles.ts";

/** Mean, sample standard deviation (n - 1) and the t interval around the mean. */
export interface MeanInterval {
  readonly count: number;
  readonly mean: number;
  readonly sd: number;
  /** Half the interval's width. */
  readonly half: number;
  readonly low: number;
  readonly high: number;
}

export interface Interval {
  readonly low: number;
  readonly high: number;
}

/** A geometric mean and its interval, which lies above 0. */
export interface GeometricInterval extends Interval {
  readonly count: number;
  readonly value: number;
}

/** The level of every printed interval. */
export const printedLevel = 0.95;

/**
 * The level at which an interval is computed so that it covers `printedLevel` where its own width
 * decided when the rounds ended: t(.9875) in place of t(.975).
 */
export const onDemandLevel = 0.975;

/** Above this ratio of standard deviation to mean the rounds are noisy and are treated in logs. */
const noisyCv = 0.2;

/**
 * m -+ t((1 + level) / 2, n - 1) s / sqrt n.
 *
 * @returns undefined for fewer than two values: their spread was not measured
 */
export function tInterval(
  values: readonly number[],
  level = printedLevel,
): MeanInterval | undefined {
  if (values.length < 2) return undefined;
  const mean = meanOf([...values]);
  const sd = sampleStandardDeviation([...values]);
  const half =
    (studentQuantile((1 + level) / 2, values.length - 1) * sd) / Math.sqrt(values.length);
  return { count: values.length, mean, sd, half, low: mean - half, high: mean + half };
}

/**
 * The t interval of the logarithms, taken back: for noisy values, which it keeps above 0.
 *
 * @returns undefined for fewer than two values, for a value that is not above 0, and where the
 * interval exceeds what a double can hold
 */
export function logTInterval(
  values: readonly number[],
  level = printedLevel,
): GeometricInterval | undefined {
  if (values.some((value) => value <= 0)) return undefined;
  const logs = tInterval(values.map(Math.log), level);
  if (logs === undefined) return undefined;
  const interval = {
    count: logs.count,
    value: Math.exp(logs.mean),
    low: Math.exp(logs.low),
    high: Math.exp(logs.high),
  };
  return Number.isFinite(interval.high) && interval.low > 0 ? interval : undefined;
}

/** Noisy: the t interval reaches 0, or the standard deviation exceeds 20 % of the mean. */
export function isNoisy({ mean, sd, low }: MeanInterval): boolean {
  return low <= 0 || sd > noisyCv * mean;
}

/**
 * Where one more round will fall: m -+ t s sqrt(1 + 1/n).
 *
 * @returns undefined for fewer than two values
 */
export function predictionInterval(
  values: readonly number[],
  level = printedLevel,
): Interval | undefined {
  const around = tInterval(values, level);
  if (around === undefined) return undefined;
  const t = studentQuantile((1 + level) / 2, values.length - 1);
  const half = t * around.sd * Math.sqrt(1 + 1 / values.length);
  return { low: around.mean - half, high: around.mean + half };
}

/**
 * [X(l), X(u)] of the samples by binomial ranks; no assumption but independence.
 *
 * @returns undefined where a rank leaves the sample
 */
function rankInterval(sorted: Ascending, p: number): Interval | undefined {
  const ranks = quantileRanks(sorted.length, p);
  const low = sorted[ranks.low - 1];
  const high = sorted[ranks.high - 1];
  return low === undefined || high === undefined ? undefined : { low, high };
}

/**
 * The hull of a percentile: from the lower of tLo and X(l) to the higher of tHi and X(u), with
 * [tLo, tHi] the interval of the rounds' type-7 percentiles and X the pooled, sorted samples.
 *
 * @returns undefined where the ranks leave the sample
 */
export function percentileHull(
  ofRounds: Interval,
  pooled: Ascending,
  p: number,
): Interval | undefined {
  const ranks = rankInterval(pooled, p);
  return (
    ranks && { low: Math.min(ofRounds.low, ranks.low), high: Math.max(ofRounds.high, ranks.high) }
  );
}

/**
 * The order-statistic interval of the median round: [x(l), x(u)] with n rounds and p = 0.5.
 * Printed from ten rounds on; it needs no normality.
 *
 * @returns undefined for fewer than six values
 */
export function medianRoundInterval(values: readonly number[]): Interval | undefined {
  return rankInterval(sortAscending(values), 0.5);
}

/**
 * The fewest rounds R with t((1 + level) / 2, R - 1) cv / sqrt R <= target.
 *
 * @param cv standard deviation over mean, 0..1
 * @param target half-width over mean, 0..1, above 0
 * @example neededRounds(0.02, 0.01) // 18
 */
export function neededRounds(cv: number, target: number, level = printedLevel): number {
  if (!(cv >= 0 && target > 0)) throw new RangeError(`no rounds for cv ${cv}, target ${target}`);
  const enough = (rounds: number): boolean =>
    (studentQuantile((1 + level) / 2, rounds - 1) * cv) / Math.sqrt(rounds) <= target;
  let high = 2;
  while (!enough(high)) high *= 2;
  let low = Math.max(2, high / 2);
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (enough(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The share of restarts (0..1) below which a mode of the engine could have stayed unseen: 1 - 0.05^(1/R). */
export function unseenShare(rounds: number): number {
  return 1 - 0.05 ** (1 / rounds);
}
