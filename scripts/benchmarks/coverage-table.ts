// From what was counted to the table of coverage: a row for each rate with its Monte Carlo error, its
// aim and whether it is within it.
import { formatNumber } from "../units.ts";
import { coverageRounds, type LongRunValue } from "./coverage-cells.ts";
import type { ComparisonCounts, ComparisonStudy } from "./coverage-comparisons.ts";
import { type Coverage, isPercentile, type Target } from "./coverage-intervals.ts";
import {
  type Aim,
  errorOf,
  type Rate,
  shareOf,
  type Verdict,
  verdictOf,
} from "./coverage-rates.ts";
import type { StoppingCounts } from "./coverage-stopping.ts";
import { describeTable } from "./table.ts";

/** Everything about one cell. */
export interface CellResult {
  readonly cell: string;
  readonly isLockstep: boolean;
  readonly metrics: readonly MetricResult[];
}

interface MetricResult {
  readonly metric: string;
  readonly target: Target;
  /** One for each number of rounds. */
  readonly coverage: readonly Coverage[];
  /** Intervals over the requests of one run; undefined: the metric has none. */
  readonly oneRun: { readonly naive: Rate; readonly bootstrap: Rate } | undefined;
  /** undefined: not computed for this metric. */
  readonly longRun: LongRunValue | undefined;
}

export interface ComparisonResult {
  readonly study: ComparisonStudy;
  readonly counts: ComparisonCounts;
}

export interface StoppingResult {
  readonly study: string;
  readonly counts: StoppingCounts;
}

export interface CoverageResults {
  readonly cells: readonly CellResult[];
  readonly comparisons: readonly ComparisonResult[];
  readonly stopping: readonly StoppingResult[];
}

const stoppingAim: Aim = { least: 0.94 };

/** Means and rates 93 to 97 %, percentiles at least 92 %. */
function intervalAim(metric: string): Aim {
  return isPercentile(metric) ? { least: 0.92 } : { least: 0.93, most: 0.97 };
}

/** A rate that has an aim, and what became of it; a limit that is known is listed, not counted as missed. */
export interface Judged {
  readonly what: string;
  readonly rate: Rate;
  readonly aim: Aim;
  readonly verdict: Verdict | "known limit" | undefined;
}

/** Every rate that has an aim. */
export function judge({ cells, comparisons, stopping }: CoverageResults): readonly Judged[] {
  return [
    ...cells.flatMap(({ cell, isLockstep, metrics }) =>
      metrics.flatMap(({ metric, coverage }) =>
        coverage.map((row) => {
          const aim = intervalAim(metric);
          const verdict = verdictOf(row.covered, aim);
          return {
            what: nameOf(cell, row),
            rate: row.covered,
            aim,
            verdict: isLockstep && verdict === "missed" ? ("known limit" as const) : verdict,
          };
        }),
      ),
    ),
    ...stopping.flatMap(({ study, counts }) =>
      [...counts.covered].map(([metric, rate]) => ({
        what: `${study}: ${metric}`,
        rate,
        aim: stoppingAim,
        verdict: verdictOf(rate, stoppingAim),
      })),
    ),
    ...comparisons.flatMap(({ study, counts }) => {
      const { name, aimed } = study;
      if (aimed === undefined) return [];
      const rate = counts[aimed.count];
      return [{ what: name, rate, aim: aimed.aim, verdict: verdictOf(rate, aimed.aim) }];
    }),
  ];
}

/** The whole table, for a terminal. */
export function describeCoverage(results: CoverageResults): string {
  const { cells, stopping, comparisons } = results;
  const judged = new Map(judge(results).map((one) => [one.what, one]));
  const verdict = (what: string): string => judged.get(what)?.verdict ?? "-";
  const aimOf = (what: string): string => describeAim(judged.get(what)?.aim);
  const sections: readonly (readonly [string, readonly (readonly string[])[]])[] = [
    [
      "Printed intervals: share that holds the expected value of the statistic over restarts, %",
      [
        [
          "cell",
          "metric",
          ...coverageRounds.map((rounds) => `R = ${rounds}`),
          "aim",
          "verdict",
          "half-width",
          "none",
          "geometric",
          "over requests",
          "bias to long run",
          "target's error",
        ],
        ...cells.flatMap(({ cell, metrics }) =>
          metrics.map(({ metric, coverage, target, longRun }) => [
            cell,
            metric,
            ...coverage.map(({ covered }) => describeRate(covered)),
            describeAim(intervalAim(metric)),
            worstOf(coverage.map((row) => verdict(nameOf(cell, row)))),
            inTurn(coverage, ({ halfWidth }) => percent(halfWidth, 1)),
            inTurn(coverage, (row) => percent(row.withoutInterval / experimentsOf(row), 0)),
            inTurn(coverage, (row) => percent(row.geometric / experimentsOf(row), 0)),
            inTurn(coverage, ({ naive }) => percent(naive && shareOf(naive), 0)),
            describeBias(target, longRun),
            percent(target.error / target.mean, 2),
          ]),
        ),
      ],
    ],
    [
      "Intervals over the requests of one run, which nobody should print: share that holds the same, %",
      [
        ["cell", "metric", "t or ranks over requests", "bootstrap over requests"],
        ...cells.flatMap(({ cell, metrics }) =>
          metrics.flatMap(({ metric, oneRun }) =>
            oneRun === undefined
              ? []
              : [[cell, metric, describeRate(oneRun.naive), describeRate(oneRun.bootstrap)]],
          ),
        ),
      ],
    ],
    [
      "Rounds on demand: min 4, max 12, %",
      [
        ["study", "metric", "covered", "aim", "verdict", "target reached", "mean rounds"],
        ...stopping.flatMap(({ study, counts }) =>
          [...counts.covered].map(([metric, rate]) => [
            ...[study, metric, describeRate(rate)],
            ...[aimOf(`${study}: ${metric}`), verdict(`${study}: ${metric}`)],
            describeRate(counts.reached),
            formatNumber(counts.rounds / counts.reached.of, 1),
          ]),
        ),
      ],
    ],
    [
      "Comparisons, %",
      [
        [
          "study",
          "equivalent",
          "significant",
          "inconclusive",
          "any of the family",
          "run differs",
        ].concat(["falsely equivalent", "aim", "verdict"]),
        ...comparisons.map(({ study: { name, aimed, expectedEquivalent }, counts }) => [
          name,
          ...[counts.equivalent, counts.significant, counts.inconclusive].map(describeRate),
          ...[counts.anySignificant, counts.runDiffers, counts.falselyEquivalent].map(describeRate),
          aimed === undefined
            ? expectedEquivalent === undefined
              ? "-"
              : `design: ${percent(expectedEquivalent, 0)} equivalent`
            : `${countNames[aimed.count]} ${describeAim(aimed.aim)}`,
          verdict(name),
        ]),
      ],
    ],
  ];
  return sections
    .filter(([, rows]) => rows.length > 1)
    .map(([title, rows]) => `${title}\n\n${describeTable(rows)}`)
    .join("\n");
}

function nameOf(cell: string, { metric, rounds }: Coverage): string {
  return `${cell}: ${metric}, R = ${rounds}`;
}

function experimentsOf({ covered, withoutInterval }: Coverage): number {
  return covered.of + withoutInterval;
}

/** One figure for each number of rounds. */
function inTurn(coverage: readonly Coverage[], describe: (row: Coverage) => string): string {
  const texts = coverage.map(describe);
  return texts.every((text) => text === texts[0]) ? (texts[0] ?? "-") : texts.join("/");
}

function worstOf(verdicts: readonly string[]): string {
  return (
    ["missed", "known limit"].find((verdict) => verdicts.includes(verdict)) ?? verdicts[0] ?? "-"
  );
}

const countNames: Readonly<Record<keyof ComparisonCounts, string>> = {
  equivalent: "equivalent",
  significant: "significant",
  inconclusive: "inconclusive",
  anySignificant: "any",
  runDiffers: "run",
  falselyEquivalent: "falsely",
};

/** @example "94.8 ± 0.5" */
function describeRate(rate: Rate): string {
  const share = shareOf(rate);
  const error = errorOf(rate);
  if (share === undefined || error === undefined) return "-";
  return `${formatNumber(share * 100, 1)} ± ${formatNumber(error * 100, 1)}`;
}

function describeAim(aim: Aim | undefined): string {
  if (aim === undefined) return "-";
  const [least, most] = [aim.least, aim.most].map((share) => percent(share, 0));
  if (aim.least === undefined) return `≤ ${most}`;
  return aim.most === undefined ? `≥ ${least}` : `${least}-${most}`;
}

function describeBias({ mean, error }: Target, longRun: LongRunValue | undefined): string {
  if (longRun === undefined) return "-";
  const bias = mean / longRun.value - 1;
  const biasError = Math.hypot(error / mean, longRun.error);
  return `${formatNumber(bias * 100, 1)} ± ${formatNumber(biasError * 100, 1)}`;
}

function percent(share: number | undefined, decimals: number): string {
  return share === undefined ? "-" : formatNumber(share * 100, decimals);
}
