// From the file of a trace to its requests in order of arrival: when each came, how long it was, and
// what of its prompt it shares with others. Reads our own JSONL and the files of two public traces.
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { messageOf, systemCodeOf, UserError } from "../errors.ts";
import { formatNumber } from "../units.ts";

/** One request of a trace. */
export interface TraceRequest {
  /** Since the trace's first arrival, ascending, at the recorded speed. */
  readonly atMs: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  /**
   * What its prompt begins with, block by block: prompts whose ids begin alike begin with the same
   * `blockTokens` tokens for each of them. Empty: it shares nothing.
   */
  readonly prefixIds: readonly string[];
  /** Tokens that each id stands for; the last block may reach beyond the prompt's end. */
  readonly blockTokens: number;
}

export interface Trace {
  readonly format: TraceFormat;
  /** In order of arrival, at least one. */
  readonly requests: readonly TraceRequest[];
}

/**
 * `lines`: our JSONL, `at_s` or `at_ms`, `input_tokens`, `output_tokens`, and where prompts share
 * their beginning `prefix_ids` with `prefix_block_tokens` tokens for each.
 * `mooncake`: JSONL, `timestamp` in ms, `input_length`, `output_length`, `hash_ids` of blocks of 512.
 * `azure`: CSV, TIMESTAMP, ContextTokens, GeneratedTokens; other columns are not read.
 */
type TraceFormat = "lines" | "mooncake" | "azure";

/** A longer trace is no trial, and would fill the memory. */
const mostRequests = 1_000_000;

/** Of the Mooncake trace, and of ours unless said. */
const usualBlockTokens = 512;

const lineExample = '{"at_s": 0.25, "input_tokens": 512, "output_tokens": 128}';

/**
 * Reads a trace.
 * @throws UserError that names file and line of what can't be read
 */
export async function readTrace(path: string): Promise<Trace> {
  const input = createReadStream(path, { encoding: "utf8" });
  const lines = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
  try {
    return await parseTrace(lines, path);
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(
      {
        what:
          systemCodeOf(error) === "ENOENT"
            ? `there is no trace ${path}`
            : `the trace ${path} can't be read: ${messageOf(error)}`,
        where: "loads.trace",
        mend: "name a file relative to the project",
      },
      { cause: error },
    );
  } finally {
    lines.close();
    input.destroy();
  }
}

/**
 * A trace from its lines.
 * @param path names it in errors
 * @throws UserError that names file and line of what can't be read
 */
export async function parseTrace(
  lines: Iterable<string> | AsyncIterable<string>,
  path: string,
): Promise<Trace> {
  const requests: TraceRequest[] = [];
  let reader: LineReader | undefined;
  let number = 0;
  for await (const text of lines) {
    number += 1;
    // Some programs begin a file with a byte order mark.
    const line = (number === 1 ? text.replace(/^\uFEFF/, "") : text).trim();
    if (line === "") continue;
    const where = `${path}:${number}`;
    if (reader === undefined) {
      reader = readerOf(line, where);
      if (reader.format === "azure") continue;
    }
    if (requests.length === mostRequests)
      throw new UserError({
        what: `the trace has more than ${formatNumber(mostRequests, 0)} requests`,
        where,
        mend: "cut the part out of it that is to be replayed",
      });
    requests.push(reader.read(line, where));
  }
  if (reader === undefined || requests.length === 0)
    throw new UserError({
      what: "the trace has no request",
      where: path,
      mend: `write one a line: ${lineExample}`,
    });
  return { format: reader.format, requests: inOrder(requests) };
}

interface LineReader {
  readonly format: TraceFormat;
  read(line: string, where: string): TraceRequest;
}

/** What a file is, by its first line. */
function readerOf(line: string, where: string): LineReader {
  if (!line.startsWith("{")) return azureReader(line, where);
  const isMooncake = "timestamp" in objectOf(line, where);
  return isMooncake
    ? { format: "mooncake", read: readMooncake }
    : { format: "lines", read: readLine };
}

function readLine(line: string, where: string): TraceRequest {
  const fields = objectOf(line, where);
  const inSeconds = "at_s" in fields;
  const at = numberOf(fields, inSeconds ? "at_s" : "at_ms", where);
  return {
    atMs: inSeconds ? at * 1000 : at,
    inputTokens: tokensOf(fields, "input_tokens", where),
    outputTokens: tokensOf(fields, "output_tokens", where),
    ...blocksOf(fields, "prefix_ids", where),
  };
}

function readMooncake(line: string, where: string): TraceRequest {
  const fields = objectOf(line, where);
  return {
    atMs: numberOf(fields, "timestamp", where),
    inputTokens: tokensOf(fields, "input_length", where),
    outputTokens: tokensOf(fields, "output_length", where),
    ...blocksOf(fields, "hash_ids", where),
  };
}

function azureReader(header: string, where: string): LineReader {
  const columns = header.split(",").map((name) => name.trim());
  const names = ["TIMESTAMP", "ContextTokens", "GeneratedTokens"] as const;
  const missing = names.filter((name) => !columns.includes(name));
  if (missing.length > 0)
    throw new UserError({
      what: `this is no line of a trace: ${JSON.stringify(header.slice(0, 60))}`,
      where,
      mend: `write JSONL, ${lineExample}; or give a CSV with the columns ${names.join(", ")}`,
    });
  return {
    format: "azure",
    read(line, at) {
      const cells = line.split(",");
      const fields = Object.fromEntries(columns.map((name, index) => [name, cells[index]?.trim()]));
      const count = (name: string): number =>
        tokensOf({ [name]: Number(fields[name] ?? Number.NaN) }, name, at);
      return {
        atMs: timeStampMs(fields["TIMESTAMP"] ?? "", at),
        inputTokens: count("ContextTokens"),
        outputTokens: count("GeneratedTokens"),
        prefixIds: [],
        blockTokens: usualBlockTokens,
      };
    },
  };
}

/** "2023-11-16 18:15:46.6805900": a Date holds no more than milliseconds, so the fraction is read apart. */
function timeStampMs(text: string, where: string): number {
  const parts = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)?$/.exec(text);
  const [, date = "", time = "", fraction = "", offset = "Z"] = parts ?? [];
  const secondMs = Date.parse(`${date}T${time}${offset}`);
  if (Number.isNaN(secondMs))
    throw new UserError({
      what: `TIMESTAMP must be a time, got ${JSON.stringify(text)}`,
      where,
      mend: "write 2023-11-16 18:15:46.6805900",
    });
  return secondMs + Number(`0${fraction}`) * 1000;
}

type Fields = Readonly<Record<string, unknown>>;

function objectOf(line: string, where: string): Fields {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw new UserError(
      { what: `this is no JSON: ${messageOf(error)}`, where, mend: `write ${lineExample}` },
      { cause: error },
    );
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new UserError({ what: "this is no object", where, mend: `write ${lineExample}` });
  return Object.fromEntries(Object.entries(value));
}

function numberOf(fields: Fields, key: string, where: string): number {
  const value = fields[key];
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw new UserError({
    what:
      value === undefined
        ? `${key} is missing`
        : `${key} must be a number, got ${JSON.stringify(value)}`,
    where,
    mend: `write ${lineExample}`,
  });
}

function tokensOf(fields: Fields, key: string, where: string): number {
  const tokens = numberOf(fields, key, where);
  if (Number.isInteger(tokens) && tokens >= 1) return tokens;
  throw new UserError({
    what: `${key} must be a whole number from 1 on, got ${tokens}`,
    where,
    mend: "take the line out: nothing can be asked of a server without tokens",
  });
}

/** The ids under a key, and what each stands for. */
function blocksOf(
  fields: Fields,
  key: string,
  where: string,
): Pick<TraceRequest, "prefixIds" | "blockTokens"> {
  const ids: unknown = fields[key] ?? [];
  const isList =
    Array.isArray(ids) && ids.every((id) => typeof id === "string" || typeof id === "number");
  if (!isList)
    throw new UserError({
      what: `${key} must be a list of numbers or texts, got ${JSON.stringify(ids)}`,
      where,
      mend: `write "${key}": [0, 1, 2]`,
    });
  const blockTokens =
    "prefix_block_tokens" in fields
      ? tokensOf(fields, "prefix_block_tokens", where)
      : usualBlockTokens;
  return { prefixIds: ids.map(String), blockTokens };
}

/** By arrival, those of one instant as they stand in the file; the first one at 0. */
function inOrder(requests: readonly TraceRequest[]): readonly TraceRequest[] {
  const sorted = requests.toSorted((a, b) => a.atMs - b.atMs);
  const beganAtMs = sorted[0]?.atMs ?? 0;
  return sorted.map((request) => ({ ...request, atMs: request.atMs - beganAtMs }));
}
