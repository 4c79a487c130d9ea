// One trial in client threads: the main thread makes requests, watches and stores; the threads send
// and stamp. Records come in batches and are yielded as `drive` yields them.
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { Worker } from "node:worker_threads";
import { packageRoot } from "../engine/model-folder.ts";
import { messageOf, UserError } from "../errors.ts";
import { nowMs } from "../units.ts";
import type { RequestBatch, RequestMaker } from "../workload/requests.ts";
import { type DriveInput, startWallClock } from "./drive.ts";
import type { LoadEnd, LoadProgress } from "./load.ts";
import { unpackRecords } from "./record-batch.ts";
import { createQueue } from "./record-queue.ts";
import type { DriveSummary, RequestPhase, RequestRecord } from "./request-record.ts";
import { mergeReadings } from "./self-meter.ts";
import { newTrialMemory } from "./tally.ts";
import type { FromThread, ThreadTask, ToThread } from "./thread-messages.ts";

export interface ThreadedDriveInput extends Omit<DriveInput, "source"> {
  /** Requests that were made before the trial: [0, n) in order, at least one batch. */
  readonly batches: readonly RequestBatch[];
  /** Makes those that follow while the load runs; undefined: the batches are all there is. */
  readonly maker: Pick<RequestMaker, "make"> | undefined;
}

export interface ThreadsOptions {
  /** At least 1. */
  readonly threads: number;
  /** Whether they never sleep: each takes a core, and none has to be woken. Default: they sleep. */
  readonly poll?: boolean;
  /** The program of a thread. */
  readonly entry?: string;
}

/** How often the main thread looks whether requests run short. */
const refillEveryMs = 20;

/** So many requests ahead are enough for any load, however long it is; more would take time from it. */
const mostAhead = 4096;

/** The thread's program: the built one, also for whoever runs the sources. */
const builtEntry = join(packageRoot, "dist/bench/thread-entry.js");

/**
 * Drives one trial in threads of its own; the contract is that of `drive`. 1, 2 and 4 threads send the
 * same requests in the same phases.
 *
 * @throws what making requests or `onProgress` threw, or that a thread ended by itself; what was
 * measured until then is yielded before
 */
export async function* driveInThreads(
  input: ThreadedDriveInput,
  { threads: count, poll = false, entry = builtEntry }: ThreadsOptions,
): AsyncGenerator<RequestRecord, DriveSummary, undefined> {
  const { batches, maker, signal, onProgress, zeroMs: givenZeroMs, ...sendable } = input;
  const records = createQueue<RequestRecord>();
  const memory = newTrialMemory();
  const asked = new SharedArrayBuffer(4 * count);
  const progressOf = combineProgress(count);
  let failure: { readonly error: unknown } | undefined;
  const everyone = (message: ToThread, but?: ClientThread): void => {
    for (const thread of threads) if (thread !== but) thread.post(message);
  };
  const abort = (reason: string): void => {
    everyone({ kind: "abort", reason });
  };
  /** The caller's own code, or a thread, failed: the load ends, and the drive fails with that. */
  const crash = (error: unknown): void => {
    failure ??= { error };
    abort(messageOf(error));
  };
  const tellProgress = (thread: number, progress: LoadProgress): void => {
    try {
      onProgress?.(progressOf(thread, progress));
    } catch (error) {
      crash(error);
    }
  };

  const threads = Array.from({ length: count }, (_, thread): ClientThread => {
    const own = startThread(
      entry,
      { input: sendable, share: { thread, threads: count }, poll, memory, asked },
      {
        onRecords: (some) => {
          for (const record of some) records.put(record);
        },
        onProgress: (progress) => {
          tellProgress(thread, progress);
        },
        onOthers: () => {
          everyone({ kind: "poke" }, own);
        },
        onFailure: crash,
      },
    );
    return own;
  });
  const onAbort = (): void => {
    abort(messageOf(signal.reason));
  };
  const stopRefill = keepRequestsAhead({
    batches,
    maker,
    reserve: (made) => reserveOf(input, made),
    asked,
    onBatch: (batch) => {
      everyone({ kind: "batch", batch });
    },
    onFailure: crash,
  });
  signal.addEventListener("abort", onAbort);
  try {
    if (signal.aborted) onAbort();
    await Promise.all(threads.map(({ ready }) => ready));
    const zeroMs = givenZeroMs ?? nowMs();
    const wallClock = startWallClock(zeroMs);
    everyone({ kind: "go", zeroMs });
    const all = Promise.all(threads.map(({ ended }) => ended)).finally(records.close);
    yield* records;
    const ends = (await all).filter((end) => end !== undefined);
    if (failure !== undefined) throw failure.error;
    return { ...wallClock(), ...mergeEnds(ends) };
  } finally {
    signal.removeEventListener("abort", onAbort);
    stopRefill();
    abort("its records are no longer read");
    await Promise.all(threads.map((thread) => thread.close()));
  }
}

interface ClientThread {
  post(message: ToThread): void;
  /** Also when it failed before. */
  readonly ready: Promise<void>;
  /** undefined: it failed. */
  readonly ended: Promise<LoadEnd | undefined>;
  /** Resolves when the thread is gone. */
  close(): Promise<void>;
}

interface ThreadListener {
  readonly onRecords: (records: readonly RequestRecord[]) => void;
  readonly onProgress: (progress: LoadProgress) => void;
  readonly onOthers: () => void;
  readonly onFailure: (error: unknown) => void;
}

/** How long a thread may take to cancel what it has in flight once it was told to stop. */
const closeMs = 5000;

/**
 * Room for a thread's young objects, MB. Node's own 1 to 16 fill several times a second at a thousand
 * streams, and each time the clock stands still for milliseconds: one event in a hundred is late by that.
 */
export const youngSpaceMb = 64;

function startThread(entry: string, task: ThreadTask, listener: ThreadListener): ClientThread {
  // V8 starts small whatever the limit is, unless it is told.
  setFlagsFromString(`--min-semi-space-size=${youngSpaceMb}`);
  const worker = new Worker(entry, {
    workerData: task,
    // Flags of this process, a test runner's for instance, are not the thread's.
    execArgv: [],
    // The young generation is three semi-spaces.
    resourceLimits: { maxYoungGenerationSizeMb: 3 * youngSpaceMb },
  });
  let setReady = (): void => undefined;
  let setEnded: (end: LoadEnd | undefined) => void = () => undefined;
  const ready = new Promise<void>((resolve) => {
    setReady = resolve;
  });
  const ended = new Promise<LoadEnd | undefined>((resolve) => {
    setEnded = resolve;
  });
  let isOver = false;
  const over = (end: LoadEnd | undefined): void => {
    isOver = true;
    setReady();
    setEnded(end);
  };
  const fail = (error: unknown): void => {
    if (isOver) return;
    over(undefined);
    listener.onFailure(error);
  };
  worker.on("message", (message: FromThread) => {
    switch (message.kind) {
      case "ready":
        setReady();
        return;
      case "records":
        listener.onRecords(unpackRecords(message.batch));
        if (message.progress !== undefined) listener.onProgress(message.progress);
        return;
      case "progress":
        listener.onProgress(message.progress);
        return;
      case "others":
        listener.onOthers();
        return;
      case "ended":
        over(message.end);
        return;
      case "failed": {
        const { message: what, stack, parts } = message.error;
        fail(parts === undefined ? new Error(what, { cause: stack }) : new UserError([...parts]));
      }
    }
  });
  const { thread } = task.share;
  worker.on("error", (error) => {
    fail(new Error(`client thread ${thread} broke down: ${messageOf(error)}`, { cause: error }));
  });
  const exited = new Promise<void>((resolve) => {
    worker.on("exit", (code) => {
      fail(new Error(`client thread ${thread} ended by itself (exit code ${code})`));
      resolve();
    });
  });
  return {
    post: (message) => {
      worker.postMessage(message);
    },
    ready,
    ended,
    close: async () => {
      const timer = setTimeout(() => {
        void worker.terminate();
      }, closeMs);
      await exited;
      clearTimeout(timer);
    },
  };
}

/**
 * Requests that must be ahead. A counted cohort comes with two fillers a stream, and half of them
 * will do: making more than is needed takes time from the measured window.
 */
function reserveOf(
  { load, measured, batches }: Pick<ThreadedDriveInput, "load" | "measured" | "batches">,
  made: number,
): number {
  const isAlone = batches.every(({ turns }) => turns === 1);
  return load.kind === "concurrency" && measured.kind === "count" && isAlone
    ? load.concurrency
    : Math.min(mostAhead, 0.3 * made);
}

/** Hands out what was made, and has more made before the load needs it. Returns how to stop that. */
function keepRequestsAhead({
  batches,
  maker,
  reserve,
  asked,
  onBatch,
  onFailure,
}: Pick<ThreadedDriveInput, "batches" | "maker"> & {
  /** Requests ahead below which more are made, of so many that were made. */
  readonly reserve: (made: number) => number;
  readonly asked: SharedArrayBuffer;
  readonly onBatch: (batch: RequestBatch) => void;
  readonly onFailure: (error: unknown) => void;
}): () => void {
  const highest = new Int32Array(asked);
  let made = 0;
  let total: number | undefined;
  let isMaking = false;
  let stopped = false;
  const take = (batch: RequestBatch): void => {
    made = Math.max(made, batch.from + batch.count);
    ({ total } = batch);
    onBatch(batch);
  };
  for (const batch of batches) take(batch);
  const firstMade = made;
  const refill = async (from: RequestMaker["make"]): Promise<void> => {
    isMaking = true;
    try {
      const batch = await from(made, Math.min(mostAhead, Math.max(64, Math.ceil(firstMade / 2))));
      if (!stopped) take(batch);
    } catch (error) {
      if (!stopped) onFailure(error);
    } finally {
      isMaking = false;
    }
  };
  const timer = setInterval(() => {
    const ahead = made - Math.max(...highest);
    const isEnough = ahead > reserve(made);
    const isAll = total !== undefined && made >= total;
    if (maker === undefined || isMaking || isEnough || isAll) return;
    void refill((from, size) => maker.make(from, size));
  }, refillEveryMs);
  return () => {
    stopped = true;
    clearInterval(timer);
  };
}

const phaseOrder: readonly RequestPhase[] = ["warmup", "measured", "filler"];

/** The progress of a trial from that of its threads: in flight summed, the furthest phase. */
function combineProgress(count: number): (thread: number, own: LoadProgress) => LoadProgress {
  const latest = Array.from({ length: count }, (): LoadProgress | undefined => undefined);
  let furthest = 0;
  return (thread, own) => {
    latest[thread] = own;
    furthest = Math.max(furthest, phaseOrder.indexOf(own.phase));
    const inFlight = latest.reduce((sum, progress) => sum + (progress?.inFlight ?? 0), 0);
    return { ...own, phase: phaseOrder[furthest] ?? own.phase, inFlight };
  };
}

function mergeEnds(
  ends: readonly LoadEnd[],
): Pick<DriveSummary, "outcome" | "endedAtMs" | "client"> {
  const aborted = ends.find(({ outcome }) => outcome.kind === "aborted");
  return {
    outcome: aborted?.outcome ?? { kind: "complete" },
    endedAtMs: Math.max(...ends.map(({ endedAtMs }) => endedAtMs)),
    client: mergeReadings(ends.map(({ reading }) => reading)),
  };
}
