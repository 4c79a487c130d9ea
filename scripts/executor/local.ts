// Runs starts on this machine: launches the engine, drives its trials, survives its death, stops it.
// Yields what happens as it happens; who stores it is the pipeline's business.
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
import { isoWithOffset } from "../units.ts";
import { longestRequestTokens } from "../workload/prompts.ts";
import { findTokenizer, type PromptTokenizer } from "../workload/tokenizer.ts";
import type { StartEvent } from "./start-events.ts";
import { runTrial, type TrialContext } from "./trial.ts";

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
  readonly gpus: TrialContext["gpus"];
}

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
    for (const text of reused ? [] : (engine.notes ?? []))
      yield { kind: "note", note: "engine", text: `${variant.name}: ${text}` };
    if (!reused) {
      yield {
        kind: "snapshot",
        trial: undefined,
        scope: "start",
        snapshot: await options.snapshot(variant, engine, false),
      };
    }
    const alive = engine;
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
        yield* runTrial(trial, {
          experiment,
          point: found(options.points, trial.point),
          workload: found(experiment.workloads, trial.workload),
          engine: alive,
          tokenizer: await tokenizerOf(variant, alive),
          promptSalt: promptSalt(variant),
          gpus: options.gpus,
          snapshot: () => options.snapshot(variant, alive, true),
          stop: AbortSignal.any([signal, death.signal]),
          death: death.signal,
        });
        if (death.signal.aborted) {
          kept.delete(variant.name);
          yield* stopped(variant, await engine.stop());
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
        yield* stopped(variant, await engine.stop());
        kept.delete(variant.name);
        yield { kind: "ended", at: wallClock(), reason: "stopped", detail: undefined };
      }
      return { left: [], died: false };
    } finally {
      // Also when the consumer gives up, and when something unforeseen is thrown.
      if (!finished || signal.aborted || death.signal.aborted) await engine.stop();
    }
  }

  /** Says what an engine left behind that could not be taken away. */
  function* stopped({ name }: Variant, leftBehind: readonly string[]): Generator<StartEvent> {
    for (const what of leftBehind)
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
    const tokenizer = await findTokenizer(variant, options.projectRoot, (body) =>
      probeJson(`${endpoint.baseUrl}/tokenize`, {
        headers: endpoint.headers,
        // As the server knows it, which may be another name than the variant's model.
        body: { ...body, model: endpoint.model },
      }),
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
