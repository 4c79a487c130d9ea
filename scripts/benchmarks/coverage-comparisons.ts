// How often a comparison of two sides whose true ratio is known says equivalent, differs or neither:
// its errors and its power, counted over many pairs of runs.
import { compareCells } from "../stats/comparison.ts";
import { type DrawnCell, drawRun, type Population, randomOfExperiment } from "./coverage-draws.ts";
import { type Aim, addRate, type Rate, sumOfRates } from "./coverage-rates.ts";

/** Pairs of runs of one kind, and what is held against an aim. */
export interface ComparisonStudy {
  readonly name: string;
  readonly population: Population;
  /** Of each side. */
  readonly rounds: number;
  readonly paired: boolean;
  /**
   * Of interleaved runs: standard deviation of what both sides of a round have in common, as a drift
   * of the machine; 0 where nothing is.
   */
  readonly sharedSd: number;
  /** True ratio of the sides; 1: they are equal. */
  readonly ratio: number;
  /** Whether all cells have this ratio, or the first alone. */
  readonly differing: "all" | "first";
  /** undefined: made from the spread, as the product does where none is declared. */
  readonly margin: number | undefined;
  readonly aimed?: {
    readonly count: keyof ComparisonCounts;
    readonly aim: Aim;
  };
  /** Share found equivalent that the design expects; shown beside, no aim. */
  readonly expectedEquivalent?: number;
}

export interface ComparisonCounts {
  /** The first cell. */
  readonly equivalent: Rate;
  /** Its difference is significant after Holm, be it inside the margin or not. */
  readonly significant: Rate;
  readonly inconclusive: Rate;
  /** Runs in which any cell is significant after Holm, and runs that differ as a whole. */
  readonly anySignificant: Rate;
  readonly runDiffers: Rate;
  /** The first cell is called equivalent within a margin that its true ratio is not inside of. */
  readonly falselyEquivalent: Rate;
}

const none: Rate = { hits: 0, of: 0 };
export const noComparisons: ComparisonCounts = {
  equivalent: none,
  significant: none,
  inconclusive: none,
  anySignificant: none,
  runDiffers: none,
  falselyEquivalent: none,
};

const significance = 0.05;

/** Counts the experiments from..to - 1 of a study. */
export function countComparisons(
  study: ComparisonStudy,
  seed: string,
  from: number,
  to: number,
): ComparisonCounts {
  let counts = noComparisons;
  for (let experiment = from; experiment < to; experiment += 1) {
    const random = randomOfExperiment(seed, study.name, experiment);
    counts = addComparisons(counts, comparisonOf(study, random));
  }
  return counts;
}

function comparisonOf(study: ComparisonStudy, random: () => number): ComparisonCounts {
  const { population, rounds, ratio, differing, margin, paired, sharedSd } = study;
  const a = drawRun(population, random, rounds);
  const b = drawRun(population, random, rounds);
  const shared = Array.from({ length: rounds }, () => Math.exp(sharedSd * (2 * random() - 1)));
  const sideOf = ({ values }: DrawnCell, factor: number) =>
    values.map((value, index) => ({
      round: index + 1,
      value: value * factor * (shared[index] ?? 1),
    }));
  const {
    cells,
    outcome,
    margin: chosen,
  } = compareCells(
    a.map((cell, index) => ({
      point: cell.point,
      metric: cell.metric,
      a: sideOf(cell, differing === "all" || index === 0 ? ratio : 1),
      b: sideOf(b[index] ?? cell, 1),
    })),
    { margin, paired },
  );
  const isSignificant = ({ adjustedP }: (typeof cells)[number]): boolean =>
    adjustedP !== undefined && adjustedP < significance;
  const [first] = cells;
  const isOutside = ratio >= 1 + chosen || ratio <= 1 / (1 + chosen);
  return {
    equivalent: addRate(none, first?.outcome === "equivalent"),
    significant: addRate(none, first !== undefined && isSignificant(first)),
    inconclusive: addRate(none, first?.outcome === "inconclusive"),
    anySignificant: addRate(none, cells.some(isSignificant)),
    runDiffers: addRate(none, outcome === "differs"),
    falselyEquivalent: addRate(none, isOutside && first?.outcome === "equivalent"),
  };
}

export function addComparisons(a: ComparisonCounts, b: ComparisonCounts): ComparisonCounts {
  return {
    equivalent: sumOfRates(a.equivalent, b.equivalent),
    significant: sumOfRates(a.significant, b.significant),
    inconclusive: sumOfRates(a.inconclusive, b.inconclusive),
    anySignificant: sumOfRates(a.anySignificant, b.anySignificant),
    runDiffers: sumOfRates(a.runDiffers, b.runDiffers),
    falselyEquivalent: sumOfRates(a.falselyEquivalent, b.falselyEquivalent),
  };
}

const errorRate: Aim = { most: 0.05, isPromise: true };
const cvs = [0.02, 0.03, 0.05];
const roundCounts = [3, 5, 10];

/**
 * What the design expects of R = 3 against 3 with a margin of 5 %: shares found equivalent, by CV. It
 * reckons with a spread that is known; Student's t on three rounds each finds less.
 */
const designPower = new Map([
  [0.02, 0.6],
  [0.03, 0.2],
  [0.05, 0.03],
]);

/** Every study; with a pool also on simulated servers. */
export function comparisonStudies(pool: Population | undefined): readonly ComparisonStudy[] {
  const base = {
    rounds: 3,
    paired: false,
    sharedSd: 0,
    ratio: 1,
    differing: "all",
    margin: 0.05,
  } as const;
  const named = (study: Omit<ComparisonStudy, "name">, words: readonly string[]) => ({
    ...study,
    name: words.join(", "),
  });
  const model = (cells: number, cv: number): Population => ({ kind: "lognormal", cells, cv });
  const families: readonly (readonly [string, Population])[] = [
    ["20 cells, CV 3 %", model(20, 0.03)],
    ...(pool === undefined ? [] : [["simulated servers", pool] as const]),
  ];
  return [
    ...families.flatMap(([name, population]) =>
      roundCounts.flatMap((rounds) =>
        [false, true].map((paired) =>
          named(
            {
              ...base,
              ...{ population, rounds, paired, sharedSd: paired ? 0.05 : 0 },
              aimed: { count: "anySignificant", aim: errorRate },
            },
            ["equal sides", name, `R = ${rounds}`, paired ? "paired" : "Welch"],
          ),
        ),
      ),
    ),
    ...families.flatMap(([name, population]) =>
      roundCounts.map((rounds) =>
        named(
          {
            ...base,
            ...{ population, rounds, margin: undefined },
            aimed: { count: "runDiffers", aim: errorRate },
          },
          ["equal sides, run as a whole", name, `R = ${rounds}`],
        ),
      ),
    ),
    ...[1.05, 1 / 1.05].flatMap((ratio) =>
      cvs.flatMap((cv) =>
        roundCounts.flatMap((rounds) =>
          [false, true].map((paired) =>
            named(
              {
                ...base,
                ...{ population: model(1, cv), rounds, paired, ratio },
                sharedSd: paired ? 0.05 : 0,
                aimed: { count: "falselyEquivalent", aim: errorRate },
              },
              [
                `at the margin's ${ratio > 1 ? "upper" : "lower"} edge`,
                `CV ${cv * 100} %`,
                `R = ${rounds}`,
                paired ? "paired" : "Welch",
              ],
            ),
          ),
        ),
      ),
    ),
    ...[1.06, 1.1, 1.15].flatMap((ratio) =>
      cvs.map((cv) =>
        named(
          {
            ...base,
            ...{ population: model(1, cv), ratio, margin: undefined },
            aimed: { count: "falselyEquivalent", aim: errorRate },
          },
          [`margin from the spread, ${percentOver(ratio)} apart`, `CV ${cv * 100} %`, "R = 3"],
        ),
      ),
    ),
    ...cvs.flatMap((cv) =>
      roundCounts.map((rounds) => {
        const expected = rounds === 3 ? designPower.get(cv) : undefined;
        return named(
          {
            ...base,
            ...{ population: model(1, cv), rounds },
            ...(expected === undefined ? {} : { expectedEquivalent: expected }),
          },
          ["power to find equal", `CV ${cv * 100} %`, `R = ${rounds}`],
        );
      }),
    ),
    ...[1.02, 1.05, 1.1].flatMap((ratio) =>
      [0.02, 0.05].flatMap((cv) =>
        roundCounts.flatMap((rounds) =>
          (cv === 0.02 ? [1, 20] : [1]).map((cells) =>
            named(
              {
                ...base,
                ...{ population: model(cells, cv), rounds, ratio, differing: "first" },
              },
              [
                `power to find ${percentOver(ratio)}`,
                `CV ${cv * 100} %`,
                `R = ${rounds}`,
                cells === 1 ? "alone" : `first of ${cells} cells`,
              ],
            ),
          ),
        ),
      ),
    ),
  ];
}

function percentOver(ratio: number): string {
  return `${Math.round((ratio - 1) * 100)} %`;
}
