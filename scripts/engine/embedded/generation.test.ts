import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type GenerationSettings, type GenerationStep, startGeneration } from "./generation.ts";

const settings: GenerationSettings = {
  temperature: 0,
  topP: 1,
  seed: 0,
  maxTokens: 100,
  minTokens: 0,
  ignoreEos: false,
  stop: [],
};

/** Generates the given pieces one after another: piece n is token n, and the end is the token after them. */
function generate(
  pieces: readonly Uint8Array[],
  order: readonly number[],
  changed: Partial<GenerationSettings>,
): readonly GenerationStep[] {
  const end = pieces.length;
  const step = startGeneration(
    { ...settings, ...changed },
    { endTokens: [end], bytesOf: (token) => pieces[token] ?? new Uint8Array() },
  );
  const made: GenerationStep[] = [];
  for (const token of order) {
    // The wanted token first, then token 0 for the case that it may not be chosen.
    const logits = new Float32Array(pieces.length + 1);
    logits[0] = 0.5;
    logits[token] = 1;
    const one = step(logits);
    made.push(one);
    if (one.finishReason !== undefined) break;
  }
  return made;
}

const utf8 = new TextEncoder();

function generateText(
  texts: readonly string[],
  changed: Partial<GenerationSettings>,
): { readonly texts: readonly string[]; readonly last: GenerationStep | undefined } {
  const made = generate(
    texts.map((text) => utf8.encode(text)),
    texts.map((_, place) => place),
    changed,
  );
  return { texts: made.map(({ text }) => text), last: made.at(-1) };
}

describe("generation", () => {
  it("holds half a character back until the rest is there, wherever the bytes are cut", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "grapheme", minLength: 1 }),
        fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1 }),
        (text, sizes) => {
          const bytes = utf8.encode(text);
          const pieces: Uint8Array[] = [];
          for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
            const size = sizes[turn % sizes.length] ?? 1;
            pieces.push(bytes.slice(at, at + size));
            at += size;
          }
          const made = generate(
            pieces,
            pieces.map((_, place) => place),
            { maxTokens: pieces.length },
          );
          expect(made.map((step) => step.text).join("")).toBe(text);
          expect(
            made.some((step) => step.text.includes("\u{FFFD}") && !text.includes("\u{FFFD}")),
          ).toBe(false);
        },
      ),
    );
  });

  it("drops a character that is never completed, and replaces a byte that can belong to none", () => {
    const [first = 0, second = 0] = utf8.encode("块");
    const open = generate([Uint8Array.of(first, second)], [0], { maxTokens: 1 });
    expect(open.map(({ text }) => text)).toEqual([""]);
    const stray = generate([Uint8Array.of(second)], [0], { maxTokens: 1 });
    expect(stray.map(({ text }) => text)).toEqual(["\u{FFFD}"]);
  });

  it("ends at the limit with the reason length", () => {
    const { texts, last } = generateText(["a", "b", "c"], { maxTokens: 2 });
    expect(texts).toEqual(["a", "b"]);
    expect(last?.finishReason).toBe("length");
  });

  it("ends at the model's own end, unless told to ignore it", () => {
    const pieces = ["a", "b"].map((text) => utf8.encode(text));
    const stopped = generate(pieces, [0, 2, 1], {});
    expect(stopped.map(({ token, finishReason }) => [token, finishReason])).toEqual([
      [0, undefined],
      [2, "stop"],
    ]);
    const ignored = generate(pieces, [0, 2, 1], { ignoreEos: true, maxTokens: 3 });
    expect(ignored.map(({ token, text }) => [token, text])).toEqual([
      [0, "a"],
      [2, ""],
      [1, "b"],
    ]);
  });

  it("does not choose the model's own end before min_tokens", () => {
    const pieces = ["a", "b"].map((text) => utf8.encode(text));
    const made = generate(pieces, [2, 2, 2], { minTokens: 2 });
    expect(made.map(({ token }) => token)).toEqual([0, 0, 2]);
    expect(made.at(-1)?.finishReason).toBe("stop");
  });

  it("ends before a stop string, also one that is spread over tokens, and never sends a part of it", () => {
    const { texts, last } = generateText(["one", " E", "N", "D", " more"], { stop: [" END"] });
    expect(texts).toEqual(["one", "", "", ""]);
    expect(last).toMatchObject({ finishReason: "stop", stopString: " END" });
  });

  it("gives out what only looked like a stop string", () => {
    const { texts } = generateText(["one", " E", "N", "T", "!"], { stop: [" END", "!"] });
    expect(texts).toEqual(["one", "", "", " ENT", ""]);
    expect(generateText(["x E"], { stop: [" END"], maxTokens: 1 }).texts).toEqual(["x E"]);
  });

  it("takes the stop string that begins first, and only after min_tokens", () => {
    expect(generateText(["abcd"], { stop: ["cd", "b"] }).last).toMatchObject({
      text: "a",
      stopString: "b",
    });
    const { texts } = generateText(["b", "a", "b", "c"], { stop: ["b"], minTokens: 2 });
    expect(texts).toEqual(["b", "a", ""]);
  });
});
