import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { seededRandom } from "../experiment/random.ts";
import { GapPool, gapSpread } from "./inter-token.ts";
import { quantile7, sortAscending } from "./quantiles.ts";

type Stream = Parameters<GapPool["add"]>[0];

const percentiles = [0, 1, 5, 10, 50, 90, 95, 99, 99.9, 100];

/** A request whose times are at hand. */
function timed(chunksAtMs: readonly number[]): Stream {
  return { outputChunks: chunksAtMs.length, chunksAtMs: Float64Array.from(chunksAtMs) };
}

/** A request whose times are packed: it tells its gaps in microseconds, one less than chunks. */
function packed(gapsUs: readonly number[]): Stream {
  return {
    outputChunks: gapsUs.length + 1,
    get chunksAtMs(): Float64Array {
      throw new Error("unpacked the times of a request that can tell its gaps");
    },
    gapsUs: (into) => {
      into.set(gapsUs, 1);
    },
  };
}

/** Mean and percentiles by sorting all gaps, in milliseconds. */
function bySorting(gapsMs: readonly number[]): readonly (number | undefined)[] {
  const sorted = sortAscending(gapsMs);
  const mean = gapsMs.length === 0 ? undefined : gapsMs.reduce((a, b) => a + b, 0) / gapsMs.length;
  return [mean, ...percentiles.map((percentile) => quantile7(sorted, percentile / 100))];
}

function expectSpread(requests: Iterable<Stream>, gapsMs: readonly number[]): void {
  const spread = gapSpread(requests, percentiles);
  expect(spread.gaps).toBe(gapsMs.length);
  const largest = gapsMs.reduce((most, gap) => Math.max(most, Math.abs(gap)), 0);
  const told = [spread.mean, ...spread.percentiles];
  for (const [place, expected] of bySorting(gapsMs).entries()) {
    if (expected === undefined) expect(told[place]).toBeUndefined();
    // The mean of gaps of both signs cancels out: it is held to the largest gap.
    else {
      const size = place === 0 ? largest : Math.abs(expected);
      expect(Math.abs((told[place] ?? Number.NaN) - expected)).toBeLessThanOrEqual(1e-9 * size);
    }
  }
}

describe("the pooled gaps between output chunks", () => {
  it("have the mean and the percentiles that one works out by hand", () => {
    // Gaps 10, 30 and 20, 40: sorted 10, 20, 30, 40; mean 100 / 4; p50 at 1.5, p90 at 2.7, p100 at 3.
    const requests = [timed([5, 15, 45]), timed([100, 120, 160])];
    expect(gapSpread(requests, [50, 90, 100])).toEqual({
      gaps: 4,
      mean: 25,
      percentiles: [25, 37, 40],
    });
    const same = [packed([10_000, 30_000]), packed([20_000, 40_000])];
    expect(gapSpread(same, [50, 90, 100])).toEqual(gapSpread(requests, [50, 90, 100]));
  });

  it("have no value where no request has two chunks", () => {
    const none = { gaps: 0, mean: undefined, percentiles: [undefined, undefined] };
    expect(gapSpread([], [0, 99])).toEqual(none);
    expect(gapSpread([timed([]), timed([7]), packed([])], [0, 99])).toEqual(none);
  });

  const gapUs = fc.oneof(
    fc.integer({ min: 0, max: 60_000 }),
    fc.constantFrom(0, 1, 2 ** 16 - 1, 2 ** 16, 2 ** 20 - 1, 2 ** 20, 2 ** 20 + 1),
    fc.integer({ min: -5_000_000, max: 5_000_000_000 }),
    fc.double({ min: -1e5, max: 1e7, noNaN: true }),
  );

  // So many that the gaps after them are counted, not collected.
  const crowd = Array.from({ length: 4096 }, (_, index) => 20_000 + (index % 100));

  it("have the values that sorting gives: none, one or many, long, negative, not whole", () => {
    const streams = fc.array(fc.array(gapUs, { maxLength: 40 }), { maxLength: 20 });
    fc.assert(
      fc.property(streams, fc.boolean(), (some, crowded) => {
        const all = crowded ? [crowd, ...some] : some;
        expectSpread(
          all.map(packed),
          all.flat().map((gap) => gap / 1000),
        );
      }),
      { numRuns: 60 },
    );
  });

  it("have them too of times that are at hand", () => {
    const time = fc.double({ min: 0, max: 1e6, noNaN: true });
    fc.assert(
      fc.property(fc.array(fc.array(time, { maxLength: 30 }), { maxLength: 20 }), (streams) => {
        expectSpread(
          streams.map(timed),
          streams.flatMap((times) => times.slice(1).map((at, chunk) => at - (times[chunk] ?? at))),
        );
      }),
    );
  });

  const random = seededRandom("gaps");
  const shapes: Readonly<Record<string, (index: number) => number>> = {
    "even gaps with jitter": () => 33_000 + Math.round(1000 * random()),
    "a long tail, not whole": () => 1 / (random() + 1e-9),
    "one far outlier": (index) => (index === 777 ? 1e12 : Math.round(1000 * random())),
    "half of them zero, as in coalesced reads": (index) => (index % 2 === 0 ? 0 : 25_000),
    "all the same": () => 25_000,
    "two clusters": (index) => (index % 100 === 0 ? 500_000 : 10_000 + (index % 7)),
  };
  for (const [name, shape] of Object.entries(shapes)) {
    it(`have the values that sorting gives, for 100,000 gaps: ${name}`, () => {
      const gaps = Array.from({ length: 100_000 }, (_, index) => shape(index));
      const streams = Array.from({ length: 100 }, (_, part) =>
        packed(gaps.slice(1000 * part, 1000 * (part + 1))),
      );
      expectSpread(
        streams,
        gaps.map((gap) => gap / 1000),
      );
    });
  }

  it("may be asked for in between", () => {
    const pool = new GapPool();
    pool.add(packed([1000, 3000]));
    expect(pool.spread([100])).toEqual({ gaps: 2, mean: 2, percentiles: [3] });
    pool.add(timed([0, 8]));
    expect(pool.spread([100])).toEqual({ gaps: 3, mean: 4, percentiles: [8] });
  });

  it("refuse a time that is no number, and a percentile that is none", () => {
    for (const wrong of [Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => gapSpread([timed([1, wrong, 3])], [50])).toThrow(/not a finite number/);
    }
    expect(() => gapSpread([timed([1, 2])], [101])).toThrow("0..100");
  });
});
