// From an experiment to everything that will be measured, in order: rounds, starts, trials.
import type { Experiment, Load } from "./experiment.ts";

/** One variant under one workload at one load: a row of the results table. */
export interface Point {
  /** `variant/[workload/]c40`; the workload stands in it when there is more than one. */
  readonly name: string;
  readonly variant: string;
  readonly workload: string;
  readonly load: Load;
  /** Requests before the window. */
  readonly warmupRequests: number;
  /** Requests of the measured cohort per trial, or how long requests are dispatched into it. */
  readonly measured:
    | { readonly kind: "count"; readonly requests: number }
    | { readonly kind: "duration"; readonly durationMs: number };
}

/** One point in one round (and repeat). */
export interface Trial {
  /** Hash of the content that decides the measurement: the same trial has the same id anywhere. */
  readonly id: string;
  readonly point: string;
  readonly variant: string;
  readonly workload: string;
  readonly load: Load;
  /** From 1. */
  readonly round: number;
  /** From 1. */
  readonly repeat: number;
  /** Hex; of workload, load, round and repeat but not the variant, so compared variants see the same prompts. */
  readonly seed: string;
}

/** One life of an engine and the trials it serves, in order. */
export interface PlannedStart {
  readonly variant: string;
  readonly trials: readonly Trial[];
}

export interface Round {
  /** From 1. */
  readonly round: number;
  readonly starts: readonly PlannedStart[];
}

export interface Plan {
  readonly experiment: Experiment;
  readonly points: readonly Point[];
  readonly rounds: readonly Round[];
}
