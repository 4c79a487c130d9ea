// From a stored run to everything its record is made of: estimates, findings, material. Reads the
// store and computes; starts nothing and changes nothing.

import { auditRun } from "../audit/audit-run.ts";
import type { AuditResult } from "../audit/finding.ts";
import type { AuditInput } from "../audit/rule.ts";
import { undisclosedSettings } from "../engine/engine.ts";
import { differenceOf } from "../environment/difference.ts";
import { quoteWord } from "../environment/probe.ts";
import type { EnvironmentField, EnvironmentSnapshot } from "../environment/snapshot.ts";
import { exitCode, UserError } from "../errors.ts";
import type { Experiment } from "../experiment/experiment.ts";
import { catalogueVersion } from "../stats/metrics.ts";
import { estimatePoint, type PointEstimates } from "../stats/point-estimates.ts";
import type { TrialSamples } from "../stats/samples.ts";
import { logicalFiles, recordId, shortRecordId } from "../store/export.ts";
import type { Store } from "../store/store.ts";
import type {
  EstimateSet,
  StoredAttempt,
  StoredRun,
  StoredSnapshot,
  StoredStart,
} from "../store/stored-run.ts";
import type { RecordMaterial, StartMaterial, TrialMaterial } from "./record-material.ts";

export interface Gathered {
  readonly material: RecordMaterial;
  readonly estimates: EstimateSet;
  readonly audit: AuditResult;
}

/**
 * Gathers a run.
 * @throws UserError when no trial of it was measured: there is nothing to report
 */
export function gather(store: Store, runId: string): Gathered {
  const run = store.readRun(runId);
  const { experiment, points } = run.plan;
  const samples = store.samplesOf(runId);
  if (samples.length === 0) throw nothingMeasured(run);

  const measured = points.flatMap(({ name }) => {
    const trials = samples.filter(({ point }) => point === name);
    return trials.length === 0
      ? []
      : [{ estimates: estimateOf(name, trials, experiment), samples: trials }];
  });
  const snapshots = store.snapshotsOf(runId);
  const environment = environmentOf(run, snapshots);
  const audit = auditRun({
    ...run,
    experiment,
    measured,
    snapshots,
    ...environment,
  } satisfies AuditInput);
  const digest = recordId(logicalFiles(store, runId));
  return {
    audit,
    estimates: {
      definitionVersion: catalogueVersion,
      rows: measured.flatMap(({ estimates: { point, estimates } }) =>
        [...estimates.values()].map((estimate) => ({ point, estimate })),
      ),
    },
    material: {
      run: {
        id: run.run,
        createdAt: run.createdAt,
        endedAt: run.legs.at(-1)?.end?.endedAt,
        tool: { ...run.tool, commit: run.tool.commit, dirty: run.tool.dirty },
        experimentSource: run.experimentSource,
        legs: run.legs.map(({ leg, startedAt, end }) => ({
          leg,
          startedAt,
          endedAt: end?.endedAt,
          reason: end === undefined ? "killed" : end.reason === "complete" ? undefined : end.reason,
        })),
        starts: run.starts.flatMap((start) => startMaterial(start, run)),
        trials: run.attempts.map(trialMaterial),
        plannedTrials: run.plan.rounds.flatMap(({ starts }) =>
          starts.flatMap(({ trials }) => trials),
        ).length,
      },
      experiment,
      points,
      measured: measured.map(({ estimates, samples: trials }) => ({
        ...estimates,
        requests: requestCounts(trials),
      })),
      environment: {
        before: environment.before ?? emptySnapshot(run.createdAt),
        after: environment.after,
        differences:
          environment.before === undefined || environment.after === undefined
            ? []
            : differenceOf(environment.before, environment.after),
      },
      audit,
      recordId: { digest, short: shortRecordId(digest) },
      reproduce: reproduceCommand(run),
      experimentDefaults: run.defaults,
    },
  };
}

function estimateOf(
  point: string,
  trials: readonly TrialSamples[],
  experiment: Experiment,
): PointEstimates {
  const variant = experiment.variants.find(({ name }) => point.startsWith(`${name}/`));
  return estimatePoint(trials, {
    percentiles: experiment.measure.percentiles,
    slo: experiment.slo,
    oneProcess: experiment.measure.keep || variant?.engine.kind === "external",
    freshPrompts: true,
  });
}

/**
 * The environment before and after the whole run, with what the engines said of themselves on their
 * first and on their last start. Where a run was resumed, before is the first leg's, after the last's.
 */
function environmentOf(
  run: StoredRun,
  snapshots: readonly StoredSnapshot[],
): {
  readonly before: EnvironmentSnapshot | undefined;
  readonly after: EnvironmentSnapshot | undefined;
} {
  const before = snapshots.find(({ scope }) => scope === "run-before");
  const lastLeg = run.legs.at(-1)?.leg;
  const after = snapshots.findLast(({ scope, leg }) => scope === "run-after" && leg === lastLeg);
  const ofStarts = snapshots
    .filter(({ scope }) => scope === "start")
    .map(({ snapshot }) => snapshot);
  return {
    before: before && withEngines(before.snapshot, ofStarts),
    after: after && withEngines(after.snapshot, ofStarts.toReversed()),
  };
}

/**
 * A snapshot in which each engine's fields are those of the first of `ofStarts` that has them: around
 * a run no engine is up to say anything of itself.
 */
function withEngines(
  snapshot: EnvironmentSnapshot,
  ofStarts: readonly EnvironmentSnapshot[],
): EnvironmentSnapshot {
  const told = new Map<string, readonly EnvironmentField[]>();
  for (const { fields } of ofStarts) {
    const engine = fields.filter(({ group }) => group === "engine");
    const [first] = engine;
    if (first !== undefined && !told.has(engineOf(first))) told.set(engineOf(first), engine);
  }
  const kept = snapshot.fields.filter(
    (field) => field.group !== "engine" || !told.has(engineOf(field)),
  );
  return { ...snapshot, fields: [...kept, ...[...told.values()].flat()] };
}

/** "engine.fp32.version" -> "engine.fp32". */
function engineOf({ id }: EnvironmentField): string {
  return id.split(".").slice(0, 2).join(".");
}

function requestCounts(trials: readonly TrialSamples[]): {
  measured: number;
  completed: number;
  failed: number;
} {
  const cohort = trials.flatMap(({ requests }) =>
    requests.filter(({ phase }) => phase === "measured"),
  );
  const completed = cohort.filter(({ status }) => status === "completed").length;
  const cancelled = cohort.filter(({ status }) => status === "cancelled").length;
  return { measured: cohort.length, completed, failed: cohort.length - completed - cancelled };
}

function startMaterial(
  { start, variant, round, ready, end, leg }: StoredStart,
  { legs }: StoredRun,
): readonly StartMaterial[] {
  // The leg in which it was started is over, or a later one has begun: nobody saw how it ended.
  const isLegOver = legs.some((one) => one.leg > leg || (one.leg === leg && one.end !== undefined));
  const [reason = "", ...lastWords] = (end?.detail ?? "").split("\n");
  const ended: StartMaterial["ended"] =
    end === undefined
      ? { kind: isLegOver ? "unknown" : "running" }
      : end.reason === "stopped" || end.reason === "detached"
        ? { kind: end.reason }
        : { kind: end.reason, reason, lastWords: lastWords.join("\n") };
  if (ready === undefined && ended.kind !== "never_ready") return [];
  return [
    {
      start,
      variant,
      round,
      startupMs: ready?.startupMs,
      facts: ready?.facts ?? undisclosed,
      ended,
    },
  ];
}

/** Of an engine that never said anything. */
const undisclosed: StartMaterial["facts"] = {
  name: "",
  version: undefined,
  argv: undefined,
  env: {},
  config: undefined,
  configDigest: undefined,
  maxModelLen: undefined,
  maxNumSeqs: undefined,
  settings: undisclosedSettings,
  nonDefaultArgs: undefined,
  container: undefined,
};

function trialMaterial(attempt: StoredAttempt): TrialMaterial {
  const { trial, point, round, repeat, start, leg, reason } = attempt;
  const status =
    attempt.status === "measured" ? "complete" : attempt.status === "failed" ? "failed" : "partial";
  return { trial, point, round, repeat, attempt: attempt.attempt, start, leg, status, reason };
}

/** The command that measures the same plan again, quoted for a shell. */
function reproduceCommand({ experimentPath, plan: { selection } }: StoredRun): string {
  const words = [
    "run",
    experimentPath,
    ...selection.only.flatMap((pattern) => ["--only", pattern]),
    ...(selection.rounds === undefined ? [] : ["--rounds", String(selection.rounds)]),
  ];
  return ["benchbook", ...words.map(quoteWord)].join(" ");
}

function emptySnapshot(takenAt: string): EnvironmentSnapshot {
  return { schema: 1, takenAt, fields: [], raw: [] };
}

function nothingMeasured(run: StoredRun): UserError {
  const reasons = new Set([
    ...run.starts.flatMap(({ end }) =>
      end?.detail === undefined ? [] : [end.detail.split("\n")[0] ?? ""],
    ),
    ...run.attempts.flatMap(({ reason }) => reason ?? []),
  ]);
  return new UserError(
    {
      what: `run ${run.run} has no measured trial, so there is nothing to report`,
      ...(reasons.size === 0 ? {} : { where: [...reasons].join("; ") }),
      mend: `mend the cause, then: benchbook run --resume ${run.run}`,
    },
    { exitCode: exitCode.failed },
  );
}
