// Holds the client to the truth: drives the paced server in a process of its own and gives the
// difference between what the client stamped and what the server logged, event by event.
import { launchPacedServer } from "../engine/paced/launch.ts";
import type { PacedLog } from "../engine/paced/paced-log.ts";
import type { PacedOptions, PacedServer } from "../engine/paced/paced-server.ts";
import { nowMs } from "../units.ts";
import { batchOf, packRequests } from "../workload/request-batch.ts";
import type { RequestBatch } from "../workload/requests.ts";
import type { CalibrationLoad } from "./calibration.ts";
import type { ClientReading, RequestRecord } from "./request-record.ts";
import { driveInThreads } from "./threads.ts";

export interface CalibrationPass {
  readonly pace: "uniform" | "burst";
  readonly load: CalibrationLoad;
  readonly threads: number;
  readonly poll: boolean;
  /** How long requests that count are sent. */
  readonly seconds: number;
  readonly signal: AbortSignal;
}

/** What one pass showed; errors in ms, in no order. */
export interface PassErrors {
  /** Arrival as stamped, less the server's write. */
  readonly events: Float64Array;
  /** Told less true. */
  readonly gaps: Float64Array;
  readonly ttfts: Float64Array;
  /** From the stamp of the start to the server's read. */
  readonly startLags: Float64Array;
  readonly coalesced: number;
  readonly client: ClientReading;
}

/** From the request's arrival to its first chunk: long enough that a first wave is out before. */
const ttftMs = 50;

/** Its multiples, modulo 1, fill the unit interval evenly. */
const goldenRatio = 0.618_033_988_749_895;

/**
 * Drives the load for so many seconds, after a wave of warm-up.
 * @throws when requests failed: then there is no truth to compare with
 */
export async function runPass({
  pace,
  load: { streams, ratePerS },
  threads,
  poll,
  seconds,
  signal,
}: CalibrationPass): Promise<PassErrors> {
  const gapMs = 1000 / ratePerS;
  // Answers of half to one and a half seconds: streams begin and end all the time, as in a trial.
  const tokens = (index: number): number =>
    Math.max(2, Math.round(ratePerS * (0.5 + ((index * goldenRatio) % 1))));
  return withServer({ pace, ttftMs, gapMs }, async (server) => {
    // Warm-up, the window, and those that keep the load on to its end, at two a second at most.
    const count = Math.ceil(2 * streams * (seconds + 4));
    const told = await driveAll({
      server,
      batch: requestsOf(count, tokens),
      load: {
        streams,
        warmup: streams,
        measured: { kind: "duration", durationMs: seconds * 1000 },
      },
      threads,
      poll,
      signal,
    });
    return errorsOf(told, await server.log());
  });
}

/** Events per second that the client takes when the server sends as fast as it is read. */
export async function runFlood({
  threads,
  signal,
  events = 1_000_000,
}: {
  readonly threads: number;
  readonly signal: AbortSignal;
  readonly events?: number;
}): Promise<number> {
  const streams = 8 * threads;
  const tokens = (): number => Math.ceil(events / (2 * streams));
  return withServer({ pace: "flood", ttftMs: 0, gapMs: 0 }, async (server) => {
    const { records } = await driveAll({
      server,
      batch: requestsOf(4 * streams, tokens),
      load: {
        streams,
        warmup: streams,
        measured: { kind: "count", requests: 2 * streams },
      },
      threads,
      poll: false,
      signal,
    });
    const measured = records.filter(({ phase }) => phase === "measured");
    if (measured.some(({ status }) => status !== "completed"))
      throw new Error("the paced server's flood was not read to its end");
    const fromMs = Math.min(...measured.map(({ sentAtMs }) => sentAtMs ?? 0));
    const toMs = Math.max(...measured.map(({ endedAtMs }) => endedAtMs));
    // All that came meanwhile, of requests before and after too.
    const came = records.reduce(
      (sum, { chunksAtMs }) => sum + chunksAtMs.filter((at) => at >= fromMs && at <= toMs).length,
      0,
    );
    return (came / (toMs - fromMs)) * 1000;
  });
}

async function withServer<T>(
  options: PacedOptions,
  use: (server: PacedServer) => Promise<T>,
): Promise<T> {
  const server = await launchPacedServer(options);
  try {
    return await use(server);
  } finally {
    await server.close();
  }
}

interface Told {
  readonly records: readonly RequestRecord[];
  readonly zeroMs: number;
  readonly client: ClientReading;
}

async function driveAll({
  server,
  batch,
  load,
  threads,
  poll,
  signal,
}: {
  readonly server: PacedServer;
  readonly batch: RequestBatch;
  readonly load: {
    readonly streams: number;
    readonly warmup: number;
    readonly measured: Parameters<typeof driveInThreads>[0]["measured"];
  };
  readonly threads: number;
  readonly poll: boolean;
  readonly signal: AbortSignal;
}): Promise<Told> {
  const zeroMs = nowMs();
  const records: RequestRecord[] = [];
  const driving = driveInThreads(
    {
      endpoint: { baseUrl: server.url, model: "paced", headers: {} },
      path: "/v1/completions",
      load: { kind: "concurrency", concurrency: load.streams },
      seed: "calibration",
      warmupRequests: load.warmup,
      measured: load.measured,
      window: "handover",
      limits: {
        requestMs: 60_000,
        stallMs: 60_000,
        failureShare: 0,
        failureCount: undefined,
        trialMs: undefined,
      },
      signal,
      zeroMs,
      batches: [batch],
      maker: undefined,
    },
    { threads, poll },
  );
  for (;;) {
    const step = await driving.next();
    if (step.done === true) {
      const { outcome, client } = step.value;
      if (outcome.kind === "aborted")
        throw new Error(`the calibration was ended: ${outcome.reason}`);
      return { records, zeroMs, client };
    }
    records.push(step.value);
  }
}

/** Small requests whose number stands in the body and in their digest: the server logs them by it. */
function requestsOf(count: number, tokens: (index: number) => number): RequestBatch {
  const requests = Array.from({ length: count }, (_, index) => {
    const id = index.toString(16).padStart(16, "0");
    const body = {
      model: "paced",
      prompt: `calibration ${index}`,
      request_id: id,
      max_tokens: tokens(index),
      stream: true,
      stream_options: { include_usage: true },
    };
    return {
      body: Buffer.from(JSON.stringify(body)),
      inputTokens: 2,
      outputTokens: tokens(index),
      promptDigest: id,
    };
  });
  const pack = packRequests(0, requests);
  const bytes = new SharedArrayBuffer(pack.bodies.length);
  new Uint8Array(bytes).set(pack.bodies);
  return batchOf(0, [pack], { turns: 1, total: undefined, bodies: { kind: "memory", bytes } });
}

/**
 * Compares every measured request with the server's log.
 * @throws when one has not the chunks that the server wrote
 */
export function errorsOf(
  { records, zeroMs, client }: Told,
  { requests }: Pick<PacedLog, "requests">,
): PassErrors {
  const truths = new Map(requests.map((request) => [request.id, request]));
  const measured = records.filter(
    ({ phase, status }) => phase === "measured" && status === "completed",
  );
  if (measured.length === 0) throw new Error("the calibration measured no request");
  const chunks = measured.reduce((sum, { chunksAtMs }) => sum + chunksAtMs.length, 0);
  const events = new Float64Array(chunks);
  const gaps = new Float64Array(chunks - measured.length);
  const ttfts = new Float64Array(measured.length);
  const startLags = new Float64Array(measured.length);
  let event = 0;
  let gap = 0;
  let coalesced = 0;
  for (const [
    place,
    { chunksAtMs, coalescedChunks, sentAtMs, promptDigest },
  ] of measured.entries()) {
    const truth = truths.get(promptDigest);
    if (sentAtMs === undefined || truth?.sentAtMs.length !== chunksAtMs.length)
      throw new Error(
        `request ${promptDigest}: ${chunksAtMs.length} chunks came of ${truth?.sentAtMs.length ?? 0} that were written`,
      );
    coalesced += coalescedChunks;
    startLags[place] = truth.arrivedAtMs - zeroMs - sentAtMs;
    let lastError = 0;
    for (const [chunk, atMs] of chunksAtMs.entries()) {
      const error = atMs + zeroMs - (truth.sentAtMs[chunk] ?? 0);
      events[event] = error;
      event += 1;
      if (chunk === 0) ttfts[place] = error + (startLags[place] ?? 0);
      else {
        gaps[gap] = error - lastError;
        gap += 1;
      }
      lastError = error;
    }
  }
  return { events, gaps, ttfts, startLags, coalesced, client };
}
