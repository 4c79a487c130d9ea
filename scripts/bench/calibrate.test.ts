import { describe, expect, it } from "vitest";
import { errorsOf, runFlood, runPass } from "./calibrate.ts";
import type { ClientReading, RequestRecord } from "./request-record.ts";

const client: ClientReading = {
  threads: 1,
  cpuShare: 0.1,
  eventLoopDelayP99Ms: 1,
  eventLoopDelayMaxMs: 1,
  gcPauseTotalMs: 0,
};

const record = (promptDigest: string, chunks: readonly number[]): RequestRecord => ({
  index: 0,
  phase: "measured",
  status: "completed",
  dueAtMs: 0,
  sentAtMs: 10,
  headersAtMs: 11,
  chunksAtMs: Float64Array.from(chunks),
  coalescedChunks: 1,
  endedAtMs: 100,
  usage: { promptTokens: 1, completionTokens: 3, cachedTokens: undefined },
  finishReason: "length",
  plannedInputTokens: 1,
  plannedOutputTokens: 3,
  promptDigest,
});

const truth = (id: string, arrivedAtMs: number, sent: readonly number[]) => ({
  id,
  arrivedAtMs,
  sentAtMs: Float64Array.from(sent),
  tokens: sent.length,
  abandoned: false,
});

describe("errorsOf", () => {
  it("is what the client stamped less what the server wrote, from the common zero", () => {
    // Zero at 1000: chunks stamped at 1050, 1060.5 and 1070 were written at 1049.75, 1060 and 1069.5;
    // the request was stamped at 1010 and read at 1010.25.
    const told = { records: [record("a", [50, 60.5, 70])], zeroMs: 1000, client };
    const errors = errorsOf(told, { requests: [truth("a", 1010.25, [1049.75, 1060, 1069.5])] });
    expect([...errors.events]).toEqual([0.25, 0.5, 0.5]);
    expect([...errors.gaps]).toEqual([0.25, 0]);
    // Told 40 ms; true 1049.75 - 1010.25 = 39.5 ms.
    expect([...errors.ttfts]).toEqual([0.5]);
    expect([...errors.startLags]).toEqual([0.25]);
    expect(errors.coalesced).toBe(1);
  });

  it("refuses to compare what is not the same", () => {
    const told = { records: [record("a", [50, 60])], zeroMs: 1000, client };
    expect(() => errorsOf(told, { requests: [truth("a", 1010, [1049])] })).toThrow(
      "request a: 2 chunks came of 1 that were written",
    );
    expect(() => errorsOf(told, { requests: [] })).toThrow("of 0 that were written");
    expect(() => errorsOf({ ...told, records: [] }, { requests: [] })).toThrow(
      "measured no request",
    );
  });
});

describe("a pass", () => {
  it.each(["uniform", "burst"] as const)(
    "holds every event to the truth at a %s pace",
    async (pace) => {
      const { events, gaps, ttfts } = await runPass({
        pace,
        load: { streams: 4, ratePerS: 100 },
        threads: 1,
        // Threads that never sleep see the same.
        poll: pace === "burst",
        seconds: 0.2,
        signal: new AbortController().signal,
      });
      expect(ttfts.length).toBeGreaterThan(0);
      expect(gaps.length).toBe(events.length - ttfts.length);
      // Nothing is stamped before it was written; 0.1 ms for two clocks that are read apart.
      expect(Math.min(...events)).toBeGreaterThan(-0.1);
    },
  );

  it("counts what the client takes from a flood", async () => {
    const signal = new AbortController().signal;
    expect(await runFlood({ threads: 1, signal, events: 20_000 })).toBeGreaterThan(1000);
  });

  it("ends early when it is told to", async () => {
    const pass = runPass({
      pace: "uniform",
      load: { streams: 1, ratePerS: 10 },
      threads: 1,
      poll: false,
      seconds: 60,
      signal: AbortSignal.abort(new Error("stopped")),
    });
    await expect(pass).rejects.toThrow("the calibration was ended: stopped");
  });
});
