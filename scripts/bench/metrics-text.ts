// From an engine's /metrics page (Prometheus text) to the few gauges and counters that a trial
// needs, under one name each, whatever the engine and its version call them.
import type { EngineReading } from "./request-record.ts";

/** What one page says; undefined: the engine does not offer it. */
export type EngineGauges = Omit<EngineReading, "atMs">;

type Reduce = "sum" | "mean";

/** First name found wins. Engines with several workers give a series each: counts add up, ratios average. */
const sources: Readonly<
  Record<keyof EngineGauges, { readonly reduce: Reduce; readonly names: readonly string[] }>
> = {
  running: {
    reduce: "sum",
    names: ["vllm:num_requests_running", "sglang:num_running_reqs", "llamacpp:requests_processing"],
  },
  waiting: {
    reduce: "sum",
    names: ["vllm:num_requests_waiting", "sglang:num_queue_reqs", "llamacpp:requests_deferred"],
  },
  kvUsage: {
    reduce: "mean",
    names: [
      "vllm:kv_cache_usage_perc",
      "vllm:gpu_cache_usage_perc",
      "sglang:token_usage",
      "llamacpp:kv_cache_usage_ratio",
    ],
  },
  promptTokensTotal: {
    reduce: "sum",
    names: ["vllm:prompt_tokens", "sglang:prompt_tokens", "llamacpp:prompt_tokens"],
  },
  generationTokensTotal: {
    reduce: "sum",
    names: ["vllm:generation_tokens", "sglang:generation_tokens", "llamacpp:tokens_predicted"],
  },
  prefixQueriesTotal: {
    reduce: "sum",
    names: ["vllm:prefix_cache_queries", "vllm:gpu_prefix_cache_queries"],
  },
  prefixHitsTotal: {
    reduce: "sum",
    names: ["vllm:prefix_cache_hits", "vllm:gpu_prefix_cache_hits"],
  },
  prefixHitRate: { reduce: "mean", names: ["vllm:gpu_prefix_cache_hit_rate"] },
  promptTokensCachedTotal: { reduce: "sum", names: ["vllm:prompt_tokens_cached"] },
  preemptionsTotal: { reduce: "sum", names: ["vllm:num_preemptions"] },
  draftsTotal: { reduce: "sum", names: ["vllm:spec_decode_num_drafts"] },
  draftTokensTotal: { reduce: "sum", names: ["vllm:spec_decode_num_draft_tokens"] },
  acceptedTokensTotal: { reduce: "sum", names: ["vllm:spec_decode_num_accepted_tokens"] },
};

/**
 * Reads a /metrics page of vLLM (V0 and V1, also under Ray's `ray_` prefix), SGLang or llama.cpp.
 * Lines that are not samples are skipped; a negative or non-finite value is no value (vLLM gives -1
 * for what is off). A series given twice with the same labels counts once.
 */
export function parseMetrics(text: string): EngineGauges {
  const series = readSeries(text);
  const read = (gauge: keyof EngineGauges): number | undefined => {
    const { reduce, names } = sources[gauge];
    for (const name of names) {
      const values = [
        ...(series.get(name) ?? series.get(`${name}_total`) ?? new Map<string, number>()).values(),
      ];
      if (values.length === 0) continue;
      const sum = values.reduce((total, value) => total + value, 0);
      return reduce === "sum" ? sum : sum / values.length;
    }
    return undefined;
  };
  return {
    running: read("running"),
    waiting: read("waiting"),
    kvUsage: read("kvUsage"),
    promptTokensTotal: read("promptTokensTotal"),
    generationTokensTotal: read("generationTokensTotal"),
    prefixQueriesTotal: read("prefixQueriesTotal"),
    prefixHitsTotal: read("prefixHitsTotal"),
    prefixHitRate: read("prefixHitRate"),
    promptTokensCachedTotal: read("promptTokensCachedTotal"),
    preemptionsTotal: read("preemptionsTotal"),
    draftsTotal: read("draftsTotal"),
    draftTokensTotal: read("draftTokensTotal"),
    acceptedTokensTotal: read("acceptedTokensTotal"),
  };
}

/** Name, labels (quoted values may hold any character), value; a time stamp may follow. */
const sample = /^([A-Za-z_:][\w:]*)\s*(\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\})?\s*(\S+)/;

/** Name to labels to value. Ray writes `ray_vllm:x`, newer ones `ray_vllm_x`. */
function readSeries(text: string): ReadonlyMap<string, ReadonlyMap<string, number>> {
  const series = new Map<string, Map<string, number>>();
  for (const line of text.split("\n")) {
    const [, rawName, labels = "", rawValue] = sample.exec(line) ?? [];
    if (rawName === undefined) continue;
    const value = Number(rawValue);
    if (!Number.isFinite(value) || value < 0) continue;
    const name = rawName.replace(/^ray_(vllm|sglang)[:_]/, "$1:");
    const values = series.get(name) ?? new Map<string, number>();
    values.set(labels, value);
    series.set(name, values);
  }
  return series;
}
