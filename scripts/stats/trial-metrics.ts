// From the samples of one trial to its value of every metric; one value per trial is what the
// intervals are made of.
import { mean as meanOf, sum as sumOf } from "simple-statistics";
import type { SloLimit } from "../experiment/experiment.ts";
import {
  hitRate,
  hitRateByCounters,
  promptThroughput,
  specAcceptanceLength,
  specAcceptanceRate,
} from "./cache-metrics.ts";
import { percentileKey } from "./estimate-key.ts";
import { type EngineGpus, energyPerToken, throughputPerGpu, unknownGpus } from "./gpu-metrics.ts";
import { gapSpread } from "./inter-token.ts";
import type { MetricId } from "./metrics.ts";
import { meanOfSorted, quantile7, sortAscending } from "./quantiles.ts";
import { meetsSlo, requestMetrics } from "./request-metrics.ts";
import type { RequestSample, TrialSamples } from "./samples.ts";
import {
  absent,
  type Cohort,
  inWindow,
  isNumber,
  notCollected,
  notDefined,
  type TrialValue,
  valueOf,
} from "./trial-value.ts";
import {
  achievedConcurrency,
  arrivalsIn,
  completionsIn,
  edgesOf,
  isOpenLoop,
  isWithin,
  readingsIn,
  throughputWindow,
  type Window,
  windowSeconds,
  windowTokensOf,
} from "./window.ts";

/** Latencies of which percentiles are taken over requests. */
export const requestLatencies = ["ttft", "e2e", "tpot", "client_delay"] as const;
export type RequestLatency = (typeof requestLatencies)[number];

/** Tokens per completed request. */
export interface TokenSummary {
  readonly requests: number;
  readonly min: number;
  readonly mean: number;
  readonly p99: number;
  readonly max: number;
}

export interface TrialMetrics {
  readonly trial: string;
  readonly round: number;
  readonly repeat: number;
  readonly start: number;
  readonly window: Window | undefined;
  /** By the key of the estimate: "ttft.mean", "ttft.p90", "qps". */
  readonly values: ReadonlyMap<string, TrialValue>;
  /** Milliseconds, one per measured request that has the latency, in order of dispatch. */
  readonly latencies: Readonly<Record<RequestLatency, readonly number[]>>;
  /** Measured requests. */
  readonly measured: number;
  readonly completed: number;
  /** Measured requests that did not complete, by status. */
  readonly failures: Readonly<Record<FailureStatus, number>>;
  /** Different prompts among the measured requests. */
  readonly uniquePrompts: number;
  /** undefined: no completed request has a count. */
  readonly inputTokens: TokenSummary | undefined;
  readonly outputTokens: TokenSummary | undefined;
}

type FailureStatus = Exclude<RequestSample["status"], "completed">;

export interface TrialMetricsOptions {
  /** 0 < p < 100. */
  readonly percentiles: readonly number[];
  readonly slo: readonly SloLimit[];
  /** GPUs of the engine; absent: not known. */
  readonly gpus?: EngineGpus | undefined;
}

/** Every metric of one trial. */
export function trialMetrics(trial: TrialSamples, options: TrialMetricsOptions): TrialMetrics {
  const measured = trial.requests.filter((request) => request.phase === "measured");
  const completed = measured.filter((request) => request.status === "completed");
  const cohort: Cohort = { trial, window: throughputWindow(trial), measured, completed };
  const latencies = latenciesOf(measured);
  return {
    trial: trial.trial,
    round: trial.round,
    repeat: trial.repeat,
    start: trial.start,
    window: cohort.window,
    values: new Map<string, TrialValue>([
      ...requestLatencies.flatMap((metric) =>
        spreadOf(
          metric,
          latencies[metric],
          latencies[metric].length,
          percentilesOf(metric, options),
          () => absentLatency(metric, cohort),
        ),
      ),
      ...interTokenLatency(cohort, options.percentiles),
      ...singleValues(cohort, latencies, options),
    ]),
    latencies,
    measured: measured.length,
    completed: completed.length,
    failures: failuresOf(measured),
    uniquePrompts: new Set(measured.map((request) => request.promptDigest)).size,
    inputTokens: tokenSummary(completed.map((request) => request.inputTokens)),
    outputTokens: tokenSummary(completed.map((request) => request.outputTokens)),
  };
}

/** The metrics that have one value per trial, each by its id. */
function singleValues(
  cohort: Cohort,
  latencies: TrialMetrics["latencies"],
  { slo, gpus = unknownGpus }: TrialMetricsOptions,
): readonly (readonly [MetricId, TrialValue])[] {
  const outputTps = outputThroughput(cohort);
  const decodeTps = decodeSpeed(cohort, latencies.tpot);
  return [
    ["tpot_ratio", tpotRatio(cohort)],
    ["chunks_per_token", chunksPerToken(cohort)],
    ["coalesced_share", coalescedShare(cohort)],
    ["qps", completionRate(cohort)],
    ["offered_rate", offeredRate(cohort)],
    ["output_tps", outputTps],
    ["prompt_tps_computed", promptThroughput(cohort, "computed")],
    ["prompt_tps_cached", promptThroughput(cohort, "cached")],
    ["prompt_tps_request", promptSpeed(cohort)],
    ["decode_tps", decodeTps],
    ["tps_per_user", decodeTps],
    ["hit_rate", hitRate(cohort)],
    ["hit_rate_counters", hitRateByCounters(cohort)],
    ["spec_acceptance_length", specAcceptanceLength(cohort)],
    ["spec_acceptance_rate", specAcceptanceRate(cohort)],
    ["concurrency_achieved", concurrency(cohort, (achieved) => achieved)],
    ["idle_share", idleShare(cohort)],
    ["in_flight_growth", inFlightGrowth(cohort)],
    ["concurrency_running", gaugeMean(cohort, "running")],
    ["concurrency_waiting", gaugeMean(cohort, "waiting")],
    ["cold_burst", coldBurst(cohort)],
    ["goodput", goodput(cohort, slo)],
    ["slo_share", sloShare(cohort, slo)],
    ["energy_per_token", energyPerToken(cohort, outputTps, gpus)],
    ["tps_per_gpu", throughputPerGpu(outputTps, gpus)],
  ];
}

function latenciesOf(measured: readonly RequestSample[]): TrialMetrics["latencies"] {
  const latencies: Record<RequestLatency, number[]> = {
    ttft: [],
    e2e: [],
    tpot: [],
    client_delay: [],
  };
  for (const request of measured) {
    const { ttftMs, e2eMs, tpotMs, clientDelayMs } = requestMetrics(request);
    if (ttftMs !== undefined) latencies.ttft.push(ttftMs);
    if (e2eMs !== undefined) latencies.e2e.push(e2eMs);
    if (tpotMs !== undefined) latencies.tpot.push(tpotMs);
    if (clientDelayMs !== undefined) latencies.client_delay.push(clientDelayMs);
  }
  return latencies;
}

/** Those asked for, and those that a limit is about. */
function percentilesOf(
  metric: RequestLatency,
  { percentiles, slo }: TrialMetricsOptions,
): readonly number[] {
  const limited = slo.filter((limit) => limit.metric === metric);
  return [...new Set([...percentiles, ...limited.map(({ percentile }) => percentile)])];
}

/** Mean and percentiles of one sample. */
function spreadOf(
  metric: MetricId,
  samples: readonly number[] | Float64Array,
  requests: number,
  percentiles: readonly number[],
  absentBecause: () => TrialValue,
): readonly (readonly [string, TrialValue])[] {
  const sorted = sortAscending(samples);
  const orAbsent = (value: number | undefined): TrialValue =>
    value === undefined ? absentBecause() : valueOf(value, requests);
  return [
    [`${metric}.mean`, orAbsent(meanOfSorted(sorted))],
    ...percentiles.map((percentile): readonly [string, TrialValue] => [
      percentileKey(metric, percentile),
      orAbsent(quantile7(sorted, percentile / 100)),
    ]),
  ];
}

function absentLatency(metric: RequestLatency, { completed }: Cohort): TrialValue {
  if (completed.length === 0) return absent({ kind: "no_completed_request" });
  return notDefined(metric === "tpot" ? "no_output_gap" : "no_output");
}

/** Gaps between output chunks of the measured cohort, pooled. */
function interTokenLatency(
  cohort: Cohort,
  percentiles: readonly number[],
): readonly (readonly [string, TrialValue])[] {
  const streams = cohort.completed.filter((request) => request.outputChunks > 1);
  const spread = gapSpread(streams, percentiles);
  const orAbsent = (value: number | undefined): TrialValue =>
    value === undefined ? absentLatency("tpot", cohort) : valueOf(value, streams.length);
  return [
    ["itl.mean", orAbsent(spread.mean)],
    ...percentiles.map((percentile, index): readonly [string, TrialValue] => [
      percentileKey("itl", percentile),
      orAbsent(spread.percentiles[index]),
    ]),
  ];
}

/** Sum of (E2E - TTFT) over sum of (n - 1), over the requests that have a TPOT. */
function tpotRatio(cohort: Cohort): TrialValue {
  let timeMs = 0;
  let gaps = 0;
  let requests = 0;
  for (const request of cohort.completed) {
    const { ttftMs, e2eMs, tpotMs } = requestMetrics(request);
    if (tpotMs === undefined || ttftMs === undefined || e2eMs === undefined) continue;
    timeMs += e2eMs - ttftMs;
    gaps += (request.outputTokens ?? 1) - 1;
    requests += 1;
  }
  return gaps === 0 ? absentLatency("tpot", cohort) : valueOf(timeMs / gaps, requests);
}

function chunksPerToken(cohort: Cohort): TrialValue {
  const counted = cohort.completed.filter((request) => (request.outputTokens ?? 0) > 0);
  if (cohort.completed.length === 0) return absent({ kind: "no_completed_request" });
  if (counted.length === 0) return notCollected("no_token_count");
  const chunks = sumOf(counted.map((request) => request.outputChunks));
  return valueOf(
    chunks / sumOf(counted.map((request) => request.outputTokens ?? 0)),
    counted.length,
  );
}

function coalescedShare(cohort: Cohort): TrialValue {
  const chunks = sumOf(cohort.completed.map((request) => request.outputChunks));
  if (chunks === 0) return absentLatency("ttft", cohort);
  const coalesced = sumOf(cohort.completed.map((request) => request.coalescedChunks));
  return valueOf(coalesced / chunks, cohort.completed.length);
}

function completionRate(cohort: Cohort): TrialValue {
  return inWindow(cohort, (window) => {
    const completions = completionsIn(cohort.trial, window).length;
    return valueOf(completions / windowSeconds(window), completions);
  });
}

/** What an open loop asked for; how much of it was served, `qps` says. */
function offeredRate({ trial, window }: Cohort): TrialValue {
  if (!isOpenLoop(trial)) return notDefined("closed_loop");
  if (window === undefined) return notDefined("no_window");
  const arrivals = arrivalsIn(trial, window);
  return valueOf(arrivals / windowSeconds(window), arrivals);
}

/** Requests in flight in the last quarter of the window less those in its first, each as a mean over time. */
function inFlightGrowth({ trial, window, measured }: Cohort): TrialValue {
  if (!isOpenLoop(trial)) return notDefined("closed_loop");
  if (window === undefined) return notDefined("no_window");
  const { first, last } = edgesOf(trial, window);
  return valueOf(last - first, measured.length);
}

function outputThroughput(cohort: Cohort): TrialValue {
  return inWindow(cohort, (window) => {
    const uncounted = cohort.trial.requests.some(
      (request) =>
        request.status === "completed" &&
        request.outputTokens === undefined &&
        request.outputChunks > 0 &&
        request.chunksAtMs.some((atMs) => isWithin(atMs, window)),
    );
    if (uncounted) return notCollected("no_token_count");
    const tokens = cohort.trial.requests.map((request) => windowTokensOf(request, window));
    const contributing = tokens.filter((count) => count > 0).length;
    return valueOf(sumOf(tokens) / windowSeconds(window), contributing);
  });
}

/** Mean input tokens over mean TTFT: a ratio of means, since a mean of ratios favours short waits. */
function promptSpeed(cohort: Cohort): TrialValue {
  let tokens = 0;
  let waitedMs = 0;
  let requests = 0;
  for (const request of cohort.completed) {
    const { ttftMs } = requestMetrics(request);
    if (ttftMs === undefined || request.inputTokens === undefined) continue;
    tokens += request.inputTokens;
    waitedMs += ttftMs;
    requests += 1;
  }
  if (waitedMs > 0) return valueOf((tokens / waitedMs) * 1000, requests);
  return requests === 0 && cohort.completed.length > 0
    ? notCollected("no_token_count")
    : absentLatency("ttft", cohort);
}

function decodeSpeed(cohort: Cohort, tpotsMs: readonly number[]): TrialValue {
  if (tpotsMs.length === 0) return absentLatency("tpot", cohort);
  return valueOf(1000 / meanOf([...tpotsMs]), tpotsMs.length);
}

function concurrency(cohort: Cohort, from: (achieved: number) => number): TrialValue {
  const { trial, window, measured } = cohort;
  if (window === undefined) return notDefined("no_window");
  return valueOf(from(achievedConcurrency(trial, window)), measured.length);
}

function idleShare(cohort: Cohort): TrialValue {
  const planned = cohort.trial.plannedConcurrency;
  if (planned === undefined) return notDefined("no_planned_concurrency");
  return concurrency(cohort, (achieved) => Math.max(0, 1 - achieved / planned));
}

function gaugeMean(cohort: Cohort, gauge: "running" | "waiting"): TrialValue {
  const { trial, window, measured } = cohort;
  if (window === undefined) return notDefined("no_window");
  const readings = readingsIn(trial, window)
    .map((reading) => reading[gauge])
    .filter(isNumber);
  return readings.length === 0
    ? notCollected("no_engine_gauge")
    : valueOf(meanOf(readings), measured.length);
}

/** Mean TTFT of the first c warm-up requests, which reach an idle engine all at once. */
function coldBurst({ trial }: Cohort): TrialValue {
  if (trial.plannedConcurrency === undefined) return notDefined("no_planned_concurrency");
  const wave = trial.requests
    .filter((request) => request.phase === "warmup")
    .slice(0, trial.plannedConcurrency);
  if (wave.length < trial.plannedConcurrency) return notDefined("no_cold_burst");
  const ttfts = wave.map((request) => requestMetrics(request).ttftMs).filter(isNumber);
  return ttfts.length === 0
    ? absent({ kind: "no_completed_request" })
    : valueOf(meanOf(ttfts), ttfts.length);
}

function goodput(cohort: Cohort, slo: readonly SloLimit[]): TrialValue {
  if (slo.length === 0) return notDefined("no_slo");
  if (cohort.window === undefined) return notDefined("no_window");
  const completions = completionsIn(cohort.trial, cohort.window);
  const good = completions.filter((request) => meetsSlo(request, slo)).length;
  return valueOf(good / windowSeconds(cohort.window), completions.length);
}

function sloShare({ measured }: Cohort, slo: readonly SloLimit[]): TrialValue {
  if (slo.length === 0) return notDefined("no_slo");
  if (measured.length === 0) return notDefined("no_window");
  const good = measured.filter((request) => meetsSlo(request, slo)).length;
  return valueOf(good / measured.length, measured.length);
}

function failuresOf(measured: readonly RequestSample[]): TrialMetrics["failures"] {
  const count = (status: FailureStatus): number =>
    measured.filter((request) => request.status === status).length;
  return {
    rejected: count("rejected"),
    truncated: count("truncated"),
    timedOut: count("timedOut"),
    failed: count("failed"),
    cancelled: count("cancelled"),
  };
}

/** Least, mean, p99 and most of the counts that are known; undefined when none is. */
export function tokenSummary(counts: readonly (number | undefined)[]): TokenSummary | undefined {
  const sorted = sortAscending(counts.filter(isNumber));
  const min = quantile7(sorted, 0);
  const mean = meanOfSorted(sorted);
  const p99 = quantile7(sorted, 0.99);
  const max = quantile7(sorted, 1);
  if (min === undefined || mean === undefined || p99 === undefined || max === undefined) {
    return undefined;
  }
  return { requests: sorted.length, min, mean, p99, max };
}
