import { afterEach, describe, expect, it } from "vitest";
import { launchPacedServer } from "./launch.ts";
import { createPacedServer, type PacedOptions, type PacedServer } from "./paced-server.ts";

const servers: PacedServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

async function paced(options: Partial<PacedOptions>): Promise<PacedServer> {
  const server = await createPacedServer({ pace: "uniform", ttftMs: 5, gapMs: 2, ...options });
  servers.push(server);
  return server;
}

interface Asked {
  readonly id?: string;
  readonly tokens?: number;
  readonly chat?: boolean;
  readonly stream?: boolean;
  readonly prompt?: string;
}

/** Events of one answer. */
async function ask(url: string, asked: Asked = {}): Promise<readonly string[]> {
  const { id, tokens = 4, chat = false, stream = true, prompt = "a b c" } = asked;
  const response = await fetch(`${url}/v1/${chat ? "chat/" : ""}completions`, {
    method: "POST",
    body: JSON.stringify({
      model: "m",
      ...(chat ? { messages: [{ role: "user", content: prompt }] } : { prompt }),
      ...(id === undefined ? {} : { request_id: id }),
      max_tokens: tokens,
      stream,
      stream_options: { include_usage: true },
    }),
  });
  expect(response.status).toBe(200);
  return (await response.text()).split("\n\n").filter((event) => event !== "");
}

const dataOf = (event: string | undefined): unknown => JSON.parse((event ?? "").slice(6));

describe("createPacedServer", () => {
  it("sends vLLM's events: tokens, the last with its reason, usage, [DONE]", async () => {
    const { url } = await paced({});
    const events = await ask(url, { tokens: 3 });
    expect(events).toHaveLength(5);
    expect(dataOf(events[0])).toMatchObject({
      object: "text_completion",
      model: "m",
      choices: [{ text: " tok", finish_reason: null }],
    });
    expect(dataOf(events[2])).toMatchObject({ choices: [{ finish_reason: "length" }] });
    expect(dataOf(events[3])).toMatchObject({
      choices: [],
      usage: { prompt_tokens: 3, completion_tokens: 3, total_tokens: 6 },
    });
    expect(events[4]).toBe("data: [DONE]");
  });

  it("names the role first in a chat, also of an answer of one token", async () => {
    const { url } = await paced({});
    for (const tokens of [1, 3]) {
      const events = await ask(url, { chat: true, tokens });
      expect(dataOf(events[0])).toMatchObject({
        choices: [{ delta: { role: "assistant", content: "" } }],
      });
      expect(events).toHaveLength(tokens + 3);
    }
  });

  it("logs one time for every chunk, ascending and never before its due time", async () => {
    const server = await paced({ ttftMs: 20, gapMs: 5 });
    await Promise.all(["a", "b", "c"].map((id) => ask(server.url, { id, tokens: 6 })));
    const { requests } = await server.log();
    expect(requests.map(({ id }) => id).toSorted()).toEqual(["a", "b", "c"]);
    for (const { arrivedAtMs, sentAtMs, tokens, abandoned } of requests) {
      expect([sentAtMs.length, tokens, abandoned]).toEqual([6, 6, false]);
      for (const [chunk, atMs] of sentAtMs.entries())
        expect(atMs - arrivedAtMs).toBeGreaterThanOrEqual(20 + 5 * chunk - 1e-6);
      expect([...sentAtMs]).toEqual([...sentAtMs].toSorted((a, b) => a - b));
    }
  });

  it("counts tokens by chunk, with a shorter last one", async () => {
    const server = await paced({ tokensPerChunk: 4 });
    const events = await ask(server.url, { tokens: 10 });
    expect(events.slice(0, 3).map(dataOf)).toMatchObject([
      { choices: [{ text: " tok tok tok tok" }] },
      { choices: [{ text: " tok tok tok tok" }] },
      { choices: [{ text: " tok tok", finish_reason: "length" }] },
    ]);
    expect((await server.log()).requests[0]?.sentAtMs).toHaveLength(3);
  });

  it("floods whole, whatever the length", async () => {
    const server = await paced({ pace: "flood" });
    // Shorter than a block, one block and a bit, and several.
    for (const tokens of [1, 2, 258, 1000]) {
      const events = await ask(server.url, { tokens });
      expect(events).toHaveLength(tokens + 2);
    }
    const lengths = (await server.log()).requests.map(({ sentAtMs }) => sentAtMs.length);
    expect(lengths).toEqual([1, 2, 258, 1000]);
  });

  it("sends all streams in one step in a burst", async () => {
    const server = await paced({ pace: "burst", gapMs: 200, ttftMs: 1 });
    await Promise.all(["a", "b", "c", "d", "e"].map((id) => ask(server.url, { id, tokens: 3 })));
    const { requests } = await server.log();
    // Steps lie 200 ms apart: within one no stream sends twice, and there are no more steps than it
    // takes for those that came a step later.
    const sent = requests
      .flatMap(({ id, sentAtMs }) => [...sentAtMs].map((atMs) => ({ id, atMs })))
      .toSorted((one, other) => one.atMs - other.atMs);
    const steps: string[][] = [];
    let lastAtMs = Number.NEGATIVE_INFINITY;
    for (const { id, atMs } of sent) {
      if (atMs - lastAtMs > 100) steps.push([]);
      steps.at(-1)?.push(id);
      lastAtMs = atMs;
    }
    expect(steps.length).toBeLessThanOrEqual(4);
    for (const ids of steps) expect(new Set(ids).size).toBe(ids.length);
  });

  it("knows a request by its header, its body or its prompt", async () => {
    const server = await paced({});
    await ask(server.url, { id: "in-the-body" });
    await ask(server.url, { prompt: "hello" });
    await fetch(`${server.url}/v1/completions`, {
      method: "POST",
      headers: { "x-request-id": "in-the-header" },
      body: JSON.stringify({ prompt: "x", max_tokens: 1, stream: true }),
    }).then((response) => response.text());
    // printf hello | sha256sum
    expect((await server.log()).requests.map(({ id }) => id)).toEqual([
      "in-the-body",
      "2cf24dba5fb0a30e",
      "in-the-header",
    ]);
  });

  it("gives all at once to who wants no stream", async () => {
    const { url } = await paced({});
    const [answer] = await ask(url, { stream: false, tokens: 2 });
    expect(JSON.parse(answer ?? "")).toMatchObject({
      choices: [{ text: " tok tok", finish_reason: "length" }],
      usage: { completion_tokens: 2 },
    });
  });

  it("logs a client that goes away, and goes on for the others", async () => {
    const server = await paced({ gapMs: 5 });
    const leave = new AbortController();
    const gone = fetch(`${server.url}/v1/completions`, {
      method: "POST",
      signal: leave.signal,
      body: JSON.stringify({ prompt: "x", request_id: "gone", max_tokens: 1000, stream: true }),
    });
    const reader = (await gone).body?.getReader();
    await reader?.read();
    leave.abort();
    await ask(server.url, { id: "stays" });
    await expect
      .poll(async () => (await server.log()).requests.find(({ id }) => id === "gone")?.abandoned)
      .toBe(true);
  });

  it("answers what clients ask beside: models, health, words, metrics, errors", async () => {
    const { url } = await paced({});
    await ask(url, { tokens: 3 });
    const text = async (path: string, body?: unknown): Promise<string> => {
      const init = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
      return (await fetch(`${url}${path}`, init)).text();
    };
    expect(JSON.parse(await text("/v1/models"))).toMatchObject({ data: [{ id: "paced" }] });
    expect((await fetch(`${url}/health`)).status).toBe(200);
    expect(JSON.parse(await text("/tokenize", { prompt: " a  b c " }))).toEqual({ count: 3 });
    expect(await text("/metrics")).toContain('vllm:generation_tokens_total{engine="0"} 3.0');
    expect((await fetch(`${url}/nothing`)).status).toBe(404);
    expect((await fetch(`${url}/v1/completions`, { method: "POST", body: "{" })).status).toBe(400);
  });
});

describe("launchPacedServer", () => {
  it("runs in a process of its own and gives back what it did there", async () => {
    const server = await launchPacedServer({ pace: "uniform", ttftMs: 1, gapMs: 1 });
    servers.push(server);
    await Promise.all(["a", "b"].map((id) => ask(server.url, { id, tokens: 5 })));
    const { requests, cpuMs } = await server.log();
    expect(requests.map(({ sentAtMs }) => sentAtMs.length)).toEqual([5, 5]);
    expect(cpuMs).toBeGreaterThan(0);
    await server.close();
    await expect(fetch(server.url)).rejects.toThrow();
  });
});
