// Counts tokens as the served model does: by the model's own tokenizer from disk, or by asking the
// server. Nothing is ever downloaded.
import { existsSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { AutoTokenizer, env, type PreTrainedTokenizer } from "@huggingface/transformers";
import { z } from "zod";
import { findModelFolder } from "../engine/model-folder.ts";
import { messageOf, UserError } from "../errors.ts";
import type { Variant } from "../experiment/experiment.ts";

export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

/**
 * How a prompt reaches the model: a text as it is, through the completions endpoint, or messages
 * through the chat template, open for the next answer.
 */
export type PromptContent = string | readonly ChatMessage[];

export interface PromptTokenizer {
  /** Where the counts come from; printed in the record. */
  readonly source: "model folder" | "server";
  /** The folder or file that `localTokenizer` read, for other threads to read it too; undefined: the server counts. */
  readonly path: string | undefined;
  /** Words of lower-case letters that, with the space before them, are one token each. At least 64. */
  readonly words: readonly string[];
  /**
   * Whether a text of these words always counts as many tokens as words: no token of the vocabulary
   * reaches over the space between two of them. false: nobody could look.
   */
  readonly wordsAddUp: boolean;
  /** Tokens of a prompt as the server will count them, special tokens and template included. */
  count(prompt: PromptContent): number | Promise<number>;
  /** Tokens of an answer, nothing added; undefined where only the server could say. */
  countAnswer(text: string): number | undefined;
}

/** A local tokenizer counts at once. */
export interface LocalTokenizer extends PromptTokenizer {
  readonly source: "model folder";
  readonly path: string;
  count(prompt: PromptContent): number;
}

/** POSTs a body to the server's /tokenize and gives the JSON answer, undefined for none. */
export type Ask = (body: Readonly<Record<string, unknown>>) => Promise<unknown>;

/**
 * The tokenizer of a variant: its `tokenizer:`, else its model's folder, else the server's own.
 * @param ask adds the name by which the server knows the model
 * @throws UserError when there is none of them
 */
export async function findTokenizer(
  variant: Pick<Variant, "name" | "model" | "tokenizer">,
  projectRoot: string,
  ask: Ask,
): Promise<PromptTokenizer> {
  const path = tokenizerPath(variant, projectRoot);
  if (path !== undefined) return localTokenizer(path);
  const remote = await serverTokenizer(ask);
  if (remote !== undefined) return remote;
  throw new UserError({
    what: `no tokenizer for ${variant.model}: it is no folder here, and the server has no /tokenize`,
    where: `variants.${variant.name}`,
    mend: "give a folder that holds the model's tokenizer.json as `tokenizer:`",
  });
}

/** The absolute path of a variant's tokenizer on this machine; undefined: there is none. */
export function tokenizerPath(
  { model, tokenizer }: Pick<Variant, "model" | "tokenizer">,
  projectRoot: string,
): string | undefined {
  if (tokenizer !== undefined) return resolve(projectRoot, tokenizer);
  const folder = findModelFolder(model, projectRoot);
  return folder !== undefined && existsSync(join(folder, "tokenizer.json")) ? folder : undefined;
}

/**
 * The tokenizer in a model's folder (or beside a tokenizer.json).
 * @throws UserError when there is none, or it can't be read
 */
export async function localTokenizer(path: string): Promise<LocalTokenizer> {
  const folder = resolve(statIsFile(path) ? dirname(path) : path);
  const file = join(folder, "tokenizer.json");
  if (!existsSync(file)) {
    throw new UserError({
      what: `there is no tokenizer.json in ${path}`,
      mend: "give the model's folder, or a folder that holds its tokenizer.json, as `tokenizer:`",
    });
  }
  let tokenizer: PreTrainedTokenizer;
  try {
    env.allowRemoteModels = false;
    env.localModelPath = dirname(folder);
    tokenizer = await AutoTokenizer.from_pretrained(basename(folder), { local_files_only: true });
  } catch (error) {
    throw new UserError(
      {
        what: `the tokenizer in ${path} can't be read: ${messageOf(error)}`,
        mend: "copy the model's tokenizer files again",
      },
      { cause: error },
    );
  }
  const plain = { add_special_tokens: false } as const;
  const vocabulary = readVocabulary(file);
  const words = singleTokenWords(vocabulary, (text) => tokenizer.encode(text, plain));
  return {
    source: "model folder",
    path,
    words: enoughWords(words, path),
    wordsAddUp: !reachesOverSpaces(vocabulary),
    count: (prompt) =>
      typeof prompt === "string"
        ? tokenizer.encode(prompt).length
        : tokenizer.encode(renderChat(tokenizer, prompt, path), plain).length,
    countAnswer: (text) => tokenizer.encode(text, plain).length,
  };
}

function renderChat(
  tokenizer: PreTrainedTokenizer,
  messages: readonly ChatMessage[],
  path: string,
): string {
  try {
    return z.string().parse(
      tokenizer.apply_chat_template([...messages], {
        tokenize: false,
        add_generation_prompt: true,
      }),
    );
  } catch (error) {
    throw new UserError(
      {
        what: `the chat template in ${path} can't take these messages: ${messageOf(error)}`,
        mend: "copy the model's tokenizer_config.json or chat_template.jinja again, or write endpoint: completions",
      },
      { cause: error },
    );
  }
}

/**
 * A tokenizer that asks the server (`/tokenize` of vLLM, SGLang and llama.cpp).
 * @returns undefined when the server has no such call
 */
export async function serverTokenizer(ask: Ask): Promise<PromptTokenizer | undefined> {
  const countText = (text: string): Promise<number | undefined> =>
    askForTokens(ask, textBody(text, false));
  if ((await countText(" hello")) === undefined) return undefined;
  const words: string[] = [];
  for (const word of commonWords) {
    if ((await countText(` ${word}`)) === 1) words.push(word);
  }
  return {
    source: "server",
    path: undefined,
    words: enoughWords(words, "the server's /tokenize"),
    wordsAddUp: false,
    // Asking would load the server that is being measured.
    countAnswer: () => undefined,
    count: async (prompt) => {
      const answer = await serverCount(ask, prompt);
      if (answer !== undefined) return answer;
      throw new UserError({
        what: `the server's /tokenize does not count ${typeof prompt === "string" ? "prompts" : "chat messages"}`,
        mend: "give the model's tokenizer folder as `tokenizer:` of the variant",
      });
    },
  };
}

/** Tokens of a prompt as the server itself counts them; undefined: it has no call for that. */
export function serverCount(ask: Ask, prompt: PromptContent): Promise<number | undefined> {
  return askForTokens(
    ask,
    typeof prompt === "string"
      ? textBody(prompt, true)
      : { messages: prompt, add_generation_prompt: true },
  );
}

/** vLLM and SGLang read `prompt`, llama.cpp `content`; each ignores the other's keys. */
function textBody(text: string, special: boolean): Record<string, unknown> {
  return { prompt: text, content: text, add_special_tokens: special, add_special: special };
}

async function askForTokens(
  ask: Ask,
  body: Readonly<Record<string, unknown>>,
): Promise<number | undefined> {
  const answer = tokenizeAnswer.safeParse(await ask(body));
  if (!answer.success) return undefined;
  return answer.data.count ?? answer.data.tokens?.length;
}

const tokenizeAnswer = z.object({
  count: z.number().int().optional(),
  tokens: z.array(z.unknown()).optional(),
});

// The vocabulary

interface Vocabulary {
  /** Entry to id; a space is written Ġ (byte-level BPE) or ▁ (SentencePiece). */
  readonly ids: ReadonlyMap<string, number>;
  /** Texts that are one token wherever they stand. */
  readonly added: readonly string[];
}

const tokenizerFile = z.object({
  model: z.object({ vocab: z.unknown() }),
  added_tokens: z.array(z.object({ content: z.string() })).optional(),
});

/** Empty for a form that is not known; then no words are found, and that is told. */
function readVocabulary(file: string): Vocabulary {
  const parsed = tokenizerFile.safeParse(JSON.parse(readFileSync(file, "utf8")));
  if (!parsed.success) return { ids: new Map(), added: [] };
  const { model, added_tokens = [] } = parsed.data;
  const ids = new Map<string, number>();
  // Hundreds of thousands of entries: looked at by hand, since a schema takes longer than the rest.
  if (Array.isArray(model.vocab)) {
    // A unigram model has scores beside its entries; their place is the id.
    for (const [id, entry] of model.vocab.entries())
      if (Array.isArray(entry) && typeof entry[0] === "string") ids.set(entry[0], id);
  } else if (typeof model.vocab === "object" && model.vocab !== null) {
    for (const [entry, id] of Object.entries(model.vocab))
      if (typeof id === "number") ids.set(entry, id);
  }
  return { ids, added: added_tokens.map(({ content }) => content) };
}

/**
 * Prompts are made of so many words at most. Enough that as many differ in their first token; more
 * than 10,000 would not fit the cache of the tokenizer's BPE, and encoding takes three times as long.
 */
const mostWords = 8192;

/**
 * Words of which each, after another and a space, is the one token that the vocabulary has for it.
 * They are encoded in texts of 64; only where the ids of such a text are not those of its words is
 * each tried.
 */
function singleTokenWords(
  { ids }: Vocabulary,
  encode: (text: string) => readonly number[],
): readonly string[] {
  const candidates = [...ids].flatMap(([entry, id]) => {
    const word = /^[Ġ▁]([a-z]{2,})$/.exec(entry)?.[1];
    return word === undefined ? [] : [{ word, id }];
  });
  candidates.sort((left, right) => (left.word < right.word ? -1 : 1));
  // Taken evenly over the alphabet.
  const every = Math.max(1, candidates.length / mostWords);
  const chosen = candidates.filter(
    (_, index) => Math.floor(index / every) !== Math.floor((index - 1) / every),
  );
  // The first word of a text may cost more: SentencePiece puts a space of its own before it.
  const anchor = ` ${chosen[0]?.word ?? ""}`;
  const anchorTokens = encode(anchor).length;
  const words: string[] = [];
  for (let from = 0; from < chosen.length; from += 64) {
    const part = chosen.slice(from, from + 64);
    const encoded = encode(anchor + part.map(({ word }) => ` ${word}`).join(""));
    const alike =
      encoded.length === anchorTokens + part.length &&
      part.every(({ id }, index) => encoded[anchorTokens + index] === id);
    for (const { word } of part) {
      if (alike || encode(`${anchor} ${word}`).length === anchorTokens + 1) words.push(word);
    }
  }
  return words;
}

/**
 * Whether a token holds a letter and then a space. Where none does, BPE can't merge and a unigram
 * model can't choose anything over the space before a word: words are encoded each for itself.
 */
function reachesOverSpaces({ ids, added }: Vocabulary): boolean {
  for (const entry of ids.keys()) if (/[a-z][Ġ▁ ]/.test(entry)) return true;
  // One of letters alone would be found inside words.
  return added.some((content) => /^[a-z ]+$/.test(content));
}

function enoughWords(words: readonly string[], where: string): readonly string[] {
  if (words.length >= 64) return words;
  throw new UserError({
    what: `only ${words.length} words of one token were found in ${where}; prompts need 64`,
    mend: "use the tokenizer of a language model (byte-level BPE or SentencePiece)",
  });
}

function statIsFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}

/** Words that most vocabularies hold whole; each is tried before it is used. */
const commonWords = (
  "the of and to in is that for it as was with be by on not he his but at are this have from or had an they which " +
  "one you were all her she there would their we him been has when who will no more if out so up said what its about " +
  "than into them can only other time new some could these two may first then do any like my now over such our man me " +
  "even most made after also did many off before must well back through years much where your way down should because " +
  "long each just state those people too how little good world make very year still see own work men day get here old " +
  "between both life being under three never know same last another while us might great go come since against right " +
  "came take used himself few house use place during high without again home around small however found part school " +
  "every once general until away something fact water less public put think almost hand enough far head yet government " +
  "system better set told nothing night end why called find going look asked later knew point next program city business " +
  "give group toward young days let room social side present given several order national possible rather second face " +
  "per among form important often things looked early white case large big need four within felt along children saw best " +
  "church ever least power thing light family interest want members mind country area others turned done problem service"
).split(" ");
