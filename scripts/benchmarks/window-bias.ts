// From a simulated load and a protocol to the bias of what is told against the server's long-run
// truth: as many trials as it takes until the bias is known well enough. Computes only.
import { thresholds } from "../audit/thresholds.ts";
import { trialMetrics } from "../stats/trial-metrics.ts";
import type { TrialValue } from "../stats/trial-value.ts";
import {
  type LongRunOptions,
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

/** The truths of a load. */
export interface Truths {
  /** What a protocol is held to: of a closed loop, streams that know nothing of each other. */
  readonly heldTo: LongRunTruth;
  /** Shown beside it: streams that began at once. undefined: how they began is soon forgotten. */
  readonly beside: LongRunTruth | undefined;
}

/** Told against true, as shares of the truth, with standard errors: 0.01 tells 1 % too much. */
interface Deviation {
  readonly qps: number;
  readonly qpsError: number;
  /** undefined: there is no truth. */
  readonly ttft: number | undefined;
  readonly ttftError: number | undefined;
}

/** How far what a protocol tells lies from the truths. */
export interface Bias {
  readonly load: string;
  readonly protocol: string;
  readonly trials: number;
  /** Requests that a trial sends on average, fillers among them. */
  readonly requestsPerTrial: number;
  readonly heldTo: Deviation;
  readonly beside: Deviation | undefined;
  /** Standard deviation of one trial's value, as a share of its mean: what repeating must average out. */
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

interface TruthOptions {
  readonly lives: number;
  readonly seed: string;
}

/** What a load's protocols are held to, and what is shown beside it. */
export function truthsOf(load: StudiedLoad, options: TruthOptions): Truths {
  return {
    heldTo: truthOf(load, "apart", options),
    beside:
      load.load.kind === "concurrency" && load.lengths === "fixed"
        ? truthOf(load, "at once", options)
        : undefined,
  };
}

/**
 * The truth of a load. Requests of equal lengths keep the distances that the start of a life gave
 * them, so it takes many lives; a queue near its limit forgets slowly, so each is long.
 */
function truthOf(
  load: StudiedLoad,
  start: LongRunOptions["start"],
  { lives, seed }: TruthOptions,
): LongRunTruth {
  const streams = load.load.kind === "concurrency" ? load.load.concurrency : 200;
  const queued = { ...load, load: { kind: "concurrency", concurrency: streams } as const };
  return longRunTruth(load.isBeyondCapacity ? queued : load, {
    lives,
    // Fewer lives are longer: as many requests in all.
    requestsPerLife: Math.max(4000, 100 * streams) * Math.max(1, 200 / lives),
    start,
    seed: `${seed}/${load.name}`,
  });
}

/** Repeats trials, each with a seed of its own, until the bias is known to `precision`. */
export async function biasOf(
  load: StudiedLoad,
  protocol: StudiedProtocol,
  { heldTo, beside }: Truths,
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
    qps.push(told);
    ttft.push(toldValue(values.get("ttft.mean")));
    requests += trial.requests.length;
    const offered = values.get("offered_rate");
    if (isValue(offered) && told < thresholds.keptUpShare.value * offered.value) saturated += 1;
    if (qps.length < 20 || (qps.length % 20 > 0 && qps.length < mostTrials)) continue;
    const means = { qps: meanAndError(qps), ttft: meanAndError(ttft) };
    const deviation = deviationOf(means, heldTo, load);
    const isSure = deviation.qpsError <= error && (deviation.ttftError ?? 0) <= error;
    if (!isSure && qps.length < mostTrials) continue;
    const spread = ({ mean, error: ofMean }: MeanAndError): number =>
      (ofMean * Math.sqrt(qps.length)) / mean;
    return {
      load: load.name,
      protocol: protocol.name,
      trials: qps.length,
      requestsPerTrial: requests / qps.length,
      heldTo: deviation,
      beside: beside === undefined ? undefined : deviationOf(means, beside, load),
      qpsSpread: spread(means.qps),
      ttftSpread: spread(means.ttft),
      saturatedShare: load.load.kind === "rate" ? saturated / qps.length : undefined,
    };
  }
}

type MeanAndError = ReturnType<typeof meanAndError>;

function deviationOf(
  told: { readonly qps: MeanAndError; readonly ttft: MeanAndError },
  truth: LongRunTruth,
  { isBeyondCapacity }: StudiedLoad,
): Deviation {
  const qps = {
    qps: told.qps.mean / truth.qps - 1,
    qpsError: Math.hypot(told.qps.error / truth.qps, truth.qpsError),
  };
  if (isBeyondCapacity) return { ...qps, ttft: undefined, ttftError: undefined };
  return {
    ...qps,
    ttft: told.ttft.mean / truth.ttftMs - 1,
    ttftError: Math.hypot(told.ttft.error / truth.ttftMs, truth.ttftError),
  };
}

function toldValue(value: TrialValue | undefined): number {
  if (isValue(value)) return value.value;
  throw new Error("a simulated trial has no value");
}

function isValue(value: TrialValue | undefined): value is Extract<TrialValue, { kind: "value" }> {
  return value?.kind === "value";
}
