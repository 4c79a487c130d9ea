// One request from the socket to its record: stamps, then understands, what arrives. Every way in
// which a request can end is decided here, in `outcomeOf`.
import { formatDuration } from "../units.ts";
import type { PreparedRequest } from "../workload/requests.ts";
import { type CompletionListener, CompletionStream } from "./completion-stream.ts";
import type { EventShapes } from "./event-shapes.ts";
import type { ResponseHead } from "./http1.ts";
import type { RequestPhase, RequestRecord, Usage } from "./request-record.ts";
import type { StreamEvent } from "./stream-events.ts";
import type { Exchange, Read } from "./wire.ts";

/** A request on its way: what to send, and its place in the load. */
export interface OutgoingRequest {
  readonly index: number;
  readonly phase: RequestPhase;
  readonly dueAtMs: number;
  readonly prepared: PreparedRequest;
}

export interface FlightLimits {
  /** Longest from sent to end. */
  readonly requestMs: number;
  /** Longest silence after the first output; before it, silence is queueing and prefill. */
  readonly stallMs: number;
}

export interface FlightContext {
  readonly limits: FlightLimits;
  /** Milliseconds since the trial's zero. */
  readonly sinceZero: () => number;
  /** The wire's, which changes before each call. */
  readonly read: Read;
  readonly shapes: EventShapes;
  readonly memory: FlightMemory;
  /** Takes secrets out of what a server said. */
  readonly redact: (text: string) => string;
  readonly onEnd: (record: RequestRecord) => void;
}

/** Arrays that went through a flight serve the next one. */
export interface FlightMemory {
  takeTimes(length: number): Float64Array;
  takeText(): Uint8Array;
  giveBack(times: Float64Array, text: Uint8Array): void;
}

type Ending =
  | { readonly kind: "closed" }
  | { readonly kind: "broken"; readonly cause: string }
  | { readonly kind: "timedOut"; readonly cause: string }
  | { readonly kind: "cancelled"; readonly cause: string };

type Outcome =
  | { readonly status: "completed" }
  | { readonly status: "rejected"; readonly httpStatus: number; readonly body: string }
  | { readonly status: "truncated" | "timedOut" | "failed" | "cancelled"; readonly cause: string };

/** 2,000 characters of UTF-8 need no more. */
const rejectedBodyBytes = 8000;
const recordedCharacters = 2000;
const noUsage: Usage = {
  promptTokens: undefined,
  completionTokens: undefined,
  cachedTokens: undefined,
};

/** A request's life; hand it to a wire as its exchange. Calls `onEnd` exactly once. */
export class Flight implements Exchange, CompletionListener {
  readonly request: OutgoingRequest;
  /** Gives the exchange up; set by who sends it. */
  abandon: () => void = () => undefined;
  readonly #context: FlightContext;
  readonly #read: Read;
  readonly #handedOverAtMs: number;
  readonly #stream: CompletionStream;
  #ended = false;

  #sentAtMs: number | undefined;
  #headersAtMs: number | undefined;
  #lastReadAtMs = 0;
  #chunksAtMs: Float64Array;
  #chunkCount = 0;
  #coalesced = 0;
  #outputReadNumber = -1;

  #rejection: { readonly httpStatus: number; readonly headers: string; bytes: Buffer } | undefined;
  #usage = noUsage;
  #finishReason: string | undefined;
  #done = false;
  #fault: string | undefined;
  #cutInEvent = false;

  constructor(request: OutgoingRequest, context: FlightContext) {
    this.request = request;
    this.#context = context;
    this.#read = context.read;
    this.#handedOverAtMs = context.sinceZero();
    this.#chunksAtMs = context.memory.takeTimes(request.prepared.outputTokens + 2);
    this.#stream = new CompletionStream(this, context.shapes, context.memory.takeText());
  }

  onSend(): void {
    this.#sentAtMs = this.#context.sinceZero();
  }

  onHead({ status, contentType = "none", location }: ResponseHead): void {
    this.#headersAtMs = this.#read.atMs;
    if (status === 200 && /^\s*text\/event-stream\s*(;|$)/i.test(contentType)) return;
    const facts = location === undefined ? "" : `, location ${location}`;
    this.#rejection = {
      httpStatus: status,
      headers: `(empty body, content-type ${contentType}${facts})`,
      bytes: Buffer.alloc(0),
    };
  }

  onBody(bytes: Buffer, from: number, to: number): void {
    if (this.#ended) return;
    this.#lastReadAtMs = this.#read.atMs;
    if (this.#rejection === undefined) this.#stream.read(bytes, from, to);
    else this.#keepRejected(this.#rejection, bytes.subarray(from, to));
  }

  onEnd(): void {
    if (this.#rejection === undefined && !this.#ended) this.#stream.end();
    this.#end({ kind: "closed" });
  }

  onBroken(cause: string): void {
    this.#end({ kind: "broken", cause });
  }

  onChunk(hasOutput: boolean, finishReason: string | undefined): void {
    if (hasOutput) this.#stampOutput();
    if (finishReason !== undefined) this.#finishReason = finishReason;
  }

  onEvent(event: StreamEvent, closed: boolean): void {
    switch (event.kind) {
      case "nothing":
        return;
      case "done":
        this.#done = true;
        return;
      case "error":
        this.#fault ??= `error in the stream: ${event.message}`;
        return;
      case "malformed":
        // Bytes that no blank line closed were cut off; that is not the same as a server's bad JSON.
        if (closed) this.#fault ??= `malformed JSON in the stream: ${event.message}`;
        else this.#cutInEvent = true;
        return;
      case "chunk":
        this.onChunk(event.output !== "", event.finishReason);
        this.#usage = event.usage ?? this.#usage;
    }
  }

  /** Ends it as cancelled, by us, for this reason; does nothing when it has ended. */
  cancel(cause: string): void {
    this.#giveUp({ kind: "cancelled", cause });
  }

  /** Ends it when it is beyond its limits. */
  checkLimits(): void {
    const { limits, sinceZero } = this.#context;
    const now = sinceZero();
    if (now - (this.#sentAtMs ?? this.#handedOverAtMs) > limits.requestMs) {
      const cause = `no end within ${formatDuration(limits.requestMs)} (limits.request)`;
      this.#giveUp({ kind: "timedOut", cause });
    } else if (this.#chunkCount > 0 && now - this.#lastReadAtMs > limits.stallMs) {
      const cause = `silent for ${formatDuration(limits.stallMs)} after ${this.#chunkCount} chunks (limits.stall)`;
      this.#giveUp({ kind: "timedOut", cause });
    }
  }

  #stampOutput(): void {
    if (this.#chunkCount === this.#chunksAtMs.length) {
      const wider = new Float64Array(this.#chunksAtMs.length * 2);
      wider.set(this.#chunksAtMs);
      this.#chunksAtMs = wider;
    }
    this.#chunksAtMs[this.#chunkCount] = this.#read.atMs;
    this.#chunkCount += 1;
    if (this.#read.number === this.#outputReadNumber) this.#coalesced += 1;
    this.#outputReadNumber = this.#read.number;
  }

  #keepRejected(rejection: { bytes: Buffer }, chunk: Buffer): void {
    rejection.bytes = Buffer.concat([
      rejection.bytes,
      chunk.subarray(0, rejectedBodyBytes - rejection.bytes.length),
    ]);
    if (rejection.bytes.length >= rejectedBodyBytes) this.#giveUp({ kind: "closed" });
  }

  #giveUp(ending: Ending): void {
    this.#end(ending);
    this.abandon();
  }

  #end(ending: Ending): void {
    if (this.#ended) return;
    this.#ended = true;
    const { index, phase, dueAtMs, prepared } = this.request;
    const outcome = this.#outcomeOf(ending);
    const isUncounted =
      outcome.status === "completed" && this.#usage.completionTokens === undefined;
    const uncountedOutput = isUncounted ? this.#stream.output() : "";
    const chunksAtMs = this.#chunksAtMs.slice(0, this.#chunkCount);
    this.#context.memory.giveBack(this.#chunksAtMs, this.#stream.takeMemory());
    this.#context.onEnd({
      index,
      phase,
      dueAtMs,
      sentAtMs: this.#sentAtMs,
      headersAtMs: this.#headersAtMs,
      chunksAtMs,
      coalescedChunks: this.#coalesced,
      // What the server ended, ended with the read that brought the end, not when it was looked at.
      endedAtMs: ending.kind === "closed" ? this.#read.atMs : this.#context.sinceZero(),
      usage: this.#usage,
      finishReason: this.#finishReason,
      plannedInputTokens: prepared.inputTokens,
      plannedOutputTokens: prepared.outputTokens,
      promptDigest: prepared.promptDigest,
      ...(isUncounted ? { uncountedOutput } : {}),
      ...outcome,
    });
  }

  /**
   * What was seen outranks how it ended: an error event makes a request fail although `[DONE]`
   * follows it, and a connection that breaks after `[DONE]` takes nothing away.
   */
  #outcomeOf(ending: Ending): Outcome {
    if (this.#rejection !== undefined && ending.kind !== "cancelled") {
      const { httpStatus, headers, bytes } = this.#rejection;
      const body = bytes.length === 0 ? headers : bytes.toString("utf8");
      return { status: "rejected", httpStatus, body: this.#recorded(body) };
    }
    if (this.#fault !== undefined) return { status: "failed", cause: this.#recorded(this.#fault) };
    if (this.#done) return { status: "completed" };
    switch (ending.kind) {
      case "broken":
        return { status: "failed", cause: this.#recorded(ending.cause) };
      case "timedOut":
      case "cancelled":
        return { status: ending.kind, cause: ending.cause };
      case "closed":
        if (this.#cutInEvent)
          return { status: "truncated", cause: "the stream ended inside an event" };
        if (this.#finishReason !== undefined) return { status: "completed" };
        return {
          status: "truncated",
          cause: "the stream ended without a finish reason and without [DONE]",
        };
    }
  }

  /** Redacted before it is cut, so that the cut can't hide a part of a secret from the redaction. */
  #recorded(text: string): string {
    const clean = this.#context.redact(text);
    return clean.length <= recordedCharacters
      ? clean
      : clean.slice(0, recordedCharacters).replace(/[\uD800-\uDBFF]$/, "");
  }
}
