import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { seededRandom } from "../experiment/random.ts";
import { quantile7, selectQuantiles7, sortAscending } from "./quantiles.ts";

describe("selectQuantiles7", () => {
  const ps = [0, 0.1, 0.5, 0.9, 0.99, 0.999, 1];

  function bySorting(samples: Float64Array): readonly (number | undefined)[] {
    const sorted = sortAscending(samples);
    return ps.map((p) => quantile7(sorted, p));
  }

  it("gives what sorting gives, for few samples", () => {
    fc.assert(
      fc.property(fc.array(fc.double({ noNaN: true, min: -1e6, max: 1e6 })), (values) => {
        const samples = Float64Array.from(values);
        expect(selectQuantiles7(samples, ps)).toEqual(bySorting(samples));
      }),
    );
  });

  const random = seededRandom("gaps");
  const shapes: Readonly<Record<string, (index: number) => number>> = {
    "even gaps with jitter": () => 33 + random(),
    "a long tail": () => 1 / (random() + 1e-9),
    "one far outlier": (index) => (index === 777 ? 1e12 : random()),
    "half of them zero, as in coalesced reads": (index) => (index % 2 === 0 ? 0 : random()),
    "all the same": () => 25,
    "whole microseconds": () => Math.round(random() * 50) / 1000,
    "two clusters": (index) => (index % 100 === 0 ? 500 + random() : 10 + random()),
    "growing, with negative ones": (index) => index - 50_000,
  };
  for (const [name, shape] of Object.entries(shapes)) {
    it(`gives what sorting gives, for 100,000 samples: ${name}`, () => {
      const samples = Float64Array.from({ length: 100_000 }, (_, index) => shape(index));
      expect(selectQuantiles7(samples, ps)).toEqual(bySorting(samples));
    });
  }

  it("leaves the samples as they were", () => {
    const samples = Float64Array.from({ length: 20_000 }, () => random());
    const before = samples.slice();
    selectQuantiles7(samples, [0.5]);
    expect(samples).toEqual(before);
  });

  it("refuses a sample that is not finite, and a p that is no quantile", () => {
    for (const wrong of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      const samples = new Float64Array(20_000).fill(1);
      samples[12_345] = wrong;
      expect(() => selectQuantiles7(samples, [0.5])).toThrow(/not a finite number/);
    }
    expect(() => selectQuantiles7(new Float64Array(20_000), [1.5])).toThrow(/0\.\.1/);
  });
});
