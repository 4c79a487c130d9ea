// From the rounds of two sides, cell by cell, to what may be said of their difference: a ratio with its
// interval, a test that counts how many cells were looked at, and an outcome in one word.
import { mean as meanOf, sampleStandardDeviation } from "simple-statistics";
import { studentQuantile, studentTwoSided } from "./distributions.ts";
import { type Interval, printedLevel, tInterval } from "./intervals.ts";
import { isEquivalent, pairedRatio, welchRatio } from "./ratios.ts";
import { gatingMetrics } from "./stopping.ts";

/** One metric of one point on both sides; one value per round, each above 0. */
export interface ComparedCell {
  readonly point: string;
  /** Key of the estimate: "ttft.mean", "output_tps". */
  readonly metric: string;
  /** The side that is held against the other: the ratio is a / b. */
  readonly a: readonly RoundValue[];
  readonly b: readonly RoundValue[];
}

export interface RoundValue {
  readonly round: number;
  readonly value: number;
}

export interface ComparisonOptions {
  /** 0.05 for 5 %; absent: `defaultMargin` of the cells. */
  readonly margin?: number | undefined;
  /** The rounds of both sides were interleaved in one run: values of one round are a pair. */
  readonly paired: boolean;
}

/** What may be said of a cell. */
export type CellOutcome = "equivalent" | "differs" | "inconclusive" | "not_testable";

export interface CellComparison {
  readonly point: string;
  readonly metric: string;
  /** Ratio of geometric means a / b; undefined: a side has no value above 0. */
  readonly ratio: number | undefined;
  /** Unadjusted 95 % interval of the ratio; undefined: not testable. */
  readonly low: number | undefined;
  readonly high: number | undefined;
  /** Two-sided p-value of "the ratio is 1"; and the same after Holm over all cells of the comparison. */
  readonly p: number | undefined;
  readonly adjustedP: number | undefined;
  readonly outcome: CellOutcome;
  /** Equivalent, and yet a sure difference: it is small, and it is there. */
  readonly alsoDiffers: boolean;
  /** Why it is not testable. */
  readonly reason: "one_round" | "no_spread" | "no_value" | undefined;
  /** Of an inconclusive cell: rounds of each side with which two equal sides would show it. */
  readonly roundsNeeded: number | undefined;
  readonly rounds: { readonly a: number; readonly b: number };
  readonly method: "paired t of logs" | "Welch t of logs" | undefined;
}

export interface Comparison {
  readonly cells: readonly CellComparison[];
  readonly margin: number;
  /** Whether the margin was declared, or made from the spread that was measured. */
  readonly marginDeclared: boolean;
  /** Of the whole, over the gating metrics alone. */
  readonly outcome: CellOutcome;
}

const significance = 0.05;
const leastMargin = 0.05;
/** Beyond it noise would make anything equivalent. */
const mostMargin = 0.2;
/** Two one-sided tests at 5 % each. */
const equivalenceLevel = 0.9;
const mostRounds = 1000;

/**
 * Compares two sides. Intervals are unadjusted; "differs" needs the p-value adjusted by Holm (1979),
 * the family being all the cells given.
 */
export function compareCells(
  cells: readonly ComparedCell[],
  { margin, paired }: ComparisonOptions,
): Comparison {
  const chosen = margin ?? defaultMargin(cells);
  const tested = cells.map((cell) => ({ cell, test: testOf(cell, paired) }));
  const adjusted = holm(tested.map(({ test }) => ("p" in test ? test.p : undefined)));
  const compared = tested.map(({ cell, test }, index) =>
    outcomeOf(cell, test, adjusted[index], chosen),
  );
  const gating = compared.filter(({ metric }) => gatingMetrics.some((name) => name === metric));
  return {
    cells: compared,
    margin: chosen,
    marginDeclared: margin !== undefined,
    outcome: outcomeOfAll(gating, chosen),
  };
}

/**
 * The margin where none is declared: 5 %, or three times the spread that was measured, whichever is
 * more, and 20 % at most. The spread is the largest coefficient of variation of a gating metric on either side.
 */
export function defaultMargin(cells: readonly ComparedCell[]): number {
  const gating = cells.filter(({ metric }) => gatingMetrics.some((name) => name === metric));
  const spreads = gating.flatMap(({ a, b }) => [a, b].flatMap((side) => spreadOf(side) ?? []));
  return Math.min(mostMargin, Math.max(leastMargin, 3 * Math.max(0, ...spreads)));
}

type CellTest =
  | {
      readonly p: number;
      readonly ratio: number;
      readonly at95: Interval;
      readonly at90: Interval;
      readonly method: NonNullable<CellComparison["method"]>;
    }
  | { readonly reason: NonNullable<CellComparison["reason"]>; readonly ratio: number | undefined };

function testOf({ a, b }: ComparedCell, paired: boolean): CellTest {
  const valuesA = a.map(({ value }) => value);
  const valuesB = b.map(({ value }) => value);
  const isWrong = (value: number): boolean => !(value > 0 && Number.isFinite(value));
  if (a.length === 0 || b.length === 0 || [...valuesA, ...valuesB].some(isWrong))
    return { reason: "no_value", ratio: undefined };
  const pairs = paired ? pairsOf(a, b) : undefined;
  if (pairs !== undefined && pairs.length >= 2) return pairedTest(pairs);
  const at95 = welchRatio(valuesA, valuesB, printedLevel);
  if (at95.kind === "not_testable") return { reason: "one_round", ratio: at95.ratio };
  if (at95.kind === "constant") return { reason: "no_spread", ratio: at95.ratio };
  const at90 = welchRatio(valuesA, valuesB, equivalenceLevel);
  return {
    p: at95.p,
    ratio: at95.ratio,
    at95,
    at90: at90.kind === "ratio" ? at90 : at95,
    method: "Welch t of logs",
  };
}

/** Values of rounds that both sides have; undefined where a side has a round that the other lacks. */
function pairsOf(
  a: readonly RoundValue[],
  b: readonly RoundValue[],
): readonly (readonly [number, number])[] | undefined {
  const others = new Map(b.map(({ round, value }) => [round, value]));
  const pairs = a.flatMap(({ round, value }): (readonly [number, number])[] => {
    const other = others.get(round);
    return other === undefined ? [] : [[value, other]];
  });
  return pairs.length === a.length && pairs.length === b.length ? pairs : undefined;
}

function pairedTest(pairs: readonly (readonly [number, number])[]): CellTest {
  const valuesA = pairs.map(([value]) => value);
  const valuesB = pairs.map(([, value]) => value);
  const logs = pairs.map(([value, other]) => Math.log(value / other));
  const spread = tInterval(logs);
  const at95 = pairedRatio(valuesA, valuesB, printedLevel);
  const at90 = pairedRatio(valuesA, valuesB, equivalenceLevel);
  const ratio = Math.exp(meanOf(logs));
  if (spread === undefined || at95 === undefined || at90 === undefined || spread.sd === 0)
    return { reason: "no_spread", ratio };
  const error = spread.sd / Math.sqrt(pairs.length);
  const p = studentTwoSided(spread.mean / error, pairs.length - 1);
  return { p, ratio, at95, at90, method: "paired t of logs" };
}

function outcomeOf(
  { point, metric, a, b }: ComparedCell,
  test: CellTest,
  adjustedP: number | undefined,
  margin: number,
): CellComparison {
  const rounds = { a: a.length, b: b.length };
  if (!("p" in test)) {
    return {
      ...{ point, metric, rounds, ratio: test.ratio, reason: test.reason },
      ...{ low: undefined, high: undefined, p: undefined, adjustedP: undefined },
      ...{ outcome: "not_testable", alsoDiffers: false, roundsNeeded: undefined },
      method: undefined,
    };
  }
  const { p, ratio, at95, at90, method } = test;
  const differs = adjustedP !== undefined && adjustedP < significance;
  const equivalent = isEquivalent(at90, margin);
  const outcome = equivalent ? "equivalent" : differs ? "differs" : "inconclusive";
  return {
    ...{ point, metric, rounds, ratio, low: at95.low, high: at95.high, p, adjustedP, outcome },
    alsoDiffers: equivalent && differs,
    reason: undefined,
    roundsNeeded:
      outcome === "inconclusive"
        ? roundsForEquivalence(Math.max(spreadOf(a) ?? 0, spreadOf(b) ?? 0), margin)
        : undefined,
    method,
  };
}

function outcomeOfAll(cells: readonly CellComparison[], margin: number): CellOutcome {
  if (cells.length === 0 || cells.every(({ outcome }) => outcome === "not_testable"))
    return "not_testable";
  const isOutside = ({ ratio = 1 }: CellComparison): boolean =>
    ratio > 1 + margin || ratio < 1 / (1 + margin);
  if (cells.some((cell) => cell.outcome === "differs" && isOutside(cell))) return "differs";
  return cells.every(({ outcome }) => outcome === "equivalent") ? "equivalent" : "inconclusive";
}

/**
 * Holm's step-down p-values, in the order given; undefined where there was no test, which counts in
 * no family.
 */
export function holm(ps: readonly (number | undefined)[]): readonly (number | undefined)[] {
  const ordered = ps
    .map((p, index) => ({ p, index }))
    .filter((one): one is { readonly p: number; readonly index: number } => one.p !== undefined)
    .sort((x, y) => x.p - y.p);
  const adjusted = new Map<number, number>();
  let highest = 0;
  for (const [rank, { p, index }] of ordered.entries()) {
    highest = Math.max(highest, Math.min(1, (ordered.length - rank) * p));
    adjusted.set(index, highest);
  }
  return ps.map((_, index) => adjusted.get(index));
}

/**
 * Rounds of each side with which two sides of this spread and equal means are expected to be found
 * equivalent: the 90 % interval of their ratio is then as wide as the margin.
 *
 * @returns undefined: more than 1,000, or the spread is not known
 */
export function roundsForEquivalence(cv: number, margin: number): number | undefined {
  if (!(cv > 0)) return undefined;
  const allowed = Math.log(1 + margin) / cv;
  // Student's quantile lies above the normal's 1.64: no smaller number of rounds can do.
  const least = Math.max(2, Math.floor(2 * (1.64 / allowed) ** 2));
  for (let rounds = least; rounds <= mostRounds; rounds += 1) {
    const quantile = studentQuantile((1 + equivalenceLevel) / 2, 2 * rounds - 2);
    if (quantile * Math.sqrt(2 / rounds) <= allowed) return rounds;
  }
  return undefined;
}

/** Sample sd over mean of the rounds; undefined for one round. */
function spreadOf(side: readonly RoundValue[]): number | undefined {
  if (side.length < 2) return undefined;
  const values = side.map(({ value }) => value);
  return sampleStandardDeviation(values) / meanOf(values);
}
