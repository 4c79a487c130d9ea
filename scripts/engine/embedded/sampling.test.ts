import { describe, expect, it } from "vitest";
import { randomFrom, startSampling } from "./sampling.ts";

const logits = Float32Array.from([0, Math.log(2), Math.log(5), Number.NEGATIVE_INFINITY]);

function drawMany(
  settings: { temperature: number; topP: number; seed: number },
  count: number,
): number[] {
  const choose = startSampling(settings);
  return Array.from({ length: count }, () => choose(logits));
}

describe("sampling", () => {
  it("is greedy at temperature 0 and takes the first of equals", () => {
    expect(drawMany({ temperature: 0, topP: 1, seed: 1 }, 3)).toEqual([2, 2, 2]);
    const choose = startSampling({ temperature: 0, topP: 1, seed: 1 });
    expect(choose(Float32Array.from([1, 3, 3]))).toBe(1);
  });

  it("repeats with the same seed and differs with another", () => {
    const once = drawMany({ temperature: 1, topP: 1, seed: 42 }, 50);
    expect(drawMany({ temperature: 1, topP: 1, seed: 42 }, 50)).toEqual(once);
    expect(drawMany({ temperature: 1, topP: 1, seed: 43 }, 50)).not.toEqual(once);
  });

  it("draws in proportion to the softmax, and never what is forbidden", () => {
    // exp of the logits: 1, 2, 5, 0; shares 1/8, 2/8, 5/8, 0. Of 8000 draws the standard
    // deviation is at most sqrt(8000 x 0.25) = 45; five of them is 225.
    const drawn = drawMany({ temperature: 1, topP: 1, seed: 7 }, 8000);
    const counts = [0, 1, 2, 3].map((token) => drawn.filter((other) => other === token).length);
    expect(counts[3]).toBe(0);
    for (const [token, expected] of [1000, 2000, 5000].entries()) {
      expect(Math.abs((counts[token] ?? 0) - expected)).toBeLessThan(225);
    }
  });

  it("keeps only the likeliest tokens that together reach top_p", () => {
    // 5/8 alone reaches 0.6; 5/8 + 2/8 are needed for 0.8.
    expect(new Set(drawMany({ temperature: 1, topP: 0.6, seed: 3 }, 200))).toEqual(new Set([2]));
    expect(new Set(drawMany({ temperature: 1, topP: 0.8, seed: 3 }, 200))).toEqual(new Set([1, 2]));
  });

  it("gives uniform numbers of the published mulberry32 sequence, for large and negative seeds too", () => {
    const random = randomFrom(0);
    expect(random()).toBeCloseTo(0.26642920868471265, 12);
    expect(random()).toBeCloseTo(0.0003297457005828619, 12);
    for (const seed of [-1, Number.MAX_SAFE_INTEGER, 2 ** 32 + 5]) {
      const value = randomFrom(seed)();
      expect(value).toBeGreaterThanOrEqual(0);
      expect(value).toBeLessThan(1);
    }
  });
});
