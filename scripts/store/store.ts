// The database of all runs: everything measured is appended here as it happens, and read back from
// here. A kill at any moment loses at most the requests of the last second, a power cut at most the
// trial under way; a trial that was ended is on the disk before the next begins.
import type { Database } from "better-sqlite3";
import type { AuditResult } from "../audit/finding.ts";
import type { Calibration } from "../bench/calibration.ts";
import type { EngineReading, RequestRecord } from "../bench/request-record.ts";
import type { GpuReading } from "../environment/gpu-reading.ts";
import type { EnvironmentSnapshot } from "../environment/snapshot.ts";
import type { Plan, Trial } from "../experiment/plan.ts";
import type { TrialSamples } from "../stats/samples.ts";
import {
  type LegCalibration,
  readCalibrations,
  readLegCalibrations,
  type StoredCalibration,
} from "./calibrations.ts";
import { openDatabase, withAdvice } from "./database.ts";
import { type QueryLimits, type QueryResult, runQuery, type SqlParameters } from "./query.ts";
import {
  eachRequest,
  findAttempt,
  readAttempts,
  readRequests,
  readSamples,
  readWindowTokens,
} from "./read-attempts.ts";
import { listRuns, readAudit, readEstimates, readRun, readSnapshots } from "./read-run.ts";
import {
  engineReadingRow,
  gpuReadingRow,
  readEngineReadings,
  readGpuReadings,
} from "./reading-rows.ts";
import { type CountedTokens, toRequestRow } from "./request-row.ts";
import { type RoundsEnd, readRoundsEnds, roundsEndOf, trialsAskedFor } from "./rounds-ends.ts";
import { findRun, unknownRun } from "./run-id.ts";
import { canonicalJson } from "./stored-json.ts";
import type {
  AttemptKey,
  EstimateSet,
  LegBegin,
  LegEnd,
  Note,
  RunHeader,
  RunSummary,
  SnapshotScope,
  StartBegin,
  StartEnd,
  StartReady,
  StoredAttempt,
  StoredLeg,
  StoredRun,
  StoredSnapshot,
  TrialBegin,
  TrialEnd,
} from "./stored-run.ts";
import { Writer, type WriterOptions } from "./writer.ts";

export interface StoreOptions {
  /** Reads only; the file must be there. */
  readonly readonly?: boolean;
  /** Longest time that a completed request waits in memory; half of what is promised. */
  readonly flushEveryMs?: number;
  /** How long another process may hold the write lock before that is an error. */
  readonly lockPatienceMs?: number;
  /** Quota of the file in pages of 16 KiB; undefined: only the disk limits it. */
  readonly maxPages?: number | undefined;
}

/** Open it once per process, `close` it in the end. Every method throws a UserError for what a person can mend. */
export class Store {
  readonly path: string;
  readonly #db: Database;
  readonly #writer: Writer;
  /** Attempts that this store began and did not end. */
  readonly #open = new Map<string, number>();

  private constructor(path: string, db: Database, options: WriterOptions) {
    this.path = path;
    this.#db = db;
    this.#writer = new Writer(path, db, options);
  }

  /**
   * Opens the file, making folder and file where they are missing, at this program's schema.
   *
   * @throws UserError when it can't be opened, is no database of ours, or is of a newer benchbook.
   */
  static open(path: string, options: StoreOptions = {}): Store {
    const { readonly = false, flushEveryMs = 500, lockPatienceMs = 10_000, maxPages } = options;
    const db = openDatabase(path, { readonly, lockPatienceMs, maxPages });
    return new Store(path, db, { flushEveryMs, lockPatienceMs });
  }

  /** Writes what is in memory and closes the file. Does nothing when closed before. */
  close(): void {
    if (!this.#db.open) return;
    try {
      this.#writer.flush();
    } finally {
      this.#writer.stop();
      this.#db.close();
    }
  }

  /** Writes and syncs every request and reading that is still in memory. */
  flush(): void {
    this.#writer.flush();
  }

  createRun(run: RunHeader): void {
    this.#writer.write(() => {
      this.#writer.insert("run_row", {
        run: run.run,
        experiment: run.experiment,
        title_zh: run.title.zh,
        title_en: run.title.en,
        experiment_path: run.experimentPath,
        experiment_source: run.experimentSource,
        resolved_json: canonicalJson(run.resolved),
        defaults_json: canonicalJson(run.defaults),
        extended_json: canonicalJson(run.extended),
        plan_json: canonicalJson(run.plan),
        trials_planned: trialsOf(run.plan).length,
        window_kind: run.plan.experiment.measure.window,
        tool_json: canonicalJson(run.tool),
        created_at: run.createdAt,
      });
    });
  }

  /** Gives the leg's number, from 1; above 1 the run is being resumed. */
  beginLeg(
    run: string,
    begin: LegBegin,
    /** Sees the last leg if it has no end, and throws where it must not be followed. */
    refuse: (last: StoredLeg) => void = () => undefined,
  ): number {
    return this.#writer.write(() => {
      const last = this.readRun(run).legs.at(-1);
      if (last !== undefined && last.end === undefined) refuse(last);
      const leg = this.#writer.next("leg_row", "leg", run);
      this.#writer.insert("leg_row", {
        run,
        leg,
        started_at: begin.startedAt,
        pid: begin.pid,
        pid_started_at: begin.pidStartedAt,
        host: begin.host,
        argv_json: canonicalJson(begin.argv),
        tool_json: canonicalJson(begin.tool),
      });
      return leg;
    });
  }

  endLeg(run: string, leg: number, end: LegEnd): void {
    this.#writer.write(() => {
      const { endedAt, reason, detail } = end;
      this.#writer.insert("leg_end_row", { run, leg, ended_at: endedAt, reason, detail });
    });
  }

  /** The last leg, if it has no end: it runs, or was killed; its pid tells the caller which. */
  liveLeg(run: string): StoredLeg | undefined {
    const last = this.readRun(run).legs.at(-1);
    return last?.end === undefined ? last : undefined;
  }

  appendSnapshot(run: string, scope: SnapshotScope, snapshot: EnvironmentSnapshot): void {
    this.#writer.write(() => {
      this.#writer.insert("snapshot_row", {
        run,
        leg: scope.leg,
        scope: scope.scope,
        start: scope.start,
        trial: scope.trial,
        attempt: scope.attempt,
        taken_at: snapshot.takenAt,
        schema: snapshot.schema,
        light: snapshot.light,
        fields_json: canonicalJson(snapshot.fields),
        raw_json: canonicalJson(snapshot.raw),
      });
    });
  }

  /** Gives the start's number within the run, from 1. */
  beginStart(run: string, begin: StartBegin): number {
    return this.#writer.write(() => {
      const start = this.#writer.next("start_row", "start", run);
      this.#writer.insert("start_row", {
        run,
        start,
        leg: begin.leg,
        variant: begin.variant,
        round: begin.round,
        started_at: begin.startedAt,
        restart_of: begin.restartOf,
      });
      return start;
    });
  }

  startReady(run: string, start: number, ready: StartReady): void {
    this.#writer.write(() => {
      this.#writer.insert("start_ready_row", {
        run,
        start,
        ready_at: ready.at,
        startup_ms: ready.startupMs,
        facts_json: canonicalJson(ready.facts),
        pid: ready.pid,
        pid_started_at: ready.pidStartedAt,
        log_path: ready.logPath,
      });
    });
  }

  endStart(run: string, start: number, end: StartEnd): void {
    this.#writer.write(() => {
      const { at, reason, detail, logDigest } = end;
      this.#writer.insert("start_end_row", {
        run,
        start,
        ended_at: at,
        reason,
        detail,
        log_digest: logDigest,
      });
    });
  }

  /** Gives the key of a new attempt; its `attempt` counts from 1 within the trial. */
  beginTrial(run: string, begin: TrialBegin): AttemptKey {
    const { trial } = begin;
    return this.#writer.write(() => {
      const last = this.#db
        .prepare<[string, string], number | null>(
          "SELECT max(attempt) FROM trial_row WHERE run = ? AND trial = ?",
        )
        .pluck()
        .get(run, trial.id);
      const key = { run, trial: trial.id, attempt: (last ?? 0) + 1 };
      const id = this.#writer.insert("trial_row", {
        ...key,
        point: trial.point,
        variant: trial.variant,
        workload: trial.workload,
        load_json: canonicalJson(trial.load),
        round: trial.round,
        repeat: trial.repeat,
        seed: trial.seed,
        start: begin.start,
        started_at: begin.startedAt,
        planned_concurrency: begin.plannedConcurrency,
        warmup_requests: begin.warmupRequests,
        measured_json: canonicalJson(begin.measured),
        cache_reset: begin.cacheReset,
      });
      this.#open.set(nameOf(key), id);
      return key;
    });
  }

  /**
   * Takes a request that ended; it is in the file within `flushEveryMs`.
   *
   * @throws what went wrong with an earlier one, when writing in the background failed.
   */
  appendRequest(key: AttemptKey, record: RequestRecord, tokens?: CountedTokens): void {
    this.#writer.append("request_row", { ...toRequestRow(this.#openAttempt(key), record, tokens) });
  }

  /** As `appendRequest`. */
  appendReading(key: AttemptKey, reading: EngineReading): void {
    const row = engineReadingRow(this.#openAttempt(key), reading);
    this.#writer.append("engine_reading_row", row);
  }

  /** As `appendRequest`. */
  appendGpuReading(key: AttemptKey, reading: GpuReading): void {
    this.#writer.append("gpu_reading_row", gpuReadingRow(this.#openAttempt(key), reading));
  }

  /** Ends and seals the attempt, in one transaction with all that is in memory; on the disk when it returns. */
  endTrial(key: AttemptKey, end: TrialEnd): void {
    const attemptId = this.#openAttempt(key);
    this.#writer.write(() => {
      for (const [index, tokens] of end.windowTokens) {
        this.#writer.insert("request_window_row", {
          attempt_id: attemptId,
          request_index: index,
          window_tokens: tokens,
        });
      }
      this.#writer.insert("trial_end_row", {
        attempt_id: attemptId,
        status: end.status,
        reason: end.reason,
        summary_json: end.summary === undefined ? undefined : canonicalJson(end.summary),
        window_start_ms: end.window?.startMs,
        window_end_ms: end.window?.endMs,
        watches_json: end.watches && canonicalJson(end.watches),
      });
    });
    this.#open.delete(nameOf(key));
    withAdvice(this.path, () => this.#db.pragma("wal_checkpoint(PASSIVE)"));
  }

  /** Keeps the decision that no more rounds are needed. */
  appendRoundsEnd(run: string, end: RoundsEnd): void {
    this.#writer.write(() => {
      this.#writer.insert("rounds_end_row", {
        run,
        leg: end.leg,
        variant: end.variant,
        at: end.at,
        round: end.round,
        outcome: end.outcome,
        target: end.target,
        trials_spared: end.trialsSpared,
        spreads_json: canonicalJson(end.spreads),
      });
    });
  }

  appendNote(run: string, note: Note): void {
    this.#writer.write(() => {
      const { leg, at, kind, text } = note;
      this.#writer.insert("note_row", { run, leg, at, kind, text });
    });
  }

  /** Keeps a calibration of the client; gives its number. */
  appendCalibration(calibration: Calibration): number {
    return this.#writer.write(() => {
      const { at, machine, tool, load, threads } = calibration;
      return this.#writer.insert("calibration_row", {
        at,
        machine,
        tool,
        streams: load.streams,
        rate_per_s: load.ratePerS,
        threads,
        calibration_json: canonicalJson(calibration),
      });
    });
  }

  /** Says which calibration a leg goes by. */
  useCalibration(run: string, leg: number, calibration: number): void {
    this.#writer.write(() => {
      this.#writer.insert("leg_calibration_row", { run, leg, calibration });
    });
  }

  /** All calibrations, in the order they were made. */
  calibrations(): readonly StoredCalibration[] {
    return this.#read(() => readCalibrations(this.#db));
  }

  /** The calibrations that the legs of a run went by, in order of the legs. */
  calibrationsOf(run: string): readonly LegCalibration[] {
    return this.#read(() => readLegCalibrations(this.#db, run));
  }

  /** Adds a generation of estimates, which the views then show. */
  appendEstimates(run: string, set: EstimateSet): void {
    this.#writer.write(() => {
      const generation = this.#writer.next("estimate_set_row", "generation", run);
      const definition_version = set.definitionVersion;
      this.#writer.insert("estimate_set_row", { run, generation, definition_version });
      set.rows.forEach(({ point, estimate }, position) => {
        this.#writer.insert("estimate_row", {
          run,
          generation,
          position,
          point,
          metric: estimate.metric,
          value: estimate.value,
          low: estimate.low,
          high: estimate.high,
          level: estimate.level,
          n: estimate.n,
          starts: estimate.starts,
          rounds: estimate.rounds,
          method: estimate.method,
          cv: estimate.cv,
          median_round_low: estimate.medianRound?.low,
          median_round_high: estimate.medianRound?.high,
          geometric: estimate.geometric,
          per_round_json: canonicalJson(estimate.perRound),
          missing_rounds_json: estimate.missingRounds && canonicalJson(estimate.missingRounds),
          absence_json: estimate.absence && canonicalJson(estimate.absence),
          unit: estimate.unit,
        });
      });
    });
  }

  /** Adds a generation of findings, which the views then show. */
  appendAudit(run: string, result: AuditResult): void {
    this.#writer.write(() => {
      this.#writer.insert("audit_row", {
        run,
        generation: this.#writer.next("audit_row", "generation", run),
        verdict: result.verdict,
        result_json: canonicalJson(result),
      });
    });
  }

  /** Newest first. */
  listRuns(): readonly RunSummary[] {
    return this.#read(() => listRuns(this.#db));
  }

  /**
   * The id of the run that `text` names: an id, `latest`, or a beginning or end that only one has.
   *
   * @throws UserError when none or several fit; it names the nearest.
   */
  resolveRun(text: string): string {
    return findRun(text, this.#runIds());
  }

  /** @throws UserError when there is no run of this id. */
  readRun(run: string): StoredRun {
    const stored = this.#read(() => readRun(this.#db, run));
    if (stored === undefined) throw unknownRun(run, this.#runIds());
    return stored;
  }

  /** Of each trial the attempt that counts (the last measured one), in the order they were made. */
  samplesOf(run: string): readonly TrialSamples[] {
    return this.attemptsOf(run)
      .filter(({ counts }) => counts)
      .map((attempt) => this.samplesOfAttempt(attempt));
  }

  /** Every attempt at every trial, failed and unfinished ones too, in the order they began. */
  attemptsOf(run: string): readonly StoredAttempt[] {
    return this.#read(() => readAttempts(this.#db, run));
  }

  /** One attempt as stats/ takes it, whatever became of it; call `flush` first where it still runs. */
  samplesOfAttempt(key: AttemptKey): TrialSamples {
    return this.#read(() => readSamples(this.#db, this.#attemptId(key)));
  }

  /** The whole records of an attempt, in order of dispatch. */
  requestsOf(key: AttemptKey): readonly RequestRecord[] {
    return this.#read(() => readRequests(this.#db, this.#attemptId(key)));
  }

  /** Every record of an attempt with its sample, in order of dispatch, without holding all of them. */
  *eachRequestOf(key: AttemptKey): ReturnType<typeof eachRequest> {
    yield* eachRequest(
      this.#db,
      this.#read(() => this.#attemptId(key)),
    );
  }

  /** Output tokens in the window by request index; empty when the attempt has no window. */
  windowTokensOf(key: AttemptKey): ReadonlyMap<number, number> {
    return this.#read(() => readWindowTokens(this.#db, this.#attemptId(key)));
  }

  /** Ascending in time. */
  readingsOf(key: AttemptKey): readonly EngineReading[] {
    return this.#read(() => readEngineReadings(this.#db, this.#attemptId(key)));
  }

  /** Ascending in time, then by GPU. */
  gpuReadingsOf(key: AttemptKey): readonly GpuReading[] {
    return this.#read(() => readGpuReadings(this.#db, this.#attemptId(key)));
  }

  /** In the order they were taken. */
  snapshotsOf(run: string): readonly StoredSnapshot[] {
    return this.#read(() => readSnapshots(this.#db, run));
  }

  /** The newest generation; undefined: none was computed. */
  estimatesOf(run: string): EstimateSet | undefined {
    return this.#read(() => readEstimates(this.#db, run));
  }

  /** The newest generation; undefined: the run was not audited. */
  auditOf(run: string): AuditResult | undefined {
    return this.#read(() => readAudit(this.#db, run));
  }

  /** How the run's rounds on demand ended, in the order it was decided; empty: not ended, or fixed. */
  roundsEndsOf(run: string): readonly RoundsEnd[] {
    return this.#read(() => readRoundsEnds(this.#db, run));
  }

  /**
   * The trials of `plan` (the run's own by default) without a measured attempt, in its order. Rounds
   * on demand that ended have no more, unless a trial failed before their end: once it is filled in,
   * the spread decides again.
   */
  missingTrials(run: string, plan: Plan = this.readRun(run).plan): readonly Trial[] {
    const done = new Set(
      this.attemptsOf(run)
        .filter(({ counts }) => counts)
        .map(({ trial }) => trial),
    );
    const ends = this.roundsEndsOf(run);
    const asked = new Set(trialsAskedFor(plan, ends).map(({ id }) => id));
    const missing = trialsOf(plan).filter(({ id }) => !done.has(id));
    // By the variant whose rounds ended on their own, or "" for those that take turns.
    const reopened = new Set(
      missing.flatMap(({ id, variant }) =>
        asked.has(id) ? [roundsEndOf(ends, variant)?.variant ?? ""] : [],
      ),
    );
    return missing.filter(
      ({ id, variant }) => asked.has(id) || reopened.has(roundsEndOf(ends, variant)?.variant ?? ""),
    );
  }

  /**
   * Runs one SELECT on a connection that can't write; `chunk_gap(chunk_times)` unpacks chunk times.
   *
   * @throws UserError for SQL that is wrong, no SELECT, or takes too long.
   */
  query(sql: string, parameters?: SqlParameters, limits?: QueryLimits): QueryResult {
    return runQuery(this.path, sql, parameters, limits);
  }

  #runIds(): readonly string[] {
    return this.listRuns()
      .map(({ run }) => run)
      .toReversed();
  }

  /** All of `step` sees one state of the file, whatever is written meanwhile. */
  #read<T>(step: () => T): T {
    return withAdvice(this.path, () => this.#db.transaction(step).deferred());
  }

  #attemptId(key: AttemptKey): number {
    const id = findAttempt(this.#db, key);
    if (id === undefined) throw new Error(`no attempt ${nameOf(key)}`);
    return id;
  }

  /** The id of an attempt that this store began and did not end: only such take samples. */
  #openAttempt(key: AttemptKey): number {
    const id = this.#open.get(nameOf(key));
    if (id === undefined) throw new Error(`attempt ${nameOf(key)} is not open`);
    return id;
  }
}

function nameOf({ run, trial, attempt }: AttemptKey): string {
  return `${run} ${trial} ${attempt}`;
}

function trialsOf(plan: Plan): readonly Trial[] {
  return plan.rounds.flatMap(({ starts }) => starts.flatMap(({ trials }) => trials));
}
