// Prompts of exact length, unique from the first token on, the same for every variant compared.
// Words that are one token each are joined and then counted once as a whole, to prove the length.
import { createHash } from "node:crypto";
import { UserError } from "../errors.ts";
import type { LengthSpec, Workload } from "../experiment/experiment.ts";
import { seededRandom, shuffled } from "../experiment/random.ts";
import type { PromptTokenizer } from "./tokenizer.ts";

/** One request, ready to send. */
export interface PreparedRequest {
  /** The JSON body, UTF-8. */
  readonly body: Buffer;
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** First 16 hex of the sha256 of the prompt. */
  readonly promptDigest: string;
}

/** Gives the i-th request of a trial; the same i gives the same request. */
export type RequestSource = (index: number) => PreparedRequest;

export interface PromptRecipe {
  readonly workload: Workload;
  /** Name of the model in the request. */
  readonly model: string;
  /** Hex; of workload, load, round and repeat, not of the variant. */
  readonly seed: string;
  /** The same for the whole run: what a shared prefix is made from. */
  readonly runSeed: string;
  /** How many requests are made before the trial begins; later ones are made when asked for. */
  readonly prepare: number;
}

/**
 * Makes the requests of a trial.
 * @throws UserError when a prompt of the asked length can't be made
 */
export async function makeRequestSource(
  recipe: PromptRecipe,
  tokenizer: PromptTokenizer,
): Promise<RequestSource> {
  const composer = await promptComposer(recipe, tokenizer);
  const made: PreparedRequest[] = [];
  const source: RequestSource = (index) => {
    const existing = made[index];
    if (existing !== undefined) return existing;
    const prepared = prepare(index, recipe, composer);
    made[index] = prepared;
    return prepared;
  };
  for (let index = 0; index < recipe.prepare; index += 1) {
    source(index);
    // Making prompts is pure computing; let the process breathe between them.
    if (index % 32 === 31) await new Promise(setImmediate);
  }
  return source;
}

interface Composer {
  /** The text of a prompt with exactly `tokens` tokens, for the i-th request. */
  readonly compose: (index: number, tokens: number) => string;
  /** Template, special tokens, shared prefix, and one token of its own. */
  readonly leastTokens: number;
}

function prepare(
  index: number,
  { workload, model, seed }: PromptRecipe,
  { compose, leastTokens }: Composer,
): PreparedRequest {
  if (workload.input.kind === "dataset") {
    throw new Error("a dataset is not made of words; it is refused before the run");
  }
  const draw = seededRandom(`${seed}/length/${index}`);
  const drawn = lengthOf(workload.input, draw);
  // A draw may fall below what a prompt must have; a stated length may not.
  const inputTokens = workload.input.kind === "exact" ? drawn : Math.max(drawn, leastTokens);
  const outputTokens = lengthOf(workload.output, draw);
  const text = compose(workload.cache.kind === "warm" ? 0 : index, inputTokens);
  const body = {
    model,
    ...(workload.endpoint === "chat"
      ? { messages: [{ role: "user", content: text }], max_completion_tokens: outputTokens }
      : { prompt: text }),
    max_tokens: outputTokens,
    // vLLM and SGLang then answer with exactly this many; what they say in `usage` is recorded.
    min_tokens: outputTokens,
    ignore_eos: true,
    temperature: 0,
    stream: true,
    stream_options: { include_usage: true },
  };
  return {
    body: Buffer.from(JSON.stringify(body)),
    inputTokens,
    outputTokens,
    promptDigest: createHash("sha256").update(text).digest("hex").slice(0, 16),
  };
}

/**
 * A composer whose prompts were proven to have the asked length.
 *
 * A prompt is `[shared words] salt words filler words`. The salt is the index written in a
 * number system whose digits are words in a seeded order, so that no two prompts of a trial begin
 * alike: with a vocabulary of 400 words the first 400 differ in their first token.
 */
async function promptComposer(recipe: PromptRecipe, tokenizer: PromptTokenizer): Promise<Composer> {
  const { workload, seed, runSeed } = recipe;
  const form = workload.endpoint;
  const { words } = tokenizer;
  const saltWords = shuffled(words, seededRandom(`${seed}/salt`));
  const sharedTokens = workload.cache.kind === "shared" ? workload.cache.tokens : 0;
  const sharedText = Array.from({ length: sharedTokens }, wordPicker(words, `${runSeed}/shared`));
  // What the server adds to a text of single-token words: a BOS token, the chat template.
  const probe = wordsToText(Array.from({ length: 8 }, wordPicker(words, `${seed}/probe`)));
  const overhead = (await tokenizer.count(probe, form)) - 8;

  const leastTokens = overhead + sharedTokens + 1;
  const composeWords = (index: number, tokens: number, correction = 0): string => {
    const count = tokens - overhead + correction;
    if (tokens < leastTokens) {
      throw new UserError({
        what: `a prompt of ${tokens} tokens is too short: ${overhead} belong to the template and special tokens, ${sharedTokens} to the shared prefix`,
        mend: `ask for an input of at least ${leastTokens} tokens`,
      });
    }
    const salt = saltOf(index, saltWords, Math.min(4, count - sharedTokens));
    const filler = Array.from(
      { length: count - sharedTokens - salt.length },
      wordPicker(words, `${seed}/filler/${index}`),
    );
    return wordsToText([...sharedText, ...salt, ...filler]);
  };

  if (tokenizer.source === "server") {
    // Asking for each prompt would cost a call each: a sample proves the method for this server.
    for (const [index, tokens] of sampleLengths(workload, seed).entries()) {
      const text = composeWords(index, tokens);
      const counted = await tokenizer.count(text, form);
      if (counted !== tokens) throw wrongLength(text, counted, tokens);
    }
    return { compose: composeWords, leastTokens };
  }
  const compose = (index: number, tokens: number): string => {
    let correction = 0;
    let text = "";
    let counted = 0;
    // Once is enough for plain prompts; a chat template that trims its message may need one more.
    for (let attempt = 0; attempt < 4; attempt += 1) {
      text = composeWords(index, tokens, correction);
      counted = Number(tokenizer.count(text, form));
      if (counted === tokens) return text;
      correction += tokens - counted;
    }
    throw wrongLength(text, counted, tokens);
  };
  return { compose, leastTokens };
}

function wrongLength(text: string, counted: number, tokens: number): UserError {
  return new UserError({
    what: `a prompt made for ${tokens} tokens counts ${counted} (${text.slice(0, 40)}...)`,
    mend: "is this the tokenizer of the served model? give the right folder as `tokenizer:`",
  });
}

/** Words with a space before each, the first too: so each is the one token it was found as. */
function wordsToText(words: readonly string[]): string {
  return ` ${words.join(" ")}`;
}

function wordPicker(words: readonly string[], seed: string): () => string {
  const random = seededRandom(seed);
  return () => words[Math.floor(random() * words.length)] ?? "the";
}

/** The digits of `index`, lowest first, as words: prompts differ in the first word while they can. */
function saltOf(index: number, words: readonly string[], length: number): string[] {
  const salt: string[] = [];
  let rest = index;
  for (let digit = 0; digit < length; digit += 1) {
    salt.push(words[rest % words.length] ?? "the");
    rest = Math.floor(rest / words.length);
  }
  return salt;
}

function sampleLengths({ input }: Workload, seed: string): number[] {
  if (input.kind === "dataset") return [];
  const draw = seededRandom(`${seed}/length-sample`);
  return Array.from({ length: 4 }, () => lengthOf(input, draw));
}

/** One draw of a length; never below one token. */
function lengthOf(spec: LengthSpec, random: () => number): number {
  switch (spec.kind) {
    case "exact":
      return spec.tokens;
    case "uniform":
      return spec.min + Math.floor(random() * (spec.max - spec.min + 1));
    case "normal": {
      // Box-Muller; 1 - u keeps the logarithm finite.
      const radius = Math.sqrt(-2 * Math.log(1 - random()));
      const deviation = radius * Math.cos(2 * Math.PI * random());
      return Math.max(1, Math.round(spec.mean * (1 + spec.cv * deviation)));
    }
  }
}

/** The longest request a workload can ask for: input + output, tokens; undefined when open-ended. */
export function longestRequestTokens({ input, output }: Workload): number | undefined {
  const longest = (spec: LengthSpec): number | undefined =>
    spec.kind === "exact" ? spec.tokens : spec.kind === "uniform" ? spec.max : undefined;
  if (input.kind === "dataset") return undefined;
  const inputTokens = longest(input);
  const outputTokens = longest(output);
  return inputTokens === undefined || outputTokens === undefined
    ? undefined
    : inputTokens + outputTokens;
}
