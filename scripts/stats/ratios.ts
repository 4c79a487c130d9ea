// From the rounds of two sides to their ratio with an interval, and whether they are equivalent.
// Everything is done on logarithms: a ratio of 1/2 is as far from 1 as a ratio of 2.
import { mean as meanOf, sampleVariance } from "simple-statistics";
import { studentQuantile, studentTwoSided } from "./distributions.ts";
import { type GeometricInterval, type Interval, logTInterval, printedLevel } from "./intervals.ts";

/** A ratio of geometric means a/b with its interval. */
interface Ratio extends Interval {
  readonly ratio: number;
  readonly df: number;
  /** Two-sided p-value of "the ratio is 1", unadjusted. */
  readonly p: number;
}

/** Why two sides have no tested ratio. */
export type RatioResult =
  | ({ readonly kind: "ratio" } & Ratio)
  /** A side has one round: the ratio stands, its uncertainty was not measured. */
  | { readonly kind: "not_testable"; readonly ratio: number }
  /** All rounds of both sides are equal among themselves: no spread to test against. */
  | { readonly kind: "constant"; readonly ratio: number };

/**
 * Welch's t on logarithms. Where one side has more than twice the rounds of the other, the degrees
 * of freedom are those of the smaller side: Satterthwaite's are too many there.
 *
 * @param a, b one value per round, above 0, at least one each
 */
export function welchRatio(
  a: readonly number[],
  b: readonly number[],
  level = printedLevel,
): RatioResult {
  const logA = logsOf(a);
  const logB = logsOf(b);
  const difference = meanOf(logA) - meanOf(logB);
  if (a.length < 2 || b.length < 2) return { kind: "not_testable", ratio: Math.exp(difference) };
  const partA = sampleVariance(logA) / a.length;
  const partB = sampleVariance(logB) / b.length;
  const error = Math.sqrt(partA + partB);
  if (error === 0) return { kind: "constant", ratio: Math.exp(difference) };
  const fewer = Math.min(a.length, b.length);
  const lopsided = Math.max(a.length, b.length) > 2 * fewer;
  // Written with shares of the variance, so that tiny variances do not underflow.
  const shareA = partA / (partA + partB);
  const welch = 1 / (shareA ** 2 / (a.length - 1) + (1 - shareA) ** 2 / (b.length - 1));
  return testedRatio(difference, error, lopsided ? fewer - 1 : welch, level);
}

/**
 * Ratio of rounds that were interleaved: t on ln(a_i / b_i), R - 1 degrees of freedom.
 *
 * @param a, b values above 0; a[i] and b[i] are of the same round
 * @returns undefined for fewer than two pairs
 */
export function pairedRatio(
  a: readonly number[],
  b: readonly number[],
  level = printedLevel,
): GeometricInterval | undefined {
  if (a.length !== b.length) {
    throw new RangeError(`pairs need as many rounds on each side, got ${a.length} and ${b.length}`);
  }
  const quotients: number[] = [];
  for (const [i, value] of a.entries()) {
    const other = b[i];
    if (other !== undefined) quotients.push(value / other);
  }
  return logTInterval(quotients, level);
}

/**
 * Ratio of measured rounds to one archived value, whose own rounds are not known: it is taken as
 * one more draw, so the error has the factor sqrt(1 + 1/R).
 *
 * @param values one per round, above 0, at least one
 */
export function ratioToArchived(
  values: readonly number[],
  archived: number,
  level = printedLevel,
): RatioResult {
  const logs = logsOf(values);
  const [logArchived = 0] = logsOf([archived]);
  const difference = meanOf(logs) - logArchived;
  if (values.length < 2) return { kind: "not_testable", ratio: Math.exp(difference) };
  const error = Math.sqrt(sampleVariance(logs) * (1 + 1 / values.length));
  if (error === 0) return { kind: "constant", ratio: Math.exp(difference) };
  return testedRatio(difference, error, values.length - 1, level);
}

/**
 * Whether a 90 % interval of a ratio lies inside [1 / (1 + margin), 1 + margin]: two one-sided tests
 * at 5 % each (Schuirmann 1987).
 *
 * @param interval90 an interval made with level 0.90
 * @param margin 0.03 for 3 %
 */
export function isEquivalent(interval90: Interval, margin: number): boolean {
  return interval90.low >= 1 / (1 + margin) && interval90.high <= 1 + margin;
}

function testedRatio(difference: number, error: number, df: number, level: number): RatioResult {
  const reach = studentQuantile((1 + level) / 2, df) * error;
  return {
    kind: "ratio",
    ratio: Math.exp(difference),
    low: Math.exp(difference - reach),
    high: Math.exp(difference + reach),
    df,
    p: studentTwoSided(difference / error, df),
  };
}

function logsOf(values: readonly number[]): number[] {
  const wrong = values.find((value) => !(value > 0 && Number.isFinite(value)));
  if (wrong !== undefined || values.length === 0) {
    throw new RangeError(`a ratio needs values above 0, got ${wrong ?? "none"}`);
  }
  return values.map(Math.log);
}
