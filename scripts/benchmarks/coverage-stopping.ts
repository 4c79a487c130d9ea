// How often intervals cover where their own width decided when the rounds ended.
import { isNoisy, logTInterval, onDemandLevel, tInterval } from "../stats/intervals.ts";
import {
  decideRounds,
  type GatingMetric,
  gatingMetrics,
  type StoppingRule,
} from "../stats/stopping.ts";
import { drawRun, modelMetric, type Population, randomOfExperiment } from "./coverage-draws.ts";
import { covers, type Target, type ToldInterval } from "./coverage-intervals.ts";
import { addRate, type Rate, sumOfRates } from "./coverage-rates.ts";

/** Runs of one kind whose rounds end by the rule. */
export interface StoppingStudy {
  readonly name: string;
  readonly population: Population;
  readonly rule: StoppingRule;
  /** What the intervals should hold, by metric. */
  readonly targets: ReadonlyMap<string, Target>;
}

export interface StoppingCounts {
  /** By metric: the interval holds its target. */
  readonly covered: ReadonlyMap<string, Rate>;
  /** The target width was reached, before or at the last round. */
  readonly reached: Rate;
  /** Over all experiments. */
  readonly rounds: number;
}

export const noStopping: StoppingCounts = {
  covered: new Map(),
  reached: { hits: 0, of: 0 },
  rounds: 0,
};

/** Counts the experiments from..to - 1 of a study. */
export function countStopping(
  study: StoppingStudy,
  seed: string,
  from: number,
  to: number,
): StoppingCounts {
  const { population, rule, targets } = study;
  const covered = new Map<string, Rate>();
  let reached: Rate = { hits: 0, of: 0 };
  let rounds = 0;
  for (let experiment = from; experiment < to; experiment += 1) {
    const random = randomOfExperiment(seed, study.name, experiment);
    const cells = drawRun(population, random, rule.max).flatMap(({ point, metric, values }) => {
      const gating = gatingMetrics.find((name): name is GatingMetric => name === metric);
      return gating === undefined ? [] : [{ point, metric: gating, values }];
    });
    const firstRounds = (count: number) =>
      cells.map((cell) => ({ ...cell, values: cell.values.slice(0, count) }));
    let round = rule.min;
    let { outcome } = decideRounds(rule, round, firstRounds(round));
    while (outcome === "go-on") {
      round += 1;
      ({ outcome } = decideRounds(rule, round, firstRounds(round)));
    }
    reached = addRate(reached, outcome === "reached");
    rounds += round;
    for (const { metric, values } of firstRounds(round)) {
      const target = targets.get(metric);
      const interval = printedInterval(values);
      if (target === undefined || interval === undefined) continue;
      covered.set(
        metric,
        addRate(covered.get(metric) ?? { hits: 0, of: 0 }, covers(interval, target)),
      );
    }
  }
  return { covered, reached, rounds };
}

/**
 * As a record prints a mean of rounds on demand. For a percentile it is the inner part of its hull,
 * which also reaches to the ranks of the requests and covers no less.
 */
function printedInterval(values: readonly number[]): ToldInterval {
  const t = tInterval(values, onDemandLevel);
  if (t === undefined) return undefined;
  const log = isNoisy(t) ? logTInterval(values, onDemandLevel) : undefined;
  const { low, high } = log ?? t;
  return { low, high, geometric: log !== undefined };
}

export function addStopping(a: StoppingCounts, b: StoppingCounts): StoppingCounts {
  const covered = new Map(a.covered);
  for (const [metric, rate] of b.covered) {
    covered.set(metric, sumOfRates(covered.get(metric) ?? { hits: 0, of: 0 }, rate));
  }
  return { covered, reached: sumOfRates(a.reached, b.reached), rounds: a.rounds + b.rounds };
}

const rule: StoppingRule = { target: 0.02, min: 4, max: 12 };

/**
 * Normal rounds of several spreads, and each point of the pool with all its gating metrics.
 *
 * @param targetOf what the intervals of a metric at a point of the pool should hold
 */
export function stoppingStudies(
  pool: Extract<Population, { kind: "pool" }> | undefined,
  targetOf: (point: string, metric: string) => Target,
): readonly StoppingStudy[] {
  const ofModel = [0.01, 0.02, 0.03, 0.05].map((cv): StoppingStudy => {
    const target = {
      mean: 1,
      geometricMean: undefined,
      error: 0,
      starts: Number.POSITIVE_INFINITY,
    };
    return {
      name: `until 2 %, normal, CV ${cv * 100} %`,
      population: { kind: "normal", cells: 1, cv },
      rule,
      targets: new Map([[modelMetric, target]]),
    };
  });
  const ofPool = (pool?.points ?? []).map((point): StoppingStudy => {
    const targets = point.metrics.map(
      ({ metric }) => [metric, targetOf(point.point, metric)] as const,
    );
    return {
      name: `until 2 %, ${point.point}`,
      population: { kind: "pool", points: [point] },
      rule,
      targets: new Map(targets),
    };
  });
  return [...ofModel, ...ofPool];
}
