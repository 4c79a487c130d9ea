// One request from the socket to its record: stamps, then understands, what arrives. Every way in
// which a request can end is decided here, in `outcomeOf`.
import type { Dispatcher } from "undici";
import { messageOf, systemCodeOf } from "../errors.ts";
import { formatDuration } from "../units.ts";
import type { PreparedRequest } from "../workload/prompts.ts";
import type { RequestPhase, RequestRecord, Usage } from "./request-record.ts";
import { createSseScanner, type SseEvent } from "./sse.ts";
import { readStreamEvent } from "./stream-events.ts";

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
  /** Stamp and number of the read that brought these bytes. */
  readonly readOf: (chunk: Uint8Array) => Read;
  /** Takes secrets out of what a server said. */
  readonly redact: (text: string) => string;
  readonly onEnd: (record: RequestRecord) => void;
}

/** One read from a socket: HTTP chunks that came together share it. */
export interface Read {
  readonly number: number;
  readonly atMs: number;
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

/** A request's life; hand it to a dispatcher as its handler. Calls `onEnd` exactly once. */
export class Flight implements Dispatcher.DispatchHandler {
  readonly request: OutgoingRequest;
  readonly #context: FlightContext;
  readonly #handedOverAtMs: number;
  readonly #scanner = createSseScanner((event) => {
    this.#readEvent(event);
  });
  #controller: Dispatcher.DispatchController | undefined;
  #ended = false;

  #sentAtMs: number | undefined;
  #headersAtMs: number | undefined;
  #lastReadAtMs = 0;
  #chunksAtMs: Float64Array;
  #chunkCount = 0;
  #coalesced = 0;
  #read: Read = { number: -1, atMs: 0 };
  #outputReadNumber = -1;

  #rejection: { readonly httpStatus: number; readonly headers: string; bytes: Buffer } | undefined;
  readonly #output: string[] = [];
  #usage = noUsage;
  #finishReason: string | undefined;
  #done = false;
  #fault: string | undefined;
  #cutInEvent = false;

  constructor(request: OutgoingRequest, context: FlightContext) {
    this.request = request;
    this.#context = context;
    this.#handedOverAtMs = context.sinceZero();
    this.#chunksAtMs = new Float64Array(Math.max(16, request.prepared.outputTokens + 2));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#sentAtMs = this.#context.sinceZero();
    this.#controller = controller;
    // Given up while it waited for a connection.
    if (this.#ended) controller.abort(new Error("given up before it was sent"));
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    httpStatus: number,
    headers: Readonly<Record<string, string | string[] | undefined>>,
  ): void {
    // 1xx: the real one follows.
    if (httpStatus < 200 || this.#ended) return;
    this.#headersAtMs = this.#context.sinceZero();
    const contentType = String(headers["content-type"] ?? "none");
    if (httpStatus === 200 && /^\s*text\/event-stream\s*(;|$)/i.test(contentType)) return;
    const location = headers["location"];
    const facts = location === undefined ? "" : `, location ${String(location)}`;
    this.#rejection = {
      httpStatus,
      headers: `(empty body, content-type ${contentType}${facts})`,
      bytes: Buffer.alloc(0),
    };
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    // The stamp comes first: before any parsing.
    this.#read = this.#context.readOf(chunk);
    if (this.#ended) return;
    this.#lastReadAtMs = this.#read.atMs;
    if (this.#rejection === undefined) this.#scanner.push(chunk);
    else this.#keepRejected(this.#rejection, chunk);
  }

  onResponseEnd(): void {
    if (this.#rejection === undefined && !this.#ended) this.#scanner.end();
    this.#end({ kind: "closed" });
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#end({ kind: "broken", cause: describeFailure(error) });
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

  #readEvent(event: SseEvent): void {
    const meaning = readStreamEvent(event);
    switch (meaning.kind) {
      case "nothing":
        return;
      case "done":
        this.#done = true;
        return;
      case "error":
        this.#fault ??= `error in the stream: ${meaning.message}`;
        return;
      case "malformed":
        // Bytes that no blank line closed were cut off; that is not the same as a server's bad JSON.
        if (event.closed) this.#fault ??= `malformed JSON in the stream: ${meaning.message}`;
        else this.#cutInEvent = true;
        return;
      case "chunk":
        if (meaning.output !== "") this.#stampOutput(meaning.output);
        this.#finishReason = meaning.finishReason ?? this.#finishReason;
        this.#usage = meaning.usage ?? this.#usage;
    }
  }

  #stampOutput(text: string): void {
    this.#output.push(text);
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
    this.#controller?.abort(new Error("given up"));
  }

  #end(ending: Ending): void {
    if (this.#ended) return;
    this.#ended = true;
    const { index, phase, dueAtMs, prepared } = this.request;
    const outcome = this.#outcomeOf(ending);
    const uncounted = outcome.status === "completed" && this.#usage.completionTokens === undefined;
    this.#context.onEnd({
      index,
      phase,
      dueAtMs,
      sentAtMs: this.#sentAtMs,
      headersAtMs: this.#headersAtMs,
      chunksAtMs: this.#chunksAtMs.slice(0, this.#chunkCount),
      coalescedChunks: this.#coalesced,
      endedAtMs: this.#context.sinceZero(),
      usage: this.#usage,
      finishReason: this.#finishReason,
      plannedInputTokens: prepared.inputTokens,
      plannedOutputTokens: prepared.outputTokens,
      promptDigest: prepared.promptDigest,
      ...(uncounted ? { uncountedOutput: this.#output.join("") } : {}),
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

/** "ECONNREFUSED: connect ECONNREFUSED 127.0.0.1:9"; undici hides the cause of some errors one level down. */
function describeFailure(error: Error): string {
  const inner = error instanceof AggregateError ? (error.errors[0] as unknown) : error.cause;
  const code = systemCodeOf(error) ?? systemCodeOf(inner);
  const message = messageOf(error) || messageOf(inner);
  return code === undefined || message.includes(code) ? message : `${code}: ${message}`;
}
