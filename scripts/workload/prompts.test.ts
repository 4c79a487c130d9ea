import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import type { Workload } from "../experiment/experiment.ts";
import { longestRequestTokens, makeRequestSource, type PromptRecipe } from "./prompts.ts";
import { localTokenizer, type PromptTokenizer, serverTokenizer } from "./tokenizer.ts";

const words = Array.from(
  { length: 100 },
  (_, index) => `w${String.fromCharCode(97 + (index % 26))}${index}`,
);

/** One token a word, `overhead` more for what a server adds. */
function wordTokenizer(overhead = 0): PromptTokenizer {
  return {
    source: "model folder",
    words,
    count: (text) => text.trim().split(" ").length + overhead,
    countAnswer: (text) => text.trim().split(" ").length,
  };
}

const workload: Workload = {
  name: "64-8",
  input: { kind: "exact", tokens: 64 },
  output: { kind: "exact", tokens: 8 },
  cache: { kind: "cold" },
  endpoint: "completions",
};

function recipe(change: Partial<PromptRecipe> = {}): PromptRecipe {
  return { workload, model: "m", seed: "5eed", runSeed: "1", prepare: 0, ...change };
}

const body = z.object({
  prompt: z.string().optional(),
  messages: z.array(z.object({ content: z.string() })).optional(),
  max_tokens: z.number(),
  min_tokens: z.number(),
  ignore_eos: z.literal(true),
});

function textOf(buffer: Buffer): string {
  const parsed = body.parse(JSON.parse(buffer.toString("utf8")));
  return parsed.prompt ?? parsed.messages?.[0]?.content ?? "";
}

describe("prompts", () => {
  it("have exactly the asked length, for any length and any overhead of the server", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 500 }),
        fc.integer({ min: 0, max: 20 }),
        async (tokens, overhead) => {
          const tokenizer = wordTokenizer(overhead);
          const source = await makeRequestSource(
            recipe({
              workload: { ...workload, input: { kind: "exact", tokens: tokens + overhead } },
            }),
            tokenizer,
          );
          const prepared = source(3);
          expect(prepared.inputTokens).toBe(tokens + overhead);
          expect(tokenizer.count(textOf(prepared.body), "completions")).toBe(tokens + overhead);
        },
      ),
    );
  });

  it("differ from the first token on while the vocabulary lasts, and are never the same", async () => {
    const source = await makeRequestSource(recipe(), wordTokenizer());
    const texts = Array.from({ length: 1000 }, (_, index) => textOf(source(index).body));
    const firstWords = new Set(
      texts.slice(0, words.length).map((text) => text.trim().split(" ")[0]),
    );
    expect(firstWords.size).toBe(words.length);
    expect(new Set(texts).size).toBe(1000);
  });

  it("are the same for the same seed and others for another", async () => {
    const first = (await makeRequestSource(recipe(), wordTokenizer()))(7);
    const again = (await makeRequestSource(recipe({ prepare: 50 }), wordTokenizer()))(7);
    const other = (await makeRequestSource(recipe({ seed: "07e4" }), wordTokenizer()))(7);
    expect(again.promptDigest).toBe(first.promptDigest);
    expect(other.promptDigest).not.toBe(first.promptDigest);
  });

  it("share exactly the asked prefix, across trials too", async () => {
    const shared = recipe({ workload: { ...workload, cache: { kind: "shared", tokens: 20 } } });
    const one = textOf((await makeRequestSource(shared, wordTokenizer()))(0).body)
      .trim()
      .split(" ");
    const two = textOf((await makeRequestSource({ ...shared, seed: "b" }, wordTokenizer()))(1).body)
      .trim()
      .split(" ");
    expect(two.slice(0, 20)).toEqual(one.slice(0, 20));
    expect(two[20]).not.toBe(one[20]);
  });

  it("are all one in a warm workload", async () => {
    const source = await makeRequestSource(
      recipe({ workload: { ...workload, cache: { kind: "warm" } } }),
      wordTokenizer(),
    );
    expect(source(9).promptDigest).toBe(source(0).promptDigest);
  });

  it("ask for exactly the planned output", async () => {
    const { body: bytes } = (await makeRequestSource(recipe(), wordTokenizer()))(0);
    expect(body.parse(JSON.parse(bytes.toString("utf8")))).toMatchObject({
      max_tokens: 8,
      min_tokens: 8,
    });
  });

  it("stay within a uniform range, and near the mean of a normal one", async () => {
    const uniform = await makeRequestSource(
      recipe({ workload: { ...workload, input: { kind: "uniform", min: 10, max: 20 } } }),
      wordTokenizer(),
    );
    const lengths = Array.from({ length: 200 }, (_, index) => uniform(index).inputTokens);
    expect(Math.min(...lengths)).toBe(10);
    expect(Math.max(...lengths)).toBe(20);
    const normal = await makeRequestSource(
      recipe({ workload: { ...workload, input: { kind: "normal", mean: 200, cv: 0.1 } } }),
      wordTokenizer(),
    );
    const mean =
      Array.from({ length: 400 }, (_, index) => normal(index).inputTokens).reduce((a, b) => a + b) /
      400;
    // Standard error of the mean: 20 / sqrt(400) = 1; five of them.
    expect(Math.abs(mean - 200)).toBeLessThan(5);
  });

  it("are refused when the template leaves no room, with the shortest possible length", async () => {
    const source = await makeRequestSource(
      recipe({ workload: { ...workload, input: { kind: "exact", tokens: 8 } } }),
      wordTokenizer(10),
    );
    expect(() => source(0)).toThrow(/at least 11 tokens/);
  });

  it("are corrected when a chat template trims the message", async () => {
    // Trimmed, the first word counts as two tokens.
    const trimming = wordTokenizer(5);
    const source = await makeRequestSource(
      recipe({ workload: { ...workload, endpoint: "chat" } }),
      trimming,
    );
    expect(trimming.count(textOf(source(2).body), "chat")).toBe(64);
  });
});

describe("the tokenizer of a model folder", () => {
  const folder = join(import.meta.dirname, "../../data/models/tiny-qwen3");

  it("makes prompts of exact length in both forms", async () => {
    const tokenizer = await localTokenizer(folder);
    for (const endpoint of ["completions", "chat"] as const) {
      const source = await makeRequestSource(
        recipe({ workload: { ...workload, endpoint, input: { kind: "exact", tokens: 300 } } }),
        tokenizer,
      );
      for (const index of [0, 1, 2, 50]) {
        expect(tokenizer.count(textOf(source(index).body), endpoint)).toBe(300);
      }
    }
  });

  it("says what is missing where there is none", async () => {
    await expect(localTokenizer(join(folder, "nowhere"))).rejects.toThrow(/no tokenizer.json/);
  });
});

describe("the tokenizer of a server", () => {
  it("is undefined when the server has no /tokenize", async () => {
    expect(await serverTokenizer(() => Promise.resolve(undefined))).toBeUndefined();
  });

  it("proves a sample of prompts and refuses when its counts disagree", async () => {
    const askedBody = z.object({ prompt: z.string() });
    const honest = await serverTokenizer((asked) =>
      Promise.resolve({ count: askedBody.parse(asked).prompt.trim().split(" ").length }),
    );
    if (honest === undefined) throw new Error("the server answered, so there is a tokenizer");
    expect((await makeRequestSource(recipe(), honest))(0).inputTokens).toBe(64);
    // A server that merges two neighbouring words now and then.
    const merging = await serverTokenizer((asked) => {
      const count = askedBody.parse(asked).prompt.trim().split(" ").length;
      return Promise.resolve({ count: count > 20 ? count - 1 : count });
    });
    if (merging === undefined) throw new Error("the server answered, so there is a tokenizer");
    await expect(makeRequestSource(recipe(), merging)).rejects.toThrow(/counts 63/);
  });
});

describe("the longest request", () => {
  it("is known for exact and uniform lengths, and not for open-ended ones", () => {
    expect(longestRequestTokens(workload)).toBe(72);
    expect(
      longestRequestTokens({ ...workload, output: { kind: "uniform", min: 1, max: 100 } }),
    ).toBe(164);
    expect(
      longestRequestTokens({ ...workload, input: { kind: "normal", mean: 5, cv: 1 } }),
    ).toBeUndefined();
  });
});
