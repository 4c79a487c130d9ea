// Program: whether printed intervals cover, comparisons err as rarely as they claim and rounds on demand
// keep their promise, on simulated servers whose truth is known. It fails where an aim is missed.
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { exitCode, UserError } from "../errors.ts";
import { gatingMetrics } from "../stats/stopping.ts";
import { formatDuration, nowMs } from "../units.ts";
import { type CoverageCell, coverageCells, coverageRounds } from "./coverage-cells.ts";
import {
  addComparisons,
  type ComparisonStudy,
  comparisonStudies,
  noComparisons,
} from "./coverage-comparisons.ts";
import type { PooledPoint } from "./coverage-draws.ts";
import {
  coverageAt,
  coverageMetrics,
  coverageOfOneRun,
  type Experiment,
  targetOf,
} from "./coverage-intervals.ts";
import { type Job, type JobResult, runJobs } from "./coverage-jobs.ts";
import { addStopping, noStopping, stoppingStudies } from "./coverage-stopping.ts";
import {
  type CellResult,
  type ComparisonResult,
  type CoverageResults,
  describeCoverage,
  judge,
  type StoppingResult,
} from "./coverage-table.ts";
import { writeResults } from "./results.ts";

const usage = `npm run bench:coverage -- [--experiments 2000] [--cells PATTERN] [--threads N] [--seed 1] [--json]

Counts how often the intervals that a record prints hold the expected value of the same statistic over
restarts, at R = 3, 5 and 10, over --experiments experiments on each simulated server; how often rounds on
demand cover, over five times as many where rounds are normal and as many on servers; and the errors and the
power of comparisons. What intervals should hold is the mean over all starts of a server: with less than
some hundred experiments it lies too near to each of them. PATTERN is a part of a cell's name. --threads: as
many as there are cores unless said; the table doesn't depend on it. --json: the figures in place of the
table. Writes data/bench/coverage.json. Ends with 1 where an aim is missed.
`;

interface Options {
  readonly experiments: number;
  readonly cells: string;
  readonly threads: number;
  readonly seed: string;
  readonly json: boolean;
}

async function main(options: Options): Promise<boolean> {
  const startedAtMs = nowMs();
  const chosen = coverageCells.filter(({ name }) => name.includes(options.cells));
  if (chosen.length === 0) {
    const names = coverageCells.map(({ name }) => `"${name}"`).join(", ");
    throw new UserError({ what: `no cell has "${options.cells}" in its name`, mend: names });
  }
  const results = await coverageOf(chosen, options);
  const judged = judge(results);
  const missed = judged.filter(({ verdict }) => verdict === "missed");
  talk(`wrote ${writeResults("coverage", figuresOf(options, results))}`);
  process.stdout.write(
    options.json
      ? `${JSON.stringify(figuresOf(options, results), undefined, 2)}\n`
      : describeCoverage(results),
  );
  for (const { what, rate } of missed) talk(`missed: ${what}: ${rate.hits} of ${rate.of}`);
  talk(`${judged.length - missed.length} of ${judged.length} aims are not missed`);
  talk(`took ${formatDuration(nowMs() - startedAtMs)}`);
  return missed.length === 0;
}

async function coverageOf(
  chosen: readonly CoverageCell[],
  { experiments, threads, seed }: Options,
): Promise<CoverageResults> {
  const intervalJobs = chosen.map((cell) => [
    { kind: "longRun", cell: cell.name, seed, pairs: longRunPairs(experiments) } as const,
    ...partsOf(experiments, 20).map(
      (part) => ({ kind: "intervals", cell: cell.name, seed, ...part }) as const,
    ),
  ]);
  const total = intervalJobs.flat().reduce((sum, job) => sum + workOf(job), 0);
  const progress = progressOf(total);
  const evaluated: EvaluatedCell[] = [];
  // One cell at a time: the intervals of all experiments are held until its target is known.
  for (const [index, cell] of chosen.entries()) {
    const done = await runJobs(intervalJobs[index] ?? [], threads, (job) => {
      progress(`simulated servers (${cell.name})`, workOf(job));
    });
    evaluated.push(evaluateCell(cell, done));
  }
  const points = evaluated.filter(({ cell }) => !cell.isLockstep).map(({ point }) => point);
  const pool = points.length === 0 ? undefined : ({ kind: "pool", points } as const);
  const targetOfPoint = (point: string, metric: string) => {
    const values = points
      .find((one) => one.point === point)
      ?.metrics.find((one) => one.metric === metric)?.values;
    return targetOf([...(values ?? [])]);
  };
  const stopping = stoppingStudies(pool, targetOfPoint);
  const comparisons = comparisonStudies(pool);
  const outcomeJobs: readonly Job[] = [
    ...stopping.flatMap((study) =>
      partsOf(study.population.kind === "pool" ? experiments : 5 * experiments, 250).map(
        (part) => ({ kind: "stopping", study, seed, ...part }) as const,
      ),
    ),
    ...comparisons.flatMap((study) =>
      partsOf(isLarge(study) ? experiments : 2 * experiments, 250).map(
        (part) => ({ kind: "comparisons", study, seed, ...part }) as const,
      ),
    ),
  ];
  const outcomeProgress = progressOf(outcomeJobs.reduce((sum, job) => sum + workOf(job), 0));
  const outcomes = await runJobs(outcomeJobs, threads, (job) => {
    outcomeProgress("rounds on demand and comparisons", workOf(job));
  });
  return {
    cells: evaluated.map(({ result }) => result),
    stopping: stopping.map(
      ({ name }): StoppingResult => ({
        study: name,
        counts: outcomes.reduce(
          (sum, one) =>
            one.kind === "stopping" && one.study === name ? addStopping(sum, one.counts) : sum,
          noStopping,
        ),
      }),
    ),
    comparisons: comparisons.map(
      (study): ComparisonResult => ({
        study,
        counts: outcomes.reduce(
          (sum, one) =>
            one.kind === "comparisons" && one.study === study.name
              ? addComparisons(sum, one.counts)
              : sum,
          noComparisons,
        ),
      }),
    ),
  };
}

/** Families of many cells take long. */
function isLarge({ population }: ComparisonStudy): boolean {
  return population.kind === "pool" || population.cells > 1;
}

interface EvaluatedCell {
  readonly cell: CoverageCell;
  readonly result: CellResult;
  /** Its starts, for the outcomes. */
  readonly point: PooledPoint;
}

function evaluateCell(cell: CoverageCell, done: readonly JobResult[]): EvaluatedCell {
  const experiments: readonly Experiment[] = done.flatMap((one) =>
    one.kind === "intervals" ? one.experiments : [],
  );
  const longRun = done.find((one) => one.kind === "longRun")?.values;
  const told = (metric: string) => experiments.flatMap((one) => one.get(metric) ?? []);
  const startsOf = (metric: string) => told(metric).flatMap(({ starts }) => starts);
  return {
    cell,
    result: {
      cell: cell.name,
      isLockstep: cell.isLockstep,
      metrics: coverageMetrics.map((metric) => {
        const target = targetOf(startsOf(metric));
        return {
          metric,
          target,
          coverage: coverageRounds.map((_, place) =>
            coverageAt(metric, place, told(metric), target),
          ),
          oneRun: coverageOfOneRun(told(metric), target),
          longRun: longRun?.get(metric),
        };
      }),
    },
    point: {
      point: cell.name,
      metrics: gatingMetrics.map((metric) => ({
        metric,
        values: Float64Array.from(startsOf(metric)),
      })),
    },
  };
}

/** Enough for an error of a thousandth in the whole table, and few in a small one. */
function longRunPairs(experiments: number): number {
  return Math.max(2, Math.min(40, Math.round(experiments / 50)));
}

function partsOf(
  count: number,
  size: number,
): readonly { readonly from: number; readonly to: number }[] {
  return Array.from({ length: Math.ceil(count / size) }, (_, part) => ({
    from: part * size,
    to: Math.min(count, (part + 1) * size),
  }));
}

/** Guess of the work in a piece, in milliseconds of one core: what the time left is told from. */
function workOf(job: Job): number {
  if (job.kind === "longRun") return job.pairs * 200;
  const experiments = job.to - job.from;
  if (job.kind === "intervals") return experiments * 100;
  const { population } = job.study;
  const cells = population.kind === "pool" ? 4 * population.points.length : population.cells;
  return experiments * cells * (job.kind === "stopping" ? 3 : 0.5);
}

/** Tells on stderr how far it is and how long the rest will take, every ten seconds. */
function progressOf(total: number): (what: string, work: number) => void {
  const startedAtMs = nowMs();
  let toldAtMs = startedAtMs;
  let done = 0;
  return (what, work) => {
    done += work;
    const now = nowMs();
    if (now - toldAtMs < 10_000) return;
    toldAtMs = now;
    const leftMs = ((now - startedAtMs) / done) * (total - done);
    talk(`${what}: ${Math.floor((done / total) * 100)} %, ${formatDuration(leftMs)} left`);
  };
}

/** What is written: comparisons without the starts that they draw from. */
function figuresOf(options: Options, results: CoverageResults): object {
  return {
    experiments: options.experiments,
    cells: options.cells,
    seed: options.seed,
    judged: judge(results),
    intervals: results.cells,
    stopping: results.stopping.map(({ study, counts }) => ({
      study,
      ...counts,
      covered: Object.fromEntries(counts.covered),
    })),
    comparisons: results.comparisons.map(({ study: { name, rounds, ratio, aimed }, counts }) => ({
      study: name,
      rounds,
      ratio,
      aimed,
      counts,
    })),
  };
}

function optionsOf(argv: readonly string[]): Options | "help" {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      experiments: { type: "string", default: "2000" },
      cells: { type: "string", default: "" },
      threads: { type: "string", default: String(availableParallelism()) },
      seed: { type: "string", default: "1" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  return {
    experiments: wholeNumber("experiments", values.experiments, 2),
    cells: values.cells,
    threads: wholeNumber("threads", values.threads, 0),
    seed: values.seed,
    json: values.json,
  };
}

function wholeNumber(name: string, text: string, least: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= least) return value;
  throw new UserError({
    what: `--${name} must be a whole number from ${least} on, got "${text}"`,
    mend: usage,
  });
}

function talk(text: string): void {
  process.stderr.write(`${text}\n`);
}

try {
  const options = optionsOf(process.argv.slice(2));
  if (options === "help") process.stdout.write(usage);
  else if (!(await main(options))) process.exitCode = exitCode.failed;
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  talk(error.message);
  process.exitCode = exitCode.wrongUse;
}
