import { readFile } from "node:fs/promises";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { readModelFolder } from "./model-folder.ts";
import { loadTokenizer, type ServingTokenizer } from "./tokenizer.ts";

describe("the tiny model's tokenizer", () => {
  let tokenizer: ServingTokenizer;
  beforeAll(async () => {
    tokenizer = await loadTokenizer(await readModelFolder("data/models/tiny-qwen3", "fp32"));
  });

  it("has at least 400 English words that are one token with a space before them", async () => {
    const corpus = await readFile("data/models/corpus.txt", "utf8");
    const words = new Set(corpus.match(/\b[a-z]{2,}\b/g));
    const whole = [...words].filter((word) => tokenizer.encode(` ${word}`).length === 1);
    expect(whole.length).toBeGreaterThanOrEqual(400);
    // Joined, they stay one token each.
    expect(tokenizer.encode(whole.map((word) => ` ${word}`).join(""))).toHaveLength(whole.length);
  });

  it("gives back the bytes of any text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        const bytes = tokenizer.encode(text).flatMap((token) => [...tokenizer.bytesOf(token)]);
        expect(new TextDecoder().decode(Uint8Array.from(bytes))).toBe(text.normalize("NFC"));
      }),
    );
  });

  it("writes a chat as ChatML, and special tokens have no bytes", () => {
    const text = tokenizer.renderChat([{ role: "user", content: "你好" }], true);
    expect(text).toBe("<|im_start|>user\n你好<|im_end|>\n<|im_start|>assistant\n");
    const [start = -1] = tokenizer.encode(text);
    expect(tokenizer.bytesOf(start)).toHaveLength(0);
    expect(tokenizer.decode([start])).toBe("<|im_start|>");
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  });
});
