// The same samples by the definitions of other tools: what each would print of this very load. Two
// records that disagree often disagree about words only, and this says which words and by how much.

import type { LocalText } from "../experiment/experiment.ts";
import {
  type Formula,
  type MarkedTrial,
  meanOf,
  type Sample,
  type ToolCohort,
  toolCohort,
} from "./definitions-cohort.ts";
import {
  type FigureId,
  type FormulaId,
  figures,
  type PercentileMethod,
  percentileMethods,
  type ToolDefinition,
} from "./definitions-figures.ts";
import { latencyFormulas } from "./definitions-latencies.ts";
import { rateFormulas } from "./definitions-rates.ts";
import { tools } from "./definitions-tools.ts";
import type { GapPool } from "./inter-token.ts";
import { definitionId, findMetric } from "./metrics.ts";
import { quantile7, sortAscending } from "./quantiles.ts";
import { type TrialMetrics, trialMetrics } from "./trial-metrics.ts";

/** A figure as one tool would print it. */
export interface ToolFigure {
  readonly tool: string;
  readonly figure: FigureId;
  /** Mean over the trials; undefined: none of them has it. */
  readonly value: number | undefined;
  /** value / ours - 1; undefined: one of the two is missing, or ours is 0. */
  readonly difference: number | undefined;
  /** "tpot_end"; of our own the definition: "tpot@1". */
  readonly formula: string;
}

/** Of one point: our own figures, and those of every tool that prints the figure, in its order. */
export interface SideBySide {
  readonly trials: number;
  /** Completed measured requests of all trials. */
  readonly completed: number;
  /** Our own first. */
  readonly rows: readonly ToolFigure[];
}

const formulas: Readonly<Record<FormulaId, Formula>> = { ...latencyFormulas, ...rateFormulas };

/** The name under which our own rows stand. */
export const ownTool = "benchbook";

/** Our own metric of a figure, where we have one. */
const ownMetrics: Readonly<Partial<Record<FigureId, string>>> = {
  "ttft.mean": "ttft.mean",
  "ttft.p99": "ttft.p99",
  "tpot.mean": "tpot.mean",
  "itl.mean": "itl.mean",
  "itl.p99": "itl.p99",
  "e2e.mean": "e2e.mean",
  qps: "qps",
  output_tps: "output_tps",
  user_tps: "tps_per_user",
  prompt_tps: "prompt_tps_request",
  concurrency: "concurrency_achieved",
};

/**
 * The figures of one point by every definition.
 *
 * @param trials of the point, in any order; each as if it had been a run of the tool, and then the
 * mean over them. One is done with before the next is looked at, so they may be read on demand.
 * @param known what trial-metrics.ts made of them; one with a p99 in it is not computed again
 */
export function sideBySide(
  trials: readonly MarkedTrial[],
  known: readonly TrialMetrics[] = [],
): SideBySide {
  const each = trials.map((trial) => {
    const own = known.find((one) => one.trial === trial.trial && one.values.has("ttft.p99"));
    return figuresOf(trial, own ?? trialMetrics(trial, { percentiles: [99], slo: [] }));
  });
  const valueOf = (tool: string, figure: FigureId): number | undefined =>
    meanOf(each.flatMap(({ values }) => values.get(rowKey(tool, figure)) ?? []));
  const ownRows = figures.flatMap(({ id }): readonly ToolFigure[] => {
    const metric = ownMetrics[id];
    const definition = metric === undefined ? undefined : findMetric(metric.split(".")[0] ?? "");
    if (definition === undefined) return [];
    const formula = definitionId(definition);
    const value = valueOf(ownTool, id);
    return [{ tool: ownTool, figure: id, value, difference: undefined, formula }];
  });
  const toolRows = tools.flatMap((tool) =>
    figures.flatMap(({ id }): readonly ToolFigure[] => {
      const formula = tool.figures[id];
      if (formula === undefined) return [];
      const value = valueOf(tool.id, id);
      const ours = valueOf(ownTool, id === "icl.mean" ? "itl.mean" : id);
      const difference =
        value === undefined || ours === undefined || ours === 0 ? undefined : value / ours - 1;
      return [{ tool: tool.id, figure: id, value, difference, formula }];
    }),
  );
  return {
    trials: trials.length,
    completed: each.reduce((sum, { completed }) => sum + completed, 0),
    rows: [...ownRows, ...toolRows],
  };
}

/** The formula of a tool's figure in words, its statistic with it. */
export function formulaText(
  tool: Pick<ToolDefinition, "percentiles">,
  figure: FigureId,
  id: FormulaId,
): LocalText {
  const { kind, text } = formulas[id];
  if (kind === "number") return text;
  const method = percentileMethods[tool.percentiles];
  return figure.endsWith(".p99")
    ? { zh: `${text.zh}；p99：${method.zh}`, en: `${text.en}; p99: ${method.en}` }
    : { zh: `${text.zh}；取均值`, en: `${text.en}; mean` };
}

interface TrialFigures {
  readonly completed: number;
  /** By tool and figure; what the trial does not have is missing. */
  readonly values: ReadonlyMap<string, number>;
}

function rowKey(tool: string, figure: FigureId): string {
  return `${tool} ${figure}`;
}

/** Every figure of one trial; a formula that several tools share is computed once. */
function figuresOf(trial: MarkedTrial, own: TrialMetrics): TrialFigures {
  const cohort = toolCohort(trial);
  const answered = { ...cohort, completed: cohort.answers };
  const values = new Map<string, number>();
  const made = new Map<string, number | undefined>();
  for (const { id } of figures) {
    const found = own.values.get(ownMetrics[id] ?? "");
    if (found?.kind === "value") values.set(rowKey(ownTool, id), found.value);
    for (const tool of tools) {
      const formula = tool.figures[id];
      if (formula === undefined) continue;
      const statistic = id.endsWith(".p99") ? tool.percentiles : "mean";
      const key = [formula, statistic, tool.emptyAnswers].join();
      if (!made.has(key)) {
        const successful = tool.emptyAnswers === "fail" ? answered : cohort;
        made.set(key, valueOf(successful, formulas[formula], statistic));
      }
      const value = made.get(key);
      if (value !== undefined) values.set(rowKey(tool.id, id), value);
    }
  }
  return { completed: cohort.completed.length, values };
}

/** undefined where nothing completed: a failure is never a zero, whatever a tool prints then. */
function valueOf(
  cohort: ToolCohort,
  formula: Formula,
  statistic: PercentileMethod | "mean",
): number | undefined {
  if (cohort.completed.length === 0) return undefined;
  switch (formula.kind) {
    case "number":
      return formula.of(cohort);
    case "gaps":
      return ofGaps(formula.of(cohort), statistic);
    case "sample": {
      const sample = formula.of(cohort);
      return statistic === "mean" ? weightedMean(sample) : percentile99(sample, statistic);
    }
  }
}

function weightedMean({ values, weights }: Sample): number | undefined {
  let sum = 0;
  let total = 0;
  values.forEach((value, index) => {
    const weight = weights?.[index] ?? 1;
    sum += value * weight;
    total += weight;
  });
  return total > 0 ? sum / total : undefined;
}

const p = 0.99;

/** The 99th percentile as the tool takes it; undefined without a value. */
function percentile99({ values, weights }: Sample, method: PercentileMethod): number | undefined {
  if (method !== "cumulative")
    return quantile7(sortAscending(values), shareOf(method, values.length));
  const sorted = values.map((value, index) => ({ value, weight: weights?.[index] ?? 1 }));
  sorted.sort((a, b) => a.value - b.value);
  const total = sorted.reduce((sum, { weight }) => sum + weight, 0);
  let reached = 0;
  for (const { value, weight } of sorted) {
    reached += weight;
    if (reached >= p * total) return value;
  }
  return sorted.at(-1)?.value;
}

function ofGaps(pool: GapPool, statistic: PercentileMethod | "mean"): number | undefined {
  const { gaps, mean } = pool.spread([]);
  if (statistic === "mean" || gaps === 0) return mean;
  return pool.spread([shareOf(statistic, gaps) * 100]).percentiles[0];
}

/** The share at which type 7 gives what a method takes of n values: at k / (n - 1) the value of rank k. */
function shareOf(method: PercentileMethod, n: number): number {
  const last = n - 1;
  if (method === "linear" || last < 1) return p;
  const rank = method === "lower" ? Math.floor(last * p) : Math.ceil(n * p) - 1;
  return rank / last;
}
