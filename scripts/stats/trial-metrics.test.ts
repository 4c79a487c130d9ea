import { describe, expect, it } from "vitest";
import { reading, request, stream, trial } from "./fixtures/trials.ts";
import type { TrialSamples } from "./samples.ts";
import { type TrialMetricsOptions, trialMetrics } from "./trial-metrics.ts";

const options: TrialMetricsOptions = { percentiles: [50, 90], slo: [] };

function value(samples: TrialSamples, key: string, with_ = options): unknown {
  const found = trialMetrics(samples, with_).values.get(key);
  return found?.kind === "value" ? found.value : found?.absence;
}

// Four measured requests one after another, 100 ms apart, each 5 tokens: TTFT 10, 20, 30, 40 ms and
// gaps of 10 ms, so E2E 50, 60, 70, 80 and TPOT 10. Window 0..380 (end of the last).
const plain = trial([10, 20, 30, 40].map((ttftMs, i) => stream(100 * i, { ttftMs })));

describe("metrics of a trial", () => {
  it("are means and type-7 percentiles of the requests", () => {
    expect(value(plain, "ttft.mean")).toBe(25);
    expect(value(plain, "ttft.p50")).toBe(25);
    // h = 3 x 0.9 = 2.7: 30 + 0.7 x 10
    expect(value(plain, "ttft.p90")).toBeCloseTo(37, 12);
    expect(value(plain, "e2e.mean")).toBe(65);
    expect(value(plain, "tpot.mean")).toBe(10);
    expect(value(plain, "client_delay.mean")).toBe(0);
    expect(value(plain, "itl.mean")).toBe(10);
  });

  it("are rates over the window", () => {
    // 4 completions and 20 tokens in 0.38 s; in flight 50 + 60 + 70 + 80 = 260 of 380 ms.
    expect(value(plain, "qps")).toBeCloseTo(4 / 0.38, 12);
    expect(value(plain, "output_tps")).toBeCloseTo(20 / 0.38, 12);
    expect(value(plain, "concurrency_achieved")).toBeCloseTo(260 / 380, 12);
    expect(value(plain, "idle_share")).toBeCloseTo(120 / 380, 12);
    // 4 prompts of 100 tokens, none cached.
    expect(value(plain, "prompt_tps_computed")).toBeCloseTo(400 / 0.38, 12);
    expect(value(plain, "prompt_tps_cached")).toBe(0);
  });

  it("take speeds as ratios of means", () => {
    // 100 tokens / 25 ms mean TTFT; 1000 / 10 ms TPOT
    expect(value(plain, "prompt_tps_request")).toBeCloseTo(4000, 9);
    expect(value(plain, "decode_tps")).toBeCloseTo(100, 12);
    expect(value(plain, "tps_per_user")).toBeCloseTo(100, 12);
  });

  it("keep the mean of TPOT and the ratio of sums apart", () => {
    // 2 tokens 100 ms apart: TPOT 100. 11 tokens 10 ms apart: TPOT 10. Mean 55; (100 + 100) / (1 + 10).
    const mixed = trial([stream(0, { tokens: 2, gapMs: 100 }), stream(200, { tokens: 11 })]);
    expect(value(mixed, "tpot.mean")).toBe(55);
    expect(value(mixed, "tpot_ratio")).toBeCloseTo(200 / 11, 12);
  });

  it("say how many tokens a chunk holds and how many chunks came together", () => {
    const chunky = trial([request({ outputTokens: 10, coalescedChunks: 2 })]);
    expect(value(chunky, "chunks_per_token")).toBe(0.5);
    expect(value(chunky, "coalesced_share")).toBe(0.4);
  });

  it("count unique prompts and actual tokens", () => {
    const twins = [
      stream(0, { promptDigest: "a" }),
      stream(100, { promptDigest: "a", inputTokens: 104 }),
    ];
    const metrics = trialMetrics(trial(twins), options);
    expect(metrics.uniquePrompts).toBe(1);
    // type-7 p99 of [100, 104]: 100 + 0.99 x 4
    expect(metrics.inputTokens).toEqual({
      requests: 2,
      min: 100,
      mean: 102,
      p99: 103.96,
      max: 104,
    });
  });
});

describe("failures", () => {
  const refused = request({
    status: "failed",
    sentAtMs: undefined,
    chunksAtMs: new Float64Array(0),
    endedAtMs: 5,
  });
  const late = request({
    status: "timedOut",
    sentAtMs: 5,
    endedAtMs: 105,
    outputTokens: undefined,
  });

  it("are counted by status and leave the latencies to those that completed", () => {
    const metrics = trialMetrics(trial([refused, late, stream(110)]), options);
    expect(metrics.failures).toEqual({
      rejected: 0,
      truncated: 0,
      timedOut: 1,
      failed: 1,
      cancelled: 0,
    });
    expect(metrics).toMatchObject({ measured: 3, completed: 1 });
    expect(metrics.values.get("ttft.mean")).toEqual({ kind: "value", value: 10, requests: 1 });
  });

  it("of all requests leave no latency and no rate, never a zero", () => {
    for (const key of [
      "ttft.mean",
      "e2e.p90",
      "tpot.mean",
      "itl.mean",
      "qps",
      "output_tps",
      "decode_tps",
      "prompt_tps_request",
      "hit_rate",
      "chunks_per_token",
    ]) {
      expect(value(trial([refused, late]), key)).toEqual({ kind: "no_completed_request" });
    }
  });

  it("are never good", () => {
    const slo = [{ metric: "e2e", percentile: 90, limitMs: 60 } as const];
    const withSlo = { ...options, slo };
    // E2E 50, 60, 70, 80: two of four within 60 ms; with a failure two of five.
    expect(value(plain, "slo_share", withSlo)).toBe(0.5);
    expect(value(plain, "goodput", withSlo)).toBeCloseTo(2 / 0.38, 12);
    expect(value(trial([...plain.requests, late]), "slo_share", withSlo)).toBe(0.4);
    expect(value(plain, "goodput")).toEqual({ kind: "not_defined", why: "no_slo" });
  });
});

describe("what is not known", () => {
  it("says that no output came where requests completed without any", () => {
    const silent = trial([request({ chunksAtMs: new Float64Array(0), endedAtMs: 40 })]);
    expect(value(silent, "ttft.mean")).toEqual({ kind: "not_defined", why: "no_output" });
    expect(value(silent, "qps")).toBeCloseTo(25, 12);
  });

  it("gives no throughput where a completed request has no token count", () => {
    const uncounted = trial([request({ outputTokens: undefined })]);
    expect(value(uncounted, "output_tps")).toEqual({
      kind: "not_collected",
      why: "no_token_count",
    });
    expect(value(uncounted, "tpot.mean")).toEqual({ kind: "not_defined", why: "no_output_gap" });
  });

  it("takes the hit rate from usage, else from counters, else says why not", () => {
    const cached = trial([stream(0, { cachedTokens: 25 }), stream(100, { cachedTokens: 75 })]);
    expect(value(cached, "hit_rate")).toBe(0.5);
    const silent = [stream(0, { cachedTokens: undefined })];
    const counters = (hits: number, queries: number): TrialSamples["engine"] => [
      reading(0, { prefixHitsTotal: 1000, prefixQueriesTotal: 4000 }),
      reading(40, { prefixHitsTotal: 1000 + hits, prefixQueriesTotal: 4000 + queries }),
    ];
    expect(value(trial(silent, { engine: counters(30, 100) }), "hit_rate")).toBe(0.3);
    // 100 prompt tokens in a window of 50 ms, 30 % of them cached.
    expect(value(trial(silent, { engine: counters(30, 100) }), "prompt_tps_cached")).toBeCloseTo(
      600,
      9,
    );
    expect(value(trial(silent, { engine: counters(0, 0) }), "hit_rate")).toEqual({
      kind: "not_defined",
      why: "no_cache_query",
    });
    expect(value(trial(silent, { engine: counters(0, 0) }), "prompt_tps_computed")).toBeCloseTo(
      2000,
      9,
    );
    expect(value(trial(silent, { engine: counters(-9, -9) }), "hit_rate")).toEqual({
      kind: "not_collected",
      why: "counter_reset",
    });
    expect(value(trial(silent), "hit_rate")).toEqual({
      kind: "not_collected",
      why: "no_cache_report",
    });
    expect(value(trial(silent), "prompt_tps_computed")).toEqual({
      kind: "not_collected",
      why: "no_cache_report",
    });
  });

  it("averages the engine's gauges inside the window only", () => {
    const engine = [
      reading(-5, { running: 99 }),
      reading(10, { running: 2, waiting: 1 }),
      reading(40, { running: 4, waiting: 0 }),
      reading(60, { running: 99 }),
    ];
    expect(value(trial([stream(0)], { engine }), "concurrency_running")).toBe(3);
    expect(value(trial([stream(0)], { engine }), "concurrency_waiting")).toBe(0.5);
    expect(value(plain, "concurrency_waiting")).toEqual({
      kind: "not_collected",
      why: "no_engine_gauge",
    });
  });

  it("reports the cold burst of the first c warm-up requests, and only of a whole wave", () => {
    const warm = [90, 110, 10].map((ttftMs, i) => stream(i, { ttftMs, phase: "warmup" }));
    expect(value(trial([...warm, stream(300)], { plannedConcurrency: 2 }), "cold_burst")).toBe(100);
    expect(value(trial([...warm, stream(300)], { plannedConcurrency: 4 }), "cold_burst")).toEqual({
      kind: "not_defined",
      why: "no_cold_burst",
    });
    expect(value(trial([stream(0)], { plannedConcurrency: undefined }), "idle_share")).toEqual({
      kind: "not_defined",
      why: "no_planned_concurrency",
    });
  });

  it("has no rate over a window of no length", () => {
    const instant = trial([request({ chunksAtMs: new Float64Array(0), endedAtMs: 0 })]);
    for (const key of ["qps", "concurrency_achieved", "concurrency_running"]) {
      expect(value(instant, key)).toEqual({ kind: "not_defined", why: "no_window" });
    }
  });
});

describe("metrics of an open loop", () => {
  // Due and sent every 100 ms from 0 to 700, window 0..600 (first filler); each takes 50 ms, from the
  // fourth on 250 ms.
  const arrivals = trial(
    Array.from({ length: 8 }, (_, i) =>
      stream(100 * i, {
        gapMs: i < 3 ? 10 : 60,
        phase: i < 6 ? "measured" : "filler",
      }),
    ),
    { plannedConcurrency: undefined },
  );

  it("set what arrived beside what completed", () => {
    expect(value(arrivals, "offered_rate")).toBe(10);
    // Ends: 50, 150, 250, then 550 (300 + 10 + 4 x 60); 650 and later are outside.
    expect(value(arrivals, "qps")).toBeCloseTo(4 / 0.6, 12);
  });

  it("say how the requests in flight grew over the window", () => {
    // First quarter 0..150: 50 + 50 of 150. Last 450..600: 100 of the fourth, 150 of the fifth, 100 of the sixth.
    expect(value(arrivals, "in_flight_growth")).toBeCloseTo(350 / 150 - 100 / 150, 12);
  });

  it("have no idle slots and no first wave, and a closed loop has no rate of arrival", () => {
    const none = { kind: "not_defined", why: "no_planned_concurrency" };
    expect(value(arrivals, "idle_share")).toEqual(none);
    expect(value(arrivals, "cold_burst")).toEqual(none);
    for (const key of ["offered_rate", "in_flight_growth"])
      expect(value(plain, key)).toEqual({ kind: "not_defined", why: "closed_loop" });
  });

  it("count as good what completed in the window within its limits", () => {
    const slo = [{ metric: "e2e", percentile: 90, limitMs: 100 }] as const;
    // Of the four completions three took 50 ms.
    expect(value(arrivals, "goodput", { ...options, slo })).toBeCloseTo(3 / 0.6, 12);
  });
});
