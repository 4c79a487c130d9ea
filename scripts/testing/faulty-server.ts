// A server that goes wrong on demand, each way by its name: as the request's model, as the first
// part of the path (`/reset/v1/completions`), or as the test says for each request.
import type { ServerResponse } from "node:http";
import {
  answerBasics,
  type CompletionBody,
  chunkOf,
  dataEvent,
  doneEvent,
  type LocalServer,
  readCompletionBody,
  startLocalServer,
  startStream,
  usageEvent,
  waitOrGone,
} from "./local-server.ts";

type Fault = (response: ServerResponse, body: CompletionBody) => Promise<void> | void;

const forEver = 3_600_000;

function refuse(status: number, message: string): Fault {
  return (response) => {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify({ error: { message, type: "simulated", code: status } }));
  };
}

/** Two tokens of a good stream. */
function begin(response: ServerResponse, body: CompletionBody): void {
  startStream(response);
  response.write(chunkOf(body, "one") + chunkOf(body, " two"));
}

/** A complete good stream of as many tokens as asked for. */
function goodStream(body: CompletionBody): string {
  const tokens = Array.from({ length: body.maxTokens }, (_, i) =>
    chunkOf(body, ` ${i}é`, i === body.maxTokens - 1 ? "length" : null),
  );
  const usage = usageEvent(body, { promptTokens: 8, completionTokens: body.maxTokens });
  return [...tokens, usage, doneEvent].join("");
}

function endWith(tail: (body: CompletionBody) => string): Fault {
  return (response, body) => {
    begin(response, body);
    response.end(tail(body));
  };
}

const finished = (body: CompletionBody): string => chunkOf(body, " three", "stop");

const faults = {
  none: (response, body) => {
    startStream(response);
    response.end(goodStream(body));
  },
  "401": refuse(401, "Incorrect API key provided: sk-simulated-secret-0001"),
  "404": refuse(404, "The model does not exist."),
  "422": refuse(422, "body.prompt: field required"),
  "429": refuse(429, "Too many requests"),
  "500": refuse(500, "Internal server error"),
  "503": refuse(503, "No capacity"),
  html: (response) => {
    response.writeHead(200, { "content-type": "text/html; charset=utf-8" });
    response.end("<!doctype html><title>Sign in</title>");
  },
  "json-200": (response) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.end('{"choices":[{"text":"not a stream"}]}');
  },
  "endless-html": async (response) => {
    response.writeHead(200, { "content-type": "text/html" });
    do response.write("<p>more</p>".repeat(100));
    while (await waitOrGone(response, 1));
  },
  redirect: (response) => {
    response.writeHead(307, { location: "http://127.0.0.1:9/v1/completions" });
    response.end();
  },
  "half-event": endWith((body) => chunkOf(body, " three").slice(0, 30)),
  "half-character": (response, body) => {
    begin(response, body);
    const bytes = Buffer.from(chunkOf(body, "速度"));
    response.end(bytes.subarray(0, bytes.indexOf(Buffer.from("度")) + 1));
  },
  reset: async (response, body) => {
    begin(response, body);
    // Not at once: a reset throws away what the client has not read yet.
    await waitOrGone(response, 20);
    response.socket?.resetAndDestroy();
  },
  "reset-before-headers": (response) => {
    response.socket?.resetAndDestroy();
  },
  "error-then-done": endWith(
    () => dataEvent({ error: { message: "EngineCore died", code: 500 } }) + doneEvent,
  ),
  "flat-error": endWith(
    () => dataEvent({ object: "error", message: "boom", code: 400 }) + doneEvent,
  ),
  "error-event": endWith(() => `event: error\n${dataEvent({ message: "overloaded" })}`),
  "error-field": endWith(() => `error: {"code":400,"message":"context size"}\n\n${doneEvent}`),
  "error-left-open": (response, body) => {
    begin(response, body);
    response.write(dataEvent({ error: { message: "EngineCore died" } }));
    return waitOrGone(response, forEver).then(() => undefined);
  },
  endless: async (response, body) => {
    startStream(response);
    do response.write(chunkOf(body, " more"));
    while (await waitOrGone(response, 2));
  },
  silence: async (response) => {
    startStream(response);
    await waitOrGone(response, forEver);
  },
  "slow-headers": async (response) => {
    await waitOrGone(response, forEver);
  },
  stall: async (response, body) => {
    begin(response, body);
    await waitOrGone(response, forEver);
  },
  "open-after-done": async (response, body) => {
    startStream(response);
    response.write(goodStream(body));
    await waitOrGone(response, forEver);
  },
  malformed: endWith(() => 'data: {"choices":[{"text":\n\ndata: [DONE]\n\n'),
  truncated: endWith(() => ""),
  "no-usage": endWith((body) => finished(body) + doneEvent),
  "no-done": endWith(finished),
  "usage-only": (response, body) => {
    startStream(response);
    response.end(
      chunkOf(body, "", "stop") +
        usageEvent(body, { promptTokens: 8, completionTokens: 0 }) +
        doneEvent,
    );
  },
  crlf: (response, body) => {
    startStream(response);
    response.end(goodStream(body).replaceAll("\n", "\r\n"));
  },
  "byte-by-byte": async (response, body) => {
    startStream(response);
    response.socket?.setNoDelay(true);
    for (const byte of Buffer.from(goodStream(body))) {
      response.write(Buffer.of(byte));
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    response.end();
  },
} as const satisfies Readonly<Record<string, Fault>>;

export type FaultName = keyof typeof faults;
export const faultNames = Object.keys(faults) as readonly FaultName[];

export interface FaultyServer extends LocalServer {
  /** Completion requests that arrived. */
  readonly requestCount: number;
}

/** @param faultOf the fault of the i-th request, from 0; undefined: by its path or model, else none */
export async function startFaultyServer(
  faultOf: (index: number) => FaultName | undefined = () => undefined,
): Promise<FaultyServer> {
  let requestCount = 0;
  const server = await startLocalServer(async (request, response) => {
    if (await answerBasics(request, response)) return;
    if (request.method !== "POST") {
      response.writeHead(404).end();
      return;
    }
    const byTest = faultOf(requestCount);
    requestCount += 1;
    const body = await readCompletionBody(request);
    const [, firstPart] = request.url?.split("/") ?? [];
    const name = byTest ?? faultNamed(firstPart) ?? faultNamed(body.model) ?? "none";
    await faults[name](response, body);
  });
  return {
    ...server,
    get requestCount() {
      return requestCount;
    },
  };
}

function faultNamed(text: string | undefined): FaultName | undefined {
  return faultNames.find((name) => name === text);
}
