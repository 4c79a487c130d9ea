import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { afterAll, describe, expect, it } from "vitest";
import type { Workload } from "../experiment/experiment.ts";
import { firstWaveParts } from "./first-wave.ts";
import { promptThreads } from "./prompt-threads.ts";
import { makeRequestSource } from "./prompts.ts";
import { proveLengths } from "./prove-lengths.ts";
import type { PromptRecipe } from "./recipe.ts";
import { batchedSource } from "./request-batch.ts";
import { requestMaker } from "./request-maker.ts";
import type { RequestBatch, RequestSource } from "./requests.ts";
import { localTokenizer, type PromptContent, type PromptTokenizer } from "./tokenizer.ts";

const folder = mkdtempSync(join(tmpdir(), "benchbook-requests-"));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const words = Array.from(
  { length: 100 },
  (_, index) => `w${String.fromCharCode(97 + (index % 26))}${index}`,
);

const wordsIn = (text: string): number => text.trim().split(" ").length;
const plain = (prompt: PromptContent): string => (typeof prompt === "string" ? prompt : "");

const wordTokenizer: PromptTokenizer = {
  source: "model folder",
  path: undefined,
  words,
  wordsAddUp: true,
  count: (prompt) => wordsIn(plain(prompt)),
  countAnswer: () => undefined,
};

const workload: Workload = {
  name: "64-8",
  input: { kind: "exact", tokens: 64 },
  output: { kind: "exact", tokens: 8 },
  cache: { kind: "cold" },
  endpoint: "completions",
  turns: 1,
};

function recipe(change: Partial<Workload> = {}, seed = "5eed"): PromptRecipe {
  return { workload: { ...workload, ...change }, model: "m", seed, runSeed: "1", projectRoot: "." };
}

function requestsOf(source: RequestSource, from: number, count: number) {
  return Array.from({ length: count }, (_, place) => {
    const request = source.request(from + place);
    if (request === undefined) throw new Error(`no request ${from + place}`);
    return { ...request, body: request.body.toString("utf8") };
  });
}

function sourceOf(...batches: readonly RequestBatch[]) {
  const source = batchedSource();
  for (const batch of batches) source.add(batch);
  return source;
}

describe("a request maker", () => {
  it("makes the same requests as the direct source, in one batch or several", async () => {
    const direct = requestsOf(await makeRequestSource(recipe(), wordTokenizer), 0, 300);
    const maker = await requestMaker(recipe(), wordTokenizer, { folder });
    const parts = sourceOf(await maker.make(0, 100), await maker.make(100, 200));
    expect(requestsOf(parts, 0, 300)).toEqual(direct);
    const whole = await requestMaker(recipe(), wordTokenizer, { folder });
    expect(requestsOf(sourceOf(await whole.make(0, 300)), 0, 300)).toEqual(direct);
    const digest = createHash("sha256");
    for (const { promptDigest } of direct) digest.update(Buffer.from(promptDigest, "hex"));
    expect(whole.digest()).toBe(digest.digest("hex"));
    expect(maker.digest()).toBe(whole.digest());
  });

  it("asks the first wave for parts of its answers, by the same prompts, and the rest for all", async () => {
    const output = { kind: "exact", tokens: 200 } as const;
    const whole = await requestMaker(recipe({ output }), wordTokenizer, { folder });
    const firstWave = { requests: 5, seed: "trial" };
    const cut = await requestMaker({ ...recipe({ output }), firstWave }, wordTokenizer, { folder });
    const usual = requestsOf(sourceOf(await whole.make(0, 12)), 0, 12);
    const parts = sourceOf(await cut.make(0, 3), await cut.make(3, 9));
    const made = requestsOf(parts, 0, 12);
    expect(made.slice(5)).toEqual(usual.slice(5));
    const lengths = made.slice(0, 5).map(({ outputTokens }) => outputTokens);
    expect(lengths).toEqual(
      firstWaveParts(firstWave).map((part) => Math.max(1, Math.ceil(200 * part))),
    );
    expect(Math.min(...lengths)).toBeLessThan(200);
    for (const [index, { body, outputTokens, promptDigest, inputTokens }] of made.entries()) {
      expect(JSON.parse(body)).toMatchObject({
        max_tokens: outputTokens,
        min_tokens: outputTokens,
      });
      expect({ promptDigest, inputTokens }).toEqual({
        promptDigest: usual[index]?.promptDigest,
        inputTokens: 64,
      });
    }
    expect(cut.digest()).toBe(whole.digest());
  });

  it("keeps a large batch in a file, which close removes and a reader may still read", async () => {
    const spill = join(folder, "spill");
    const maker = await requestMaker(recipe(), wordTokenizer, { folder: spill, mostBytes: 10_000 });
    const batch = await maker.make(0, 300);
    expect(batch.bodies.kind).toBe("file");
    const source = sourceOf(batch);
    const direct = requestsOf(await makeRequestSource(recipe(), wordTokenizer), 0, 300);
    expect(requestsOf(source, 0, 150)).toEqual(direct.slice(0, 150));
    await maker.close();
    expect(readdirSync(spill)).toEqual([]);
    await turn();
    expect(requestsOf(source, 150, 150)).toEqual(direct.slice(150));
    expect(requestsOf(source, 7, 1)).toEqual(direct.slice(7, 8));
    source.close();
  });

  it("writes nothing where all fits into memory", async () => {
    const unused = join(folder, "unused");
    const maker = await requestMaker(recipe(), wordTokenizer, { folder: unused });
    await maker.make(0, 10);
    await maker.close();
    expect(existsSync(unused)).toBe(false);
  });

  it("counts every prompt of a part as a whole once one disagrees with the sum of its words", async () => {
    // Two words that are one token together, which no vocabulary check saw: "wa0 wb1".
    const merging: PromptTokenizer = {
      ...wordTokenizer,
      words: words.slice(0, 64),
      count: (prompt) => {
        const text = plain(prompt);
        return wordsIn(text) - (text.match(/ w\w*1 w\w*2\b/g)?.length ?? 0);
      },
    };
    const made = recipe({ input: { kind: "exact", tokens: 2000 } });
    const maker = await requestMaker(made, merging, { folder });
    const source = sourceOf(await maker.make(0, 20));
    for (const { body } of requestsOf(source, 0, 20)) {
      const { prompt } = JSON.parse(body) as { prompt: string };
      expect(merging.count(prompt)).toBe(2000);
    }
    expect(maker.notes().join()).toMatch(/20 in all/);
  });

  it("ends where a trace does", async () => {
    const trace = [0, 1, 2].map((atMs) => ({
      atMs,
      inputTokens: 9,
      outputTokens: 2,
      prefixIds: [],
      blockTokens: 16,
    }));
    const maker = await requestMaker({ ...recipe(), trace }, wordTokenizer, { folder });
    const batch = await maker.make(0, 10);
    expect([batch.count, batch.total]).toEqual([3, 3]);
    expect((await maker.make(3, 10)).count).toBe(0);
  });
});

describe("a batched source", () => {
  it("tells when more came, and knows nothing of what has not", async () => {
    const maker = await requestMaker(recipe({ turns: 2 }), wordTokenizer, { folder });
    const source = batchedSource();
    let told = 0;
    source.onMore(() => {
      told += 1;
    });
    expect(source.request(0)).toBeUndefined();
    source.add(await maker.make(0, 4));
    expect([told, source.turns, source.total]).toEqual([1, 2, undefined]);
    expect(source.request(3)?.inputTokens).toBe(64 + 8 + 64);
    expect(source.request(4)).toBeUndefined();
    source.add(await maker.make(4, 4));
    expect(told).toBe(2);
    expect(source.request(4)?.inputTokens).toBe(64);
  });

  it("shares its memory with other threads, and its bodies can be written to a socket", async () => {
    const maker = await requestMaker(recipe(), wordTokenizer, { folder });
    const batch = await maker.make(0, 3);
    const echo = new Worker(
      `const { parentPort } = require("node:worker_threads");
       parentPort.once("message", ({ bodies, offsets }) => {
         const ends = new Float64Array(offsets);
         parentPort.postMessage(Buffer.from(bodies.bytes, ends[1], ends[2] - ends[1]).toString());
       });`,
      { eval: true },
    );
    const answered = new Promise((resolve) => echo.once("message", resolve));
    echo.postMessage(batch);
    const body = sourceOf(batch).request(1)?.body;
    expect(await answered).toBe(body?.toString());
    await echo.terminate();

    const received = await new Promise<string>((resolve) => {
      const server = createServer((request, response) => {
        const parts: Buffer[] = [];
        request.on("data", (part: Buffer) => parts.push(part));
        request.on("end", () => {
          response.end();
          server.close();
          resolve(Buffer.concat(parts).toString());
        });
      });
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address() as AddressInfo;
        const socket = connect(port, "127.0.0.1");
        const bytes = body ?? Buffer.alloc(0);
        socket.write(
          `POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: ${bytes.length}\r\n\r\n`,
        );
        socket.write(bytes);
        socket.resume();
      });
    });
    expect(received).toBe(body?.toString());
  });
});

describe("threads that make prompts", () => {
  const model = join(import.meta.dirname, "../../data/models/tiny-qwen3");

  it("make the same requests as this thread, load a tokenizer once, and report mistakes as such", async () => {
    const tokenizer = await localTokenizer(model);
    const threads = promptThreads({ count: 2 });
    try {
      expect(threads.isReady(model)).toBe(false);
      await threads.prepare(model);
      expect(threads.isReady(model)).toBe(true);
      const made = { ...recipe(), firstWave: { requests: 16, seed: "trial" } };
      const here = requestsOf(await makeRequestSource(made, tokenizer), 0, 256);
      const ranges = [
        { from: 0, to: 128 },
        { from: 128, to: 256 },
      ];
      const composed = await Promise.all(
        ranges.map((range) => threads.compose(made, range, model)),
      );
      expect(composed.map(({ packed }) => Buffer.from(packed.bodies).toString()).join("")).toBe(
        here.map(({ body }) => body).join(""),
      );
      expect(await threads.countTokens(["a b", [{ role: "user", content: "a b" }]], model)).toEqual(
        [tokenizer.count("a b"), tokenizer.count([{ role: "user", content: "a b" }])],
      );
      const impossible = recipe({ endpoint: "chat", input: { kind: "exact", tokens: 1 } });
      await expect(threads.compose(impossible, { from: 0, to: 1 }, model)).rejects.toMatchObject({
        name: "UserError",
        message: expect.stringMatching(/too short/) as string,
      });
      await expect(threads.countTokens([], `${model}-not`)).rejects.toThrow(/no tokenizer.json/);
      await threads.rest();
      expect(threads.isReady(model)).toBe(false);
      expect(await threads.countTokens(["a b"], model)).toEqual([tokenizer.count("a b")]);
    } finally {
      await threads.close();
    }
    await expect(threads.countTokens([], model)).rejects.toThrow(/closed/);
  });

  it("give the same batch through a maker, whoever makes it", async () => {
    const tokenizer = await localTokenizer(model);
    const threads = promptThreads({ count: 2 });
    try {
      await threads.prepare(model);
      const made = recipe({ input: { kind: "exact", tokens: 3000 } });
      const alone = await requestMaker(made, tokenizer, { folder });
      const shared = await requestMaker(made, tokenizer, { folder, threads });
      const first = requestsOf(sourceOf(await alone.make(0, 400)), 0, 400);
      const second = requestsOf(sourceOf(await shared.make(0, 400)), 0, 400);
      expect(second).toEqual(first);
      expect(shared.digest()).toBe(alone.digest());
    } finally {
      await threads.close();
    }
  });
});

describe("a large dataset", () => {
  const model = join(import.meta.dirname, "../../data/models/tiny-qwen3");

  it("is counted in threads as it is here", async () => {
    const lines = Array.from({ length: 40 }, (_, index) =>
      JSON.stringify({ prompt: `${index} ${"some words of it, ".repeat(1500 + index)}` }),
    );
    writeFileSync(join(folder, "large.jsonl"), `${lines.join("\n")}\n`);
    const dataset = {
      kind: "dataset",
      path: "large.jsonl",
      longestTokens: undefined,
      repeat: false,
    } as const;
    const made = { ...recipe({ input: dataset }), projectRoot: folder };
    const threads = promptThreads({ count: 2 });
    try {
      await threads.prepare(model);
      const alone = await requestMaker(made, await localTokenizer(model), { folder });
      const shared = await requestMaker(made, await localTokenizer(model), { folder, threads });
      const first = requestsOf(sourceOf(await alone.make(0, 40)), 0, 40);
      expect(requestsOf(sourceOf(await shared.make(0, 40)), 0, 40)).toEqual(first);
      expect(new Set(first.map(({ inputTokens }) => inputTokens)).size).toBe(40);
    } finally {
      await threads.close();
    }
  });
});

describe("proof of lengths", () => {
  const promptOf = (body: unknown): string => (body as { prompt: string }).prompt;
  const count = (body: unknown): number => wordsIn(promptOf(body));

  it("asks the server for the first, the last and some between", async () => {
    const maker = await requestMaker(recipe(), wordTokenizer, { folder });
    const batch = await maker.make(0, 100);
    const asked: string[] = [];
    const proof = await proveLengths(batch, (body) => {
      asked.push(promptOf(body));
      return Promise.resolve({ count: count(body) });
    });
    expect(proof).toEqual({ checked: 5 });
    const texts = requestsOf(sourceOf(batch), 0, 100).map(({ body }) => promptOf(JSON.parse(body)));
    expect(asked[0]).toBe(texts[0]);
    expect(asked.at(-1)).toBe(texts[99]);
  });

  it("says both counts where they differ", async () => {
    const source = await makeRequestSource(recipe(), wordTokenizer);
    await expect(
      proveLengths({ source, count: 10 }, (body) => Promise.resolve({ count: count(body) + 1 })),
    ).rejects.toThrow(/server counts 65 tokens where the tokenizer here counts 64/);
  });

  it("is undefined where the server can't count", async () => {
    const source = await makeRequestSource(recipe(), wordTokenizer);
    expect(
      await proveLengths({ source, count: 10 }, () => Promise.resolve(undefined)),
    ).toBeUndefined();
  });
});
