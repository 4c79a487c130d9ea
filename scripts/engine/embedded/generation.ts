// The life of one answer: logits in, tokens and printable text out, until it ends. It decides what
// ends an answer (the model's own end, a stop string, the limit) and never gives out half a character.
import { type SamplingSettings, startSampling } from "./sampling.ts";

export interface GenerationSettings extends SamplingSettings {
  /** At least 1. */
  readonly maxTokens: number;
  /** Until so many tokens are made, neither the model's own end nor a stop string ends the answer. */
  readonly minTokens: number;
  /** The model's own end is a token like any other. */
  readonly ignoreEos: boolean;
  /** The first of these that appears ends the answer and is not part of it. */
  readonly stop: readonly string[];
}

/** What one step added to an answer. */
export interface GenerationStep {
  readonly token: number;
  /** Text that is certain to belong to the answer; "" while a character or a stop string is open. */
  readonly text: string;
  readonly finishReason: FinishReason | undefined;
  /** The stop string that was met. */
  readonly stopString: string | undefined;
}

export type FinishReason = "stop" | "length";

export interface Vocabulary {
  readonly endTokens: readonly number[];
  /** What a token adds to the text; nothing for special tokens. */
  bytesOf(token: number): Uint8Array;
}

/** A function to call with the logits of each step, until it gives a finishReason. It may change them. */
export function startGeneration(
  settings: GenerationSettings,
  vocabulary: Vocabulary,
): (logits: Float32Array) => GenerationStep {
  const choose = startSampling(settings);
  // Keeps the bytes of an unfinished character until the rest comes; a byte that can belong to none
  // becomes U+FFFD.
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  let made = 0;
  let held = "";

  return (logits) => {
    if (made < settings.minTokens) {
      for (const token of vocabulary.endTokens) logits[token] = Number.NEGATIVE_INFINITY;
    }
    const token = choose(logits);
    made += 1;
    if (!settings.ignoreEos && vocabulary.endTokens.includes(token)) {
      return { token, text: held, finishReason: "stop", stopString: undefined };
    }
    held += decoder.decode(vocabulary.bytesOf(token), { stream: true });
    const stops = made > settings.minTokens ? settings.stop : [];
    const met = firstOf(stops, held);
    if (met !== undefined) {
      return { token, text: held.slice(0, met.at), finishReason: "stop", stopString: met.stop };
    }
    const finishReason = made >= settings.maxTokens ? "length" : undefined;
    const certain =
      finishReason === undefined ? held.length - openLength(stops, held) : held.length;
    const text = held.slice(0, certain);
    held = held.slice(certain);
    return { token, text, finishReason, stopString: undefined };
  };
}

/** The stop string that begins earliest in `text`, the longer of two at the same place. */
function firstOf(
  stops: readonly string[],
  text: string,
): { readonly stop: string; readonly at: number } | undefined {
  return stops
    .map((stop) => ({ stop, at: text.indexOf(stop) }))
    .filter(({ at }) => at !== -1)
    .sort((left, right) => left.at - right.at || right.stop.length - left.stop.length)[0];
}

/** How much of the end of `text` could be the beginning of a stop string. */
function openLength(stops: readonly string[], text: string): number {
  return stops.reduce((longest, stop) => {
    for (let length = Math.min(stop.length - 1, text.length); length > longest; length -= 1) {
      if (text.endsWith(stop.slice(0, length))) return length;
    }
    return longest;
  }, 0);
}
