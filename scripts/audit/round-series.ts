// From the rounds of a run to what is in order over them: the figures of each point, what the points
// have in common, and what of the environment went the same way.
import type { EnvironmentField } from "../environment/snapshot.ts";
import type { LocalText } from "../experiment/experiment.ts";
import { parseEstimateKey } from "../stats/estimate-key.ts";
import { gpuSummary } from "../stats/gpu-summary.ts";
import { gatingMetrics } from "../stats/stopping.ts";
import { rankCorrelation } from "../stats/trend.ts";
import { environmentChanges, whenText } from "./environment-changes.ts";
import type { AuditInput, MeasuredPoint } from "./rule.ts";
import { thresholds } from "./thresholds.ts";

interface RoundValue {
  readonly round: number;
  readonly value: number;
}

/** One figure over the rounds, each value above 0. */
export interface RoundSeries {
  /** A point's name; a variant's, or "run": what its points have in common. */
  readonly where: string;
  /** Points behind it. */
  readonly points: readonly string[];
  /** Key of the estimate: "ttft.mean". */
  readonly metric: string;
  readonly rounds: readonly RoundValue[];
}

/** Of what the points have in common p90 TTFT says nothing that mean TTFT does not. */
const commonMetrics = ["output_tps", "ttft.mean", "tpot.mean"] as const;

/**
 * The figures of every point; and of the points together their geometric mean round by round, since
 * what drifts is a machine more often than a point. Rounds that were grouped by variant lie apart in
 * time, so there each variant stands for itself.
 */
export function seriesOf({ experiment, measured }: AuditInput): {
  readonly cells: readonly RoundSeries[];
  readonly common: readonly RoundSeries[];
} {
  const cells = measured.flatMap((point) =>
    gatingMetrics.flatMap((metric) => cellOf(point, metric) ?? []),
  );
  const variants = new Set(measured.map(({ estimates }) => estimates.variant));
  const groups =
    experiment.measure.order === "grouped" && variants.size > 1
      ? [...variants].map((variant) => ({
          where: variant,
          points: measured.filter(({ estimates }) => estimates.variant === variant),
        }))
      : [{ where: "run", points: measured }];
  return {
    cells,
    common: groups.flatMap(({ where, points }) =>
      commonMetrics.flatMap((metric) => commonOf(where, points, metric) ?? []),
    ),
  };
}

function cellOf({ estimates }: MeasuredPoint, metric: string): RoundSeries | undefined {
  const rounds = estimates.estimates.get(metric)?.perRound ?? [];
  if (rounds.length === 0 || rounds.some(({ value }) => !(value > 0))) return undefined;
  return { where: estimates.point, points: [estimates.point], metric, rounds };
}

/** Over the rounds in which every point that has the metric at all has a value. */
function commonOf(
  where: string,
  points: readonly MeasuredPoint[],
  metric: string,
): RoundSeries | undefined {
  const cells = points.flatMap((point) => cellOf(point, metric) ?? []);
  const [first] = cells;
  if (first === undefined) return undefined;
  const byRound = first.rounds.flatMap(({ round }): readonly RoundValue[] => {
    const values = cells.flatMap(
      (cell) => cell.rounds.find((one) => one.round === round)?.value ?? [],
    );
    if (values.length < cells.length) return [];
    const logs = values.map(Math.log);
    return [{ round, value: Math.exp(logs.reduce((a, b) => a + b) / logs.length) }];
  });
  return {
    where: cells.length === 1 ? first.where : where,
    points: cells.map((cell) => cell.where),
    metric,
    rounds: byRound,
  };
}

/** Rounds of the series that has the most; undefined: there is none. */
export function mostRounds(cells: readonly RoundSeries[]): number | undefined {
  return cells.length === 0 ? undefined : Math.max(...cells.map(({ rounds }) => rounds.length));
}

/** What a figure is called within a sentence: "mean TTFT", "TTFT p90", "output throughput". */
export function figureName(key: string): LocalText {
  const parsed = parseEstimateKey(key);
  if (parsed === undefined) return { zh: key, en: key };
  const { metric, statistic } = parsed;
  const { zh, en } = metric.symbol === undefined ? metric.name : bothOf(metric.symbol);
  switch (statistic.kind) {
    case "value":
      return { zh, en };
    case "mean":
      return { zh: `平均 ${zh}`, en: `mean ${en}` };
    case "percentile": {
      const suffix = ` p${Number((statistic.p * 100).toFixed(6))}`;
      return { zh: zh + suffix, en: en + suffix };
    }
  }
}

function bothOf(text: string): LocalText {
  return { zh: text, en: text };
}

// What goes with a series

/**
 * What of the environment had the same or the opposite order over the rounds, and what changed just
 * before the given round. That it goes with a figure does not make it the cause.
 *
 * @param changedIn the round in which the figure changed most
 * @returns undefined: nothing that was read
 */
export function goesWith(
  input: AuditInput,
  { points, rounds }: RoundSeries,
  changedIn: number | undefined,
): LocalText | undefined {
  const figures = rounds.map(({ value }) => value);
  const ordered = quantities.flatMap(({ name, of }): readonly LocalText[] => {
    const values = rounds.map(({ round }) => of(input, points, round));
    const known = values.filter((value) => value !== undefined);
    if (known.length < values.length) return [];
    const tau = rankCorrelation(figures, known);
    if (tau === undefined || Math.abs(tau) < thresholds.goesWithTau.value) return [];
    const text = `${tau > 0 ? "+" : "-"}${Math.abs(tau).toFixed(2)}`;
    return [{ zh: `${name.zh}（τ ${text}）`, en: `${name.en} (tau ${text})` }];
  });
  const changed = changedIn === undefined ? [] : changesIn(input, changedIn);
  const all = [...ordered, ...changed];
  if (all.length === 0) return undefined;
  return {
    zh: all.map(({ zh }) => zh).join("、"),
    en: all.map(({ en }) => en).join(", "),
  };
}

type QuantityOf = (
  input: AuditInput,
  points: readonly string[],
  round: number,
) => number | undefined;

/** One value per round of what is read in or around each trial. */
const quantities: readonly { readonly name: LocalText; readonly of: QuantityOf }[] = [
  {
    name: { zh: "GPU 温度", en: "GPU temperature" },
    of: (...at) => gpusIn(...at)?.temperatureC,
  },
  {
    name: { zh: "GPU SM 时钟", en: "GPU SM clock" },
    of: (...at) => gpusIn(...at)?.smClockMhz?.low,
  },
  { name: { zh: "GPU 功率", en: "GPU power" }, of: (...at) => gpusIn(...at)?.powerW },
  { name: { zh: "试次前的主机负载", en: "host load before the trials" }, of: hostLoadIn },
  { name: { zh: "客户端 CPU 占用", en: "CPU share of the client" }, of: clientCpuIn },
];

/** Told by its order over the rounds; it changes all the time. */
const hostLoad = "host.load_1m";

function gpusIn(
  { measured }: AuditInput,
  points: readonly string[],
  round: number,
): ReturnType<typeof gpuSummary> {
  const trials = measured
    .flatMap(({ samples }) => samples)
    .filter((trial) => trial.round === round && points.includes(trial.point));
  return trials.every(({ gpus }) => gpus.length === 0) ? undefined : gpuSummary(trials, undefined);
}

function hostLoadIn(
  { snapshots, attempts }: AuditInput,
  points: readonly string[],
  round: number,
): number | undefined {
  const trials = new Set(attemptsIn(attempts, points, round).map(({ trial }) => trial));
  const loads = snapshots.flatMap(({ scope, trial, snapshot }) => {
    if (scope !== "trial-before" || trial === undefined || !trials.has(trial)) return [];
    const value = snapshot.fields.find(({ id }) => id === hostLoad)?.value;
    return value?.state === "value" && typeof value.value === "number" ? [value.value] : [];
  });
  return averageOf(loads);
}

function clientCpuIn(
  { attempts }: AuditInput,
  points: readonly string[],
  round: number,
): number | undefined {
  return averageOf(
    attemptsIn(attempts, points, round).flatMap(({ summary }) => summary?.client.cpuShare ?? []),
  );
}

function attemptsIn(
  attempts: AuditInput["attempts"],
  points: readonly string[],
  round: number,
): AuditInput["attempts"] {
  return attempts.filter(
    (one) => one.round === round && one.status === "measured" && points.includes(one.point),
  );
}

function averageOf(values: readonly number[]): number | undefined {
  return values.length === 0 ? undefined : values.reduce((a, b) => a + b) / values.length;
}

/** As many as a sentence takes; the record's table of changes has them all. */
const mostChanges = 3;

/** What the environment changed by in a round: first seen changed there, and not so in the round before. */
function changesIn(input: AuditInput, round: number): readonly LocalText[] {
  const isWatched = ({ id, class: of, group }: EnvironmentField): boolean =>
    of !== "noise" && group !== "engine" && group !== "client" && id !== hostLoad;
  const changes = environmentChanges(input.snapshots, isWatched).filter(({ to }) => {
    const roundOfTrial = input.attempts.find(({ trial }) => trial === to.trial)?.round;
    const roundOfStart = input.starts.find(({ start }) => start === to.start)?.round;
    return (roundOfTrial ?? roundOfStart) === round;
  });
  return changes.slice(0, mostChanges).map((change) => {
    const when = whenText(change, input.attempts);
    return {
      zh: `${change.id} 的变化${when === undefined ? "" : `（${when.zh}）`}`,
      en: `a change of ${change.id}${when === undefined ? "" : ` (${when.en})`}`,
    };
  });
}
