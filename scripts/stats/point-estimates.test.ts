import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { absenceReasons, absenceText } from "./absence.ts";
import { parseEstimateKey, percentileKey } from "./estimate-key.ts";
import { request, stream, trial } from "./fixtures/trials.ts";
import { definitionId, findMetric, metrics } from "./metrics.ts";
import { estimateOverStarts, estimatePoint, type PointEstimateOptions } from "./point-estimates.ts";
import type { Estimate, TrialSamples } from "./samples.ts";

const options: PointEstimateOptions = {
  percentiles: [50, 90],
  slo: [],
  oneProcess: false,
  freshPrompts: true,
};

/** One trial whose requests all have this TTFT (or these, one each). */
function round(
  number: number,
  ttfts: readonly number[],
  parts: Partial<TrialSamples> = {},
): TrialSamples {
  return trial(
    ttfts.map((ttftMs, i) => stream(1000 * i, { ttftMs })),
    { round: number, ...parts },
  );
}

function estimate(trials: readonly TrialSamples[], key: string, with_ = options): Estimate {
  const found = estimatePoint(trials, with_).estimates.get(key);
  if (found === undefined) throw new Error(`no estimate ${key}`);
  return found;
}

const failedRound = (number: number): TrialSamples =>
  trial([request({ status: "failed", chunksAtMs: new Float64Array(0), endedAtMs: 5 })], {
    round: number,
  });

describe("means over rounds", () => {
  it("have no interval with one round", () => {
    expect(estimate([round(1, [10, 20])], "ttft.mean")).toMatchObject({
      value: 15,
      low: undefined,
      high: undefined,
      method: "none",
      n: 2,
      rounds: 1,
      starts: 1,
      cv: undefined,
      absence: { kind: "one_round" },
      unit: "ms",
    });
  });

  it("have a t interval from two rounds on", () => {
    // 100, 102, 104: m 102, s 2, t(.975, 2) = 4.302652729749462, half 4.9683...
    const found = estimate([round(1, [100]), round(2, [102]), round(3, [104])], "ttft.mean");
    expect(found).toMatchObject({
      value: 102,
      method: "t",
      rounds: 3,
      starts: 3,
      geometric: false,
    });
    expect(found.low).toBeCloseTo(102 - (4.302652729749462 * 2) / Math.sqrt(3), 9);
    expect(found.high).toBeCloseTo(102 + (4.302652729749462 * 2) / Math.sqrt(3), 9);
    expect(found.cv).toBeCloseTo(2 / 102, 12);
    expect(found.perRound).toEqual([
      { round: 1, value: 100 },
      { round: 2, value: 102 },
      { round: 3, value: 104 },
    ]);
    expect(found.medianRound).toBeUndefined();
  });

  it("have the interval of the median round too, from ten rounds on", () => {
    const ten = Array.from({ length: 10 }, (_, i) => round(i + 1, [100 + i]));
    expect(estimate(ten, "ttft.mean").medianRound).toEqual({ low: 101, high: 108 });
    expect(estimate(ten.slice(1), "ttft.mean").medianRound).toBeUndefined();
  });

  it("are geometric when the rounds are noisy", () => {
    // 100 and 400: geometric mean 200.
    const found = estimate([round(1, [100]), round(2, [400])], "ttft.mean");
    expect(found).toMatchObject({ geometric: true, method: "log_t" });
    expect(found.value).toBeCloseTo(200, 9);
    expect(found.low).toBeGreaterThan(0);
  });

  it("claim no width of zero when all rounds print the same", () => {
    expect(
      estimate([round(1, [100]), round(2, [100]), round(3, [100])], "ttft.mean"),
    ).toMatchObject({
      value: 100,
      low: undefined,
      high: undefined,
      method: "none",
      absence: { kind: "constant", decimals: 1 },
    });
  });

  it("average the repeats of a start before anything else", () => {
    // Starts 1: 10 and 30, mean 20; 2: 22, 22, mean 22. m = 21, s = sqrt 2, half = t(.975, 1) s / sqrt 2.
    const trials = [
      [1, 1, 10],
      [1, 2, 30],
      [2, 1, 22],
      [2, 2, 22],
    ].map(([number = 0, repeat = 0, ttft = 0]) => round(number, [ttft], { repeat }));
    const found = estimate(trials, "ttft.mean");
    expect(found.value).toBe(21);
    expect(found).toMatchObject({
      starts: 2,
      rounds: 2,
      perRound: [
        { round: 1, value: 20 },
        { round: 2, value: 22 },
      ],
    });
    expect(found.high).toBeCloseTo(21 + 12.706204736174694, 9);
    expect(estimatePoint(trials, options).facts).toMatchObject({
      units: { least: 2, most: 2 },
      repeatsPerUnit: 2,
    });
  });

  it("within one process go over rounds, or over repeats in one round", () => {
    const kept = [round(1, [100], { start: 1 }), round(2, [102], { start: 1 })];
    expect(estimate(kept, "ttft.mean")).toMatchObject({
      method: "t_repeats",
      starts: 1,
      rounds: 2,
    });
    expect(estimatePoint(kept, options).facts).toMatchObject({ engines: "one", unit: "round" });
    const attached = [round(1, [100], { start: 1 }), round(2, [102], { start: 1 })];
    expect(estimate(attached, "ttft.mean", { ...options, oneProcess: true })).toMatchObject({
      method: "t_repeats",
      starts: 1,
    });
    expect(estimatePoint([round(1, [100])], options).facts).toMatchObject({ engines: "fresh" });
    const repeats = [round(1, [100]), round(1, [102], { repeat: 2 })];
    expect(estimate(repeats, "ttft.mean")).toMatchObject({
      method: "t_repeats",
      value: 101,
      rounds: 1,
    });
    expect(estimatePoint(repeats, options).facts).toMatchObject({
      unit: "repeat",
      units: { least: 2, most: 2 },
    });
  });
});

describe("the starts behind an estimate", () => {
  it("of an engine that was kept are those that there were", () => {
    const kept = [
      round(1, [100], { start: 1 }),
      round(2, [102], { start: 1 }),
      round(3, [104], { start: 2 }),
    ];
    const meant = { ...options, oneProcess: true };
    // Over the three rounds, as with one start: half = t(.975, 2) 2 / sqrt 3.
    const found = estimate(kept, "ttft.mean", meant);
    expect(found).toMatchObject({ method: "t_repeats", starts: 2, rounds: 3 });
    expect(found.halfWidth).toBeCloseTo((4.302652729749462 * 2) / Math.sqrt(3), 9);
    expect(estimatePoint(kept, meant).facts).toMatchObject({
      engines: "several",
      starts: { least: 2, most: 2 },
      units: { least: 3, most: 3 },
      unit: "round",
    });
  });

  it("are counted where they have a value, as rounds are", () => {
    const point = estimatePoint([round(1, [100]), failedRound(2), round(3, [104])], options);
    expect(point.estimates.get("ttft.mean")).toMatchObject({ starts: 2, rounds: 2 });
    expect(point.facts).toMatchObject({ starts: { least: 2, most: 2 }, engines: "fresh" });
  });

  it("are what is counted where a round was finished by a second start", () => {
    const restarted = [
      round(1, [100], { start: 1 }),
      round(1, [102], { start: 2, repeat: 2 }),
      round(2, [104], { start: 3 }),
    ];
    expect(estimate(restarted, "ttft.mean")).toMatchObject({ method: "t", starts: 3, rounds: 2 });
    expect(estimatePoint(restarted, options).facts).toMatchObject({
      unit: "start",
      units: { least: 3, most: 3 },
      engines: "fresh",
    });
  });
});

describe("half of an interval's width", () => {
  it("is told where the interval is the same on both sides, and only there", () => {
    const plain = estimate([round(1, [100]), round(2, [102]), round(3, [104])], "ttft.mean");
    expect(plain.halfWidth).toBeCloseTo((plain.high ?? 0) - 102, 9);
    const noisy = estimate([round(1, [100]), round(2, [400])], "ttft.mean");
    expect(noisy.low).toBeDefined();
    expect(noisy.halfWidth).toBeUndefined();
    expect(estimate([round(1, [100])], "ttft.mean").halfWidth).toBeUndefined();
    const constant = estimate([round(1, [100]), round(2, [100])], "ttft.mean");
    expect(constant.halfWidth).toBeUndefined();
  });

  it("is not told of an interval that was cut off at 0 or, of a share, at 1", () => {
    // A hit rate of 0 in one round has no logarithm: mean 0.25, half 12.7 x 0.25 = 3.2, cut off at both.
    const cached = [0, 50].map((cachedTokens, i) =>
      trial([stream(0, { cachedTokens, inputTokens: 100 })], { round: i + 1 }),
    );
    const found = estimate(cached, "hit_rate");
    expect(found).toMatchObject({ value: 0.25, low: 0, high: 1, method: "t" });
    expect(found.halfWidth).toBeUndefined();
  });

  it("ends at the whole for a share of requests near 1", () => {
    // Limit 100 ms; of ten requests 10, 9 and 10 are within it: mean 0.9667, s 0.0577,
    // half 4.3027 x 0.0577 / sqrt 3 = 0.1434: [0.8232, 1.1101].
    const slow = [0, 1, 0].map((count, i) =>
      round(i + 1, [...Array.from({ length: 10 - count }, () => 50), ...(count > 0 ? [200] : [])]),
    );
    const slo = [{ metric: "ttft", percentile: 90, limitMs: 100 }] as const;
    const found = estimate(slow, "slo_share", { ...options, slo });
    expect(found.low).toBeCloseTo(0.8232, 4);
    expect(found).toMatchObject({ high: 1, halfWidth: undefined, method: "t" });
  });

  it("has the percentile that a limit is about, though it is not among those asked for", () => {
    const slo = [{ metric: "ttft", percentile: 75, limitMs: 100 }] as const;
    const keys = [...estimatePoint([round(1, [10])], { ...options, slo }).estimates.keys()].filter(
      (key) => key.endsWith(".p75"),
    );
    expect(keys).toEqual(["ttft.p75"]);
  });

  it("is told of a percentile only where the ranks reach no further than the rounds", () => {
    const spread = (from: number): number[] => Array.from({ length: 20 }, (_, i) => from + i / 20);
    const ranks = estimate([round(1, spread(100)), round(2, spread(100))], "ttft.p50");
    expect(ranks).toMatchObject({ method: "t_hull", halfWidth: undefined });
    const rounds = estimate([round(1, spread(100)), round(2, spread(104))], "ttft.p50");
    expect(rounds.method).toBe("t_hull");
    expect(rounds.halfWidth).toBeCloseTo(12.706204736174694 * 2, 9);
  });
});

describe("who counted the tokens", () => {
  it("is told of completed measured requests", () => {
    const counted = trial([
      stream(0),
      stream(100, { tokenSource: "tokenizer" }),
      stream(200, { tokenSource: "none", outputTokens: undefined }),
      stream(300, { tokenSource: "none", status: "failed" }),
      stream(400, { tokenSource: "tokenizer", phase: "warmup" }),
    ]);
    expect(estimatePoint([counted], options).tokenSources).toEqual({
      usage: 1,
      tokenizer: 1,
      none: 1,
    });
    expect(estimatePoint([], options).tokenSources).toEqual({ usage: 0, tokenizer: 0, none: 0 });
  });
});

describe("percentiles over rounds", () => {
  const spread = (base: number): number[] => Array.from({ length: 20 }, (_, i) => base + i);

  it("are absent below the floor, with the numbers", () => {
    expect(estimate([round(1, spread(100))], "ttft.p90")).toMatchObject({
      value: undefined,
      absence: { kind: "too_few_requests", have: 20, need: 36 },
      perRound: [{ round: 1 }],
    });
    expect(
      estimate([round(1, spread(100).slice(5)), round(2, spread(100))], "ttft.p90"),
    ).toMatchObject({
      value: undefined,
      absence: { kind: "rank_out_of_sample", have: 35, need: 36 },
    });
  });

  it("have a value and no interval with one round of enough requests", () => {
    expect(estimate([round(1, spread(100))], "ttft.p50")).toMatchObject({
      value: 109.5,
      low: undefined,
      absence: { kind: "one_round" },
    });
  });

  it("have the hull of rounds and ranks", () => {
    // Two equal rounds of 100..119: the t interval has no width. Pooled 40 values, each twice; ranks
    // of the median among 40 are 14 and 27: the 14th is 106, the 27th 113.
    expect(estimate([round(1, spread(100)), round(2, spread(100))], "ttft.p50")).toMatchObject({
      value: 109.5,
      low: 106,
      high: 113,
      method: "t_hull",
      n: 40,
    });
  });
});

describe("rounds in which nothing completed", () => {
  it("are listed and left out of the interval, not counted as zero", () => {
    const point = estimatePoint([round(1, [100]), failedRound(2), round(3, [102])], options);
    expect(point.estimates.get("ttft.mean")).toMatchObject({
      value: 101,
      rounds: 2,
      missingRounds: [{ round: 2, absence: { kind: "no_completed_request" } }],
    });
    expect(point.emptyTrials.map((one) => one.round)).toEqual([2]);
    expect(point.trials).toHaveLength(3);
    expect(point.facts.units).toEqual({ least: 2, most: 2 });
  });

  it("leave a point without a value and with the reason when they are all there is", () => {
    expect(estimate([failedRound(1), failedRound(2)], "qps")).toMatchObject({
      value: undefined,
      n: 0,
      rounds: 0,
      perRound: [],
      absence: { kind: "no_completed_request" },
    });
  });

  it("are no reason to fail when there is no trial at all", () => {
    const point = estimatePoint([], options);
    expect(point.estimates.get("ttft.p90")).toMatchObject({
      value: undefined,
      absence: { kind: "not_collected", why: "no_trial" },
    });
    expect(point.inputTokens).toBeUndefined();
  });
});

describe("estimates of any sample", () => {
  it("do not depend on the order of trials, contain their value, and are never NaN or infinite", () => {
    // A clock of a microsecond tells 0 or at least 0.001 ms.
    const ttftMs = fc.oneof(fc.constant(0), fc.double({ min: 0.001, max: 1e5, noNaN: true }));
    const trials = fc.array(fc.array(ttftMs, { maxLength: 12 }), { maxLength: 12 });
    fc.assert(
      fc.property(trials, (ttfts) => {
        const all = ttfts.map((one, i) => round(i + 1, one));
        const point = estimatePoint(all, options);
        expect(estimatePoint([...all].reverse(), options).estimates).toEqual(point.estimates);
        for (const one of point.estimates.values()) {
          for (const number of [one.value, one.low, one.high, one.cv]) {
            if (number !== undefined) expect(Number.isFinite(number)).toBe(true);
          }
          if (one.low !== undefined) {
            expect(one.low).toBeLessThanOrEqual((one.value ?? 0) * (1 + 1e-9));
            expect(one.high).toBeGreaterThanOrEqual((one.value ?? 0) * (1 - 1e-9));
          } else expect(one.absence).toBeDefined();
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe("the time of an engine's start", () => {
  it("is estimated over starts", () => {
    const found = estimateOverStarts(
      "startup",
      [1, 2, 3].map((start) => ({ round: start, start, value: 30 + start })),
    );
    expect(found).toMatchObject({
      metric: "startup",
      value: 32,
      method: "t",
      starts: 3,
      unit: "s",
    });
    expect(estimateOverStarts("startup", [])).toMatchObject({ value: undefined, n: 0 });
  });
});

describe("the catalogue", () => {
  it("has every id once, a text in both languages, and a definition id", () => {
    expect(new Set(metrics.map(({ id }) => id)).size).toBe(metrics.length);
    for (const metric of metrics) {
      for (const text of [metric.name, metric.formula]) {
        expect(text.zh).not.toBe("");
        expect(text.en).not.toBe("");
      }
    }
    const tpot = findMetric("tpot");
    expect(tpot && definitionId(tpot)).toBe("tpot@1");
    expect(findMetric("nonsense")).toBeUndefined();
  });

  it("knows every key that an estimate has", () => {
    for (const [key, found] of estimatePoint([], options).estimates) {
      expect(parseEstimateKey(key)?.metric.unit).toBe(found.unit);
    }
    expect(percentileKey("ttft", 99.9)).toBe("ttft.p99.9");
    expect(parseEstimateKey("ttft.p75")?.statistic).toEqual({ kind: "percentile", p: 0.75 });
    for (const key of ["ttft", "qps.mean", "nonsense.p90", "ttft.p"])
      expect(parseEstimateKey(key)).toBeUndefined();
  });

  it("has a text for every reason of an absence", () => {
    for (const why of Object.keys(absenceReasons)) {
      expect(absenceText({ kind: "not_defined", why }).zh).toMatch(/^没有定义：.{4}/);
      expect(absenceText({ kind: "not_collected", why }).en).toMatch(/^not collected: .{4}/);
    }
    expect(absenceText({ kind: "one_round" }).en).toBe("n/a (1 round)");
    expect(absenceText({ kind: "constant", decimals: 1 }).en).toBe(
      "±0 at the recorded precision (0.1)",
    );
    expect(absenceText({ kind: "rank_out_of_sample", have: 60, need: 368 }).zh).toContain("368");
    expect(absenceText({ kind: "not_collected", why: "no GPU" }).en).toBe("not collected: no GPU");
    expect(absenceText({ kind: "no_completed_request" }).zh).toBe("没有完成的请求");
  });
});
