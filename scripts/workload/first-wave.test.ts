import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { firstWaveParts, partOfAnswer } from "./first-wave.ts";

describe("the parts of a first wave", () => {
  it("are one for each request, above 0 and at most 1, and the seed repeats them", () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 300 }), fc.string(), (requests, seed) => {
        const parts = firstWaveParts({ requests, seed });
        expect(parts).toHaveLength(requests);
        expect(parts.every((part) => part > 0 && part <= 1)).toBe(true);
        expect(firstWaveParts({ requests, seed })).toEqual(parts);
        expect(firstWaveParts({ requests, seed: `${seed}.` })).not.toEqual(parts);
      }),
      { numRuns: 30 },
    );
  });

  it("are uniform: tenths of the answer are equally frequent", () => {
    const counts = Array<number>(10).fill(0);
    for (const part of firstWaveParts({ requests: 10_000, seed: "a" })) {
      const tenth = Math.min(9, Math.floor(part * 10));
      counts[tenth] = (counts[tenth] ?? 0) + 1;
    }
    // Chi-squared with 9 degrees of freedom is below 27.9 in 999 of 1,000 samples.
    const chiSquared = counts.reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0);
    expect(chiSquared).toBeLessThan(27.9);
  });
});

describe("a part of an answer", () => {
  it("is a whole number of tokens, at least one, and the whole of it at most", () => {
    expect([0.0001, 0.5, 0.501, 1].map((part) => partOfAnswer(256, part))).toEqual([
      1, 128, 129, 256,
    ]);
    expect(partOfAnswer(1, 0.3)).toBe(1);
  });
});
