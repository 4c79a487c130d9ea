// The life of an engine as the rest of benchbook sees it: where it answers, what it is, how it ended.

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
  /** sha256 of the canonical JSON of `config`. */
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
  /** Polite, then firm; leaves no process behind. Does nothing for one that we attached to. */
  stop(): Promise<void>;
}
