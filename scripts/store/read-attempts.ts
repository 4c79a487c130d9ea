// Rows of the store to attempts and their samples: what stats/ computes from, and the whole records.
import type { Database } from "better-sqlite3";
import type { DriveSummary, RequestRecord } from "../bench/request-record.ts";
import type { CacheReset } from "../engine/engine.ts";
import type { Load } from "../experiment/experiment.ts";
import type { RequestSample, TrialSamples } from "../stats/samples.ts";
import { packSamples } from "./packed-samples.ts";
import { readEngineReadings, readGpuReadings } from "./reading-rows.ts";
import { type RequestRow, type SampleRow, sampleColumns, toRequestRecord } from "./request-row.ts";
import { parseStored } from "./stored-json.ts";
import type { AttemptKey, StoredAttempt, TrialWatches } from "./stored-run.ts";

const attempts = `SELECT t.*, v.counts, v.leg, v.status, v.reason, v.window_kind,
    v.window_start_ms, v.window_end_ms, e.summary_json, e.watches_json
  FROM trial v JOIN trial_row t USING (attempt_id) LEFT JOIN trial_end_row e USING (attempt_id)`;

/** Every attempt at every trial of a run, in the order they began. */
export function readAttempts(db: Database, run: string): readonly StoredAttempt[] {
  return db
    .prepare<[string], AttemptRow>(`${attempts} WHERE v.run = ? ORDER BY t.attempt_id`)
    .all(run)
    .map(toAttempt);
}

function toAttempt(row: AttemptRow): StoredAttempt {
  return {
    run: row.run,
    trial: row.trial,
    attempt: row.attempt,
    point: row.point,
    variant: row.variant,
    workload: row.workload,
    load: parseStored(row.load_json) as Load,
    round: row.round,
    repeat: row.repeat,
    seed: row.seed,
    start: row.start,
    leg: row.leg,
    startedAt: row.started_at,
    plannedConcurrency: row.planned_concurrency ?? undefined,
    warmupRequests: row.warmup_requests,
    measured: parseStored(row.measured_json) as StoredAttempt["measured"],
    windowKind: row.window_kind,
    status: row.status,
    reason: row.reason ?? undefined,
    counts: row.counts === 1,
    summary:
      row.summary_json === null ? undefined : (parseStored(row.summary_json) as DriveSummary),
    window:
      row.window_start_ms === null || row.window_end_ms === null
        ? undefined
        : { startMs: row.window_start_ms, endMs: row.window_end_ms },
    cacheReset: row.cache_reset ?? undefined,
    watches:
      row.watches_json === null ? undefined : (parseStored(row.watches_json) as TrialWatches),
  };
}

interface AttemptRow {
  readonly run: string;
  readonly trial: string;
  readonly attempt: number;
  readonly point: string;
  readonly variant: string;
  readonly workload: string;
  readonly load_json: string;
  readonly round: number;
  readonly repeat: number;
  readonly seed: string;
  readonly start: number;
  readonly leg: number;
  readonly started_at: string;
  readonly planned_concurrency: number | null;
  readonly warmup_requests: number;
  readonly measured_json: string;
  readonly window_kind: StoredAttempt["windowKind"];
  readonly status: StoredAttempt["status"];
  readonly reason: string | null;
  readonly counts: number;
  readonly summary_json: string | null;
  readonly window_start_ms: number | null;
  readonly window_end_ms: number | null;
  readonly cache_reset: CacheReset | null;
  readonly watches_json: string | null;
}

/** The attempt's number within the file; undefined: no such attempt. */
export function findAttempt(db: Database, key: AttemptKey): number | undefined {
  return db
    .prepare<[string, string, number], number>(
      "SELECT attempt_id FROM trial_row WHERE run = ? AND trial = ? AND attempt = ?",
    )
    .pluck()
    .get(key.run, key.trial, key.attempt);
}

/** Few enough to be let go while they are young. */
const requestsPerPage = 256;

/** In order of dispatch, a page in memory at a time: a long trial's records are larger than its rows. */
export function* eachRequest(
  db: Database,
  attemptId: number,
): Generator<{ readonly record: RequestRecord; readonly sample: RequestSample }> {
  const page = db.prepare<[number, number], RequestRow>(
    `SELECT * FROM request_row WHERE attempt_id = ? AND request_index > ?
     ORDER BY request_index LIMIT ${requestsPerPage}`,
  );
  for (let rows = page.all(attemptId, -1); rows.length > 0; ) {
    for (const [place, sample] of packSamples(rows).entries()) {
      const row = rows[place];
      if (row !== undefined) yield { record: toRequestRecord(row), sample };
    }
    rows = page.all(attemptId, rows.at(-1)?.request_index ?? Number.MAX_SAFE_INTEGER);
  }
}

/** In order of dispatch. */
export function readRequests(db: Database, attemptId: number): readonly RequestRecord[] {
  return db
    .prepare<[number], RequestRow>(
      "SELECT * FROM request_row WHERE attempt_id = ? ORDER BY request_index",
    )
    .all(attemptId)
    .map(toRequestRecord);
}

/** Window tokens by request index; empty when the attempt has no window. */
export function readWindowTokens(db: Database, attemptId: number): ReadonlyMap<number, number> {
  return new Map(
    db
      .prepare<[number], [number, number]>(
        "SELECT request_index, window_tokens FROM request_window_row WHERE attempt_id = ?",
      )
      .raw()
      .all(attemptId),
  );
}

/** One attempt as stats/ takes it. */
export function readSamples(db: Database, attemptId: number): TrialSamples {
  const row = db.prepare<[number], AttemptRow>(`${attempts} WHERE attempt_id = ?`).get(attemptId);
  if (row === undefined) throw new Error(`no attempt ${attemptId} in the database`);
  return {
    trial: row.trial,
    point: row.point,
    variant: row.variant,
    workload: row.workload,
    plannedConcurrency: row.planned_concurrency ?? undefined,
    round: row.round,
    repeat: row.repeat,
    start: row.start,
    attempt: row.attempt,
    window: row.window_kind,
    requests: readRequestSamples(db, attemptId),
    engine: readEngineReadings(db, attemptId),
    gpus: readGpuReadings(db, attemptId),
    cacheReset: row.cache_reset ?? undefined,
  };
}

/** In order of dispatch; only the columns that a sample needs, which halves the time. */
function readRequestSamples(db: Database, attemptId: number): readonly RequestSample[] {
  const rows = db
    .prepare<[number], SampleRow>(
      `SELECT ${sampleColumns.join(", ")} FROM request_row WHERE attempt_id = ? ORDER BY request_index`,
    )
    .iterate(attemptId);
  return packSamples(rows);
}
