import { describe, expect, it } from "vitest";
import { reading, stream, trial } from "./fixtures/trials.ts";
import type { TrialSamples } from "./samples.ts";
import { trialMetrics } from "./trial-metrics.ts";

type Readings = TrialSamples["engine"];
type Counts = Partial<Readings[number]>;

// One request, sent at 0, with its last output at 50 ms: a window of 0..50 ms. 100 prompt tokens.
const silent = [stream(0, { cachedTokens: undefined })];

function value(engine: Readings, key: string, requests = silent): unknown {
  const found = trialMetrics(trial(requests, { engine }), {
    percentiles: [50],
    slo: [],
  }).values.get(key);
  return found?.kind === "value" ? found.value : found?.absence;
}

const between = (before: Counts, after: Counts): Readings => [
  reading(-1, before),
  reading(60, after),
];

describe("the hit rate by the engine's counters", () => {
  it.each<[string, Counts, Counts, unknown]>([
    [
      "is of the trial, not of the engine's life",
      { prefixHitsTotal: 1000, prefixQueriesTotal: 4000 },
      { prefixHitsTotal: 1032, prefixQueriesTotal: 4100 },
      0.32,
    ],
    [
      "is 0 where nothing was found",
      { prefixHitsTotal: 512, prefixQueriesTotal: 1202 },
      { prefixHitsTotal: 512, prefixQueriesTotal: 41_216 },
      0,
    ],
    [
      "leaves out what a remote cache gave",
      { prefixHitsTotal: 0, prefixQueriesTotal: 0, promptTokensRemoteTotal: 0 },
      { prefixHitsTotal: 16, prefixQueriesTotal: 100, promptTokensRemoteTotal: 64 },
      0.16,
    ],
    [
      "comes from cached prompt tokens where look-ups are not counted",
      { promptTokensCachedTotal: 10, promptTokensTotal: 100 },
      { promptTokensCachedTotal: 60, promptTokensTotal: 300 },
      0.25,
    ],
    [
      "is not defined where the cache was not asked",
      { prefixHitsTotal: 5, prefixQueriesTotal: 9 },
      { prefixHitsTotal: 5, prefixQueriesTotal: 9 },
      { kind: "not_defined", why: "no_cache_query" },
    ],
    [
      "is not known where the engine was started again",
      { prefixHitsTotal: 1000, prefixQueriesTotal: 4000 },
      { prefixHitsTotal: 32, prefixQueriesTotal: 100 },
      { kind: "not_collected", why: "counter_reset" },
    ],
    ["is not known without counters", {}, {}, { kind: "not_collected", why: "no_cache_report" }],
  ])("%s", (_, before, after, expected) => {
    expect(value(between(before, after), "hit_rate_counters")).toEqual(expected);
    // Without usage it is the hit rate too.
    expect(value(between(before, after), "hit_rate")).toEqual(expected);
  });

  it("stands beside the one by usage, which is of the measured requests alone", () => {
    const requests = [stream(0, { cachedTokens: 48 }), stream(100, { cachedTokens: 16 })];
    const engine = [
      reading(-1, { prefixHitsTotal: 0, prefixQueriesTotal: 0 }),
      reading(200, { prefixHitsTotal: 64, prefixQueriesTotal: 400 }),
    ];
    expect(value(engine, "hit_rate", requests)).toBe(0.32);
    expect(value(engine, "hit_rate_counters", requests)).toBe(0.16);
  });

  it("is of nothing where nothing completed", () => {
    const failed = [stream(0, { status: "failed" })];
    const engine = between(
      { prefixHitsTotal: 0, prefixQueriesTotal: 0 },
      { prefixHitsTotal: 1, prefixQueriesTotal: 2 },
    );
    expect(value(engine, "hit_rate_counters", failed)).toEqual({ kind: "no_completed_request" });
  });
});

describe("computed and cached prefill without usage", () => {
  // Over the whole trial 50 of 400 tokens were cached, since the first wave found nothing; within the
  // window 50 of 100. Its one prompt of 100 tokens: 50 cached in 50 ms are 1000 token/s.
  const counts = (cached: number, prompt: number): Counts => ({
    promptTokensCachedTotal: cached,
    promptTokensTotal: prompt,
  });

  it("take the share of the window, where the first wave does not blur it", () => {
    const engine = [
      reading(-9, counts(0, 0)),
      reading(1, counts(0, 300)),
      reading(49, counts(50, 400)),
      reading(60, counts(50, 400)),
    ];
    expect(value(engine, "prompt_tps_cached")).toBeCloseTo(1000, 9);
    expect(value(engine, "prompt_tps_computed")).toBeCloseTo(1000, 9);
  });

  it("take the share of the trial where the window has no two readings", () => {
    const engine = [reading(-9, counts(0, 0)), reading(60, counts(50, 400))];
    // 12.5 of 100 tokens in 50 ms.
    expect(value(engine, "prompt_tps_cached")).toBeCloseTo(250, 9);
    expect(value(engine, "prompt_tps_computed")).toBeCloseTo(1750, 9);
  });

  it("count what a remote cache gave as cached", () => {
    const engine = [
      reading(-9, { ...counts(0, 0), prefixHitsTotal: 0, prefixQueriesTotal: 0 }),
      reading(60, { ...counts(80, 100), prefixHitsTotal: 16, prefixQueriesTotal: 100 }),
    ];
    expect(value(engine, "prompt_tps_cached")).toBeCloseTo(1600, 9);
    expect(value(engine, "hit_rate_counters")).toBe(0.16);
  });

  it("are not known where the engine was started again", () => {
    const engine = [reading(-9, counts(50, 400)), reading(60, counts(0, 100))];
    expect(value(engine, "prompt_tps_cached")).toEqual({
      kind: "not_collected",
      why: "counter_reset",
    });
  });

  it("come from usage where requests have it, whatever the counters say", () => {
    const engine = [reading(-9, counts(0, 0)), reading(60, counts(100, 100))];
    expect(value(engine, "prompt_tps_cached", [stream(0, { cachedTokens: 0 })])).toBe(0);
  });
});

describe("speculative decoding", () => {
  it("has a length and a rate of acceptance, of the trial alone", () => {
    // 50 drafts of 4 tokens, 90 accepted: 1 + 90 / 50 = 2.8 tokens a step; 90 / 200 = 0.45.
    const engine = between(
      { draftsTotal: 10, draftTokensTotal: 40, acceptedTokensTotal: 40 },
      { draftsTotal: 60, draftTokensTotal: 240, acceptedTokensTotal: 130 },
    );
    expect(value(engine, "spec_acceptance_length")).toBe(2.8);
    expect(value(engine, "spec_acceptance_rate")).toBe(0.45);
  });

  it("has a rate alone where drafts are not counted, as in vLLM V0", () => {
    const engine = between(
      { draftTokensTotal: 0, acceptedTokensTotal: 0 },
      { draftTokensTotal: 200, acceptedTokensTotal: 90 },
    );
    expect(value(engine, "spec_acceptance_rate")).toBe(0.45);
    expect(value(engine, "spec_acceptance_length")).toEqual({
      kind: "not_collected",
      why: "no_draft_counter",
    });
  });

  it("has neither where nothing was drafted, or the engine restarted", () => {
    const still = { draftsTotal: 5, draftTokensTotal: 5, acceptedTokensTotal: 5 };
    const zero = { draftsTotal: 0, draftTokensTotal: 0, acceptedTokensTotal: 0 };
    for (const key of ["spec_acceptance_length", "spec_acceptance_rate"]) {
      expect(value(between(still, still), key)).toEqual({ kind: "not_defined", why: "no_draft" });
      expect(value(between(still, zero), key)).toEqual({
        kind: "not_collected",
        why: "counter_reset",
      });
    }
  });
});
