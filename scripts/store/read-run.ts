// Rows of the store to runs: the list, and one run with its legs, engine starts, attempts and notes.
import type { Database } from "better-sqlite3";
import type { AuditResult, Verdict } from "../audit/finding.ts";
import type { EngineFacts } from "../engine/engine.ts";
import type { ToolIdentity } from "../environment/client.ts";
import type { EnvironmentField, RawProbe } from "../environment/snapshot.ts";
import type { Estimate } from "../stats/samples.ts";
import { readAttempts } from "./read-attempts.ts";
import { readRoundsEnds } from "./rounds-ends.ts";
import { readStoredExperiment, readStoredPlan } from "./stored-experiment.ts";
import { parseStored } from "./stored-json.ts";
import type {
  EstimateSet,
  LegEnd,
  Note,
  RunHeader,
  RunSummary,
  SnapshotScope,
  StartEnd,
  StoredLeg,
  StoredRun,
  StoredSnapshot,
  StoredStart,
} from "./stored-run.ts";

/** Newest first. */
export function listRuns(db: Database): readonly RunSummary[] {
  interface Row {
    readonly run: string;
    readonly experiment: string;
    readonly title_zh: string;
    readonly title_en: string;
    readonly created_at: string;
    readonly status: RunSummary["status"];
    readonly verdict: Verdict | null;
    readonly legs: number;
    readonly ended_at: string | null;
    readonly trials_planned: number;
    readonly trials_measured: number;
  }
  return db
    .prepare<[], Row>("SELECT v.* FROM run v JOIN run_row r USING (run) ORDER BY r.id DESC")
    .all()
    .map((row) => ({
      run: row.run,
      experiment: row.experiment,
      title: { zh: row.title_zh, en: row.title_en },
      createdAt: row.created_at,
      status: row.status,
      verdict: row.verdict ?? undefined,
      legs: row.legs,
      endedAt: row.ended_at ?? undefined,
      trialsPlanned: row.trials_planned,
      trialsMeasured: row.trials_measured,
    }));
}

/** undefined: no run of this id. */
export function readRun(db: Database, run: string): StoredRun | undefined {
  interface Row {
    readonly experiment: string;
    readonly title_zh: string;
    readonly title_en: string;
    readonly experiment_source: string;
    readonly experiment_path: string;
    readonly resolved_json: string;
    readonly defaults_json: string;
    readonly extended_json: string;
    readonly plan_json: string;
    readonly tool_json: string;
    readonly created_at: string;
  }
  const row = db.prepare<[string], Row>("SELECT * FROM run_row WHERE run = ?").get(run);
  if (row === undefined) return undefined;
  return {
    run,
    experiment: row.experiment,
    title: { zh: row.title_zh, en: row.title_en },
    experimentSource: row.experiment_source,
    experimentPath: row.experiment_path,
    resolved: readStoredExperiment(row.resolved_json),
    defaults: parseStored(row.defaults_json) as RunHeader["defaults"],
    extended: parseStored(row.extended_json) as RunHeader["extended"],
    plan: readStoredPlan(row.plan_json),
    tool: parseStored(row.tool_json) as ToolIdentity,
    createdAt: row.created_at,
    legs: readLegs(db, run),
    starts: readStarts(db, run),
    attempts: readAttempts(db, run),
    notes: readNotes(db, run),
    roundsEnds: readRoundsEnds(db, run),
  };
}

function readLegs(db: Database, run: string): readonly StoredLeg[] {
  interface Row {
    readonly leg: number;
    readonly started_at: string;
    readonly pid: number;
    readonly pid_started_at: string | null;
    readonly host: string;
    readonly argv_json: string;
    readonly tool_json: string;
    readonly ended_at: string | null;
    readonly reason: LegEnd["reason"] | null;
    readonly detail: string | null;
  }
  return db
    .prepare<[string], Row>(
      "SELECT * FROM leg_row LEFT JOIN leg_end_row USING (run, leg) WHERE run = ? ORDER BY leg",
    )
    .all(run)
    .map((row) => ({
      leg: row.leg,
      startedAt: row.started_at,
      pid: row.pid,
      pidStartedAt: row.pid_started_at ?? undefined,
      host: row.host,
      argv: parseStored(row.argv_json) as readonly string[],
      tool: parseStored(row.tool_json) as ToolIdentity,
      end:
        row.ended_at === null || row.reason === null
          ? undefined
          : { endedAt: row.ended_at, reason: row.reason, detail: row.detail ?? undefined },
    }));
}

function readStarts(db: Database, run: string): readonly StoredStart[] {
  interface Row {
    readonly start: number;
    readonly leg: number;
    readonly variant: string;
    readonly round: number;
    readonly started_at: string;
    readonly restart_of: number | null;
    readonly ready_at: string | null;
    readonly startup_ms: number | null;
    readonly facts_json: string | null;
    readonly pid: number | null;
    readonly pid_started_at: string | null;
    readonly log_path: string | null;
    readonly ended_at: string | null;
    readonly reason: StartEnd["reason"] | null;
    readonly detail: string | null;
    readonly log_digest: string | null;
  }
  return db
    .prepare<[string], Row>(
      `SELECT * FROM start_row LEFT JOIN start_ready_row USING (run, start)
       LEFT JOIN start_end_row USING (run, start) WHERE run = ? ORDER BY start`,
    )
    .all(run)
    .map((row) => ({
      start: row.start,
      leg: row.leg,
      variant: row.variant,
      round: row.round,
      startedAt: row.started_at,
      restartOf: row.restart_of ?? undefined,
      ready:
        row.ready_at === null || row.facts_json === null
          ? undefined
          : {
              at: row.ready_at,
              startupMs: row.startup_ms ?? undefined,
              facts: parseStored(row.facts_json) as EngineFacts,
              pid: row.pid ?? undefined,
              pidStartedAt: row.pid_started_at ?? undefined,
              logPath: row.log_path ?? undefined,
            },
      end:
        row.ended_at === null || row.reason === null
          ? undefined
          : {
              at: row.ended_at,
              reason: row.reason,
              detail: row.detail ?? undefined,
              logDigest: row.log_digest ?? undefined,
            },
    }));
}

function readNotes(db: Database, run: string): readonly Note[] {
  interface Row {
    readonly at: string;
    readonly leg: number | null;
    readonly kind: string;
    readonly text: string;
  }
  return db
    .prepare<[string], Row>("SELECT at, leg, kind, text FROM note_row WHERE run = ? ORDER BY id")
    .all(run)
    .map((row) => ({ ...row, leg: row.leg ?? undefined }));
}

/** In the order they were appended. */
export function readSnapshots(db: Database, run: string): readonly StoredSnapshot[] {
  interface Row {
    readonly leg: number;
    readonly scope: SnapshotScope["scope"];
    readonly start: number | null;
    readonly trial: string | null;
    readonly attempt: number | null;
    readonly taken_at: string;
    readonly schema: 1;
    readonly light: number | null;
    readonly fields_json: string;
    readonly raw_json: string;
  }
  return db
    .prepare<[string], Row>("SELECT * FROM snapshot_row WHERE run = ? ORDER BY id")
    .all(run)
    .map((row) => ({
      leg: row.leg,
      scope: row.scope,
      start: row.start ?? undefined,
      trial: row.trial ?? undefined,
      attempt: row.attempt ?? undefined,
      snapshot: {
        schema: row.schema,
        takenAt: row.taken_at,
        ...(row.light === null ? {} : { light: row.light === 1 }),
        fields: parseStored(row.fields_json) as readonly EnvironmentField[],
        raw: parseStored(row.raw_json) as readonly RawProbe[],
      },
    }));
}

/** The newest generation; undefined: none was computed. */
export function readEstimates(db: Database, run: string): EstimateSet | undefined {
  interface Row {
    readonly point: string;
    readonly metric: string;
    readonly value: number | null;
    readonly low: number | null;
    readonly high: number | null;
    readonly level: number;
    readonly n: number;
    readonly starts: number;
    readonly rounds: number;
    readonly method: Estimate["method"];
    readonly cv: number | null;
    readonly median_round_low: number | null;
    readonly median_round_high: number | null;
    readonly geometric: number;
    readonly per_round_json: string;
    readonly missing_rounds_json: string | null;
    readonly absence_json: string | null;
    readonly unit: string;
  }
  const newest = db
    .prepare<[string], { readonly generation: number; readonly definition_version: string }>(
      "SELECT * FROM estimate_set_row WHERE run = ? ORDER BY generation DESC LIMIT 1",
    )
    .get(run);
  if (newest === undefined) return undefined;
  const rows = db
    .prepare<[string, number], Row>(
      "SELECT * FROM estimate_row WHERE run = ? AND generation = ? ORDER BY position",
    )
    .all(run, newest.generation)
    .map((row) => ({
      point: row.point,
      estimate: {
        metric: row.metric,
        value: row.value ?? undefined,
        low: row.low ?? undefined,
        high: row.high ?? undefined,
        level: row.level,
        n: row.n,
        starts: row.starts,
        rounds: row.rounds,
        method: row.method,
        cv: row.cv ?? undefined,
        medianRound:
          row.median_round_low === null || row.median_round_high === null
            ? undefined
            : { low: row.median_round_low, high: row.median_round_high },
        geometric: row.geometric === 1,
        perRound: parseStored(row.per_round_json) as Estimate["perRound"],
        ...(row.missing_rounds_json === null
          ? {}
          : {
              missingRounds: parseStored(row.missing_rounds_json) as NonNullable<
                Estimate["missingRounds"]
              >,
            }),
        absence:
          row.absence_json === null
            ? undefined
            : (parseStored(row.absence_json) as NonNullable<Estimate["absence"]>),
        unit: row.unit,
      },
    }));
  return { definitionVersion: newest.definition_version, rows };
}

/** The newest generation; undefined: the run was not audited. */
export function readAudit(db: Database, run: string): AuditResult | undefined {
  const json = db
    .prepare<[string], string>(
      "SELECT result_json FROM audit_row WHERE run = ? ORDER BY generation DESC LIMIT 1",
    )
    .pluck()
    .get(run);
  return json === undefined ? undefined : (parseStored(json) as AuditResult);
}
