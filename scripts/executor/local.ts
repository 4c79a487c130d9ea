// Runs starts on this machine: launches the engine, drives its trials, survives its death, stops it.
// Yields what happens as it happens; who stores it is the pipeline's business.
import { setTimeout as delay } from "node:timers/promises";
import type { LoadProgress } from "../bench/closed-loop.ts";
import { drive } from "../bench/drive.ts";
import type { DriveSummary, EngineReading, RequestRecord } from "../bench/request-record.ts";
import { waitUntilIdle, watchEngine } from "../bench/telemetry.ts";
import type { RunningEngine } from "../engine/engine.ts";
import { EngineStartError } from "../engine/engine.ts";
import { startEngine } from "../engine/engines.ts";
import { probeJson } from "../engine/http.ts";
import { describeExit } from "../engine/launch.ts";
import { redactText } from "../environment/redact.ts";
import type { EnvironmentSnapshot } from "../environment/snapshot.ts";
import { UserError } from "../errors.ts";
import type { Experiment, Variant } from "../experiment/experiment.ts";
import type { PlannedStart, Point, Trial } from "../experiment/plan.ts";
import { isoWithOffset, nowMs } from "../units.ts";
import { longestRequestTokens, makeRequestSource } from "../workload/prompts.ts";
import { findTokenizer, type PromptTokenizer } from "../workload/tokenizer.ts";

export type StartEvent =
  | { readonly kind: "launching"; readonly at: string; readonly restart: boolean }
  | {
      readonly kind: "ready";
      readonly at: string;
      readonly engine: RunningEngine;
      /** An engine that already served an earlier start of this run. */
      readonly reused: boolean;
    }
  | {
      readonly kind: "trial-began";
      readonly trial: Trial;
      readonly at: string;
      readonly warmupRequests: number;
      readonly measured: Point["measured"];
    }
  | { readonly kind: "progress"; readonly trial: Trial; readonly progress: LoadProgress }
  | {
      readonly kind: "request";
      readonly trial: Trial;
      readonly record: RequestRecord;
      /** Counted by the tokenizer, where the server gave no usage. */
      readonly countedOutputTokens: number | undefined;
    }
  | { readonly kind: "reading"; readonly trial: Trial; readonly reading: EngineReading }
  | {
      readonly kind: "snapshot";
      /** undefined: of the start itself. */
      readonly trial: Trial | undefined;
      readonly scope: "start" | "trial-before" | "trial-after";
      readonly snapshot: EnvironmentSnapshot;
    }
  | { readonly kind: "note"; readonly note: string; readonly text: string }
  | {
      readonly kind: "trial-ended";
      readonly trial: Trial;
      readonly status: "measured" | "failed" | "interrupted";
      readonly reason: string | undefined;
      readonly summary: DriveSummary;
    }
  | {
      readonly kind: "ended";
      readonly at: string;
      readonly reason: "stopped" | "kept" | "died" | "never_ready";
      /** Its first line says why; the last lines of the engine's log follow. */
      readonly detail: string | undefined;
    };

export interface LocalExecutor {
  /** Runs one start. Trials that an engine's death left over are tried once more on a restart. */
  runStart(start: PlannedStart, logPath: string): AsyncGenerator<StartEvent>;
  /** Stops engines that were kept. */
  close(): Promise<void>;
}

export interface LocalExecutorOptions {
  readonly experiment: Experiment;
  readonly points: readonly Point[];
  readonly projectRoot: string;
  /** Aborted on Ctrl-C. */
  readonly signal: AbortSignal;
  /** Full after a start, light around every trial. */
  readonly snapshot: (
    variant: Variant,
    engine: RunningEngine,
    light: boolean,
  ) => Promise<EnvironmentSnapshot>;
  /** The run's id and the leg: what tells its prompts from those that a living engine has seen before. */
  readonly run: string;
  readonly leg: number;
}

/** How long the load waits for the engine's counters. */
const firstReadingLimitMs = 2000;

/** How long a failed trial waits for word that its engine died. */
const deathLimitMs = 1000;

/** How long a trial waits for what an earlier one left running on the engine. */
const idleLimitMs = 30_000;

export function createLocalExecutor(options: LocalExecutorOptions): LocalExecutor {
  const { experiment, signal } = options;
  const kept = new Map<string, RunningEngine>();
  const tokenizers = new Map<string, PromptTokenizer>();

  async function* runStart(start: PlannedStart, logPath: string): AsyncGenerator<StartEvent> {
    const variant = found(experiment.variants, start.variant);
    let left = start.trials;
    // A dead engine is restarted once; what is left after that is not measured.
    for (const restart of [false, true]) {
      const outcome = yield* oneLife(variant, left, { restart, logPath });
      left = outcome.left;
      if (!outcome.died || left.length === 0 || signal.aborted) return;
    }
  }

  async function* oneLife(
    variant: Variant,
    trials: readonly Trial[],
    life: { readonly restart: boolean; readonly logPath: string },
  ): AsyncGenerator<StartEvent, { readonly left: readonly Trial[]; readonly died: boolean }> {
    let engine = kept.get(variant.name);
    const reused = engine !== undefined;
    if (!reused) yield { kind: "launching", at: wallClock(), restart: life.restart };
    try {
      engine ??= await startEngine(variant, {
        projectRoot: options.projectRoot,
        // A log of its own for each life.
        logPath: life.restart ? life.logPath.replace(/\.log$/, "-restart.log") : life.logPath,
        signal,
      });
      await tokenizerOf(variant, engine);
    } catch (error) {
      await engine?.stop();
      const isExpected = error instanceof EngineStartError || error instanceof UserError;
      if (!isExpected && !signal.aborted) throw error;
      const detail = isExpected ? startFailure(error) : "interrupted";
      yield {
        kind: "ended",
        at: wallClock(),
        reason: signal.aborted ? "stopped" : "never_ready",
        detail,
      };
      return { left: trials, died: false };
    }
    const tooLong = tooLongFor(engine, trials);
    if (tooLong !== undefined) {
      await engine.stop();
      yield { kind: "ended", at: wallClock(), reason: "never_ready", detail: tooLong };
      return { left: trials, died: false };
    }
    yield { kind: "ready", at: wallClock(), engine, reused };
    if (!reused) {
      yield {
        kind: "snapshot",
        trial: undefined,
        scope: "start",
        snapshot: await options.snapshot(variant, engine, false),
      };
    }
    const death = new AbortController();
    let lastWords = "";
    void engine.exited.then((exit) => {
      lastWords = exit.lastWords;
      kept.delete(variant.name);
      death.abort(`the engine died (${describeExit(exit)})`);
    });
    const keep = experiment.measure.keep || variant.engine.kind === "external";
    let finished = false;
    try {
      for (const [position, trial] of trials.entries()) {
        if (signal.aborted) break;
        yield* runTrial(
          variant,
          engine,
          trial,
          AbortSignal.any([signal, death.signal]),
          death.signal,
        );
        if (death.signal.aborted) {
          kept.delete(variant.name);
          const detail = `${String(death.signal.reason)}\n${redactText(lastWords)}`;
          yield { kind: "ended", at: wallClock(), reason: "died", detail };
          finished = true;
          return { left: trials.slice(position + 1), died: true };
        }
      }
      finished = true;
      if (keep && !signal.aborted) {
        kept.set(variant.name, engine);
        yield { kind: "ended", at: wallClock(), reason: "kept", detail: undefined };
      } else {
        await engine.stop();
        kept.delete(variant.name);
        yield { kind: "ended", at: wallClock(), reason: "stopped", detail: undefined };
      }
      return { left: [], died: false };
    } finally {
      // Also when the consumer gives up, and when something unforeseen is thrown.
      if (!finished || signal.aborted || death.signal.aborted) await engine.stop();
    }
  }

  /** Why the engine can't serve one of the trials' requests, as far as it says how long they may be. */
  function tooLongFor({ facts }: RunningEngine, trials: readonly Trial[]): string | undefined {
    const limit = facts.maxModelLen;
    if (limit === undefined) return undefined;
    for (const { workload } of trials) {
      const longest = longestRequestTokens(found(experiment.workloads, workload));
      if (longest !== undefined && longest > limit) {
        return `workload ${workload} asks for ${longest} tokens, input and output together; the engine allows ${limit}`;
      }
    }
    return undefined;
  }

  async function* runTrial(
    variant: Variant,
    engine: RunningEngine,
    trial: Trial,
    stop: AbortSignal,
    death: AbortSignal,
  ): AsyncGenerator<StartEvent> {
    const point = found(options.points, trial.point);
    const workload = found(experiment.workloads, trial.workload);
    if (trial.load.kind !== "concurrency")
      throw new Error(`load ${trial.load.kind} is refused before a run`);
    const { concurrency } = trial.load;
    const tokenizer = await tokenizerOf(variant, engine);
    const source = await makeRequestSource(
      {
        workload,
        model: engine.endpoint.model,
        seed: `${trial.seed}${promptSalt(variant)}`,
        runSeed: String(experiment.measure.seed),
        prepare: preparedRequests(point, concurrency),
      },
      tokenizer,
    );
    yield {
      kind: "snapshot",
      trial,
      scope: "trial-before",
      snapshot: await options.snapshot(variant, engine, true),
    };
    yield {
      kind: "trial-began",
      trial,
      at: wallClock(),
      warmupRequests: point.warmupRequests,
      measured: point.measured,
    };
    const idleness = await waitUntilIdle(engine.endpoint, { limitMs: idleLimitMs, signal: stop });
    if (idleness === "busy") {
      yield {
        kind: "note",
        note: "busy-engine",
        text: `${trial.point}, round ${trial.round}: the engine was still busy with other requests when the trial began`,
      };
    }
    const abandonment = new AbortController();
    const zeroMs = nowMs();
    const telemetry = new AbortController();
    let latest: LoadProgress | undefined;
    const events = mergeEvents(
      drive(
        {
          endpoint: engine.endpoint,
          path: workload.endpoint === "chat" ? "/v1/chat/completions" : "/v1/completions",
          load: trial.load,
          zeroMs,
          warmupRequests: point.warmupRequests,
          measured: point.measured,
          window: experiment.measure.window,
          source,
          limits: experiment.limits,
          signal: AbortSignal.any([stop, abandonment.signal]),
          onProgress: (value) => {
            latest = value;
          },
        },
        { redact: redactText },
      ),
      watchEngine(engine.endpoint, {
        everyMs: experiment.telemetry.engineMs,
        zeroMs,
        signal: AbortSignal.any([telemetry.signal, stop]),
      }),
      telemetry,
      abandonment,
    );
    let summary: DriveSummary | undefined;
    for await (const event of events) {
      if (event.kind === "request") {
        const { record } = event;
        const answer = record.uncountedOutput;
        const countedOutputTokens =
          answer === undefined ? undefined : tokenizer.countAnswer(answer);
        yield { kind: "request", trial, record, countedOutputTokens };
      } else if (event.kind === "reading") yield { kind: "reading", trial, reading: event.reading };
      else summary = event.summary;
      if (latest !== undefined) yield { kind: "progress", trial, progress: latest };
    }
    if (summary === undefined) throw new Error("a drive ended without its summary");
    const { outcome } = summary;
    // Requests of a dead engine may fail before the death is known; it is the better reason.
    if (outcome.kind === "aborted" && !stop.aborted) await aborted(death, deathLimitMs);
    yield {
      kind: "trial-ended",
      trial,
      status:
        outcome.kind === "complete"
          ? "measured"
          : stop.aborted && !death.aborted
            ? "interrupted"
            : "failed",
      reason:
        outcome.kind === "complete"
          ? undefined
          : death.aborted
            ? String(death.reason)
            : outcome.reason,
      summary,
    };
    if (!death.aborted) {
      yield {
        kind: "snapshot",
        trial,
        scope: "trial-after",
        snapshot: await options.snapshot(variant, engine, true),
      };
    }
  }

  /**
   * Empty for an engine that is started fresh: its cache knows nothing, and compared variants see the
   * same prompts. An engine that lives on has seen what was sent before: in an earlier run, an earlier
   * leg, or for another variant at the same address.
   */
  function promptSalt({ name, engine }: Variant): string {
    const leg = options.leg === 1 ? "" : `/leg ${options.leg}`;
    if (engine.kind !== "external") return leg;
    const neighbours = experiment.variants.filter(
      (other) => other.engine.kind === "external" && other.engine.url === engine.url,
    );
    return `/${options.run}${leg}${neighbours.length > 1 ? `/${name}` : ""}`;
  }

  async function tokenizerOf(
    variant: Variant,
    { endpoint }: RunningEngine,
  ): Promise<PromptTokenizer> {
    const known = tokenizers.get(variant.name);
    if (known !== undefined) return known;
    const tokenizer = await findTokenizer(variant, options.projectRoot, (body) =>
      probeJson(`${endpoint.baseUrl}/tokenize`, { headers: endpoint.headers, body }),
    );
    tokenizers.set(variant.name, tokenizer);
    return tokenizer;
  }

  return {
    runStart,
    close: async () => {
      await Promise.all([...kept.values()].map((engine) => engine.stop()));
      kept.clear();
    },
  };
}

type TrialEvent =
  | { readonly kind: "request"; readonly record: RequestRecord }
  | { readonly kind: "reading"; readonly reading: EngineReading }
  | { readonly kind: "summary"; readonly summary: DriveSummary };

/**
 * Both streams as one, in order of arrival. The load begins after the first reading, so that the
 * engine's counters cover the whole trial; telemetry ends after the load, with a last reading.
 */
async function* mergeEvents(
  records: AsyncGenerator<RequestRecord, DriveSummary>,
  readings: AsyncGenerator<EngineReading, unknown>,
  telemetry: AbortController,
  abandonment: AbortController,
): AsyncGenerator<TrialEvent> {
  const queue: TrialEvent[] = [];
  let wake = (): void => undefined;
  const put = (event: TrialEvent): void => {
    queue.push(event);
    wake();
  };
  const firstReading = readings.next();
  const driving = (async () => {
    try {
      // An engine whose counters can't be read is measured all the same.
      await Promise.race([firstReading, delay(firstReadingLimitMs, undefined, { ref: false })]);
      let step = await records.next();
      while (step.done !== true) {
        put({ kind: "request", record: step.value });
        step = await records.next();
      }
      put({ kind: "summary", summary: step.value });
    } finally {
      telemetry.abort();
    }
  })();
  const watching = (async () => {
    for (let step = await firstReading; step.done !== true; step = await readings.next()) {
      put({ kind: "reading", reading: step.value });
    }
  })();
  const state = { open: true };
  const over = Promise.all([driving, watching]).finally(() => {
    state.open = false;
    wake();
  });
  // Its failure is thrown below, once what arrived before it has been handed on.
  over.catch(() => undefined);
  try {
    while (state.open || queue.length > 0) {
      const event = queue.shift();
      if (event !== undefined) yield event;
      else {
        await new Promise<void>((resolve) => {
          wake = resolve;
          if (!state.open || queue.length > 0) resolve();
        });
      }
    }
    await over;
  } finally {
    telemetry.abort();
    // A consumer that stops listening ends the drive too.
    if (state.open) {
      abandonment.abort("nobody listens any more");
      await over.catch(() => undefined);
    }
  }
}

/** Resolves when the signal is aborted, or after `limitMs`. */
async function aborted(signal: AbortSignal, limitMs: number): Promise<void> {
  await delay(limitMs, undefined, { signal }).catch(() => undefined);
}

/** Requests made before the trial: warm-up, cohort and about as many fillers as will be needed. */
function preparedRequests(point: Point, concurrency: number): number {
  const cohort = point.measured.kind === "count" ? point.measured.requests : 4 * concurrency;
  return point.warmupRequests + cohort + 2 * concurrency;
}

function startFailure(error: EngineStartError | UserError): string {
  if (error instanceof UserError) {
    return error.parts.map(({ what, mend }) => `${what}; to mend it: ${mend}`).join("\n");
  }
  return `${error.message}; to mend it: ${error.mend}\n${redactText(error.lastWords)}`;
}

function wallClock(): string {
  return isoWithOffset(Date.now());
}

function found<T extends { readonly name: string }>(items: readonly T[], name: string): T {
  const item = items.find((candidate) => candidate.name === name);
  if (item === undefined)
    throw new Error(`the plan names ${name}, which the experiment does not have`);
  return item;
}
