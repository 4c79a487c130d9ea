import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import SqliteDatabase from "better-sqlite3";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { RequestRecord } from "../bench/request-record.ts";
import type { Estimate } from "../stats/samples.ts";
import {
  appendCase,
  caseAt,
  caseAudit,
  caseBegin,
  caseCalibration,
  caseEstimate,
  caseFacts,
  caseGpuReadings,
  caseHeader,
  caseLeg,
  casePlan,
  caseReadings,
  caseRecord,
  caseRecords,
  caseRoundsEnd,
  caseSnapshot,
  caseSummary,
  caseTrial,
  caseWatches,
  caseWindow,
  caseWindowTokens,
} from "../testing/store-case.ts";
import { Store } from "./store.ts";

let folder = "";
let path = "";
let store: Store;
const run = "20251219T103940Z-quickstart-3fa2";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "benchbook-store-"));
  path = join(folder, "data", "benchbook.db");
  store = Store.open(path);
});

afterEach(() => {
  store.close();
  rmSync(folder, { recursive: true });
});

const reopened = (): Store => {
  store.close();
  store = Store.open(path);
  return store;
};

describe("a stored run", () => {
  it("is read back as it was appended, by another opening of the file", () => {
    appendCase(store, run);
    store.endLeg(run, 1, { endedAt: caseAt, reason: "interrupted", detail: "SIGINT" });
    store.appendNote(run, { at: caseAt, leg: 1, kind: "stopped", text: "by hand" });
    const stored = reopened().readRun(run);
    expect(stored).toMatchObject(caseHeader(run));
    expect(stored.legs).toEqual([
      {
        ...caseLeg,
        leg: 1,
        end: { endedAt: caseAt, reason: "interrupted", detail: "SIGINT" },
      },
    ]);
    expect(stored.starts).toEqual([
      {
        start: 1,
        leg: 1,
        variant: "fp32",
        round: 1,
        startedAt: caseAt,
        restartOf: undefined,
        ready: {
          at: caseAt,
          startupMs: 1234.5,
          facts: caseFacts,
          pid: 4243,
          pidStartedAt: "234567",
          logPath: "/home/user/reports/log.txt",
        },
        end: { at: caseAt, reason: "stopped", detail: undefined, logDigest: "cd34" },
      },
    ]);
    expect(stored.attempts).toEqual([
      {
        run,
        trial: "trial-fp32",
        attempt: 1,
        point: "fp32/c2",
        variant: "fp32",
        workload: "chat",
        load: { kind: "concurrency", concurrency: 2 },
        round: 1,
        repeat: 1,
        seed: "00ff",
        start: 1,
        leg: 1,
        startedAt: caseAt,
        plannedConcurrency: 2,
        warmupRequests: 2,
        measured: { kind: "count", requests: 2 },
        windowKind: "handover",
        status: "measured",
        reason: undefined,
        counts: true,
        summary: caseSummary,
        window: caseWindow,
        cacheReset: "done",
        watches: caseWatches,
      },
    ]);
    expect(stored.notes).toEqual([{ at: caseAt, leg: 1, kind: "stopped", text: "by hand" }]);
  });

  it("gives back requests, readings, window tokens and snapshots unchanged", () => {
    const key = appendCase(store, run);
    reopened();
    expect(store.requestsOf(key)).toEqual(caseRecords);
    expect(store.readingsOf(key)).toEqual(caseReadings);
    expect(store.gpuReadingsOf(key)).toEqual(caseGpuReadings);
    expect(store.windowTokensOf(key)).toEqual(caseWindowTokens);
    expect(store.snapshotsOf(run)).toEqual([
      {
        leg: 1,
        scope: "run-before",
        start: undefined,
        trial: undefined,
        attempt: undefined,
        snapshot: caseSnapshot,
      },
    ]);
  });

  it("gives stats the readings of engine and GPUs and the cache reset of an attempt", () => {
    const key = appendCase(store, run);
    expect(reopened().samplesOfAttempt(key)).toMatchObject({
      engine: caseReadings,
      gpus: caseGpuReadings,
      cacheReset: "done",
    });
  });

  it("keeps apart a cache that was not to be emptied and trials that nobody watched", () => {
    store.createRun(caseHeader(run));
    const leg = store.beginLeg(run, caseLeg);
    const start = store.beginStart(run, { leg, variant: "q8", round: 1, startedAt: caseAt });
    for (const cacheReset of [undefined, "not_offered", "failed"] as const) {
      const key = store.beginTrial(run, { ...caseBegin("q8", start), cacheReset });
      store.endTrial(key, {
        summary: undefined,
        status: "failed",
        windowTokens: new Map(),
        window: undefined,
      });
    }
    expect(
      reopened()
        .attemptsOf(run)
        .map(({ cacheReset, watches }) => [cacheReset, watches]),
    ).toEqual([
      [undefined, undefined],
      ["not_offered", undefined],
      ["failed", undefined],
    ]);
    expect(store.query("SELECT cache_reset FROM trial ORDER BY attempt").rows).toEqual([
      [null],
      ["not_offered"],
      ["failed"],
    ]);
  });

  it("keeps what each kind of failure says", () => {
    store.createRun(caseHeader(run));
    const leg = store.beginLeg(run, caseLeg);
    const start = store.beginStart(run, { leg, variant: "q8", round: 1, startedAt: caseAt });
    const key = store.beginTrial(run, caseBegin("q8", start));
    const base = {
      ...caseRecord(0, "measured", { dueAtMs: 0, sentAtMs: 1, endedAtMs: 9 }, []),
      sentAtMs: undefined,
      headersAtMs: undefined,
      usage: { promptTokens: undefined, completionTokens: undefined, cachedTokens: undefined },
      finishReason: undefined,
    };
    const failures: readonly RequestRecord[] = [
      { ...base, index: 0, status: "rejected", httpStatus: 503, body: "<html>过载</html>" },
      { ...base, index: 1, status: "truncated", cause: "no finish reason" },
      { ...base, index: 2, status: "timedOut", cause: "stall beyond 10 s" },
      { ...base, index: 3, status: "failed", cause: "ECONNREFUSED" },
      { ...base, index: 4, status: "cancelled", cause: "interrupted" },
    ];
    for (const record of failures) store.appendRequest(key, record);
    store.endTrial(key, {
      summary: undefined,
      status: "failed",
      reason: "too many failures",
      windowTokens: new Map(),
      window: undefined,
    });
    expect(reopened().requestsOf(key)).toEqual(failures);
    expect(store.attemptsOf(run)).toMatchObject([
      { status: "failed", reason: "too many failures", counts: false },
    ]);
    expect(store.samplesOf(run)).toEqual([]);
  });

  it("takes tokens from usage, else from the tokenizer, and says which", () => {
    store.createRun(caseHeader(run));
    const leg = store.beginLeg(run, caseLeg);
    const start = store.beginStart(run, { leg, variant: "q8", round: 1, startedAt: caseAt });
    const key = store.beginTrial(run, caseBegin("q8", start));
    const times = { dueAtMs: 0, sentAtMs: 1, endedAtMs: 9 };
    const silent = {
      usage: { promptTokens: undefined, completionTokens: undefined, cachedTokens: undefined },
    };
    const counted = { inputTokens: 31, outputTokens: 4, source: "tokenizer" } as const;
    store.appendRequest(key, caseRecord(0, "measured", times, [2, 3], 7), counted);
    store.appendRequest(key, { ...caseRecord(1, "measured", times, [2, 3]), ...silent }, counted);
    store.appendRequest(key, { ...caseRecord(2, "measured", times, [2, 3]), ...silent });
    store.flush();
    expect(
      store
        .samplesOfAttempt(key)
        .requests.map(({ inputTokens, outputTokens, tokenSource }) => [
          inputTokens,
          outputTokens,
          tokenSource,
        ]),
    ).toEqual([
      [32, 7, "usage"],
      [31, 4, "tokenizer"],
      [undefined, undefined, "none"],
    ]);
  });

  it("shows the newest generation of estimates and of findings, and keeps the older ones", () => {
    appendCase(store, run);
    expect(store.estimatesOf(run)).toBeUndefined();
    expect(store.auditOf(run)).toBeUndefined();
    const sure: Estimate = {
      ...caseEstimate,
      low: 11,
      high: 13,
      cv: 0.1,
      medianRound: { low: 11.5, high: 12.5 },
      missingRounds: [{ round: 2, absence: { kind: "no_completed_request" } }],
      absence: undefined,
    };
    store.appendEstimates(run, { definitionVersion: "1", rows: [] });
    const rows = [
      { point: "fp32/c2", estimate: caseEstimate },
      { point: "q8/c2", estimate: sure },
    ];
    store.appendEstimates(run, { definitionVersion: "2", rows });
    store.appendAudit(run, { ...caseAudit, verdict: "invalid" });
    store.appendAudit(run, caseAudit);
    expect(reopened().estimatesOf(run)).toEqual({ definitionVersion: "2", rows });
    expect(store.auditOf(run)).toEqual(caseAudit);
    expect(store.query("SELECT verdict FROM run").rows).toEqual([["qualified"]]);
    expect(store.query("SELECT generation, verdict FROM audit_row ORDER BY 1").rows).toEqual([
      [1, "invalid"],
      [2, "qualified"],
    ]);
  });

  it("is found by a part of its id, and an unknown one is named with its nearest", () => {
    appendCase(store, run);
    expect(store.resolveRun("3fa2")).toBe(run);
    expect(store.resolveRun("latest")).toBe(run);
    expect(() => store.readRun("quickstart-3fa2")).toThrow(`no run named "quickstart-3fa2"`);
  });

  it("is listed newest first with how far it came", () => {
    appendCase(store, "20251218T000000Z-quickstart-0001");
    store.endLeg("20251218T000000Z-quickstart-0001", 1, { endedAt: caseAt, reason: "failed" });
    store.createRun(caseHeader(run));
    expect(store.listRuns()).toMatchObject([
      { run, status: "planned", legs: 0, trialsPlanned: 2, trialsMeasured: 0 },
      { status: "failed", legs: 1, trialsPlanned: 2, trialsMeasured: 1, endedAt: caseAt },
    ]);
  });
});

describe("resuming", () => {
  it("repeats what has no measured attempt, as a new attempt on a new leg and start", () => {
    appendCase(store, run);
    expect(store.missingTrials(run)).toEqual([caseTrial("q8")]);
    // The q8 trial begins and its process is killed.
    const second = store.beginStart(run, { leg: 1, variant: "q8", round: 1, startedAt: caseAt });
    const killed = store.beginTrial(run, caseBegin("q8", second));
    reopened();
    expect(store.liveLeg(run)).toMatchObject({ leg: 1, pid: 4242, pidStartedAt: "123456" });
    expect(store.attemptsOf(run).at(-1)).toMatchObject({ status: "unfinished", counts: false });
    expect(store.missingTrials(run, casePlan)).toEqual([caseTrial("q8")]);

    const leg = store.beginLeg(run, caseLeg);
    const start = store.beginStart(run, {
      leg,
      variant: "q8",
      round: 1,
      startedAt: caseAt,
      restartOf: second,
    });
    const again = store.beginTrial(run, caseBegin("q8", start));
    expect([leg, start, killed.attempt, again.attempt]).toEqual([2, 3, 1, 2]);
    for (const record of caseRecords) store.appendRequest(again, record);
    const end = {
      summary: caseSummary,
      status: "measured",
      windowTokens: new Map(),
      window: undefined,
    } as const;
    store.endTrial(again, end);
    store.endLeg(run, leg, { endedAt: caseAt, reason: "complete" });
    expect(store.liveLeg(run)).toBeUndefined();
    expect(store.missingTrials(run)).toEqual([]);
    expect(
      store.samplesOf(run).map(({ trial, attempt, start: on }) => [trial, attempt, on]),
    ).toEqual([
      ["trial-fp32", 1, 1],
      ["trial-q8", 2, 3],
    ]);
  });

  it("counts the last measured attempt of a trial, not a failed one after it", () => {
    const first = appendCase(store, run);
    for (const status of ["measured", "failed"] as const) {
      const key = store.beginTrial(run, caseBegin("fp32", 1));
      const nothing = { summary: undefined, windowTokens: new Map(), window: undefined };
      store.endTrial(key, { ...nothing, status });
    }
    expect(first.attempt).toBe(1);
    expect(store.attemptsOf(run).map(({ attempt, counts }) => [attempt, counts])).toEqual([
      [1, false],
      [2, true],
      [3, false],
    ]);
  });
});

describe("calibrations", () => {
  it("are kept in order, and a leg says which one it goes by", () => {
    appendCase(store, run);
    const other = { ...caseCalibration, load: { streams: 1000, ratePerS: 30 } };
    const first = store.appendCalibration(caseCalibration);
    const second = store.appendCalibration(other);
    expect(store.calibrations()).toEqual([
      { id: first, calibration: caseCalibration },
      { id: second, calibration: other },
    ]);
    expect(store.calibrationsOf(run)).toEqual([]);
    store.useCalibration(run, 1, second);
    expect(store.calibrationsOf(run)).toEqual([{ id: second, leg: 1, calibration: other }]);
    expect(
      store.query("SELECT streams, error_p99_ms, ttft_error_p50_ms, runs FROM calibration").rows,
    ).toEqual([
      [64, 0.25, 0.125, 0],
      [1000, 0.25, 0.125, 1],
    ]);
  });
});

describe("what was measured", () => {
  it("refuses UPDATE and DELETE in every table", () => {
    appendCase(store, run);
    store.appendNote(run, { at: caseAt, kind: "note", text: "x" });
    store.appendEstimates(run, {
      definitionVersion: "1",
      rows: [{ point: "fp32/c2", estimate: caseEstimate }],
    });
    store.appendAudit(run, caseAudit);
    store.useCalibration(run, 1, store.appendCalibration(caseCalibration));
    store.appendRoundsEnd(run, caseRoundsEnd);
    store.endLeg(run, 1, { endedAt: caseAt, reason: "complete" });
    const db = new SqliteDatabase(path);
    db.exec(
      "INSERT INTO reported_row (run, point, metric, definition, value, unit) VALUES ('r', 'p', 'ttft', 'vllm', 1, 'ms')",
    );
    const tables = db
      .prepare<[], string>(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN ('view_column') AND name NOT LIKE 'sqlite_%'",
      )
      .pluck()
      .all();
    expect(tables).toHaveLength(21);
    for (const table of tables) {
      const column = db.prepare(`SELECT * FROM ${table}`).columns()[0]?.name ?? "";
      expect(db.prepare(`SELECT count(*) FROM ${table}`).pluck().get(), table).toBeGreaterThan(0);
      expect(() => db.exec(`UPDATE ${table} SET ${column} = ${column}`)).toThrow("append-only");
      expect(() => db.exec(`DELETE FROM ${table}`)).toThrow("append-only");
    }
    db.close();
  });

  it("takes no more samples once its trial ended", () => {
    const key = appendCase(store, run);
    const late = caseRecord(9, "filler", { dueAtMs: 0, sentAtMs: 0, endedAtMs: 1 }, []);
    expect(() => {
      store.appendRequest(key, late);
    }).toThrow("is not open");
    const db = new SqliteDatabase(path);
    expect(() =>
      db.exec("INSERT INTO engine_reading_row (attempt_id, at_ms) VALUES (1, 5)"),
    ).toThrow("takes no more samples");
    db.close();
  });

  it("shows a number that is none at the call that brought it", () => {
    store.createRun(caseHeader(run));
    const leg = store.beginLeg(run, caseLeg);
    const start = store.beginStart(run, { leg, variant: "q8", round: 1, startedAt: caseAt });
    const key = store.beginTrial(run, caseBegin("q8", start));
    const times = { dueAtMs: Number.NaN, sentAtMs: 1, endedAtMs: 9 };
    expect(() => {
      store.appendRequest(key, caseRecord(0, "measured", times, []));
    }).toThrow("request_row.due_at_ms must be a finite number, got NaN");
  });
});

describe("writing in the background", () => {
  const begin = (): ReturnType<Store["beginTrial"]> => {
    store.createRun(caseHeader(run));
    const leg = store.beginLeg(run, caseLeg);
    const start = store.beginStart(run, { leg, variant: "q8", round: 1, startedAt: caseAt });
    return store.beginTrial(run, caseBegin("q8", start));
  };
  const record = (index: number): RequestRecord =>
    caseRecord(index, "measured", { dueAtMs: 0, sentAtMs: 1, endedAtMs: 9 }, [2, 3]);
  const stored = (): unknown => store.query("SELECT count(*) FROM request").rows[0]?.[0];

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("puts a request into the file within a second, without being asked", () => {
    const key = begin();
    store.appendRequest(key, record(0));
    store.appendRequest(key, record(1));
    expect(stored()).toBe(0);
    vi.advanceTimersByTime(1000);
    expect(stored()).toBe(2);
    store.appendRequest(key, record(2));
    vi.advanceTimersByTime(1000);
    expect(stored()).toBe(3);
  });

  it("writes a large batch without waiting", () => {
    const key = begin();
    for (let index = 0; index < 5000; index += 1) store.appendRequest(key, record(index));
    expect(stored()).toBe(9 * 512);
    store.flush();
    expect(stored()).toBe(5000);
  });

  it("keeps requests in memory while another process holds the lock, and loses none", () => {
    const key = begin();
    const other = new SqliteDatabase(path);
    other.exec("BEGIN IMMEDIATE");
    store.appendRequest(key, record(0));
    vi.advanceTimersByTime(1000);
    store.appendRequest(key, record(1));
    expect(stored()).toBe(0);
    other.exec("ROLLBACK");
    other.close();
    vi.advanceTimersByTime(1000);
    expect(stored()).toBe(2);
  });

  it("says so at the next append when the lock stays too long, and still loses none", () => {
    store.close();
    store = Store.open(path, { lockPatienceMs: 0 });
    const key = begin();
    const other = new SqliteDatabase(path);
    other.exec("BEGIN IMMEDIATE");
    store.appendRequest(key, record(0));
    vi.advanceTimersByTime(1000);
    expect(() => {
      store.appendRequest(key, record(1));
    }).toThrow("another program kept the database locked for too long");
    expect(() => {
      store.flush();
    }).toThrow("locked for too long");
    other.close();
    store.appendRequest(key, record(1));
    store.close();
    store = Store.open(path);
    expect(stored()).toBe(2);
  });
});

describe("the file", () => {
  it("is one file when closed, in pages of 16 KiB, in WAL mode, and passes SQLite's own check", () => {
    appendCase(store, run);
    const db = new SqliteDatabase(path);
    const ask = (pragma: string): unknown => db.pragma(pragma, { simple: true });
    expect([ask("page_size"), ask("journal_mode"), ask("integrity_check")]).toEqual([
      16384,
      "wal",
      "ok",
    ]);
    expect(db.pragma("foreign_key_check")).toEqual([]);
    db.close();
    store.close();
    store.close();
    expect(readdirSync(join(folder, "data"))).toEqual(["benchbook.db"]);
  });
});
