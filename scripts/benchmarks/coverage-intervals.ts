// From the rounds of simulated experiments to how often the printed intervals hold what they promise:
// the expected value of the same statistic over restarts of the engine.
import { type Interval, percentileHull, tInterval } from "../stats/intervals.ts";
import { estimatePoint } from "../stats/point-estimates.ts";
import { quantile7, sortAscending } from "../stats/quantiles.ts";
import type { Estimate, TrialSamples } from "../stats/samples.ts";
import type { TrialMetrics } from "../stats/trial-metrics.ts";
import { coveragePercentiles, coverageRounds } from "./coverage-cells.ts";
import { addRate, type Rate } from "./coverage-rates.ts";

const hullLatencies = ["ttft", "tpot", "e2e"] as const;

/** Keys of the estimates that are counted, means and rates first. */
export const coverageMetrics: readonly string[] = [
  ...["ttft.mean", "tpot.mean", "e2e.mean", "itl.mean", "itl.p99", "qps", "output_tps"],
  ...hullLatencies.flatMap((latency) => coveragePercentiles.map((p) => `${latency}.p${p}`)),
];

/** Metrics whose requests are also bootstrapped: it takes long, and the others fare no better. */
const bootstrapped = ["ttft.mean", "tpot.mean", "e2e.mean", "ttft.p90"];

/** Of requests a percentile has a hull; that of gaps (ITL) has a t interval, as means have. */
export function isPercentile(metric: string): boolean {
  return percentileOf(metric) !== undefined;
}

/** An interval as a record prints it; undefined: it prints none. */
export type ToldInterval =
  | (Interval & {
      /** It is that of a geometric mean: the rounds were noisy. */
      readonly geometric: boolean;
    })
  | undefined;

/** What one metric told in one experiment. */
export interface ToldMetric {
  /** The value of each start alone, in order. */
  readonly starts: readonly number[];
  /** For each of `coverageRounds`: the printed interval of that many first rounds. */
  readonly printed: readonly ToldInterval[];
  /** For each of `coverageRounds`: the interval made over the requests of these rounds. */
  readonly naive: readonly ToldInterval[];
  /** From the requests of the first round alone: over requests, and by bootstrap of the requests. */
  readonly oneRun: { readonly naive: ToldInterval; readonly bootstrap: ToldInterval };
}

/** By the key of the estimate. */
export type Experiment = ReadonlyMap<string, ToldMetric>;

/**
 * Evaluates the rounds of one experiment as a record does, at each of `coverageRounds`.
 *
 * @param trials one per round, each of a start of its own
 * @param random of the bootstrap, uniform in [0, 1)
 */
export function evaluateExperiment(
  trials: readonly TrialSamples[],
  random: () => number,
): Experiment {
  const rounds = trials.map((trial, index) => ({ ...trial, round: index + 1, start: index + 1 }));
  const at = coverageRounds.map((count) =>
    estimatePoint(rounds.slice(0, count), {
      percentiles: coveragePercentiles,
      slo: [],
      oneProcess: false,
      freshPrompts: true,
    }),
  );
  const all = at.at(-1);
  if (all === undefined) return new Map();
  return new Map(
    coverageMetrics.map((metric) => {
      const first = requestsOf(metric, all.trials.slice(0, 1));
      return [
        metric,
        {
          starts: all.estimates.get(metric)?.perRound.map(({ value }) => value) ?? [],
          printed: at.map(({ estimates }) => printedInterval(estimates.get(metric))),
          naive: coverageRounds.map((count) =>
            overRequests(metric, requestsOf(metric, all.trials.slice(0, count))),
          ),
          oneRun: {
            naive: overRequests(metric, first),
            bootstrap: bootstrapped.includes(metric)
              ? first && bootstrapInterval(first, statisticOf(metric), random)
              : undefined,
          },
        },
      ];
    }),
  );
}

function printedInterval(estimate: Estimate | undefined): ToldInterval {
  if (estimate?.low === undefined || estimate.high === undefined) return undefined;
  return { low: estimate.low, high: estimate.high, geometric: estimate.geometric };
}

/** Latencies of single requests; undefined: the metric is not one over requests. */
function requestsOf(
  metric: string,
  trials: readonly TrialMetrics[],
): readonly number[] | undefined {
  const latency = hullLatencies.find((name) => metric.startsWith(`${name}.`));
  return latency && trials.flatMap(({ latencies }) => latencies[latency]);
}

function percentileOf(metric: string): number | undefined {
  const mark = metric.indexOf(".p");
  return mark < 0 ? undefined : Number(metric.slice(mark + 2)) / 100;
}

/** t over requests, or for a percentile the ranks of the requests: both take requests for independent. */
function overRequests(metric: string, requests: readonly number[] | undefined): ToldInterval {
  if (requests === undefined) return undefined;
  const p = percentileOf(metric);
  const nothing = { low: Number.POSITIVE_INFINITY, high: Number.NEGATIVE_INFINITY };
  const interval =
    p === undefined ? tInterval(requests) : percentileHull(nothing, sortAscending(requests), p);
  return interval && { low: interval.low, high: interval.high, geometric: false };
}

function statisticOf(metric: string): (requests: Float64Array) => number {
  const p = percentileOf(metric);
  if (p !== undefined) return (requests) => quantile7(sortAscending(requests), p) ?? 0;
  return (requests) => requests.reduce((sum, value) => sum + value, 0) / requests.length;
}

const resamples = 200;

/** The percentile bootstrap over requests, 95 %. */
function bootstrapInterval(
  requests: readonly number[],
  statistic: (requests: Float64Array) => number,
  random: () => number,
): ToldInterval {
  const drawn = new Float64Array(requests.length);
  const told = Array.from({ length: resamples }, () => {
    for (let place = 0; place < drawn.length; place += 1) {
      drawn[place] = requests[Math.floor(random() * requests.length)] ?? 0;
    }
    return statistic(drawn);
  });
  const sorted = sortAscending(told);
  const low = quantile7(sorted, 0.025);
  const high = quantile7(sorted, 0.975);
  return low === undefined || high === undefined ? undefined : { low, high, geometric: false };
}

/** What intervals should hold: means over very many starts. */
export interface Target {
  readonly mean: number;
  /** undefined: a start had a value that is not above 0. */
  readonly geometricMean: number | undefined;
  /** Standard error of the mean. */
  readonly error: number;
  readonly starts: number;
}

/** @param starts one value per start, at least two */
export function targetOf(starts: readonly number[]): Target {
  const interval = tInterval(starts);
  if (interval === undefined) throw new RangeError("a target needs two starts");
  const logs = starts.every((value) => value > 0) ? tInterval(starts.map(Math.log)) : undefined;
  return {
    mean: interval.mean,
    geometricMean: logs && Math.exp(logs.mean),
    error: interval.sd / Math.sqrt(starts.length),
    starts: starts.length,
  };
}

/** Whether an interval holds the target of what it is an interval of. */
export function covers(interval: NonNullable<ToldInterval>, target: Target): boolean {
  const truth = interval.geometric ? target.geometricMean : target.mean;
  return truth !== undefined && interval.low <= truth && truth <= interval.high;
}

/** Coverage of one metric at a number of rounds. */
export interface Coverage {
  readonly metric: string;
  readonly rounds: number;
  /** Of the experiments that print an interval, those whose interval holds the target. */
  readonly covered: Rate;
  /** Experiments that print none, and those that print one of a geometric mean. */
  readonly withoutInterval: number;
  readonly geometric: number;
  /** Mean of half the width over the target; undefined: no interval. */
  readonly halfWidth: number | undefined;
  /** Intervals over the requests of the same rounds; undefined: there is no such interval. */
  readonly naive: Rate | undefined;
}

/** Counts one metric at the rounds of this place in `coverageRounds`. */
export function coverageAt(
  metric: string,
  place: number,
  told: readonly ToldMetric[],
  target: Target,
): Coverage {
  const printed = told.flatMap((one) => one.printed[place] ?? []);
  const naive = told.flatMap((one) => one.naive[place] ?? []);
  const widths = printed.reduce((sum, { low, high }) => sum + (high - low) / 2, 0);
  return {
    metric,
    rounds: coverageRounds[place] ?? 0,
    covered: rateOf(printed, target),
    withoutInterval: told.length - printed.length,
    geometric: printed.filter(({ geometric }) => geometric).length,
    halfWidth: printed.length === 0 ? undefined : widths / printed.length / target.mean,
    naive: naive.length === 0 ? undefined : rateOf(naive, target),
  };
}

/** Coverage of intervals made from the requests of one run; undefined: the metric is not one over requests. */
export function coverageOfOneRun(
  told: readonly ToldMetric[],
  target: Target,
): { readonly naive: Rate; readonly bootstrap: Rate } | undefined {
  const naive = told.flatMap(({ oneRun }) => oneRun.naive ?? []);
  const bootstrap = told.flatMap(({ oneRun }) => oneRun.bootstrap ?? []);
  if (bootstrap.length === 0) return undefined;
  return { naive: rateOf(naive, target), bootstrap: rateOf(bootstrap, target) };
}

function rateOf(intervals: readonly NonNullable<ToldInterval>[], target: Target): Rate {
  return intervals.reduce((rate, interval) => addRate(rate, covers(interval, target)), {
    hits: 0,
    of: 0,
  });
}
