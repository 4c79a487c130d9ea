// What a run is made of, as it is stored and as it is read back: header, legs, engine starts,
// attempts, snapshots, estimates, notes.
import type { Verdict } from "../audit/finding.ts";
import type { DriveSummary, WatchEnd } from "../bench/request-record.ts";
import type { CacheReset, EngineFacts } from "../engine/engine.ts";
import type { ToolIdentity } from "../environment/client.ts";
import type { EnvironmentSnapshot } from "../environment/snapshot.ts";
import type { Experiment, Load, LocalText, ReadExperiment } from "../experiment/experiment.ts";
import type { Plan, Point, Trial } from "../experiment/plan.ts";
import type { Estimate } from "../stats/samples.ts";
import type { RoundsEnd } from "./rounds-ends.ts";

export interface RunHeader {
  readonly run: string;
  /** Name of the experiment. */
  readonly experiment: string;
  readonly title: LocalText;
  /** The experiment file as written, and where it lay. */
  readonly experimentSource: string;
  readonly experimentPath: string;
  readonly resolved: Experiment;
  readonly plan: Plan;
  /** What was filled in where the file is silent. */
  readonly defaults: ReadExperiment["defaults"];
  /** The files that the experiment extends. */
  readonly extended: ReadExperiment["extended"];
  readonly tool: ToolIdentity;
  /** ISO 8601 with offset. */
  readonly createdAt: string;
}

export interface LegBegin {
  readonly startedAt: string;
  readonly pid: number;
  /** Whatever tells this process from a later one with the same pid; undefined: not known. */
  readonly pidStartedAt?: string | undefined;
  readonly host: string;
  readonly argv: readonly string[];
  readonly tool: ToolIdentity;
}

export interface LegEnd {
  readonly endedAt: string;
  readonly reason: "complete" | "interrupted" | "failed";
  readonly detail?: string | undefined;
}

/** One uninterrupted execution of a run. `end` undefined: running, or killed. */
export interface StoredLeg extends LegBegin {
  readonly leg: number;
  readonly end: LegEnd | undefined;
}

export interface StartBegin {
  readonly leg: number;
  readonly variant: string;
  readonly round: number;
  readonly startedAt: string;
  /** The start whose engine died and that this one replaces. */
  readonly restartOf?: number | undefined;
}

export interface StartReady {
  readonly at: string;
  /** Launch to ready; undefined for an engine that we only attached to. */
  readonly startupMs: number | undefined;
  readonly facts: EngineFacts;
  readonly pid?: number | undefined;
  /** Whatever tells this process from a later one with the same pid; undefined: not known. */
  readonly pidStartedAt?: string | undefined;
  readonly logPath?: string | undefined;
}

export interface StartEnd {
  readonly at: string;
  /** detached: it was only attached to, and left as it was. */
  readonly reason: "stopped" | "detached" | "died" | "never_ready";
  readonly detail?: string | undefined;
  /** sha256 of the engine's log. */
  readonly logDigest?: string | undefined;
}

/** One life of an engine. `ready` undefined: it never was; `end` undefined: alive, or we were killed. */
export interface StoredStart extends StartBegin {
  readonly start: number;
  readonly ready: StartReady | undefined;
  readonly end: StartEnd | undefined;
}

/** Names one attempt at a trial. */
export interface AttemptKey {
  readonly run: string;
  readonly trial: string;
  /** From 1. */
  readonly attempt: number;
}

type AttemptStatus = "measured" | "failed" | "interrupted";

export interface TrialBegin {
  readonly trial: Trial;
  readonly start: number;
  readonly startedAt: string;
  readonly plannedConcurrency: number | undefined;
  readonly warmupRequests: number;
  readonly measured: Point["measured"];
  /** Whether the prefix cache was emptied before it; undefined: nobody asked for it. */
  readonly cacheReset?: CacheReset | undefined;
}

export interface TrialEnd {
  /** undefined: the drive never came to an end that could be summed up. */
  readonly summary: DriveSummary | undefined;
  readonly status: AttemptStatus;
  readonly reason?: string | undefined;
  /** Output tokens emitted in the window, by request index; read once. */
  readonly windowTokens: Iterable<readonly [index: number, tokens: number]>;
  /** The throughput window; undefined: the trial has none. */
  readonly window: { readonly startMs: number; readonly endMs: number } | undefined;
  /** How the watches of engine and GPUs went; undefined: there was none. */
  readonly watches?: TrialWatches | undefined;
}

export interface TrialWatches {
  readonly engine: WatchEnd | undefined;
  readonly gpus: WatchEnd | undefined;
}

export interface StoredAttempt extends AttemptKey {
  readonly point: string;
  readonly variant: string;
  readonly workload: string;
  readonly load: Load;
  readonly round: number;
  readonly repeat: number;
  readonly seed: string;
  readonly start: number;
  readonly leg: number;
  readonly startedAt: string;
  readonly plannedConcurrency: number | undefined;
  readonly warmupRequests: number;
  readonly measured: Point["measured"];
  readonly windowKind: "handover" | "fixed";
  /** unfinished: running, or the program was killed. */
  readonly status: AttemptStatus | "unfinished";
  readonly reason: string | undefined;
  /** The attempt that figures are made from: the last measured one of its trial. */
  readonly counts: boolean;
  readonly summary: DriveSummary | undefined;
  readonly window: { readonly startMs: number; readonly endMs: number } | undefined;
  readonly cacheReset: CacheReset | undefined;
  readonly watches: TrialWatches | undefined;
}

export interface Note {
  readonly at: string;
  readonly leg?: number | undefined;
  /** Slug. */
  readonly kind: string;
  readonly text: string;
}

export interface StoredRun extends RunHeader {
  readonly legs: readonly StoredLeg[];
  readonly starts: readonly StoredStart[];
  /** In the order they began. */
  readonly attempts: readonly StoredAttempt[];
  readonly notes: readonly Note[];
  /** How rounds on demand ended, in the order it was decided; empty: not ended, or fixed. */
  readonly roundsEnds: readonly RoundsEnd[];
}

/** A line of `benchbook list`. */
export interface RunSummary {
  readonly run: string;
  readonly experiment: string;
  readonly title: LocalText;
  readonly createdAt: string;
  /** open: its last leg is running or was killed. */
  readonly status: "planned" | "open" | LegEnd["reason"];
  readonly verdict: Verdict | undefined;
  readonly legs: number;
  readonly endedAt: string | undefined;
  readonly trialsPlanned: number;
  readonly trialsMeasured: number;
}

/** What a snapshot was taken around. */
export interface SnapshotScope {
  readonly leg: number;
  readonly scope: "run-before" | "run-after" | "start" | "trial-before" | "trial-after";
  readonly start?: number | undefined;
  readonly trial?: string | undefined;
  readonly attempt?: number | undefined;
}

export interface StoredSnapshot extends SnapshotScope {
  readonly snapshot: EnvironmentSnapshot;
}

export interface EstimateSet {
  /** Of the metrics catalogue. */
  readonly definitionVersion: string;
  readonly rows: readonly { readonly point: string; readonly estimate: Estimate }[];
}
