// Text to tokens, and tokens back to bytes. The bytes matter: one token may be half of a character,
// and a stream must not send halves.
import { basename, dirname, join } from "node:path";
import { AutoTokenizer, env } from "@huggingface/transformers";
import { z } from "zod";
import { UserError } from "../../errors.ts";
import { type ModelFolder, readJson } from "./model-folder.ts";

export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

export interface ServingTokenizer {
  /** Special tokens spelled out in the text ("<|im_end|>") become those tokens. */
  encode(text: string): readonly number[];
  /** The prompt of a chat, by the model's own template, open for the assistant's answer. */
  renderChat(messages: readonly ChatMessage[], addGenerationPrompt: boolean): string;
  /** Special tokens are spelled out. */
  decode(tokens: readonly number[]): string;
  /** What a token adds to the text; nothing for special tokens and for ids that it does not know. */
  bytesOf(token: number): Uint8Array;
}

const tokenizerFile = z.object({
  model: z.object({ type: z.literal("BPE"), vocab: z.record(z.string(), z.int()) }),
  decoder: z.object({ type: z.literal("ByteLevel") }),
  added_tokens: z.array(z.object({ id: z.int(), content: z.string(), special: z.boolean() })),
});

/**
 * Loads the tokenizer of a model folder, never from the network.
 *
 * @throws UserError when it is broken, or not a byte-level BPE
 */
export async function loadTokenizer(folder: ModelFolder): Promise<ServingTokenizer> {
  const { model, added_tokens } = await readJson(
    join(folder.path, "tokenizer.json"),
    tokenizerFile,
  );
  env.allowRemoteModels = false;
  env.localModelPath = dirname(folder.path);
  const tokenizer = await AutoTokenizer.from_pretrained(basename(folder.path));
  if (typeof tokenizer.chat_template !== "string") {
    throw new UserError({
      what: "the tokenizer has no chat template",
      where: join(folder.path, "tokenizer_config.json"),
      mend: 'a "chat_template" there, as the model\'s authors publish it',
    });
  }

  const bytes = new Map<number, Uint8Array>();
  for (const [text, token] of Object.entries(model.vocab)) bytes.set(token, bytesOfSymbols(text));
  const utf8 = new TextEncoder();
  for (const { id, content, special } of added_tokens) {
    bytes.set(id, special ? new Uint8Array() : utf8.encode(content));
  }
  const nothing = new Uint8Array();

  return {
    encode: (text) => tokenizer.encode(text, { add_special_tokens: false }),
    renderChat: (messages, addGenerationPrompt) =>
      tokenizer.apply_chat_template([...messages], {
        tokenize: false,
        add_generation_prompt: addGenerationPrompt,
      }),
    decode: (tokens) =>
      tokens.length === 0
        ? ""
        : tokenizer.decode([...tokens], { clean_up_tokenization_spaces: false }),
    bytesOf: (token) => bytes.get(token) ?? nothing,
  };
}

/**
 * Byte-level BPE spells each byte as one printable character: itself where it prints, else the next
 * free one from U+0100 on (the table of GPT-2).
 */
const byteOfSymbol: ReadonlyMap<string, number> = (() => {
  const prints = (byte: number): boolean =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  const table = new Map<string, number>();
  let free = 0x100;
  for (let byte = 0; byte < 256; byte += 1) {
    table.set(String.fromCodePoint(prints(byte) ? byte : free++), byte);
  }
  return table;
})();

function bytesOfSymbols(text: string): Uint8Array {
  return Uint8Array.from(text, (symbol) => byteOfSymbol.get(symbol) ?? 0x3f);
}
