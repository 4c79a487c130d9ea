// The life of an engine as the rest of benchbook sees it: where it answers, what it is, how it ended.
// Each kind of engine is one file that offers an `EngineAdapter`, and one line in `engines.ts`.
import type { UserErrorParts } from "../errors.ts";
import type { EngineSpec, Variant } from "../experiment/experiment.ts";

/** Where requests go. */
export interface EngineEndpoint {
  /** "http://127.0.0.1:8000", no trailing slash, no /v1. */
  readonly baseUrl: string;
  /** The name to put in `model`. */
  readonly model: string;
  /** Sent with every request; holds the key when there is one. Never stored. */
  readonly headers: Readonly<Record<string, string>>;
}

/** What the engine says of itself and how it was started. undefined: it did not say. */
export interface EngineFacts {
  readonly name: string;
  readonly version: string | undefined;
  /** Exactly what was started; undefined for an engine that we only attached to. */
  readonly argv: readonly string[] | undefined;
  /** Environment variables that we set for it. */
  readonly env: Readonly<Record<string, string>>;
  /** Resolved configuration, flat: "max_num_seqs" -> 16. undefined: not disclosed. */
  readonly config: Readonly<Record<string, string | number | boolean | null>> | undefined;
  /** sha256 of the canonical JSON of `config` without paths and ports; undefined with it. */
  readonly configDigest: string | undefined;
  readonly maxModelLen: number | undefined;
  readonly maxNumSeqs: number | undefined;
}

export interface EngineExit {
  readonly exitCode: number | undefined;
  readonly signal: string | undefined;
  /** Last lines of its log, for people. */
  readonly lastWords: string;
}

export interface RunningEngine {
  readonly endpoint: EngineEndpoint;
  readonly facts: EngineFacts;
  /** Launch to ready; undefined for an engine that we only attached to. */
  readonly startupMs: number | undefined;
  readonly pid: number | undefined;
  /** Absolute path of its log; undefined for an engine that we only attached to. */
  readonly logPath: string | undefined;
  /** Resolves when the engine ended, for whatever reason; never for one that we attached to. */
  readonly exited: Promise<EngineExit>;
  /** Asks it again what it is: a server that somebody else runs may have been replaced. */
  readFacts(): Promise<EngineFacts>;
  /** Polite, then firm; leaves no process behind. Does nothing for one that we attached to. */
  stop(): Promise<void>;
}

/** A variant whose engine is of one kind. */
export type VariantOf<Spec extends EngineSpec> = Variant & { readonly engine: Spec };

export interface StartContext {
  /** Relative paths of models are resolved against it. */
  readonly projectRoot: string;
  /** Where the engine's log goes; its folder exists. */
  readonly logPath: string;
  readonly signal: AbortSignal;
}

/** What the plan will ask of the engine. */
export interface EngineDemand {
  /** Largest input + output of one request, tokens; undefined when not known before the run. */
  readonly longestRequestTokens: number | undefined;
  readonly largestConcurrency: number;
}

export interface EngineAdapter<Spec extends EngineSpec> {
  /** Everything that is wrong and can be known before anything is started. Empty: nothing. */
  check(
    variant: VariantOf<Spec>,
    demand: EngineDemand,
    context: Pick<StartContext, "projectRoot">,
  ): Promise<readonly UserErrorParts[]>;
  /**
   * Starts the engine (or attaches to it) and waits until it answers.
   * @throws EngineStartError when it never becomes ready, dies, or does not know the model
   */
  start(variant: VariantOf<Spec>, context: StartContext): Promise<RunningEngine>;
}

/** An engine that did not become ready: what happened, how to mend it, its last words. */
export class EngineStartError extends Error {
  readonly mend: string;
  readonly lastWords: string;

  constructor(what: string, mend: string, lastWords = "") {
    super(what);
    this.name = "EngineStartError";
    this.mend = mend;
    this.lastWords = lastWords;
  }
}
