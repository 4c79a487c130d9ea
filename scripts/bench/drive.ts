// One trial in one thread: puts the load of a point on an engine and yields a record for every
// request, as they end. Whoever reads the records can't hold up the load.
import type { EngineEndpoint } from "../engine/engine.ts";
import { isoWithOffset, nowMs } from "../units.ts";
import { type Client, openClient } from "./client.ts";
import { runClosedLoop } from "./closed-loop.ts";
import type { LoadInput, LoadOptions, RunningLoad } from "./load.ts";
import { runOpenLoop } from "./open-loop.ts";
import { createQueue } from "./record-queue.ts";
import type { DriveSummary, RequestRecord } from "./request-record.ts";

export interface DriveInput extends LoadInput {
  readonly endpoint: EngineEndpoint;
  /** Where the requests go, below the endpoint's base URL. */
  readonly path: string;
  /** The trial's zero as a `nowMs()` value, to share it with other readings; else when the load begins. */
  readonly zeroMs?: number;
}

export interface DriveDeps {
  /** Monotonic milliseconds. */
  readonly clock?: () => number;
  /** Takes secrets out of what a server said, before it is kept. */
  readonly redact?: (text: string) => string;
}

/**
 * Drives one trial and yields every request's record in the order in which they ended, cancelled
 * ones too; returns how it went. In a closed loop `dueAtMs` is when the request's slot became free;
 * for the first wave, when the load began.
 *
 * A server's failures are records. More of them than `limits` allow, or the signal, end the trial as
 * `aborted`: what is in flight is cancelled and yielded. A consumer that stops reading early ends it
 * as well; no request or connection is left.
 *
 * @throws what `source` or `onProgress` throws, after everything in flight was cancelled and yielded
 */
export async function* drive(
  input: DriveInput,
  { clock = nowMs, redact }: DriveDeps = {},
): AsyncGenerator<RequestRecord, DriveSummary, undefined> {
  const readerLeft = new AbortController();
  const signal = AbortSignal.any([input.signal, readerLeft.signal]);
  const records = createQueue<RequestRecord>();
  const opened = await openDrive({ ...input, signal }, { clock, ...(redact && { redact }) });
  try {
    const zeroMs = input.zeroMs ?? clock();
    const wallClock = startWallClock(zeroMs, clock);
    const { ended } = opened.start({ zeroMs, onRecord: records.put });
    ended.then(records.close, records.close);
    yield* records;
    const { outcome, endedAtMs, reading } = await ended;
    return { ...wallClock(), endedAtMs, outcome, client: reading };
  } finally {
    readerLeft.abort("its records are no longer read");
    await opened.close();
  }
}

/** A drive that is ready to begin: its connections are open. */
export interface OpenDrive {
  start(
    options: { readonly zeroMs: number } & Pick<
      LoadOptions,
      "onRecord" | "share" | "memory" | "tellOthers" | "startMeter"
    >,
  ): RunningLoad;
  /** Closes every connection; what is in flight is cancelled. */
  close(): Promise<void>;
}

/** Opens the connections of a load, or of this thread's share of it. */
export async function openDrive(
  input: Omit<DriveInput, "zeroMs">,
  { clock = nowMs, redact = (text) => text, threads = 1 }: DriveDeps & { threads?: number } = {},
): Promise<OpenDrive> {
  const { endpoint, path, limits, load } = input;
  let zero = clock();
  const sinceZero = (): number => clock() - zero;
  const client: Client = await openClient({
    endpoint,
    path,
    limits,
    sinceZero,
    redact,
    ...connectionsFor(load, threads),
  });
  return {
    start({ zeroMs, ...options }) {
      zero = zeroMs;
      const all = { input, client, sinceZero, ...options };
      return load.kind === "concurrency" ? runClosedLoop(all) : runOpenLoop(all);
    },
    close: () => client.close(),
  };
}

/** Connections that a load opens before it begins, and the most that it may come to. */
function connectionsFor(
  load: LoadInput["load"],
  threads: number,
): { readonly connections: number; readonly mostConnections?: number } {
  if (load.kind === "concurrency") {
    // Threads take slots as they come free, but no thread has more than its share of them.
    const own = Math.ceil(load.concurrency / threads);
    return { connections: own, mostConnections: own };
  }
  const perS =
    load.kind === "rate"
      ? load.requestRatePerS
      : load.kind === "ramp"
        ? Math.max(load.fromPerS, load.toPerS)
        : 0;
  // Two seconds of arrivals; an open loop opens more where answers take longer.
  return { connections: Math.ceil(Math.min(1024, Math.max(16, 2 * perS)) / threads) };
}

/** Takes the wall clock now; called at the end, it says when the zero was and how far the clocks drifted. */
export function startWallClock(
  zeroMs: number,
  clock: () => number = nowMs,
): () => Pick<DriveSummary, "zeroAt" | "clockDriftMs"> {
  const clockGapMs = Date.now() - clock();
  // The wall clock now, not at the process's start: the two may have drifted apart since.
  const zeroAt = isoWithOffset(Date.now() - (clock() - zeroMs));
  return () => ({ zeroAt, clockDriftMs: Date.now() - clock() - clockGapMs });
}
