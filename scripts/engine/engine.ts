// The life of an engine as the rest of benchbook sees it: where it answers, what it is, how it ended.
// Each kind of engine is one file that offers an `EngineAdapter`, and one line in `engines.ts`.
import type { UserErrorParts } from "../errors.ts";
import type { EngineSpec, Variant, Workload } from "../experiment/experiment.ts";

/** Where requests go. */
export interface EngineEndpoint {
  /** "http://127.0.0.1:8000", no trailing slash, no /v1. */
  readonly baseUrl: string;
  /** The name to put in `model`. */
  readonly model: string;
  /** Sent with every request; holds the key when there is one. Never stored. */
  readonly headers: Readonly<Record<string, string>>;
  /** Where completions are asked for below `baseUrl`, where not at `usualPaths`; a query may follow. */
  readonly paths?: Readonly<Record<Workload["endpoint"], string>>;
}

/** Where every OpenAI-compatible server but some gateways answers. */
export const usualPaths: Readonly<Record<Workload["endpoint"], string>> = {
  completions: "/v1/completions",
  chat: "/v1/chat/completions",
};

/** A value of an engine's configuration. */
export type Setting = string | number | boolean | null;

/**
 * The settings that decide a measurement, under one name each, whatever the engine and its version
 * call them. undefined: it did not say.
 */
export interface EngineSettings {
  /** "bfloat16", "float16", "float32". */
  readonly dtype: string | undefined;
  /** "fp8", "compressed-tensors", "awq_marlin"; "none" when it says that there is none. */
  readonly quantization: string | undefined;
  /** "auto", "fp8". */
  readonly kvCacheDtype: string | undefined;
  readonly attentionBackend: string | undefined;
  /** "none", "full", "piecewise", "full_and_piecewise". */
  readonly cudaGraphs: string | undefined;
  readonly enforceEager: boolean | undefined;
  readonly chunkedPrefill: boolean | undefined;
  readonly prefixCaching: boolean | undefined;
  /** Tokens of one block of the KV cache. */
  readonly blockSize: number | undefined;
  /** Tokens that the KV cache holds in all. */
  readonly kvCacheTokens: number | undefined;
  readonly maxNumBatchedTokens: number | undefined;
  readonly tensorParallel: number | undefined;
  readonly pipelineParallel: number | undefined;
  readonly dataParallel: number | undefined;
  /** Share of GPU memory, 0..1. */
  readonly gpuMemoryUtilization: number | undefined;
  /** Speculative decoding in the engine's words ("ngram, 5 tokens"); "none" when it says that there is none. */
  readonly speculative: string | undefined;
  /** "dummy": the weights are random. */
  readonly loadFormat: string | undefined;
}

/** Of an engine that says nothing of itself. */
export const undisclosedSettings: EngineSettings = {
  dtype: undefined,
  quantization: undefined,
  kvCacheDtype: undefined,
  attentionBackend: undefined,
  cudaGraphs: undefined,
  enforceEager: undefined,
  chunkedPrefill: undefined,
  prefixCaching: undefined,
  blockSize: undefined,
  kvCacheTokens: undefined,
  maxNumBatchedTokens: undefined,
  tensorParallel: undefined,
  pipelineParallel: undefined,
  dataParallel: undefined,
  gpuMemoryUtilization: undefined,
  speculative: undefined,
  loadFormat: undefined,
};

/** The container that an engine runs in. */
export interface ContainerFacts {
  /** "docker" or "podman", with its version where it says. */
  readonly runtime: string;
  readonly name: string;
  readonly image: string;
  /** "sha256:..." of the image that really runs; undefined: the runtime did not say. */
  readonly digest: string | undefined;
}

/** What the engine says of itself and how it was started. undefined: it did not say. */
export interface EngineFacts {
  readonly name: string;
  readonly version: string | undefined;
  /** Exactly what was started; undefined for an engine that we only attached to. */
  readonly argv: readonly string[] | undefined;
  /** Environment variables that we set for it, and inherited ones that it reads. */
  readonly env: Readonly<Record<string, string>>;
  /** Resolved configuration, flat: "max_num_seqs" -> 16. undefined: not disclosed. */
  readonly config: Readonly<Record<string, Setting>> | undefined;
  /** sha256 of the canonical JSON of `config` without paths and ports; undefined with it. */
  readonly configDigest: string | undefined;
  readonly maxModelLen: number | undefined;
  readonly maxNumSeqs: number | undefined;
  readonly settings: EngineSettings;
  /** Arguments that differ from the engine's defaults, as it printed them; undefined: it did not say. */
  readonly nonDefaultArgs: Readonly<Record<string, Setting>> | undefined;
  /** undefined: it runs in no container that we know of. */
  readonly container: ContainerFacts | undefined;
}

export interface EngineExit {
  readonly exitCode: number | undefined;
  readonly signal: string | undefined;
  /** In plain words, where more is known than code and signal: which worker ended first. */
  readonly detail?: string | undefined;
  /** Last lines of its log, for people. */
  readonly lastWords: string;
}

/** How a request to empty the prefix cache ended. */
export type CacheReset = "done" | "not_offered" | "failed";

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
  /**
   * Words that run the engine's own Python, wherever it lives: its versions are asked by adding
   * "-c" and a program. undefined: it has none, or none that we can reach.
   */
  readonly interpreter: readonly string[] | undefined;
  /** What a reader of the record should know of how it was reached, in English sentences. */
  readonly notes?: readonly string[];
  /** Asks it again what it is: a server that somebody else runs may have been replaced. */
  readFacts(): Promise<EngineFacts>;
  /** Empties the prefix cache, where the engine offers it. Never throws. */
  resetPrefixCache(): Promise<CacheReset>;
  /**
   * Polite, then firm; leaves no process, container or shared memory behind. Does nothing for one
   * that we attached to.
   * @returns what could not be removed, in words for people; empty: nothing was left
   */
  stop(): Promise<readonly string[]>;
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
