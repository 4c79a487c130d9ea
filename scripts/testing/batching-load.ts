// Loads on the batching server in virtual time: one trial by the real load logic, with a client that
// needs no socket; and the server's long-run truth, by a plain loop that runs very long.
import type { Client } from "../bench/client.ts";
import { runClosedLoop } from "../bench/closed-loop.ts";
import type { LoadInput } from "../bench/load.ts";
import { runOpenLoop } from "../bench/open-loop.ts";
import type { ClientReading, RequestRecord } from "../bench/request-record.ts";
import type { Load } from "../experiment/experiment.ts";
import { seededRandom } from "../experiment/random.ts";
import type { RequestSample, TrialSamples } from "../stats/samples.ts";
import { firstWaveParts, partOfAnswer } from "../workload/first-wave.ts";
import type { RequestSource } from "../workload/requests.ts";
import { seededOrder } from "../workload/seeded-order.ts";
import {
  type BatchingServerOptions,
  createBatchingServer,
  createVirtualTime,
  type VirtualTime,
} from "./batching-server.ts";

/** Tokens of one request. */
interface Lengths {
  readonly inputTokens: number;
  readonly outputTokens: number;
}

/** A server, what is asked of it, and how often. */
export interface SimulatedLoad {
  readonly server: Omit<BatchingServerOptions, "random">;
  readonly load: Extract<Load, { kind: "concurrency" | "rate" }>;
  readonly drawLengths: (random: () => number) => Lengths;
  /** One way between client and server, ms; drawn for each request and way. */
  readonly drawNetworkMs: (random: () => number) => number;
  /** Stamps of an answer: its first and last token, unless every token is asked for. */
  readonly stamps?: "ends" | "tokens";
}

/** How a load is measured. */
export interface Protocol {
  readonly window: "handover" | "fixed";
  readonly warmupRequests: number;
  readonly measured: LoadInput["measured"];
  readonly firstWave: FirstWaveKind;
}

/**
 * Answers of a closed loop's first wave: whole, or cut to a part of their length, so that the streams
 * are apart from the start. `cut` as the product does it; `stratified` with one part drawn from each of
 * as many equal strata as there are streams.
 */
export type FirstWaveKind = "whole" | "cut" | "stratified";

/** One trial by the load logic that `drive` runs; the same seed gives the same trial. */
export async function simulateTrial(
  simulated: SimulatedLoad,
  protocol: Protocol,
  seed: string,
): Promise<TrialSamples> {
  const { load } = simulated;
  const time = createVirtualTime();
  const client = createSimulatedClient(simulated, time, seed);
  const records: RequestRecord[] = [];
  const input: LoadInput = {
    load,
    seed,
    warmupRequests: protocol.warmupRequests,
    measured: protocol.measured,
    window: protocol.window,
    source: drawRequests(simulated, protocol, seed),
    limits: {
      requestMs: Number.MAX_SAFE_INTEGER,
      stallMs: Number.MAX_SAFE_INTEGER,
      failureShare: 0,
      failureCount: undefined,
      trialMs: undefined,
    },
    signal: new AbortController().signal,
  };
  const running = (load.kind === "concurrency" ? runClosedLoop : runOpenLoop)({
    input,
    client: client.client,
    sinceZero: time.now,
    onRecord: (record) => records.push(record),
    setTimer: (run, delayMs) => time.after(delayMs, run),
    startMeter: () => ({ stop: () => idleReading }),
  });
  time.runUntil(client.isOver);
  const { outcome } = await running.ended;
  if (outcome.kind === "aborted") throw new Error(`a simulated trial ended: ${outcome.reason}`);
  return trialOf(records, protocol.window, load);
}

/** Nothing that is measured here depends on the machine. */
const idleReading: ClientReading = {
  threads: 1,
  cpuShare: 0,
  eventLoopDelayP99Ms: 0,
  eventLoopDelayMaxMs: 0,
  gcPauseTotalMs: 0,
};

/** Long-run means of a closed loop, and the standard errors of these means as shares of them. */
export interface LongRunTruth {
  /** Completed requests per second. */
  readonly qps: number;
  readonly ttftMs: number;
  readonly e2eMs: number;
  readonly requests: number;
  readonly qpsError: number;
  readonly ttftError: number;
}

export interface LongRunOptions {
  readonly lives: number;
  readonly requestsPerLife: number;
  /**
   * How the streams of a closed loop begin: all at once, or each in the midst of an answer, as users who
   * know nothing of each other would be found. Requests of equal lengths keep these distances for long.
   */
  readonly start: "at once" | "apart";
  readonly seed: string;
}

/**
 * What the server does in the long run: so many lives of their own, each long and with a warm-up of
 * half that length left out; lives are independent, so their spread gives the error of their mean.
 */
export function longRunTruth(
  load: SimulatedLoad,
  { lives: count, requestsPerLife, start, seed }: LongRunOptions,
): LongRunTruth {
  const lives = Array.from({ length: count }, (_, life) =>
    simulateLife(load, requestsPerLife, start, `${seed}/life ${life}`),
  );
  const qps = meanAndError(lives.map((life) => life.qps));
  const ttft = meanAndError(lives.map((life) => life.ttftMs));
  return {
    qps: qps.mean,
    ttftMs: ttft.mean,
    e2eMs: meanAndError(lives.map((life) => life.e2eMs)).mean,
    requests: count * requestsPerLife,
    qpsError: qps.error / qps.mean,
    ttftError: ttft.error / ttft.mean,
  };
}

/** Mean and its standard error. @param values at least two */
export function meanAndError(values: readonly number[]): {
  readonly mean: number;
  readonly error: number;
} {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, error: Math.sqrt(squares / (values.length - 1) / values.length) };
}

/** One life's means over `requests` that follow a warm-up of half as many. */
function simulateLife(
  { load, server: options, drawLengths, drawNetworkMs }: SimulatedLoad,
  requests: number,
  start: LongRunOptions["start"],
  seed: string,
): { readonly qps: number; readonly ttftMs: number; readonly e2eMs: number } {
  const time = createVirtualTime();
  const random = seededRandom(seed);
  const server = createBatchingServer(time, { ...options, random });
  const warmup = Math.ceil(requests / 2);
  let ended = 0;
  let fromMs = 0;
  let toMs = 0;
  let ttftSumMs = 0;
  let e2eSumMs = 0;
  const count = (ttftMs: number, e2eMs: number): void => {
    ended += 1;
    if (ended === warmup) fromMs = time.now();
    if (ended === warmup + requests) toMs = time.now();
    if (ended <= warmup || ended > warmup + requests) return;
    ttftSumMs += ttftMs;
    e2eSumMs += e2eMs;
  };
  const send = (lengths: Lengths, follow: () => void): void => {
    const sentAtMs = time.now();
    const backMs = drawNetworkMs(random);
    let firstAtMs = 0;
    time.after(drawNetworkMs(random), () => {
      server.submit({
        ...lengths,
        onFirstToken: () => {
          firstAtMs = time.now() + backMs;
        },
        onLastToken: () => {
          time.after(backMs, () => {
            count(firstAtMs - sentAtMs, time.now() - sentAtMs);
            follow();
          });
        },
      });
    });
  };
  if (load.kind === "concurrency") {
    const sendNext = (): void => {
      send(drawLengths(random), sendNext);
    };
    for (let stream = 0; stream < load.concurrency; stream += 1) {
      const lengths = drawLengths(random);
      send(start === "apart" ? cut(lengths, 1 - random()) : lengths, sendNext);
    }
  } else {
    // Poisson arrivals, whatever the load says: the study has no other.
    const arrive = (): void => {
      send(drawLengths(random), () => undefined);
      time.after((-Math.log(1 - random()) / load.requestRatePerS) * 1000, arrive);
    };
    arrive();
  }
  time.runUntil(() => toMs > 0);
  return {
    qps: requests / ((toMs - fromMs) / 1000),
    ttftMs: ttftSumMs / requests,
    e2eMs: e2eSumMs / requests,
  };
}

/** The requests of a trial; the same index gives the same request. */
function drawRequests(
  { drawLengths, load }: SimulatedLoad,
  { firstWave }: Protocol,
  seed: string,
): RequestSource {
  const random = seededRandom(`${seed}/lengths`);
  const parts = load.kind === "concurrency" ? partsOf(firstWave, load.concurrency, seed) : [];
  const drawn: Lengths[] = [];
  return {
    turns: 1,
    total: undefined,
    onMore: () => undefined,
    request(index) {
      while (drawn.length <= index) {
        const lengths = drawLengths(random);
        drawn.push(cut(lengths, parts[drawn.length] ?? 1));
      }
      const lengths = drawn[index];
      if (lengths === undefined) return undefined;
      return { body: noBody, ...lengths, promptDigest: index.toString(16).padStart(16, "0") };
    },
  };
}

const noBody = Buffer.alloc(0);

function partsOf(kind: FirstWaveKind, requests: number, seed: string): readonly number[] {
  switch (kind) {
    case "whole":
      return [];
    case "cut":
      return firstWaveParts({ requests, seed });
    case "stratified": {
      const strata = Array.from({ length: requests }, (_, stratum) => stratum);
      const parts = firstWaveParts({ requests, seed });
      return seededOrder(strata, `${seed}/strata`).map(
        (stratum, index) => (stratum + (parts[index] ?? 1)) / requests,
      );
    }
  }
}

function cut({ inputTokens, outputTokens }: Lengths, part: number): Lengths {
  return { inputTokens, outputTokens: partOfAnswer(outputTokens, part) };
}

/** A client in front of a server of its own; it is over when the load cancels what is in flight. */
function createSimulatedClient(
  { server: options, drawNetworkMs, stamps }: SimulatedLoad,
  time: VirtualTime,
  seed: string,
): { readonly client: Client; readonly isOver: () => boolean } {
  const random = seededRandom(`${seed}/server`);
  const networkRandom = seededRandom(`${seed}/network`);
  const stepEndsMs: number[] = [];
  const serverTime: VirtualTime = {
    ...time,
    now: time.now,
    after: (durationMs, act) =>
      time.after(durationMs, () => {
        // What the server waits for is the end of a step, but for the start of the first: after 0 ms.
        if (durationMs > 0) stepEndsMs.push(time.now());
        act();
      }),
  };
  const server = createBatchingServer(stamps === "tokens" ? serverTime : time, {
    ...options,
    random,
  });
  const flights = new Set<{ readonly cancel: (cause: string) => void }>();
  let isOver = false;
  const cancelAll = (cause: string): void => {
    isOver = true;
    for (const flight of [...flights]) flight.cancel(cause);
  };
  const client: Client = {
    send({ index, phase, dueAtMs, prepared }, onEnd) {
      const sentAtMs = time.now();
      const chunksAtMs: number[] = [];
      let secondStep = 0;
      const { inputTokens, outputTokens, promptDigest } = prepared;
      const recordOf = (completionTokens: number | undefined) => ({
        index,
        phase,
        dueAtMs,
        sentAtMs,
        headersAtMs: undefined,
        chunksAtMs: Float64Array.from(chunksAtMs),
        coalescedChunks: 0,
        endedAtMs: time.now(),
        usage: { promptTokens: inputTokens, completionTokens, cachedTokens: undefined },
        finishReason: completionTokens === undefined ? undefined : "length",
        plannedInputTokens: inputTokens,
        plannedOutputTokens: outputTokens,
        promptDigest,
      });
      const flight = {
        cancel: (cause: string) => {
          flights.delete(flight);
          onEnd({ ...recordOf(undefined), status: "cancelled", cause });
        },
      };
      flights.add(flight);
      const backMs = drawNetworkMs(networkRandom);
      const arrive = (act: () => void) => () => {
        time.after(backMs, act);
      };
      time.after(drawNetworkMs(networkRandom), () => {
        server.submit({
          inputTokens,
          outputTokens,
          onFirstToken: () => {
            secondStep = stepEndsMs.length;
            time.after(backMs, () => chunksAtMs.push(time.now()));
          },
          onLastToken: arrive(() => {
            if (!flights.delete(flight)) return;
            // A token each step; the steps are counted where every token is asked for.
            for (const endMs of stepEndsMs.slice(secondStep, secondStep + outputTokens - 2)) {
              chunksAtMs.push(endMs + backMs);
            }
            if (outputTokens > 1) chunksAtMs.push(time.now());
            onEnd({ ...recordOf(outputTokens), status: "completed" });
          }),
        });
      });
    },
    cancelAll,
    get inFlight() {
      return flights.size;
    },
    openedConnections: 0,
    close() {
      cancelAll("the client was closed");
      return Promise.resolve();
    },
  };
  return { client, isOver: () => isOver };
}

function trialOf(
  records: readonly RequestRecord[],
  window: TrialSamples["window"],
  load: SimulatedLoad["load"],
): TrialSamples {
  return {
    trial: "simulated",
    point: "simulated",
    variant: "simulated",
    workload: "simulated",
    plannedConcurrency: load.kind === "concurrency" ? load.concurrency : undefined,
    round: 1,
    repeat: 1,
    start: 1,
    attempt: 1,
    window,
    requests: records.map(sampleOf).sort((a, b) => a.index - b.index),
    engine: [],
    gpus: [],
    cacheReset: undefined,
  };
}

function sampleOf(record: RequestRecord): RequestSample {
  return {
    index: record.index,
    phase: record.phase,
    status: record.status,
    dueAtMs: record.dueAtMs,
    sentAtMs: record.sentAtMs,
    firstAtMs: record.chunksAtMs[0],
    lastAtMs: record.chunksAtMs.at(-1),
    endedAtMs: record.endedAtMs,
    outputChunks: record.chunksAtMs.length,
    coalescedChunks: record.coalescedChunks,
    inputTokens: record.usage.promptTokens,
    outputTokens: record.usage.completionTokens,
    cachedTokens: record.usage.cachedTokens,
    tokenSource: record.usage.completionTokens === undefined ? "none" : "usage",
    plannedInputTokens: record.plannedInputTokens,
    plannedOutputTokens: record.plannedOutputTokens,
    promptDigest: record.promptDigest,
    chunksAtMs: record.chunksAtMs,
  };
}
