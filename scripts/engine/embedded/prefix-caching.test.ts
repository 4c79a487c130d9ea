// The engine with the real tiny model over HTTP: what its prefix cache saves, and what it says of it
// in usage and counters.
import type { Server } from "node:http";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import type { Workload } from "../../experiment/experiment.ts";
import { makeRequestSource } from "../../workload/prompts.ts";
import { localTokenizer } from "../../workload/tokenizer.ts";
import { resetPrefixCache } from "../reset-prefix-cache.ts";
import { createApi } from "./api.ts";
import { loadModel } from "./model.ts";
import { type ModelFolder, readModelFolder } from "./model-folder.ts";
import { startPrefixCache } from "./prefix-cache.ts";
import { randomFrom } from "./sampling.ts";
import { startScheduler } from "./scheduler.ts";
import { loadTokenizer, type ServingTokenizer } from "./tokenizer.ts";

const path = "data/models/tiny-qwen3";
const blockSize = 16;

let folder: ModelFolder;
let tokenizer: ServingTokenizer;
const servers: Server[] = [];

beforeAll(async () => {
  folder = await readModelFolder(path, "fp32");
  tokenizer = await loadTokenizer(folder);
});

afterAll(() => {
  for (const server of servers) {
    server.close();
    server.closeAllConnections();
  }
});

interface Served {
  readonly base: string;
  /** Asks for a greedy answer of exactly `length` tokens. */
  answer(prompt: readonly number[] | string, length?: number): Promise<Answer>;
  metric(name: string): Promise<number>;
}

const answerBody = z.object({
  choices: z.tuple([z.object({ token_ids: z.array(z.number()) })]),
  usage: z.object({
    prompt_tokens: z.number(),
    completion_tokens: z.number(),
    prompt_tokens_details: z.object({
      cached_tokens: z.number(),
      created_cache_tokens: z.number().optional(),
    }),
  }),
});

interface Answer {
  readonly tokens: readonly number[];
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly createdTokens: number | undefined;
}

async function serve(
  options: { prefixCaching?: boolean; maxNumSeqs?: number; numBlocks?: number } = {},
): Promise<Served> {
  const { prefixCaching = true, maxNumSeqs = 4, numBlocks = 1024 } = options;
  const cache = { blockSize, numBlocks, prefixCaching, dtype: "float32" };
  const engine = {
    scheduler: startScheduler({
      model: await loadModel({ folder: path, precision: "fp32", threads: 1 }),
      limits: { maxNumSeqs, maxNumBatchedTokens: 256, blockSize, numBlocks },
      prefixCaching,
    }),
    tokenizer,
    endTokens: folder.endTokens,
    vocabularySize: folder.vocabularySize,
    modelName: "tiny-qwen3",
    modelRoot: path,
    maxModelLen: Math.min(4096, numBlocks * blockSize),
    cache,
    seed: 0,
    version: "0.0.0",
    configuration: {},
  };
  const server = createApi(engine, () => undefined);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("no port");
  const base = `http://127.0.0.1:${address.port}`;
  return {
    base,
    async answer(prompt, length = 4) {
      const isChat = typeof prompt === "string";
      const response = await fetch(base + (isChat ? "/v1/chat/completions" : "/v1/completions"), {
        method: "POST",
        body: JSON.stringify({
          ...(isChat ? { messages: [{ role: "user", content: prompt }] } : { prompt }),
          max_tokens: length,
          min_tokens: length,
          ignore_eos: true,
          temperature: 0,
          return_token_ids: true,
        }),
      });
      const { choices, usage } = answerBody.parse(await response.json());
      return {
        tokens: choices[0].token_ids,
        promptTokens: usage.prompt_tokens,
        cachedTokens: usage.prompt_tokens_details.cached_tokens,
        createdTokens: usage.prompt_tokens_details.created_cache_tokens,
      };
    },
    async metric(name) {
      const text = await (await fetch(`${base}/metrics`)).text();
      const line = text.split("\n").find((other) => other.startsWith(`vllm:${name}{`));
      if (line === undefined) throw new Error(`no metric ${name}`);
      return Number(line.split(" ").at(-1));
    },
  };
}

/** Random tokens, none of them special. */
function tokensOf(seed: number, length: number): readonly number[] {
  const random = randomFrom(seed);
  return Array.from({ length }, () => 300 + Math.floor(random() * 1700));
}

describe("the embedded engine's prefix cache", () => {
  let engine: Served;
  beforeAll(async () => {
    engine = await serve();
  });

  it.each([
    // floor((L - 1) / 16) * 16
    [15, 0],
    [16, 0],
    [17, 16],
    [32, 16],
    [33, 32],
    [300, 288],
  ])("has of a prompt of %i tokens that it saw before %i", async (length, cached) => {
    const prompt = tokensOf(length, length);
    const first = await engine.answer(prompt);
    const second = await engine.answer(prompt);
    expect(first.cachedTokens).toBe(0);
    expect(second.cachedTokens).toBe(cached);
    expect(second.tokens).toEqual(first.tokens);
  });

  it.each([
    // floor(k / 16) * 16
    [15, 0],
    [40, 32],
    [64, 64],
  ])("has of %i shared tokens %i", async (shared, cached) => {
    const common = tokensOf(1000 + shared, shared);
    await engine.answer([...common, ...tokensOf(1, 50)]);
    const other = await engine.answer([...common, ...tokensOf(2, 50)]);
    expect(other.cachedTokens).toBe(cached);
  });

  it("has of chats the whole blocks of what the template puts before the user's words", async () => {
    // A block is 16 tokens, and the tiny model's template is shorter: so the first words count too.
    const one = "the sea the sea the sea the sea by day";
    const two = "the sea the sea the sea the sea at night";
    const encode = (content: string): readonly number[] =>
      tokenizer.encode(tokenizer.renderChat([{ role: "user", content }], true));
    const other = encode(two);
    const common = encode(one).findIndex((token, place) => token !== other[place]);
    expect(common).toBeGreaterThan(blockSize);
    const first = await engine.answer(one);
    expect(first).toMatchObject({ cachedTokens: 0 });
    expect(first.createdTokens).toBe(Math.floor(first.promptTokens / blockSize) * blockSize);
    const second = await engine.answer(two);
    expect(second.cachedTokens).toBe(Math.floor(common / blockSize) * blockSize);
  });

  it("has a chat's earlier turns, the answer in them included", async () => {
    const prompt = tokensOf(77, 20);
    const { tokens } = await engine.answer(prompt, 30);
    // 20 + 30 tokens, of which the last never went into the model: floor(49 / 16) blocks.
    const next = await engine.answer([...prompt, ...tokens, 500, 501]);
    expect(next.cachedTokens).toBe(48);
  });

  it("counts hits and queries as the answers' usage does, whatever runs beside what", async () => {
    const names = [
      "prefix_cache_queries_total",
      "prefix_cache_hits_total",
      "prompt_tokens_total",
      "prompt_tokens_cached_total",
    ];
    const read = async (): Promise<readonly number[]> =>
      Promise.all(names.map((name) => engine.metric(name)));
    const before = await read();
    const stem = tokensOf(5, 100);
    const answers = await Promise.all(
      Array.from({ length: 16 }, async (_, place) =>
        engine.answer([...stem.slice(0, 10 * (place % 8)), ...tokensOf(50 + place, 30)], 3),
      ),
    );
    const after = await read();
    const sum = (read: (answer: Answer) => number): number =>
      answers.reduce((total, answer) => total + read(answer), 0);
    const prompts = sum(({ promptTokens }) => promptTokens);
    const cached = sum(({ cachedTokens }) => cachedTokens);
    // 16 prompts of 30 tokens after 0, 10, ..., 70 shared ones, each of them twice.
    expect(prompts).toBe(16 * 30 + 2 * 280);
    expect(cached).toBeGreaterThan(0);
    expect(after.map((value, place) => value - (before[place] ?? 0))).toEqual([
      prompts,
      cached,
      prompts,
      cached,
    ]);
  });

  it("computes the first of many identical prompts that arrive together, and no other", async () => {
    const prompt = tokensOf(8, 100);
    const answers = await Promise.all(
      Array.from({ length: 10 }, async () => engine.answer(prompt, 8)),
    );
    expect(answers.map(({ cachedTokens }) => cachedTokens).toSorted((a, b) => a - b)).toEqual([
      0,
      ...Array.from({ length: 9 }, () => 96),
    ]);
    expect(new Set(answers.map(({ tokens }) => tokens.join(","))).size).toBe(1);
  });

  it("answers a prompt that it has in less than half the time", async () => {
    const prompt = tokensOf(9, 2000);
    const timed = async (): Promise<{ readonly ms: number; readonly cachedTokens: number }> => {
      const startMs = performance.now();
      const { cachedTokens } = await engine.answer(prompt, 1);
      return { ms: performance.now() - startMs, cachedTokens };
    };
    const cold = await timed();
    const warm = await timed();
    expect([cold.cachedTokens, warm.cachedTokens]).toEqual([0, 1984]);
    expect(warm.ms).toBeLessThan(cold.ms / 2);
  });

  it("is emptied on demand, and not while a request runs", async () => {
    const prompt = tokensOf(10, 40);
    await engine.answer(prompt);
    const reset = async (): Promise<unknown> =>
      (await fetch(`${engine.base}/reset_prefix_cache`, { method: "POST" })).json();
    const long = engine.answer(tokensOf(11, 40), 300);
    while ((await engine.metric("num_requests_running")) === 0);
    expect(await reset()).toEqual({ success: false });
    expect(await resetPrefixCache({ baseUrl: engine.base, headers: {} }, { withinMs: 0 })).toBe(
      "failed",
    );
    await long;
    expect((await engine.answer(prompt)).cachedTokens).toBe(32);
    expect(await reset()).toEqual({ success: true });
    expect((await engine.answer(prompt)).cachedTokens).toBe(0);
  });

  it("lets go of what an aborted request held", async () => {
    const gone = new AbortController();
    const response = await fetch(`${engine.base}/v1/completions`, {
      method: "POST",
      body: JSON.stringify({
        prompt: tokensOf(12, 100),
        max_tokens: 3000,
        min_tokens: 3000,
        ignore_eos: true,
        stream: true,
      }),
      signal: gone.signal,
    });
    expect(response.status).toBe(200);
    while ((await engine.metric("kv_cache_usage_perc")) === 0);
    gone.abort();
    // It asks again for as long as the engine has not noticed.
    expect(await resetPrefixCache({ baseUrl: engine.base, headers: {} })).toBe("done");
    expect(await engine.metric("kv_cache_usage_perc")).toBe(0);
  });

  it("shows how it is set up", async () => {
    const text = await (await fetch(`${engine.base}/metrics`)).text();
    expect(text).toContain(
      'vllm:cache_config_info{block_size="16",cache_dtype="float32",enable_prefix_caching="True",engine="0",kv_cache_size_tokens="16384",num_gpu_blocks="1024"} 1\n',
    );
  });

  it("drops the oldest blocks when it is full", async () => {
    const small = await serve({ maxNumSeqs: 1, numBlocks: 8 });
    const prompts = [20, 21, 22].map((seed) => tokensOf(seed, 48));
    for (const prompt of prompts) await small.answer(prompt, 1);
    const cached: number[] = [];
    for (const prompt of prompts.toReversed()) {
      cached.push((await small.answer(prompt, 1)).cachedTokens);
    }
    // 9 blocks in 8 places: the last block of the first prompt went, and a hit has at most
    // floor(47 / 16) = 2 blocks. Then 100 tokens need 6 places, those of the third prompt first.
    expect(cached).toEqual([32, 32, 32]);
    await small.answer(tokensOf(23, 100), 1);
    expect((await small.answer(prompts[2] ?? [], 1)).cachedTokens).toBe(0);
  });

  it("changes no answer: greedy tokens are the same with it and without", async () => {
    const plain = await serve({ prefixCaching: false });
    const stems = [tokensOf(30, 70), tokensOf(31, 33)];
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            stem: fc.nat({ max: 1 }),
            kept: fc.nat({ max: 70 }),
            tail: fc.integer({ min: 1, max: 40 }),
            seed: fc.nat({ max: 3 }),
          }),
          { minLength: 2, maxLength: 6 },
        ),
        async (asked) => {
          const prompts = asked.map(({ stem, kept, tail, seed }) => [
            ...(stems[stem]?.slice(0, kept) ?? []),
            ...tokensOf(seed, tail),
          ]);
          const ask = async (served: Served): Promise<readonly (readonly number[])[]> =>
            (await Promise.all(prompts.map(async (prompt) => served.answer(prompt, 12)))).map(
              ({ tokens }) => tokens,
            );
          expect(await ask(engine)).toEqual(await ask(plain));
        },
      ),
      { numRuns: 12, seed: 1 },
    );
    expect(await plain.metric("prefix_cache_queries_total")).toBe(0);
    expect(await engine.metric("prefix_cache_hits_total")).toBeGreaterThan(0);
  });
});

describe("prompts of a cold workload", () => {
  it("never hit, in thousands of them over rounds and loads, as long as a block", async () => {
    const promptTokenizer = await localTokenizer(path);
    // As large as it gets: nothing is dropped that a later prompt could have hit.
    const cache = startPrefixCache({ blockSize, numBlocks: 1_000_000 });
    let prompts = 0;
    for (const tokens of [17, 32, 48]) {
      const workload: Workload = {
        name: `${tokens}`,
        input: { kind: "exact", tokens },
        output: { kind: "exact", tokens: 1 },
        cache: { kind: "cold" },
        endpoint: "completions",
        turns: 1,
      };
      for (const round of [1, 2, 3]) {
        const source = await makeRequestSource(
          { workload, model: "m", seed: `${tokens}/${round}`, runSeed: "1", projectRoot: "." },
          promptTokenizer,
        );
        for (let index = 0; index < 500; index += 1) {
          const { prompt } = z
            .object({ prompt: z.string() })
            .parse(JSON.parse(String(source.request(index)?.body)));
          const ids = tokenizer.encode(prompt);
          expect(cache.match(ids)).toEqual([]);
          let parent = cache.keep(undefined, ids.slice(0, blockSize), () => undefined);
          for (let end = 2 * blockSize; end <= ids.length; end += blockSize) {
            parent = cache.keep(parent, ids.slice(end - blockSize, end), () => undefined);
          }
          prompts += 1;
        }
      }
    }
    expect(prompts).toBe(4500);
  });
});
