import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { linearAxis, logAxis, pixelOf, tickText, valueAt } from "./chart-scale.ts";

const room = { lengthPx: 200, startPx: 10, endPx: 20, tickGapPx: 30 };
const positive = fc.double({ min: 1e-3, max: 1e6, noNaN: true, noDefaultInfinity: true });

describe("logAxis", () => {
  it("keeps the room asked for at both ends", () => {
    const axis = logAxis([10, 1000], room);
    expect(pixelOf(axis, 10)).toBeCloseTo(10, 9);
    expect(pixelOf(axis, 1000)).toBeCloseTo(180, 9);
    expect(axis.ticks).toEqual([10, 30, 100, 300, 1000]);
  });

  it("does not spread values of nearly one size over the whole axis", () => {
    const axis = logAxis([100, 101], room);
    expect(pixelOf(axis, 101) - pixelOf(axis, 100)).toBeLessThan(5);
    expect(axis.ticks.length).toBeGreaterThanOrEqual(2);
  });

  it("has every value and tick inside, ticks apart and at least one", () => {
    fc.assert(
      fc.property(fc.array(positive, { minLength: 1, maxLength: 8 }), (values) => {
        const axis = logAxis(values, room);
        for (const value of values) {
          expect(pixelOf(axis, value)).toBeGreaterThan(9);
          expect(pixelOf(axis, value)).toBeLessThan(181);
        }
        expect(axis.ticks.length).toBeGreaterThan(0);
        const pixels = axis.ticks.map((tick) => pixelOf(axis, tick));
        pixels.forEach((px, index) => {
          expect(px).toBeGreaterThanOrEqual(-1e-6);
          expect(px).toBeLessThanOrEqual(200 + 1e-6);
          if (index > 0) expect(px - (pixels[index - 1] ?? 0)).toBeGreaterThan(15);
        });
      }),
    );
  });
});

describe("linearAxis", () => {
  it("takes round steps that fit the length", () => {
    const axis = linearAxis([0, 100], { lengthPx: 100, startPx: 0, endPx: 0, tickGapPx: 24 });
    expect(axis.ticks).toEqual([0, 50, 100]);
  });

  it("has no part below 0 for values that are never negative", () => {
    expect(
      linearAxis([1, 50], { lengthPx: 100, startPx: 40, endPx: 0, tickGapPx: 24 }).domain[0],
    ).toBe(0);
    expect(linearAxis([-5, 5], room).domain[0]).toBeLessThan(-5);
  });
});

describe("valueAt", () => {
  it("undoes pixelOf", () => {
    const axis = logAxis([3, 900], room);
    expect(valueAt(axis, pixelOf(axis, 42))).toBeCloseTo(42, 9);
  });
});

describe("tickText", () => {
  it("prints what Vega prints with ,~f", () => {
    expect([0.05, 1, 10, 1500, 1_000_000, -2.5].map(tickText)).toEqual([
      "0.05",
      "1",
      "10",
      "1,500",
      "1,000,000",
      "−2.5",
    ]);
  });
});
