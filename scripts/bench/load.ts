// What a load is given and what it gives back, whatever its kind; and the life that all kinds share:
// records counted, limits kept, one end.
import { messageOf } from "../errors.ts";
import type { Limits, Load } from "../experiment/experiment.ts";
import type { Point } from "../experiment/plan.ts";
import { formatDuration } from "../units.ts";
import type { RequestSource } from "../workload/requests.ts";
import type { Client } from "./client.ts";
import { failuresAllowed, isFailure } from "./failures.ts";
import type { OutgoingRequest } from "./flight.ts";
import type { ClientReading, DriveSummary, RequestPhase, RequestRecord } from "./request-record.ts";
import { type SelfMeter, startSelfMeter } from "./self-meter.ts";
import type { Tally } from "./tally.ts";
import { type SetTimer, setPreciseTimer } from "./timer.ts";

type Outcome = DriveSummary["outcome"];

/** What is put on an engine in one trial, whatever the kind of load. */
export interface LoadInput {
  readonly load: Load;
  /** Decides the arrivals of an open loop: the trial's seed, the same for all variants. */
  readonly seed: string;
  /** When each request of a trace is due, ms from the load's begin, at the load's speed; other loads have none. */
  readonly traceAtMs?: Float64Array;
  readonly warmupRequests: number;
  readonly measured: Point["measured"];
  /** `handover`, the default of experiments: no drain before or after the measured requests. */
  readonly window: "handover" | "fixed";
  readonly source: RequestSource;
  readonly limits: Limits;
  /** Ends the load early; its reason (an Error or a text) becomes the outcome's. */
  readonly signal: AbortSignal;
  /** Called after every request; must be quick. */
  readonly onProgress?: (progress: LoadProgress) => void;
}

/** How far a trial is. Of a trial that threads share, all but `inFlight` and `ttftMs` are of the whole trial. */
export interface LoadProgress {
  /** Of the latest dispatch of this thread. */
  readonly phase: RequestPhase;
  /** Requests completed, of any phase. */
  readonly completed: number;
  readonly failed: number;
  /** Of this thread. */
  readonly inFlight: number;
  /** Measured requests that ended, however. */
  readonly measuredDone: number;
  /** undefined: the measured window is a duration. */
  readonly measuredTotal: number | undefined;
  /** Of the request of this thread that ended last with output; undefined before. */
  readonly ttftMs: number | undefined;
}

export interface LoadEnd {
  /** Of the whole trial: every thread that shares it tells the same. */
  readonly outcome: Outcome;
  /** When the last request of this thread ended. */
  readonly endedAtMs: number;
  /** The client's own state from this thread's first measured dispatch on. */
  readonly reading: ClientReading;
}

/** Which part of a trial this thread drives: thread 0 of 1 drives all of it. */
export interface LoadShare {
  readonly thread: number;
  readonly threads: number;
}

export interface LoadOptions {
  readonly input: LoadInput;
  readonly client: Pick<Client, "send" | "cancelAll" | "inFlight">;
  /** Milliseconds since the trial's zero, the same in all threads that share the trial. */
  readonly sinceZero: () => number;
  readonly onRecord: (record: RequestRecord) => void;
  readonly share?: LoadShare;
  /** Of `newTrialMemory()`, given to every thread that shares the trial; else the trial is this thread's alone. */
  readonly memory?: SharedArrayBuffer;
  /**
   * Something changed that the other threads wait for (the warm-up drained, the trial ended): whoever
   * runs the threads calls `poke` of the others. Called now and then, never per request.
   */
  readonly tellOthers?: () => void;
  readonly setTimer?: SetTimer;
  readonly startMeter?: () => SelfMeter;
}

/** A load on its way. */
export interface RunningLoad {
  /**
   * Resolves when nothing of this thread is in flight any more. Rejects with what the source or
   * `onProgress` threw, after all that is in flight was cancelled.
   */
  readonly ended: Promise<LoadEnd>;
  /** Looks at what other threads changed. */
  poke(): void;
}

/** What the life of a load asks of its kind. */
export interface LoadKind {
  /** Another thread changed something, or more requests were made. */
  readonly poked: () => void;
  /** The load is over: nothing is sent any more. */
  readonly stopped: () => void;
  /** Requests that failures are counted over at least while more are to come. */
  readonly expected: () => number;
}

/** What a load makes of a request that ended, once it has counted it. */
interface Counted {
  /** It was the last that the trial waited for. */
  readonly isLast: boolean;
  /** What comes next where the trial goes on. */
  readonly follow: () => void;
}

/** The life of one load in one thread. */
export interface LoadLife {
  readonly running: RunningLoad;
  readonly isOver: boolean;
  /** Runs what may throw: an error ends the load and fails its promise. */
  run(act: () => void): void;
  /** `count` is called when the request has ended, however. */
  send(request: OutgoingRequest, count: (record: RequestRecord) => Counted): void;
  end(outcome: Outcome): void;
}

/** Begins a load; from now on it ends when its limits, its signal or another thread say so. */
export function beginLoad(options: LoadOptions, tally: Tally, kind: LoadKind): LoadLife {
  const { input, client, sinceZero, onRecord, tellOthers } = options;
  const { setTimer = setPreciseTimer, startMeter = startSelfMeter } = options;
  const { signal, limits, measured } = input;
  let meter = startMeter();
  let hasMeasured = false;
  let phase: RequestPhase = input.warmupRequests > 0 ? "warmup" : "measured";
  let ttftMs: number | undefined;
  let inFlight = 0;
  let over: { readonly outcome: Outcome; readonly reading: ClientReading } | undefined;
  let crash: { readonly error: unknown } | undefined;
  let cancelLimit = (): void => undefined;
  let resolveEnded: (end: LoadEnd) => void = () => undefined;
  let rejectEnded: (error: unknown) => void = () => undefined;
  const ended = new Promise<LoadEnd>((resolve, reject) => {
    resolveEnded = resolve;
    rejectEnded = reject;
  });

  const finish = (outcome: Outcome): void => {
    if (over !== undefined) return;
    over = { outcome, reading: meter.stop() };
    signal.removeEventListener("abort", onAbort);
    cancelLimit();
    kind.stopped();
    client.cancelAll(
      outcome.kind === "complete"
        ? "the window closed: the last measured request has ended"
        : `the trial was ended: ${outcome.reason}`,
    );
    settle();
  };
  /** The promise is settled once nothing is in flight. */
  const settle = (): void => {
    if (over === undefined || inFlight > 0) return;
    if (crash === undefined) resolveEnded({ ...over, endedAtMs: sinceZero() });
    else rejectEnded(crash.error);
  };
  const end = (outcome: Outcome): void => {
    if (over !== undefined) return;
    const isFirst = tally.end(outcome);
    finish(tally.outcome ?? outcome);
    if (isFirst) tellOthers?.();
  };
  const onAbort = (): void => {
    end({ kind: "aborted", reason: messageOf(signal.reason) });
  };
  const run = (act: () => void): void => {
    try {
      act();
    } catch (error) {
      crash ??= { error };
      end({ kind: "aborted", reason: messageOf(error) });
    }
  };
  /** Whether the trial goes on, in all its threads. */
  const goesOn = (): boolean => {
    const { outcome } = tally;
    if (outcome !== undefined) finish(outcome);
    return over === undefined;
  };
  const tellProgress = (): void => {
    input.onProgress?.({
      phase,
      completed: tally.read("completed"),
      failed: tally.read("failed"),
      inFlight: client.inFlight,
      measuredDone: tally.read("measuredDone"),
      measuredTotal: measured.kind === "count" ? measured.requests : undefined,
      ttftMs,
    });
  };
  const judge = (record: RequestRecord, isLast: boolean): void => {
    const failed = tally.read("failed");
    const finished = failed + tally.read("completed");
    if (failed > failuresAllowed(limits, { finished, expected: kind.expected(), isLast })) {
      const reason = `${failed} of ${finished} requests failed (limits.failures); the last one: ${wordsOf(record)}`;
      end({ kind: "aborted", reason });
    } else if (isLast) end({ kind: "complete" });
  };

  const { trialMs } = limits;
  if (trialMs !== undefined) {
    const reason = `it did not end within ${formatDuration(trialMs)} (limits.trial)`;
    cancelLimit = setTimer(() => {
      end({ kind: "aborted", reason });
    }, trialMs - sinceZero());
  }
  signal.addEventListener("abort", onAbort);
  if (signal.aborted) onAbort();

  return {
    run,
    end,
    get isOver() {
      return over !== undefined;
    },
    send(request, count) {
      if (request.phase === "measured" && !hasMeasured) {
        hasMeasured = true;
        meter.stop();
        meter = startMeter();
      }
      phase = request.phase;
      inFlight += 1;
      client.send(request, (record) => {
        inFlight -= 1;
        onRecord(record);
        if (record.status === "completed") tally.add("completed");
        if (isFailure(record)) tally.add("failed");
        ttftMs = ttftOf(record) ?? ttftMs;
        run(() => {
          const { isLast, follow } = count(record);
          tellProgress();
          if (goesOn()) judge(record, isLast);
          if (over === undefined) follow();
        });
        settle();
      });
    },
    running: {
      ended,
      poke() {
        run(() => {
          if (goesOn()) kind.poked();
        });
      },
    },
  };
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
