import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { createPacedServer, type PacedServer } from "../engine/paced/paced-server.ts";
import { type LocalServer, startLocalServer } from "../testing/local-server.ts";
import { smallBatch } from "../testing/request-batches.ts";
import { nowMs } from "../units.ts";
import type { DriveSummary, RequestRecord } from "./request-record.ts";
import { driveInThreads, type ThreadedDriveInput, type ThreadsOptions } from "./threads.ts";

const servers: (PacedServer | LocalServer)[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

async function paced(gapMs = 2): Promise<PacedServer> {
  const server = await createPacedServer({ pace: "uniform", ttftMs: 5, gapMs });
  servers.push(server);
  return server;
}

/** Lengths that spread, so that slots fall out of step. */
const varied = (index: number): number => 3 + ((index * 7) % 12);

function trial(url: string, changes: Partial<ThreadedDriveInput> = {}): ThreadedDriveInput {
  return {
    endpoint: { baseUrl: url, model: "paced", headers: {} },
    path: "/v1/completions",
    load: { kind: "concurrency", concurrency: 8 },
    seed: "threads",
    warmupRequests: 16,
    measured: { kind: "count", requests: 40 },
    window: "handover",
    limits: {
      requestMs: 30_000,
      stallMs: 30_000,
      failureShare: 1,
      failureCount: undefined,
      trialMs: undefined,
    },
    signal: new AbortController().signal,
    batches: [smallBatch({ from: 0, count: 100, outputTokens: varied })],
    maker: undefined,
    ...changes,
  };
}

interface Driven {
  readonly records: RequestRecord[];
  readonly summary: DriveSummary;
}

async function driven(
  input: ThreadedDriveInput,
  options: Partial<ThreadsOptions> = {},
  records: RequestRecord[] = [],
): Promise<Driven> {
  const driving = driveInThreads(input, { threads: 2, ...options });
  for (;;) {
    const step = await driving.next();
    if (step.done === true) return { records, summary: step.value };
    records.push(step.value);
  }
}

describe("driveInThreads", () => {
  it.each([1, 2, 4])(
    "sends the same requests in the same phases on %i threads",
    async (threads) => {
      const server = await paced();
      const zeroMs = nowMs();
      const { records, summary } = await driven(trial(server.url, { zeroMs }), { threads });
      expect(summary.outcome).toEqual({ kind: "complete" });
      expect(summary.client.threads).toBe(threads);
      const sent = records.toSorted((a, b) => a.index - b.index);
      expect(
        sent
          .slice(0, 56)
          .map(({ index, phase, promptDigest, status }) => [index, phase, promptDigest, status]),
      ).toEqual(
        Array.from({ length: 56 }, (_, index) => [
          index,
          index < 16 ? "warmup" : "measured",
          index.toString(16).padStart(16, "0"),
          "completed",
        ]),
      );
      expect(sent.slice(56).every(({ phase }) => phase === "filler")).toBe(true);
      const { requests } = await server.log();
      const truths = new Map(requests.map((request) => [request.id, request]));
      for (const record of sent.slice(0, 56)) {
        const { sentAtMs: written = [] } = truths.get(record.promptDigest) ?? {};
        expect(record.chunksAtMs).toHaveLength(varied(record.index));
        expect(record.usage.completionTokens).toBe(varied(record.index));
        expect(written).toHaveLength(varied(record.index));
        // Never before it was written, on a clock that all threads share; 0.1 ms for its calibration.
        record.chunksAtMs.forEach((atMs, chunk) => {
          expect(zeroMs + atMs).toBeGreaterThan((written[chunk] ?? 0) - 0.1);
        });
      }
    },
  );

  it("keeps the planned concurrency over all threads", async () => {
    const server = await paced();
    const { records } = await driven(trial(server.url), { threads: 3 });
    const edges = records
      .flatMap(({ dueAtMs, endedAtMs }) => [
        { atMs: dueAtMs, change: 1 },
        { atMs: endedAtMs, change: -1 },
      ])
      .toSorted((a, b) => a.atMs - b.atMs || a.change - b.change);
    let now = 0;
    expect(Math.max(...edges.map(({ change }) => (now += change)))).toBe(8);
  });

  it("shares the arrivals of an open loop", async () => {
    const { url } = await paced();
    const load = {
      kind: "rate",
      requestRatePerS: 100,
      arrivals: { kind: "constant" },
    } as const;
    const { records, summary } = await driven(trial(url, { load, warmupRequests: 5 }));
    expect(summary.outcome).toEqual({ kind: "complete" });
    const measured = records.filter(({ phase }) => phase === "measured");
    expect(measured.map(({ index }) => index).toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: 40 }, (_, place) => 5 + place),
    );
  });

  it("has more requests made while the load runs", async () => {
    const { url } = await paced();
    const asked: [number, number][] = [];
    const { records, summary } = await driven(
      trial(url, {
        batches: [smallBatch({ from: 0, count: 20, outputTokens: varied })],
        maker: {
          make(from, count) {
            asked.push([from, count]);
            return Promise.resolve(smallBatch({ from, count, outputTokens: varied }));
          },
        },
      }),
    );
    expect(summary.outcome).toEqual({ kind: "complete" });
    expect(records.filter(({ phase }) => phase === "measured")).toHaveLength(40);
    expect(asked[0]).toEqual([20, 64]);
  });

  it("throws what making requests threw, after what was measured", async () => {
    const { url } = await paced();
    const records: RequestRecord[] = [];
    const failing = trial(url, {
      batches: [smallBatch({ from: 0, count: 20, outputTokens: varied })],
      maker: { make: () => Promise.reject(new Error("no more prompts")) },
    });
    await expect(driven(failing, {}, records)).rejects.toThrow("no more prompts");
    expect(records.length).toBeGreaterThan(0);
  });

  it("tells a change of phase at once, and never one that is over", async () => {
    const { url } = await paced();
    const phases: string[] = [];
    await driven(
      trial(url, {
        onProgress: ({ phase }) => {
          if (phases.at(-1) !== phase) phases.push(phase);
        },
      }),
    );
    expect(phases).toEqual(["warmup", "measured", "filler"]);
  });

  it("ends as aborted with everything in flight cancelled, when the signal says so", async () => {
    const { url } = await paced(20);
    const stop = new AbortController();
    const { records, summary } = await driven(
      trial(url, {
        signal: stop.signal,
        onProgress: ({ completed }) => {
          if (completed >= 10) stop.abort(new Error("enough"));
        },
      }),
    );
    expect(summary.outcome).toEqual({ kind: "aborted", reason: "enough" });
    expect(records.filter(({ status }) => status === "cancelled")).not.toEqual([]);
    // Every index that was sent has its record.
    expect(records.map(({ index }) => index).toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: records.length }, (_, index) => index),
    );
  });

  it("leaves no connection behind when its records are no longer read", async () => {
    const server = await startLocalServer(async (_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.end('data: {"choices":[{"text":"a"}]}\n\ndata: [DONE]\n\n');
      await Promise.resolve();
    });
    servers.push(server);
    for await (const record of driveInThreads(trial(server.url), { threads: 2 })) {
      expect(record.status).toBe("completed");
      break;
    }
    await expect.poll(() => server.connectionCount()).toBe(0);
  });

  it("takes secrets out of what a server said before it leaves the thread", async () => {
    const server = await startLocalServer(async (_request, response) => {
      response.writeHead(500, { "content-type": "text/plain" });
      response.end("upstream said: authorization: Bearer sk-abcdefghijklmnop1234");
      await Promise.resolve();
    });
    servers.push(server);
    const { records } = await driven(
      trial(server.url, { warmupRequests: 0, measured: { kind: "count", requests: 2 } }),
    );
    const first = records.find(({ phase }) => phase === "measured");
    if (first?.status !== "rejected") throw new Error("the server refuses everything");
    expect(first.body).toContain("[redacted]");
    expect(first.body).not.toContain("abcdefgh");
  });

  it("says which thread ended by itself, and how", async () => {
    const folder = mkdtempSync(join(tmpdir(), "benchbook-threads-"));
    try {
      const { url } = await paced();
      const exits = join(folder, "exits.mjs");
      writeFileSync(exits, "process.exit(3);");
      await expect(driven(trial(url), { entry: exits, threads: 1 })).rejects.toThrow(
        "client thread 0 ended by itself (exit code 3)",
      );
      const throws = join(folder, "throws.mjs");
      writeFileSync(throws, 'throw new Error("out of memory, say");');
      await expect(driven(trial(url), { entry: throws, threads: 1 })).rejects.toThrow(
        "client thread 0 broke down: out of memory, say",
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
