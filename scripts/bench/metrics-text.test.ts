import { existsSync, readFileSync } from "node:fs";
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
  preemptionsTotal: undefined,
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

  it("knows older names and Ray's prefixes", () => {
    expect(
      parseMetrics(`ray_vllm:num_requests_running{WorkerId="a"} 2.0
ray_vllm_num_requests_waiting{WorkerId="a"} 1.0
vllm:gpu_cache_usage_perc 0.25
vllm:gpu_prefix_cache_queries_total 100
vllm:gpu_prefix_cache_hits_total 40
`),
    ).toEqual({
      ...none,
      running: 2,
      waiting: 1,
      kvUsage: 0.25,
      prefixQueriesTotal: 100,
      prefixHitsTotal: 40,
    });
  });
});

const fixtures = new URL("../../../shared/fixtures/", import.meta.url);

// Values as `grep` shows them in the files.
describe.skipIf(!existsSync(fixtures))(
  "parseMetrics on real pages (skipped without ../shared/fixtures)",
  () => {
    it.each([
      [
        "10-vllm-cpu/metrics-after.txt",
        {
          running: 0,
          waiting: 0,
          kvUsage: 0,
          promptTokensTotal: 41216,
          generationTokensTotal: 3254,
          prefixQueriesTotal: 41216,
          prefixHitsTotal: 512,
          preemptionsTotal: 0,
        },
      ],
      ["10-vllm-cpu/metrics-before.txt", { running: 0, waiting: 0 }],
      [
        "03-metrics/vllm-0.25.1-er0080-metrics_vllm_0_25_1_loaded.txt",
        {
          running: 64,
          waiting: 64,
          kvUsage: 0.11223878211531546,
          promptTokensTotal: 339968,
          generationTokensTotal: 165293,
          prefixQueriesTotal: 339968,
          prefixHitsTotal: 2480,
          preemptionsTotal: 0,
        },
      ],
      [
        "03-metrics/kagaho-vllm-0.16-metrics.prom",
        { running: 0, promptTokensTotal: 24, generationTokensTotal: 400, prefixQueriesTotal: 24 },
      ],
      [
        "03-metrics/llmprobe-vllm_metrics_live.txt",
        {
          running: 2,
          waiting: 0,
          kvUsage: 0.314,
          promptTokensTotal: 9302,
          generationTokensTotal: 18461,
          prefixHitsTotal: undefined,
        },
      ],
      [
        "03-metrics/sglang-0.4-production_metrics.prom",
        {
          running: 162,
          waiting: 2826,
          kvUsage: 0.28,
          promptTokensTotal: 8128902,
          generationTokensTotal: 7557572,
          prefixHitsTotal: undefined,
        },
      ],
      ["03-metrics/chimeraforge-sglang_metrics.txt", { running: 22, waiting: 5 }],
      [
        "03-metrics/vllm-v0-datadog-opt125m-2024-06.prom",
        { running: 0, promptTokensTotal: 5, generationTokensTotal: 7, preemptionsTotal: 0 },
      ],
      ["03-metrics/trtllm-dynamo-example.prom", none],
    ])("%s", (name, expected) => {
      expect(parseMetrics(readFileSync(new URL(name, fixtures), "utf8"))).toMatchObject(expected);
    });

    it("Ray Serve's page has every gauge but the ones it turned off", () => {
      const gauges = parseMetrics(
        readFileSync(new URL("03-metrics/ray_vllm-v0-datadog-excerpt.prom", fixtures), "utf8"),
      );
      expect(gauges.running).toBeDefined();
      expect(gauges.promptTokensTotal).toBeDefined();
      expect(gauges.prefixHitsTotal).toBeUndefined();
    });
  },
);
