// From the file of a dataset to its entries: JSONL of prompts or messages, or conversations in the
// shape of ShareGPT, one a line or in one JSON array. Files may be larger than a string can be.
import { createReadStream } from "node:fs";
import { z } from "zod";
import { messageOf, systemCodeOf, UserError, type UserErrorParts } from "../errors.ts";
import type { ChatMessage } from "./tokenizer.ts";

export interface DatasetEntry {
  /** `prompt`: one text. `messages`: a request as it was sent. `conversation`: a dialogue of two. */
  readonly kind: "prompt" | "messages" | "conversation";
  /** Line of the file on which it begins, from 1. */
  readonly line: number;
  /** At least one. */
  readonly messages: readonly ChatMessage[];
  /** Of the answer, where the file says. */
  readonly outputTokens: number | undefined;
}

/** So many mistakes of one file are told; the rest is counted. */
const mostMistakes = 5;

/**
 * Reads a dataset, in the order of the file; entries without any message are passed over.
 * @param shown how messages call the file
 * @throws UserError with the first mistakes, each with file and line
 */
export async function readDataset(path: string, shown = path): Promise<readonly DatasetEntry[]> {
  const entries: DatasetEntry[] = [];
  const mistakes: UserErrorParts[] = [];
  let mistaken = 0;
  try {
    for await (const { line, text } of jsonTexts(
      createReadStream(path, { highWaterMark: 1 << 20 }),
    )) {
      const entry = entryOf(line, text);
      if ("what" in entry) {
        mistaken += 1;
        if (mistakes.length < mostMistakes) mistakes.push({ ...entry, where: `${shown}:${line}` });
        // What is wrong on so many lines is no slip: it is another kind of file.
        if (mistaken > 100 && entries.length === 0) break;
      } else if (entry.messages.length > 0) entries.push(entry);
    }
  } catch (error) {
    throw new UserError(unreadable(shown, error), { cause: error });
  }
  if (mistaken > mistakes.length) {
    mistakes.push({
      what: `${mistaken - mistakes.length} more entries are wrong`,
      where: shown,
      mend: "mend the first ones, then look again",
    });
  }
  if (mistakes.length > 0) throw new UserError(mistakes);
  if (entries.length === 0) {
    throw new UserError({ what: "the dataset has no entry", where: shown, mend: wholeShape });
  }
  return entries;
}

const wholeShape =
  'a dataset is JSONL, one entry a line: {"prompt": "..."}, {"messages": [{"role": "user", "content": "..."}]} or {"conversations": [{"from": "human", "value": "..."}]}; a JSON array of such entries does too';

function unreadable(shown: string, error: unknown): UserErrorParts {
  const code = systemCodeOf(error);
  if (code === "ENOENT" || code === "ENOTDIR") {
    return {
      what: `there is no dataset ${shown}`,
      mend: "give the path of a JSONL file, relative to the project",
    };
  }
  if (code === "EISDIR") return { what: `${shown} is a folder`, mend: "name the file in it" };
  return { what: `${shown} can't be read: ${messageOf(error)}`, mend: "check the file" };
}

// Entries

const tokenCount = z.int().min(1).max(10_000_000).optional();
const outputKeys = { output_tokens: tokenCount, max_tokens: tokenCount };
const promptEntry = z.object({ prompt: z.string().min(1), ...outputKeys });
const messagesEntry = z.object({
  messages: z.array(z.object({ role: z.string().min(1), content: z.string() })),
  ...outputKeys,
});
const conversationsEntry = z.object({
  conversations: z.array(z.object({ from: z.string(), value: z.string() })),
  ...outputKeys,
});

/** Who speaks, by the names that files of this shape use. */
const speakers: ReadonlyMap<string, string> = new Map([
  ["human", "user"],
  ["user", "user"],
  ["gpt", "assistant"],
  ["assistant", "assistant"],
  ["chatgpt", "assistant"],
  ["bing", "assistant"],
  ["bard", "assistant"],
  ["system", "system"],
]);

function entryOf(line: number, text: string): DatasetEntry | UserErrorParts {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { what: `this is not JSON: ${messageOf(error)}`, mend: wholeShape };
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return { what: "an entry is a map of keys", mend: wholeShape };
  if ("prompt" in value) {
    const parsed = promptEntry.safeParse(value);
    if (!parsed.success) return mistakeOf(parsed.error, '{"prompt": "...", "output_tokens": 128}');
    return {
      kind: "prompt",
      line,
      messages: [{ role: "user", content: parsed.data.prompt }],
      outputTokens: parsed.data.output_tokens ?? parsed.data.max_tokens,
    };
  }
  if ("messages" in value) {
    const parsed = messagesEntry.safeParse(value);
    if (!parsed.success)
      return mistakeOf(parsed.error, '{"messages": [{"role": "user", "content": "..."}]}');
    const { messages } = parsed.data;
    return {
      kind: "messages",
      line,
      messages,
      outputTokens: parsed.data.output_tokens ?? parsed.data.max_tokens,
    };
  }
  if ("conversations" in value) {
    const parsed = conversationsEntry.safeParse(value);
    if (!parsed.success)
      return mistakeOf(parsed.error, '{"conversations": [{"from": "human", "value": "..."}]}');
    const messages: ChatMessage[] = [];
    for (const { from, value: content } of parsed.data.conversations) {
      const role = speakers.get(from);
      if (role === undefined) {
        return {
          what: `nobody here is called ${JSON.stringify(from)}`,
          mend: `"from" is one of ${[...speakers.keys()].join(", ")}`,
        };
      }
      messages.push({ role, content });
    }
    return {
      kind: "conversation",
      line,
      messages,
      outputTokens: parsed.data.output_tokens ?? parsed.data.max_tokens,
    };
  }
  const keys = Object.keys(value).slice(0, 6);
  return {
    what: `an entry has none of prompt, messages and conversations${keys.length === 0 ? "" : `; it has ${keys.join(", ")}`}`,
    mend: wholeShape,
  };
}

function mistakeOf(error: z.ZodError, example: string): UserErrorParts {
  const issue = error.issues[0];
  const path = issue?.path.join(".") ?? "";
  return {
    what: `${path === "" ? "the entry" : path}: ${issue?.message ?? "is wrong"}`,
    mend: `write ${example}`,
  };
}

// The file

interface JsonText {
  readonly line: number;
  readonly text: string;
}

const newline = 0x0a;
const quote = 0x22;
const backslash = 0x5c;
const opening = new Set([0x5b, 0x7b]);
const closing = new Set([0x5d, 0x7d]);
const blank = new Set([0x20, 0x09, 0x0d, newline]);

/** The lines of JSONL that are not blank, or the elements of the one array that the file is. */
async function* jsonTexts(chunks: AsyncIterable<Buffer>): AsyncGenerator<JsonText> {
  let form: "unknown" | "lines" | "array" = "unknown";
  let line = 1;
  /** Line on which the text that is being read began. */
  let began = 1;
  let pieces: Buffer[] = [];
  // Of an array: how deep within its elements, and whether within a string.
  let depth = 0;
  let inString = false;
  let escaped = false;

  const take = (last: Buffer): JsonText | undefined => {
    const bytes = pieces.length === 0 ? last : Buffer.concat([...pieces, last]);
    pieces = [];
    // A byte order mark is no part of a text.
    const text = bytes
      .toString("utf8")
      .replace(/^\uFEFF/, "")
      .trim();
    return text === "" ? undefined : { line: began, text };
  };

  for await (const chunk of chunks) {
    let start = 0;
    for (let at = 0; at < chunk.length; at += 1) {
      const byte = chunk[at] ?? 0;
      if (form === "unknown") {
        if (blank.has(byte) || byte >= 0x80) {
          if (byte === newline) line += 1;
          continue;
        }
        form = byte === 0x5b ? "array" : "lines";
        began = line;
        start = form === "array" ? at + 1 : at;
        if (form === "array") continue;
      }
      if (form === "lines") {
        // The engine's own search: most of a file is inside lines.
        const end = chunk.indexOf(newline, at);
        if (end < 0) break;
        const text = take(chunk.subarray(start, end));
        if (text !== undefined) yield text;
        line += 1;
        began = line;
        start = end + 1;
        at = end;
        continue;
      }
      if (byte === newline) line += 1;
      if (inString) {
        if (escaped) escaped = false;
        else if (byte === backslash) escaped = true;
        else if (byte === quote) inString = false;
      } else if (byte === quote) inString = true;
      else if (opening.has(byte)) {
        if (depth === 0) {
          began = line;
          start = at;
          pieces = [];
        }
        depth += 1;
      } else if (closing.has(byte)) {
        depth -= 1;
        // Below 0: the end of the array itself.
        if (depth < 0) return;
        if (depth === 0) {
          const text = take(chunk.subarray(start, at + 1));
          if (text !== undefined) yield text;
          start = at + 1;
        }
      }
    }
    if (form !== "unknown" && start < chunk.length) pieces.push(Buffer.from(chunk.subarray(start)));
  }
  if (form === "array") {
    // What is left was never closed: the parser says where.
    yield { line: began, text: Buffer.concat(pieces).toString("utf8") || "[" };
    return;
  }
  const rest = take(Buffer.alloc(0));
  if (rest !== undefined) yield rest;
}
