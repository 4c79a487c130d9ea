import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { numberedRequests, runVirtually, type VirtualLoad } from "../testing/virtual-load.ts";
import { firstWaveParts, partOfAnswer } from "../workload/first-wave.ts";
import type { RequestRecord } from "./request-record.ts";

const closed = (concurrency: number) => ({ kind: "concurrency", concurrency }) as const;
const count = (requests: number) => ({ kind: "count", requests }) as const;
const complete = { kind: "complete" };
/** Lengths that spread, so that slots fall out of step; no two ends fall together. */
const varied = (prompt: number): number => 5 + ((prompt * 7.31) % 13);

const byIndex = (records: readonly RequestRecord[]) =>
  [...records].sort((a, b) => a.index - b.index);
const phasesOf = (records: readonly RequestRecord[]) => byIndex(records).map(({ phase }) => phase);

function mostAtOnce(records: readonly RequestRecord[]): number {
  const edges = records
    .flatMap(({ sentAtMs = 0, endedAtMs }) => [
      { atMs: sentAtMs, change: 1 },
      { atMs: endedAtMs, change: -1 },
    ])
    .sort((a, b) => a.atMs - b.atMs || a.change - b.change);
  let now = 0;
  return Math.max(...edges.map(({ change }) => (now += change)));
}

describe("runClosedLoop", () => {
  it("takes a ticket, an index and a prompt for every dispatch, in one order", async () => {
    const { records, prompts, ends } = await runVirtually({
      input: { load: closed(3), measured: count(6), warmupRequests: 6 },
      answerMs: varied,
    });
    expect(ends.map(({ outcome }) => outcome)).toEqual([complete]);
    expect(byIndex(records).map(({ index }) => index)).toEqual(records.map((_, index) => index));
    expect(prompts).toEqual(records.map((_, index) => index));
    expect(mostAtOnce(records)).toBe(3);
  });

  it("sends a cut first wave as warm-up, once, the same in 1, 2 and 4 threads", async () => {
    const firstWave = { requests: 4, seed: "trial" };
    const cut = firstWaveParts(firstWave).map((part) => partOfAnswer(1000, part));
    const numbered = numberedRequests();
    const source: typeof numbered = {
      ...numbered,
      request: (index) => {
        const request = numbered.request(index);
        return request && { ...request, outputTokens: cut[index] ?? 1000 };
      },
    };
    for (const threads of [1, 2, 4]) {
      const { records } = await runVirtually({
        input: { load: closed(4), measured: count(12), warmupRequests: 8, source },
        threads,
        answerMs: varied,
      });
      const told = byIndex(records).map(({ phase, plannedOutputTokens }) => ({
        phase,
        plannedOutputTokens,
      }));
      expect(told.slice(0, 4)).toEqual(
        cut.map((plannedOutputTokens) => ({ phase: "warmup", plannedOutputTokens })),
      );
      expect(told.slice(4).every((request) => request.plannedOutputTokens === 1000)).toBe(true);
    }
  });

  it("sends the same requests in the same phases in 1, 2 and 4 threads", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(2, 3, 4),
        fc.integer({ min: 4, max: 9 }),
        fc.constantFrom("handover" as const, "fixed" as const),
        fc.nat(9),
        fc.integer({ min: 5, max: 25 }),
        async (threads, concurrency, window, warmupRequests, requests) => {
          const load: VirtualLoad = {
            input: { load: closed(concurrency), measured: count(requests), warmupRequests, window },
            answerMs: varied,
          };
          const alone = await runVirtually(load);
          const shared = await runVirtually({ ...load, threads });
          expect(shared.ends.map(({ outcome }) => outcome)).toEqual(Array(threads).fill(complete));
          const asked = warmupRequests + requests;
          const told = (records: readonly RequestRecord[]) =>
            byIndex(records)
              .slice(0, asked)
              .map(({ index, phase, promptDigest }) => ({ index, phase, promptDigest }));
          expect(told(shared.records)).toHaveLength(asked);
          expect(told(shared.records)).toEqual(told(alone.records));
          expect(mostAtOnce(shared.records)).toBeLessThanOrEqual(concurrency);
          const measured = shared.records.filter(({ phase }) => phase === "measured");
          expect(measured.map(({ status }) => status)).toEqual(Array(requests).fill("completed"));
        },
      ),
      { numRuns: 40 },
    );
  });

  it("waits for a request that is not made yet, in its place", async () => {
    const made = { count: 2 };
    const listeners: (() => void)[] = [];
    const all = numberedRequests();
    const { records, ends } = await runVirtually({
      input: {
        load: closed(2),
        measured: count(4),
        source: {
          ...all,
          request: (index) => (index < made.count ? all.request(index) : undefined),
          onMore: (listener) => listeners.push(listener),
        },
      },
      meanwhile: (time) => {
        time.after(100, () => {
          made.count = 1000;
          for (const listener of listeners) listener();
        });
      },
    });
    expect(ends[0]?.outcome).toEqual(complete);
    const times = byIndex(records).map(({ dueAtMs, sentAtMs }) => [dueAtMs, sentAtMs]);
    expect(times.slice(0, 4)).toEqual([
      [0, 0],
      [0, 0],
      [10, 100],
      [10, 100],
    ]);
  });

  it("keeps a conversation in its slot, turn after turn, and breaks it off when a turn fails", async () => {
    const turns = 3;
    const { records, prompts } = await runVirtually({
      input: {
        load: closed(2),
        measured: count(7),
        window: "fixed",
        source: numberedRequests({ turns }),
      },
      // Conversation 0 takes 10 ms a turn, conversation 1 25 ms; its second turn, 4, fails.
      answerMs: (prompt) => (Math.floor(prompt / turns) === 1 ? 25 : 10),
      fails: (prompt) => prompt === 4,
    });
    // Slot A: 0 1 2 at 0, 10, 20, then conversation 2 at 30, 40, 50. Slot B: 3, 4 at 0, 25.
    expect(prompts).toEqual([0, 3, 1, 2, 4, 6, 7]);
    expect(phasesOf(records)).toEqual(Array(7).fill("measured"));
    expect(byIndex(records).map(({ dueAtMs }) => dueAtMs)).toEqual([0, 0, 10, 20, 25, 30, 40]);
  });

  it("ends as aborted when the workload has too few requests", async () => {
    const { records, ends } = await runVirtually({
      input: { load: closed(2), measured: count(8), source: numberedRequests({ total: 5 }) },
    });
    expect(records).toHaveLength(5);
    expect(ends[0]?.outcome).toEqual({
      kind: "aborted",
      reason: "the workload has no more requests: 5 were measured",
    });
  });

  it("does without fillers when only they are too few", async () => {
    const { records, ends } = await runVirtually({
      input: { load: closed(2), measured: count(4), source: numberedRequests({ total: 4 }) },
      answerMs: varied,
    });
    expect(phasesOf(records)).toEqual(Array(4).fill("measured"));
    expect(ends[0]?.outcome).toEqual(complete);
  });

  it("measures for a duration in several threads, and none after it", async () => {
    const { records, ends } = await runVirtually({
      input: {
        load: closed(4),
        measured: { kind: "duration", durationMs: 100 },
        warmupRequests: 4,
      },
      threads: 2,
      answerMs: varied,
    });
    expect(ends.map(({ outcome }) => outcome)).toEqual([complete, complete]);
    const measured = records.filter(({ phase }) => phase === "measured");
    const sentAtMs = measured.map((record) => record.sentAtMs ?? Number.NaN);
    expect(Math.max(...sentAtMs) - Math.min(...sentAtMs)).toBeLessThan(100);
    expect(Math.max(...sentAtMs) - Math.min(...sentAtMs)).toBeGreaterThan(80);
    const phases = phasesOf(records);
    expect(phases.lastIndexOf("measured")).toBe(phases.indexOf("filler") - 1);
  });
});

describe("the limits of a trial", () => {
  const limits = {
    requestMs: 1e9,
    stallMs: 1e9,
    failureShare: 1,
    failureCount: undefined,
    trialMs: undefined,
  };

  it("end it beyond a number of failures, counted over all threads", async () => {
    const { records, ends } = await runVirtually({
      input: { load: closed(4), measured: count(100), limits: { ...limits, failureCount: 2 } },
      threads: 4,
      answerMs: varied,
      fails: (prompt) => prompt >= 10,
    });
    expect(records.filter(({ status }) => status === "rejected")).toHaveLength(3);
    const { outcome } = ends[0] ?? {};
    expect(outcome).toEqual({
      kind: "aborted",
      reason: "3 of 13 requests failed (limits.failures); the last one: HTTP 503: full",
    });
    expect(ends.map((end) => end.outcome)).toEqual(Array(4).fill(outcome));
    const cancelled = records.filter((record) => record.status === "cancelled");
    expect(cancelled.length).toBeGreaterThan(0);
    for (const record of cancelled) expect(record.cause).toContain("3 of 13 requests failed");
  });

  it("end it after its duration", async () => {
    const { records, ends } = await runVirtually({
      input: { load: closed(2), measured: count(1000), limits: { ...limits, trialMs: 95 } },
    });
    expect(ends[0]).toMatchObject({
      outcome: { kind: "aborted", reason: "it did not end within 95 ms (limits.trial)" },
      endedAtMs: 95,
    });
    expect(records.filter(({ status }) => status === "completed")).toHaveLength(18);
    expect(records.filter(({ status }) => status === "cancelled")).toHaveLength(2);
  });

  it("give a slot a rest after a failure", async () => {
    const { records } = await runVirtually({
      input: { load: closed(1), measured: count(4), window: "fixed" },
      fails: (prompt) => prompt < 2,
    });
    // 0-10 fails, 50 ms rest, 60-70 fails, 100 ms rest, 170-180, 180-190.
    expect(records.map(({ sentAtMs }) => sentAtMs)).toEqual([0, 60, 170, 180]);
  });
});
