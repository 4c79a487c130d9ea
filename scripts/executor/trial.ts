// One trial on a running engine: prompts, cache policy, snapshots around it, the load with the watches
// of engine and GPUs beside it.
import { setTimeout as delay } from "node:timers/promises";
import { collectGarbage } from "../bench/collect-garbage.ts";
import type { LoadProgress } from "../bench/load.ts";
import type {
  DriveSummary,
  EngineReading,
  RequestRecord,
  WatchEnd,
} from "../bench/request-record.ts";
import { waitUntilIdle, watchEngine } from "../bench/telemetry.ts";
import { driveInThreads, type ThreadsOptions } from "../bench/threads.ts";
import { type CacheReset, type RunningEngine, usualPaths } from "../engine/engine.ts";
import type { GpuReading } from "../environment/gpu-reading.ts";
import type { GpuWatch } from "../environment/gpu-telemetry.ts";
import type { EnvironmentSnapshot } from "../environment/snapshot.ts";
import type { Workload } from "../experiment/experiment.ts";
import type { Trial } from "../experiment/plan.ts";
import { isoWithOffset, nowMs } from "../units.ts";
import { mergeStreams } from "./merge-streams.ts";
import type { StartEvent } from "./start-events.ts";
import {
  requestsOfTrial,
  type TrialRequests,
  type TrialRequestsContext,
} from "./trial-requests.ts";

export interface TrialContext extends TrialRequestsContext {
  readonly engine: RunningEngine;
  /** Client threads that drive it. */
  readonly clientThreads: Pick<ThreadsOptions, "threads" | "poll">;
  readonly gpus: Pick<GpuWatch, "watch">;
  /** A light snapshot, as it is now. */
  readonly snapshot: () => Promise<EnvironmentSnapshot>;
  /** Aborted on Ctrl-C and by the engine's death. */
  readonly stop: AbortSignal;
  /** Aborted by the engine's death, with the reason. */
  readonly death: AbortSignal;
}

/** How long the load waits for the first readings of engine and GPUs. */
const firstReadingLimitMs = 2000;

/** How long a failed trial waits for word that its engine died. */
const deathLimitMs = 1000;

/** How long a trial waits for what an earlier one left running on the engine. */
const idleLimitMs = 30_000;

/**
 * Runs one trial to its end, whatever that is.
 * @returns whether it began: not when it was stopped, or its engine found dead, before its load
 */
export async function* runTrial(
  trial: Trial,
  context: TrialContext,
): AsyncGenerator<StartEvent, boolean, undefined> {
  const requests = await requestsOfTrial(trial, context);
  try {
    return yield* runPrepared(trial, context, requests);
  } finally {
    await requests.maker.close();
  }
}

async function* runPrepared(
  trial: Trial,
  context: TrialContext,
  requests: TrialRequests,
): AsyncGenerator<StartEvent, boolean, undefined> {
  const { point, workload, engine, stop, death } = context;
  const stopped = (): boolean => stop.aborted;
  for (const text of requests.maker.notes()) yield promptNote(trial, text);
  const idleness = await waitUntilIdle(engine.endpoint, { limitMs: idleLimitMs, signal: stop });
  if (stopped()) return false;
  if (idleness === "busy") {
    yield {
      kind: "note",
      note: "busy-engine",
      text: `${trial.point}, round ${trial.round}: the engine was still busy with other requests when the trial began`,
    };
  }
  const cacheReset = await carryOutCachePolicy(workload, engine);
  const snapshot = await context.snapshot();
  if (stopped()) return false;
  yield { kind: "snapshot", trial, scope: "trial-before", snapshot };
  const { warmupRequests, measured } = point;
  yield { kind: "trial-began", trial, at: wallClock(), warmupRequests, measured, cacheReset };

  const outcome = yield* runLoad(trial, context, requests);
  const { summary } = outcome;
  const ended = summary.outcome;
  // Requests of a dead engine may fail before the death is known; it is the better reason.
  if (ended.kind === "aborted" && !stopped()) await aborted(death, deathLimitMs);
  const unfinished = stopped() && !death.aborted ? "interrupted" : "failed";
  yield {
    kind: "trial-ended",
    trial,
    status: ended.kind === "complete" ? "measured" : unfinished,
    reason:
      ended.kind === "complete" ? undefined : death.aborted ? String(death.reason) : ended.reason,
    ...outcome,
  };
  // Nothing counts that was cut short; whoever stopped it waits for the engine's end.
  if (stopped()) return true;
  yield { kind: "snapshot", trial, scope: "trial-after", snapshot: await context.snapshot() };
  return true;
}

/** Unique prompts meet an empty cache where the engine offers that; what hits is then theirs alone. */
async function carryOutCachePolicy(
  { cache }: Workload,
  engine: RunningEngine,
): Promise<CacheReset | undefined> {
  return cache.kind === "cold" ? engine.resetPrefixCache() : undefined;
}

type LoadEvent =
  | { readonly kind: "request"; readonly record: RequestRecord }
  | { readonly kind: "reading"; readonly reading: EngineReading }
  | { readonly kind: "gpu-reading"; readonly reading: GpuReading };

type LoadOutcome = Pick<
  Extract<StartEvent, { readonly kind: "trial-ended" }>,
  "summary" | "watches"
>;

/**
 * The load with its watches. It begins after their first readings, so that counters cover the whole
 * trial; they end after it, with a last reading.
 */
async function* runLoad(
  trial: Trial,
  { experiment, point, workload, engine, tokenizer, gpus, stop, clientThreads }: TrialContext,
  { maker, batch, traceAtMs }: TrialRequests,
): AsyncGenerator<StartEvent, LoadOutcome, undefined> {
  // Making the requests of a long trial leaves as much behind as they take.
  collectGarbage();
  const abandonment = new AbortController();
  const loadOver = new AbortController();
  const watched = AbortSignal.any([loadOver.signal, stop, abandonment.signal]);
  const zeroMs = nowMs();
  const phases = new EventTarget();
  let latest: LoadProgress | undefined;
  let summary: DriveSummary | undefined;
  let engineWatch: WatchEnd | undefined;
  let gpuWatch: WatchEnd | undefined;

  const engineReadings = startNow(
    watchEngine(engine.endpoint, {
      everyMs: experiment.telemetry.engineMs,
      zeroMs,
      signal: watched,
      readNow: phases,
    }),
  );
  const gpuReadings = startNow(gpus.watch({ zeroMs, signal: watched }));

  async function* requests(): AsyncGenerator<LoadEvent, void, undefined> {
    try {
      // An engine whose counters can't be read is measured all the same.
      await Promise.race([
        Promise.all([engineReadings.first, gpuReadings.first]),
        delay(firstReadingLimitMs, undefined, { ref: false }),
      ]);
      summary = yield* mapped(
        driveInThreads(
          {
            endpoint: engine.endpoint,
            path: (engine.endpoint.paths ?? usualPaths)[workload.endpoint],
            load: trial.load,
            seed: trial.seed,
            ...(traceAtMs === undefined ? {} : { traceAtMs }),
            zeroMs,
            warmupRequests: point.warmupRequests,
            measured: point.measured,
            window: experiment.measure.window,
            batches: [batch],
            maker,
            limits: experiment.limits,
            signal: AbortSignal.any([stop, abandonment.signal]),
            onProgress: (value) => {
              // The measured window begins and ends where the phase of what is sent changes.
              if (latest !== undefined && value.phase !== latest.phase)
                phases.dispatchEvent(new Event("read"));
              latest = value;
            },
          },
          clientThreads,
        ),
        (record): LoadEvent => ({ kind: "request", record }),
      );
    } finally {
      loadOver.abort();
    }
  }
  async function* ofEngine(): AsyncGenerator<LoadEvent, void, undefined> {
    engineWatch = yield* mapped(engineReadings.all(), (reading) => ({ kind: "reading", reading }));
  }
  async function* ofGpus(): AsyncGenerator<LoadEvent, void, undefined> {
    gpuWatch = yield* mapped(gpuReadings.all(), (reading) => ({ kind: "gpu-reading", reading }));
  }

  const events = mergeStreams([requests(), ofEngine(), ofGpus()], () => {
    abandonment.abort("nobody listens any more");
  });
  for await (const event of events) {
    if (event.kind === "request") {
      const { record } = event;
      const answer = record.uncountedOutput;
      const countedOutputTokens = answer === undefined ? undefined : tokenizer.countAnswer(answer);
      yield { kind: "request", trial, record, countedOutputTokens };
    } else if (event.kind === "reading") yield { kind: "reading", trial, reading: event.reading };
    else yield { kind: "gpu-reading", trial, reading: event.reading };
    if (latest !== undefined) yield { kind: "progress", trial, progress: latest };
  }
  if (summary === undefined) throw new Error("a drive ended without its summary");
  return { summary, watches: { engine: engineWatch, gpus: gpuWatch } };
}

/** Asks a stream for its first item at once, before anybody reads it. */
function startNow<Item, End>(
  stream: AsyncGenerator<Item, End, undefined>,
): { readonly first: Promise<unknown>; all(): AsyncGenerator<Item, End, undefined> } {
  const first = stream.next();
  // Whoever reads the stream gets its failure.
  first.catch(() => undefined);
  return {
    first,
    async *all() {
      for (let step = await first; ; step = await stream.next()) {
        if (step.done === true) return step.value;
        yield step.value;
      }
    },
  };
}

async function* mapped<Item, Event, End>(
  stream: AsyncGenerator<Item, End, undefined>,
  change: (item: Item) => Event,
): AsyncGenerator<Event, End, undefined> {
  for (;;) {
    const step = await stream.next();
    if (step.done === true) return step.value;
    yield change(step.value);
  }
}

/** Resolves when the signal is aborted, or after `limitMs`. */
async function aborted(signal: AbortSignal, limitMs: number): Promise<void> {
  await delay(limitMs, undefined, { signal }).catch(() => undefined);
}

function promptNote({ point, round }: Trial, text: string): StartEvent {
  return { kind: "note", note: "prompts", text: `${point}, round ${round}: ${text}` };
}

function wallClock(): string {
  return isoWithOffset(Date.now());
}
