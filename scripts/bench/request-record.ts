// What the client saw of one request: the raw sample from which every number is made.

export type RequestPhase = "warmup" | "measured" | "filler";

/** What the server says it used; a field it did not send is undefined. */
export interface Usage {
  readonly promptTokens: number | undefined;
  readonly completionTokens: number | undefined;
  readonly cachedTokens: number | undefined;
}

/** All `...AtMs` are float milliseconds since the trial's start, from one monotonic clock. */
interface RequestBase {
  /** Order of dispatch within the trial, from 0. */
  readonly index: number;
  readonly phase: RequestPhase;
  /** When the load wanted it sent. */
  readonly dueAtMs: number;
  /** First byte handed to the socket; undefined when no socket was had. */
  readonly sentAtMs: number | undefined;
  /** Response headers; undefined when none came. */
  readonly headersAtMs: number | undefined;
  /** Arrival of each chunk that carries output (text, reasoning, tool-call arguments), ascending. */
  readonly chunksAtMs: Float64Array;
  /** How many of those chunks arrived in the same read as the one before. */
  readonly coalescedChunks: number;
  /** Stream closed, or given up. */
  readonly endedAtMs: number;
  readonly usage: Usage;
  readonly finishReason: string | undefined;
  /** What a completed request answered, where the server did not say how many tokens it was. */
  readonly uncountedOutput?: string;
  /** Planned tokens of the prompt, by the local tokenizer; and of the answer. */
  readonly plannedInputTokens: number;
  readonly plannedOutputTokens: number;
  /** First 16 hex of the sha256 of the request's prompt. */
  readonly promptDigest: string;
}

export type RequestRecord =
  | (RequestBase & { readonly status: "completed" })
  /** HTTP 3xx, 4xx, 5xx, or a 200 that is no event stream. `body`: its first 2,000 characters, redacted. */
  | (RequestBase & {
      readonly status: "rejected";
      readonly httpStatus: number;
      readonly body: string;
    })
  /** The stream ended without a finish reason and without [DONE]. */
  | (RequestBase & { readonly status: "truncated"; readonly cause: string })
  /** Beyond the request's or the stall limit. */
  | (RequestBase & { readonly status: "timedOut"; readonly cause: string })
  /** Connection refused or reset, an error event in the stream, malformed JSON. */
  | (RequestBase & { readonly status: "failed"; readonly cause: string })
  /** By us: a filler at the end of the window, or everything on interruption. */
  | (RequestBase & { readonly status: "cancelled"; readonly cause: string });

export type RequestStatus = RequestRecord["status"];

/** A gauge reading of the engine during a trial; undefined: the engine does not offer it. */
export interface EngineReading {
  readonly atMs: number;
  readonly running: number | undefined;
  readonly waiting: number | undefined;
  /** Ratio 0..1. */
  readonly kvUsage: number | undefined;
  readonly promptTokensTotal: number | undefined;
  readonly generationTokensTotal: number | undefined;
  readonly prefixQueriesTotal: number | undefined;
  readonly prefixHitsTotal: number | undefined;
  /** Hit rate that the engine itself gives, 0..1 (vLLM V0): of its whole life or a sliding window, not of a trial. */
  readonly prefixHitRate: number | undefined;
  /** Prompt tokens that the engine took from a cache, its own or a remote one. */
  readonly promptTokensCachedTotal: number | undefined;
  /** Of those, whose KV came from another instance or store (vLLM's KV connectors): no hit of its own cache. */
  readonly promptTokensRemoteTotal?: number | undefined;
  readonly preemptionsTotal: number | undefined;
  /** Speculative decoding: drafts made, tokens in them, tokens accepted. */
  readonly draftsTotal: number | undefined;
  readonly draftTokensTotal: number | undefined;
  readonly acceptedTokensTotal: number | undefined;
}

/** How the watch of the engine's /metrics, or of the GPUs, went over a trial. */
export interface WatchEnd {
  readonly readings: number;
  /** Readings that failed; the watch went on. */
  readonly missed: number;
  /** Mean time of one reading, ms; undefined without one. */
  readonly meanCostMs: number | undefined;
  /** Why there was nothing to watch ("HTTP 404 from /metrics"); undefined: it ran to the end. */
  readonly unavailable: string | undefined;
}

/** The client's own state over the window of a trial; of several threads the busiest one's, pauses summed. */
export interface ClientReading {
  /** Threads that shared the streams. */
  readonly threads: number;
  /** Of one core; of a thread that polls, the share of the time in which it had something to do. */
  readonly cpuShare: number;
  /** Of the time: ready to run, and no core was free; absent where the host does not tell. */
  readonly cpuWaitShare?: number;
  readonly eventLoopDelayP99Ms: number;
  readonly eventLoopDelayMaxMs: number;
  readonly gcPauseTotalMs: number;
}

/** How a trial's drive ended. */
export interface DriveSummary {
  /** Wall clock of the trial's zero, ISO 8601 with offset. */
  readonly zeroAt: string;
  readonly endedAtMs: number;
  /** Monotonic against wall clock over the trial. */
  readonly clockDriftMs: number;
  readonly outcome:
    | { readonly kind: "complete" }
    | { readonly kind: "aborted"; readonly reason: string };
  readonly client: ClientReading;
}
