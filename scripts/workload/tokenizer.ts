// Counts tokens as the served model does: by the model's own tokenizer from disk, or by asking the
// server. Nothing is ever downloaded.
import { existsSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { AutoTokenizer, env, type PreTrainedTokenizer } from "@huggingface/transformers";
import { z } from "zod";
import { findModelFolder } from "../engine/model-folder.ts";
import { messageOf, UserError } from "../errors.ts";
import type { Variant } from "../experiment/experiment.ts";

/** How a prompt reaches the model: as text, or as a user's message through the chat template. */
type PromptForm = "completions" | "chat";

export interface PromptTokenizer {
  /** Where the counts come from; printed in the record. */
  readonly source: "model folder" | "server";
  /** Words of lower-case letters that, after a space, are one token each. At least 64. */
  readonly words: readonly string[];
  /** Tokens of a prompt as the server will count them, special tokens and template included. */
  count(text: string, form: PromptForm): number | Promise<number>;
  /** Tokens of an answer, nothing added; undefined where only the server could say. */
  countAnswer(text: string): number | undefined;
}

type Ask = (body: Readonly<Record<string, unknown>>) => Promise<unknown>;

/**
 * The tokenizer of a variant: its `tokenizer:`, else its model's folder, else the server's own.
 * @param ask POSTs a body to the server's /tokenize, with the name by which the server knows the
 *   model, and gives the JSON answer, undefined for none
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
export async function localTokenizer(path: string): Promise<PromptTokenizer> {
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
  const count = (text: string, form: PromptForm): number =>
    form === "completions"
      ? tokenizer.encode(text).length
      : tokenizer.encode(
          z.string().parse(
            tokenizer.apply_chat_template([{ role: "user", content: text }], {
              tokenize: false,
              add_generation_prompt: true,
            }),
          ),
          { add_special_tokens: false },
        ).length;
  const words = vocabularyWords(file).filter(
    (word) => tokenizer.encode(` ${word}`, { add_special_tokens: false }).length === 1,
  );
  return {
    source: "model folder",
    words: enoughWords(words, path),
    count,
    countAnswer: (text) => tokenizer.encode(text, { add_special_tokens: false }).length,
  };
}

/**
 * A tokenizer that asks the server (`/tokenize` of vLLM, SGLang and llama.cpp).
 * @returns undefined when the server has no such call
 */
export async function serverTokenizer(ask: Ask): Promise<PromptTokenizer | undefined> {
  const tokens = async (body: Record<string, unknown>): Promise<number | undefined> => {
    const answer = tokenizeAnswer.safeParse(await ask(body));
    if (!answer.success) return undefined;
    return answer.data.count ?? answer.data.tokens?.length;
  };
  const textBody = (text: string, special: boolean): Record<string, unknown> => ({
    prompt: text,
    content: text,
    add_special_tokens: special,
    add_special: special,
  });
  if ((await tokens(textBody(" hello", false))) === undefined) return undefined;
  const words: string[] = [];
  for (const word of commonWords) {
    if ((await tokens(textBody(` ${word}`, false))) === 1) words.push(word);
  }
  return {
    source: "server",
    words: enoughWords(words, "the server's /tokenize"),
    // Asking would load the server that is being measured.
    countAnswer: () => undefined,
    count: async (text, form) => {
      const answer = await tokens(
        form === "completions"
          ? textBody(text, true)
          : { messages: [{ role: "user", content: text }], add_generation_prompt: true },
      );
      if (answer !== undefined) return answer;
      throw new UserError({
        what: `the server's /tokenize does not count ${form === "chat" ? "chat messages" : "prompts"}`,
        mend: "give the model's tokenizer folder as `tokenizer:` of the variant",
      });
    },
  };
}

const tokenizeAnswer = z.object({
  count: z.number().int().optional(),
  tokens: z.array(z.unknown()).optional(),
});

const tokenizerFile = z.object({ model: z.object({ vocab: z.unknown() }) });
const vocabularyMap = z.record(z.string(), z.number());
const vocabularyList = z.array(z.tuple([z.string(), z.number()]));

/** Vocabulary entries that are a space and lower-case letters; byte-level BPE writes the space as Ġ, SentencePiece as ▁. */
function vocabularyWords(file: string): string[] {
  const parsed = tokenizerFile.safeParse(JSON.parse(readFileSync(file, "utf8")));
  if (!parsed.success) return [];
  const map = vocabularyMap.safeParse(parsed.data.model.vocab);
  const list = vocabularyList.safeParse(parsed.data.model.vocab);
  const entries = map.success
    ? Object.keys(map.data)
    : list.success
      ? list.data.map(([entry]) => entry)
      : [];
  return entries
    .flatMap((entry) => /^[Ġ▁]([a-z]{2,})$/.exec(entry)?.[1] ?? [])
    .sort()
    .slice(0, 4096);
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
