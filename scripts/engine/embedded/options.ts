// The command line of the embedded engine: argv in, complete options out.
import { basename, resolve } from "node:path";
import { parseArgs } from "node:util";
import { messageOf, UserError } from "../../errors.ts";
import type { Precision } from "./model.ts";

export interface EngineOptions {
  readonly model: string;
  readonly precision: Precision;
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly maxNumSeqs: number;
  /** undefined: what the model was made for. */
  readonly maxModelLen: number | undefined;
  readonly maxNumBatchedTokens: number;
  readonly enablePrefixCaching: boolean;
  /** Tokens of one block of keys and values. */
  readonly blockSize: number;
  /** Blocks in all; undefined: see `resolveNumBlocks`. */
  readonly numBlocks: number | undefined;
  readonly servedModelName: string;
  readonly threads: number;
  /** Where the seeds of requests that bring none come from. */
  readonly seed: number;
  /** Whoever started the engine holds its standard input open; the engine ends when that closes. */
  readonly exitWithStdin: boolean;
}

/** Tokens of one block unless --block-size says otherwise; vLLM's own on a GPU. */
export const usualBlockSize = 16;

export const usage = `node dist/engine/embedded/server.js --model DIR [options]

  --model DIR                     folder with config.json, tokenizer.json and onnx/
  --precision fp32|q8             which weights (default fp32)
  --host ADDRESS                  where to listen (default 127.0.0.1)
  --port N                        port, 0 for any free one (default 8000)
  --served-model-name NAME        name that clients use (default: the folder's name)
  --max-num-seqs N                requests answered at the same time (default 16)
  --max-model-len N               longest prompt and answer together, tokens (default: the model's)
  --max-num-batched-tokens N      tokens in one iteration (default 2048)
  --no-enable-prefix-caching      compute every prompt whole (default: reuse what begins alike)
  --block-size N                  tokens in one block of keys and values (default 16)
  --num-blocks N                  blocks in all (default: enough for max-num-seqs of max-model-len,
                                  or 512 MiB of them if that is less)
  --threads N                     threads of one operator (default 1)
  --exit-with-stdin               end when standard input closes, as when the starter is gone
  --seed N                        seed for requests that bring none (default 0)
`;

/** "help" when that was asked for. @throws UserError for what it cannot understand */
export function parseOptions(argv: readonly string[]): EngineOptions | "help" {
  const values = readFlags(argv);
  if (values.help === true) return "help";
  if (values.model === undefined || values.model === "") {
    throw new UserError({ what: "--model is missing", mend: "--model data/models/tiny-qwen3" });
  }
  const precision = values.precision ?? "fp32";
  if (precision !== "fp32" && precision !== "q8") {
    throw new UserError({
      what: `--precision must be fp32 or q8, got ${precision}`,
      mend: "--precision q8",
    });
  }
  const options = {
    model: values.model,
    precision,
    host: values.host ?? "127.0.0.1",
    port: count("port", values.port, { lowest: 0, highest: 65_535, usual: 8000 }),
    maxNumSeqs: count("max-num-seqs", values["max-num-seqs"], {
      lowest: 1,
      highest: 1024,
      usual: 16,
    }),
    maxModelLen:
      values["max-model-len"] === undefined
        ? undefined
        : count("max-model-len", values["max-model-len"], {
            lowest: 2,
            highest: 1_000_000,
            usual: 4096,
          }),
    maxNumBatchedTokens: count("max-num-batched-tokens", values["max-num-batched-tokens"], {
      lowest: 1,
      highest: 1_000_000,
      usual: 2048,
    }),
    enablePrefixCaching: values["enable-prefix-caching"] ?? true,
    blockSize: count("block-size", values["block-size"], {
      lowest: 1,
      highest: 4096,
      usual: usualBlockSize,
    }),
    numBlocks:
      values["num-blocks"] === undefined
        ? undefined
        : count("num-blocks", values["num-blocks"], {
            lowest: 1,
            highest: 10_000_000,
            usual: 4096,
          }),
    servedModelName: values["served-model-name"] ?? basename(resolve(values.model)),
    threads: count("threads", values.threads, { lowest: 1, highest: 256, usual: 1 }),
    exitWithStdin: values["exit-with-stdin"] === true,
    seed: count("seed", values.seed, { lowest: 0, highest: 2 ** 32 - 1, usual: 0 }),
  } satisfies EngineOptions;
  if (options.maxNumBatchedTokens < options.maxNumSeqs) {
    throw new UserError({
      what: `--max-num-batched-tokens ${options.maxNumBatchedTokens} is less than --max-num-seqs ${options.maxNumSeqs}, so not every request could advance in one iteration`,
      mend: `--max-num-batched-tokens ${Math.max(2048, options.maxNumSeqs)}`,
    });
  }
  return options;
}

/** What keys and values take at most, unless --num-blocks says otherwise. */
const usualCacheBytes = 512 * 1024 * 1024;

/**
 * Blocks in all: as given, else as many as max-num-seqs requests of the longest kind fill, within
 * 512 MiB.
 * @param tokenFloats keys and values of one token, floats of 4 bytes
 * @throws UserError when one request of the longest kind would not fit
 */
export function resolveNumBlocks(
  { numBlocks, blockSize, maxNumSeqs }: EngineOptions,
  maxModelLen: number,
  tokenFloats: number,
): number {
  const longest = Math.ceil(maxModelLen / blockSize);
  if (numBlocks === undefined) {
    const inMemory = Math.floor(usualCacheBytes / (blockSize * tokenFloats * 4));
    return Math.max(longest, Math.min(maxNumSeqs * longest, inMemory));
  }
  if (numBlocks >= longest) return numBlocks;
  throw new UserError({
    what: `--num-blocks ${numBlocks} of ${blockSize} tokens hold less than one request of ${maxModelLen} tokens`,
    mend: `--num-blocks ${longest}, or a smaller --max-model-len`,
  });
}

function readFlags(argv: readonly string[]): FlagValues {
  try {
    return parseArgs({ args: [...argv], options: flags, strict: true, allowNegative: true }).values;
  } catch (cause) {
    throw new UserError({ what: messageOf(cause), mend: "--help shows the options" }, { cause });
  }
}

const flags = {
  model: { type: "string" },
  precision: { type: "string" },
  host: { type: "string" },
  port: { type: "string" },
  "served-model-name": { type: "string" },
  "max-num-seqs": { type: "string" },
  "max-model-len": { type: "string" },
  "max-num-batched-tokens": { type: "string" },
  "enable-prefix-caching": { type: "boolean" },
  "block-size": { type: "string" },
  "num-blocks": { type: "string" },
  threads: { type: "string" },
  seed: { type: "string" },
  "exit-with-stdin": { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

type FlagValues = ReturnType<typeof parseArgs<{ options: typeof flags }>>["values"];

function count(
  flag: string,
  given: string | undefined,
  range: { readonly lowest: number; readonly highest: number; readonly usual: number },
): number {
  if (given === undefined) return range.usual;
  const value = Number(given);
  if (/^\d+$/.test(given) && value >= range.lowest && value <= range.highest) return value;
  throw new UserError({
    what: `--${flag} must be a whole number from ${range.lowest} to ${range.highest}, got ${given}`,
    mend: `--${flag} ${range.usual}`,
  });
}
