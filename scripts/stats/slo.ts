// From the loads of one variant to the highest that meets the SLO: never one number, but what lies
// between the last load that was sure to meet it and the first that was sure not to.
import type { SloLimit } from "../experiment/experiment.ts";
import { percentileKey } from "./estimate-key.ts";
import type { Estimate } from "./samples.ts";

/** `unknown`: there is no value to judge. */
export type SloVerdict = "good" | "bad" | "undecided" | "unknown";

/** One load of a series, with what was measured at it. */
export interface SloLoad {
  readonly point: string;
  /** Requests in flight, or requests per second: what the series is ordered by. */
  readonly load: number;
  readonly estimates: ReadonlyMap<string, Estimate>;
  /** Measured requests of all rounds, and those of them that did not complete. */
  readonly requests: { readonly measured: number; readonly failed: number };
}

export interface LimitVerdict {
  readonly limit: SloLimit;
  /** Key of the estimate that is held against the limit: "ttft.p90". */
  readonly key: string;
  readonly verdict: SloVerdict;
  /** `failures`: so many requests failed that the percentile of all of them lies beyond any limit. */
  readonly by: "interval" | "value" | "failures" | "nothing";
}

export interface LoadVerdict {
  readonly point: string;
  readonly load: number;
  /** Of all limits together. */
  readonly verdict: SloVerdict;
  readonly limits: readonly LimitVerdict[];
}

/** Up to which load the SLO is met. */
type SloAnswer =
  /** Both ends were tested. */
  | { readonly kind: "between"; readonly good: LoadVerdict; readonly bad: LoadVerdict }
  /** No load that was tested is bad. */
  | { readonly kind: "at_least"; readonly good: LoadVerdict }
  /** No load below the first bad one is good. */
  | { readonly kind: "below"; readonly bad: LoadVerdict }
  /** No load is good and none is bad. */
  | { readonly kind: "open" };

export interface SloSeries {
  /** Ascending. */
  readonly loads: readonly LoadVerdict[];
  readonly answer: SloAnswer;
  /** Loads that are neither good nor bad and lie where the answer does: between its ends, or beyond its only one. */
  readonly undecided: readonly LoadVerdict[];
  /** Good loads above the first bad one: the answer rests on the first bad one all the same. */
  readonly goodAbove: readonly LoadVerdict[];
  /** Every verdict is by an interval; else some have a single round behind them, or no spread at all. */
  readonly byIntervals: boolean;
}

/**
 * Judges every load and finds the highest that meets the SLO.
 *
 * @param loads of one variant and one workload, in any order
 * @param slo at least one limit
 * @example c = 1 good, 4 undecided, 8 bad: between 1 and 8, with 4 undecided
 */
export function sloSeries(loads: readonly SloLoad[], slo: readonly SloLimit[]): SloSeries {
  const judged = loads.map((load) => judge(load, slo)).sort((a, b) => a.load - b.load);
  const bad = judged.find(({ verdict }) => verdict === "bad");
  const below = bad === undefined ? judged : judged.filter(({ load }) => load < bad.load);
  const good = below.findLast(({ verdict }) => verdict === "good");
  const isOpen = ({ verdict }: LoadVerdict): boolean =>
    verdict === "undecided" || verdict === "unknown";
  return {
    loads: judged,
    answer: answerOf(good, bad),
    undecided: below.filter(
      (one) => isOpen(one) && one.load > (good?.load ?? Number.NEGATIVE_INFINITY),
    ),
    goodAbove:
      bad === undefined
        ? []
        : judged.filter(({ load, verdict }) => load > bad.load && verdict === "good"),
    byIntervals: judged.every(({ limits }) => limits.every(({ by }) => by === "interval")),
  };
}

function answerOf(good: LoadVerdict | undefined, bad: LoadVerdict | undefined): SloAnswer {
  if (good !== undefined && bad !== undefined) return { kind: "between", good, bad };
  if (good !== undefined) return { kind: "at_least", good };
  return bad === undefined ? { kind: "open" } : { kind: "below", bad };
}

function judge(load: SloLoad, slo: readonly SloLimit[]): LoadVerdict {
  const limits = slo.map((limit) => judgeLimit(load, limit));
  const has = (verdict: SloVerdict): boolean => limits.some((one) => one.verdict === verdict);
  const verdict = (["bad", "unknown", "undecided"] as const).find(has) ?? "good";
  return { point: load.point, load: load.load, verdict, limits };
}

/**
 * Good: the whole interval is within the limit; bad: the whole of it is beyond. A failed request has
 * no latency and meets no limit: once more than 100 - p percent failed, the p-th percentile of all
 * requests is beyond every limit.
 */
function judgeLimit({ estimates, requests }: SloLoad, limit: SloLimit): LimitVerdict {
  const key = percentileKey(limit.metric, limit.percentile);
  const base = { limit, key };
  const { measured, failed } = requests;
  if (100 * failed > (100 - limit.percentile) * measured)
    return { ...base, verdict: "bad", by: "failures" };
  const estimate = estimates.get(key);
  const { value, low, high } = estimate ?? {};
  if (value === undefined) return { ...base, verdict: "unknown", by: "nothing" };
  if (low === undefined || high === undefined)
    return { ...base, verdict: value <= limit.limitMs ? "good" : "bad", by: "value" };
  const verdict = high <= limit.limitMs ? "good" : low > limit.limitMs ? "bad" : "undecided";
  return { ...base, verdict, by: "interval" };
}
