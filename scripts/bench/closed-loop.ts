// The closed loop: so many slots, each sends its next request when its last one ended. Runs on
// events alone; whoever reads its records can't slow it.
import { messageOf } from "../errors.ts";
import type { Limits, Load } from "../experiment/experiment.ts";
import type { Point } from "../experiment/plan.ts";
import type { RequestSource } from "../workload/prompts.ts";
import type { Client } from "./client.ts";
import type { Cohort } from "./cohort.ts";
import { failuresAllowed, isFailure, restAfterFailuresMs } from "./failures.ts";
import type { PreparedAhead } from "./prepare-ahead.ts";
import type { ClientReading, DriveSummary, RequestPhase, RequestRecord } from "./request-record.ts";
import { startSelfMeter } from "./self-meter.ts";

/** What is put on an engine in one trial, whatever the kind of load. */
export interface LoadInput {
  /** Loads that can be driven; an open loop joins here. */
  readonly load: Extract<Load, { kind: "concurrency" }>;
  readonly warmupRequests: number;
  readonly measured: Point["measured"];
  /** `handover`, the default of experiments: no drain before or after the measured requests. */
  readonly window: "handover" | "fixed";
  /** Asked in order, a wave ahead of need; an error of it ends the load. */
  readonly source: RequestSource;
  readonly limits: Limits;
  /** Ends the load early; its reason (an Error or a text) becomes the outcome's. */
  readonly signal: AbortSignal;
  /** Called after every request; must be quick. */
  readonly onProgress?: (progress: LoadProgress) => void;
}

export interface LoadProgress {
  /** Of the latest dispatch. */
  readonly phase: RequestPhase;
  /** Requests completed, of any phase. */
  readonly completed: number;
  readonly failed: number;
  readonly inFlight: number;
  /** Measured requests that ended, however. */
  readonly measuredDone: number;
  /** undefined: the measured window is a duration. */
  readonly measuredTotal: number | undefined;
  /** Of the request that ended last with output; undefined before. */
  readonly ttftMs: number | undefined;
}

export interface LoadEnd {
  readonly outcome: DriveSummary["outcome"];
  /** When the last request ended. */
  readonly endedAtMs: number;
  /** The client's own state from the first measured dispatch on. */
  readonly reading: ClientReading;
}

export interface ClosedLoopOptions {
  readonly input: LoadInput;
  readonly cohort: Cohort;
  readonly requests: PreparedAhead;
  readonly client: Client;
  /** Milliseconds since the trial's zero. */
  readonly sinceZero: () => number;
  readonly onRecord: (record: RequestRecord) => void;
}

interface Slot {
  failuresInARow: number;
  rest: NodeJS.Timeout | undefined;
}

/**
 * Runs a closed loop to its end; its first wave is handed to the client before this returns. Resolves
 * when nothing is in flight any more.
 *
 * @throws what preparing a request, or `onProgress`, threw, after all that is in flight was cancelled
 */
export function runClosedLoop(options: ClosedLoopOptions): Promise<LoadEnd> {
  return new Promise((resolve, reject) => {
    startClosedLoop(options, resolve, reject);
  });
}

function startClosedLoop(
  { input, cohort, requests, client, sinceZero, onRecord }: ClosedLoopOptions,
  resolve: (end: LoadEnd) => void,
  reject: (error: unknown) => void,
): void {
  const { signal, limits } = input;
  const { concurrency } = input.load;
  const slots = Array.from(
    { length: concurrency },
    (): Slot => ({ failuresInARow: 0, rest: undefined }),
  );
  const waiting: Slot[] = [];
  let meter = startSelfMeter();
  let index = 0;
  let completed = 0;
  let failed = 0;
  let ttftMs: number | undefined;
  let isOver = false;

  const end = (outcome: DriveSummary["outcome"], cancelCause: string): void => {
    if (isOver) return;
    isOver = true;
    signal.removeEventListener("abort", onAbort);
    for (const slot of slots) clearTimeout(slot.rest);
    const reading = meter.stop();
    client.cancelAll(cancelCause);
    resolve({ outcome, endedAtMs: sinceZero(), reading });
  };
  const endComplete = (): void => {
    end({ kind: "complete" }, "the window closed: the last measured request has ended");
  };
  const abort = (reason: string): void => {
    end({ kind: "aborted", reason }, `the trial was ended: ${reason}`);
  };
  /** The caller's own code threw: the load ends, and its promise fails with that. */
  const crash = (error: unknown): void => {
    reject(error);
    abort(messageOf(error));
  };
  const onAbort = (): void => {
    abort(messageOf(signal.reason));
  };

  const tellProgress = (): void => {
    try {
      input.onProgress?.({
        phase: cohort.phase,
        completed,
        failed,
        inFlight: client.inFlight,
        measuredDone: cohort.measuredDone,
        measuredTotal: input.measured.kind === "count" ? input.measured.requests : undefined,
        ttftMs,
      });
    } catch (error) {
      crash(error);
    }
  };

  const useSlot = (slot: Slot, dueAtMs: number): void => {
    if (isOver) return;
    const isFirstMeasured = cohort.measuredDispatched === 0;
    const step = cohort.next(sinceZero());
    if (step.kind === "over") {
      endComplete();
    } else if (step.kind === "wait") {
      waiting.push(slot);
    } else {
      if (step.phase === "measured" && isFirstMeasured) {
        meter.stop();
        meter = startSelfMeter();
      }
      try {
        const prepared = requests.take();
        const request = { index, phase: step.phase, dueAtMs, prepared };
        index += 1;
        client.send(request, (record) => {
          freeSlot(slot, record);
        });
      } catch (error) {
        crash(error);
      }
    }
  };

  const freeSlot = (slot: Slot, record: RequestRecord): void => {
    onRecord(record);
    if (record.status === "completed") completed += 1;
    if (isFailure(record)) failed += 1;
    slot.failuresInARow = isFailure(record) ? slot.failuresInARow + 1 : 0;
    ttftMs = ttftOf(record) ?? ttftMs;
    const cohortIsOver = cohort.ended(record.phase, sinceZero());
    tellProgress();
    if (isOver) return;

    const finished = completed + failed;
    const { failureShare } = limits;
    const isLast = cohortIsOver;
    if (failed > failuresAllowed({ failureShare, concurrency, finished, isLast })) {
      abort(
        `${failed} of ${finished} requests failed (limits.failures); the last one: ${wordsOf(record)}`,
      );
      return;
    }
    if (cohortIsOver) {
      endComplete();
      return;
    }
    for (const other of waiting.splice(0)) useSlot(other, record.endedAtMs);
    const restMs = restAfterFailuresMs(slot.failuresInARow);
    const dueAtMs = record.endedAtMs + restMs;
    if (restMs === 0) useSlot(slot, dueAtMs);
    else
      slot.rest = setTimeout(() => {
        useSlot(slot, dueAtMs);
      }, restMs);
  };

  if (signal.aborted) {
    onAbort();
    return;
  }
  signal.addEventListener("abort", onAbort);
  const openedAtMs = sinceZero();
  for (const slot of slots) useSlot(slot, openedAtMs);
}

function ttftOf({ chunksAtMs, sentAtMs }: RequestRecord): number | undefined {
  const firstAtMs = chunksAtMs[0];
  return firstAtMs === undefined || sentAtMs === undefined ? undefined : firstAtMs - sentAtMs;
}

/** "HTTP 503: no capacity", for the reason of an aborted trial. */
function wordsOf(record: RequestRecord): string {
  if (record.status === "rejected")
    return `HTTP ${record.httpStatus}: ${record.body.slice(0, 300)}`;
  return "cause" in record ? record.cause.slice(0, 300) : record.status;
}
