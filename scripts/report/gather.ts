// From a stored run to everything its record is made of: estimates, findings, material. Reads the
// store and computes; starts nothing and changes nothing.
import { auditRun } from "../audit/audit-run.ts";
import type { AuditResult } from "../audit/finding.ts";
import type { AuditInput } from "../audit/rule.ts";
import { differenceOf } from "../environment/difference.ts";
import { engineFields } from "../environment/engine-fields.ts";
import type { EnvironmentField, EnvironmentSnapshot } from "../environment/snapshot.ts";
import { exitCode, UserError } from "../errors.ts";
import type { Experiment } from "../experiment/experiment.ts";
import { catalogueVersion } from "../stats/metrics.ts";
import { estimatePoint, type PointEstimates } from "../stats/point-estimates.ts";
import type { TrialSamples } from "../stats/samples.ts";
import { logicalFiles, recordId, shortRecordId } from "../store/export.ts";
import type { Store } from "../store/store.ts";
import type { EstimateSet, StoredAttempt, StoredRun, StoredStart } from "../store/stored-run.ts";
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
  const environment = environmentOf(store, run);
  const audit = auditRun({ ...run, experiment, measured, ...environment } satisfies AuditInput);
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
        starts: run.starts.flatMap(startMaterial),
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
      reproduce: `benchbook run ${run.experimentPath}`,
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
  store: Store,
  run: StoredRun,
): {
  readonly before: EnvironmentSnapshot | undefined;
  readonly after: EnvironmentSnapshot | undefined;
} {
  const snapshots = store.snapshotsOf(run.run);
  const before = snapshots.find(({ scope }) => scope === "run-before");
  const after = snapshots.findLast(({ scope }) => scope === "run-after");
  const ready = run.starts.filter((start) => start.ready !== undefined);
  return {
    before: before && withEngines(before.snapshot, run, ready),
    after: after && withEngines(after.snapshot, run, ready.toReversed()),
  };
}

/** A snapshot in which each engine's fields are those of its first start in `starts`. */
function withEngines(
  snapshot: EnvironmentSnapshot,
  { plan }: StoredRun,
  starts: readonly StoredStart[],
): EnvironmentSnapshot {
  const told = plan.experiment.variants.flatMap((variant): readonly EnvironmentField[] => {
    const ready = starts.find((start) => start.variant === variant.name)?.ready;
    if (ready === undefined) return [];
    const engine = { variant: variant.name, kind: variant.engine.kind, facts: ready.facts };
    return engineFields(engine, { at: ready.at, light: false, secrets: [] });
  });
  const replaced = new Set(told.map(({ id }) => id.split(".").slice(0, 2).join(".")));
  const kept = snapshot.fields.filter(
    ({ id, group }) => group !== "engine" || !replaced.has(id.split(".").slice(0, 2).join(".")),
  );
  return { ...snapshot, fields: [...kept, ...told] };
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

function startMaterial({
  start,
  variant,
  round,
  ready,
  end,
}: StoredStart): readonly StartMaterial[] {
  const [reason = "", ...lastWords] = (end?.detail ?? "").split("\n");
  const ended: StartMaterial["ended"] =
    end === undefined
      ? { kind: "running" }
      : end.reason === "stopped"
        ? { kind: "stopped" }
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
};

function trialMaterial(attempt: StoredAttempt): TrialMaterial {
  const { trial, point, round, repeat, start, leg, reason } = attempt;
  const status =
    attempt.status === "measured" ? "complete" : attempt.status === "failed" ? "failed" : "partial";
  return { trial, point, round, repeat, attempt: attempt.attempt, start, leg, status, reason };
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
