import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { numberedRequests, runVirtually, type VirtualLoad } from "../testing/virtual-load.ts";
import { arrivalTimes } from "../workload/arrivals.ts";
import type { RequestRecord } from "./request-record.ts";

const every100Ms = { kind: "rate", requestRatePerS: 10, arrivals: { kind: "constant" } } as const;
const poisson = { kind: "rate", requestRatePerS: 50, arrivals: { kind: "poisson" } } as const;
const count = (requests: number) => ({ kind: "count", requests }) as const;
const complete = { kind: "complete" };
const varied = (prompt: number): number => 50 + ((prompt * 73.1) % 130);

const byIndex = (records: readonly RequestRecord[]) =>
  [...records].sort((a, b) => a.index - b.index);
const told = (records: readonly RequestRecord[]) =>
  byIndex(records).map(
    ({ index, phase, status, dueAtMs }) => `${index} ${dueAtMs} ${phase} ${status}`,
  );

describe("runOpenLoop", () => {
  it("sends when it is due, however long answers take, and cancels what is filler at the end", async () => {
    const { records, ends } = await runVirtually({
      input: { load: every100Ms, measured: count(3), warmupRequests: 1 },
      answerMs: () => 250,
    });
    // The last measured one, due at 300, ends at 550.
    expect(told(records)).toEqual([
      "0 0 warmup completed",
      "1 100 measured completed",
      "2 200 measured completed",
      "3 300 measured completed",
      "4 400 filler cancelled",
      "5 500 filler cancelled",
    ]);
    expect(records.every(({ sentAtMs, dueAtMs }) => sentAtMs === dueAtMs)).toBe(true);
    expect(ends[0]).toMatchObject({ outcome: complete, endedAtMs: 550 });
  });

  it("stays until its window ends when all were answered before, and marks that end with a filler", async () => {
    const { records, ends } = await runVirtually({
      input: { load: every100Ms, measured: count(2) },
      answerMs: () => 5,
    });
    expect(told(records)).toEqual([
      "0 0 measured completed",
      "1 100 measured completed",
      "2 200 filler cancelled",
    ]);
    expect(ends[0]).toMatchObject({ outcome: complete, endedAtMs: 200 });
  });

  it("sends at the times that the arrivals of its seed have", async () => {
    const { records } = await runVirtually({
      input: { load: poisson, measured: count(40), seed: "a" },
      answerMs: varied,
    });
    const times = arrivalTimes(poisson, { seed: "a" });
    for (const { dueAtMs, sentAtMs } of byIndex(records).slice(0, 40)) {
      expect(dueAtMs).toBe(times.next().value);
      expect(sentAtMs).toBeCloseTo(dueAtMs, 9);
    }
  });

  it("sends the same requests at the same times in 1, 2 and 4 threads", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(2, 4),
        fc.constantFrom(
          poisson,
          { ...poisson, arrivals: { kind: "burst", size: 3 } } as const,
          { ...poisson, arrivals: { kind: "gamma", shape: 0.5 } } as const,
        ),
        fc.constantFrom(count(20), { kind: "duration", durationMs: 400 } as const),
        fc.nat(8),
        async (threads, load, measured, warmupRequests) => {
          const trial: VirtualLoad = {
            input: { load, measured, warmupRequests },
            answerMs: varied,
          };
          const alone = await runVirtually(trial);
          const shared = await runVirtually({ ...trial, threads });
          const sent = (records: readonly RequestRecord[]) =>
            byIndex(records)
              .filter(({ phase }) => phase !== "filler")
              .map(({ index, phase, dueAtMs, sentAtMs, promptDigest, status }) => ({
                index,
                phase,
                dueAtMs,
                sentAtMs,
                promptDigest,
                status,
              }));
          expect(shared.ends.map(({ outcome }) => outcome)).toEqual(Array(threads).fill(complete));
          expect(sent(shared.records).length).toBeGreaterThan(warmupRequests);
          expect(sent(shared.records)).toEqual(sent(alone.records));
          const firstFiller = (records: readonly RequestRecord[]) =>
            Math.min(
              ...records.flatMap(({ phase, dueAtMs }) => (phase === "filler" ? [dueAtMs] : [])),
            );
          expect(firstFiller(shared.records)).toBe(firstFiller(alone.records));
        },
      ),
      { numRuns: 40 },
    );
  });

  it("sends what it could not send in time at once, and `sent - due` shows it", async () => {
    const listeners: (() => void)[] = [];
    const made = { count: 1 };
    const all = numberedRequests();
    const { records } = await runVirtually({
      input: {
        load: every100Ms,
        measured: count(4),
        source: {
          ...all,
          request: (index) => (index < made.count ? all.request(index) : undefined),
          onMore: (listener) => listeners.push(listener),
        },
      },
      meanwhile: (time) => {
        time.after(250, () => {
          made.count = 1000;
          for (const listener of listeners) listener();
        });
      },
    });
    const lates = byIndex(records).map(({ dueAtMs, sentAtMs = 0 }) => sentAtMs - dueAtMs);
    expect(lates).toEqual([0, 150, 50, 0, 0]);
  });

  it("sends a later turn when the one before it was answered, in the phase of that time", async () => {
    const turns = 3;
    const { records, prompts, ends } = await runVirtually({
      input: {
        load: every100Ms,
        measured: count(2),
        warmupRequests: 1,
        source: numberedRequests({ turns }),
      },
      answerMs: () => 70,
      fails: (prompt) => prompt === 4,
    });
    // Conversations at 0, 100, 200; the window is [100, 300). Turn 4, of conversation 1, fails at 240.
    // 7, due at 270, is the last that is measured; its answer at 340 ends the trial before turn 8.
    expect(prompts).toEqual([0, 1, 3, 2, 4, 6, 7, 9]);
    const phases = new Map(
      records.map(({ promptDigest, phase }) => [Number.parseInt(promptDigest, 16), phase]),
    );
    expect([0, 1, 2, 3, 4, 6, 7, 9].map((prompt) => phases.get(prompt))).toEqual([
      "warmup", // at 0
      "warmup", // at 70
      "measured", // at 140
      "measured", // at 100
      "measured", // at 170
      "measured", // at 200
      "measured", // at 270
      "filler", // at 300
    ]);
    expect(phases.has(5)).toBe(false);
    expect(ends[0]?.outcome).toEqual(complete);
    expect(byIndex(records).map(({ index }) => index)).toEqual(records.map((_, index) => index));
  });

  it("replays a trace, drains it, and is then over", async () => {
    const { records, ends } = await runVirtually({
      input: {
        load: { kind: "trace", name: "t", path: "t", speed: 1 },
        traceAtMs: Float64Array.of(0, 10, 10, 500),
        measured: { kind: "all" },
        source: numberedRequests({ total: 4 }),
      },
      threads: 2,
      answerMs: () => 100,
    });
    expect(told(records)).toEqual([
      "0 0 measured completed",
      "1 10 measured completed",
      "2 10 measured completed",
      "3 500 measured completed",
    ]);
    expect(ends.map(({ outcome }) => outcome)).toEqual([complete, complete]);
  });

  it("refuses a trace that is shorter than what is asked of it, before anything is sent", async () => {
    const { records, ends } = await runVirtually({
      input: {
        load: { kind: "trace", name: "t", path: "t", speed: 1 },
        traceAtMs: Float64Array.of(0, 10),
        measured: count(2),
        warmupRequests: 1,
      },
    });
    expect(records).toEqual([]);
    expect(ends[0]?.outcome).toEqual({
      kind: "aborted",
      reason: "there are only 2 requests: too few for the warm-up and the measured ones",
    });
  });

  it("sends no filler in a fixed window, and counts to the last answer", async () => {
    const { records, ends } = await runVirtually({
      input: { load: every100Ms, measured: count(3), window: "fixed" },
      answerMs: () => 1000,
    });
    expect(records.map(({ phase }) => phase)).toEqual(Array(3).fill("measured"));
    expect(ends[0]).toMatchObject({ outcome: complete, endedAtMs: 1200 });
  });

  it("ends when too many fail, of those that were sent", async () => {
    const limits = {
      requestMs: 1e9,
      stallMs: 1e9,
      failureShare: 0.1,
      failureCount: undefined,
      trialMs: undefined,
    };
    const { ends } = await runVirtually({
      input: { load: every100Ms, measured: count(500), limits },
      fails: (prompt) => prompt >= 40,
    });
    // 45 requests, 5 failed: 5 > 4.5.
    expect(ends[0]?.outcome).toEqual({
      kind: "aborted",
      reason: "5 of 45 requests failed (limits.failures); the last one: HTTP 503: full",
    });
  });
});
