import { describe, expect, it } from "vitest";
import { cacheSummary } from "./cache-summary.ts";
import { reading, stream, trial } from "./fixtures/trials.ts";

// Two requests of 100 prompt and 5 output tokens each, 48 and 16 of them cached; the last ends at 150 ms.
const requests = [stream(0, { cachedTokens: 48 }), stream(100, { cachedTokens: 16 })];
const counted = (hits: number, queries: number, output = 10) => [
  reading(-1, {
    prefixHitsTotal: 1000,
    prefixQueriesTotal: 4000,
    promptTokensTotal: 4000,
    generationTokensTotal: 90,
  }),
  reading(200, {
    prefixHitsTotal: 1000 + hits,
    prefixQueriesTotal: 4000 + queries,
    promptTokensTotal: 4000 + queries,
    generationTokensTotal: 90 + output,
  }),
];

describe("cacheSummary", () => {
  it("adds hits and look-ups of all trials, by the counters and by usage", () => {
    const trials = [
      trial(requests, { engine: counted(64, 200) }),
      trial(requests, { round: 2, engine: counted(32, 200) }),
    ];
    expect(cacheSummary(trials)).toMatchObject({
      trials: 2,
      counters: { kind: "counted", hits: 96, asked: 400, trials: 2 },
      usage: { hits: 128, asked: 400, trials: 2 },
      promptTokens: { kind: "compared", client: { low: 400, high: 400 }, server: 400, off: 0 },
      outputTokens: { kind: "compared", client: { low: 20, high: 20 }, server: 20, off: 0 },
    });
  });

  it("says how far the server is off, above and below", () => {
    const off = (queries: number, output: number): unknown => {
      const { promptTokens, outputTokens } = cacheSummary([
        trial(requests, { engine: counted(0, queries, output) }),
      ]);
      return [promptTokens, outputTokens].map((tokens) => "off" in tokens && tokens.off);
    };
    expect(off(230, 7)).toEqual([30, -3]);
  });

  it("takes a cut-off request as a range, in which nothing is off", () => {
    const cut = stream(120, {
      status: "cancelled",
      phase: "filler",
      plannedInputTokens: 100,
      plannedOutputTokens: 5,
      endedAtMs: 160,
    });
    const summary = cacheSummary([trial([...requests, cut], { engine: counted(0, 300, 12) })]);
    expect(summary.promptTokens).toMatchObject({ client: { low: 200, high: 300 }, off: 0 });
    expect(summary.outputTokens).toMatchObject({ client: { low: 10, high: 15 }, off: 0 });
  });

  it("counts what became of the requests to empty the cache", () => {
    const { resets } = cacheSummary([
      trial(requests, { cacheReset: "done" }),
      trial(requests, { cacheReset: "failed" }),
      trial(requests, { cacheReset: "done" }),
      trial(requests),
    ]);
    expect(resets).toEqual({ done: 2, not_offered: 0, failed: 1, not_asked: 1 });
  });

  it("names why nothing was counted, a restart first", () => {
    const silent = trial([stream(0, { cachedTokens: undefined })]);
    expect(cacheSummary([silent])).toMatchObject({
      counters: { kind: "unread" },
      usage: undefined,
      promptTokens: { kind: "unknown", why: "no_counter" },
    });
    expect(cacheSummary([trial(requests, { engine: counted(0, 0) })]).counters).toEqual({
      kind: "still",
    });
    const restarted = trial(requests, { engine: [...counted(8, 16)].reverse() });
    expect(cacheSummary([silent, restarted]).counters).toEqual({ kind: "reset" });
  });

  it("adds the trials that tell, and says how many they are", () => {
    const summary = cacheSummary([trial(requests, { engine: counted(64, 200) }), trial(requests)]);
    expect(summary.counters).toEqual({ kind: "counted", hits: 64, asked: 200, trials: 1 });
    expect(summary.trials).toBe(2);
  });
});
