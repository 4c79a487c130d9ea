// The arrivals of an open loop with the phase of each: which are measured is known before any is sent,
// so every thread of a trial finds the same without asking the others.
import type { Point } from "../experiment/plan.ts";
import { arrivalTimes, type OpenLoad } from "../workload/arrivals.ts";
import type { RequestPhase } from "./request-record.ts";

export interface Arrival {
  /** From 0, in order of time. */
  readonly number: number;
  /** From the load's begin. */
  readonly dueAtMs: number;
  readonly phase: RequestPhase;
}

export interface Schedule {
  /** The next arrival; undefined: there is none any more. */
  next(): Arrival | undefined;
  /** The phase of something due then, ms from the load's begin, at or before the latest arrival asked for. */
  phaseAt(dueAtMs: number): RequestPhase;
  /** Measured arrivals of the whole trial; undefined until one beyond them was asked for. */
  readonly measuredTotal: number | undefined;
}

export interface ScheduleOptions {
  readonly load: OpenLoad;
  readonly seed: string;
  readonly traceAtMs?: Float64Array;
  readonly window: "handover" | "fixed";
  readonly warmupRequests: number;
  readonly measured: Point["measured"];
}

/**
 * Warm-up, measured, then filler arrivals of one process. The window begins with the first measured
 * arrival and ends with the first filler's; a duration counts from the first measured arrival on, for
 * a ramp from the ramp's begin. `fixed`: no filler.
 */
export function createSchedule(options: ScheduleOptions): Schedule {
  const { load, warmupRequests, measured, window } = options;
  const { seed, traceAtMs } = options;
  const times = arrivalTimes(load, {
    seed,
    leadIn: warmupRequests,
    ...(traceAtMs === undefined ? {} : { traceAtMs }),
  });
  let number = 0;
  let lastAtMs = 0;
  let beginsAtMs: number | undefined;
  let endsAtMs: number | undefined;
  let measuredTotal: number | undefined;

  const isBeyond = (dueAtMs: number): boolean => {
    if (measured.kind === "count") return number >= warmupRequests + measured.requests;
    if (measured.kind === "all") return false;
    return beginsAtMs !== undefined && dueAtMs >= beginsAtMs + measured.durationMs;
  };
  const endWindow = (dueAtMs: number): void => {
    endsAtMs ??= dueAtMs;
    measuredTotal ??= Math.max(0, number - warmupRequests);
  };

  return {
    next() {
      const step = times.next();
      if (step.done === true) {
        endWindow(Number.POSITIVE_INFINITY);
        return undefined;
      }
      const dueAtMs = step.value;
      // A ramp begins with the last arrival before it, every other window with its first arrival.
      if (number === warmupRequests) beginsAtMs ??= load.kind === "ramp" ? lastAtMs : dueAtMs;
      lastAtMs = dueAtMs;
      const isWarm = number < warmupRequests;
      if (!isWarm && isBeyond(dueAtMs)) {
        endWindow(dueAtMs);
        if (window === "fixed") return undefined;
      }
      const phase = isWarm ? "warmup" : measuredTotal === undefined ? "measured" : "filler";
      number += 1;
      return { number: number - 1, dueAtMs, phase };
    },
    phaseAt(dueAtMs) {
      if (beginsAtMs === undefined || dueAtMs < beginsAtMs) return "warmup";
      return endsAtMs === undefined || dueAtMs < endsAtMs ? "measured" : "filler";
    },
    get measuredTotal() {
      return measuredTotal;
    },
  };
}
