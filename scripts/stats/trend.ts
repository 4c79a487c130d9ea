// Whether values in order rise or fall: Kendall's test with its exact distribution, Sen's slope with
// the interval that the same test gives, and the round that does not fit the others. Nothing is removed.
import { mean as meanOf, median, sampleStandardDeviation } from "simple-statistics";
import { studentTwoSided } from "./distributions.ts";
import { type Interval, tInterval } from "./intervals.ts";

/** The level of the tests of this file. */
const trendSignificance = 0.05;
/** Exact p-values are sums of doubles: 3 x 2 / 5! is to be no more than 0.05. */
const rounding = 1e-12;

export interface Trend {
  /** Values in order. */
  readonly count: number;
  /** Kendall's rank correlation with the order, -1..1; ties count as neither. */
  readonly tau: number;
  /** Exact two-sided p of "every order of these values was equally likely". */
  readonly p: number;
  /** Change from the first to the last value along Sen's slope of the logarithms; 0.1 for +10 %. */
  readonly change: number;
  /** All changes that the test at 5 % does not reject; undefined: with so few values it rejects none. */
  readonly interval: Interval | undefined;
}

/**
 * The trend of values in order (Mann 1945, Kendall; slope: Sen 1968). No distribution is assumed, only
 * that without a trend every order is equally likely: values must not share what they were made from.
 *
 * @param values above 0, in order
 * @returns undefined for fewer than three, or one that is not above 0
 * @example [100, 101, 103, 104, 106]: all 10 pairs rise, tau 1, p = 2 / 5! = 0.0167
 */
export function trendOf(values: readonly number[]): Trend | undefined {
  if (values.length < 3 || values.some((value) => !(value > 0 && Number.isFinite(value))))
    return undefined;
  const logs = values.map(Math.log);
  const slopes = pairsOf(logs).map(([a, b, steps]) => (b - a) / steps);
  slopes.sort((a, b) => a - b);
  const score = slopes.reduce((sum, slope) => sum + Math.sign(slope), 0);
  const steps = values.length - 1;
  const asChange = (slope: number): number => Math.expm1(slope * steps);
  // Each slope passed by b lowers the score of "values less b per step" by two.
  const passed = (slopes.length - criticalScore(values.length)) / 2;
  const [low, high] = [slopes[passed], slopes[slopes.length - 1 - passed]];
  return {
    count: values.length,
    tau: score / slopes.length,
    p: scoreTail(score, tieSizes(logs)),
    change: asChange(median(slopes)),
    interval:
      low === undefined || high === undefined || passed < 0
        ? undefined
        : { low: asChange(low), high: asChange(high) },
  };
}

/** Whether a p-value, adjusted or not, is at most the level. */
export function isSignificant(p: number | undefined): boolean {
  return p !== undefined && p <= trendSignificance + rounding;
}

/** Two-sided p of a perfect order of so many different values: no smaller one can be reached. */
export function leastTrendP(count: number): number {
  return scoreTail(
    (count * (count - 1)) / 2,
    Array.from({ length: count }, () => 1),
  );
}

/**
 * Kendall's rank correlation of two series; undefined where one of them is shorter than three or
 * never changes.
 */
export function rankCorrelation(a: readonly number[], b: readonly number[]): number | undefined {
  const signs = (values: readonly number[]): readonly number[] =>
    pairsOf(values).map(([first, second]) => Math.sign(second - first));
  const [ofA, ofB] = [signs(a), signs(b)];
  const pairs = (all: readonly number[]): number => all.filter((sign) => sign !== 0).length;
  const most = Math.sqrt(pairs(ofA) * pairs(ofB));
  if (a.length < 3 || a.length !== b.length || most === 0) return undefined;
  return ofA.reduce((sum, sign, index) => sum + sign * (ofB[index] ?? 0), 0) / most;
}

/** Every pair in order: the earlier, the later, how many steps lie between. */
function pairsOf(values: readonly number[]): readonly (readonly [number, number, number])[] {
  return values.flatMap((a, i) =>
    values.slice(i + 1).map((b, j): readonly [number, number, number] => [a, b, j + 1]),
  );
}

/** How often each value occurs. */
function tieSizes(values: readonly number[]): readonly number[] {
  const sizes = new Map<number, number>();
  for (const value of values) sizes.set(value, (sizes.get(value) ?? 0) + 1);
  return [...sizes.values()];
}

/**
 * P(|S| >= |score|) over all orders of values with these ties. Of S = pairs - 2 x inversions, the
 * inversions of a multiset have the Gaussian multinomial as generating function (MacMahon).
 */
function scoreTail(score: number, ties: readonly number[]): number {
  const inversions = inversionShares(ties);
  const pairs = inversions.length - 1;
  const tail = inversions.reduce(
    (sum, share, count) => (Math.abs(pairs - 2 * count) >= Math.abs(score) ? sum + share : sum),
    0,
  );
  return Math.min(1, tail);
}

/** Probability of each number of inversions, from 0; the groups of equal values put in one by one. */
function inversionShares(ties: readonly number[]): readonly number[] {
  let shares: readonly number[] = [1];
  let placed = 0;
  for (const size of ties) {
    placed += size;
    shares = convolved(shares, gaussianShares(placed, size));
  }
  return shares;
}

/** Gaussian binomial coefficient [n over k] of q, its coefficients divided by their sum. */
function gaussianShares(n: number, k: number): readonly number[] {
  if (k === 1) return Array.from({ length: n }, () => 1 / n);
  // [m, j] = [m-1, j-1] + q^j [m-1, j]; of all choices j / m have the last one.
  let row: readonly (readonly number[])[] = [[1]];
  for (let m = 1; m <= n; m += 1) {
    const last = row;
    row = Array.from({ length: Math.min(m, k) + 1 }, (_, j) =>
      Array.from(
        { length: j * (m - j) + 1 },
        (__, power) =>
          (last[j - 1]?.[power] ?? 0) * (j / m) + (last[j]?.[power - j] ?? 0) * (1 - j / m),
      ),
    );
  }
  return row[k] ?? [1];
}

function convolved(a: readonly number[], b: readonly number[]): readonly number[] {
  const product = Array.from({ length: a.length + b.length - 1 }, () => 0);
  for (const [i, x] of a.entries()) {
    for (const [j, y] of b.entries()) product[i + j] = (product[i + j] ?? 0) + x * y;
  }
  return product;
}

/** The least score of so many different values that the test rejects; above all scores: none is. */
function criticalScore(count: number): number {
  const shares = inversionShares(Array.from({ length: count }, () => 1));
  let tail = 0;
  let score = shares.length + 1;
  for (const share of shares) {
    tail += 2 * share;
    if (tail > trendSignificance + rounding) break;
    score -= 2;
  }
  return score;
}

// Within one trial

/**
 * The change over a trial: block means of consecutive requests, and a straight line through their
 * logarithms. Requests of a trial share scheduler steps, so the blocks and not the requests are what
 * is in order; even they are not quite independent, and only the spread over trials is a proof.
 *
 * @param values one per request, above 0, in order of dispatch
 * @returns undefined for fewer than `atLeast` values a block, or one that is not above 0
 */
export function trialTrend(
  values: readonly number[],
  { blocks = 10, atLeast = 3 }: { readonly blocks?: number; readonly atLeast?: number } = {},
): Pick<Trend, "p" | "change"> | undefined {
  if (values.length < blocks * atLeast) return undefined;
  const means = Array.from({ length: blocks }, (_, block) => {
    const from = Math.floor((block * values.length) / blocks);
    const to = Math.floor(((block + 1) * values.length) / blocks);
    return meanOf(values.slice(from, to));
  });
  const trend = trendOf(means);
  return trend && { p: trend.p, change: trend.change };
}

/** A change over the window that trials have in common. */
export interface CommonTrend {
  /** Trials, or starts: what the t interval is over; 1: there was one, and p is that of its blocks. */
  readonly count: number;
  readonly change: number;
  /** undefined with one trial. */
  readonly interval: Interval | undefined;
  readonly p: number;
  /** Trials whose change has the sign of the mean. */
  readonly sameSign: number;
}

/**
 * What the trends of several trials come to: t over one value per trial, since the start is the unit.
 *
 * @returns undefined where there is none
 */
export function commonTrend(
  trends: readonly Pick<Trend, "p" | "change">[],
): CommonTrend | undefined {
  const [only, ...others] = trends;
  if (only === undefined) return undefined;
  if (others.length === 0)
    return { count: 1, change: only.change, interval: undefined, p: only.p, sameSign: 1 };
  const logs = trends.map(({ change }) => Math.log1p(change));
  const t = tInterval(logs);
  if (t === undefined) return undefined;
  const error = t.sd / Math.sqrt(logs.length);
  return {
    count: logs.length,
    change: Math.expm1(t.mean),
    interval: { low: Math.expm1(t.low), high: Math.expm1(t.high) },
    p: t.mean === 0 ? 1 : studentTwoSided(t.mean / error, logs.length - 1),
    sameSign: logs.filter((log) => Math.sign(log) === Math.sign(t.mean)).length,
  };
}

// Rounds that do not fit

export interface OutlyingRound {
  readonly round: number;
  /** Its distance from the median of the others over that median, signed. */
  readonly deviation: number;
  /** Distance from the median of the others in their scaled MADs; undefined: they do not differ. */
  readonly mads: number | undefined;
  /** p of so large a distance from the mean of the others, of one round looked at alone. */
  readonly p: number;
}

/**
 * Each round against the others: the distance in scaled MADs, which one more bad round does not
 * widen, and the p of the prediction from the others (externally studentized), which says how often
 * so few values lie that far apart by chance.
 *
 * @returns empty for fewer than five rounds
 */
export function outlyingRounds(
  perRound: readonly { readonly round: number; readonly value: number }[],
): readonly OutlyingRound[] {
  if (perRound.length < 5) return [];
  return perRound.flatMap(({ round, value }): readonly OutlyingRound[] => {
    const others = perRound.filter((one) => one.round !== round).map((one) => one.value);
    const middle = median(others);
    const sd = sampleStandardDeviation(others);
    if (middle === 0 || sd === 0) return [];
    const mad = madScale * median(others.map((other) => Math.abs(other - middle)));
    const error = sd * Math.sqrt(1 + 1 / others.length);
    return [
      {
        round,
        deviation: value / middle - 1,
        mads: mad === 0 ? undefined : Math.abs(value - middle) / mad,
        p: studentTwoSided((value - meanOf(others)) / error, others.length - 1),
      },
    ];
  });
}

/** Makes the median absolute deviation of a normal sample its standard deviation: 1 / probit(.75). */
const madScale = 1.4826022185056018;
