// From one server-sent event to what it means for a measurement: output, end, usage, error. The one
// place that knows the shapes of OpenAI-compatible servers; called apart from the time stamps, so
// that parsing may move to after the trial.
import type { Usage } from "./request-record.ts";
import type { SseEvent } from "./sse.ts";

export type StreamEvent =
  /** A keep-alive, or data that says nothing. */
  | { readonly kind: "nothing" }
  | {
      readonly kind: "chunk";
      /** Text, reasoning and tool-call arguments; empty where there is none: a role alone is not output. */
      readonly output: string;
      readonly finishReason: string | undefined;
      /** The sum so far, not an increment: the last one of a stream counts. */
      readonly usage: Usage | undefined;
    }
  | { readonly kind: "done" }
  | { readonly kind: "error"; readonly message: string }
  | { readonly kind: "malformed"; readonly message: string };

const nothing: StreamEvent = { kind: "nothing" };
const done: StreamEvent = { kind: "done" };
const doneMark = Buffer.from("[DONE]");

/**
 * What one event of a completion stream means. Knows the shapes of vLLM (nested errors, and the flat
 * `object: "error"` of older releases), SGLang, llama.cpp (`error:` field), Groq (`event: error`) and
 * of the servers that only resemble them. JSON that does not parse is `malformed`; an object that
 * says nothing we know is a chunk without output.
 */
export function readStreamEvent(event: SseEvent): StreamEvent {
  if (event.error !== undefined) return { kind: "error", message: event.error.toString("utf8") };
  if (event.data === undefined || event.data.length === 0) return nothing;
  if (event.data.equals(doneMark)) return done;
  const text = event.data.toString("utf8");
  if (text.trim() === "[DONE]") return done;
  if (text.trim() === "") return nothing;

  const value = parseJson(text);
  if (event.type === "error") return { kind: "error", message: errorMessage(value) ?? text };
  if (!isObject(value)) return { kind: "malformed", message: excerpt(text) };
  if (value["error"] !== undefined && value["error"] !== null) {
    return { kind: "error", message: errorMessage(value["error"]) ?? text };
  }
  if (value["object"] === "error") return { kind: "error", message: errorMessage(value) ?? text };
  return readChunk(value);
}

function readChunk(value: JsonObject): StreamEvent {
  let output = "";
  let finishReason: string | undefined;
  let usage = readUsage(value["usage"]);
  for (const choice of objectsIn(value["choices"])) {
    output += outputOf(choice);
    const reason = choice["finish_reason"];
    if (typeof reason === "string" && reason !== "") finishReason = reason;
    usage ??= readUsage(choice["usage"]);
  }
  if (finishReason === "error" || finishReason === "abort") {
    return { kind: "error", message: `the server gave the finish reason "${finishReason}"` };
  }
  return { kind: "chunk", output, finishReason, usage };
}

function outputOf(choice: JsonObject): string {
  const delta = choice["delta"];
  if (!isObject(delta)) return textOf(choice["text"]);
  return (
    textOf(choice["text"]) +
    textOf(delta["content"]) +
    // One of the two names; a server that sends both sends the same under each.
    (textOf(delta["reasoning"]) || textOf(delta["reasoning_content"])) +
    objectsIn(delta["tool_calls"])
      .map(({ function: call }) => (isObject(call) ? textOf(call["arguments"]) : ""))
      .join("")
  );
}

/** Cached tokens stand in three places: OpenAI and vLLM, Moonshot, DeepSeek. */
function readUsage(value: unknown): Usage | undefined {
  if (!isObject(value)) return undefined;
  const details = value["prompt_tokens_details"];
  return {
    promptTokens: countOf(value["prompt_tokens"]),
    completionTokens: countOf(value["completion_tokens"]),
    cachedTokens:
      (isObject(details) ? countOf(details["cached_tokens"]) : undefined) ??
      countOf(value["cached_tokens"]) ??
      countOf(value["prompt_cache_hit_tokens"]),
  };
}

function errorMessage(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (!isObject(value)) return undefined;
  const nested = value["error"];
  if (isObject(nested) || typeof nested === "string") return errorMessage(nested);
  const message = value["message"];
  return typeof message === "string" ? message : JSON.stringify(value);
}

type JsonObject = Readonly<Record<string, unknown>>;

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function objectsIn(value: unknown): readonly JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function countOf(value: unknown): number | undefined {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 ? value : undefined;
}

function excerpt(text: string): string {
  return text.length <= 200 ? text : `${text.slice(0, 200)}...`;
}
