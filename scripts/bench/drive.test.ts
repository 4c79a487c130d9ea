import { afterEach, describe, expect, it, vi } from "vitest";
import { driveToEnd, smallTrial } from "../testing/drive-input.ts";
import {
  type PacedServer,
  type PacedServerOptions,
  startPacedServer,
} from "../testing/paced-server.ts";
import { nowMs } from "../units.ts";
import { drive } from "./drive.ts";
import type { RequestPhase, RequestRecord } from "./request-record.ts";

let server: PacedServer | undefined;
afterEach(async () => {
  await server?.close();
  server = undefined;
});

async function paced(options: PacedServerOptions): Promise<PacedServer> {
  server = await startPacedServer(options);
  return server;
}

const quick = () => ({ ttftMs: 4, gapMs: 1 });
/** Lengths that spread, so that slots fall out of step. */
const varied = (index: number): number => 3 + ((index * 7) % 12);

const inPhase = (records: readonly RequestRecord[], phase: RequestPhase) =>
  records.filter((record) => record.phase === phase);
const byIndex = (records: readonly RequestRecord[]) =>
  [...records].sort((a, b) => a.index - b.index);
const statuses = (records: readonly RequestRecord[]) =>
  new Set(records.map(({ status }) => status));
const sentAt = (record: RequestRecord | undefined): number => record?.sentAtMs ?? Number.NaN;

async function countOf(records: AsyncIterable<RequestRecord>): Promise<number> {
  const rest: RequestRecord[] = [];
  for await (const record of records) rest.push(record);
  return rest.length;
}

/** The most requests that were between due and end at once. */
function mostAtOnce(records: readonly RequestRecord[]): number {
  const edges = records
    .flatMap(({ dueAtMs, endedAtMs }) => [
      { atMs: dueAtMs, change: 1 },
      { atMs: endedAtMs, change: -1 },
    ])
    .sort((a, b) => a.atMs - b.atMs || a.change - b.change);
  let now = 0;
  return Math.max(...edges.map(({ change }) => (now += change)));
}

describe("drive", () => {
  it("gets every token and every usage of a server whose truth is known", async () => {
    const { url, served } = await paced({ schedule: quick, promptTokens: 11, cachedTokens: 5 });
    const { records, summary } = await driveToEnd(
      smallTrial(
        { url, concurrency: 4, measured: { kind: "count", requests: 12 }, outputTokens: varied },
        { window: "fixed" },
      ),
    );
    expect(records).toHaveLength(12);
    expect(statuses(records)).toEqual(new Set(["completed"]));
    expect(summary.outcome).toEqual({ kind: "complete" });
    for (const record of records) {
      expect(record.chunksAtMs).toHaveLength(varied(record.index));
      expect(record.usage).toEqual({
        promptTokens: 11,
        completionTokens: varied(record.index),
        cachedTokens: 5,
      });
      expect(record.finishReason).toBe("length");
      expect(record.plannedOutputTokens).toBe(varied(record.index));
    }
    expect(served).toHaveLength(12);
  });

  it("reads chat streams alike, and a role is not output", async () => {
    const { url } = await paced({ schedule: quick });
    const { records } = await driveToEnd(
      smallTrial(
        { url, concurrency: 1, outputTokens: () => 5 },
        { path: "/v1/chat/completions", window: "fixed" },
      ),
    );
    expect(records.map(({ status, chunksAtMs }) => [status, chunksAtMs.length])).toEqual([
      ["completed", 5],
      ["completed", 5],
      ["completed", 5],
      ["completed", 5],
    ]);
  });

  it("stamps each chunk after it was sent, and near it", async () => {
    const { url, served } = await paced({ schedule: () => ({ ttftMs: 30, gapMs: 15 }) });
    const zeroMs = nowMs();
    const { records } = await driveToEnd(
      smallTrial(
        { url, concurrency: 1, measured: { kind: "count", requests: 3 }, outputTokens: () => 12 },
        { window: "fixed", zeroMs },
      ),
    );
    expect(records).toHaveLength(3);
    // One slot: requests arrive in order, so the server's log is in the records' order.
    const lags = records.flatMap((record, i) => {
      const sends = served[i]?.sentAtMs ?? [];
      expect(sends).toHaveLength(record.chunksAtMs.length);
      return sends.map((atMs, chunk) => zeroMs + (record.chunksAtMs[chunk] ?? Number.NaN) - atMs);
    });
    expect(lags).toHaveLength(36);
    // 0.1 ms: both stamps are of one clock, the slack is for its rounding.
    expect(Math.min(...lags)).toBeGreaterThan(-0.1);
    // Client and server share this process and perhaps its core: this bounds the order of magnitude
    // only; how large the client's error is, a benchmark says.
    expect(lags.sort((a, b) => a - b)[18]).toBeLessThan(100);
    for (const record of records) {
      expect(record.chunksAtMs[0] ?? 0).toBeGreaterThan(sentAt(record) + 25);
      expect([...record.chunksAtMs]).toEqual([...record.chunksAtMs].sort((a, b) => a - b));
    }
  });

  it("orders the clock points of every request", async () => {
    const { url } = await paced({ schedule: quick });
    const { records, summary } = await driveToEnd(
      smallTrial({
        url,
        concurrency: 3,
        warmupRequests: 6,
        measured: { kind: "count", requests: 9 },
        outputTokens: varied,
      }),
    );
    expect(inPhase(records, "measured")).toHaveLength(9);
    for (const record of records.filter(({ status }) => status === "completed")) {
      const { dueAtMs, headersAtMs = Number.NaN, chunksAtMs, endedAtMs } = record;
      const points = [
        0,
        dueAtMs,
        sentAt(record),
        headersAtMs,
        ...chunksAtMs,
        endedAtMs,
        summary.endedAtMs,
      ];
      expect(points.every((point, i) => i === 0 || point >= (points[i - 1] ?? 0))).toBe(true);
    }
    expect(records.map(({ endedAtMs }) => endedAtMs)).toEqual(
      records.map(({ endedAtMs }) => endedAtMs).sort((a, b) => a - b),
    );
  });

  it("counts chunks that one read brought, and several tokens of a chunk as one", async () => {
    const { url } = await paced({ schedule: () => ({ ttftMs: 5, gapMs: 0, tokensPerChunk: 5 }) });
    const { records } = await driveToEnd(
      smallTrial({ url, concurrency: 1, outputTokens: () => 20 }, { window: "fixed" }),
    );
    for (const { chunksAtMs, coalescedChunks, usage } of records) {
      expect(usage.completionTokens).toBe(20);
      expect(chunksAtMs).toHaveLength(4);
      const sameStamp = [...chunksAtMs].filter(
        (atMs, i) => i > 0 && atMs === chunksAtMs[i - 1],
      ).length;
      expect(coalescedChunks).toBe(sameStamp);
    }
  });

  it("says when the trial began and how busy the client was", async () => {
    const { url } = await paced({ schedule: quick });
    const before = Date.now();
    const { summary } = await driveToEnd(smallTrial({ url, concurrency: 2 }));
    expect(summary.zeroAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d$/);
    expect(Math.abs(Date.parse(summary.zeroAt) - before)).toBeLessThan(5000);
    expect(Math.abs(summary.clockDriftMs)).toBeLessThan(1000);
    expect(summary.client.cpuShare).toBeGreaterThan(0);
    expect(summary.client.eventLoopDelayMaxMs).toBeGreaterThanOrEqual(
      summary.client.eventLoopDelayP99Ms,
    );
    expect(summary.client.gcPauseTotalMs).toBeGreaterThanOrEqual(0);
  });
});

describe("the handover window", () => {
  const concurrency = 4;
  const run = async () => {
    const { url } = await paced({ schedule: quick });
    const progress: number[] = [];
    const { records, summary } = await driveToEnd(
      smallTrial(
        {
          url,
          concurrency,
          warmupRequests: 8,
          measured: { kind: "count", requests: 16 },
          outputTokens: varied,
        },
        { onProgress: ({ inFlight }) => progress.push(inFlight) },
      ),
    );
    expect(summary.outcome).toEqual({ kind: "complete" });
    return { records, progress };
  };

  it("sends warm-up, measured and filler in this order, all counted", async () => {
    const { records } = await run();
    const phases = byIndex(records).map(({ phase }) => phase);
    expect(phases.slice(0, 24)).toEqual([
      ...Array<string>(8).fill("warmup"),
      ...Array<string>(16).fill("measured"),
    ]);
    expect(new Set(phases.slice(24))).toEqual(new Set(["filler"]));
    expect(byIndex(records).map(({ index }) => index)).toEqual(records.map((_, i) => i));
    expect(statuses(records.filter(({ phase }) => phase !== "filler"))).toEqual(
      new Set(["completed"]),
    );
  });

  it("does not drain between warm-up and measured", async () => {
    const { records } = await run();
    const firstMeasured = Math.min(...inPhase(records, "measured").map(({ dueAtMs }) => dueAtMs));
    const stillRunning = inPhase(records, "warmup").filter(
      ({ endedAtMs }) => endedAtMs > firstMeasured,
    );
    expect(stillRunning).toHaveLength(concurrency - 1);
  });

  it("keeps every slot busy until the last measured request ends, then cancels what runs", async () => {
    const { records } = await run();
    const lastMeasured = Math.max(
      ...inPhase(records, "measured").map(({ endedAtMs }) => endedAtMs),
    );
    const cancelled = records.filter(({ status }) => status === "cancelled");
    // The slot of the last measured request is not filled again; the others were.
    expect(cancelled).toHaveLength(concurrency - 1);
    for (const { phase, dueAtMs, endedAtMs } of cancelled) {
      expect(phase).toBe("filler");
      expect(dueAtMs).toBeLessThanOrEqual(lastMeasured);
      expect(endedAtMs).toBeGreaterThanOrEqual(lastMeasured);
    }
    expect(records.at(-1)?.status).toBe("cancelled");
  });

  it("never has more in flight than slots, and each request is due when one ended", async () => {
    const { records, progress } = await run();
    expect(mostAtOnce(records)).toBe(concurrency);
    expect(Math.max(...progress)).toBeLessThan(concurrency + 1);
    const ends = new Set(records.map(({ endedAtMs }) => endedAtMs));
    const [first, ...later] = byIndex(records);
    expect(first?.dueAtMs).toBeLessThan(500);
    expect(later.slice(0, 3).map(({ dueAtMs }) => dueAtMs)).toEqual(Array(3).fill(first?.dueAtMs));
    expect(later.slice(3).every(({ dueAtMs }) => ends.has(dueAtMs))).toBe(true);
  });

  it("measures what is dispatched within a duration", async () => {
    const { url } = await paced({ schedule: quick });
    const { records, summary } = await driveToEnd(
      smallTrial({
        url,
        concurrency: 2,
        warmupRequests: 2,
        measured: { kind: "duration", durationMs: 150 },
      }),
    );
    expect(summary.outcome).toEqual({ kind: "complete" });
    const measured = byIndex(inPhase(records, "measured"));
    expect(measured.length).toBeGreaterThan(2);
    // Dispatch is within the 150 ms to the microsecond (cohort.test.ts); due is a moment before it.
    expect((measured.at(-1)?.dueAtMs ?? 0) - (measured[0]?.dueAtMs ?? 0)).toBeLessThan(250);
    const lastMeasured = measured.at(-1)?.index ?? 0;
    expect(inPhase(records, "filler").every(({ index }) => index > lastMeasured)).toBe(true);
  });

  it("needs no filler with one slot", async () => {
    const { url } = await paced({ schedule: quick });
    const { records } = await driveToEnd(smallTrial({ url, concurrency: 1, warmupRequests: 2 }));
    expect(records.map(({ phase, status }) => `${phase} ${status}`)).toEqual([
      ...Array<string>(2).fill("warmup completed"),
      ...Array<string>(4).fill("measured completed"),
    ]);
  });
});

describe("the fixed window", () => {
  it("drains the warm-up, sends exactly N and drains them", async () => {
    const { url, served } = await paced({ schedule: quick });
    const { records } = await driveToEnd(
      smallTrial(
        {
          url,
          concurrency: 4,
          warmupRequests: 5,
          measured: { kind: "count", requests: 10 },
          outputTokens: varied,
        },
        { window: "fixed" },
      ),
    );
    expect(served).toHaveLength(15);
    expect(statuses(records)).toEqual(new Set(["completed"]));
    const lastWarmup = Math.max(...inPhase(records, "warmup").map(({ endedAtMs }) => endedAtMs));
    expect(inPhase(records, "measured")).toHaveLength(10);
    expect(Math.min(...inPhase(records, "measured").map(({ dueAtMs }) => dueAtMs))).toBe(
      lastWarmup,
    );
    expect(Math.max(...served.map(({ inFlight }) => inFlight))).toBe(4);
  });
});

describe("the end of a drive", () => {
  it("opens its connections before the load, one for each slot, and leaves none", async () => {
    const paceServer = await paced({ schedule: quick });
    const driving = drive(
      smallTrial({
        url: paceServer.url,
        concurrency: 6,
        measured: { kind: "count", requests: 12 },
      }),
    );
    expect((await driving.next()).done).toBe(false);
    expect(await paceServer.connectionCount()).toBe(6);
    expect(await countOf(driving)).toBeGreaterThan(0);
    await vi.waitFor(async () => {
      expect(await paceServer.connectionCount()).toBe(0);
    });
  });

  it("cancels and yields everything in flight when it is interrupted", async () => {
    const { url, served, connectionCount } = await paced({
      schedule: () => ({ ttftMs: 5, gapMs: 20 }),
    });
    const interrupt = new AbortController();
    const input = smallTrial(
      {
        url,
        concurrency: 3,
        measured: { kind: "count", requests: 6 },
        outputTokens: (i) => (i === 0 ? 2 : 5000),
      },
      {
        signal: interrupt.signal,
        onProgress: () => {
          interrupt.abort(new Error("the engine died"));
        },
      },
    );
    const { records, summary } = await driveToEnd(input);
    expect(records.map(({ status }) => status)).toEqual(["completed", "cancelled", "cancelled"]);
    expect(
      records.every(
        (record) => record.status !== "cancelled" || record.cause.includes("the engine died"),
      ),
    ).toBe(true);
    expect(summary.outcome).toEqual({ kind: "aborted", reason: "the engine died" });
    await vi.waitFor(async () => {
      expect(await connectionCount()).toBe(0);
    });
    await vi.waitFor(() => {
      expect(served.filter(({ wasAbandoned }) => wasAbandoned)).toHaveLength(2);
    });
  });

  it("sends nothing when it was interrupted before it began", async () => {
    const { url, served } = await paced({ schedule: quick });
    const { records, summary } = await driveToEnd(
      smallTrial({ url, concurrency: 3 }, { signal: AbortSignal.abort("stopped") }),
    );
    expect(records).toEqual([]);
    expect(served).toEqual([]);
    expect(summary.outcome).toEqual({ kind: "aborted", reason: "stopped" });
  });

  it("is not held up by a reader that does not read", async () => {
    const { url, served } = await paced({ schedule: quick });
    const driving = drive(
      smallTrial(
        { url, concurrency: 2, measured: { kind: "count", requests: 20 } },
        { window: "fixed" },
      ),
    );
    await driving.next();
    await vi.waitFor(() => {
      expect(served).toHaveLength(20);
    });
    expect(await countOf(driving)).toBe(19);
  });

  it("leaves nothing behind when the reader goes away", async () => {
    const { url, served, connectionCount } = await paced({
      schedule: () => ({ ttftMs: 2, gapMs: 10 }),
    });
    for await (const record of drive(
      smallTrial({ url, concurrency: 3, measured: { kind: "count", requests: 1000 } }),
    )) {
      expect(record.status).toBe("completed");
      break;
    }
    await vi.waitFor(async () => {
      expect(await connectionCount()).toBe(0);
    });
    expect(served.length).toBeLessThan(10);
  });

  it("throws what the source throws, after what was in flight is yielded", async () => {
    const { url } = await paced({ schedule: quick });
    const input = smallTrial({ url, concurrency: 2, measured: { kind: "count", requests: 10 } });
    const records: RequestRecord[] = [];
    const run = async (): Promise<void> => {
      const source: typeof input.source = {
        ...input.source,
        request(index) {
          if (index === 5) throw new Error("no more prompts");
          return input.source.request(index);
        },
      };
      for await (const record of drive({ ...input, source })) records.push(record);
    };
    await expect(run()).rejects.toThrow("no more prompts");
    expect(records).toHaveLength(5);
  });

  it("throws what the progress callback throws, and does not hang", async () => {
    const { url } = await paced({ schedule: quick });
    const onProgress = (): void => {
      throw new Error("the bar broke");
    };
    await expect(driveToEnd(smallTrial({ url, concurrency: 2 }, { onProgress }))).rejects.toThrow(
      "the bar broke",
    );
  });
});
