// What a record is made from: the run as the store gives it, with what was computed and checked.
// The pipeline joins it; nothing in it is formatted yet.
import type { EnvironmentChange } from "../audit/environment-changes.ts";
import type { AuditResult } from "../audit/finding.ts";
import type { EngineFacts } from "../engine/engine.ts";
import type { EnvironmentSnapshot, FieldClass, FieldValue } from "../environment/snapshot.ts";
import type { Experiment, LocalText } from "../experiment/experiment.ts";
import type { Point } from "../experiment/plan.ts";
import type { CacheSummary } from "../stats/cache-summary.ts";
import type { SideBySide } from "../stats/definitions.ts";
import type { EngineGpus } from "../stats/gpu-metrics.ts";
import type { GpuSummary } from "../stats/gpu-summary.ts";
import type { PointEstimates } from "../stats/point-estimates.ts";
import type { InstrumentMaterial } from "./record-instrument.ts";

/** One uninterrupted stretch of a run; a second one is a resumption and leaves a seam. */
interface LegMaterial {
  /** From 1. */
  readonly leg: number;
  /** ISO 8601 with offset. */
  readonly startedAt: string;
  /** undefined: it was killed and could not say. */
  readonly endedAt: string | undefined;
  /** Why it ended before the plan did: "interrupted", "killed"; undefined: it finished. */
  readonly reason: string | undefined;
}

/** One life of an engine. */
export interface StartMaterial {
  /** Numbered through the run, from 1. */
  readonly start: number;
  readonly variant: string;
  readonly round: number;
  /** Launch to ready; undefined for an engine that was attached to, or never became ready. */
  readonly startupMs: number | undefined;
  readonly facts: EngineFacts;
  readonly ended:
    | { readonly kind: "stopped" }
    /** It was only attached to, and left as it was. */
    | { readonly kind: "detached" }
    /** It runs still: the run is not over. */
    | { readonly kind: "running" }
    /** The program was killed before it could say. */
    | { readonly kind: "unknown" }
    | {
        readonly kind: "died" | "never_ready";
        readonly reason: string;
        /** Last lines of its log. */
        readonly lastWords: string;
      };
}

/** One attempt at a trial. */
export interface TrialMaterial {
  readonly trial: string;
  readonly point: string;
  readonly round: number;
  readonly repeat: number;
  /** From 1. */
  readonly attempt: number;
  readonly start: number;
  readonly leg: number;
  readonly status: "complete" | "failed" | "partial";
  /** Why it failed or stayed partial. */
  readonly reason: string | undefined;
}

/** What stats/ made of a point, and how its requests ended. */
export interface PointMaterial
  extends Pick<
    PointEstimates,
    "point" | "estimates" | "facts" | "inputTokens" | "outputTokens" | "tokenSources"
  > {
  /** Requests of the measured cohort, all rounds; failed: neither completed nor cancelled by us. */
  readonly requests: {
    readonly measured: number;
    readonly completed: number;
    readonly failed: number;
  };
  readonly cache: CacheMaterial;
  readonly gpus: GpuMaterial;
  /** Its figures by the definitions of other tools beside ours; absent: not computed. */
  readonly definitions?: SideBySide;
}

/** What the prefix cache did for a point, and what must be known to say what it should have done. */
export interface CacheMaterial extends CacheSummary {
  /** Why the engine's counters were not read, in the words of the watch; undefined: they were. */
  readonly unwatched: string | undefined;
  /** Tokens of a block of the KV cache; undefined: the engine does not say. */
  readonly blockSize: number | undefined;
  /** Whether the engine keeps a prefix cache; undefined: it does not say. */
  readonly prefixCaching: boolean | undefined;
}

/** What the GPUs did for a point. */
export type GpuMaterial =
  /** The engine's host has no GPU, or the engine computes on none. */
  | { readonly kind: "none"; readonly why: "no_gpu" | "not_used" }
  /** There are GPUs, or may be, and no reading of them fell into a window. */
  | { readonly kind: "unread"; readonly why: LocalText }
  | {
      readonly kind: "read";
      readonly summary: GpuSummary;
      /** Whether the GPUs are known to be the engine's; else they are those that seem to be. */
      readonly isKnown: boolean;
      /** Whether the engine has slices of them alone, while readings are of whole GPUs. */
      readonly isSliced: boolean;
    };

/** A setting that the experiment file leaves out, with the value that was used. */
export interface FilledDefault {
  /** "measure.rounds". */
  readonly path: string;
  readonly value: string;
  /** Where the value was derived: from what. */
  readonly reason?: string;
}

interface DifferenceMaterial {
  readonly id: string;
  readonly class: FieldClass;
  readonly before: FieldValue | undefined;
  readonly after: FieldValue | undefined;
}

/** What changed while the run went on. */
export interface DriftMaterial
  extends Pick<EnvironmentChange, "id" | "class" | "before" | "after"> {
  /** Between which trials or starts; undefined: only that it was within the run. */
  readonly when: LocalText | undefined;
}

export interface RecordMaterial {
  readonly run: {
    readonly id: string;
    /** ISO 8601 with offset. */
    readonly createdAt: string;
    /** undefined: the run was not finished. */
    readonly endedAt: string | undefined;
    readonly tool: {
      readonly version: string;
      readonly commit: string | undefined;
      readonly dirty: boolean | undefined;
      readonly node: string;
    };
    /** The experiment file as written. */
    readonly experimentSource: string;
    readonly legs: readonly LegMaterial[];
    readonly starts: readonly StartMaterial[];
    readonly trials: readonly TrialMaterial[];
    /** Trials that the plan has. */
    readonly plannedTrials: number;
  };
  readonly experiment: Experiment;
  /** What was filled in where the experiment file is silent; absent: nothing, or not known. */
  readonly experimentDefaults?: readonly FilledDefault[];
  /** Points of the plan, in order. */
  readonly points: readonly Point[];
  readonly measured: readonly PointMaterial[];
  readonly environment: {
    readonly before: EnvironmentSnapshot;
    readonly after: EnvironmentSnapshot | undefined;
    /** Between `before` and `after`. */
    readonly differences: readonly DifferenceMaterial[];
    /** From one snapshot of the run to the next, in order. */
    readonly drift: readonly DriftMaterial[];
    /** GPUs of each variant's engine; a variant that is missing runs on none that is known. */
    readonly gpus: Readonly<Record<string, EngineGpus>>;
  };
  /** Absent: nothing is known of it. */
  readonly instrument?: InstrumentMaterial;
  readonly audit: AuditResult;
  readonly recordId: { readonly digest: string; readonly short: string };
  /** The whole command that measures the same again, printed as it is. */
  readonly reproduce: string;
}
