// What stats/ computes from: plain numbers of requests and trials, as the store's views give them.
import type { EngineReading } from "../bench/request-record.ts";
import type { CacheReset } from "../engine/engine.ts";
import type { GpuReading } from "../environment/gpu-reading.ts";

/** One request of a trial. All `...AtMs` since the trial's zero; undefined: it did not happen. */
export interface RequestSample {
  readonly index: number;
  readonly phase: "warmup" | "measured" | "filler";
  readonly status: "completed" | "rejected" | "truncated" | "timedOut" | "failed" | "cancelled";
  readonly dueAtMs: number;
  readonly sentAtMs: number | undefined;
  /** First and last chunk that carried output. */
  readonly firstAtMs: number | undefined;
  readonly lastAtMs: number | undefined;
  readonly endedAtMs: number;
  readonly outputChunks: number;
  readonly coalescedChunks: number;
  /** From the server's usage, else counted by the local tokenizer, else undefined. */
  readonly inputTokens: number | undefined;
  readonly outputTokens: number | undefined;
  readonly cachedTokens: number | undefined;
  readonly tokenSource: "usage" | "tokenizer" | "none";
  readonly plannedInputTokens: number;
  readonly plannedOutputTokens: number;
  readonly promptDigest: string;
  /** Arrival of each output chunk, ascending. */
  readonly chunksAtMs: Float64Array;
  /**
   * Writes the gap before each output chunk but the first, in microseconds, into the place of that
   * chunk; `into` has `outputChunks` places or more. The differences of `chunksAtMs`, at a fraction
   * of its cost where times are kept packed; absent where they are not.
   */
  readonly gapsUs?: (into: Float64Array) => void;
}

/** One finished trial: the attempt that counts. */
export interface TrialSamples {
  readonly trial: string;
  readonly point: string;
  readonly variant: string;
  readonly workload: string;
  readonly plannedConcurrency: number | undefined;
  readonly round: number;
  readonly repeat: number;
  /** Which engine life of the run. */
  readonly start: number;
  readonly attempt: number;
  readonly window: "handover" | "fixed";
  readonly requests: readonly RequestSample[];
  /** Gauges over the trial, ascending; empty when the engine offers none. */
  readonly engine: readonly EngineReading[];
  /** Of every GPU over the trial, ascending in time; empty where there is none or it was not read. */
  readonly gpus: readonly GpuReading[];
  /** Whether the prefix cache was emptied before the trial; undefined: nobody asked for it. */
  readonly cacheReset: CacheReset | undefined;
}

/** Why a cell has no interval, or no value. */
export type Absence =
  | { readonly kind: "one_round" }
  | { readonly kind: "too_few_requests"; readonly have: number; readonly need: number }
  | { readonly kind: "rank_out_of_sample"; readonly have: number; readonly need: number }
  | { readonly kind: "constant"; readonly decimals: number }
  | { readonly kind: "no_completed_request" }
  /** `why` is a key of `absenceReasons` (absence.ts), which holds its text in both languages. */
  | { readonly kind: "not_defined"; readonly why: string }
  | { readonly kind: "not_collected"; readonly why: string };

/** `t_repeats`: t over rounds or repeats that shared engine starts, so restarts are not covered. */
export type IntervalMethod = "none" | "t" | "log_t" | "t_hull" | "t_repeats";

/** A number and how sure it is. No bare number reaches a record. */
export interface Estimate {
  readonly metric: string;
  /** undefined: no value, and `absence` says why. */
  readonly value: number | undefined;
  readonly low: number | undefined;
  readonly high: number | undefined;
  /**
   * Half the interval's width where it is m -+ h: only then may it be printed as "± h". undefined:
   * no interval, or one that reaches further on one side (logs, ranks, an end held at 0).
   */
  readonly halfWidth?: number | undefined;
  /** 0.95. */
  readonly level: number;
  /** Requests behind it. */
  readonly n: number;
  /** Engine starts and rounds that have a value. */
  readonly starts: number;
  readonly rounds: number;
  readonly method: IntervalMethod;
  /** Sample sd over rounds divided by their mean; undefined with one round. */
  readonly cv: number | undefined;
  /** Order-statistic interval of the median round, from ten rounds on. */
  readonly medianRound: { readonly low: number; readonly high: number } | undefined;
  /** Geometric mean because the rounds are noisy. */
  readonly geometric: boolean;
  /** Each round's own value, in order. */
  readonly perRound: readonly { readonly round: number; readonly value: number }[];
  /** Rounds that have no value, with the reason; absent where every round has one. */
  readonly missingRounds?: readonly { readonly round: number; readonly absence: Absence }[];
  readonly absence: Absence | undefined;
  readonly unit: string;
}
