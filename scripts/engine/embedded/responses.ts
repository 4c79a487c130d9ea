// What clients are answered, key for key as vLLM answers: chunks of a stream, whole answers, errors.
import type { FinishReason } from "./generation.ts";
import type { ApiError } from "./protocol.ts";
import type { PrefixUse } from "./scheduler.ts";

/** What all parts of one answer have in common. */
export interface AnswerHead {
  readonly id: string;
  /** Seconds since the Unix epoch. */
  readonly created: number;
  readonly model: string;
  readonly systemFingerprint: string;
  readonly promptTokens: readonly number[];
  /** The client wants token ids beside the text. */
  readonly returnTokenIds: boolean;
}

/** A part of an answer: what came since the part before it, or all of it. */
interface AnswerPart {
  readonly text: string;
  /** The tokens that `text` is made of; more than one where a character needed several. */
  readonly tokens: readonly number[];
  readonly finishReason: FinishReason | undefined;
  readonly stopString: string | undefined;
  /** Tokens of the answer up to the end of this part. */
  readonly completionTokens: number;
  readonly prefix: PrefixUse;
}

/** The two ways of putting an answer: /v1/completions and /v1/chat/completions. */
export interface AnswerShape {
  readonly idPrefix: string;
  /** A chunk before the first text; undefined where there is none. */
  opening(head: AnswerHead): object | undefined;
  chunk(head: AnswerHead, part: AnswerPart): object;
  /** The usage that ends a stream. */
  usageChunk(head: AnswerHead, part: Pick<AnswerPart, "completionTokens" | "prefix">): object;
  whole(head: AnswerHead, part: AnswerPart): object;
}

export const completionShape: AnswerShape = {
  idPrefix: "cmpl-",
  opening: () => undefined,
  chunk: (head, part) => ({
    ...start(head, "text_completion"),
    choices: [
      {
        index: 0,
        text: part.text,
        logprobs: null,
        finish_reason: part.finishReason ?? null,
        stop_reason: part.stopString ?? null,
        prompt_token_ids:
          head.returnTokenIds && part.tokens.length === part.completionTokens
            ? head.promptTokens
            : null,
        token_ids: head.returnTokenIds ? part.tokens : null,
      },
    ],
  }),
  usageChunk: (head, part) => ({
    ...start(head, "text_completion"),
    choices: [],
    usage: {
      ...usageSoFar(head, part.completionTokens),
      prompt_tokens_details: { cached_tokens: part.prefix.cachedTokens },
    },
    system_fingerprint: head.systemFingerprint,
  }),
  whole: (head, part) => ({
    ...start(head, "text_completion"),
    choices: [
      {
        index: 0,
        text: part.text,
        logprobs: null,
        finish_reason: part.finishReason ?? null,
        stop_reason: part.stopString ?? null,
        token_ids: head.returnTokenIds ? part.tokens : null,
        prompt_logprobs: null,
        prompt_token_ids: head.returnTokenIds ? head.promptTokens : null,
      },
    ],
    usage: {
      ...usageSoFar(head, part.completionTokens),
      prompt_tokens_details: { cached_tokens: part.prefix.cachedTokens },
    },
    system_fingerprint: head.systemFingerprint,
  }),
};

export const chatShape: AnswerShape = {
  idPrefix: "chatcmpl-",
  opening: (head) => ({
    ...start(head, "chat.completion.chunk"),
    choices: [
      {
        index: 0,
        delta: { role: "assistant", content: "" },
        logprobs: null,
        finish_reason: null,
      },
    ],
    prompt_token_ids: head.returnTokenIds ? head.promptTokens : null,
    prompt_text: null,
  }),
  chunk: (head, part) => ({
    ...start(head, "chat.completion.chunk"),
    choices: [
      {
        index: 0,
        delta: { content: part.text },
        logprobs: null,
        finish_reason: part.finishReason ?? null,
        ...(part.finishReason === undefined ? {} : { stop_reason: part.stopString ?? null }),
        token_ids: head.returnTokenIds ? part.tokens : null,
      },
    ],
  }),
  usageChunk: (head, part) => ({
    ...start(head, "chat.completion.chunk"),
    choices: [],
    usage: {
      ...usageSoFar(head, part.completionTokens),
      prompt_tokens_details: chatPromptDetails(part.prefix),
    },
    system_fingerprint: head.systemFingerprint,
  }),
  whole: (head, part) => ({
    ...start(head, "chat.completion"),
    choices: [
      {
        index: 0,
        message: { role: "assistant", content: part.text, refusal: null, tool_calls: [] },
        logprobs: null,
        finish_reason: part.finishReason ?? null,
        stop_reason: part.stopString ?? null,
        token_ids: head.returnTokenIds ? part.tokens : null,
      },
    ],
    usage: {
      ...usageSoFar(head, part.completionTokens),
      prompt_tokens_details: chatPromptDetails(part.prefix),
    },
    system_fingerprint: head.systemFingerprint,
    prompt_token_ids: head.returnTokenIds ? head.promptTokens : null,
  }),
};

function chatPromptDetails({ cachedTokens, createdTokens }: PrefixUse): object {
  return { cached_tokens: cachedTokens, created_cache_tokens: createdTokens };
}

function start(head: AnswerHead, object: string): object {
  return { id: head.id, object, created: head.created, model: head.model };
}

/** The same chunk with the usage up to it, as `continuous_usage_stats` asks. */
export function withUsage(
  shape: AnswerShape,
  chunk: object,
  head: AnswerHead,
  completionTokens: number,
): object {
  const usage = usageSoFar(head, completionTokens);
  return {
    ...chunk,
    usage: shape === chatShape ? { ...usage, completion_tokens_details: null } : usage,
  };
}

function usageSoFar(head: AnswerHead, completionTokens: number): object {
  const promptTokens = head.promptTokens.length;
  return {
    prompt_tokens: promptTokens,
    total_tokens: promptTokens + completionTokens,
    completion_tokens: completionTokens,
  };
}

export function errorBody(error: ApiError): object {
  return {
    error: {
      message: error.message,
      type: error.type,
      param: error.param ?? null,
      code: error.status,
    },
  };
}
