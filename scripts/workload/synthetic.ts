// Prompts made of words: of exact length, unique from the first token on, the same for every variant
// compared. Each word is one token with the space before it, so a prompt's tokens are its words and
// what the server adds around them.
import { UserError } from "../errors.ts";
import type { LengthSpec, Workload } from "../experiment/experiment.ts";
import { seededRandom } from "../experiment/random.ts";
import { firstWaveParts, partOfAnswer } from "./first-wave.ts";
import type { ComposedPrompt, Composer, PromptRecipe } from "./recipe.ts";
import { createScribe } from "./scribe.ts";
import { seededOrder } from "./seeded-order.ts";
import type { ChatMessage, PromptContent, PromptTokenizer } from "./tokenizer.ts";
import type { TraceRequest } from "./trace.ts";

/** Words that follow one another in one message, or in the one text of a completion. */
interface Part {
  readonly role: "user" | "assistant";
  /** Each word with a space before it. */
  readonly text: string;
  readonly first: string;
  readonly last: string;
  readonly words: number;
}

interface Prompt {
  readonly parts: readonly Part[];
  readonly tokens: number;
}

/** What a turn adds to a prompt. */
interface Extension {
  readonly index: number;
  readonly turn: number;
  /** Tokens of the whole prompt. */
  readonly planned: number;
  /** A draw, which may be raised. */
  readonly isDrawn: boolean;
  /** Count the prompt as a whole. */
  readonly whole: boolean;
}

/**
 * Composes prompts whose length is proven:
 * - each word is one token with the space before it (`words` of the tokenizer), and no token of the
 *   vocabulary reaches over such a space (`wordsAddUp`), so the inside of a text counts as its words;
 * - what the template, special tokens and the edges of each message add is counted for every prompt
 *   by encoding its first and last words in their place;
 * - of every part of a batch one prompt is encoded as a whole, and where that disagrees, or where
 *   `wordsAddUp` is false, every one of them (`composeRequests`).
 * A server's own tokenizer is asked for a sample only, before the first prompt: a call per prompt
 * would load what is to be measured.
 *
 * A prompt is `[shared words] salt words filler words`. The salt is the index written in a number
 * system whose digits are words in a seeded order, so that no two prompts of a trial begin alike:
 * with a vocabulary of 8,192 words that many differ in their first token.
 *
 * Turn k of a conversation carries all earlier ones with answers of the planned length, so its
 * input is the sum of what each turn up to it adds and of the outputs before it.
 */
export async function syntheticComposer(
  recipe: PromptRecipe,
  tokenizer: PromptTokenizer,
): Promise<Composer> {
  const { workload, seed, runSeed, trace } = recipe;
  const { cache } = workload;
  // A trace has recorded requests, not conversations.
  const turns = trace === undefined ? workload.turns : 1;
  const spaced = tokenizer.words.map((word) => ` ${word}`);
  const salts = seededOrder(spaced, `${seed}/salt`);
  const sharedTokens = cache.kind === "shared" ? cache.tokens : 0;
  const scribe = createScribe(tokenizer.words);
  const picked = (words: number, wordSeed: string): string => {
    scribe.pick(words, seededRandom(wordSeed));
    return scribe.take();
  };
  const sharedText = picked(sharedTokens, `${runSeed}/shared`);
  const lengths = trace === undefined ? drawnLengths(recipe) : tracedLengths(trace);
  /** What the server adds to the words of turn k; a guess that each prompt checks. */
  const overheads: number[] = [];
  for (let turn = 0; turn < turns; turn += 1) {
    const probe = probeParts(turn, (place) => picked(8, `${seed}/probe/${place}`));
    const counted = await tokenizer.count(contentOf(probe, workload.endpoint));
    overheads.push(counted - wordsIn(probe));
  }

  /** Tokens of a prompt; inner words are taken for what they were proven to be unless `whole`. */
  const count = (parts: readonly Part[], whole: boolean): number => {
    if (tokenizer.source === "server")
      return wordsIn(parts) + (overheads[Math.floor(parts.length / 2)] ?? 0);
    const asked = whole ? parts : endsOf(parts, workload.endpoint);
    return (
      Number(tokenizer.count(contentOf(asked, workload.endpoint))) + wordsIn(parts) - wordsIn(asked)
    );
  };

  const wordsOf = (index: number, turn: number, words: number): string => {
    const conversation = Math.floor(index / turns);
    let left = words;
    if (turn === 0) {
      const { prefixIds = [], blockTokens = 0 } = trace?.[conversation] ?? {};
      for (const id of prefixIds) {
        const block = Math.min(left, blockTokens);
        scribe.pick(block, seededRandom(`${seed}/block/${id}`));
        left -= block;
      }
      if (trace === undefined) {
        scribe.write(sharedText);
        left -= sharedTokens;
      }
      const salt = Math.min(4, left);
      scribe.write(saltOf(conversation, salts, salt));
      left -= salt;
    }
    scribe.pick(left, seededRandom(`${seed}/filler/${conversation}/${turn}`));
    return scribe.take();
  };

  /** One turn's prompt: the parts before it and as many words as make it `planned` long. */
  const extend = (
    before: readonly Part[],
    { index, turn, planned, isDrawn, whole }: Extension,
  ): Prompt => {
    const own = turn === 0 ? sharedTokens + 1 : 1;
    let tokens = planned;
    let overhead = overheads[turn] ?? 0;
    let counted = 0;
    // One pass, unless the edges of this prompt cost more than those of the probe.
    for (let attempt = 0; attempt < 4; attempt += 1) {
      const room = tokens - overhead - wordsIn(before);
      // A draw may fall below what a prompt must have; a stated length may not.
      if (room < own && !isDrawn)
        throw tooShort(turn, tokens, wordsIn(before), overhead, sharedTokens);
      const words = Math.max(own, room);
      tokens += words - room;
      const parts = [...before, partOf("user", wordsOf(index, turn, words), words)];
      counted = count(parts, whole);
      if (counted === tokens) return { parts, tokens };
      overhead += counted - tokens;
    }
    throw wrongLength(before, counted, tokens);
  };

  /** A conversation's turns are asked for one after another. */
  let latest:
    | { readonly conversation: number; readonly whole: boolean; readonly turns: Prompt[] }
    | undefined;
  const promptAt = (index: number, whole: boolean): Prompt => {
    const conversation = Math.floor(index / turns);
    if (latest?.conversation !== conversation || latest.whole !== whole)
      latest = { conversation, whole, turns: [] };
    let prompt: Prompt = { parts: [], tokens: 0 };
    for (let turn = 0; turn <= index % turns; turn += 1) {
      const place = conversation * turns + turn;
      const { inputTokens, isDrawn } = lengths(place);
      let planned = inputTokens;
      let { parts } = prompt;
      if (turn > 0) {
        const answer = lengths(place - 1).outputTokens;
        const text = picked(answer, `${seed}/answer/${conversation}/${turn}`);
        parts = [...parts, partOf("assistant", text, answer)];
        planned += prompt.tokens + answer;
      }
      prompt = latest.turns[turn] ?? extend(parts, { index: place, turn, planned, isDrawn, whole });
      latest.turns[turn] = prompt;
    }
    return prompt;
  };

  const compose = (index: number, whole: boolean): ComposedPrompt => {
    const { parts, tokens } = promptAt(
      cache.kind === "warm" ? index % turns : index,
      whole || !tokenizer.wordsAddUp,
    );
    return {
      content: contentOf(parts, workload.endpoint),
      inputTokens: tokens,
      outputTokens: lengths(index).outputTokens,
    };
  };

  if (tokenizer.source === "server") await proveSample(compose, turns, tokenizer);
  return {
    turns,
    compose,
    provesBySample: tokenizer.wordsAddUp,
    reach: () => Promise.resolve(trace === undefined ? undefined : trace.length * turns),
    notes: () => (trace === undefined ? [] : traceNotes(trace, recipe, (overheads[0] ?? 0) + 1)),
  };
}

/** One prompt of each turn, and three more: the method is the same for all others. */
async function proveSample(
  compose: Composer["compose"],
  turns: number,
  tokenizer: PromptTokenizer,
): Promise<void> {
  for (let index = 0; index < turns + 3; index += 1) {
    const { content, inputTokens } = compose(index, false);
    const counted = await tokenizer.count(content);
    if (counted !== inputTokens) throw wrongLength(content, counted, inputTokens);
  }
}

// Words

/** The digits of `index`, lowest first, as words: prompts differ in the first word while they can. */
function saltOf(index: number, words: readonly string[], length: number): string {
  let salt = "";
  let rest = index;
  for (let digit = 0; digit < length; digit += 1) {
    salt += words[rest % words.length] ?? " the";
    rest = Math.floor(rest / words.length);
  }
  return salt;
}

function partOf(role: Part["role"], text: string, words: number): Part {
  const second = text.indexOf(" ", 1);
  return {
    role,
    text,
    first: second < 0 ? text : text.slice(0, second),
    last: text.slice(text.lastIndexOf(" ")),
    words,
  };
}

function probeParts(turn: number, textOf: (place: number) => string): readonly Part[] {
  return Array.from({ length: 2 * turn + 1 }, (_, place) =>
    partOf(place % 2 === 0 ? "user" : "assistant", textOf(place), 8),
  );
}

function wordsIn(parts: readonly Part[]): number {
  let words = 0;
  for (const part of parts) words += part.words;
  return words;
}

/** The same prompt with nothing but the first and last word of each message. */
function endsOf(parts: readonly Part[], endpoint: Workload["endpoint"]): readonly Part[] {
  if (endpoint === "chat") return parts.map((part) => shortened(part, part));
  const [first, last] = [parts[0], parts.at(-1)];
  return first === undefined || last === undefined || wordsIn(parts) < 2
    ? parts
    : [{ ...first, text: first.first + last.last, words: 2 }];
}

function shortened(part: Part, { first, last }: Part): Part {
  return part.words < 2 ? part : { ...part, text: first + last, words: 2 };
}

function contentOf(parts: readonly Part[], endpoint: Workload["endpoint"]): PromptContent {
  if (endpoint === "completions") return parts.map(({ text }) => text).join("");
  return parts.map(({ role, text }): ChatMessage => ({ role, content: text }));
}

// Lengths

interface RequestLengths {
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** A draw, not a stated length. */
  readonly isDrawn: boolean;
}

function drawnLengths({
  workload,
  seed,
  firstWave,
}: PromptRecipe): (index: number) => RequestLengths {
  const { input, output } = workload;
  if (input.kind === "dataset") throw new Error("a dataset is not made of words");
  const parts = firstWave === undefined ? [] : firstWaveParts(firstWave);
  return (index) => {
    const draw = seededRandom(`${seed}/length/${index}`);
    return {
      inputTokens: lengthOf(input, draw),
      outputTokens: partOfAnswer(lengthOf(output, draw), parts[index] ?? 1),
      isDrawn: input.kind !== "exact",
    };
  };
}

function tracedLengths(trace: readonly TraceRequest[]): (index: number) => RequestLengths {
  return (index) => {
    const request = trace[index];
    if (request === undefined) throw new Error(`the trace has no request ${index}`);
    const { inputTokens, outputTokens } = request;
    return { inputTokens, outputTokens, isDrawn: true };
  };
}

/** What of a trace can't be sent as it was recorded. */
function traceNotes(
  trace: readonly TraceRequest[],
  { longestTokens = Number.POSITIVE_INFINITY }: PromptRecipe,
  leastTokens: number,
): readonly string[] {
  const raised = trace.filter(({ inputTokens }) => inputTokens < leastTokens).length;
  const beyond = trace.filter(
    ({ inputTokens, outputTokens }) => inputTokens + outputTokens > longestTokens,
  ).length;
  return [
    ...(raised === 0
      ? []
      : [
          `${raised} of the ${trace.length} requests of the trace are shorter than any prompt of this model and endpoint: they were made ${leastTokens} tokens long`,
        ]),
    ...(beyond === 0
      ? []
      : [
          `${beyond} of the ${trace.length} requests of the trace are beyond the ${longestTokens} tokens that the engine takes: they were sent as they are`,
        ]),
  ];
}

/** One draw of a length; never below one token. */
export function lengthOf(spec: LengthSpec, random: () => number): number {
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

// Mistakes

function tooShort(
  turn: number,
  total: number,
  before: number,
  overhead: number,
  sharedTokens: number,
): UserError {
  if (turn > 0) {
    return new UserError({
      what: `turn ${turn + 1} of a conversation can't have ${total} tokens: ${before} are in earlier turns and answers, ${overhead} belong to the template and special tokens`,
      mend: `let each turn add at least ${overhead + before + 1 - total} more`,
    });
  }
  return new UserError({
    what: `a prompt of ${total} tokens is too short: ${overhead} belong to the template and special tokens, ${sharedTokens} to the shared prefix`,
    mend: `ask for an input of at least ${overhead + sharedTokens + 1} tokens`,
  });
}

function wrongLength(
  content: PromptContent | readonly Part[],
  counted: number,
  tokens: number,
): UserError {
  const text = typeof content === "string" ? content : JSON.stringify(content.at(-1) ?? "");
  return new UserError({
    what: `a prompt made for ${tokens} tokens counts ${counted} (${text.slice(0, 40)}...)`,
    mend: "is this the tokenizer of the served model? give the right folder as `tokenizer:`",
  });
}
