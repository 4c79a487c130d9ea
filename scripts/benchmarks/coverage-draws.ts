// Rounds drawn from distributions that are known: by a formula, or by a large pool of simulated starts
// that is taken for the whole population.
import { seededRandom } from "../experiment/random.ts";

/** One draw of a standard normal (Box and Muller's first). @param random uniform in [0, 1) */
export function normalDraw(random: () => number): number {
  const radius = Math.sqrt(-2 * Math.log(1 - random()));
  return radius * Math.cos(2 * Math.PI * random());
}

/** One metric at one point, one value per round. */
export interface DrawnCell {
  readonly point: string;
  readonly metric: string;
  readonly values: readonly number[];
}

/** Where rounds come from. */
export type Population =
  /** So many points with one metric each, independent, normal around 1 with this standard deviation. */
  | { readonly kind: "normal"; readonly cells: number; readonly cv: number }
  /** The same, lognormal: its geometric mean is 1. */
  | { readonly kind: "lognormal"; readonly cells: number; readonly cv: number }
  /** Simulated starts, drawn with replacement: a start's metrics stay together, points are independent. */
  | { readonly kind: "pool"; readonly points: readonly PooledPoint[] };

/** All starts of one point. */
export interface PooledPoint {
  readonly point: string;
  readonly metrics: readonly {
    readonly metric: string;
    /** By start; as many for each metric. */
    readonly values: Float64Array;
  }[];
}

/** The metric of a population that is given by a formula; it counts for the outcome of a whole run. */
export const modelMetric = "output_tps";

/** The rounds of a whole run; every cell has as many values. */
export function drawRun(
  population: Population,
  random: () => number,
  rounds: number,
): readonly DrawnCell[] {
  if (population.kind === "pool") {
    return population.points.flatMap(({ point, metrics }) => {
      const starts = metrics[0]?.values.length ?? 0;
      const drawn = Array.from({ length: rounds }, () => Math.floor(random() * starts));
      return metrics.map(({ metric, values }) => ({
        point,
        metric,
        values: drawn.map((start) => values[start] ?? 0),
      }));
    });
  }
  const { kind, cells, cv } = population;
  // The sd of the logarithm that gives this ratio of standard deviation to mean.
  const sd = kind === "normal" ? cv : Math.sqrt(Math.log1p(cv * cv));
  const draw = (): number => {
    const z = sd * normalDraw(random);
    return kind === "normal" ? 1 + z : Math.exp(z);
  };
  return Array.from({ length: cells }, (_, cell) => ({
    point: `point ${cell + 1}`,
    metric: modelMetric,
    values: Array.from({ length: rounds }, draw),
  }));
}

/** The random numbers of one experiment; which thread makes it doesn't matter. */
export function randomOfExperiment(seed: string, study: string, experiment: number): () => number {
  return seededRandom(`${seed}/${study}/${experiment}`);
}
