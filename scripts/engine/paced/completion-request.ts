// A request's JSON to what the paced server needs of it.
import { createHash } from "node:crypto";

export interface CompletionRequest {
  readonly model: string;
  readonly isChat: boolean;
  /** undefined: the request does not say how many. */
  readonly maxTokens: number | undefined;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  /** In the body; undefined: it names none. */
  readonly requestId: string | undefined;
  /** The text that the digest of a request is made of. */
  readonly prompt: string;
}

/**
 * Reads what is known by name and type, and takes the rest as not said: at a thousand requests at once
 * a validator would take longer than all else that this server does for them.
 * @throws where it is no JSON object
 */
export function readCompletionRequest(text: string, path: string): CompletionRequest {
  const asked = fieldsOf(JSON.parse(text));
  if (asked === undefined) throw new Error("the body is no JSON object");
  const { prompt = lastContent(asked["messages"]), model, stream } = asked;
  const options = fieldsOf(asked["stream_options"]);
  const maxTokens = asked["max_completion_tokens"] ?? asked["max_tokens"];
  const requestId = asked["request_id"];
  return {
    model: typeof model === "string" ? model : "paced",
    isChat: path.includes("/chat/"),
    maxTokens: typeof maxTokens === "number" ? maxTokens : undefined,
    stream: stream === true,
    includeUsage: options?.["include_usage"] === true,
    requestId: typeof requestId === "string" ? requestId : undefined,
    prompt: textOf(prompt),
  };
}

/** What a `/tokenize` request asks about: its prompt, or the contents of its messages. */
export function readTokenizeText(text: string): string {
  const asked = fieldsOf(JSON.parse(text));
  if (typeof asked?.["prompt"] === "string") return asked["prompt"];
  const messages: unknown = asked?.["messages"];
  return Array.isArray(messages)
    ? messages.map((message) => textOf(fieldsOf(message)?.["content"])).join(" ")
    : "";
}

/** A prompt may be a list of token ids, a content a list of parts. */
function textOf(content: unknown): string {
  return typeof content === "string" ? content : JSON.stringify(content ?? "");
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === "object" && value !== null
    ? Object.fromEntries(Object.entries(value))
    : undefined;
}

function lastContent(messages: unknown): unknown {
  return Array.isArray(messages) ? fieldsOf(messages.at(-1))?.["content"] : undefined;
}

/** First 16 hex of the sha256 of a prompt: what a record of ours calls it too. */
export function digestOf(prompt: string): string {
  return createHash("sha256").update(prompt).digest("hex").slice(0, 16);
}

/** Words, which are this server's tokens; without a list of them, since prompts may be long. */
export function countWords(text: string): number {
  let words = 0;
  let wasSpace = true;
  for (let index = 0; index < text.length; index += 1) {
    const isSpace = text.charCodeAt(index) <= 32;
    if (wasSpace && !isSpace) words += 1;
    wasSpace = isSpace;
  }
  return words;
}
