// Runs the starts of a plan one after another and appends everything that happens to the store, as
// it happens. What was appended is safe whatever comes next.
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { processStartedAt } from "../environment/process.ts";
import type { Round, Trial } from "../experiment/plan.ts";
import type { Progress, TrialStep } from "../report/progress.ts";
import { quantile7, sortAscending } from "../stats/quantiles.ts";
import { requestMetrics } from "../stats/request-metrics.ts";
import type { TrialSamples } from "../stats/samples.ts";
import { throughputWindow, type Window, windowTokensOf } from "../stats/window.ts";
import type { Store } from "../store/store.ts";
import type { AttemptKey } from "../store/stored-run.ts";
import { formatNumber, isoWithOffset } from "../units.ts";
import type { LocalExecutor } from "./local.ts";
import { logPathOf } from "./log-path.ts";
import type { RoundsOnDemand } from "./rounds-on-demand.ts";
import type { StartEvent } from "./start-events.ts";

export interface MeasureOptions {
  readonly run: string;
  readonly leg: number;
  /** The rounds that are to be measured now: all of them, or what a resumed run still lacks. */
  readonly rounds: readonly Round[];
  readonly roundsInAll: number;
  /** Ends the rounds early; absent: all of them are measured. */
  readonly onDemand?: RoundsOnDemand | undefined;
  /** Rounds that are measured in any case, where the others are on demand. */
  readonly roundsForSure?: number | undefined;
  readonly logFolder: string;
  readonly signal: AbortSignal;
}

export interface MeasureOutcome {
  readonly measured: number;
  /** Trials of this leg that were not measured, with the reason. */
  readonly failed: readonly {
    readonly point: string;
    readonly round: number;
    readonly reason: string;
  }[];
}

/** After so many starts in a row that never became ready, a variant is given up for this run. */
const hopelessStarts = 2;

/** Measures the given rounds. Ends early when the signal is aborted. */
export async function measure(
  options: MeasureOptions,
  executor: LocalExecutor,
  store: Store,
  progress: Progress,
): Promise<MeasureOutcome> {
  const failed: MeasureOutcome["failed"][number][] = [];
  const neverReady = new Map<string, number>();
  const openStarts = new Map<string, OpenStart>();
  let measured = 0;
  const isInterrupted = (): boolean => options.signal.aborted;

  const lastStarts = new Map(
    options.rounds.flatMap(({ starts }) => starts).map((planned) => [planned.variant, planned]),
  );
  /** Engines that were kept beyond what is to come are stopped, and their starts ended. */
  const endOpen = (variant: string, died: string | undefined): void => {
    const open = openStarts.get(variant);
    if (open === undefined) return;
    openStarts.delete(variant);
    store.endStart(options.run, open.start, {
      at: isoWithOffset(Date.now()),
      reason: died !== undefined ? "died" : open.attached ? "detached" : "stopped",
      detail: died,
      logDigest: digestOf(open.logPath),
    });
  };
  const givenUp = (): ReadonlySet<string> =>
    new Set([...neverReady].flatMap(([name, count]) => (count >= hopelessStarts ? name : [])));
  for (const { round, starts } of options.rounds) {
    if (!isInterrupted() && options.onDemand?.isOver({ round, starts }, givenUp()) === true) {
      for (const { variant } of starts) endOpen(variant, await executor.release(variant));
      continue;
    }
    for (const planned of starts) {
      if (isInterrupted()) break;
      if ((neverReady.get(planned.variant) ?? 0) >= hopelessStarts) {
        for (const { point } of planned.trials)
          failed.push({ point, round, reason: "its engine never became ready" });
        continue;
      }
      const { variant } = planned;
      const logPath = logPathOf(options.logFolder, { variant, round, leg: options.leg });
      const recorder = createRecorder(options, store, progress, openStarts, {
        variant,
        round,
      });
      const isLast = lastStarts.get(planned.variant) === planned;
      for await (const event of executor.runStart(planned, { logPath, isLast }))
        recorder.take(event);
      measured += recorder.measured();
      neverReady.set(
        planned.variant,
        recorder.wasReady() ? 0 : (neverReady.get(planned.variant) ?? 0) + 1,
      );
      const unmeasured = planned.trials.filter(({ id }) => !recorder.hasMeasured(id));
      if (isInterrupted()) break;
      for (const { id, point } of unmeasured)
        failed.push({ point, round, reason: recorder.reasonOf(id) });
    }
  }
  if (!isInterrupted()) options.onDemand?.finish(givenUp());
  const died = await executor.close();
  for (const variant of [...openStarts.keys()]) endOpen(variant, died.get(variant));
  return { measured, failed };
}

interface OpenStart {
  readonly start: number;
  readonly attached: boolean;
  readonly logPath: string | undefined;
}

interface Recorder {
  take(event: StartEvent): void;
  measured(): number;
  hasMeasured(trial: string): boolean;
  reasonOf(trial: string): string;
  wasReady(): boolean;
}

/** Turns the events of one start into rows of the store and lines of progress. */
function createRecorder(
  { run, leg, roundsInAll, roundsForSure }: MeasureOptions,
  store: Store,
  progress: Progress,
  /** Engines that live on after their start, by variant. */
  openStarts: Map<string, OpenStart>,
  life: { readonly variant: string; readonly round: number },
): Recorder {
  /** Of the engine that was kept, until another is launched. */
  const open = openStarts.get(life.variant);
  let start = open?.start;
  let logPath = open?.logPath;
  let attached = open?.attached ?? false;
  let ready = false;
  let died: string | undefined;
  let attempt: AttemptKey | undefined;
  const measuredTrials = new Set<string>();
  const reasons = new Map<string, string>();

  const startNumber = (): number => {
    if (start === undefined) throw new Error("a trial came before its start");
    return start;
  };
  const attemptKey = (): AttemptKey => {
    if (attempt === undefined) throw new Error("a record came before its trial");
    return attempt;
  };
  const stepOf = ({ point, round }: Trial): TrialStep => ({
    point,
    round,
    rounds: roundsInAll,
    roundsForSure,
  });

  const take = (event: StartEvent): void => {
    switch (event.kind) {
      case "launching":
        start = store.beginStart(run, {
          leg,
          variant: life.variant,
          round: life.round,
          startedAt: event.at,
          restartOf: event.restart ? start : undefined,
        });
        logPath = undefined;
        attached = false;
        if (event.restart)
          progress.say(`${life.variant}: starting the engine again for the points that are left`);
        return;
      case "ready": {
        ready = true;
        const { engine, at } = event;
        ({ logPath } = engine);
        attached = engine.pid === undefined;
        if (event.reused) return;
        store.startReady(run, startNumber(), {
          at,
          startupMs: engine.startupMs,
          facts: engine.facts,
          pid: engine.pid,
          pidStartedAt: engine.pid === undefined ? undefined : processStartedAt(engine.pid),
          logPath: engine.logPath,
        });
        return;
      }
      case "snapshot":
        store.appendSnapshot(
          run,
          {
            leg,
            scope: event.scope,
            start: startNumber(),
            trial: event.trial?.id,
            attempt: event.scope === "trial-after" ? attemptKey().attempt : undefined,
          },
          event.snapshot,
        );
        return;
      case "trial-began": {
        const { trial, at, warmupRequests, measured, cacheReset } = event;
        attempt = store.beginTrial(run, {
          trial,
          start: startNumber(),
          startedAt: at,
          plannedConcurrency:
            trial.load.kind === "concurrency" ? trial.load.concurrency : undefined,
          warmupRequests,
          measured,
          cacheReset,
        });
        progress.trialBegan(stepOf(trial));
        return;
      }
      case "request":
        store.appendRequest(
          attemptKey(),
          event.record,
          event.countedOutputTokens === undefined
            ? undefined
            : {
                source: "tokenizer",
                outputTokens: event.countedOutputTokens,
                inputTokens: event.record.plannedInputTokens,
              },
        );
        return;
      case "reading":
        store.appendReading(attemptKey(), event.reading);
        return;
      case "gpu-reading":
        store.appendGpuReading(attemptKey(), event.reading);
        return;
      case "progress": {
        const { measuredDone, measuredTotal, inFlight } = event.progress;
        progress.trialMoved(measuredDone, measuredTotal, inFlight);
        return;
      }
      case "note":
        store.appendNote(run, {
          at: isoWithOffset(Date.now()),
          leg,
          kind: event.note,
          text: event.text,
        });
        progress.say(event.text);
        return;
      case "trial-ended": {
        const { trial, status, reason, summary, watches } = event;
        const key = attemptKey();
        store.flush();
        const samples = store.samplesOfAttempt(key);
        const window = status === "measured" ? throughputWindow(samples) : undefined;
        store.endTrial(key, {
          summary,
          status,
          reason,
          watches,
          window: window && { startMs: window.fromMs, endMs: window.toMs },
          windowTokens: window === undefined ? [] : tokensInside(samples, window),
        });
        if (status === "measured") measuredTrials.add(trial.id);
        else reasons.set(trial.id, reason ?? status);
        progress.trialEnded(
          stepOf(trial),
          status === "measured" ? liveResult(samples) : `${status}: ${reason ?? ""}`,
        );
        return;
      }
      case "ended":
        if (start === undefined) return;
        if (event.reason === "kept") {
          openStarts.set(life.variant, { start, attached, logPath });
          return;
        }
        openStarts.delete(life.variant);
        if (event.reason !== "stopped") {
          died = event.detail?.split("\n")[0];
          progress.say(`${life.variant}: ${event.detail ?? event.reason}`);
        }
        store.endStart(run, start, {
          at: event.at,
          reason: event.reason === "stopped" && attached ? "detached" : event.reason,
          detail: event.detail,
          logDigest: digestOf(logPath),
        });
    }
  };
  return {
    take,
    measured: () => measuredTrials.size,
    hasMeasured: (trial) => measuredTrials.has(trial),
    reasonOf: (trial) => reasons.get(trial) ?? died ?? "not measured",
    wasReady: () => ready,
  };
}

/** Each request's output tokens in the window, one at a time: a long trial has many. */
function* tokensInside(
  { requests }: TrialSamples,
  window: Window,
): Generator<readonly [index: number, tokens: number]> {
  for (const request of requests) yield [request.index, windowTokensOf(request, window)];
}

/** A few words for the line of a trial; the record says it with intervals. */
function liveResult({ requests }: TrialSamples): string {
  const cohort = requests.filter(({ phase }) => phase === "measured");
  const completed = cohort.filter(({ status }) => status === "completed");
  const ttfts = completed.flatMap((request) => requestMetrics(request).ttftMs ?? []);
  const p50Ms = quantile7(sortAscending(ttfts), 0.5);
  const failures = cohort.length - completed.length;
  return [
    `${completed.length} requests`,
    ...(p50Ms === undefined ? [] : [`TTFT p50 ${formatNumber(p50Ms, 1)} ms`]),
    ...(failures === 0 ? [] : [`${failures} failed`]),
  ].join(", ");
}

function digestOf(path: string | undefined): string | undefined {
  if (path === undefined || !existsSync(path)) return undefined;
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}
