// Turns the scheduler's counts into Prometheus text under vLLM's names and in its units, so that one
// reader serves both engines.
import type { SchedulerCounts } from "./scheduler.ts";

/** How keys and values are kept. */
export interface CacheConfig {
  /** Tokens of one block. */
  readonly blockSize: number;
  readonly numBlocks: number;
  readonly prefixCaching: boolean;
  /** "float32". */
  readonly dtype: string;
}

export function formatMetrics(
  counts: SchedulerCounts,
  modelName: string,
  config: CacheConfig,
): string {
  const model = `engine="0",model_name="${escapeLabel(modelName)}"`;
  const one = (value: number): readonly Series[] => [[model, value]];
  return [
    family(
      "num_requests_running",
      "gauge",
      "Requests that are being answered.",
      one(counts.running),
    ),
    family("num_requests_waiting", "gauge", "Requests that wait for a place.", one(counts.waiting)),
    family(
      "kv_cache_usage_perc",
      "gauge",
      "Share of the key and value blocks that running requests hold, 0 to 1.",
      one(counts.usedBlocks / config.numBlocks),
    ),
    family(
      "prefix_cache_queries_total",
      "counter",
      "Prompt tokens that the prefix cache was asked for.",
      one(counts.prefixCacheQueries),
    ),
    family(
      "prefix_cache_hits_total",
      "counter",
      "Prompt tokens that the prefix cache had.",
      one(counts.prefixCacheHits),
    ),
    family("num_preemptions_total", "counter", "Requests that had to give up their place.", one(0)),
    family(
      "prompt_tokens_total",
      "counter",
      "Prompt tokens read, cached ones included.",
      one(counts.promptTokens),
    ),
    family(
      "prompt_tokens_cached_total",
      "counter",
      "Prompt tokens that were not computed, since the prefix cache had them.",
      one(counts.cachedPromptTokens),
    ),
    family("generation_tokens_total", "counter", "Tokens made.", one(counts.generationTokens)),
    family(
      "request_success_total",
      "counter",
      "Requests that ended, by reason.",
      Object.entries(counts.finished).map(
        ([reason, count]): Series => [
          `engine="0",finished_reason="${reason}",model_name="${escapeLabel(modelName)}"`,
          count,
        ],
      ),
    ),
    family("cache_config_info", "gauge", "How keys and values are kept.", [
      [cacheLabels(config), 1],
    ]),
  ].join("");
}

/** As vLLM writes them, in Python's words. */
function cacheLabels({ blockSize, numBlocks, prefixCaching, dtype }: CacheConfig): string {
  return Object.entries({
    block_size: String(blockSize),
    cache_dtype: dtype,
    enable_prefix_caching: prefixCaching ? "True" : "False",
    engine: "0",
    kv_cache_size_tokens: String(numBlocks * blockSize),
    num_gpu_blocks: String(numBlocks),
  })
    .map(([label, value]) => `${label}="${value}"`)
    .join(",");
}

/** Labels and value. */
type Series = readonly [string, number];

function family(
  name: string,
  type: "gauge" | "counter",
  help: string,
  series: readonly Series[],
): string {
  const lines = series.map(([labels, value]) => `vllm:${name}{${labels}} ${value}\n`);
  return `# HELP vllm:${name} ${help}\n# TYPE vllm:${name} ${type}\n${lines.join("")}`;
}

function escapeLabel(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
