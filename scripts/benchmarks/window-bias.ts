// From a simulated load and a protocol to the bias of what is told against the server's long-run
// truth: as many trials as it takes until the bias is known well enough. Computes only.
import { thresholds } from "../audit/thresholds.ts";
import { trialMetrics } from "../stats/trial-metrics.ts";
import type { TrialValue } from "../stats/trial-value.ts";
import {
  type LongRunTruth,
  longRunTruth,
  meanAndError,
  type Protocol,
  type SimulatedLoad,
  simulateTrial,
} from "../testing/batching-load.ts";

/** A load of the study. */
export interface StudiedLoad extends SimulatedLoad {
  readonly name: string;
  readonly lengths: "fixed" | "varying";
  /** More arrives than the server can do: TTFT has no long-run truth, and QPS is what it can do. */
  readonly isBeyondCapacity: boolean;
}

/** A way to measure. */
export interface StudiedProtocol extends Protocol {
  readonly name: string;
}

/** Told against true, as shares of the truth: 0.01 tells 1 % too much. */
export interface Bias {
  readonly load: string;
  readonly protocol: string;
  readonly trials: number;
  /** Requests that a trial sends on average, fillers among them. */
  readonly requestsPerTrial: number;
  readonly qpsBias: number;
  readonly qpsError: number;
  /** undefined: there is no truth. */
  readonly ttftBias: number | undefined;
  readonly ttftError: number | undefined;
  /** Standard deviation of one trial's value, as a share of the truth: what repeating must average out. */
  readonly qpsSpread: number;
  readonly ttftSpread: number;
  /** Trials that a record would call saturated, 0..1; undefined: a closed loop. */
  readonly saturatedShare: number | undefined;
}

export interface Precision {
  /** Standard error of a bias at which no more trials are made, as a share. */
  readonly error: number;
  readonly mostTrials: number;
}

const stepTime = {
  fixedMs: 8,
  perSequenceMs: 0.03,
  perContextTokenMs: 0.00002,
  perPrefillTokenMs: 0.02,
};

/** About what the server does with 64 places and a queue that is never empty. */
const capacityPerS = 18.8;

/**
 * Loads of the study, on a server that resembles an 8B model on one large GPU: three with room for
 * all streams, one with a third of them running and the rest queued, and three open loops with Poisson
 * arrivals, at about 60, 90 and 120 % of what the server can do.
 * @param drawNetworkMs one way between client and server, ms
 */
export function studiedLoads(
  drawNetworkMs: StudiedLoad["drawNetworkMs"] = () => 0.2,
): readonly StudiedLoad[] {
  const uniform = (random: () => number, mean: number): number =>
    Math.round(mean * (0.25 + 1.5 * random()));
  const both = (name: string, maxSequences: number, load: StudiedLoad["load"]) =>
    (["fixed", "varying"] as const).map((lengths) => ({
      name: `${name}, ${lengths}`,
      lengths,
      isBeyondCapacity: load.kind === "rate" && load.requestRatePerS > capacityPerS,
      load,
      drawNetworkMs,
      server: { maxSequences, maxStepTokens: 2048, stepTime, jitter: 0.05 },
      drawLengths:
        lengths === "fixed"
          ? () => ({ inputTokens: 512, outputTokens: 256 })
          : (random: () => number) => ({
              inputTokens: uniform(random, 512),
              outputTokens: uniform(random, 256),
            }),
    }));
  const closed = (concurrency: number, maxSequences: number) =>
    both(
      `c${concurrency}${maxSequences < concurrency ? ` in batches of ${maxSequences}` : ""}`,
      maxSequences,
      { kind: "concurrency", concurrency },
    );
  const open = (requestRatePerS: number) =>
    both(`${requestRatePerS}/s`, 64, {
      kind: "rate",
      requestRatePerS,
      arrivals: { kind: "poisson" },
    });
  return [
    ...closed(10, 256),
    ...closed(40, 256),
    ...closed(200, 256),
    ...closed(200, 64),
    ...open(11),
    ...open(17),
    ...open(23),
  ];
}

/**
 * The truth of a load. Requests of equal lengths keep the distances that the start of a life gave
 * them, so it takes many lives; a queue near its limit forgets slowly, so each is long.
 */
export function truthOf(
  load: StudiedLoad,
  cutFirstWave: boolean,
  { lives, seed }: { readonly lives: number; readonly seed: string },
): LongRunTruth {
  const streams = load.load.kind === "concurrency" ? load.load.concurrency : 200;
  const queued = { ...load, load: { kind: "concurrency", concurrency: streams } as const };
  return longRunTruth(load.isBeyondCapacity ? queued : load, {
    lives,
    // Fewer lives are longer: as many requests in all.
    requestsPerLife: Math.max(4000, 100 * streams) * Math.max(1, 200 / lives),
    cutFirstWave,
    seed: `${seed}/${load.name}`,
  });
}

/** Repeats trials, each with a seed of its own, until both biases are known to `precision`. */
export async function biasOf(
  load: StudiedLoad,
  protocol: StudiedProtocol,
  truth: LongRunTruth,
  { error, mostTrials }: Precision,
  seed: string,
): Promise<Bias> {
  const qps: number[] = [];
  const ttft: number[] = [];
  let requests = 0;
  let saturated = 0;
  for (;;) {
    const ownSeed = `${seed}/${load.name}/${protocol.name}/${qps.length}`;
    const trial = await simulateTrial(load, protocol, ownSeed);
    const { values } = trialMetrics(trial, { percentiles: [], slo: [] });
    const told = toldValue(values.get("qps"));
    qps.push(told / truth.qps - 1);
    ttft.push(toldValue(values.get("ttft.mean")) / truth.ttftMs - 1);
    requests += trial.requests.length;
    const offered = values.get("offered_rate");
    if (isValue(offered) && told < thresholds.keptUpShare.value * offered.value) saturated += 1;
    if (qps.length < 20 || (qps.length % 20 > 0 && qps.length < mostTrials)) continue;
    const qpsMean = meanAndError(qps);
    const ttftMean = meanAndError(ttft);
    const bias: Bias = {
      load: load.name,
      protocol: protocol.name,
      trials: qps.length,
      requestsPerTrial: requests / qps.length,
      qpsBias: qpsMean.mean,
      qpsError: Math.hypot(qpsMean.error, truth.qpsError),
      ...(load.isBeyondCapacity
        ? { ttftBias: undefined, ttftError: undefined }
        : { ttftBias: ttftMean.mean, ttftError: Math.hypot(ttftMean.error, truth.ttftError) }),
      qpsSpread: qpsMean.error * Math.sqrt(qps.length),
      ttftSpread: ttftMean.error * Math.sqrt(qps.length),
      saturatedShare: load.load.kind === "rate" ? saturated / qps.length : undefined,
    };
    const isSure = bias.qpsError <= error && (bias.ttftError ?? 0) <= error;
    if (isSure || qps.length >= mostTrials) return bias;
  }
}

function toldValue(value: TrialValue | undefined): number {
  if (isValue(value)) return value.value;
  throw new Error("a simulated trial has no value");
}

function isValue(value: TrialValue | undefined): value is Extract<TrialValue, { kind: "value" }> {
  return value?.kind === "value";
}
