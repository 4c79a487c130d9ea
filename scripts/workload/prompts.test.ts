import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import type { Workload } from "../experiment/experiment.ts";
import { longestRequestTokens, makeRequestSource, promptComposer } from "./prompts.ts";
import type { PromptRecipe } from "./recipe.ts";
import type { PreparedRequest } from "./requests.ts";
import {
  localTokenizer,
  type PromptContent,
  type PromptTokenizer,
  serverTokenizer,
} from "./tokenizer.ts";

const words = Array.from(
  { length: 100 },
  (_, index) => `w${String.fromCharCode(97 + (index % 26))}${index}`,
);

const wordsIn = (text: string): number => text.trim().split(" ").length;

/** One token a word, `overhead` more for what a server adds to each message or text. */
function wordTokenizer(overhead = 0): PromptTokenizer {
  return {
    source: "model folder",
    path: undefined,
    words,
    wordsAddUp: true,
    count: (prompt) =>
      typeof prompt === "string"
        ? wordsIn(prompt) + overhead
        : prompt.reduce((sum, { content }) => sum + wordsIn(content) + overhead, 0),
    countAnswer: wordsIn,
  };
}

const workload: Workload = {
  name: "64-8",
  input: { kind: "exact", tokens: 64 },
  output: { kind: "exact", tokens: 8 },
  cache: { kind: "cold" },
  endpoint: "completions",
  turns: 1,
};

function recipe(change: Partial<PromptRecipe> = {}): PromptRecipe {
  return { workload, model: "m", seed: "5eed", runSeed: "1", projectRoot: ".", ...change };
}

const body = z.object({
  prompt: z.string().optional(),
  messages: z.array(z.object({ role: z.string(), content: z.string() })).optional(),
  max_tokens: z.number(),
  min_tokens: z.number(),
  ignore_eos: z.literal(true),
});

function contentOf(request: PreparedRequest): PromptContent {
  const { prompt, messages } = body.parse(JSON.parse(request.body.toString("utf8")));
  return prompt ?? messages ?? "";
}

function textOf(request: PreparedRequest): string {
  const content = contentOf(request);
  return typeof content === "string" ? content : (content[0]?.content ?? "");
}

async function makeSource(
  made: PromptRecipe,
  tokenizer: PromptTokenizer,
): Promise<(index: number) => PreparedRequest> {
  const source = await makeRequestSource(made, tokenizer);
  return (index) => {
    const request = source.request(index);
    if (request === undefined) throw new Error(`no request ${index}`);
    return request;
  };
}

describe("prompts", () => {
  it("have exactly the asked length, for any length and any overhead of the server", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 500 }),
        fc.integer({ min: 0, max: 20 }),
        async (tokens, overhead) => {
          const tokenizer = wordTokenizer(overhead);
          const source = await makeSource(
            recipe({
              workload: { ...workload, input: { kind: "exact", tokens: tokens + overhead } },
            }),
            tokenizer,
          );
          const prepared = source(3);
          expect(prepared.inputTokens).toBe(tokens + overhead);
          expect(tokenizer.count(textOf(prepared))).toBe(tokens + overhead);
        },
      ),
    );
  });

  it("differ from the first token on while the vocabulary lasts, and are never the same", async () => {
    const source = await makeSource(recipe(), wordTokenizer());
    const texts = Array.from({ length: 1000 }, (_, index) => textOf(source(index)));
    const firstWords = new Set(
      texts.slice(0, words.length).map((text) => text.trim().split(" ")[0]),
    );
    expect(firstWords.size).toBe(words.length);
    expect(new Set(texts).size).toBe(1000);
  });

  it("are the same for the same seed and others for another", async () => {
    const first = (await makeSource(recipe(), wordTokenizer()))(7);
    const again = (await makeSource(recipe(), wordTokenizer()))(7);
    const other = (await makeSource(recipe({ seed: "07e4" }), wordTokenizer()))(7);
    expect(again.promptDigest).toBe(first.promptDigest);
    expect(other.promptDigest).not.toBe(first.promptDigest);
  });

  it("share exactly the asked prefix, across trials too", async () => {
    const shared = recipe({ workload: { ...workload, cache: { kind: "shared", tokens: 20 } } });
    const one = textOf((await makeSource(shared, wordTokenizer()))(0))
      .trim()
      .split(" ");
    const two = textOf((await makeSource({ ...shared, seed: "b" }, wordTokenizer()))(1))
      .trim()
      .split(" ");
    expect(two.slice(0, 20)).toEqual(one.slice(0, 20));
    expect(two[20]).not.toBe(one[20]);
  });

  it("are all one in a warm workload", async () => {
    const source = await makeSource(
      recipe({ workload: { ...workload, cache: { kind: "warm" } } }),
      wordTokenizer(),
    );
    expect(source(9).promptDigest).toBe(source(0).promptDigest);
  });

  it("ask for exactly the planned output", async () => {
    const { body: bytes } = (await makeSource(recipe(), wordTokenizer()))(0);
    expect(body.parse(JSON.parse(bytes.toString("utf8")))).toMatchObject({
      max_tokens: 8,
      min_tokens: 8,
    });
  });

  it("stay within a uniform range, and near the mean of a normal one", async () => {
    const uniform = await makeSource(
      recipe({ workload: { ...workload, input: { kind: "uniform", min: 10, max: 20 } } }),
      wordTokenizer(),
    );
    const lengths = Array.from({ length: 200 }, (_, index) => uniform(index).inputTokens);
    expect(Math.min(...lengths)).toBe(10);
    expect(Math.max(...lengths)).toBe(20);
    const normal = await makeSource(
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
    const source = await makeSource(
      recipe({ workload: { ...workload, input: { kind: "exact", tokens: 8 } } }),
      wordTokenizer(10),
    );
    expect(() => source(0)).toThrow(/at least 11 tokens/);
  });

  it("are corrected when a chat template trims the message", async () => {
    const plain = wordTokenizer(5);
    // Words that follow no space are two tokens, unless they are of this half of the vocabulary.
    const trimming: PromptTokenizer = {
      ...plain,
      count: (prompt) =>
        Number(plain.count(prompt)) +
        (/^ ?w[a-m]/.test(typeof prompt === "string" ? prompt : (prompt[0]?.content ?? ""))
          ? 1
          : 0),
    };
    const source = await makeSource(
      recipe({ workload: { ...workload, endpoint: "chat" } }),
      trimming,
    );
    for (let index = 0; index < 40; index += 1)
      expect(trimming.count(contentOf(source(index)))).toBe(64);
  });
});

describe("conversations", () => {
  const turns = 3;
  const conversation: Workload = {
    ...workload,
    input: { kind: "exact", tokens: 40 },
    output: { kind: "uniform", min: 3, max: 9 },
    turns,
  };

  it.each(["completions", "chat"] as const)(
    "carry earlier turns and answers of the planned length, %s",
    async (endpoint) => {
      const tokenizer = wordTokenizer(4);
      const source = await makeSource(
        recipe({ workload: { ...conversation, endpoint } }),
        tokenizer,
      );
      for (const start of [0, 3, 27]) {
        const [first, second, third] = [source(start), source(start + 1), source(start + 2)];
        expect(first.inputTokens).toBe(40);
        // Each turn adds 40 to what was said and answered before.
        expect(second.inputTokens).toBe(40 + first.outputTokens + 40);
        expect(third.inputTokens).toBe(second.inputTokens + second.outputTokens + 40);
        for (const request of [first, second, third])
          expect(tokenizer.count(contentOf(request))).toBe(request.inputTokens);
        const [before, after] = [contentOf(second), contentOf(third)];
        if (typeof before === "string" || typeof after === "string") {
          expect(textOf(third).startsWith(textOf(second))).toBe(true);
        } else {
          expect(after.map(({ role }) => role)).toEqual([
            "user",
            "assistant",
            "user",
            "assistant",
            "user",
          ]);
          expect(after.slice(0, 3)).toEqual(before);
          expect(wordsIn(after[3]?.content ?? "")).toBe(second.outputTokens);
        }
      }
      expect(textOf(source(0)).split(" ")[1]).not.toBe(textOf(source(3)).split(" ")[1]);
    },
  );

  it("are the same in whatever order their turns are asked for", async () => {
    const made = recipe({ workload: { ...conversation, endpoint: "chat" } });
    const forth = await makeSource(made, wordTokenizer(4));
    const back = await makeSource(made, wordTokenizer(4));
    const digests = [0, 1, 2, 3, 4, 5].map((index) => forth(index).promptDigest);
    expect([5, 4, 3, 2, 1, 0].map((index) => back(index).promptDigest).reverse()).toEqual(digests);
  });
});

describe("prompts of a trace", () => {
  const blockTokens = 16;
  const trace = [
    { atMs: 0, inputTokens: 40, outputTokens: 5, prefixIds: ["a", "b"], blockTokens },
    { atMs: 1, inputTokens: 40, outputTokens: 6, prefixIds: ["a", "b", "c"], blockTokens },
    { atMs: 2, inputTokens: 40, outputTokens: 7, prefixIds: ["a", "x"], blockTokens },
    { atMs: 3, inputTokens: 20, outputTokens: 8, prefixIds: [], blockTokens },
  ];

  it("have its lengths, and begin alike as far as its ids do", async () => {
    const tokenizer = wordTokenizer(2);
    const source = await makeRequestSource(recipe({ trace }), tokenizer);
    expect(source.total).toBe(4);
    const requests = [0, 1, 2, 3].flatMap((index) => source.request(index) ?? []);
    expect(requests.map(({ inputTokens }) => inputTokens)).toEqual([40, 40, 40, 20]);
    expect(requests.map(({ outputTokens }) => outputTokens)).toEqual([5, 6, 7, 8]);
    for (const request of requests)
      expect(tokenizer.count(textOf(request))).toBe(request.inputTokens);
    const [ab, abc, ax, none] = requests.map((request) => textOf(request).trim().split(" "));
    expect(abc?.slice(0, 32)).toEqual(ab?.slice(0, 32));
    expect(abc?.[32]).not.toBe(ab?.[32]);
    expect(ax?.slice(0, 16)).toEqual(ab?.slice(0, 16));
    expect(ax?.slice(16, 32)).not.toEqual(ab?.slice(16, 32));
    expect(none?.[0]).not.toBe(ab?.[0]);
    expect(source.request(4)).toBeUndefined();
  });
});

describe("a trace that does not fit", () => {
  it("is told: what was raised to the least prompt, and what the engine can't take", async () => {
    const trace = [3, 50, 90].map((inputTokens, atMs) => ({
      atMs,
      inputTokens,
      outputTokens: 10,
      prefixIds: [],
      blockTokens: 16,
    }));
    const made = { ...recipe({ trace }), longestTokens: 80 };
    const composer = await promptComposer(made, wordTokenizer(5));
    expect(composer.compose(0, true).inputTokens).toBe(6);
    expect(composer.notes()).toEqual([
      "1 of the 3 requests of the trace are shorter than any prompt of this model and endpoint: they were made 6 tokens long",
      "1 of the 3 requests of the trace are beyond the 80 tokens that the engine takes: they were sent as they are",
    ]);
  });
});

describe("the tokenizer of a model folder", () => {
  const folder = join(import.meta.dirname, "../../data/models/tiny-qwen3");

  it("makes prompts of exact length in both forms", async () => {
    const tokenizer = await localTokenizer(folder);
    for (const endpoint of ["completions", "chat"] as const) {
      const source = await makeSource(
        recipe({ workload: { ...workload, endpoint, input: { kind: "exact", tokens: 300 } } }),
        tokenizer,
      );
      for (const index of [0, 1, 2, 50]) {
        expect(tokenizer.count(contentOf(source(index)))).toBe(300);
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
    expect((await makeSource(recipe(), honest))(0).inputTokens).toBe(64);
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
    // Three turns of 64 + 8: the last one carries the two before it.
    expect(longestRequestTokens({ ...workload, turns: 3 })).toBe(216);
    expect(
      longestRequestTokens({ ...workload, input: { kind: "normal", mean: 5, cv: 1 } }),
    ).toBeUndefined();
  });
});
