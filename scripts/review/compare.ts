// Two runs, or the variants of one, held against each other: first whether they may be, then how they
// differ. Reads the store; measures nothing.
import { differenceOf } from "../environment/difference.ts";
import type { EnvironmentSnapshot, FieldValue } from "../environment/snapshot.ts";
import { UserError } from "../errors.ts";
import { differencesOf, type ExperimentDifferences } from "../experiment/difference.ts";
import type { Point } from "../experiment/plan.ts";
import { loadName } from "../experiment/plan.ts";
import type { ChartPoint, ChartValue } from "../report/chart-data.ts";
import { beforeAndAfter } from "../report/gather-environment.ts";
import {
  type ComparedCell,
  type Comparison,
  compareCells,
  type RoundValue,
} from "../stats/comparison.ts";
import type { Store } from "../store/store.ts";
import type { EstimateSet, StoredRun } from "../store/stored-run.ts";

/** What is told of a comparison, whatever was compared. */
export interface ComparedSides {
  /** "run point" words for each side: what the ratio divides by what. */
  readonly a: string;
  readonly b: string;
  /** Whether nothing differs that a comparison needs equal. */
  readonly comparable: boolean;
  /** What differs that a comparison needs equal: field or key, and both values. */
  readonly obstacles: readonly Obstacle[];
  /** Points that only one side has, or whose workload or protocol differs. */
  readonly notCompared: readonly { readonly point: string; readonly why: string }[];
  /** undefined: not comparable. */
  readonly comparison: Comparison | undefined;
  /** A side whose rounds shared one server process: restarts are not in its intervals. */
  readonly oneProcess: boolean;
  /** What was compared, to be drawn: points of side b, then of side a, under the same places. */
  readonly values: ComparedValues;
}

interface ComparedValues {
  /**
   * `variant` is "b" for all of side b, and on side a one for each row of the figure; `name` is that
   * and the place: "b/c8", "a q8/c8".
   */
  readonly points: readonly ChartPoint[];
  readonly labels: { readonly a: string; readonly b: string };
  readonly paired: boolean;
  /** Metrics of the table, all in one family. */
  readonly metrics: readonly string[];
  /** Requests behind a value of either side; undefined: nothing was compared. */
  readonly requests: { readonly least: number; readonly most: number } | undefined;
}

interface Obstacle {
  /** "gpu.0.name", "workloads.chat.cache". */
  readonly field: string;
  readonly a: string;
  readonly b: string;
}

export interface CompareOptions {
  /** Declared margin of equivalence, a ratio; undefined: made from the spread. */
  readonly margin: number | undefined;
}

/** The metrics that are compared, in the order of the table. */
const comparedMetrics = [
  "output_tps",
  "qps",
  "ttft.mean",
  "ttft.p50",
  "ttft.p90",
  "ttft.p99",
  "tpot.mean",
  "e2e.mean",
  "itl.p99",
] as const;

/**
 * Holds run `a` against run `b`: the same points of both. Not comparable where the machine, the
 * engine, the model, the definitions or the whole protocol differ, and it says which field does.
 *
 * @throws UserError when a run has no estimates
 */
export function compareRuns(
  store: Store,
  runs: { readonly a: string; readonly b: string },
  options: CompareOptions,
): ComparedSides {
  const [a, b] = [sideOf(store, runs.a), sideOf(store, runs.b)];
  const found = differencesOf(a.run.plan, b.run.plan);
  const environment = differenceOf(a.environment, b.environment);
  const definitions = a.estimates.definitionVersion === b.estimates.definitionVersion;
  const obstacles = [
    ...environment.differences
      .filter((difference) => difference.class === "comparability")
      .map(({ id, before, after }) => ({ field: id, a: shown(before), b: shown(after) })),
    ...(definitions
      ? []
      : [
          {
            field: "definitions of the metrics",
            a: a.estimates.definitionVersion,
            b: b.estimates.definitionVersion,
          },
        ]),
    ...(found.comparable
      ? []
      : found.differences
          .filter(({ effect }) => effect === "protocol")
          .map(({ path, a: here = "-", b: there = "-" }) => ({ field: path, a: here, b: there }))),
  ];
  const comparable = obstacles.length === 0;
  const rulesOf = (point: string): string | undefined =>
    a.blocked.get(point) ?? b.blocked.get(point);
  const points = found.comparablePoints.filter((point) => rulesOf(point) === undefined);
  const names = [a, b].map(({ run }) => new Set(run.plan.points.map(({ name }) => name)));
  const onlyOne = (own: number, other: number): ComparedSides["notCompared"] =>
    [...(names[own] ?? [])]
      .filter((name) => names[other]?.has(name) !== true)
      .map((point) => ({ point, why: `only in ${own === 0 ? runs.a : runs.b}` }));
  return {
    a: runs.a,
    b: runs.b,
    comparable,
    obstacles,
    notCompared: [
      ...found.notComparablePoints.map((point) => ({ point, why: whyNot(point, found) })),
      ...invalidOf(found.comparablePoints, rulesOf),
      ...onlyOne(0, 1),
      ...onlyOne(1, 0),
    ],
    comparison: comparable
      ? compareCells(
          points.flatMap((point) => cellsOf(point, [a, point], [b, point])),
          { margin: options.margin, paired: false },
        )
      : undefined,
    oneProcess: [a, b].some(({ run }) => isOneProcess(run, run.plan.points)),
    values: valuesOf(
      (comparable ? points : []).map((place) => ({ place, a: place, b: place })),
      { ...a, label: runs.a },
      { ...b, label: runs.b },
      false,
    ),
  };
}

/**
 * Holds one variant of a run against another, at every workload and load that both have. Rounds were
 * interleaved unless the order was grouped, so values of one round are pairs.
 *
 * @throws UserError when the run lacks a variant, or has no estimates
 */
export function compareVariants(
  store: Store,
  { run: id, a, b }: { readonly run: string; readonly a: string; readonly b: string },
  options: CompareOptions,
): ComparedSides {
  const side = sideOf(store, id);
  const { points, experiment } = side.run.plan;
  for (const name of [a, b]) {
    if (experiment.variants.some((variant) => variant.name === name)) continue;
    throw new UserError({
      what: `run ${id} has no variant ${name}`,
      mend: `its variants are ${experiment.variants.map((variant) => variant.name).join(", ")}`,
    });
  }
  const of = (variant: string): ReadonlyMap<string, Point> =>
    new Map(
      points
        .filter((point) => point.variant === variant)
        .map((point) => [placeOf(point, experiment.workloads.length > 1), point]),
    );
  const [own, other] = [of(a), of(b)];
  const met = [...own.keys()].filter((place) => other.has(place));
  const rulesOf = (place: string): string | undefined =>
    side.blocked.get(own.get(place)?.name ?? "") ?? side.blocked.get(other.get(place)?.name ?? "");
  const shared = met.filter((place) => rulesOf(place) === undefined);
  const lacking = [...own.keys(), ...other.keys()].filter(
    (place) => !(own.has(place) && other.has(place)),
  );
  const paired = experiment.measure.order === "interleaved";
  return {
    a: `${id} ${a}`,
    b: `${id} ${b}`,
    comparable: true,
    obstacles: [],
    notCompared: [
      ...lacking.map((point) => ({ point, why: "measured for one of the two only" })),
      ...invalidOf(met, rulesOf),
    ],
    comparison: compareCells(
      shared.flatMap((place) => {
        const [mine, others] = [own.get(place)?.name ?? "", other.get(place)?.name ?? ""];
        return cellsOf(place, [side, mine], [side, others]);
      }),
      { margin: options.margin, paired },
    ),
    oneProcess: isOneProcess(
      side.run,
      points.filter(({ variant }) => variant === a || variant === b),
    ),
    values: valuesOf(
      shared.map((place) => ({
        place,
        a: own.get(place)?.name ?? "",
        b: other.get(place)?.name ?? "",
      })),
      { ...side, label: a },
      { ...side, label: b },
      paired,
    ),
  };
}

interface ComparedPlace {
  readonly place: string;
  /** Names of the points of either side. */
  readonly a: string;
  readonly b: string;
}

function valuesOf(
  places: readonly ComparedPlace[],
  a: Side & { readonly label: string },
  b: Side & { readonly label: string },
  paired: boolean,
): ComparedValues {
  const chosen = [
    ...places.map(({ place, b: name }) => ({ own: false, side: b, place, name })),
    ...places.map(({ place, a: name }) => ({ own: true, side: a, place, name })),
  ];
  const counts = chosen.flatMap(({ side: { estimates }, name }) =>
    estimates.rows
      .filter(
        (row) => row.point === name && comparedMetrics.some((key) => key === row.estimate.metric),
      )
      .map(({ estimate }) => estimate.n),
  );
  return {
    points: chosen.map(({ own, side: { run, estimates, label }, place, name }): ChartPoint => {
      const point = run.plan.points.find((one) => one.name === name);
      const workload =
        run.plan.experiment.workloads.length > 1 ? (point?.workload ?? "") : undefined;
      const rowLabel = [point?.variant ?? label, workload].filter((part) => part !== undefined);
      const slug = own ? `a ${rowLabel.join(" ")}` : "b";
      return {
        variant: slug,
        variantLabel: own ? rowLabel.join(" ") : label,
        colorIndex: own ? 1 : 0,
        name: `${slug}/${place}`,
        plannedConcurrency: point?.load.kind === "concurrency" ? point.load.concurrency : undefined,
        achievedConcurrency: undefined,
        verdict: "valid",
        metrics: metricsOf(estimates, name),
      };
    }),
    labels: { a: a.label, b: b.label },
    paired,
    metrics: comparedMetrics,
    requests:
      counts.length === 0 ? undefined : { least: Math.min(...counts), most: Math.max(...counts) },
  };
}

function metricsOf({ rows }: EstimateSet, point: string): ChartPoint["metrics"] {
  return Object.fromEntries(
    comparedMetrics.flatMap((metric): readonly (readonly [string, ChartValue])[] => {
      const found = rows.find((row) => row.point === point && row.estimate.metric === metric);
      const { value, low, high, halfWidth, perRound } = found?.estimate ?? {};
      return value === undefined || perRound === undefined
        ? []
        : [[metric, { value, low, high, halfWidth, perRound }]];
    }),
  );
}

function invalidOf(
  points: readonly string[],
  rulesOf: (point: string) => string | undefined,
): ComparedSides["notCompared"] {
  return points.flatMap((point) => {
    const rules = rulesOf(point);
    return rules === undefined ? [] : [{ point, why: `invalid on a side: ${rules}` }];
  });
}

function whyNot(point: string, { differences }: ExperimentDifferences): string {
  return differences.some(({ path }) => path === `points.${point}.firstWave`)
    ? "the first answers were cut in one of the two only"
    : "another workload or protocol";
}

interface Side {
  readonly run: StoredRun;
  readonly estimates: EstimateSet;
  readonly environment: EnvironmentSnapshot;
  /** Rules that block a point, by the point's name; valid and qualified points are not in it. */
  readonly blocked: ReadonlyMap<string, string>;
}

function sideOf(store: Store, id: string): Side {
  const run = store.readRun(id);
  const estimates = store.estimatesOf(id);
  const { before } = beforeAndAfter(run, store.snapshotsOf(id));
  if (estimates === undefined || before === undefined) {
    throw new UserError({
      what: `run ${id} has no results to compare`,
      mend: `benchbook run --resume ${id}, or benchbook report ${id}`,
    });
  }
  return { run, estimates, environment: before, blocked: blockedPoints(store, id) };
}

/** Points that the newest audit calls invalid: they prove nothing, and so they are not compared. */
function blockedPoints(store: Store, run: string): ReadonlyMap<string, string> {
  const invalid = (store.auditOf(run)?.points ?? []).filter(({ verdict }) => verdict === "invalid");
  return new Map(
    invalid.map(({ point, findings }) => {
      const rules = findings
        .filter(({ severity, waived }) => severity === "block" && waived === undefined)
        .map(({ rule }) => rule);
      return [point, [...new Set(rules)].join(", ")];
    }),
  );
}

/** Where a point stands in the matrix of its variant: "c8", "chat/c8". */
function placeOf({ workload, load }: Point, named: boolean): string {
  return named ? `${workload}/${loadName(load)}` : loadName(load);
}

function cellsOf(
  point: string,
  [a, pointOfA]: readonly [Side, string],
  [b, pointOfB]: readonly [Side, string],
): readonly ComparedCell[] {
  return comparedMetrics.flatMap((metric): readonly ComparedCell[] => {
    const [own, other] = [
      roundsOf(a.estimates, pointOfA, metric),
      roundsOf(b.estimates, pointOfB, metric),
    ];
    return own.length === 0 && other.length === 0 ? [] : [{ point, metric, a: own, b: other }];
  });
}

function roundsOf({ rows }: EstimateSet, point: string, metric: string): readonly RoundValue[] {
  const found = rows.find((row) => row.point === point && row.estimate.metric === metric);
  return found?.estimate.perRound ?? [];
}

function isOneProcess({ plan: { experiment } }: StoredRun, points: readonly Point[]): boolean {
  return (
    experiment.measure.keep ||
    experiment.variants.some(
      ({ name, engine }) =>
        engine.kind === "external" && points.some(({ variant }) => variant === name),
    )
  );
}

function shown(value: FieldValue | undefined): string {
  if (value === undefined) return "-";
  return value.state === "value"
    ? `${String(value.value)}${value.unit === undefined ? "" : ` ${value.unit}`}`
    : value.state;
}
