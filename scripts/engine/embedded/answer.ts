// Sends one answer as it is made: every step's text as a chunk of a stream, or all of it at the end.
import type { ServerResponse } from "node:http";
import type { GenerationStep } from "./generation.ts";
import { ApiError, type GenerationRequest } from "./protocol.ts";
import { type AnswerHead, type AnswerShape, errorBody, withUsage } from "./responses.ts";
import type { PrefixUse } from "./scheduler.ts";

/** Where the steps of one generation go. */
export interface Answer {
  /** `prefix` is the same for every step of one answer. */
  add(step: GenerationStep, prefix: PrefixUse): void;
  /** The engine failed; the client is told as a server of the field would tell it. */
  fail(): void;
}

export function startAnswer(
  response: ServerResponse,
  request: Pick<GenerationRequest, "stream" | "includeUsage" | "continuousUsage">,
  shape: AnswerShape,
  head: AnswerHead,
): Answer {
  return request.stream
    ? streamedAnswer(response, request, shape, head)
    : wholeAnswer(response, shape, head);
}

/**
 * Each token is a chunk, except where its text is not complete: then the chunk after it carries both.
 * A failure in mid-stream is an `error` event and then `[DONE]`, since the status is already sent.
 */
function streamedAnswer(
  response: ServerResponse,
  request: Pick<GenerationRequest, "includeUsage" | "continuousUsage">,
  shape: AnswerShape,
  head: AnswerHead,
): Answer {
  let completionTokens = 0;
  let unsent: number[] = [];
  response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
  response.flushHeaders();

  function send(data: object): void {
    response.write(`data: ${JSON.stringify(data)}\n\n`);
  }
  function sendChunk(chunk: object, tokens: number): void {
    send(request.continuousUsage ? withUsage(shape, chunk, head, tokens) : chunk);
  }

  return {
    add({ token, text, finishReason, stopString }, prefix) {
      if (completionTokens === 0) {
        // Not before the first token: a client that takes any chunk for it must not be misled.
        const opening = shape.opening(head);
        if (opening !== undefined) sendChunk(opening, 0);
      }
      completionTokens += 1;
      unsent.push(token);
      if (text !== "" || finishReason !== undefined) {
        const part = { text, tokens: unsent, finishReason, stopString, completionTokens, prefix };
        unsent = [];
        sendChunk(shape.chunk(head, part), completionTokens);
      }
      if (finishReason === undefined) return;
      if (request.includeUsage) send(shape.usageChunk(head, { completionTokens, prefix }));
      response.end("data: [DONE]\n\n");
    },
    fail() {
      send(errorBody(engineFailed()));
      response.end("data: [DONE]\n\n");
    },
  };
}

function wholeAnswer(response: ServerResponse, shape: AnswerShape, head: AnswerHead): Answer {
  const texts: string[] = [];
  const tokens: number[] = [];

  return {
    add({ token, text, finishReason, stopString }, prefix) {
      texts.push(text);
      tokens.push(token);
      if (finishReason === undefined) return;
      const completionTokens = tokens.length;
      const whole = { text: texts.join(""), tokens, finishReason, stopString };
      sendJson(response, 200, shape.whole(head, { ...whole, completionTokens, prefix }));
    },
    fail() {
      sendJson(response, 500, errorBody(engineFailed()));
    },
  };
}

function engineFailed(): ApiError {
  return new ApiError(
    500,
    "InternalServerError",
    "The engine encountered an issue. Its log has the root cause.",
  );
}

export function sendJson(response: ServerResponse, status: number, body: object): void {
  const bytes = Buffer.from(JSON.stringify(body));
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": bytes.length,
  });
  response.end(bytes);
}
