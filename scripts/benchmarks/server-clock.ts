// vLLM's own histograms before and after a measurement to what the server itself says of it.
import type { Latencies } from "./compare-clients.ts";

/** Sums and counts of vLLM's histograms, and its prefix cache hits, since its start. */
export interface ServerClock {
  readonly ttft: SumAndCount;
  readonly tpot: SumAndCount;
  readonly itl: SumAndCount;
  /** Prompt tokens that came from the prefix cache. */
  readonly prefixCacheHits: number;
}

interface SumAndCount {
  readonly sumS: number;
  readonly count: number;
}

/** @throws Error where the server has no such metric */
export function readServerClock(metricsText: string): ServerClock {
  const value = (name: string): number => {
    const text = new RegExp(`^vllm:${name}\\{[^}]*\\} (\\S+)$`, "m").exec(metricsText)?.[1];
    if (text === undefined) throw new Error(`the server's /metrics has no vllm:${name}`);
    return Number(text);
  };
  const histogram = (name: string): SumAndCount => ({
    sumS: value(`${name}_sum`),
    count: value(`${name}_count`),
  });
  return {
    ttft: histogram("time_to_first_token_seconds"),
    tpot: histogram("request_time_per_output_token_seconds"),
    itl: histogram("inter_token_latency_seconds"),
    prefixCacheHits: value("prefix_cache_hits_total"),
  };
}

/** The server's means over what it served between two readings. */
export function meansBetween(before: ServerClock, after: ServerClock): Latencies {
  const mean = (metric: "ttft" | "tpot" | "itl"): number =>
    (1000 * (after[metric].sumS - before[metric].sumS)) /
    (after[metric].count - before[metric].count);
  return { ttftMs: mean("ttft"), tpotMs: mean("tpot"), itlMs: mean("itl") };
}
