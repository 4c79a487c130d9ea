// From an engine's /metrics page (Prometheus text) to the few gauges and counters that a trial
// needs, under one name each, whatever the engine and its version call them.
import type { EngineReading } from "./request-record.ts";

/** What one page says; undefined: the engine does not offer it. */
export type EngineGauges = Omit<EngineReading, "atMs">;

/**
 * The series of each, from the first name that the page has. Names stand without the `_total` that
 * newer clients append to counters, and without Ray's prefix; `{label="x"}` takes those series alone,
 * `{label!="x"}` the others; "a + b" adds up what there is of the two.
 */
const sources: Readonly<Record<keyof EngineGauges, Source>> = {
  running: sum(
    "vllm:num_requests_running",
    "sglang:num_running_reqs",
    "llamacpp:requests_processing",
    "tgi_batch_current_size",
    "trtllm_num_requests_running",
    'nv_trt_llm_request_metrics{request_type="scheduled"}',
  ),
  waiting: sum(
    // vLLM V0 moved requests out to the CPU, where they waited too.
    "vllm:num_requests_waiting + vllm:num_requests_swapped",
    "sglang:num_queue_reqs",
    "llamacpp:requests_deferred",
    "tgi_queue_size",
    "trtllm_num_requests_waiting",
    'nv_trt_llm_request_metrics{request_type="waiting"}',
  ),
  kvUsage: mean(
    "vllm:kv_cache_usage_perc",
    "vllm:gpu_cache_usage_perc",
    "sglang:token_usage",
    "llamacpp:kv_cache_usage_ratio",
    "trtllm_kv_cache_utilization",
    'nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="fraction"}',
  ),
  // Not llamacpp:prompt_tokens: it leaves out what came from the cache, so it is another number.
  promptTokensTotal: sum(
    "vllm:prompt_tokens",
    "sglang:prompt_tokens",
    "tgi_request_input_length_sum",
    "trtllm_prompt_tokens",
  ),
  generationTokensTotal: sum(
    "vllm:generation_tokens",
    "sglang:generation_tokens",
    "llamacpp:tokens_predicted",
    "tgi_request_generated_tokens_sum",
    "trtllm_generation_tokens",
  ),
  // The engine's own cache on the GPU; vllm:external_prefix_cache_* is asked of another instance.
  // In tokens, in the first versions of vLLM V1 in blocks: their ratio holds for both.
  prefixQueriesTotal: sum("vllm:prefix_cache_queries", "vllm:gpu_prefix_cache_queries"),
  prefixHitsTotal: sum("vllm:prefix_cache_hits", "vllm:gpu_prefix_cache_hits"),
  // Not vllm:cpu_prefix_cache_hit_rate: a cache of swapped blocks, not the one that saves prefill.
  prefixHitRate: mean(
    "vllm:gpu_prefix_cache_hit_rate",
    "sglang:cache_hit_rate",
    "trtllm_kv_cache_hit_rate",
  ),
  promptTokensCachedTotal: sum(
    "vllm:prompt_tokens_cached",
    'vllm:prompt_tokens_by_source{source="local_cache_hit"} + vllm:prompt_tokens_by_source{source="external_kv_transfer"}',
    // One series for each place of the cache; "total" stands alone or repeats their sum.
    'sglang:cached_tokens{cache_source!="total"}',
    "sglang:cached_tokens",
    "trtllm_prompt_cached_tokens",
  ),
  promptTokensRemoteTotal: sum(
    'vllm:prompt_tokens_by_source{source="external_kv_transfer"}',
    "vllm:external_prefix_cache_hits",
  ),
  // Not sglang:num_retracted_reqs: it tells of the last batch only and goes down again.
  preemptionsTotal: sum("vllm:num_preemptions", "sglang:num_retracted_requests"),
  // vLLM V0 counts draft tokens and accepted ones, no drafts.
  draftsTotal: sum("vllm:spec_decode_num_drafts"),
  draftTokensTotal: sum("vllm:spec_decode_num_draft_tokens", "trtllm_spec_decode_drafted_tokens"),
  acceptedTokensTotal: sum(
    "vllm:spec_decode_num_accepted_tokens",
    "trtllm_spec_decode_accepted_tokens",
  ),
};

/**
 * Reads a /metrics page of vLLM (V0 and V1, also under Ray), SGLang, llama.cpp, TGI, TensorRT-LLM or
 * Triton. Lines that are not samples are skipped; a negative or non-finite value is no value (vLLM
 * gives -1 for what is off), and neither is a ratio above 1. A series given twice with the same
 * labels counts once.
 */
export function parseMetrics(text: string): EngineGauges {
  const page = readSeries(text);
  const read = (gauge: keyof EngineGauges): number | undefined => readGauge(sources[gauge], page);
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
    promptTokensRemoteTotal: read("promptTokensRemoteTotal"),
    preemptionsTotal: read("preemptionsTotal"),
    draftsTotal: read("draftsTotal"),
    draftTokensTotal: read("draftTokensTotal"),
    acceptedTokensTotal: read("acceptedTokensTotal"),
  };
}

interface Series {
  readonly labels: ReadonlyMap<string, string>;
  readonly value: number;
}

/** Name to the text of its labels to the series. */
type Page = ReadonlyMap<string, ReadonlyMap<string, Series>>;

interface Selector {
  readonly name: string;
  /** undefined: all series of the name. */
  readonly label: string | undefined;
  readonly negated: boolean;
  readonly wanted: string;
}

interface Source {
  /** Engines with several workers give a series each: counts add up, ratios 0..1 average. */
  readonly reduce: "sum" | "mean";
  /** In order of preference; selectors of an inner list are read together. */
  readonly candidates: readonly (readonly Selector[])[];
}

function sum(...names: readonly string[]): Source {
  return { reduce: "sum", candidates: names.map(selectorsOf) };
}

function mean(...names: readonly string[]): Source {
  return { reduce: "mean", candidates: names.map(selectorsOf) };
}

function selectorsOf(name: string): readonly Selector[] {
  return name.split(" + ").map(selectorOf);
}

function selectorOf(text: string): Selector {
  const [, name = text, label, operator, wanted = ""] =
    /^([\w:]+)\{(\w+)(!?=)"([^"]*)"\}$/.exec(text) ?? [];
  return { name, label, negated: operator === "!=", wanted };
}

function readGauge({ reduce, candidates }: Source, page: Page): number | undefined {
  for (const selectors of candidates) {
    const values = selectors
      .flatMap((selector) => seriesOf(page, selector))
      .map(({ value }) => value)
      .filter((value) => reduce === "sum" || value <= 1);
    if (values.length === 0) continue;
    const total = values.reduce((a, b) => a + b);
    return reduce === "sum" ? total : total / values.length;
  }
  return undefined;
}

function seriesOf(page: Page, { name, label, negated, wanted }: Selector): readonly Series[] {
  const series = [...(page.get(name)?.values() ?? [])];
  if (label === undefined) return series;
  return series.filter(({ labels }) => (labels.get(label) === wanted) !== negated);
}

/**
 * A sample of a name that is looked for, with the rest of its line; the rest of a page, most of it
 * comments and buckets, is passed over unread.
 */
const wantedSample = new RegExp(
  `^(?:ray_)?(${[
    ...new Set(
      Object.values(sources).flatMap(({ candidates }) => candidates.flat().map(({ name }) => name)),
    ),
  ]
    .map((name) => name.replace(":", "[:_]"))
    .join("|")})(?:_total)?(?=[\\s{])(.*)$`,
  "my",
);

/**
 * The samples that are looked for. Line by line: a search over the whole page takes seven times as
 * long, and this runs beside the time stamps of a load.
 */
function* wantedSamples(text: string): Generator<RegExpExecArray> {
  for (let start = 0; start < text.length; ) {
    const end = text.indexOf("\n", start);
    if (text[start] !== "#") {
      wantedSample.lastIndex = start;
      const sample = wantedSample.exec(text);
      if (sample !== null) yield sample;
    }
    start = end === -1 ? text.length : end + 1;
  }
}

/** Labels (quoted values may hold any character) and value; a time stamp or exemplar may follow. */
const afterName = /^\s*(?:\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\})?\s*(\S+)/;
const oneLabel = /([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/** Ranks of one model that each tell of the same requests. */
const rankLabels: ReadonlySet<string> = new Set(["tp_rank", "pp_rank", "moe_ep_rank"]);

function readSeries(text: string): Page {
  const page = new Map<string, Map<string, Series>>();
  for (const [, rawName = "", rest = ""] of wantedSamples(text)) {
    const name = rawName.replace(/^(vllm|sglang|llamacpp)_/, "$1:");
    const [, labelText = "", rawValue] = afterName.exec(rest) ?? [];
    const value = Number(rawValue);
    if (!Number.isFinite(value) || value < 0) continue;
    const labels = new Map<string, string>();
    for (const [, label = "", quoted = ""] of labelText.matchAll(oneLabel)) {
      if (!rankLabels.has(label)) labels.set(label, quoted);
    }
    const series = page.get(name) ?? new Map<string, Series>();
    series.set(JSON.stringify([...labels]), { labels, value });
    page.set(name, series);
  }
  return page;
}
