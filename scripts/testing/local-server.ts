// What the simulated servers share: a port of their own on 127.0.0.1, JSON bodies, and an end that
// leaves no connection behind.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { z } from "zod";

export interface LocalServer {
  /** "http://127.0.0.1:40123". */
  readonly url: string;
  /** Connections that are open now. */
  readonly connectionCount: () => Promise<number>;
  /** Breaks what is open and frees the port. */
  readonly close: () => Promise<void>;
}

export async function startLocalServer(
  handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
): Promise<LocalServer> {
  const server = createServer((request, response) => {
    // A client that goes away in mid-stream is what the tests want, not an error.
    response.on("error", () => undefined);
    handle(request, response).catch((error: unknown) => {
      response.destroy(error instanceof Error ? error : new Error(String(error)));
    });
  });
  server.keepAliveTimeout = 5000;
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  // A listening TCP server has an address with a port.
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    connectionCount: () =>
      new Promise((resolve, reject) => {
        server.getConnections((error, count) => {
          if (error === null) resolve(count);
          else reject(error);
        });
      }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}

export interface CompletionBody {
  readonly model: string;
  readonly maxTokens: number;
  readonly isChat: boolean;
}

/** The few fields of a completion request that a simulated server looks at. */
async function readJson(request: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return JSON.parse(Buffer.concat(parts).toString("utf8"));
}

/** Answers `/v1/models` and `/tokenize` (words are tokens); false: the request is for something else. */
export async function answerBasics(
  request: IncomingMessage,
  response: ServerResponse,
): Promise<boolean> {
  if (request.url === "/v1/models") {
    const model = { id: "paced", owned_by: "benchbook", max_model_len: 4096 };
    response.end(JSON.stringify({ data: [model] }));
    return true;
  }
  if (request.url === "/tokenize") {
    const { prompt } = z.object({ prompt: z.string() }).parse(await readJson(request));
    response.end(JSON.stringify({ count: prompt.trim().split(/\s+/).length }));
    return true;
  }
  return false;
}

export async function readCompletionBody(request: IncomingMessage): Promise<CompletionBody> {
  const value = (await readJson(request)) as {
    readonly model?: string;
    readonly max_tokens?: number;
  };
  return {
    model: value.model ?? "",
    maxTokens: value.max_tokens ?? 16,
    isChat: request.url?.includes("/chat/") === true,
  };
}

/** Resolves when the time has come, or false as soon as the client has gone. */
export function waitOrGone(response: ServerResponse, durationMs: number): Promise<boolean> {
  if (response.destroyed || response.writableEnded) return Promise.resolve(false);
  return new Promise((resolve) => {
    const settle = (isThere: boolean) => () => {
      clearTimeout(timer);
      response.off("close", onGone);
      resolve(isThere);
    };
    const onGone = settle(false);
    const timer = setTimeout(settle(true), Math.max(0, durationMs));
    response.once("close", onGone);
  });
}

/** One `data:` event of a completion stream; `text` undefined: no output in it. */
export function chunkOf(
  { isChat, model }: CompletionBody,
  text: string | undefined,
  finishReason: string | null = null,
): string {
  const choice = isChat
    ? {
        index: 0,
        delta: text === undefined ? { role: "assistant", content: "" } : { content: text },
      }
    : { index: 0, text: text ?? "" };
  const object = isChat ? "chat.completion.chunk" : "text_completion";
  return dataEvent({
    id: "sim-1",
    object,
    model,
    choices: [{ ...choice, finish_reason: finishReason }],
  });
}

export function usageEvent(
  { model }: CompletionBody,
  usage: {
    readonly promptTokens: number;
    readonly completionTokens: number;
    readonly cachedTokens?: number;
  },
): string {
  return dataEvent({
    id: "sim-1",
    model,
    choices: [],
    usage: {
      prompt_tokens: usage.promptTokens,
      completion_tokens: usage.completionTokens,
      total_tokens: usage.promptTokens + usage.completionTokens,
      ...(usage.cachedTokens === undefined
        ? {}
        : { prompt_tokens_details: { cached_tokens: usage.cachedTokens } }),
    },
  });
}

export const doneEvent = "data: [DONE]\n\n";

export function dataEvent(value: unknown): string {
  return `data: ${JSON.stringify(value)}\n\n`;
}

export function startStream(response: ServerResponse): void {
  response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
  response.flushHeaders();
}
