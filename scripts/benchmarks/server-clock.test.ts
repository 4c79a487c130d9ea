import { describe, expect, it } from "vitest";
import { meansBetween, readServerClock } from "./server-clock.ts";

const metrics = (ttftSum: number, count: number): string => `
# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.1",model_name="m"} 3.0
vllm:time_to_first_token_seconds_count{engine="0",model_name="m"} ${count}
vllm:time_to_first_token_seconds_sum{engine="0",model_name="m"} ${ttftSum}
vllm:request_time_per_output_token_seconds_count{engine="0",model_name="m"} ${count}
vllm:request_time_per_output_token_seconds_sum{engine="0",model_name="m"} ${count * 0.01}
vllm:inter_token_latency_seconds_count{engine="0",model_name="m"} ${count * 63}
vllm:inter_token_latency_seconds_sum{engine="0",model_name="m"} ${count * 63 * 0.012}
vllm:prefix_cache_hits_total{engine="0",model_name="m"} 256.0
`;

describe("the server's clock", () => {
  it("gives the means of what was served between two readings", () => {
    // TTFT: (5 - 1) s over (60 - 20) requests.
    const means = meansBetween(readServerClock(metrics(1, 20)), readServerClock(metrics(5, 60)));
    expect(means.ttftMs).toBeCloseTo(100, 9);
    expect(means.tpotMs).toBeCloseTo(10, 9);
    expect(means.itlMs).toBeCloseTo(12, 9);
    expect(readServerClock(metrics(1, 20)).prefixCacheHits).toBe(256);
  });

  it("says which metric a server lacks", () => {
    expect(() => readServerClock("")).toThrow("vllm:time_to_first_token_seconds_sum");
  });
});
