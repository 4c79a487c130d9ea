// The engine's HTTP door: routes requests to the scheduler and its answers back to the client.
import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { messageOf } from "../../errors.ts";
import { sendJson, startAnswer } from "./answer.ts";
import { startGeneration, type Vocabulary } from "./generation.ts";
import { type CacheConfig, formatMetrics } from "./metrics.ts";
import {
  ApiError,
  badRequest,
  fitMaxTokens,
  type GenerationRequest,
  invalidJson,
  type Prompt,
  parseChat,
  parseCompletion,
  parseDetokenize,
  parseTokenize,
} from "./protocol.ts";
import { type AnswerShape, chatShape, completionShape, errorBody } from "./responses.ts";
import { randomFrom } from "./sampling.ts";
import type { Scheduler } from "./scheduler.ts";
import type { ServingTokenizer } from "./tokenizer.ts";

/** What is served, and by what. */
export interface ServedEngine {
  readonly scheduler: Scheduler;
  readonly tokenizer: ServingTokenizer;
  readonly endTokens: readonly number[];
  readonly vocabularySize: number;
  readonly modelName: string;
  /** Where the model's files are. */
  readonly modelRoot: string;
  readonly maxModelLen: number;
  readonly cache: CacheConfig;
  /** Seeds of requests that bring none are drawn from this one. */
  readonly seed: number;
  readonly version: string;
  /** The resolved configuration, flat, as /server_info shows it. */
  readonly configuration: Readonly<Record<string, string | number | boolean | null>>;
}

type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void> | void;

/** A prompt of the longest context is far below this. */
const maxBodyBytes = 16 * 1024 * 1024;

/** Longer than clients keep an idle connection, so that none is closed under a request. */
const keepAliveMs = 75_000;

/** A server that is not listening yet. `log` takes what an operator should know. */
export function createApi(
  engine: ServedEngine,
  log: (line: string) => void,
  clock: () => number = Date.now,
): Server {
  const startedS = Math.floor(clock() / 1000);
  const drawSeed = randomFrom(engine.seed);
  const vocabulary: Vocabulary = {
    endTokens: engine.endTokens,
    bytesOf: (token) => engine.tokenizer.bytesOf(token),
  };
  const systemFingerprint = `benchbook-${engine.version}`;

  async function generate(
    shape: AnswerShape,
    parse: (body: unknown) => GenerationRequest,
    httpRequest: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const request = parse(await readJsonBody(httpRequest));
    assertServed(engine, request.model);
    if (engine.scheduler.failure() !== undefined) throw engineIsDead();
    const promptTokens = tokensOf(engine, request.prompt);
    const settings = {
      ...request.settings,
      maxTokens: fitMaxTokens(request, promptTokens.length, engine.maxModelLen),
      seed: request.seed ?? Math.floor(drawSeed() * 2 ** 32),
    };
    const step = startGeneration(settings, vocabulary);
    const answer = startAnswer(response, request, shape, {
      id: shape.idPrefix + randomUUID().replaceAll("-", "").slice(0, 16),
      created: Math.floor(clock() / 1000),
      model: engine.modelName,
      systemFingerprint,
      promptTokens,
      returnTokenIds: request.returnTokenIds,
    });
    const cancel = engine.scheduler.submit({
      promptTokens,
      maxTokens: settings.maxTokens,
      advance(logits, prefix) {
        const made = step(logits);
        answer.add(made, prefix);
        return made;
      },
      fail(error) {
        log(`a request failed: ${error.message}`);
        answer.fail();
      },
    });
    response.on("close", () => {
      if (!response.writableFinished) cancel();
    });
    // The client may have gone before the line above.
    if (response.destroyed) cancel();
  }

  const routes: Readonly<Record<string, Readonly<Record<string, Handler>>>> = {
    "/v1/completions": {
      POST: (request, response) => generate(completionShape, parseCompletion, request, response),
    },
    "/v1/chat/completions": {
      POST: (request, response) => generate(chatShape, parseChat, request, response),
    },
    "/v1/models": {
      GET: (_, response) => {
        sendJson(response, 200, { object: "list", data: [modelCard(engine, startedS)] });
      },
    },
    "/tokenize": {
      POST: async (request, response) => {
        const tokens = tokensOf(engine, parseTokenize(await readJsonBody(request)));
        sendJson(response, 200, {
          count: tokens.length,
          max_model_len: engine.maxModelLen,
          tokens,
          token_strs: null,
        });
      },
    },
    "/detokenize": {
      POST: async (request, response) => {
        const tokens = parseDetokenize(await readJsonBody(request));
        sendJson(response, 200, { prompt: engine.tokenizer.decode(inVocabulary(engine, tokens)) });
      },
    },
    "/health": {
      GET: (_, response) => {
        response.writeHead(engine.scheduler.failure() === undefined ? 200 : 503).end();
      },
    },
    "/version": {
      GET: (_, response) => {
        sendJson(response, 200, { version: engine.version });
      },
    },
    "/server_info": {
      GET: (_, response) => {
        sendJson(response, 200, engine.configuration);
      },
    },
    "/reset_prefix_cache": {
      POST: (_, response) => {
        const success = engine.scheduler.resetPrefixCache();
        log(success ? "prefix cache emptied" : "prefix cache kept: requests are running");
        sendJson(response, 200, { success });
      },
    },
    "/metrics": {
      GET: (_, response) => {
        response.writeHead(200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" });
        response.end(formatMetrics(engine.scheduler.counts(), engine.modelName, engine.cache));
      },
    },
  };

  const server = createServer((request, response) => {
    void handle(routes, request, response, log);
  });
  server.keepAliveTimeout = keepAliveMs;
  return server;
}

/** Finds the handler, and turns what it throws into an answer. */
async function handle(
  routes: Readonly<Record<string, Readonly<Record<string, Handler>>>>,
  request: IncomingMessage,
  response: ServerResponse,
  log: (line: string) => void,
): Promise<void> {
  try {
    const [path = "/"] = (request.url ?? "/").split("?");
    const methods = Object.hasOwn(routes, path) ? routes[path] : undefined;
    if (methods === undefined) throw new ApiError(404, "Not Found", "Not Found");
    const handler = methods[request.method ?? "GET"];
    if (handler === undefined) {
      response.setHeader("allow", Object.keys(methods).join(", "));
      throw new ApiError(405, "Method Not Allowed", "Method Not Allowed");
    }
    await handler(request, response);
  } catch (error) {
    const refusal =
      error instanceof ApiError
        ? error
        : new ApiError(500, "InternalServerError", "Internal Server Error");
    if (refusal !== error) {
      log(error instanceof Error ? (error.stack ?? error.message) : messageOf(error));
    }
    // The rest of a body that is too large is not worth reading.
    if (refusal.status === 413) response.setHeader("connection", "close");
    if (response.headersSent) response.destroy();
    else sendJson(response, refusal.status, errorBody(refusal));
  }
}

async function readJsonBody(request: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > maxBodyBytes) {
      throw new ApiError(
        413,
        "Request Entity Too Large",
        `the body is larger than ${maxBodyBytes} bytes`,
      );
    }
    parts.push(part);
  }
  try {
    return JSON.parse(Buffer.concat(parts).toString("utf8"));
  } catch (error) {
    throw invalidJson(messageOf(error));
  }
}

function assertServed(engine: ServedEngine, model: string | undefined): void {
  if (model === undefined || model === engine.modelName) return;
  throw new ApiError(
    404,
    "NotFoundError",
    `The model \`${model}\` does not exist. Valid aliases: ${engine.modelName}.`,
    "model",
  );
}

function engineIsDead(): ApiError {
  return new ApiError(
    503,
    "ServiceUnavailableError",
    "The engine is dead. Its log has the root cause.",
  );
}

function tokensOf(engine: ServedEngine, prompt: Prompt): readonly number[] {
  switch (prompt.kind) {
    case "tokens":
      return inVocabulary(engine, prompt.tokens);
    case "text":
      return engine.tokenizer.encode(prompt.text);
    case "chat":
      return engine.tokenizer.encode(engine.tokenizer.renderChat(prompt.messages, prompt.open));
  }
}

function inVocabulary(engine: ServedEngine, tokens: readonly number[]): readonly number[] {
  const stranger = tokens.find((token) => token >= engine.vocabularySize);
  if (stranger === undefined) return tokens;
  throw badRequest(
    `Token id ${stranger} is out of vocabulary: the model has ${engine.vocabularySize} tokens.`,
    "prompt",
  );
}

function modelCard(engine: ServedEngine, created: number): object {
  return {
    id: engine.modelName,
    object: "model",
    created,
    owned_by: "benchbook",
    root: engine.modelRoot,
    parent: null,
    max_model_len: engine.maxModelLen,
    permission: [],
  };
}
