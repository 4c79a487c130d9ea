import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parseMetrics } from "./metrics-text.ts";

const none = {
  running: undefined,
  waiting: undefined,
  kvUsage: undefined,
  promptTokensTotal: undefined,
  generationTokensTotal: undefined,
  prefixQueriesTotal: undefined,
  prefixHitsTotal: undefined,
  prefixHitRate: undefined,
  promptTokensCachedTotal: undefined,
  promptTokensRemoteTotal: undefined,
  preemptionsTotal: undefined,
  draftsTotal: undefined,
  draftTokensTotal: undefined,
  acceptedTokensTotal: undefined,
};

describe("parseMetrics", () => {
  it("adds up the workers' counts and averages their ratios", () => {
    expect(
      parseMetrics(`# HELP vllm:num_requests_running n
vllm:num_requests_running{engine="0"} 3.0
vllm:num_requests_running{engine="1"} 4.0
vllm:kv_cache_usage_perc{engine="0"} 0.2
vllm:kv_cache_usage_perc{engine="1"} 0.6
vllm:prefix_cache_hits_total{engine="0"} 1e+03
vllm:prefix_cache_hits_created{engine="0"} 1.79e+09
`),
    ).toEqual({ ...none, running: 7, kvUsage: 0.4, prefixHitsTotal: 1000 });
  });

  it("counts a series once that is given twice", () => {
    expect(
      parseMetrics('vllm:num_requests_running{m="a"} 3\nvllm:num_requests_running{m="a"} 3\n')
        .running,
    ).toBe(3);
  });

  it("is not confused by braces, spaces and quotes in labels, or by time stamps", () => {
    expect(
      parseMetrics('vllm:num_requests_waiting{m="a } b \\" {",e="0",} 5 1790000000000\r\n').waiting,
    ).toBe(5);
  });

  it("takes what is off, or no number, for no value", () => {
    expect(
      parseMetrics(
        "vllm:gpu_cache_usage_perc -1.0\nvllm:num_requests_running NaN\nnonsense\n\n<html>",
      ),
    ).toEqual(none);
  });

  it.each([
    ["vllm:num_requests_running 2", { running: 2 }],
    ["ray_vllm:num_requests_running 2", { running: 2 }],
    ["ray_vllm_num_requests_running 2", { running: 2 }],
    ["vllm:num_requests_waiting 1\nvllm:num_requests_swapped 2", { waiting: 3 }],
    ["sglang:num_running_reqs 2\nsglang:num_queue_reqs 3", { running: 2, waiting: 3 }],
    ["llamacpp:requests_processing 2\nllamacpp:requests_deferred 3", { running: 2, waiting: 3 }],
    ["tgi_batch_current_size 2\ntgi_queue_size 3", { running: 2, waiting: 3 }],
    ["trtllm_num_requests_running 2\ntrtllm_num_requests_waiting 3", { running: 2, waiting: 3 }],
    [
      'nv_trt_llm_request_metrics{request_type="scheduled"} 2\nnv_trt_llm_request_metrics{request_type="waiting"} 3\nnv_trt_llm_request_metrics{request_type="max"} 512',
      { running: 2, waiting: 3 },
    ],
    ["vllm:kv_cache_usage_perc 0.25", { kvUsage: 0.25 }],
    ["vllm:gpu_cache_usage_perc 0.25\nvllm:cpu_cache_usage_perc 0.5", { kvUsage: 0.25 }],
    ["sglang:token_usage 0.25", { kvUsage: 0.25 }],
    ["llamacpp:kv_cache_usage_ratio 0.25", { kvUsage: 0.25 }],
    ["trtllm_kv_cache_utilization 0.25", { kvUsage: 0.25 }],
    [
      'nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="fraction"} 0.25\nnv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="max"} 6239',
      { kvUsage: 0.25 },
    ],
    ["vllm:prompt_tokens_total 7", { promptTokensTotal: 7 }],
    ["vllm:prompt_tokens 7", { promptTokensTotal: 7 }],
    ["ray_vllm_prompt_tokens_total 7", { promptTokensTotal: 7 }],
    [
      'sglang:prompt_tokens_total{is_streaming="true"} 3\nsglang:prompt_tokens_total{is_streaming="false"} 4',
      { promptTokensTotal: 7 },
    ],
    ["tgi_request_input_length_sum 7\ntgi_request_input_length_count 2", { promptTokensTotal: 7 }],
    ["trtllm_prompt_tokens_total 7", { promptTokensTotal: 7 }],
    ["llamacpp:prompt_tokens_total 7", {}],
    ["llamacpp:tokens_predicted_total 9", { generationTokensTotal: 9 }],
    ["tgi_request_generated_tokens_sum 9", { generationTokensTotal: 9 }],
    ["trtllm_generation_tokens_total 9", { generationTokensTotal: 9 }],
    [
      "vllm:prefix_cache_queries_total 100\nvllm:prefix_cache_hits_total 40",
      { prefixQueriesTotal: 100, prefixHitsTotal: 40 },
    ],
    [
      "vllm:gpu_prefix_cache_queries_total 100\nvllm:gpu_prefix_cache_hits_total 40",
      { prefixQueriesTotal: 100, prefixHitsTotal: 40 },
    ],
    [
      "vllm:gpu_prefix_cache_queries 100\nvllm:gpu_prefix_cache_hits 40",
      { prefixQueriesTotal: 100, prefixHitsTotal: 40 },
    ],
    [
      "vllm:external_prefix_cache_queries_total 60\nvllm:external_prefix_cache_hits_total 16",
      { promptTokensRemoteTotal: 16 },
    ],
    ["vllm:mm_cache_queries_total 9\nvllm:mm_cache_hits_total 9", {}],
    ["vllm:gpu_prefix_cache_hit_rate 0.5", { prefixHitRate: 0.5 }],
    ["vllm:gpu_prefix_cache_hit_rate -1.0\nvllm:cpu_prefix_cache_hit_rate -1.0", {}],
    ["vllm:cpu_prefix_cache_hit_rate 0.5", {}],
    ["sglang:cache_hit_rate 0.0075", { prefixHitRate: 0.0075 }],
    ["sglang:cache_hit_rate 38.5", {}],
    ["trtllm_kv_cache_hit_rate 0.5", { prefixHitRate: 0.5 }],
    ["vllm:prompt_tokens_cached_total 16", { promptTokensCachedTotal: 16 }],
    [
      'vllm:prompt_tokens_by_source_total{source="local_compute"} 84\nvllm:prompt_tokens_by_source_total{source="local_cache_hit"} 12\nvllm:prompt_tokens_by_source_total{source="external_kv_transfer"} 4',
      { promptTokensCachedTotal: 16, promptTokensRemoteTotal: 4 },
    ],
    [
      'sglang:cached_tokens_total{cache_source="device"} 12\nsglang:cached_tokens_total{cache_source="host"} 4\nsglang:cached_tokens_total{cache_source="total"} 16',
      { promptTokensCachedTotal: 16 },
    ],
    ['sglang:cached_tokens_total{cache_source="total"} 16', { promptTokensCachedTotal: 16 }],
    ["sglang:cached_tokens_total 16", { promptTokensCachedTotal: 16 }],
    ["trtllm_prompt_cached_tokens_total 16", { promptTokensCachedTotal: 16 }],
    ["trtllm_prompt_cached_tokens_sum 16\ntrtllm_prompt_cached_tokens_count 1", {}],
    ["vllm:num_preemptions_total 3", { preemptionsTotal: 3 }],
    ["sglang:num_retracted_requests_total 3\nsglang:num_retracted_reqs 1", { preemptionsTotal: 3 }],
    ["sglang:num_retracted_reqs 1", {}],
    [
      'vllm:spec_decode_num_drafts_total 5\nvllm:spec_decode_num_draft_tokens_total 20\nvllm:spec_decode_num_accepted_tokens_total 10\nvllm:spec_decode_num_accepted_tokens_per_pos_total{position="0"} 5',
      { draftsTotal: 5, draftTokensTotal: 20, acceptedTokensTotal: 10 },
    ],
    [
      "vllm:spec_decode_num_accepted_tokens_total 10\nvllm:spec_decode_num_draft_tokens_total 20\nvllm:spec_decode_num_emitted_tokens_total 14\nvllm:spec_decode_draft_acceptance_rate 0.5",
      { draftTokensTotal: 20, acceptedTokensTotal: 10 },
    ],
    [
      "trtllm_spec_decode_drafted_tokens_total 20\ntrtllm_spec_decode_accepted_tokens_total 10",
      { draftTokensTotal: 20, acceptedTokensTotal: 10 },
    ],
  ])("%s", (page, expected) => {
    expect(parseMetrics(page)).toEqual({ ...none, ...expected });
  });

  it("takes no creation time and no part of a histogram for a counter", () => {
    expect(
      parseMetrics(`vllm:prompt_tokens_created{engine="0"} 1.79e+09
vllm:iteration_tokens_total_count 382.0
vllm:request_prompt_tokens_sum 41216.0
vllm:prompt_tokens_total_created 1.79e+09
`),
    ).toEqual(none);
  });

  it("adds up data-parallel engines and counts the ranks of one model once", () => {
    const page = [0, 1].flatMap((engine) => [
      `vllm:prefix_cache_queries_total{engine="${engine}",model_name="m"} ${100 + engine}`,
      `sglang:num_running_reqs{dp_rank="${engine}",tp_rank="0",model_name="m"} 4`,
      `sglang:num_running_reqs{dp_rank="${engine}",tp_rank="1",model_name="m"} 4`,
    ]);
    expect(parseMetrics(page.join("\n"))).toEqual({
      ...none,
      prefixQueriesTotal: 201,
      running: 8,
    });
  });

  it("reads the value before an exemplar", () => {
    expect(
      parseMetrics('vllm:prompt_tokens_total{engine="0"} 17.0 # {trace_id="ab"} 1.0')
        .promptTokensTotal,
    ).toBe(17);
  });
});

// Around a bench of 40 prompts of 1000 tokens and a few short requests on vLLM 0.32.0. Before: 1202
// prompt tokens, of which 690 computed and 512 from the cache. After: 41216, of which 40704 and 512.
describe("two pages of one server", () => {
  const page = (name: string) =>
    parseMetrics(
      readFileSync(new URL(`../testing/vllm-0.32.0/metrics-${name}.txt`, import.meta.url), "utf8"),
    );

  it("tell what was asked of the cache between them, and that nothing of it hit", () => {
    const before = page("before");
    const after = page("after");
    expect(before).toEqual({
      ...none,
      running: 0,
      waiting: 0,
      kvUsage: 0,
      promptTokensTotal: 1202,
      generationTokensTotal: 6,
      prefixQueriesTotal: 1202,
      prefixHitsTotal: 512,
      promptTokensCachedTotal: 512,
      promptTokensRemoteTotal: 0,
      preemptionsTotal: 0,
    });
    expect(after).toEqual({
      ...before,
      promptTokensTotal: 41216,
      generationTokensTotal: 3254,
      prefixQueriesTotal: 41216,
    });
  });
});

const fixtures = new URL("../../../shared/fixtures/", import.meta.url);

/** What each real page gives; values as `grep` shows them in the files. */
const realPages: Readonly<Record<string, object>> = {
  "chimeraforge-sglang_metrics.txt": { running: 22, waiting: 5, prefixHitRate: undefined },
  "kagaho-vllm-0.16-metrics.prom": {
    running: 0,
    waiting: 0,
    kvUsage: 0,
    promptTokensTotal: 24,
    generationTokensTotal: 400,
    prefixQueriesTotal: 24,
    prefixHitsTotal: 0,
    promptTokensCachedTotal: 0,
    promptTokensRemoteTotal: 0,
    preemptionsTotal: 0,
  },
  "llmprobe-llamacpp_props.json": none,
  "llmprobe-vllm_metrics_bugfix.txt": { ...none, running: 2 },
  "llmprobe-vllm_metrics_live.txt": {
    ...none,
    running: 2,
    waiting: 0,
    kvUsage: 0.314,
    promptTokensTotal: 9302,
    generationTokensTotal: 18461,
  },
  "llmprobe-vllm_models.json": none,
  // Prefix caching is off: the hit rate is -1.
  "ray_vllm-v0-datadog-excerpt.prom": {
    ...none,
    running: 0,
    waiting: 0,
    kvUsage: 5.882698982295764e-5,
    promptTokensTotal: 58,
    generationTokensTotal: 300,
  },
  "sglang-0.4-production_metrics.prom": {
    ...none,
    running: 162,
    waiting: 2826,
    kvUsage: 0.28,
    promptTokensTotal: 8128902,
    generationTokensTotal: 7557572,
    prefixHitRate: 0.007507552643049313,
  },
  "trtllm-dynamo-example.prom": none,
  "trtllm-dynamo-observability-doc.md": none,
  "vllm-0.25.1-er0080-metrics_vllm_0_25_1_loaded.txt": {
    ...none,
    running: 64,
    waiting: 64,
    kvUsage: 0.11223878211531546,
    promptTokensTotal: 339968,
    generationTokensTotal: 165293,
    prefixQueriesTotal: 339968,
    prefixHitsTotal: 2480,
    promptTokensCachedTotal: 2480,
    promptTokensRemoteTotal: 0,
    preemptionsTotal: 0,
  },
  "vllm-issue-7918.txt": { ...none, waiting: 0 },
  "vllm-v0-datadog-opt125m-2024-06.prom": {
    ...none,
    running: 0,
    waiting: 0,
    kvUsage: 0,
    promptTokensTotal: 5,
    generationTokensTotal: 7,
    preemptionsTotal: 0,
  },
};

describe.skipIf(!existsSync(fixtures))(
  "parseMetrics on real pages (skipped without ../shared/fixtures)",
  () => {
    const folder = new URL("03-metrics/", fixtures);

    it("knows what every page there gives", () => {
      expect(readdirSync(folder).toSorted()).toEqual(Object.keys(realPages).toSorted());
    });

    it.each(Object.entries(realPages))("%s", (name, expected) => {
      expect(parseMetrics(readFileSync(new URL(name, folder), "utf8"))).toMatchObject(expected);
    });
  },
);
