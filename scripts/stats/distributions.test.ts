import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { percentileFloor } from "../experiment/percentile-floor.ts";
import {
  binomialCdf,
  logGamma,
  quantileRanks,
  regularizedBeta,
  studentQuantile,
  studentTwoSided,
} from "./distributions.ts";

const degrees = fc.double({ min: 0.5, max: 1000, noNaN: true });

describe("Student's t", () => {
  it("is the Cauchy distribution at one degree of freedom", () => {
    // P(|T| >= |t|) = 1 - 2 atan(|t|) / pi
    for (const t of [-5, -0.3, 0, 0.01, 1, 12]) {
      expect(studentTwoSided(t, 1)).toBeCloseTo(1 - (2 * Math.atan(Math.abs(t))) / Math.PI, 13);
    }
  });

  it("has the closed form of two degrees of freedom", () => {
    // P(|T| >= |t|) = 1 - |t| / sqrt(2 + t^2)
    for (const t of [-3, 0.5, 4.3]) {
      expect(studentTwoSided(t, 2)).toBeCloseTo(1 - Math.abs(t) / Math.sqrt(2 + t * t), 13);
    }
  });

  it("is undone by its quantile", () => {
    fc.assert(
      fc.property(degrees, fc.double({ min: 0.001, max: 0.999, noNaN: true }), (df, p) => {
        const tail = 2 * Math.min(p, 1 - p);
        expect(studentTwoSided(studentQuantile(p, df), df)).toBeCloseTo(tail, 10);
      }),
    );
  });

  it("has a quantile that grows with the level and shrinks with the degrees of freedom", () => {
    fc.assert(
      fc.property(degrees, fc.double({ min: 0.51, max: 0.98, noNaN: true }), (df, p) => {
        expect(studentQuantile(p + 0.01, df)).toBeGreaterThan(studentQuantile(p, df));
        expect(studentQuantile(p, df + 1)).toBeLessThan(studentQuantile(p, df));
      }),
    );
  });

  it("is symmetric, and its tail at infinity is nothing", () => {
    expect(studentQuantile(0.1, 3.7)).toBeCloseTo(-studentQuantile(0.9, 3.7), 12);
    expect(studentQuantile(0.5, 3)).toBeCloseTo(0, 12);
    expect(studentTwoSided(Number.POSITIVE_INFINITY, 3)).toBe(0);
  });

  it("refuses levels and degrees of freedom that do not exist", () => {
    expect(() => studentQuantile(1, 3)).toThrow(RangeError);
    expect(() => studentTwoSided(1, 0)).toThrow(RangeError);
  });
});

describe("the incomplete beta function", () => {
  it("is x^a when b is 1", () => {
    expect(regularizedBeta(0.3, 4, 1)).toBeCloseTo(0.3 ** 4, 15);
  });

  it("holds for a million samples", () => {
    // Median of a symmetric beta.
    expect(regularizedBeta(0.5, 5e5, 5e5)).toBeCloseTo(0.5, 9);
  });

  it("refuses arguments outside its domain", () => {
    expect(() => regularizedBeta(1.1, 1, 1)).toThrow(RangeError);
  });

  it("rests on a gamma function that knows factorials and the root of pi", () => {
    expect(logGamma(11)).toBeCloseTo(Math.log(3_628_800), 12);
    expect(logGamma(0.5)).toBeCloseTo(Math.log(Math.sqrt(Math.PI)), 13);
    expect(logGamma(0.25)).toBeCloseTo(Math.log(3.625609908221908), 13);
  });
});

describe("the binomial", () => {
  it("adds up by hand", () => {
    // Bin(4, 1/2): 1, 4, 6, 4, 1 sixteenths
    expect([-1, 0, 1, 2, 3, 4].map((k) => binomialCdf(k, 4, 0.5) * 16)).toEqual([
      0,
      expect.closeTo(1, 12),
      expect.closeTo(5, 12),
      expect.closeTo(11, 12),
      expect.closeTo(15, 12),
      16,
    ]);
  });

  it("gives ranks that lie inside the sample exactly from the floor on", () => {
    fc.assert(
      fc.property(fc.double({ min: 0.02, max: 0.98, noNaN: true }), (p) => {
        const floor = percentileFloor(p * 100);
        const inside = quantileRanks(floor, p);
        expect(inside.low).toBeGreaterThanOrEqual(1);
        expect(inside.high).toBeLessThanOrEqual(floor);
        const below = quantileRanks(floor - 1, p);
        expect(below.low < 1 || below.high > floor - 1).toBe(true);
      }),
    );
  });

  it("has ranks around the quantile, of an empty sample too", () => {
    expect(quantileRanks(0, 0.9)).toEqual({ low: 0, high: 1 });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5000 }),
        fc.double({ min: 0.01, max: 0.99, noNaN: true }),
        (n, p) => {
          const { low, high } = quantileRanks(n, p);
          expect(low).toBeLessThanOrEqual(n * p + 1);
          expect(high).toBeGreaterThanOrEqual(n * p);
        },
      ),
    );
  });
});
