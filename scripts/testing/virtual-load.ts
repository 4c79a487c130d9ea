// A load in virtual time: the real load logic, one or several threads of it, against a client that
// answers when a test says so. Nothing waits, and the same input gives the same records.
import { runClosedLoop } from "../bench/closed-loop.ts";
import type { LoadEnd, LoadInput, LoadOptions, RunningLoad } from "../bench/load.ts";
import { runOpenLoop } from "../bench/open-loop.ts";
import type { ClientReading, RequestRecord } from "../bench/request-record.ts";
import { newTrialMemory } from "../bench/tally.ts";
import type { PreparedRequest, RequestSource } from "../workload/requests.ts";
import { createVirtualTime, type VirtualTime } from "./batching-server.ts";

export interface VirtualLoad {
  readonly input: Pick<LoadInput, "load" | "measured"> & Partial<LoadInput>;
  readonly threads?: number;
  /** How long the request with this prompt takes, ms; its first output comes halfway. */
  readonly answerMs?: (prompt: number) => number;
  /** Requests that are refused when their answer is due. */
  readonly fails?: (prompt: number) => boolean;
  /** Called when the loads have begun. */
  readonly meanwhile?: (time: VirtualTime) => void;
}

export interface VirtualEnd {
  /** Of all threads, in the order in which they ended. */
  readonly records: readonly RequestRecord[];
  /** Of each thread. */
  readonly ends: readonly LoadEnd[];
  /** The prompts in the order in which they were sent, by the number that the source knows them by. */
  readonly prompts: readonly number[];
}

const idle: ClientReading = {
  threads: 1,
  cpuShare: 0,
  eventLoopDelayP99Ms: 0,
  eventLoopDelayMaxMs: 0,
  gcPauseTotalMs: 0,
};

/** Requests whose prompt is their number; `total` and `turns` as a test wants them. */
export function numberedRequests({
  total,
  turns = 1,
}: {
  readonly total?: number;
  readonly turns?: number;
} = {}): RequestSource {
  return {
    turns,
    total,
    request: (index) =>
      total !== undefined && index >= total
        ? undefined
        : {
            body: Buffer.from(String(index)),
            inputTokens: 8,
            outputTokens: 2,
            promptDigest: index.toString(16).padStart(16, "0"),
          },
    onMore: () => undefined,
  };
}

/** Runs a load to its end. @throws what a load's promise fails with */
export async function runVirtually({
  input,
  threads = 1,
  answerMs = () => 10,
  fails = () => false,
  meanwhile,
}: VirtualLoad): Promise<VirtualEnd> {
  const time = createVirtualTime();
  const records: RequestRecord[] = [];
  const prompts: number[] = [];
  const memory = newTrialMemory();
  const complete: LoadInput = {
    seed: "seed",
    warmupRequests: 0,
    window: "handover",
    source: numberedRequests(),
    limits: {
      requestMs: 1e9,
      stallMs: 1e9,
      failureShare: 1,
      failureCount: undefined,
      trialMs: undefined,
    },
    signal: new AbortController().signal,
    ...input,
  };
  const loads: RunningLoad[] = [];
  const start = complete.load.kind === "concurrency" ? runClosedLoop : runOpenLoop;
  for (let thread = 0; thread < threads; thread += 1) {
    const answer = (prepared: PreparedRequest): { takesMs: number; isRefused: boolean } => {
      const prompt = Number(prepared.body.toString());
      prompts.push(prompt);
      return { takesMs: answerMs(prompt), isRefused: fails(prompt) };
    };
    loads.push(
      start({
        input: complete,
        client: virtualClient(time, answer),
        sinceZero: time.now,
        onRecord: (record) => records.push(record),
        share: { thread, threads },
        memory,
        tellOthers: () => {
          // As a message between threads: not at once.
          time.after(0.01, () => {
            loads.forEach((other, index) => {
              if (index !== thread) other.poke();
            });
          });
        },
        setTimer: (run, delayMs) => time.after(delayMs, run),
        startMeter: () => ({ stop: () => idle }),
      }),
    );
  }
  meanwhile?.(time);
  const ends = Promise.all(loads.map(({ ended }) => ended));
  // Whoever awaits it below gets its failure.
  ends.catch(() => undefined);
  time.runUntil(() => false);
  return { records, ends: await ends, prompts };
}

function virtualClient(
  time: VirtualTime,
  answer: (prepared: PreparedRequest) => { readonly takesMs: number; readonly isRefused: boolean },
): LoadOptions["client"] {
  const flights = new Set<(cause: string | undefined) => void>();
  return {
    send({ index, phase, dueAtMs, prepared }, onEnd) {
      const sentAtMs = time.now();
      const { takesMs, isRefused } = answer(prepared);
      const end = (cause: string | undefined): void => {
        if (!flights.delete(end)) return;
        takeBack();
        const endedAtMs = time.now();
        const hasOutput = cause === undefined && !isRefused;
        const common = {
          index,
          phase,
          dueAtMs,
          sentAtMs,
          headersAtMs: sentAtMs,
          chunksAtMs: hasOutput
            ? Float64Array.of((sentAtMs + endedAtMs) / 2, endedAtMs)
            : new Float64Array(0),
          coalescedChunks: 0,
          endedAtMs,
          usage: { promptTokens: 8, completionTokens: 2, cachedTokens: undefined },
          finishReason: undefined,
          plannedInputTokens: prepared.inputTokens,
          plannedOutputTokens: prepared.outputTokens,
          promptDigest: prepared.promptDigest,
        };
        if (cause !== undefined) onEnd({ ...common, status: "cancelled", cause });
        else if (isRefused) onEnd({ ...common, status: "rejected", httpStatus: 503, body: "full" });
        else onEnd({ ...common, status: "completed" });
      };
      const takeBack = time.after(takesMs, () => {
        end(undefined);
      });
      flights.add(end);
    },
    cancelAll(cause) {
      for (const end of [...flights]) end(cause);
    },
    get inFlight() {
      return flights.size;
    },
  };
}
