import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { driveToEnd, smallTrial } from "../testing/drive-input.ts";
import {
  type FaultName,
  type FaultyServer,
  faultNames,
  startFaultyServer,
} from "../testing/faulty-server.ts";
import type { DriveInput } from "./drive.ts";
import type { RequestRecord } from "./request-record.ts";

let server: FaultyServer;
beforeEach(async () => {
  server = await startFaultyServer();
});
afterEach(() => server.close());

/** Far above what a good answer takes here, far below the test's patience. */
const shortLimits: DriveInput["limits"] = {
  requestMs: 400,
  stallMs: 150,
  failureShare: 1,
  failureCount: undefined,
  trialMs: undefined,
};

async function oneRequest(fault: FaultName, limits = shortLimits): Promise<RequestRecord> {
  const { records, summary } = await driveToEnd(
    smallTrial(
      { url: server.url, model: fault, concurrency: 1, measured: { kind: "count", requests: 1 } },
      { limits },
    ),
  );
  expect(summary.outcome).toEqual({ kind: "complete" });
  expect(records).toHaveLength(1);
  expect(server.requestCount).toBe(1);
  const [record] = records;
  if (record === undefined) throw new Error("no record");
  return record;
}

/** Status, output chunks, and what the record says about the cause. */
const expected: Readonly<
  Record<
    FaultName,
    { status: RequestRecord["status"]; chunks: number; says?: string; httpStatus?: number }
  >
> = {
  none: { status: "completed", chunks: 4 },
  "401": { status: "rejected", chunks: 0, httpStatus: 401, says: "Incorrect API key" },
  "404": { status: "rejected", chunks: 0, httpStatus: 404, says: "does not exist" },
  "422": { status: "rejected", chunks: 0, httpStatus: 422, says: "field required" },
  "429": { status: "rejected", chunks: 0, httpStatus: 429, says: "Too many requests" },
  "500": { status: "rejected", chunks: 0, httpStatus: 500, says: "Internal server error" },
  "503": { status: "rejected", chunks: 0, httpStatus: 503, says: "No capacity" },
  html: { status: "rejected", chunks: 0, httpStatus: 200, says: "<title>Sign in" },
  "json-200": { status: "rejected", chunks: 0, httpStatus: 200, says: "not a stream" },
  "endless-html": { status: "rejected", chunks: 0, httpStatus: 200, says: "<p>more" },
  redirect: {
    status: "rejected",
    chunks: 0,
    httpStatus: 307,
    says: "location http://127.0.0.1:9/",
  },
  "half-event": { status: "truncated", chunks: 2, says: "inside an event" },
  "half-character": { status: "truncated", chunks: 2, says: "inside an event" },
  truncated: { status: "truncated", chunks: 2, says: "without a finish reason" },
  reset: { status: "failed", chunks: 2, says: "ECONNRESET" },
  "reset-before-headers": { status: "failed", chunks: 0, says: "ECONNRESET" },
  "error-then-done": { status: "failed", chunks: 2, says: "EngineCore died" },
  "flat-error": { status: "failed", chunks: 2, says: "boom" },
  "error-event": { status: "failed", chunks: 2, says: "overloaded" },
  "error-field": { status: "failed", chunks: 2, says: "context size" },
  "error-left-open": { status: "failed", chunks: 2, says: "EngineCore died" },
  malformed: { status: "failed", chunks: 2, says: "malformed JSON" },
  endless: { status: "timedOut", chunks: Number.NaN, says: "limits.request" },
  silence: { status: "timedOut", chunks: 0, says: "limits.request" },
  "slow-headers": { status: "timedOut", chunks: 0, says: "limits.request" },
  stall: { status: "timedOut", chunks: 2, says: "limits.stall" },
  "open-after-done": { status: "completed", chunks: 4 },
  "no-usage": { status: "completed", chunks: 3 },
  "no-done": { status: "completed", chunks: 3 },
  "usage-only": { status: "completed", chunks: 0 },
  crlf: { status: "completed", chunks: 4 },
  "byte-by-byte": { status: "completed", chunks: 4 },
};

describe("a server's fault", () => {
  it.each(faultNames)("%s becomes the record it deserves", async (fault) => {
    // Bytes one by one take a while on a busy machine; nothing there waits for a limit.
    const record = await oneRequest(
      fault,
      fault === "byte-by-byte"
        ? { ...shortLimits, requestMs: 20_000, stallMs: 20_000 }
        : shortLimits,
    );
    const { status, chunks, says, httpStatus } = expected[fault];
    expect(record.status).toBe(status);
    if (!Number.isNaN(chunks)) expect(record.chunksAtMs).toHaveLength(chunks);
    else expect(record.chunksAtMs.length).toBeGreaterThan(2);
    if (record.status === "rejected") {
      expect(record.httpStatus).toBe(httpStatus);
      expect(record.body).toContain(says);
    } else if (record.status === "completed") {
      expect(says).toBeUndefined();
    } else {
      expect(record.cause).toContain(says);
    }
    await vi.waitFor(async () => {
      expect(await server.connectionCount()).toBe(0);
    });
  });

  it("leaves what was not said undefined", async () => {
    const noUsage = await oneRequest("no-usage");
    expect(noUsage.usage).toEqual({
      promptTokens: undefined,
      completionTokens: undefined,
      cachedTokens: undefined,
    });
    expect(noUsage.finishReason).toBe("stop");
  });

  it("of many events in one write gives them one stamp, counted", async () => {
    const record = await oneRequest("none");
    expect(record.coalescedChunks).toBe(3);
    expect(new Set(record.chunksAtMs).size).toBe(1);
  });

  it("keeps the headers' time of a stream that never spoke, and none where none came", async () => {
    expect((await oneRequest("silence")).headersAtMs).toBeDefined();
    await server.close();
    server = await startFaultyServer();
    expect((await oneRequest("slow-headers")).headersAtMs).toBeUndefined();
  });

  it("is redacted before it is kept: by the caller, and the endpoint's own key always", async () => {
    const input = smallTrial({
      url: `${server.url}/401`,
      concurrency: 1,
      measured: { kind: "count", requests: 1 },
    });
    const { records } = await driveToEnd(
      {
        ...input,
        endpoint: {
          ...input.endpoint,
          headers: { authorization: "Bearer sk-simulated-secret-0001" },
        },
      },
      { redact: (text) => text.replaceAll("Incorrect", "(redacted)") },
    );
    const [record] = records;
    expect(record?.status === "rejected" && record.body).toBe(
      '{"error":{"message":"(redacted) API key provided: [redacted]","type":"simulated","code":401}}',
    );
  });
});

describe("a trial with faults", () => {
  it("goes on past some, and counts them", async () => {
    await server.close();
    server = await startFaultyServer((index) => (index % 5 === 3 ? "reset" : undefined));
    const { records, summary } = await driveToEnd(
      smallTrial(
        { url: server.url, concurrency: 2, measured: { kind: "count", requests: 15 } },
        {
          window: "fixed",
          limits: { ...shortLimits, requestMs: 5000, stallMs: 5000, failureShare: 0.5 },
        },
      ),
    );
    expect(summary.outcome).toEqual({ kind: "complete" });
    expect(records).toHaveLength(15);
    expect(records.filter(({ status }) => status === "failed")).toHaveLength(3);
    expect(records.filter(({ status }) => status === "completed")).toHaveLength(12);
  });

  it("ends with the reason when too many fail, without hammering the server", async () => {
    const { records, summary } = await driveToEnd(
      smallTrial(
        {
          url: server.url,
          model: "503",
          concurrency: 2,
          measured: { kind: "count", requests: 500 },
        },
        { limits: { ...shortLimits, requestMs: 5000, stallMs: 5000, failureShare: 0.2 } },
      ),
    );
    // 20 % of at least 20 requests may fail: the fifth failure is one too many.
    expect(summary.outcome).toMatchObject({
      kind: "aborted",
      reason: expect.stringMatching(/^5 of 5 requests failed .*HTTP 503: .*No capacity/) as string,
    });
    expect(records.filter(({ status }) => status === "rejected")).toHaveLength(5);
    expect(server.requestCount).toBeLessThanOrEqual(6);
    // Each slot rested 50 ms, then 100 ms, after its failures: due says so.
    const rests = records.map(({ dueAtMs }) => dueAtMs).sort((a, b) => a - b);
    expect((rests[4] ?? 0) - (rests[0] ?? 0)).toBeGreaterThanOrEqual(150);
  });

  it("records a server that is not there", async () => {
    const { url } = server;
    await server.close();
    const { records, summary } = await driveToEnd(
      smallTrial(
        { url, concurrency: 2, measured: { kind: "count", requests: 4 } },
        { window: "fixed" },
      ),
    );
    expect(summary.outcome).toEqual({ kind: "complete" });
    expect(records).toHaveLength(4);
    for (const record of records) {
      expect(record.status === "failed" && record.cause).toContain("ECONNREFUSED");
      expect(record.sentAtMs).toBeUndefined();
    }
  });

  it("records a server that dies in mid-stream", async () => {
    const dying = await startFaultyServer(() => "endless");
    const trial = smallTrial(
      { url: dying.url, concurrency: 3, measured: { kind: "count", requests: 3 } },
      { window: "fixed" },
    );
    const { records, summary } = await driveToEnd({
      ...trial,
      source: {
        ...trial.source,
        request(index) {
          if (index === 2) setTimeout(() => void dying.close(), 100);
          return trial.source.request(index);
        },
      },
    });
    expect(summary.outcome).toEqual({ kind: "complete" });
    expect(records.map(({ status }) => status)).toEqual(["failed", "failed", "failed"]);
    expect(records.every(({ chunksAtMs }) => chunksAtMs.length > 0)).toBe(true);
  });
});
