// From the trials of a point to its estimates: one value per engine start, an interval over starts,
// and a stated reason wherever the sample supports neither.
import { mean as meanOf } from "simple-statistics";
import type { SloLimit } from "../experiment/experiment.ts";
import { percentileFloor } from "../experiment/percentile-floor.ts";
import type { AbsenceReason } from "./absence.ts";
import { parseEstimateKey } from "./estimate-key.ts";
import type { EngineGpus } from "./gpu-metrics.ts";
import type { EstimateFacts, OnDemand } from "./interval-note.ts";
import {
  isNoisy,
  logTInterval,
  medianRoundInterval,
  onDemandLevel,
  percentileHull,
  printedLevel,
  tInterval,
} from "./intervals.ts";
import { findMetric, type MetricId } from "./metrics.ts";
import { type Ascending, sortAscending } from "./quantiles.ts";
import type { Absence, Estimate, IntervalMethod, RequestSample, TrialSamples } from "./samples.ts";
import {
  type RequestLatency,
  requestLatencies,
  type TokenSummary,
  type TrialMetrics,
  tokenSummary,
  trialMetrics,
} from "./trial-metrics.ts";
import type { TrialValue } from "./trial-value.ts";

/** From this many rounds on the order-statistic interval of the median round is given too. */
const medianRoundFrom = 10;

export interface PointEstimateOptions {
  /** 0 < p < 100. */
  readonly percentiles: readonly number[];
  readonly slo: readonly SloLimit[];
  /** An engine was meant to serve all rounds (`keep: true`, an external engine): its rounds are repeats. */
  readonly oneProcess: boolean;
  /** Every round sees prompts of its own. */
  readonly freshPrompts: boolean;
  /** GPUs of the point's engine; absent: not known. */
  readonly gpus?: EngineGpus | undefined;
  /** The spread decided how many rounds there are: intervals are widened for it. */
  readonly onDemand?: OnDemand | undefined;
}

export interface PointEstimates {
  readonly point: string;
  readonly variant: string;
  readonly workload: string;
  readonly plannedConcurrency: number | undefined;
  /** By key: "ttft.mean", "ttft.p90", "qps", "output_tps". Every metric of the samples has an entry. */
  readonly estimates: ReadonlyMap<string, Estimate>;
  /** What the note under the table says of the intervals. */
  readonly facts: EstimateFacts;
  /** In order of round and repeat. */
  readonly trials: readonly TrialMetrics[];
  /** Trials in which nothing completed: they have no latency, and are listed, not dropped. */
  readonly emptyTrials: readonly TrialMetrics[];
  /** Actual tokens per completed measured request, all trials pooled. */
  readonly inputTokens: TokenSummary | undefined;
  readonly outputTokens: TokenSummary | undefined;
  /** Mean planned tokens of the answers of those same requests; undefined: none completed. */
  readonly plannedOutputTokens: number | undefined;
  /** Completed measured requests by who counted the tokens of their answers. */
  readonly tokenSources: TokenSources;
}

/** Requests: counted by the server's usage, by the local tokenizer, by nobody. */
export type TokenSources = Readonly<Record<RequestSample["tokenSource"], number>>;

/** The value of a key in one trial, or one start's start-up time. */
interface Observation {
  readonly round: number;
  readonly start: number;
  readonly repeat: number;
  readonly value: TrialValue;
}

/**
 * Every estimate of one point.
 *
 * @param trials of one point, in any order; may be empty, and then every estimate says so
 */
export function estimatePoint(
  trials: readonly TrialSamples[],
  options: PointEstimateOptions,
): PointEstimates {
  const samples = [...trials].sort((a, b) => a.round - b.round || a.repeat - b.repeat);
  const metrics = samples.map((trial) => trialMetrics(trial, options));
  const keys = trialMetrics(emptyTrial, options).values.keys();
  const first = samples[0] ?? emptyTrial;
  const answered = answeredTokens(samples);
  const pooled = pooledLatencies(metrics);
  return {
    point: first.point,
    variant: first.variant,
    workload: first.workload,
    plannedConcurrency: first.plannedConcurrency,
    estimates: new Map([...keys].map((key) => [key, estimateOfKey(key, metrics, pooled, options)])),
    facts: factsOf(metrics, options),
    trials: metrics,
    emptyTrials: metrics.filter((trial) => trial.completed === 0),
    inputTokens: tokenSummary(answered.input),
    outputTokens: tokenSummary(answered.output),
    plannedOutputTokens: tokenSummary(answered.plannedOutput)?.mean,
    tokenSources: answered.sources,
  };
}

/** Tokens of the completed measured requests, trial after trial: only numbers are kept of a trial. */
function answeredTokens(trials: readonly TrialSamples[]): {
  readonly input: readonly (number | undefined)[];
  readonly output: readonly (number | undefined)[];
  readonly plannedOutput: readonly number[];
  readonly sources: TokenSources;
} {
  const input: (number | undefined)[] = [];
  const output: (number | undefined)[] = [];
  const plannedOutput: number[] = [];
  const sources = { usage: 0, tokenizer: 0, none: 0 };
  for (const { requests } of trials) {
    for (const request of requests) {
      if (request.phase !== "measured" || request.status !== "completed") continue;
      input.push(request.inputTokens);
      output.push(request.outputTokens);
      plannedOutput.push(request.plannedOutputTokens);
      sources[request.tokenSource] += 1;
    }
  }
  return { input, output, plannedOutput, sources };
}

/** Stands for a point of which nothing was measured. */
const emptyTrial: TrialSamples = {
  trial: "",
  point: "",
  variant: "",
  workload: "",
  plannedConcurrency: undefined,
  round: 1,
  repeat: 1,
  start: 1,
  attempt: 1,
  window: "handover",
  requests: [],
  engine: [],
  gpus: [],
  cacheReset: undefined,
};

function estimateOfKey(
  key: string,
  trials: readonly TrialMetrics[],
  pooled: PooledLatencies,
  options: PointEstimateOptions,
): Estimate {
  const parsed = parseEstimateKey(key);
  const latency = requestLatencies.find((metric) => metric === parsed?.metric.id);
  const percentile = parsed?.statistic.kind === "percentile" ? parsed.statistic.p : undefined;
  return estimateOf(key, observationsOf(key, trials), {
    oneProcess: options.oneProcess,
    level: options.onDemand === undefined ? printedLevel : onDemandLevel,
    unit: parsed?.metric.unit ?? "",
    decimals: parsed?.metric.decimals ?? 3,
    ...(latency === undefined || percentile === undefined
      ? {}
      : { pooled: { sorted: pooled[latency], p: percentile } }),
  });
}

function observationsOf(key: string, trials: readonly TrialMetrics[]): readonly Observation[] {
  return trials.map((trial) => ({
    round: trial.round,
    start: trial.start,
    repeat: trial.repeat,
    value: trial.values.get(key) ?? { kind: "absent", absence: noTrial },
  }));
}

const noTrial: Absence = { kind: "not_collected", why: "no_trial" satisfies AbsenceReason };

type PooledLatencies = Readonly<Record<RequestLatency, Ascending>>;

/** The latencies of all trials together: a percentile's ranks are looked up in them. */
function pooledLatencies(trials: readonly TrialMetrics[]): PooledLatencies {
  const pool = (latency: RequestLatency): Ascending =>
    sortAscending(trials.flatMap((trial) => trial.latencies[latency]));
  return {
    ttft: pool("ttft"),
    e2e: pool("e2e"),
    tpot: pool("tpot"),
    client_delay: pool("client_delay"),
  };
}

/**
 * The estimate of a metric that has one value per engine start, such as `startup`.
 *
 * @param values in order of round
 */
export function estimateOverStarts(
  metric: MetricId,
  values: readonly { readonly round: number; readonly start: number; readonly value: number }[],
): Estimate {
  const observations = values.map(
    ({ round, start, value }): Observation => ({
      round,
      start,
      repeat: 1,
      value: { kind: "value", value, requests: 0 },
    }),
  );
  const entry = findMetric(metric);
  return estimateOf(metric, observations, {
    oneProcess: false,
    level: printedLevel,
    unit: entry?.unit ?? "",
    decimals: entry?.decimals ?? 3,
  });
}

interface EstimateContext {
  readonly oneProcess: boolean;
  /** At which intervals are computed; what they cover is the printed level. */
  readonly level: number;
  readonly unit: string;
  readonly decimals: number;
  /** For a percentile over requests: all requests of the point, and p in 0..1. */
  readonly pooled?: { readonly sorted: Ascending; readonly p: number };
}

/** The table of intervals: R = 1, 2..9, from 10 on; means and percentiles. */
function estimateOf(
  key: string,
  observations: readonly Observation[],
  context: EstimateContext,
): Estimate {
  const valued = observations.filter(hasValue);
  const repetition = repetitionOf(valued, context.oneProcess);
  const values = groupValues(observations, repetition.unitOf).map(({ values: unit }) =>
    meanOf([...unit]),
  );
  const missing = missingRoundsOf(observations);
  const plain: Estimate = {
    metric: key,
    value: undefined,
    low: undefined,
    high: undefined,
    level: printedLevel,
    n: requestsBehind(observations),
    starts: new Set(valued.map(({ start }) => start)).size,
    rounds: new Set(valued.map(({ round }) => round)).size,
    method: "none",
    cv: undefined,
    medianRound: undefined,
    geometric: false,
    perRound: perRoundOf(observations),
    ...(missing.length === 0 ? {} : { missingRounds: missing }),
    absence: undefined,
    unit: context.unit,
  };

  const only = values[0];
  if (only === undefined) return { ...plain, absence: firstAbsence(observations) };
  const shortage = context.pooled && shortageOf(context.pooled, values.length);
  if (shortage !== undefined) return { ...plain, absence: shortage };
  if (values.length === 1) return { ...plain, value: only, absence: { kind: "one_round" } };
  return { ...plain, ...intervalOf(values, repetition.shared, context) };
}

/** Value and interval over two units or more. */
function intervalOf(
  values: readonly number[],
  shared: boolean,
  { pooled, decimals, level, unit }: EstimateContext,
): Partial<Estimate> {
  const t = tInterval(values, level);
  if (t === undefined) return {};
  const log = isNoisy(t) ? logTInterval(values, level) : undefined;
  const ofUnits = log ?? t;
  const hull = pooled && percentileHull(ofUnits, pooled.sorted, pooled.p);
  const value = log?.value ?? t.mean;
  // A metric that is never negative has an interval that may end at 0.
  const least = values.some((one) => one < 0) ? Number.NEGATIVE_INFINITY : 0;
  const low = Math.max((hull ?? ofUnits).low, least);
  // Nor does a share exceed the whole.
  const isShare = unit === "ratio" && values.every((one) => one <= 1);
  const high = Math.min((hull ?? ofUnits).high, isShare ? 1 : Number.POSITIVE_INFINITY);
  const cv = t.mean === 0 ? undefined : t.sd / Math.abs(t.mean);
  const common = { value, cv, geometric: log !== undefined };
  if (Math.max(high - value, value - low) < 0.5 * 10 ** -decimals) {
    return { ...common, absence: { kind: "constant", decimals } };
  }
  return {
    ...common,
    low,
    high,
    halfWidth: log === undefined && low === t.low && high === t.high ? t.half : undefined,
    method: methodOf({ hull: hull !== undefined, log: log !== undefined, shared }),
    medianRound: values.length >= medianRoundFrom ? medianRoundInterval(values) : undefined,
  };
}

function methodOf(kind: {
  readonly hull: boolean;
  readonly log: boolean;
  readonly shared: boolean;
}): IntervalMethod {
  if (kind.hull) return "t_hull";
  if (kind.log) return "log_t";
  return kind.shared ? "t_repeats" : "t";
}

/** A percentile needs enough pooled requests for ranks on both sides. */
function shortageOf(
  { sorted, p }: { readonly sorted: Ascending; readonly p: number },
  rounds: number,
): Absence | undefined {
  const need = percentileFloor(p * 100);
  if (sorted.length >= need) return undefined;
  const kind = rounds === 1 ? "too_few_requests" : "rank_out_of_sample";
  return { kind, have: sorted.length, need };
}

type Place = Pick<Observation, "start" | "round" | "repeat">;

/** What is averaged before anything is said about spread. */
interface Repetition {
  /** Units share engine starts: their spread is not that of restarts. */
  readonly shared: boolean;
  readonly unit: "start" | "round" | "repeat";
  readonly unitOf: (place: Place) => number;
}

/**
 * The unit of repetition is the start, and its repeats are averaged, because repeats within one
 * engine life share what that life drew. Where one engine served all rounds, or was meant to, it is
 * the round, or the repeat where there is one round.
 *
 * @param valued places that have a value
 */
function repetitionOf(valued: readonly Place[], meantAsOne: boolean): Repetition {
  const starts = new Set(valued.map(({ start }) => start)).size;
  const rounds = new Set(valued.map(({ round }) => round)).size;
  if (!meantAsOne && (starts > 1 || valued.length <= 1)) {
    return { shared: false, unit: "start", unitOf: ({ start }) => start };
  }
  return rounds > 1
    ? { shared: true, unit: "round", unitOf: ({ round }) => round }
    : { shared: true, unit: "repeat", unitOf: ({ repeat }) => repeat };
}

function perRoundOf(observations: readonly Observation[]): Estimate["perRound"] {
  return groupValues(observations, ({ round }) => round).map(({ group, values }) => ({
    round: group,
    value: meanOf([...values]),
  }));
}

/** The values that are there, by group, groups ascending. */
function groupValues(
  observations: readonly Observation[],
  groupOf: (observation: Observation) => number,
): readonly { readonly group: number; readonly values: readonly number[] }[] {
  const groups = new Map<number, number[]>();
  for (const observation of observations) {
    if (observation.value.kind === "absent") continue;
    const values = groups.get(groupOf(observation)) ?? [];
    values.push(observation.value.value);
    groups.set(groupOf(observation), values);
  }
  return [...groups].sort(([a], [b]) => a - b).map(([group, values]) => ({ group, values }));
}

function missingRoundsOf(
  observations: readonly Observation[],
): NonNullable<Estimate["missingRounds"]> {
  const present = new Set(observations.filter(hasValue).map(({ round }) => round));
  const missing = new Map<number, Absence>();
  for (const { round, value } of observations) {
    if (value.kind === "absent" && !present.has(round)) missing.set(round, value.absence);
  }
  return [...missing].map(([round, absence]) => ({ round, absence }));
}

function firstAbsence(observations: readonly Observation[]): Absence {
  for (const { value } of observations) if (value.kind === "absent") return value.absence;
  return noTrial;
}

function requestsBehind(observations: readonly Observation[]): number {
  let requests = 0;
  for (const { value } of observations) if (value.kind === "value") requests += value.requests;
  return requests;
}

function hasValue({ value }: Observation): boolean {
  return value.kind === "value";
}

function factsOf(trials: readonly TrialMetrics[], options: PointEstimateOptions): EstimateFacts {
  const counted = trials.filter((trial) => trial.completed > 0);
  const rounds = new Set(counted.map((trial) => trial.round)).size;
  const starts = new Set(counted.map((trial) => trial.start)).size;
  const { shared, unit, unitOf } = repetitionOf(counted, options.oneProcess);
  const units = new Set(counted.map(unitOf)).size;
  const requests = counted.reduce((total, trial) => total + trial.completed, 0);
  return {
    units: { least: units, most: units },
    // With one start a round, a start is the round that everybody speaks of.
    unit: unit === "start" && starts === rounds ? "round" : unit,
    repeatsPerUnit:
      unit === "repeat" ? 1 : Math.max(1, Math.round(counted.length / Math.max(1, units))),
    requests: { least: requests, most: requests },
    starts: { least: starts, most: starts },
    engines: shared ? (starts > 1 ? "several" : "one") : "fresh",
    freshPrompts: options.freshPrompts,
    ...(options.onDemand === undefined ? {} : { onDemand: options.onDemand }),
  };
}
