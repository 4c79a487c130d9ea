// The settings that decide a measurement, under one name each: an alias table from what engines and
// their versions call them to `EngineSettings`. A new engine or version is a few words in the table.
import { z } from "zod";
import type { EngineSettings, Setting } from "./engine.ts";

/** A configuration, flat: "scheduler_config.max_num_seqs" -> 16. */
export type FlatSettings = Readonly<Record<string, Setting>>;

/** What else than `EngineSettings` is read from the same configurations. */
export interface EngineLimits {
  readonly maxModelLen: number | undefined;
  readonly maxNumSeqs: number | undefined;
}

/** A name of a setting, and what its value means where it is not the value itself. */
type Alias<T> = string | readonly [name: string, read: (value: Setting) => T | undefined];

interface Source<T> {
  readonly read: (value: Setting) => T | undefined;
  /** First one found in a configuration wins. */
  readonly aliases: readonly Alias<T>[];
}

/**
 * Reads the settings out of what an engine said; undefined where nothing says it.
 *
 * @param said configurations, the most trustworthy first: what it found when it started goes before
 *   what it was configured with, that before the arguments it was given
 */
export function readSettings(said: readonly FlatSettings[]): EngineSettings & EngineLimits {
  const sources = said.map(withoutRoot);
  const read = <T>({ read: readValue, aliases }: Source<T>): T | undefined => {
    for (const source of sources) {
      for (const alias of aliases) {
        const [name, readAlias] = typeof alias === "string" ? [alias, readValue] : alias;
        const value = Object.hasOwn(source, name) ? source[name] : undefined;
        const setting = value === undefined ? undefined : readAlias(value);
        if (setting !== undefined) return setting;
      }
    }
    return undefined;
  };
  const enforceEager = read(settingSources.enforceEager);
  return {
    dtype: read(settingSources.dtype),
    quantization: read(settingSources.quantization),
    kvCacheDtype: read(settingSources.kvCacheDtype),
    attentionBackend: read(settingSources.attentionBackend),
    cudaGraphs: read(settingSources.cudaGraphs) ?? (enforceEager === true ? "none" : undefined),
    enforceEager,
    chunkedPrefill: read(settingSources.chunkedPrefill),
    prefixCaching: read(settingSources.prefixCaching),
    blockSize: read(settingSources.blockSize),
    kvCacheTokens: read(settingSources.kvCacheTokens) ?? tokensOfBlocks(sources),
    maxNumBatchedTokens: read(settingSources.maxNumBatchedTokens),
    tensorParallel: read(settingSources.tensorParallel),
    pipelineParallel: read(settingSources.pipelineParallel),
    dataParallel: read(settingSources.dataParallel),
    gpuMemoryUtilization: read(settingSources.gpuMemoryUtilization),
    speculative: readSpeculative(sources),
    loadFormat: read(settingSources.loadFormat),
    maxModelLen: read(settingSources.maxModelLen),
    maxNumSeqs: read(settingSources.maxNumSeqs),
  };
}

const settingSources = {
  dtype: {
    read: readDtype,
    aliases: ["model_config.dtype", "dtype", "model_dtype"],
  },
  quantization: {
    read: textOrNone,
    aliases: [
      "model_config.quantization",
      "quantization",
      "details.quantization_level",
      "quantize",
    ],
  },
  kvCacheDtype: {
    read: text,
    aliases: ["cache_config.cache_dtype", "kv_cache_dtype", "cache_dtype"],
  },
  attentionBackend: {
    read: readBackend,
    aliases: ["attention_config.backend", "attention_backend", "vllm_env.VLLM_ATTENTION_BACKEND"],
  },
  cudaGraphs: {
    read: readCudaGraphs,
    aliases: [
      "compilation_config.cudagraph_mode",
      // Before vLLM 0.11 there was a switch, and another one for graphs of the whole model.
      ["compilation_config.full_cuda_graph", (value) => (value === true ? "full" : undefined)],
      ["compilation_config.use_cudagraph", (value) => (value === true ? "piecewise" : undefined)],
      ["disable_cuda_graph", (value) => (value === true ? "none" : undefined)],
    ],
  },
  enforceEager: { read: flag, aliases: ["model_config.enforce_eager", "enforce_eager"] },
  chunkedPrefill: {
    read: flag,
    aliases: [
      "scheduler_config.enable_chunked_prefill",
      "scheduler_config.chunked_prefill_enabled",
      "enable_chunked_prefill",
      "chunked_prefill_enabled",
      // SGLang: tokens of a chunk, -1 for none.
      ["chunked_prefill_size", (value) => (typeof value === "number" ? value > 0 : undefined)],
    ],
  },
  prefixCaching: {
    read: flag,
    aliases: [
      "cache_config.enable_prefix_caching",
      "enable_prefix_caching",
      ["disable_radix_cache", (value) => (typeof value === "boolean" ? !value : undefined)],
    ],
  },
  blockSize: { read: count, aliases: ["cache_config.block_size", "block_size", "page_size"] },
  kvCacheTokens: {
    read: count,
    aliases: [
      "cache_config.kv_cache_size_tokens",
      "kv_cache_size_tokens",
      "max_total_num_tokens",
      "max_batch_total_tokens",
    ],
  },
  maxNumBatchedTokens: {
    read: count,
    aliases: [
      "scheduler_config.max_num_batched_tokens",
      "max_num_batched_tokens",
      "max_prefill_tokens",
      "max_batch_prefill_tokens",
    ],
  },
  tensorParallel: {
    read: count,
    aliases: ["parallel_config.tensor_parallel_size", "tensor_parallel_size", "tp_size"],
  },
  pipelineParallel: {
    read: count,
    aliases: ["parallel_config.pipeline_parallel_size", "pipeline_parallel_size", "pp_size"],
  },
  dataParallel: {
    read: count,
    aliases: ["parallel_config.data_parallel_size", "data_parallel_size", "dp_size"],
  },
  gpuMemoryUtilization: {
    read: number,
    aliases: [
      "cache_config.gpu_memory_utilization",
      "gpu_memory_utilization",
      "mem_fraction_static",
    ],
  },
  loadFormat: {
    read: (value) =>
      text(value)
        ?.replace(/^LoadFormat\./, "")
        .toLowerCase(),
    aliases: ["load_config.load_format", "load_format"],
  },
  maxModelLen: {
    read: count,
    aliases: [
      "model_config.max_model_len",
      "max_model_len",
      "max_seq_len",
      "context_len",
      "context_length",
      "max_total_tokens",
      "default_generation_settings.n_ctx",
    ],
  },
  maxNumSeqs: {
    read: count,
    aliases: [
      "scheduler_config.max_num_seqs",
      "max_num_seqs",
      "max_running_requests",
      "max_batch_size",
      "total_slots",
    ],
  },
} satisfies Record<
  Exclude<keyof EngineSettings, "speculative"> | keyof EngineLimits,
  Source<string> | Source<number> | Source<boolean>
>;

/** vLLM's own configuration may stand below its name, SGLang's below that of its arguments. */
function withoutRoot(said: FlatSettings): FlatSettings {
  return Object.fromEntries(
    Object.entries(said).map(([name, value]) => [
      name.replace(/^(?:vllm_config|server_args)\./, ""),
      value,
    ]),
  );
}

/** Blocks and their size may be said in two places: a log names the blocks, the arguments the size. */
function tokensOfBlocks(sources: readonly FlatSettings[]): number | undefined {
  const first = (names: readonly string[]): number | undefined => {
    for (const source of sources) {
      for (const name of names) {
        const found = count(source[name] ?? null);
        if (found !== undefined) return found;
      }
    }
    return undefined;
  };
  const blocks = first(["cache_config.num_gpu_blocks", "num_gpu_blocks"]);
  const size = first(["cache_config.block_size", "block_size"]);
  return blocks === undefined || size === undefined ? undefined : blocks * size;
}

function readSpeculative(sources: readonly FlatSettings[]): string | undefined {
  for (const source of sources) {
    if (source["speculative_config"] === null || source["speculative_algorithm"] === null)
      return "none";
    const method =
      text(source["speculative_config.method"] ?? null) ??
      text(source["speculative_algorithm"] ?? null)?.toLowerCase() ??
      (Object.keys(source).some((name) => /^speculative_config\.(?:draft_)?model$/.test(name))
        ? "draft model"
        : undefined);
    if (method === undefined) continue;
    const tokens = [
      "speculative_config.num_speculative_tokens",
      "speculative_config.num_spec_tokens",
      "speculative_num_draft_tokens",
    ]
      .map((name) => count(source[name] ?? null))
      .find((value) => value !== undefined);
    return tokens === undefined ? method : `${method}, ${tokens} tokens`;
  }
  return undefined;
}

const dtypes: Readonly<Record<string, string>> = { half: "float16", float: "float32" };

/** "auto" is what was asked for, not what it became. */
function readDtype(value: Setting): string | undefined {
  const name = text(value)?.replace(/^torch\./, "");
  return name === "auto" || name === undefined ? undefined : (dtypes[name] ?? name);
}

/** As vLLM names them since 0.11; before, its log put them in words of its own. */
const backends: Readonly<Record<string, string>> = {
  flashattention: "FLASH_ATTN",
  flashattn: "FLASH_ATTN",
  fa2: "FLASH_ATTN",
  fa3: "FLASH_ATTN",
  flashinfer: "FLASHINFER",
  flashmla: "FLASHMLA",
  tritonattention: "TRITON_ATTN",
  tritonattn: "TRITON_ATTN",
  triton: "TRITON_ATTN",
  tritonmla: "TRITON_MLA",
  xformers: "XFORMERS",
  rocmflashattention: "ROCM_FLASH",
  torchsdpa: "TORCH_SDPA",
  openvinoattention: "OPENVINO",
  pallas: "PALLAS",
  pallasv1: "PALLAS",
};

function readBackend(value: Setting): string | undefined {
  const name = text(value)?.replace(/^.*AttentionBackendEnum\./, "");
  if (name === undefined) return undefined;
  const key = name.toLowerCase().replaceAll(/[^a-z0-9]/g, "");
  return Object.hasOwn(backends, key) ? backends[key] : name;
}

/** vLLM's numbers of its modes: a pair is the one for decode and the one for everything else. */
const cudaGraphModes: Readonly<Record<string, string>> = {
  "0": "none",
  "1": "piecewise",
  "2": "full",
  "[2,0]": "full_decode_only",
  "[2,1]": "full_and_piecewise",
};

function readCudaGraphs(value: Setting): string | undefined {
  if (value === null) return undefined;
  const name = String(value);
  return cudaGraphModes[name.replaceAll(" ", "")] ?? text(name)?.toLowerCase();
}

function text(value: Setting): string | undefined {
  return typeof value === "string" && value !== "" && value !== "None" ? value : undefined;
}

/** null is the engine's word for "none of it". */
function textOrNone(value: Setting): string | undefined {
  return value === null || value === "None" ? "none" : text(value);
}

/** Labels of a /metrics page are texts in Python's words. */
function flag(value: Setting): boolean | undefined {
  if (typeof value === "boolean") return value;
  return value === "True" ? true : value === "False" ? false : undefined;
}

function number(value: Setting): number | undefined {
  if (typeof value === "number") return value;
  return typeof value === "string" && /^\d+(?:\.\d+)?$/.test(value) ? Number(value) : undefined;
}

function count(value: Setting): number | undefined {
  const read = number(value);
  return read !== undefined && Number.isInteger(read) && read > 0 ? read : undefined;
}

const scalar = z.union([z.string(), z.number(), z.boolean(), z.null()]);

/** Nested objects become dotted keys, lists their JSON; anything but an object gives nothing. */
export function flatten(value: unknown, prefix = ""): Record<string, Setting> {
  const flat: Record<string, Setting> = {};
  const record = z.record(z.string(), z.unknown()).safeParse(value);
  if (!record.success) return flat;
  for (const [key, child] of Object.entries(record.data)) {
    const path = prefix === "" ? key : `${prefix}.${key}`;
    const plain = scalar.safeParse(child);
    if (plain.success) flat[path] = plain.data;
    else if (Array.isArray(child)) flat[path] = JSON.stringify(child);
    else Object.assign(flat, flatten(child, path));
  }
  return flat;
}

/**
 * The labels of vLLM's `cache_config_info` on a /metrics page. Engines with several data-parallel
 * ranks give one series each: their blocks add up.
 */
export function readCacheInfo(page: string): FlatSettings {
  const series = [...page.matchAll(/^(?:ray_)?vllm[:_]cache_config_info\{(.*)\}/gm)].map(
    ([, labels = ""]) =>
      Object.fromEntries(
        [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, name = "", value = ""]) => [
          name,
          value,
        ]),
      ),
  );
  const [first] = series;
  if (first === undefined) return {};
  const info: Record<string, Setting> = { ...first };
  for (const name of ["num_gpu_blocks", "kv_cache_size_tokens"]) {
    const values = series.map((labels) => count(labels[name] ?? null));
    const total = values.reduce<number>((sum, value) => sum + (value ?? 0), 0);
    info[name] = total > 0 ? total : null;
  }
  return info;
}
