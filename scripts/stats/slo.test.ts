import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Estimate } from "./samples.ts";
import { type SloLoad, sloSeries } from "./slo.ts";

const limit = { metric: "ttft", percentile: 90, limitMs: 200 } as const;

function estimate(value: number | undefined, half?: number): Estimate {
  const ends =
    value === undefined || half === undefined
      ? { low: undefined, high: undefined }
      : { low: value - half, high: value + half };
  return {
    metric: "ttft.p90",
    value,
    ...ends,
    level: 0.95,
    n: 300,
    starts: 3,
    rounds: 3,
    method: half === undefined ? "none" : "t_hull",
    cv: undefined,
    medianRound: undefined,
    geometric: false,
    perRound: [],
    absence: undefined,
    unit: "ms",
  };
}

function at(load: number, ttft: Estimate, failed = 0): SloLoad {
  return {
    point: `fp32/c${load}`,
    load,
    estimates: new Map([["ttft.p90", ttft]]),
    requests: { measured: 100, failed },
  };
}

const good = (load: number): SloLoad => at(load, estimate(150, 20));
const open = (load: number): SloLoad => at(load, estimate(195, 20));
const bad = (load: number): SloLoad => at(load, estimate(400, 20));

function told(loads: readonly SloLoad[]) {
  const { answer, undecided, goodAbove } = sloSeries(loads, [limit]);
  return {
    kind: answer.kind,
    good: "good" in answer ? answer.good.load : undefined,
    bad: "bad" in answer ? answer.bad.load : undefined,
    undecided: undecided.map(({ load }) => load),
    goodAbove: goodAbove.map(({ load }) => load),
  };
}

describe("sloSeries", () => {
  it("lies between the last good load and the first bad one, in any order given", () => {
    expect(told([bad(8), good(1), good(4)])).toEqual({
      kind: "between",
      good: 4,
      bad: 8,
      undecided: [],
      goodAbove: [],
    });
  });

  it("names undecided loads between, and not those below the last good one", () => {
    expect(told([open(1), good(2), open(4), open(6), bad(8), open(16)])).toMatchObject({
      kind: "between",
      good: 2,
      bad: 8,
      undecided: [4, 6],
    });
  });

  it("says at least where no load is bad, with the undecided ones above", () => {
    expect(told([good(1), good(4), open(8)])).toMatchObject({
      kind: "at_least",
      good: 4,
      undecided: [8],
    });
  });

  it("says below where no load under the first bad one is good", () => {
    expect(told([bad(4), bad(8)])).toMatchObject({ kind: "below", bad: 4, undecided: [] });
    expect(told([open(1), bad(4)])).toMatchObject({ kind: "below", bad: 4, undecided: [1] });
  });

  it("says nothing where no load is decided", () => {
    expect(told([open(1), open(4)])).toMatchObject({ kind: "open", undecided: [1, 4] });
    expect(told([])).toMatchObject({ kind: "open" });
  });

  it("stops at the first bad load and names good ones above it", () => {
    expect(told([good(1), bad(4), good(8), bad(16)])).toMatchObject({
      kind: "between",
      good: 1,
      bad: 4,
      goodAbove: [8],
    });
  });

  it("counts the interval's ends: at the limit is within it", () => {
    const verdictOf = (ttft: Estimate): string | undefined =>
      sloSeries([at(1, ttft)], [limit]).loads[0]?.verdict;
    expect(verdictOf(estimate(180, 20))).toBe("good");
    expect(verdictOf(estimate(180.1, 20))).toBe("undecided");
    expect(verdictOf(estimate(220, 20))).toBe("undecided");
    expect(verdictOf(estimate(220.1, 20))).toBe("bad");
  });

  it("judges one round by its value, and says so", () => {
    const series = sloSeries([at(1, estimate(199)), at(4, estimate(201))], [limit]);
    expect(series.byIntervals).toBe(false);
    expect(series.loads.map(({ verdict, limits }) => [verdict, limits[0]?.by])).toEqual([
      ["good", "value"],
      ["bad", "value"],
    ]);
  });

  it("does not judge what has no value", () => {
    const series = sloSeries([good(1), at(4, estimate(undefined)), bad(8)], [limit]);
    expect(series.loads[1]).toMatchObject({ verdict: "unknown", limits: [{ by: "nothing" }] });
    expect(series.undecided.map(({ load }) => load)).toEqual([4]);
  });

  it("calls a load bad once more requests failed than the percentile leaves out", () => {
    // p90 leaves out 10 of 100: with 11 failed the 90th of all requests is one that failed.
    expect(told([at(1, estimate(150, 20), 10), at(4, estimate(150, 20), 11)])).toMatchObject({
      kind: "between",
      good: 1,
      bad: 4,
    });
  });

  it("needs every limit: one bad is bad, one undecided is undecided", () => {
    const second = { metric: "tpot", percentile: 50, limitMs: 30 } as const;
    const both = (ttft: Estimate, tpot: Estimate) =>
      sloSeries(
        [
          {
            ...at(1, ttft),
            estimates: new Map([
              ["ttft.p90", ttft],
              ["tpot.p50", tpot],
            ]),
          },
        ],
        [limit, second],
      ).loads[0]?.verdict;
    expect(both(estimate(150, 20), estimate(20, 1))).toBe("good");
    expect(both(estimate(150, 20), estimate(30, 1))).toBe("undecided");
    expect(both(estimate(195, 20), estimate(40, 1))).toBe("bad");
  });

  it("always brackets: every load at or below the good end is not bad, the good end lies below the bad", () => {
    const verdict = fc.constantFrom(good, open, bad);
    fc.assert(
      fc.property(fc.array(verdict, { maxLength: 8 }), (makers) => {
        const { answer, loads } = sloSeries(
          makers.map((make, index) => make(index + 1)),
          [limit],
        );
        const end = "good" in answer ? answer.good.load : 0;
        expect(loads.filter((one) => one.load <= end && one.verdict === "bad")).toEqual([]);
        if (answer.kind === "between") expect(answer.good.load).toBeLessThan(answer.bad.load);
      }),
      { numRuns: 100, seed: 1 },
    );
  });
});
