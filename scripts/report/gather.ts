// From a stored run to everything its record is made of: estimates, findings, material. Reads the
// store and computes; starts nothing and changes nothing.

import { auditRun } from "../audit/audit-run.ts";
import type { AuditResult } from "../audit/finding.ts";
import { gpusOfVariant } from "../audit/gpu-use.ts";
import type { AuditInput } from "../audit/rule.ts";
import { undisclosedSettings } from "../engine/engine.ts";
import { quoteWord } from "../environment/probe.ts";
import { exitCode, UserError } from "../errors.ts";
import type { Experiment } from "../experiment/experiment.ts";
import { missingRounds } from "../experiment/plan.ts";
import { sideBySide } from "../stats/definitions.ts";
import { type EngineGpus, unknownGpus } from "../stats/gpu-metrics.ts";
import type { OnDemand } from "../stats/interval-note.ts";
import { catalogueVersion } from "../stats/metrics.ts";
import { estimatePoint, type PointEstimates } from "../stats/point-estimates.ts";
import type { TrialSamples } from "../stats/samples.ts";
import { widestOf } from "../stats/stopping.ts";
import { logicalFiles, recordId, shortRecordId } from "../store/export.ts";
import { type RoundsEnd, roundsEndOf, trialsAskedFor } from "../store/rounds-ends.ts";
import type { Store } from "../store/store.ts";
import type { EstimateSet, StoredAttempt, StoredRun, StoredStart } from "../store/stored-run.ts";
import { beforeAndAfter, environmentMaterial } from "./gather-environment.ts";
import { cacheMaterial, gpuMaterial, requestCounts } from "./gather-points.ts";
import { samplesOnDemand } from "./gather-samples.ts";
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
  const samples = samplesOnDemand(store, run.attempts);
  if (samples.length === 0) throw nothingMeasured(run);
  // It reads the whole run: before the samples are there, not beside them.
  const digest = recordId(logicalFiles(store, runId));

  const snapshots = store.snapshotsOf(runId);
  const environment = beforeAndAfter(run, snapshots);
  const calibrations = store.calibrationsOf(runId);
  const asked = trialsAskedFor(run.plan, run.roundsEnds);
  const input: AuditInput = {
    ...run,
    // Without the rounds on demand that nobody needed: they are not missing.
    plan: { points, rounds: missingRounds(run.plan, asked) },
    experiment,
    measured: [],
    calibrations,
    snapshots,
    ...environment,
  };
  const gpus = Object.fromEntries(
    experiment.variants.map((variant) => [variant.name, gpusOfVariant(input, variant)]),
  );
  const measured = points.flatMap(({ name, variant }) => {
    const trials = samples.filter(({ point }) => point === name);
    if (trials.length === 0) return [];
    const own = gpus[variant] ?? unknownGpus;
    const estimates = estimateOf(trials, run, { variant, gpus: own });
    return [
      {
        estimates,
        samples: trials,
        material: {
          requests: requestCounts(trials),
          cache: cacheMaterial(input, trials, run.attempts),
          gpus: gpuMaterial(input, trials, { attempts: run.attempts, gpus: own }),
          definitions: sideBySide(trials, estimates.trials),
        },
      },
    ];
  });
  const audit = auditRun({ ...input, measured });
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
        plannedTrials: asked.length,
      },
      experiment,
      points,
      measured: measured.map(({ estimates, material }) => ({ ...estimates, ...material })),
      environment: { ...environmentMaterial(environment, run, snapshots), gpus },
      instrument: {
        calibration: calibrations.at(-1)?.calibration,
        readings: run.attempts.flatMap(({ counts, summary }) =>
          counts && summary !== undefined ? [summary.client] : [],
        ),
      },
      audit,
      recordId: { digest, short: shortRecordId(digest) },
      reproduce: reproduceCommand(run),
      experimentDefaults: run.defaults,
    },
  };
}

function estimateOf(
  trials: readonly TrialSamples[],
  { plan: { experiment }, roundsEnds }: StoredRun,
  { variant: name, gpus }: { readonly variant: string; readonly gpus: EngineGpus },
): PointEstimates {
  const variant = experiment.variants.find((one) => one.name === name);
  return estimatePoint(trials, {
    percentiles: experiment.measure.percentiles,
    slo: experiment.slo,
    oneProcess: experiment.measure.keep || variant?.engine.kind === "external",
    freshPrompts: true,
    gpus,
    onDemand: onDemandOf(experiment, roundsEndOf(roundsEnds, name)),
  });
}

/** undefined: the number of rounds was fixed before the start. */
function onDemandOf(
  { measure: { rounds } }: Experiment,
  end: RoundsEnd | undefined,
): OnDemand | undefined {
  if (rounds.kind !== "until") return undefined;
  const { target, min, max } = rounds;
  if (end === undefined) return { target, min, max, ends: [] };
  const { variant, round, outcome } = end;
  const ends = [{ variant, round, outcome, widest: widestOf(end.spreads) }];
  return { target, min, max, ends };
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
