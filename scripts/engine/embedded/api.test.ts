// The HTTP door on a model that is scripted: faults that a real model does not have on demand.
import { readFile } from "node:fs/promises";
import type { Server } from "node:http";
import { setImmediate as nextTurn } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import { createApi, type ServedEngine } from "./api.ts";
import type { SteppedModel } from "./model.ts";
import { startScheduler } from "./scheduler.ts";

const vocabularySize = 4;
const endToken = 3;

/** Says "a", "b", "c", "a", ... and throws at the given step, if any. */
function scriptedEngine(options: { failAtStep?: number; endAtStep?: number } = {}): ServedEngine {
  let steps = 0;
  const next = async (): Promise<Float32Array> => {
    await nextTurn();
    if (steps === options.failAtStep) throw new Error("the graph broke");
    const logits = new Float32Array(vocabularySize);
    logits[steps === options.endAtStep ? endToken : steps % 3] = 1;
    steps += 1;
    return logits;
  };
  const model: SteppedModel = {
    tokenFloats: 1,
    read: next,
    step: async (batch) => {
      const rows: Float32Array[] = [];
      while (rows.length < batch.length) rows.push(await next());
      return rows;
    },
    adopt: () => undefined,
    copy: () => undefined,
    forget: () => undefined,
  };
  const cache = { blockSize: 2, numBlocks: 1000, prefixCaching: true, dtype: "float32" };
  return {
    scheduler: startScheduler({
      model,
      limits: { maxNumSeqs: 2, maxNumBatchedTokens: 64, ...cache },
      prefixCaching: true,
    }),
    tokenizer: {
      encode: (text) => Array.from(text, (letter) => "abc".indexOf(letter)),
      renderChat: (messages) => messages.map(({ content }) => content).join(""),
      decode: (tokens) => tokens.map((token) => "abc"[token] ?? "").join(""),
      bytesOf: (token) => new TextEncoder().encode("abc"[token] ?? ""),
    },
    endTokens: [endToken],
    vocabularySize,
    modelName: "abc",
    modelRoot: "data/models/abc",
    maxModelLen: 1000,
    cache,
    seed: 0,
    version: "1.2.3",
    configuration: { precision: "fp32" },
  };
}

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.close();
    server.closeAllConnections();
  }
});

async function serve(engine: ServedEngine, log: string[] = []): Promise<string> {
  const server = createApi(engine, (line) => log.push(line));
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("no port");
  return `http://127.0.0.1:${address.port}`;
}

async function post(url: string, body: unknown): Promise<Response> {
  return fetch(url, {
    method: "POST",
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
}

function eventsOf(stream: string): readonly string[] {
  return stream
    .trimEnd()
    .split("\n\n")
    .map((event) => event.replace(/^data: /, ""));
}

const greedy = { prompt: "abc", temperature: 0, max_tokens: 6 };

describe("the API", () => {
  it("tells a failure in mid-stream as an error event and then [DONE], and is ill from then on", async () => {
    const log: string[] = [];
    const base = await serve(scriptedEngine({ failAtStep: 2 }), log);
    const response = await post(`${base}/v1/completions`, { ...greedy, stream: true });
    expect(response.status).toBe(200);
    const events = eventsOf(await response.text());
    expect(events).toHaveLength(4);
    expect(JSON.parse(events[0] ?? "")).toMatchObject({ choices: [{ text: "a" }] });
    const failure: unknown = JSON.parse(events[2] ?? "");
    const recorded = await readFile(
      new URL("./fixtures/stream-engine-killed.sse", import.meta.url),
      "utf8",
    );
    const [error = "", done] = eventsOf(recorded).slice(-2);
    expect(done).toBe("[DONE]");
    expect(JSON.parse(error)).toEqual({
      error: {
        message: expect.any(String) as string,
        type: "InternalServerError",
        param: null,
        code: 500,
      },
    });
    expect(failure).toEqual({
      error: {
        message: "The engine encountered an issue. Its log has the root cause.",
        type: "InternalServerError",
        param: null,
        code: 500,
      },
    });
    expect(events[3]).toBe("[DONE]");
    expect(log).toEqual(["a request failed: the graph broke"]);

    expect((await fetch(`${base}/health`)).status).toBe(503);
    expect((await post(`${base}/v1/completions`, greedy)).status).toBe(503);
  });

  it("tells a failure of an answer that is not streamed with 500", async () => {
    const base = await serve(scriptedEngine({ failAtStep: 2 }));
    const response = await post(`${base}/v1/completions`, greedy);
    expect(response.status).toBe(500);
    expect(await response.json()).toMatchObject({
      error: { type: "InternalServerError", code: 500 },
    });
  });

  it("says stop when the model ends by itself, and sends the end without text", async () => {
    const base = await serve(scriptedEngine({ endAtStep: 2 }));
    const response = await post(`${base}/v1/completions`, { ...greedy, return_token_ids: true });
    expect(await response.json()).toMatchObject({
      choices: [{ text: "ab", finish_reason: "stop", stop_reason: null, token_ids: [0, 1, 3] }],
      usage: { prompt_tokens: 3, completion_tokens: 3, total_tokens: 6 },
    });
  });

  it("says which stop string was met", async () => {
    const base = await serve(scriptedEngine());
    const response = await post(`${base}/v1/completions`, { ...greedy, stop: ["ca"] });
    expect(await response.json()).toMatchObject({
      choices: [{ text: "ab", finish_reason: "stop", stop_reason: "ca" }],
    });
  });

  it("keeps two answers at once apart", async () => {
    const base = await serve(scriptedEngine());
    const answers = await Promise.all(
      [1, 2, 3].map(
        async (): Promise<unknown> => (await post(`${base}/v1/completions`, greedy)).json(),
      ),
    );
    for (const answer of answers) {
      expect(answer).toMatchObject({
        usage: { completion_tokens: 6 },
        choices: [{ finish_reason: "length" }],
      });
    }
  });

  it.each<[string, string, number, string]>([
    ["GET", "/nowhere", 404, "Not Found"],
    ["GET", "/__proto__", 404, "Not Found"],
    ["GET", "/v1/completions", 405, "Method Not Allowed"],
    ["DELETE", "/v1/models", 405, "Method Not Allowed"],
  ])("answers %s %s with %i", async (method, path, status, type) => {
    const base = await serve(scriptedEngine());
    const response = await fetch(base + path, { method });
    expect(response.status).toBe(status);
    expect(await response.json()).toEqual({
      error: { message: type, type, param: null, code: status },
    });
  });

  it("refuses token ids that the model has not", async () => {
    const base = await serve(scriptedEngine());
    const response = await post(`${base}/v1/completions`, {
      ...greedy,
      prompt: [1, vocabularySize],
    });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      error: { type: "BadRequestError", param: "prompt" },
    });
  });

  it("refuses a body that is too large and goes on serving", async () => {
    const base = await serve(scriptedEngine());
    const big = JSON.stringify({ prompt: "a".repeat(17 * 1024 * 1024) });
    // The server may cut the upload short, which some clients report as a broken connection.
    const status = await post(`${base}/v1/completions`, big).then(
      (response) => response.status,
      () => 413,
    );
    expect(status).toBe(413);
    expect((await fetch(`${base}/health`)).status).toBe(200);
  });

  it("answers 500 to its own bug, says no more than that, and writes it to the log", async () => {
    const log: string[] = [];
    const engine = scriptedEngine();
    const base = await serve(
      {
        ...engine,
        tokenizer: {
          ...engine.tokenizer,
          encode: () => {
            throw new TypeError("a bug");
          },
        },
      },
      log,
    );
    const response = await post(`${base}/tokenize`, { prompt: "a" });
    expect(response.status).toBe(500);
    expect(await response.json()).toMatchObject({ error: { message: "Internal Server Error" } });
    expect(log[0]).toContain("a bug");
  });
});
