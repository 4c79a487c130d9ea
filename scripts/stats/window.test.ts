import { describe, expect, it } from "vitest";
import { request, stream, trial } from "./fixtures/trials.ts";
import { requestMetrics } from "./request-metrics.ts";
import {
  achievedConcurrency,
  arrivalsIn,
  completionsIn,
  endsUnderLoad,
  throughputWindow,
  windowSeconds,
  windowTokensOf,
} from "./window.ts";

describe("latencies of one request", () => {
  it("are first - sent, last - sent, and their difference over n - 1", () => {
    // due 5, sent 10, first 60, last 360, 7 tokens in 3 chunks: (350 - 50) / 6 = 50
    const one = request({
      dueAtMs: 5,
      sentAtMs: 10,
      chunksAtMs: Float64Array.of(60, 200, 360),
      outputTokens: 7,
    });
    expect(requestMetrics(one)).toEqual({ ttftMs: 50, e2eMs: 350, tpotMs: 50, clientDelayMs: 5 });
  });

  it("have no TPOT with one token, with an unknown count, and when all tokens came in one chunk", () => {
    const one = request({ chunksAtMs: Float64Array.of(10) });
    const unknown = request({ outputTokens: undefined });
    const atOnce = request({ chunksAtMs: Float64Array.of(10), outputTokens: 5 });
    const sameStamp = request({ chunksAtMs: Float64Array.of(10, 10, 10) });
    for (const sample of [one, unknown, atOnce, sameStamp]) {
      expect(requestMetrics(sample).tpotMs).toBeUndefined();
      expect(requestMetrics(sample).ttftMs).toBe(10);
    }
  });

  it("are undefined, not zero, for a failed request and for one without output", () => {
    const none = { ttftMs: undefined, e2eMs: undefined, tpotMs: undefined, clientDelayMs: 0 };
    expect(requestMetrics(request({ status: "truncated" }))).toEqual(none);
    expect(requestMetrics(request({ chunksAtMs: new Float64Array(0) }))).toEqual(none);
    expect(requestMetrics(request({ status: "failed", sentAtMs: undefined }))).toEqual({
      ...none,
      clientDelayMs: undefined,
    });
  });
});

// Two streams, requests of 50 ms each, back to back:
//   slot A: warm-up 0-50, measured 50-100, measured 100-150, filler 150-
//   slot B: warm-up 20-70, measured 70-120, filler 120-
const twoStreams = trial(
  [
    stream(0, { phase: "warmup" }),
    stream(20, { phase: "warmup" }),
    stream(50),
    stream(70),
    stream(100),
    stream(120, { phase: "filler" }),
    request({
      phase: "filler",
      status: "cancelled",
      sentAtMs: 150,
      chunksAtMs: Float64Array.of(160),
      endedAtMs: 170,
      outputTokens: undefined,
    }),
  ],
  { plannedConcurrency: 2 },
);

describe("the throughput window", () => {
  it("of a handover runs from the first measured dispatch to the first filler's", () => {
    expect(throughputWindow(twoStreams)).toEqual({ fromMs: 50, toMs: 120 });
  });

  it("runs to the end of the last measured request at one stream, or without fillers", () => {
    const one = { ...twoStreams, plannedConcurrency: 1 };
    const noFillers = { ...twoStreams, requests: twoStreams.requests.slice(0, 5) };
    expect(throughputWindow(one)).toEqual({ fromMs: 50, toMs: 150 });
    expect(throughputWindow(noFillers)).toEqual({ fromMs: 50, toMs: 150 });
  });

  it("counts the drain when fixed", () => {
    expect(throughputWindow({ ...twoStreams, window: "fixed" })).toEqual({ fromMs: 50, toMs: 150 });
  });

  it("starts when a request was due where none was sent", () => {
    const unsent = trial([
      request({ status: "failed", sentAtMs: undefined, dueAtMs: 3, endedAtMs: 9 }),
    ]);
    expect(throughputWindow(unsent)).toEqual({ fromMs: 3, toMs: 9 });
  });

  it("of an open loop runs from when the first measured request was due to when the first filler was", () => {
    // Sent late, and in another order than due: that moves nothing.
    const open = trial(
      [
        stream(0, { phase: "warmup" }),
        stream(130, { dueAtMs: 100 }),
        stream(120, { dueAtMs: 110 }),
        stream(260, { dueAtMs: 200, phase: "filler" }),
        stream(230, { dueAtMs: 220, phase: "filler" }),
      ],
      { plannedConcurrency: undefined },
    );
    expect(throughputWindow(open)).toEqual({ fromMs: 100, toMs: 200 });
    expect(endsUnderLoad(open)).toBe(true);
    // Due at 100 and 110; the one at 200 belongs to what follows.
    expect(arrivalsIn(open, { fromMs: 100, toMs: 200 })).toBe(2);
    const drained = { ...open, requests: open.requests.slice(0, 3) };
    expect(throughputWindow(drained)).toEqual({ fromMs: 100, toMs: 180 });
    expect(endsUnderLoad(drained)).toBe(false);
    expect(throughputWindow({ ...open, window: "fixed" })).toEqual({ fromMs: 120, toMs: 180 });
  });

  it("does not exist where nothing was measured or no time passed", () => {
    expect(throughputWindow(trial([]))).toBeUndefined();
    expect(throughputWindow(trial([stream(0, { phase: "warmup" })]))).toBeUndefined();
    expect(throughputWindow(trial([request({ endedAtMs: 0 })]))).toBeUndefined();
  });
});

const window = { fromMs: 50, toMs: 120 };

describe("what happened in a window", () => {
  it("counts completions after its start and up to its end, whatever their phase", () => {
    // Ends: 50 (at the start: not in), 70 (warm-up), 100, 120 (at the end: in), 150.
    expect(completionsIn(twoStreams, window).map((one) => one.endedAtMs)).toEqual([70, 100, 120]);
    expect(windowSeconds(window)).toBe(0.07);
  });

  it("has both slots busy all the time: achieved concurrency 2", () => {
    // In flight within 50..120: 20-70: 20; 50-100: 50; 70-120: 50; 100-150: 20. Sum 140 / 70 = 2.
    expect(achievedConcurrency(twoStreams, window)).toBeCloseTo(2, 12);
  });

  it("counts a request that never completed while it was open, and none that was not sent", () => {
    // 60-90 is open for 30 of 70 ms.
    const failed = request({ status: "timedOut", sentAtMs: 60, endedAtMs: 90 });
    const unsent = request({ status: "failed", sentAtMs: undefined, endedAtMs: 100 });
    expect(achievedConcurrency(trial([failed, unsent]), window)).toBeCloseTo(30 / 70, 12);
  });

  it("counts a request's tokens by its chunks inside", () => {
    // Chunks at 40, 60, 80, 120, 130: 60, 80, 120 inside, 3 of 5.
    const chunksAtMs = Float64Array.of(40, 60, 80, 120, 130);
    expect(windowTokensOf(request({ chunksAtMs }), window)).toBe(3);
    // Ten tokens in those five chunks: two each.
    expect(windowTokensOf(request({ chunksAtMs, outputTokens: 10 }), window)).toBe(6);
    // A chunk at the very start belongs to what came before.
    expect(windowTokensOf(request({ chunksAtMs: Float64Array.of(50) }), window)).toBe(0);
  });

  it("counts all tokens of a request without output chunks at its end, and none where they are unknown", () => {
    const none = { chunksAtMs: new Float64Array(0), outputTokens: 4 };
    expect(windowTokensOf(request({ ...none, endedAtMs: 100 }), window)).toBe(4);
    expect(windowTokensOf(request({ ...none, endedAtMs: 130 }), window)).toBe(0);
    const failed = request({
      status: "failed",
      outputTokens: undefined,
      chunksAtMs: Float64Array.of(60),
    });
    expect(windowTokensOf(failed, window)).toBe(0);
  });

  it("loses and invents no token when windows are laid end to end", () => {
    const one = request({ chunksAtMs: Float64Array.of(40, 50, 60, 120, 121), outputTokens: 11 });
    const windows = [{ fromMs: 0, toMs: 50 }, window, { fromMs: 120, toMs: 200 }];
    const tokens = windows.map((part) => windowTokensOf(one, part));
    expect(tokens.reduce((a, b) => a + b)).toBeCloseTo(11, 12);
  });
});
