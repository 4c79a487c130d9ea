// Which phase the next request of a closed loop belongs to, and when the trial is over: the window
// protocols, apart from sockets and clocks.
import type { Point } from "../experiment/plan.ts";
import type { RequestPhase } from "./request-record.ts";

/** What a free slot does next. `wait`: nothing until another request ends. */
type Step =
  | { readonly kind: "send"; readonly phase: RequestPhase }
  | { readonly kind: "wait" }
  | { readonly kind: "over" };

export interface Cohort {
  /** What a slot that is free at this time does next; a `send` counts as dispatched. */
  next(atMs: number): Step;
  /** A request of this phase ended, however. True: the trial is over. */
  ended(phase: RequestPhase, atMs: number): boolean;
  /** The phase of the latest dispatch. */
  readonly phase: RequestPhase;
  readonly measuredDispatched: number;
  readonly measuredDone: number;
  /** Requests that will ever be dispatched; undefined: fillers or a duration leave it open. */
  readonly total: number | undefined;
}

export interface CohortOptions {
  readonly window: "handover" | "fixed";
  readonly warmupRequests: number;
  readonly measured: Point["measured"];
}

/**
 * `handover`: warm-up, the measured cohort, then filler until the last measured request ended, with
 * no pause between them; what is still in flight then is the caller's to cancel. `fixed`: warm-up
 * until it has drained, the measured requests, and their drain. A measured duration begins with the
 * dispatch of its first request.
 */
export function createCohort({ window, warmupRequests, measured }: CohortOptions): Cohort {
  let phase: RequestPhase = warmupRequests > 0 ? "warmup" : "measured";
  let warmups = 0;
  let warmupsEnded = 0;
  let dispatched = 0;
  let measuredDone = 0;
  let firstAtMs: number | undefined;

  const send = (next: RequestPhase): Step => {
    phase = next;
    return { kind: "send", phase };
  };
  const allDispatched = (atMs: number): boolean =>
    measured.kind === "count"
      ? dispatched >= measured.requests
      : firstAtMs !== undefined && atMs >= firstAtMs + measured.durationMs;
  const isOver = (atMs: number): boolean => measuredDone === dispatched && allDispatched(atMs);

  return {
    next(atMs) {
      if (warmups < warmupRequests) {
        warmups += 1;
        return send("warmup");
      }
      if (window === "fixed" && warmupsEnded < warmupRequests) return { kind: "wait" };
      if (isOver(atMs)) return { kind: "over" };
      if (!allDispatched(atMs)) {
        firstAtMs ??= atMs;
        dispatched += 1;
        return send("measured");
      }
      return window === "fixed" ? { kind: "wait" } : send("filler");
    },
    ended(endedPhase, atMs) {
      if (endedPhase === "warmup") warmupsEnded += 1;
      if (endedPhase === "measured") measuredDone += 1;
      return isOver(atMs);
    },
    get phase() {
      return phase;
    },
    get measuredDispatched() {
      return dispatched;
    },
    get measuredDone() {
      return measuredDone;
    },
    total:
      window === "fixed" && measured.kind === "count"
        ? warmupRequests + measured.requests
        : undefined,
  };
}
