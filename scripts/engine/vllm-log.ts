// The log of a start of vLLM (0.4 to 0.32) or SGLang to what it found: its resolved configuration, the
// backend it chose, how large its KV cache became. What the log does not say is undefined.
import type { Setting } from "./engine.ts";
import { firstMatch, type LogLine, lastMatch, readLogLines } from "./log-lines.ts";
import { readKeywords, readPythonValue } from "./python-literal.ts";
import { type FlatSettings, flatten } from "./settings.ts";
import type { StartDiagnosis } from "./start-causes.ts";
import { diagnose } from "./start-diagnosis.ts";

/** What a log of a start says. */
export interface StartLogFacts {
  /** undefined: neither of them. */
  readonly engine: "vLLM" | "SGLang" | undefined;
  readonly version: string | undefined;
  /** "V0" or "V1" of vLLM's engine. */
  readonly generation: string | undefined;
  /** Arguments that differ from the defaults; versions before 0.9 print all of them, which are in `args`. */
  readonly nonDefaultArgs: FlatSettings | undefined;
  /** All arguments, where the log has them. */
  readonly args: FlatSettings | undefined;
  /** The resolved configuration, flat, under "vllm_config." or as SGLang's arguments. */
  readonly config: FlatSettings | undefined;
  /** What the engine found out as it started, for `readSettings`. */
  readonly found: FlatSettings;
  /** Blocks and their size are multiplied by `readSettings`; here only what is said in tokens. */
  readonly kvCacheTokens: number | undefined;
  readonly kvCacheBlocks: number | undefined;
  /** Requests of the longest length that the KV cache holds at once: 1.81. */
  readonly maxConcurrency: number | undefined;
  /** Batch sizes of which a CUDA graph was captured. */
  readonly cudaGraphSizes: number | undefined;
  readonly weightsLoadS: number | undefined;
  /** GPU memory of the weights. */
  readonly modelMemoryBytes: number | undefined;
  /** Whether the compiled graphs were taken from a cache. */
  readonly compileCache: "cold" | "warm" | undefined;
  /** Whether the server came up. */
  readonly startedUp: boolean;
}

/** Reads a log of a start; never throws, whatever it is given. */
export function readStartLog(log: string): StartLogFacts {
  const lines = readLogLines(log);
  const first = (pattern: RegExp): RegExpExecArray | undefined => firstMatch(lines, pattern);
  const has = (pattern: RegExp): boolean => first(pattern) !== undefined;

  const configLine = first(
    /Initializing an? (?:(V\d) )?LLM engine(?: \(v([^)]+)\))?(?: with config)?/,
  );
  const nonDefault = first(/non-default args: (\{.*)/);
  const namespace = first(/\bargs: (Namespace\(.*)/);
  const sglangArgs = first(/server_args=((?:ServerArgs\(|\{).*)/);
  const sglangFound = first(/(max_total_num_tokens=\d+.*)/);
  const version =
    first(/vLLM API server version (\S+)/)?.[1] ??
    configLine?.[2] ??
    first(/^[^\w]*[█▄▀][^\w]* version (\S+)/)?.[1];

  const nonDefaultArgs = nonDefault && flatten(readPythonValue(nonDefault[1] ?? ""));
  const allArgs = namespace ?? sglangArgs;
  const args = allArgs && flatten(readPythonValue(allArgs[1] ?? ""));
  const memory = first(/(?:Model loading|Loading model weights) took ([\d.]+) ?(?:GiB|GB)/);
  const seconds =
    first(/Loading weights took ([\d.]+) seconds/) ??
    first(/Model loading took [\d.]+ ?GiB(?: memory)? and ([\d.]+) seconds/);
  return {
    engine:
      sglangArgs !== undefined || sglangFound !== undefined
        ? "SGLang"
        : configLine !== undefined || version !== undefined
          ? "vLLM"
          : undefined,
    version,
    generation: configLine?.[1],
    nonDefaultArgs,
    args,
    config: configOf(lines) ?? (sglangArgs === undefined ? undefined : args),
    found: {
      ...foundOf(lines),
      ...(sglangFound === undefined ? {} : flatten(readKeywords(sglangFound[1] ?? ""))),
    },
    kvCacheTokens: tokensOf(lines) ?? numberOf(sglangFound?.[1]?.match(/=(\d+)/)?.[1]),
    kvCacheBlocks: numberOf(first(blocksLine)?.[1]),
    maxConcurrency: numberOf(first(concurrencyLine)?.[2]),
    cudaGraphSizes: cudaGraphSizes(lines),
    weightsLoadS: numberOf(seconds?.[1]),
    // vLLM divides by 2^30, also where older versions print "GB".
    modelMemoryBytes: memory && Math.round(Number(memory[1]) * 2 ** 30),
    compileCache: has(/Directly load (?:the compiled graph|AOT compilation)/)
      ? "warm"
      : has(/torch\.compile takes|Compiling a graph|Cache the graph/)
        ? "cold"
        : undefined,
    startedUp: has(startedUp),
  };
}

/**
 * Why a start failed, and how to mend it, in plain words; the last exception where the cause is none
 * that is known. undefined: the log tells of no failure.
 */
export function diagnoseStart(log: string): StartDiagnosis | undefined {
  const lines = readLogLines(log);
  return diagnose(
    lines,
    lines.findIndex(({ text }) => startedUp.test(text)),
  );
}

/** What a server says once it answers. */
const startedUp =
  /Application startup complete|Starting vLLM (?:API )?server|The server is fired up/;

function configOf(lines: readonly LogLine[]): FlatSettings | undefined {
  const line = firstMatch(lines, /LLM engine(?: \([^)]*\))? with config: (.+)/)?.[1];
  if (line === undefined) return undefined;
  const config = flatten(readKeywords(line), "vllm_config");
  return Object.keys(config).length === 0 ? undefined : config;
}

/** Lines in which the engine says what it decided, under the names of its own configuration. */
function foundOf(lines: readonly LogLine[]): FlatSettings {
  const first = (pattern: RegExp): string | undefined => firstMatch(lines, pattern)?.[1];
  const last = (pattern: RegExp): string | undefined => lastMatch(lines, pattern)?.[1];
  const tokens = tokensOf(lines);
  const blocks = numberOf(first(blocksLine));
  // A draft model chooses a backend too, after the model itself.
  const backend =
    first(/Using ([A-Z_0-9]+) attention backend out of potential/) ??
    first(/Using AttentionBackendEnum\.(\w+) backend/) ??
    first(/Using (\w+(?: \w+)?) backend on V\d engine/) ??
    first(/^Using (?!AttentionBackend)(\w+(?: (?!V1)\w+)?)(?: V1)? backend\.(?: \[repeated.*)?$/) ??
    first(/Using \w+ KV cache layout for (\w+) backend/) ??
    first(/[Aa]ttention backend (?:is )?(?:set to|not explicitly specified\. Use) (\w+)/);
  const batched = numberOf(last(/Chunked prefill is enabled with max_num_batched_tokens=(\d+)/));
  const modelLen = numberOf(first(/Using max model len (\d+)/));
  const cudaGraphs = capturedGraphs(lines);
  const found: Readonly<Record<string, Setting | undefined>> = {
    attention_backend: backend,
    "compilation_config.cudagraph_mode": cudaGraphs,
    kv_cache_size_tokens: tokens,
    num_gpu_blocks: blocks,
    block_size: blockSizeOf(lines, blocks),
    enable_chunked_prefill: batched === undefined ? undefined : true,
    max_num_batched_tokens: batched,
    max_model_len: modelLen,
  };
  return Object.fromEntries(
    Object.entries(found).filter((entry): entry is [string, Setting] => entry[1] !== undefined),
  );
}

/** The graphs that were really captured: a backend may turn down what was configured. */
function capturedGraphs(lines: readonly LogLine[]): string | undefined {
  const has = (pattern: RegExp): boolean => firstMatch(lines, pattern) !== undefined;
  if (has(/Enforce eager set, disabling .*CUDAGraph/)) return "none";
  const piecewise = has(/Capturing CUDA graphs \([^)]*PIECEWISE\)/);
  const full = has(/Capturing CUDA graphs \([^)]*FULL\)/);
  if (piecewise && full) return "full_and_piecewise";
  if (piecewise) return "piecewise";
  if (full) return "full";
  // V0 captured the whole model, for decode alone.
  return has(/Capturing (?:the model for CUDA graphs|cudagraphs for decoding)/)
    ? "full"
    : undefined;
}

/** V0 names the device before the host: "# GPU blocks: 4185, # CPU blocks: 2048". */
const blocksLine = /# \w+ blocks: (\d+)/;

/** Where only blocks and the concurrency are told: tokens = concurrency x longest request. */
function blockSizeOf(lines: readonly LogLine[], blocks: number | undefined): number | undefined {
  const told = firstMatch(lines, concurrencyLine);
  if (told === undefined || blocks === undefined || blocks === 0) return undefined;
  const exact = ((numberOf(told[1]) ?? 0) * (numberOf(told[2]) ?? 0)) / blocks;
  const size = 2 ** Math.round(Math.log2(exact));
  // The concurrency is rounded to two digits.
  return Math.abs(exact - size) / size < 0.01 ? size : undefined;
}

const concurrencyLine = /Maximum concurrency for ([\d,]+) tokens per request: ([\d.]+)x/;

/**
 * Every worker tells the cache that it could hold, and the smallest is what all get; data-parallel
 * ranks have one each, which add up.
 */
function tokensOf(lines: readonly LogLine[]): number | undefined {
  const byRank = new Map<string, number>();
  for (const { process, text } of lines) {
    const tokens = numberOf(/KV cache size: ([\d,]+) tokens/.exec(text)?.[1]);
    if (tokens === undefined) continue;
    const rank = /_DP(\d+)/.exec(process)?.[1] ?? "";
    byRank.set(rank, Math.min(byRank.get(rank) ?? tokens, tokens));
  }
  const sum = [...byRank.values()].reduce((total, tokens) => total + tokens, 0);
  return byRank.size === 0 ? undefined : sum;
}

function cudaGraphSizes(lines: readonly LogLine[]): number | undefined {
  const counts = lines.flatMap(({ text }) =>
    [
      ...text.matchAll(
        /(?:CUDA graphs?[^|%]*|Capturing batches[^|%]*):?\s+\d+%\|[^|]*\|\s*\d+\/(\d+)/g,
      ),
    ].map(([, total]) => Number(total)),
  );
  return counts.length === 0 ? undefined : Math.max(...counts);
}

/** "524,288" -> 524288. */
function numberOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text.replaceAll(",", ""));
  return Number.isFinite(value) ? value : undefined;
}
