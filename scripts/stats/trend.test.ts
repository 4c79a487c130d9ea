import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  commonTrend,
  isSignificant,
  leastTrendP,
  outlyingRounds,
  rankCorrelation,
  trendOf,
  trialTrend,
} from "./trend.ts";

/** Kendall's score: rising pairs less falling ones. */
function scoreOf(values: readonly number[]): number {
  return values
    .flatMap((a, i) => values.slice(i + 1).map((b) => Math.sign(b - a)))
    .reduce((sum, sign) => sum + sign, 0);
}

/** Every order of the values, equal ones told apart. */
function ordersOf(values: readonly number[]): readonly (readonly number[])[] {
  if (values.length < 2) return [values];
  return values.flatMap((first, at) =>
    ordersOf(values.filter((_, index) => index !== at)).map((rest) => [first, ...rest]),
  );
}

describe("trendOf", () => {
  it("finds a perfect order of five: two of 120 orders are as extreme", () => {
    const trend = trendOf([100, 101, 103, 104, 106]);
    expect(trend?.tau).toBe(1);
    expect(trend?.p).toBeCloseTo(2 / 120, 12);
  });

  it("counts the orders: of 24 orders of four, one has S = 6, three have S = 4", () => {
    // 1 2 4 3: S = 5 - 1 = 4. |S| >= 4: 2 x (1 + 3) = 8 of 24.
    expect(trendOf([1, 2, 4, 3])?.p).toBeCloseTo(8 / 24, 12);
    expect(leastTrendP(4)).toBeCloseTo(2 / 24, 12);
  });

  it("agrees with the enumeration of all orders, with and without ties", () => {
    for (const values of [
      [3, 1, 4, 2, 5],
      [1, 1, 2, 3, 3, 3],
      [2, 1, 2, 4, 4],
      [5, 4, 4, 4, 1, 2],
    ]) {
      const own = Math.abs(scoreOf(values));
      const orders = ordersOf(values);
      const extreme = orders.filter((order) => Math.abs(scoreOf(order)) >= own).length;
      expect(trendOf(values)?.p).toBeCloseTo(extreme / orders.length, 12);
    }
  });

  it("gives the slope as the change over all values, with the interval of the same test", () => {
    // Logarithms 0, 1, 2, 3, 5 in units of 1 %: slopes, median and ends by hand:
    // pairs (1,0) 1, (2,0) 1, (3,0) 1, (5,0) 5/4, (2,1) 1, (3,1) 1, (5,1) 4/3, (3,2) 1, (5,2) 3/2, (5,3) 2.
    // Sorted: 1 x 6, 5/4, 4/3, 3/2, 2: median 1, and of five values only all ten slopes are not rejected.
    const trend = trendOf([0, 1, 2, 3, 5].map((log) => Math.exp(log / 100)));
    expect(trend?.change).toBeCloseTo(Math.expm1(0.04), 12);
    expect(trend?.interval?.low).toBeCloseTo(Math.expm1(0.04), 12);
    expect(trend?.interval?.high).toBeCloseTo(Math.expm1(0.08), 12);
  });

  it("has no interval with four values, and no trend with two or one that is not above 0", () => {
    expect(trendOf([1, 2, 3, 4])?.interval).toBeUndefined();
    expect(trendOf([1, 2])).toBeUndefined();
    expect(trendOf([1, 0, 3])).toBeUndefined();
  });

  it("says nothing of values that are all the same", () => {
    expect(trendOf([7, 7, 7, 7, 7])).toMatchObject({ tau: 0, p: 1, change: 0 });
  });

  it("does not depend on the unit, and turns with the order", () => {
    const value = fc.integer({ min: 1, max: 40 });
    fc.assert(
      fc.property(fc.array(value, { minLength: 3, maxLength: 12 }), (values) => {
        const trend = trendOf(values);
        const back = trendOf(values.toReversed());
        expect(trend?.p).toBeGreaterThan(0);
        expect(trend?.p).toBeLessThanOrEqual(1);
        expect(back?.p).toBeCloseTo(trend?.p ?? 2, 9);
        expect(back?.tau).toBeCloseTo(-(trend?.tau ?? 2), 9);
        const scaled = trendOf(values.map((one) => one * 8));
        expect(scaled?.p).toBeCloseTo(trend?.p ?? 2, 9);
        expect(scaled?.change).toBeCloseTo(trend?.change ?? 99, 6);
      }),
      { numRuns: 50, seed: 1 },
    );
  });

  it("holds its level on noise: at most 5 % of all orders of six are called a trend", () => {
    const orders = ordersOf([1, 2, 3, 4, 5, 6]);
    const called = orders.filter((order) => isSignificant(trendOf(order)?.p)).length;
    // |S| >= 11: P = 2 x (1 + 5 + 14) / 720 = 0.0556 is too much, |S| >= 13 is 2 x 6 / 720.
    expect(called / orders.length).toBeCloseTo(12 / 720, 12);
  });
});

describe("rankCorrelation", () => {
  it("is 1 for the same order, -1 for the opposite one, tau-b with ties", () => {
    expect(rankCorrelation([1, 2, 3], [10, 20, 30])).toBe(1);
    expect(rankCorrelation([1, 2, 3], [3, 2, 1])).toBe(-1);
    // Of three pairs one is tied in b: 2 / sqrt(3 x 2).
    expect(rankCorrelation([1, 2, 3], [1, 1, 2])).toBeCloseTo(2 / Math.sqrt(6), 12);
    expect(rankCorrelation([1, 2, 3], [5, 5, 5])).toBeUndefined();
    expect(rankCorrelation([1, 2, 3], [1, 2])).toBeUndefined();
  });
});

describe("trialTrend and commonTrend", () => {
  it("follows the block means over the window", () => {
    // Ten blocks of three, each 1 % above the one before: 1.01^9 - 1 from the first to the last.
    const values = Array.from({ length: 30 }, (_, index) => 1.01 ** Math.floor(index / 3));
    expect(trialTrend(values)?.change).toBeCloseTo(1.01 ** 9 - 1, 9);
    // 2 / 10!
    expect(trialTrend(values)?.p).toBeCloseTo(2 / 3_628_800, 12);
    expect(trialTrend(values.slice(1))).toBeUndefined();
  });

  it("takes one value per trial and says how many agree", () => {
    // Logarithms .10 .12 .08: mean .1, sd .02, t = .1 / .02 x sqrt 3 = 8.66, 2 df: p = 0.01307.
    const trends = [0.1, 0.12, 0.08].map((log) => ({ change: Math.expm1(log), p: 0.5 }));
    const common = commonTrend(trends);
    expect(common).toMatchObject({ count: 3, sameSign: 3 });
    expect(common?.change).toBeCloseTo(Math.expm1(0.1), 12);
    expect(common?.p).toBeCloseTo(0.01307, 5);
  });

  it("takes the blocks' word where there is one trial", () => {
    expect(commonTrend([{ change: 0.2, p: 0.01 }])).toEqual({
      count: 1,
      change: 0.2,
      interval: undefined,
      p: 0.01,
      sameSign: 1,
    });
    expect(commonTrend([])).toBeUndefined();
  });
});

describe("outlyingRounds", () => {
  const rounds = (values: readonly number[]) =>
    values.map((value, index) => ({ round: index + 1, value }));

  it("measures each round against the others", () => {
    // Others of round 6: 98 99 100 101 102: median 100, MAD 1, scaled 1.4826; sd sqrt 2.5.
    // 120: 20 / 1.4826 = 13.49 MADs; t = 20 / (1.5811 x sqrt(6 / 5)) = 11.547, 4 df:
    // with x = t / sqrt(4 + t^2) = 0.985329, p = 1 - x (3 - x^2) / 2 = 0.000321.
    const [last] = outlyingRounds(rounds([98, 99, 100, 101, 102, 120])).slice(-1);
    expect(last?.round).toBe(6);
    expect(last?.deviation).toBeCloseTo(0.2, 12);
    expect(last?.mads).toBeCloseTo(13.49, 2);
    expect(last?.p).toBeCloseTo(0.000321, 6);
  });

  it("needs five rounds, and others that differ", () => {
    expect(outlyingRounds(rounds([1, 2, 3, 9]))).toEqual([]);
    expect(outlyingRounds(rounds([5, 5, 5, 5, 9])).map(({ round }) => round)).toEqual([1, 2, 3, 4]);
  });
});
