// The simulated servers on which the coverage of printed intervals is counted: what each start of an
// engine draws for its whole life, what one trial on it tells, and what the long run would tell.
import { percentileFloor } from "../experiment/percentile-floor.ts";
import { seededRandom } from "../experiment/random.ts";
import type { TrialSamples } from "../stats/samples.ts";
import {
  longRunTruth,
  meanAndError,
  type Protocol,
  type SimulatedLoad,
  simulateTrial,
} from "../testing/batching-load.ts";
import { normalDraw } from "./coverage-draws.ts";

/** A server and a load. */
export interface CoverageCell {
  readonly name: string;
  readonly simulated: SimulatedLoad;
  readonly protocol: Protocol;
  /** Standard deviation of ln(step time) from one start of the engine to the next. */
  readonly restartSd: number;
  /** All streams begin at once with answers of one length: a known limit where it does not cover. */
  readonly isLockstep: boolean;
}

/** A mean over starts, and its standard error as a share of it. */
export interface LongRunValue {
  readonly value: number;
  readonly error: number;
}

/** Rounds at which coverage is counted; an experiment has as many as the last of them. */
export const coverageRounds = [3, 5, 10] as const;

/** Percentiles whose hulls are counted. */
export const coveragePercentiles = [50, 90, 99] as const;

const stepTime = {
  fixedMs: 8,
  perSequenceMs: 0.03,
  perContextTokenMs: 0.00002,
  perPrefillTokenMs: 0.02,
};

/** Short answers, so that a trial takes milliseconds; lengths that vary do so by 0.25 to 1.75 of these. */
const inputTokens = 64;
const outputTokens = 24;

interface CellOptions {
  readonly concurrency: number;
  readonly lengths: "fixed" | "varying";
  readonly maxSequences?: number;
  readonly restartSd?: number;
  readonly firstWave?: Protocol["firstWave"];
}

function cellOf({
  concurrency,
  lengths,
  maxSequences = 256,
  restartSd = 0.02,
  firstWave = lengths === "fixed" ? "cut" : "whole",
}: CellOptions): CoverageCell {
  const isLockstep = lengths === "fixed" && firstWave === "whole";
  const words = [
    `c${concurrency}${maxSequences < concurrency ? ` in batches of ${maxSequences}` : ""}`,
    lengths,
    ...(isLockstep ? ["lockstep"] : []),
    ...(restartSd > 0.1 ? ["noisy"] : []),
  ];
  const around = (random: () => number, mean: number): number =>
    Math.round(mean * (0.25 + 1.5 * random()));
  // As a plan does where p99 is asked for over three rounds.
  const floor = Math.ceil(percentileFloor(99) / 3);
  return {
    name: words.join(", "),
    simulated: {
      server: { maxSequences, maxStepTokens: 2048, stepTime, jitter: 0.05 },
      load: { kind: "concurrency", concurrency },
      drawLengths:
        lengths === "fixed"
          ? () => ({ inputTokens, outputTokens })
          : (random) => ({
              inputTokens: around(random, inputTokens),
              outputTokens: around(random, outputTokens),
            }),
      drawNetworkMs: () => 0.2,
      stamps: "tokens",
    },
    protocol: {
      window: "handover",
      warmupRequests: 2 * concurrency,
      measured: {
        kind: "count",
        requests: Math.max((lengths === "fixed" ? 3 : 10) * concurrency, floor),
      },
      firstWave,
    },
    restartSd,
    isLockstep,
  };
}

/** Few and many streams, equal and varying lengths, a queue, restarts that differ a lot, and lockstep. */
export const coverageCells: readonly CoverageCell[] = [
  cellOf({ concurrency: 8, lengths: "fixed" }),
  cellOf({ concurrency: 8, lengths: "varying" }),
  cellOf({ concurrency: 32, lengths: "fixed" }),
  cellOf({ concurrency: 32, lengths: "varying" }),
  cellOf({ concurrency: 32, lengths: "fixed", maxSequences: 8 }),
  cellOf({ concurrency: 32, lengths: "varying", maxSequences: 8 }),
  cellOf({ concurrency: 8, lengths: "varying", restartSd: 0.25 }),
  cellOf({ concurrency: 32, lengths: "fixed", firstWave: "whole" }),
];

/** @throws RangeError for a name that no cell has */
export function coverageCell(name: string): CoverageCell {
  const cell = coverageCells.find((one) => one.name === name);
  if (cell === undefined) throw new RangeError(`no cell ${name}`);
  return cell;
}

/** One trial on a fresh start of the engine; the same seed and start give the same trial. */
export async function simulateStart(
  { name, simulated, protocol, restartSd }: CoverageCell,
  seed: string,
  start: number,
): Promise<TrialSamples> {
  const own = `${seed}/${name}/start ${start}`;
  const factor = Math.exp(restartSd * normalDraw(seededRandom(`${own}/restart`)));
  return await simulateTrial(slowedBy(simulated, factor), protocol, own);
}

function slowedBy(simulated: SimulatedLoad, factor: number): SimulatedLoad {
  const { fixedMs, perSequenceMs, perContextTokenMs, perPrefillTokenMs } =
    simulated.server.stepTime;
  return {
    ...simulated,
    server: {
      ...simulated.server,
      stepTime: {
        fixedMs: fixedMs * factor,
        perSequenceMs: perSequenceMs * factor,
        perContextTokenMs: perContextTokenMs * factor,
        perPrefillTokenMs: perPrefillTokenMs * factor,
      },
    },
  };
}

/**
 * What long lives of the server tell, by the key of the estimate, as a mean over restarts. Starts come
 * in pairs, one as much slower as the other is faster, so that what they draw nearly cancels out.
 * No mean of TPOT: a mean of ratios does not follow from the means of long lives where lengths vary.
 */
export function longRunOf(
  { name, simulated, protocol, restartSd }: CoverageCell,
  { pairs, requestsPerLife, seed }: LongRunOptions,
): ReadonlyMap<string, LongRunValue> {
  const random = seededRandom(`${seed}/${name}/long run`);
  const ofPairs = Array.from({ length: pairs }, (_, pair) => {
    const z = normalDraw(random);
    const lives = [z, -z].map((draw, side) =>
      longRunTruth(slowedBy(simulated, Math.exp(restartSd * draw)), {
        lives: 2,
        requestsPerLife,
        start: protocol.firstWave === "whole" ? "at once" : "apart",
        seed: `${seed}/${name}/pair ${pair}, ${side}`,
      }),
    );
    const over = (valueOf: (life: (typeof lives)[number]) => number): number =>
      meanOver(lives.map(valueOf));
    return new Map([
      ["qps", over(({ qps }) => qps)],
      ["output_tps", over(({ qps }) => qps * outputTokens)],
      ["ttft.mean", over(({ ttftMs }) => ttftMs)],
      ["e2e.mean", over(({ e2eMs }) => e2eMs)],
      // All gaps of the long run over their number.
      ["itl.mean", over(({ e2eMs, ttftMs }) => (e2eMs - ttftMs) / (outputTokens - 1))],
    ]);
  });
  const keys = [...(ofPairs[0]?.keys() ?? [])];
  return new Map(
    keys.map((key) => {
      const { mean, error } = meanAndError(ofPairs.flatMap((pair) => pair.get(key) ?? []));
      return [key, { value: mean, error: error / mean }];
    }),
  );
}

export interface LongRunOptions {
  /** At least two. */
  readonly pairs: number;
  readonly requestsPerLife: number;
  readonly seed: string;
}

function meanOver(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
