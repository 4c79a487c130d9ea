// Which phase the next request of a closed loop belongs to, and when the trial is over: the window
// protocols, apart from sockets and clocks, for all threads of a trial at once.
import type { Point } from "../experiment/plan.ts";
import type { RequestPhase } from "./request-record.ts";
import { createTally, type Tally } from "./tally.ts";

/**
 * What a free slot does next. The ticket is the request's place in the trial's order of dispatch, from
 * 0. `wait`: nothing until another request ends. `none`: nothing any more, the requests are used up.
 */
type Step =
  | { readonly kind: "send"; readonly phase: RequestPhase; readonly ticket: number }
  | { readonly kind: "wait" }
  | { readonly kind: "none" }
  | { readonly kind: "over" };

export interface Cohort {
  /** What a slot that is free at this time does next; a `send` counts as dispatched. */
  next(atMs: number): Step;
  /**
   * A request of this phase ended, however. `over`: it was the last that the trial waited for;
   * `drained`: the last of the warm-up.
   */
  ended(phase: RequestPhase, atMs: number): "over" | "drained" | "goes on";
  readonly measuredDone: number;
}

export interface CohortOptions {
  readonly window: "handover" | "fixed";
  readonly warmupRequests: number;
  readonly measured: Point["measured"];
  /** Requests that there are; undefined: as many as are asked for. */
  readonly total?: number | undefined;
}

/** Set in the tally's `cohort` when a measured duration has ended: later tickets are fillers. */
const closedBit = 2 ** 30;

/**
 * `handover`: warm-up, the measured cohort, then filler until the last measured request ended, with
 * no pause between them; what is still in flight then is the caller's to cancel. `fixed`: warm-up
 * until it has drained, the measured requests, and their drain. A measured duration begins with the
 * dispatch of its first request.
 *
 * A ticket's phase is settled by the very step that takes it, so threads that share the tally give
 * the same phases to the same tickets as one thread alone would.
 */
export function createCohort(
  { window, warmupRequests, measured, total = Number.POSITIVE_INFINITY }: CohortOptions,
  tally: Tally = createTally(),
): Cohort {
  const durationIsOver = (atMs: number): boolean => {
    const firstAtMs = tally.timeOf("firstMeasured");
    return (
      measured.kind === "duration" &&
      firstAtMs !== undefined &&
      atMs >= firstAtMs + measured.durationMs
    );
  };
  /** Ends a measured duration before the ticket `state` is taken. */
  const close = (state: number): void => {
    if (tally.change("cohort", state, state | closedBit))
      tally.change("measuredTotal", 0, state - warmupRequests + 1);
  };
  const isOver = (): boolean => {
    const toBeDone =
      measured.kind === "count" ? measured.requests : tally.read("measuredTotal") - 1;
    return toBeDone >= 0 && tally.read("measuredDone") >= toBeDone;
  };

  return {
    next(atMs) {
      for (;;) {
        const state = tally.read("cohort");
        const isClosed = state >= closedBit;
        const ticket = isClosed ? state - closedBit : state;
        const isWarm = ticket >= warmupRequests;
        if (window === "fixed" && isWarm && tally.read("warmupsDone") < warmupRequests)
          return { kind: "wait" };
        if (!isClosed && isWarm && durationIsOver(atMs)) {
          close(state);
          continue;
        }
        const isPast =
          measured.kind === "count" ? ticket >= warmupRequests + measured.requests : isClosed;
        if (isPast && isOver()) return { kind: "over" };
        if (isPast && window === "fixed") return { kind: "wait" };
        if (ticket >= total) return { kind: "none" };
        if (!tally.change("cohort", state, state + 1)) continue;
        if (!isWarm) return { kind: "send", phase: "warmup", ticket };
        if (isPast) return { kind: "send", phase: "filler", ticket };
        if (ticket === warmupRequests) tally.setTime("firstMeasured", atMs);
        return { kind: "send", phase: "measured", ticket };
      }
    },
    ended(phase, atMs) {
      if (phase === "measured") tally.add("measuredDone");
      if (phase === "warmup" && tally.add("warmupsDone") === warmupRequests) return "drained";
      const state = tally.read("cohort");
      if (state < closedBit && durationIsOver(atMs)) close(state);
      return isOver() ? "over" : "goes on";
    },
    get measuredDone() {
      return tally.read("measuredDone");
    },
  };
}
