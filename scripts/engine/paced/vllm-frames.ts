// The bytes that vLLM's server would send, made once and written as often as needed: response heads,
// events of a completion stream in frames of the chunked encoding.

/** What a stream is, as far as its events show it. */
export interface StreamForm {
  readonly isChat: boolean;
  readonly model: string;
  /** Tokens in one chunk. */
  readonly tokensPerChunk: number;
}

/** Frames of one kind of stream. */
export interface StreamFrames {
  /** The first chunk; a chat stream names the role before it. */
  readonly first: Buffer;
  readonly middle: Buffer;
  /** So many of `middle` in one block, for a flood. */
  readonly block: Buffer;
  /** The last chunk, with its finish reason, and this many tokens; `isFirst` when it is the only one. */
  last(tokens: number, isFirst: boolean): Buffer;
  /** Usage, where it is asked for, `[DONE]`, and the end of the response. */
  end(usage: { readonly promptTokens: number; readonly tokens: number } | undefined): Buffer;
}

/** Chunks in one write of a flood. */
export const chunksPerBlock = 256;

export const streamHead = Buffer.from(
  "HTTP/1.1 200 OK\r\nserver: uvicorn\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n",
);

/** A whole response of another kind. */
export function plainResponse(status: string, contentType: string, text: string): Buffer {
  const body = Buffer.from(text);
  const head = `HTTP/1.1 ${status}\r\nserver: uvicorn\r\ncontent-type: ${contentType}\r\ncontent-length: ${body.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), body]);
}

/** The frames of a form of stream; made once for each. */
export function makeFrames({ isChat, model, tokensPerChunk }: StreamForm): StreamFrames {
  const common = {
    id: isChat
      ? "chatcmpl-6f1c0d5e3b9a4c27b1e0a8d94f2c7b63"
      : "cmpl-6f1c0d5e3b9a4c27b1e0a8d94f2c7b63",
    object: isChat ? "chat.completion.chunk" : "text_completion",
    created: 1_764_000_000,
    model,
  };
  const chunk = (tokens: number, finishReason: string | null): Buffer => {
    const text = " tok".repeat(tokens);
    const choice = isChat
      ? { index: 0, delta: { content: text }, logprobs: null, finish_reason: finishReason }
      : { index: 0, text, logprobs: null, finish_reason: finishReason, stop_reason: null };
    return frameOf({ ...common, choices: [choice], usage: null });
  };
  const role = isChat
    ? frameOf({
        ...common,
        choices: [{ index: 0, delta: { role: "assistant", content: "" }, finish_reason: null }],
      })
    : Buffer.alloc(0);
  const middle = chunk(tokensPerChunk, null);
  const done = Buffer.from("e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
  return {
    first: Buffer.concat([role, middle]),
    middle,
    block: Buffer.concat(Array.from({ length: chunksPerBlock }, () => middle)),
    last: (tokens, isFirst) => {
      const frame = chunk(tokens, "length");
      return isFirst ? Buffer.concat([role, frame]) : frame;
    },
    end: (usage) => {
      if (usage === undefined) return done;
      const { promptTokens, tokens } = usage;
      const event = {
        ...common,
        choices: [],
        usage: {
          prompt_tokens: promptTokens,
          total_tokens: promptTokens + tokens,
          completion_tokens: tokens,
          prompt_tokens_details: null,
        },
      };
      return Buffer.concat([frameOf(event), done]);
    },
  };
}

/** One event in one frame of the chunked encoding. */
function frameOf(event: unknown): Buffer {
  const bytes = Buffer.from(`data: ${JSON.stringify(event)}\n\n`);
  return Buffer.concat([
    Buffer.from(`${bytes.length.toString(16)}\r\n`),
    bytes,
    Buffer.from("\r\n"),
  ]);
}
