// An OpenAI-compatible server whose truth is known: it sends tokens by a schedule and logs the time
// of every chunk, so that an instrument can be held to it. Also a program of its own:
// `node paced-server.js '{"ttftMs":20,"gapMs":5}'` prints its URL; GET /log gives what it sent.

import type { ServerResponse } from "node:http";
import { pathToFileURL } from "node:url";
import { epochMsOf, nowMs } from "../units.ts";
import {
  answerBasics,
  type CompletionBody,
  chunkOf,
  doneEvent,
  type LocalServer,
  readCompletionBody,
  startLocalServer,
  startStream,
  usageEvent,
  waitOrGone,
} from "./local-server.ts";

/** When a request's tokens are sent, counted from its arrival. */
export interface Schedule {
  readonly ttftMs: number;
  readonly gapMs: number;
  /** Output tokens; undefined: the request's max_tokens. */
  readonly tokens?: number;
  /** Tokens in one chunk; default 1. */
  readonly tokensPerChunk?: number;
}

/** What the server did for one request; times are `nowMs()` values of its process. */
export interface ServedRequest {
  readonly arrivedAtMs: number;
  /** Of each output chunk, just before it was written. */
  readonly sentAtMs: number[];
  readonly tokens: number;
  /** Requests being served when it arrived, itself among them. */
  readonly inFlight: number;
  /** The client went away before the end. */
  wasAbandoned: boolean;
}

export interface PacedServer extends LocalServer {
  /** In order of arrival. */
  readonly served: readonly ServedRequest[];
}

export interface PacedServerOptions {
  /** The schedule of the i-th request, from 0. */
  readonly schedule: (index: number) => Schedule;
  /** What usage says; `cachedTokens` undefined: usage does not mention a cache. */
  readonly promptTokens?: number;
  readonly cachedTokens?: number;
  /** What `/server_info` says; undefined: it is not offered. */
  readonly serverInfo?: object;
}

/** Serves both completion routes, `/v1/models`, `/tokenize` (words), `/health`, `/metrics` in vLLM's names, and `/log`. */
export async function startPacedServer({
  schedule,
  promptTokens = 8,
  cachedTokens,
  serverInfo,
}: PacedServerOptions): Promise<PacedServer> {
  const served: ServedRequest[] = [];
  let inFlight = 0;
  let tokensSent = 0;

  const serve = async (body: CompletionBody, response: ServerResponse): Promise<void> => {
    const { ttftMs, gapMs, tokens = body.maxTokens, tokensPerChunk = 1 } = schedule(served.length);
    const arrivedAtMs = nowMs();
    const log: ServedRequest = { arrivedAtMs, sentAtMs: [], tokens, inFlight, wasAbandoned: false };
    served.push(log);
    startStream(response);
    if (body.isChat) response.write(chunkOf(body, undefined));
    for (let sent = 0, chunk = 0; sent < tokens; chunk += 1) {
      const dueAtMs = arrivedAtMs + ttftMs + chunk * gapMs;
      // A timer may fire a little early; the truth of this server is never early.
      do {
        if (!(await waitOrGone(response, dueAtMs - nowMs()))) {
          log.wasAbandoned = true;
          return;
        }
      } while (nowMs() < dueAtMs);
      const count = Math.min(tokensPerChunk, tokens - sent);
      sent += count;
      tokensSent += count;
      const text = chunkOf(body, " tok".repeat(count), sent === tokens ? "length" : null);
      log.sentAtMs.push(nowMs());
      response.write(text);
    }
    const usage = { promptTokens, completionTokens: tokens };
    response.write(
      usageEvent(body, cachedTokens === undefined ? usage : { ...usage, cachedTokens }),
    );
    response.end(doneEvent);
  };

  const server = await startLocalServer(async (request, response) => {
    if (await answerBasics(request, response)) return;
    if (request.method === "POST") {
      const body = await readCompletionBody(request);
      inFlight += 1;
      await serve(body, response).finally(() => {
        inFlight -= 1;
      });
    } else if (request.url === "/metrics") {
      response.end(
        [
          "# TYPE vllm:num_requests_running gauge",
          `vllm:num_requests_running{engine="0"} ${inFlight}.0`,
          'vllm:num_requests_waiting{engine="0"} 0.0',
          `vllm:prompt_tokens_total{engine="0"} ${served.length * promptTokens}.0`,
          `vllm:generation_tokens_total{engine="0"} ${tokensSent}.0`,
          "",
        ].join("\n"),
      );
    } else if (request.url?.startsWith("/server_info") === true && serverInfo !== undefined) {
      response.end(JSON.stringify(serverInfo));
    } else if (request.url === "/log") {
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify({ originEpochMs: epochMsOf(0), served }));
    } else {
      response.end("ok");
    }
  });
  return { ...server, served };
}

const [, program, argument] = process.argv;
if (program !== undefined && import.meta.url === pathToFileURL(program).href) {
  const pace = JSON.parse(argument ?? '{"ttftMs":20,"gapMs":5}') as Schedule;
  const { url } = await startPacedServer({ schedule: () => pace });
  process.stdout.write(`${url}\n`);
}
