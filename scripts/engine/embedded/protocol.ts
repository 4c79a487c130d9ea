// What clients may ask, in the words of the OpenAI API as vLLM serves it: unknown JSON in, a
// complete typed request out. What the engine cannot do is refused, never silently left out.
import { z } from "zod";
import type { GenerationSettings } from "./generation.ts";
import type { ChatMessage } from "./tokenizer.ts";

/** A refusal that the client can understand. */
export class ApiError extends Error {
  readonly status: number;
  /** "BadRequestError"; for errors of HTTP itself its phrase, "Not Found". */
  readonly type: string;
  /** The field that is wrong; undefined where there is none. */
  readonly param: string | undefined;

  constructor(status: number, type: string, message: string, param?: string) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.type = type;
    this.param = param;
  }
}

export type Prompt =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "tokens"; readonly tokens: readonly number[] }
  | { readonly kind: "chat"; readonly messages: readonly ChatMessage[]; readonly open: boolean };

export interface GenerationRequest {
  /** undefined: the one that is served. */
  readonly model: string | undefined;
  readonly prompt: Prompt;
  readonly stream: boolean;
  /** A last chunk with the usage. */
  readonly includeUsage: boolean;
  /** The usage so far in every chunk. */
  readonly continuousUsage: boolean;
  readonly returnTokenIds: boolean;
  /** undefined: as many as fit. */
  readonly maxTokens: number | undefined;
  readonly settings: Omit<GenerationSettings, "maxTokens" | "seed">;
  /** undefined: the engine draws one. */
  readonly seed: number | undefined;
}

const text = z.union([
  z.string(),
  z
    .array(z.looseObject({ type: z.literal("text"), text: z.string() }))
    .transform((parts) => parts.map((part) => part.text).join("\n")),
]);

const message = z.object({
  role: z.string().min(1),
  content: text.nullish().transform((content) => content ?? ""),
});

const textPrompt = z.string().min(1, "must not be empty");
const tokenPrompt = z.array(z.int().nonnegative()).min(1, "must not be empty");

// Fields that would change the answer in a way that the engine has not: only the value that changes
// nothing is taken.
const refusal = "the engine does not offer this";
const onlyOne = z.literal(1, "the engine makes one answer for one request").nullish();
const onlyFalse = z.literal(false, refusal).nullish();
const onlyZero = z.literal(0, refusal).nullish();
const onlyEmpty = z.union([z.literal(""), z.tuple([]), z.strictObject({})], refusal).nullish();

const common = {
  model: z.string().nullish(),
  stream: z.boolean().nullish(),
  stream_options: z
    .looseObject({
      include_usage: z.boolean().nullish(),
      continuous_usage_stats: z.boolean().nullish(),
    })
    .nullish(),
  max_tokens: z.int().min(1, "must be at least 1").nullish(),
  min_tokens: z.int().min(0, "must be at least 0").nullish(),
  ignore_eos: z.boolean().nullish(),
  seed: z.int().nullish(),
  temperature: z.number().min(0, "must be non-negative").nullish(),
  top_p: z.number().gt(0, "must be in (0, 1]").max(1, "must be in (0, 1]").nullish(),
  stop: z.union([z.string(), z.array(z.string())]).nullish(),
  return_token_ids: z.boolean().nullish(),
  n: onlyOne,
  best_of: onlyOne,
  logprobs: onlyFalse,
  prompt_logprobs: onlyFalse,
  logit_bias: onlyEmpty,
  stop_token_ids: onlyEmpty,
  presence_penalty: onlyZero,
  frequency_penalty: onlyZero,
  repetition_penalty: z.literal(1, refusal).nullish(),
  min_p: onlyZero,
  top_k: z.literal([0, -1], refusal).nullish(),
  include_stop_str_in_output: onlyFalse,
  response_format: z
    .looseObject({ type: z.literal("text", "the engine answers in plain text only") })
    .nullish(),
};

const completionBody = z.looseObject({
  ...common,
  prompt: z.union(
    [
      textPrompt.transform((content): Prompt => ({ kind: "text", text: content })),
      tokenPrompt.transform((tokens): Prompt => ({ kind: "tokens", tokens })),
      z.tuple([textPrompt]).transform(([content]): Prompt => ({ kind: "text", text: content })),
      z.tuple([tokenPrompt]).transform(([tokens]): Prompt => ({ kind: "tokens", tokens })),
    ],
    "must be one text or one list of token ids, and not empty",
  ),
  echo: onlyFalse,
  suffix: onlyEmpty,
});

const chatBody = z.looseObject({
  ...common,
  messages: z.array(message).min(1, "must not be empty"),
  max_completion_tokens: common.max_tokens,
  add_generation_prompt: z.boolean().nullish(),
  tools: onlyEmpty,
  top_logprobs: onlyZero,
});

/** The default of the OpenAI completions API. */
const defaultCompletionTokens = 16;

/** @throws ApiError 400 */
export function parseCompletion(body: unknown): GenerationRequest {
  const request = parse(completionBody, body);
  return {
    prompt: request.prompt,
    maxTokens: request.max_tokens ?? defaultCompletionTokens,
    ...parseCommon(request),
  };
}

/** @throws ApiError 400 */
export function parseChat(body: unknown): GenerationRequest {
  const request = parse(chatBody, body);
  return {
    prompt: {
      kind: "chat",
      messages: request.messages,
      open: request.add_generation_prompt ?? true,
    },
    maxTokens: request.max_completion_tokens ?? request.max_tokens ?? undefined,
    ...parseCommon(request),
  };
}

function parseCommon(
  request: z.infer<z.ZodObject<typeof common>>,
): Omit<GenerationRequest, "prompt" | "maxTokens"> {
  const stream = request.stream ?? false;
  if (!stream && request.stream_options != null) {
    throw badRequest("Stream options can only be defined when `stream=True`.", "stream_options");
  }
  return {
    model: request.model ?? undefined,
    stream,
    includeUsage: request.stream_options?.include_usage ?? false,
    continuousUsage: request.stream_options?.continuous_usage_stats ?? false,
    returnTokenIds: request.return_token_ids ?? false,
    settings: {
      temperature: request.temperature ?? 1,
      topP: request.top_p ?? 1,
      minTokens: request.min_tokens ?? 0,
      ignoreEos: request.ignore_eos ?? false,
      stop: [request.stop ?? []].flat().filter((stop) => stop !== ""),
    },
    seed: request.seed ?? undefined,
  };
}

/** What fits: the length of an answer to a prompt of so many tokens. @throws ApiError 400 */
export function fitMaxTokens(
  request: GenerationRequest,
  promptTokens: number,
  maxModelLen: number,
): number {
  const { maxTokens, settings } = request;
  if (maxTokens !== undefined && maxTokens > maxModelLen) {
    throw badRequest(
      `max_tokens=${maxTokens} cannot be greater than max_model_len=${maxModelLen}. Please request fewer output tokens. (parameter=max_tokens, value=${maxTokens})`,
      "max_tokens",
    );
  }
  const room = maxModelLen - promptTokens;
  const wanted = maxTokens ?? Math.max(1, room);
  if (wanted > room) {
    throw badRequest(
      `This model's maximum context length is ${maxModelLen} tokens. However, you requested ${wanted} output tokens and your prompt contains ${promptTokens} input tokens, for a total of ${promptTokens + wanted} tokens. Please reduce the length of the input prompt or the number of requested output tokens. (parameter=input_tokens, value=${promptTokens})`,
      "input_tokens",
    );
  }
  if (settings.minTokens > wanted) {
    throw badRequest(
      `min_tokens must be less than or equal to max_tokens=${wanted}, got ${settings.minTokens}. (parameter=min_tokens, value=${settings.minTokens})`,
      "min_tokens",
    );
  }
  return wanted;
}

const tokenizeBody = z.union(
  [
    z
      .looseObject({
        messages: z.array(message).min(1),
        add_generation_prompt: z.boolean().nullish(),
      })
      .transform(
        (body): Prompt => ({
          kind: "chat",
          messages: body.messages,
          open: body.add_generation_prompt ?? true,
        }),
      ),
    z
      .looseObject({ prompt: z.string() })
      .transform((body): Prompt => ({ kind: "text", text: body.prompt })),
  ],
  "the body must have a prompt or messages",
);

/** @throws ApiError 400 */
export function parseTokenize(body: unknown): Prompt {
  return parse(tokenizeBody, body);
}

/** @throws ApiError 400 */
export function parseDetokenize(body: unknown): readonly number[] {
  return parse(z.looseObject({ tokens: z.array(z.int().nonnegative()) }), body).tokens;
}

/** @throws ApiError 400 that names the first field that is wrong */
function parse<Shape>(shape: z.ZodType<Shape>, body: unknown): Shape {
  const result = shape.safeParse(body);
  if (result.success) return result.data;
  const wrong = result.error.issues.map(
    (issue) => `${issue.path.join(".") || "body"}: ${issue.message}`,
  );
  const place = result.error.issues[0]?.path.join(".") ?? "";
  throw new ApiError(
    400,
    "Bad Request",
    `${wrong.length} validation error${wrong.length === 1 ? "" : "s"}:\n  ${wrong.join("\n  ")}`,
    place === "" ? "body" : place,
  );
}

/** A body that is no JSON. */
export function invalidJson(detail: string): ApiError {
  return new ApiError(
    400,
    "Bad Request",
    `1 validation error:\n  body: JSON decode error: ${detail}`,
    "body",
  );
}

export function badRequest(message: string, param?: string): ApiError {
  return new ApiError(400, "BadRequestError", message, param);
}
