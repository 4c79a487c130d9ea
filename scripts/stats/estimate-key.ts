// The keys of estimates: "ttft.mean", "ttft.p90", "qps": which statistic of which metric.
import { findMetric, type Metric, type MetricId } from "./metrics.ts";

/** Which statistic of a trial an estimate is of; `p` 0 < p < 1. */
export type Statistic =
  | { readonly kind: "value" }
  | { readonly kind: "mean" }
  | { readonly kind: "percentile"; readonly p: number };

/** "ttft.p99.9" for percentile 99.9. */
export function percentileKey(metric: MetricId, percentile: number): string {
  return `${metric}.p${percentile}`;
}

/**
 * The metric and the statistic behind the key of an estimate.
 *
 * @returns undefined for a key that no estimate has
 * @example parseEstimateKey("ttft.p90") // the entry of ttft, { kind: "percentile", p: 0.9 }
 */
export function parseEstimateKey(
  key: string,
): { readonly metric: Metric; readonly statistic: Statistic } | undefined {
  const match = /^([a-z0-9_]+)(?:\.(mean|p(\d+(?:\.\d+)?)))?$/.exec(key);
  const metric = findMetric(match?.[1] ?? "");
  if (match === null || metric === undefined) return undefined;
  if ((metric.statistics === "one_value") !== (match[2] === undefined)) return undefined;
  if (match[2] === undefined) return { metric, statistic: { kind: "value" } };
  if (match[3] === undefined) return { metric, statistic: { kind: "mean" } };
  return { metric, statistic: { kind: "percentile", p: Number(match[3]) / 100 } };
}
