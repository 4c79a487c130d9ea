// What happens in one start of a variant, as it happens: what the executor tells and the store keeps.
import type { LoadProgress } from "../bench/load.ts";
import type { DriveSummary, EngineReading, RequestRecord } from "../bench/request-record.ts";
import type { CacheReset, RunningEngine } from "../engine/engine.ts";
import type { GpuReading } from "../environment/gpu-reading.ts";
import type { EnvironmentSnapshot } from "../environment/snapshot.ts";
import type { Point, Trial } from "../experiment/plan.ts";
import type { TrialWatches } from "../store/stored-run.ts";

export type StartEvent =
  | { readonly kind: "launching"; readonly at: string; readonly restart: boolean }
  | {
      readonly kind: "ready";
      readonly at: string;
      readonly engine: RunningEngine;
      /** An engine that already served an earlier start of this run. */
      readonly reused: boolean;
    }
  | {
      readonly kind: "snapshot";
      /** undefined: of the start itself. */
      readonly trial: Trial | undefined;
      readonly scope: "start" | "trial-before" | "trial-after";
      readonly snapshot: EnvironmentSnapshot;
    }
  | TrialEvent
  | { readonly kind: "note"; readonly note: string; readonly text: string }
  | {
      readonly kind: "ended";
      readonly at: string;
      readonly reason: "stopped" | "kept" | "died" | "never_ready";
      /** Its first line says why; the last lines of the engine's log follow. */
      readonly detail: string | undefined;
    };

type TrialEvent =
  | {
      readonly kind: "trial-began";
      readonly trial: Trial;
      readonly at: string;
      readonly warmupRequests: number;
      readonly measured: Point["measured"];
      /** Whether the prefix cache was emptied; undefined: the workload does not ask for it. */
      readonly cacheReset: CacheReset | undefined;
    }
  | { readonly kind: "progress"; readonly trial: Trial; readonly progress: LoadProgress }
  | {
      readonly kind: "request";
      readonly trial: Trial;
      readonly record: RequestRecord;
      /** Counted by the tokenizer, where the server gave no usage. */
      readonly countedOutputTokens: number | undefined;
    }
  | { readonly kind: "reading"; readonly trial: Trial; readonly reading: EngineReading }
  | { readonly kind: "gpu-reading"; readonly trial: Trial; readonly reading: GpuReading }
  | {
      readonly kind: "trial-ended";
      readonly trial: Trial;
      readonly status: "measured" | "failed" | "interrupted";
      readonly reason: string | undefined;
      readonly summary: DriveSummary;
      readonly watches: TrialWatches;
    };
