// Runs starts on this machine: launches the engine, drives its trials, survives its death, stops it.
// Yields what happens as it happens; who stores it is the pipeline's business.
import type { RunningEngine } from "../engine/engine.ts";
import { EngineStartError } from "../engine/engine.ts";
import { startEngine } from "../engine/engines.ts";
import { describeExit } from "../engine/launch.ts";
import { redactText } from "../environment/redact.ts";
import type { EnvironmentSnapshot } from "../environment/snapshot.ts";
import { UserError } from "../errors.ts";
import type { Experiment, Variant } from "../experiment/experiment.ts";
import type { PlannedStart, Point, Trial } from "../experiment/plan.ts";
import { isoWithOffset } from "../units.ts";
import { promptThreads } from "../workload/prompt-threads.ts";
import { longestRequestTokens } from "../workload/prompts.ts";
import { findTokenizer, type PromptTokenizer } from "../workload/tokenizer.ts";
import { restartLogPath } from "./log-path.ts";
import type { StartEvent } from "./start-events.ts";
import { runTrial, type TrialContext } from "./trial.ts";
import { askTokenize } from "./trial-requests.ts";

export interface LocalExecutor {
  /** Runs one start. Trials that an engine's death left over are tried once more on a restart. */
  runStart(start: PlannedStart, options: StartOptions): AsyncGenerator<StartEvent>;
  /**
   * Stops the variant's engine if it was kept: no start of it is to come after all.
   * @returns how it ended, if it died since its last start
   */
  release(variant: string): Promise<string | undefined>;
  /**
   * Stops engines that were kept.
   * @returns by variant, how those ended that had died since their last start
   */
  close(): Promise<ReadonlyMap<string, string>>;
}

interface StartOptions {
  /** Where the log of a launched engine goes. */
  readonly logPath: string;
  /** No later start of the variant is to come: a kept engine is stopped after it. */
  readonly isLast: boolean;
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
  readonly gpus: TrialContext["gpus"];
  /** Where requests go that are too large for memory. */
  readonly requestFolder: string;
  /** Client threads that drive a load. */
  readonly clientThreads: (load: Trial["load"]) => TrialContext["clientThreads"];
  readonly launch?: typeof startEngine;
}

export function createLocalExecutor(options: LocalExecutorOptions): LocalExecutor {
  const { experiment, signal, launch = startEngine } = options;
  /** Engines that wait for their variant's next start. */
  const kept = new Map<string, RunningEngine>();
  /** Kept ones that died while they waited. */
  const lost = new Map<string, { readonly engine: RunningEngine; readonly detail: string }>();
  const tokenizers = new Map<string, PromptTokenizer>();
  const makers = promptThreads();

  async function* runStart(
    start: PlannedStart,
    { logPath, isLast }: StartOptions,
  ): AsyncGenerator<StartEvent> {
    const variant = found(experiment.variants, start.variant);
    let left = start.trials;
    // A dead engine is restarted once; what is left after that is not measured.
    for (const restart of [false, true]) {
      const outcome = yield* oneLife(variant, left, { restart, isLast, logPath });
      left = outcome.left;
      if (!outcome.died || left.length === 0 || signal.aborted) return;
    }
  }

  async function* oneLife(
    variant: Variant,
    trials: readonly Trial[],
    life: { readonly restart: boolean; readonly isLast: boolean; readonly logPath: string },
  ): AsyncGenerator<StartEvent, { readonly left: readonly Trial[]; readonly died: boolean }> {
    let engine = kept.get(variant.name);
    // From here on its death is that of this life.
    kept.delete(variant.name);
    const reused = engine !== undefined;
    if (!reused) {
      yield* buried(variant);
      yield { kind: "launching", at: wallClock(), restart: life.restart };
    }
    try {
      engine ??= await launch(variant, {
        projectRoot: options.projectRoot,
        // A log of its own for each life.
        logPath: life.restart ? restartLogPath(life.logPath) : life.logPath,
        signal,
      });
      await tokenizerOf(variant, engine);
    } catch (error) {
      yield* leftBehind(variant, (await engine?.stop()) ?? []);
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
    const alive = engine;
    const death = new AbortController();
    let lastWords = "";
    const lastDetail = (): string => `${String(death.signal.reason)}\n${redactText(lastWords)}`;
    void alive.exited.then((exit) => {
      lastWords = exit.lastWords;
      death.abort(`the engine died (${describeExit(exit)})`);
      // Between its starts nobody looks: the next one says so.
      if (kept.get(variant.name) !== alive) return;
      kept.delete(variant.name);
      lost.set(variant.name, { engine: alive, detail: lastDetail() });
    });
    let lives = false;
    try {
      const tooLong = tooLongFor(alive, trials);
      if (tooLong !== undefined) {
        yield* leftBehind(variant, await alive.stop());
        yield { kind: "ended", at: wallClock(), reason: "never_ready", detail: tooLong };
        return { left: trials, died: false };
      }
      yield { kind: "ready", at: wallClock(), engine: alive, reused };
      if (!reused) yield* firstLook(variant, alive);
      for (const [position, trial] of trials.entries()) {
        if (signal.aborted) break;
        const began = yield* runTrial(trial, {
          experiment,
          point: found(options.points, trial.point),
          workload: found(experiment.workloads, trial.workload),
          engine: alive,
          tokenizer: await tokenizerOf(variant, alive),
          promptSalt: promptSalt(variant),
          projectRoot: options.projectRoot,
          folder: options.requestFolder,
          promptThreads: makers,
          clientThreads: options.clientThreads(trial.load),
          gpus: options.gpus,
          snapshot: () => options.snapshot(variant, alive, true),
          stop: AbortSignal.any([signal, death.signal]),
          death: death.signal,
        });
        if (death.signal.aborted) {
          yield* leftBehind(variant, await alive.stop());
          yield { kind: "ended", at: wallClock(), reason: "died", detail: lastDetail() };
          return { left: trials.slice(began ? position + 1 : position), died: true };
        }
      }
      const isExternal = variant.engine.kind === "external";
      lives = !signal.aborted && (isExternal || (experiment.measure.keep && !life.isLast));
      if (lives) {
        kept.set(variant.name, alive);
        yield { kind: "ended", at: wallClock(), reason: "kept", detail: undefined };
      } else {
        yield* leftBehind(variant, await alive.stop());
        yield { kind: "ended", at: wallClock(), reason: "stopped", detail: undefined };
      }
      return { left: [], died: false };
    } finally {
      // Also when the consumer gives up, and when something unforeseen is thrown.
      if (!lives) await alive.stop();
    }
  }

  /** The end of an engine that was kept and died before anybody needed it again. */
  async function* buried(variant: Variant): AsyncGenerator<StartEvent, void> {
    const dead = lost.get(variant.name);
    if (dead === undefined) return;
    lost.delete(variant.name);
    yield* leftBehind(variant, await dead.engine.stop());
    yield { kind: "ended", at: wallClock(), reason: "died", detail: dead.detail };
  }

  /** What is to be known of an engine once it answers, before its first trial. */
  async function* firstLook(
    variant: Variant,
    engine: RunningEngine,
  ): AsyncGenerator<StartEvent, void> {
    for (const text of engine.notes ?? [])
      yield { kind: "note", note: "engine", text: `${variant.name}: ${text}` };
    const snapshot = await options.snapshot(variant, engine, false);
    yield { kind: "snapshot", trial: undefined, scope: "start", snapshot };
  }

  /** Says what an engine left behind that could not be taken away. */
  function* leftBehind({ name }: Variant, remains: readonly string[]): Generator<StartEvent> {
    for (const what of remains)
      yield { kind: "note", note: "left-behind", text: `${name}: ${what}` };
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
    const tokenizer = await findTokenizer(variant, options.projectRoot, askTokenize(endpoint));
    tokenizers.set(variant.name, tokenizer);
    return tokenizer;
  }

  return {
    runStart,
    release: async (variant) => {
      const dead = lost.get(variant);
      const engine = kept.get(variant) ?? dead?.engine;
      // From here on its end is no death.
      kept.delete(variant);
      lost.delete(variant);
      await engine?.stop();
      return dead?.detail;
    },
    close: async () => {
      const living = [...kept.values()];
      // From here on their end is no death.
      kept.clear();
      const dead = [...lost];
      await Promise.all([
        makers.close(),
        ...[...living, ...dead.map(([, { engine }]) => engine)].map((engine) => engine.stop()),
      ]);
      return new Map(dead.map(([variant, { detail }]) => [variant, detail]));
    },
  };
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
