import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  isNoisy,
  logTInterval,
  medianRoundInterval,
  neededRounds,
  percentileHull,
  predictionInterval,
  tInterval,
  unseenShare,
} from "./intervals.ts";
import { meanOfSorted, quantile7, sortAscending } from "./quantiles.ts";
import { isEquivalent, pairedRatio, ratioToArchived, welchRatio } from "./ratios.ts";

const sample = fc.double({ min: 0.001, max: 1e6, noNaN: true });
const samples = fc.array(sample, { minLength: 2, maxLength: 40 });
const level = fc.double({ min: 0.01, max: 0.99, noNaN: true });

/** Equal within rounding. */
function expectNear(value: number | undefined, expected: number | undefined, scale = 1): void {
  expect(value).toBeDefined();
  expect(Math.abs((value ?? 0) - (expected ?? 0))).toBeLessThanOrEqual(
    1e-9 * Math.max(scale, Math.abs(expected ?? 0)),
  );
}

describe("quantiles", () => {
  it("scale and shift with the samples", () => {
    fc.assert(
      fc.property(samples, level, fc.double({ min: 0.1, max: 10, noNaN: true }), (values, p, k) => {
        const plain = quantile7(sortAscending(values), p) ?? 0;
        expectNear(quantile7(sortAscending(values.map((x) => k * x + 3)), p), k * plain + 3);
      }),
    );
  });

  it("do not depend on the order of the samples", () => {
    fc.assert(
      fc.property(samples, level, (values, p) => {
        const reversed = [...values].reverse();
        expect(quantile7(sortAscending(reversed), p)).toBe(quantile7(sortAscending(values), p));
      }),
    );
  });

  it("grow with the level and stay within the sample", () => {
    fc.assert(
      fc.property(samples, level, level, (values, a, b) => {
        const sorted = sortAscending(values);
        const low = quantile7(sorted, Math.min(a, b)) ?? Number.NaN;
        const high = quantile7(sorted, Math.max(a, b)) ?? Number.NaN;
        expect(low).toBeLessThanOrEqual(high + 1e-9);
        expect(low).toBeGreaterThanOrEqual(Math.min(...values));
        expect(high).toBeLessThanOrEqual(Math.max(...values));
      }),
    );
  });

  it("are undefined for no sample, and the sample itself for one", () => {
    expect(quantile7(sortAscending([]), 0.9)).toBeUndefined();
    expect(meanOfSorted(sortAscending([]))).toBeUndefined();
    expect(quantile7(sortAscending([7]), 0.9)).toBe(7);
    expect(quantile7(sortAscending([1, 2]), 1)).toBe(2);
  });

  it("refuse what is not a number, and levels that are not", () => {
    expect(() => sortAscending([1, Number.NaN])).toThrow(RangeError);
    expect(() => sortAscending([Number.POSITIVE_INFINITY])).toThrow(RangeError);
    expect(() => quantile7(sortAscending([1]), 90)).toThrow(RangeError);
  });
});

describe("intervals of a mean", () => {
  it("scale and shift with the values", () => {
    fc.assert(
      fc.property(samples, fc.double({ min: 0.1, max: 10, noNaN: true }), (values, k) => {
        const plain = tInterval(values);
        const moved = tInterval(values.map((x) => k * x + 5));
        const scale = Math.max(...values) * 10;
        expectNear(moved?.low, k * (plain?.low ?? 0) + 5, scale);
        expectNear(moved?.high, k * (plain?.high ?? 0) + 5, scale);
      }),
    );
  });

  it("do not depend on the order of the values, and contain the mean", () => {
    fc.assert(
      fc.property(samples, (values) => {
        const plain = tInterval(values);
        expectNear(tInterval([...values].reverse())?.low, plain?.low, Math.max(...values));
        expect(plain?.low).toBeLessThanOrEqual(plain?.mean ?? Number.NaN);
        expect(plain?.high).toBeGreaterThanOrEqual(plain?.mean ?? Number.NaN);
      }),
    );
  });

  it("widen with the level", () => {
    fc.assert(
      fc.property(samples, level, level, (values, a, b) => {
        const narrow = tInterval(values, Math.min(a, b))?.half ?? 0;
        const wide = tInterval(values, Math.max(a, b))?.half ?? 0;
        expect(wide).toBeGreaterThanOrEqual(narrow);
      }),
    );
  });

  it("do not exist for fewer than two values", () => {
    for (const few of [[], [3]]) {
      expect(tInterval(few)).toBeUndefined();
      expect(logTInterval(few)).toBeUndefined();
      expect(predictionInterval(few)).toBeUndefined();
    }
  });

  it("have no width when all values are equal, and are never NaN", () => {
    expect(tInterval([4, 4, 4])).toMatchObject({ sd: 0, half: 0, low: 4, high: 4 });
    expect(logTInterval([4, 4, 4])?.low).toBeCloseTo(4, 12);
  });

  it("are noisy when they reach zero or the spread exceeds a fifth of the mean", () => {
    const noisy = (values: readonly number[]): boolean | undefined => {
      const interval = tInterval(values);
      return interval && isNoisy(interval);
    };
    // sd 2 of mean 100: quiet. sd 70 of mean 100: noisy. Ten values, sd 21 %: noisy although far from 0.
    expect(noisy([98, 100, 102])).toBe(false);
    expect(noisy([30, 100, 170])).toBe(true);
    expect(noisy([80, 120, 80, 120, 80, 120, 80, 120, 80, 120])).toBe(true);
  });

  it("in logs stay above zero, and refuse a zero", () => {
    fc.assert(
      fc.property(samples, (values) => {
        const interval = logTInterval(values);
        if (interval !== undefined) expect(interval.low).toBeGreaterThan(0);
      }),
    );
    expect(logTInterval([0, 1])).toBeUndefined();
    expect(logTInterval([1e-300, 1e300])).toBeUndefined();
  });
});

describe("intervals of a percentile", () => {
  it("do not exist below the floor", () => {
    const forty = sortAscending(Array.from({ length: 40 }, (_, i) => i));
    expect(percentileHull({ low: 1, high: 2 }, forty, 0.99)).toBeUndefined();
    expect(percentileHull({ low: 1, high: 2 }, sortAscending([]), 0.5)).toBeUndefined();
  });

  it("contain the interval of the rounds and the ranks of the pool, and nothing more", () => {
    // Ranks of the median among 40 are 14 and 27, here the values 13 and 26.
    const forty = sortAscending(Array.from({ length: 40 }, (_, i) => i));
    expect(percentileHull({ low: 18, high: 20 }, forty, 0.5)).toEqual({ low: 13, high: 26 });
    expect(percentileHull({ low: 5, high: 20 }, forty, 0.5)).toEqual({ low: 5, high: 26 });
    expect(percentileHull({ low: 5, high: 50 }, forty, 0.5)).toEqual({ low: 5, high: 50 });
  });

  it("of the median round need six rounds and use ranks 2 and 9 of ten", () => {
    expect(medianRoundInterval([1, 2, 3, 4, 5])).toBeUndefined();
    expect(medianRoundInterval([10, 1, 9, 2, 8, 3, 7, 4, 6, 5])).toEqual({ low: 2, high: 9 });
  });
});

describe("how many rounds", () => {
  it("needs at least two, more for a wider spread or a nearer target", () => {
    expect(neededRounds(0, 0.01)).toBe(2);
    expect([0.01, 0.02, 0.03, 0.05].map((cv) => neededRounds(cv, 0.05))).toEqual([3, 3, 4, 7]);
    expect([0.01, 0.02, 0.05].map((target) => neededRounds(0.05, target))).toEqual([99, 27, 7]);
    expect(() => neededRounds(0.02, 0)).toThrow(RangeError);
  });

  it("tells how rare a mode can be and stay unseen", () => {
    // (1 - q)^R = 0.05
    expect(unseenShare(3)).toBeCloseTo(1 - Math.cbrt(0.05), 12);
    expect((1 - unseenShare(10)) ** 10).toBeCloseTo(0.05, 12);
  });
});

describe("ratios", () => {
  it("turn over with their sides and do not depend on the unit", () => {
    fc.assert(
      fc.property(samples, samples, (a, b) => {
        const forth = welchRatio(a, b);
        const back = welchRatio(b, a);
        const scaled = welchRatio(
          a.map((x) => x * 7),
          b.map((x) => x * 7),
        );
        expectNear(back.ratio, 1 / forth.ratio, 1e-6);
        expectNear(scaled.ratio, forth.ratio, 1e-6);
      }),
    );
  });

  it("use the smaller side's degrees of freedom when one has more than twice the rounds", () => {
    const five = [1, 1.1, 0.9, 1.05, 0.95];
    expect(welchRatio(five, [1, 1.2])).toMatchObject({ kind: "ratio", df: 1 });
    const even = welchRatio(five, five);
    expect(even.kind === "ratio" ? even.df : undefined).toBeCloseTo(8, 9);
  });

  it("are not testable with one round on a side, and constant without any spread", () => {
    expect(welchRatio([2], [1, 1.1])).toMatchObject({ kind: "not_testable" });
    expect(welchRatio([2, 2], [1, 1])).toEqual({ kind: "constant", ratio: 2 });
    expect(ratioToArchived([2], 1)).toEqual({ kind: "not_testable", ratio: 2 });
    expect(ratioToArchived([2, 2], 1)).toMatchObject({ kind: "constant" });
    expect(pairedRatio([2], [1])).toBeUndefined();
  });

  it("refuse zeros, nothing, and pairs that do not pair", () => {
    expect(() => welchRatio([0, 1], [1, 1])).toThrow(RangeError);
    expect(() => welchRatio([], [1, 1])).toThrow(RangeError);
    expect(() => pairedRatio([1, 2], [1])).toThrow(RangeError);
  });

  it("are equivalent only when the whole interval lies within the margin on both sides", () => {
    expect(isEquivalent({ low: 0.98, high: 1.02 }, 0.03)).toBe(true);
    // 1 / 1.03 = 0.9709
    expect(isEquivalent({ low: 0.97, high: 1.02 }, 0.03)).toBe(false);
    expect(isEquivalent({ low: 0.98, high: 1.031 }, 0.03)).toBe(false);
  });
});
