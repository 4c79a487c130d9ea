import { describe, expect, it } from "vitest";
import { percentileFloor } from "./percentile-floor.ts";

describe("percentileFloor", () => {
  // Published floors of the four usual percentiles; .5^6 = .0156, .5^5 = .031; .9^36 = .0225, .9^35 = .02503.
  it.each([
    [50, 6],
    [90, 36],
    [95, 72],
    [99, 368],
  ])("p%d needs %d requests", (percentile, requests) => {
    expect(percentileFloor(percentile)).toBe(requests);
  });

  it("a low percentile needs as many as its mirror image", () => {
    expect(percentileFloor(1)).toBe(percentileFloor(99));
  });

  it("is the first count at which both tails are within 2.5 %", () => {
    for (const percentile of [3, 25, 50, 75, 90, 99, 99.9]) {
      const p = Math.max(percentile, 100 - percentile) / 100;
      const floor = percentileFloor(percentile);
      expect(p ** floor).toBeLessThanOrEqual(0.025);
      expect(p ** (floor - 1)).toBeGreaterThan(0.025);
    }
  });
});
