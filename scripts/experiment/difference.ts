// What differs between two experiments, and whether their results can still be compared.
import { contentId, loadContent, variantContent, workloadContent } from "./content-id.ts";
import type { Experiment } from "./experiment.ts";
import { inline } from "./mistakes.ts";
import { loadName, type Plan } from "./plan.ts";

/**
 * What a difference does to results.
 * - subject: another model, precision or engine argument: comparable, and this is what is compared
 * - protocol: other requests or another way to measure: the points concerned are not comparable
 * - extent: more or fewer points, rounds, requests, other prompts: comparable, other intervals
 * - disclosure: titles, statements, waivers, rendering: results are the same
 */
type DifferenceEffect = "subject" | "protocol" | "extent" | "disclosure";

interface ExperimentDifference {
  /** Dotted: "variants.fp8.model". */
  readonly path: string;
  /** As in the resolved experiment; undefined: this side has no such thing. */
  readonly a: string | undefined;
  readonly b: string | undefined;
  readonly effect: DifferenceEffect;
}

export interface ExperimentDifferences {
  readonly differences: readonly ExperimentDifference[];
  /** Whether any point of the one may be compared with the point of that name in the other. */
  readonly comparable: boolean;
  readonly comparablePoints: readonly string[];
  readonly notComparablePoints: readonly string[];
  /** Trials that are the same in both, by id: measured once, they are measured for both. */
  readonly sameTrials: number;
}

/** How the experiment of `b` differs from that of `a`, each as it was planned. */
export function differencesOf(planOfA: Plan, planOfB: Plan): ExperimentDifferences {
  const [a, b] = [planOfA.experiment, planOfB.experiment];
  const [protocolsOfA, protocolsOfB] = [pointProtocols(planOfA), pointProtocols(planOfB)];
  const [wavesOfA, wavesOfB] = [firstWaves(planOfA), firstWaves(planOfB)];
  const common = [...protocolsOfA.keys()].filter((point) => protocolsOfB.has(point));
  const isAskedAlike = (point: string): boolean =>
    protocolsOfA.get(point) === protocolsOfB.get(point);
  // Where the requests or the window differ too, that is why.
  const otherWave = common.filter(
    (point) => isAskedAlike(point) && wavesOfA.get(point) !== wavesOfB.get(point),
  );
  const alike = (point: string): boolean => isAskedAlike(point) && !otherWave.includes(point);
  const idsOfA = new Set(trialIdsOf(planOfA));
  return {
    differences: [
      ...differencesOfNamed("variants", a.variants, b.variants, variantContent, "subject"),
      ...differencesOfNamed("workloads", a.workloads, b.workloads, workloadContent, "protocol"),
      ...differencesOfNamed("loads", namedLoads(a), namedLoads(b), loadContent, "protocol"),
      ...differencesOfFields("measure", protocolOf(a), protocolOf(b), "protocol"),
      ...otherWave.map((point) => ({
        path: `points.${point}.firstWave`,
        a: wavesOfA.get(point),
        b: wavesOfB.get(point),
        effect: "protocol" as const,
      })),
      ...differencesOfFields("", extentOf(a), extentOf(b), "extent"),
      ...differencesOfFields("", disclosureOf(a), disclosureOf(b), "disclosure"),
    ],
    comparable: common.some(alike),
    comparablePoints: common.filter(alike),
    notComparablePoints: common.filter((point) => !alike(point)),
    sameTrials: trialIdsOf(planOfB).filter((id) => idsOfA.has(id)).length,
  };
}

/** What must be equal for two points of the same name to be compared, as an id; but for the first wave. */
function pointProtocols({ experiment, points }: Plan): ReadonlyMap<string, string> {
  const workloads = new Map(
    experiment.workloads.map((workload) => [workload.name, workloadContent(workload)]),
  );
  return new Map(
    points.map(({ name, workload, load, warmupRequests }) => {
      const { window } = experiment.measure;
      return [
        name,
        contentId({
          workload: workloads.get(workload),
          load: loadContent(load),
          warmupRequests,
          window,
        }),
      ];
    }),
  );
}

/** What each point's first wave asks for: of the plan itself, since no experiment says it. */
function firstWaves({ points }: Plan): ReadonlyMap<string, string> {
  return new Map(points.map(({ name, firstWave = "whole" }) => [name, firstWave]));
}

function trialIdsOf({ rounds }: Plan): readonly string[] {
  return rounds.flatMap(({ starts }) => starts.flatMap(({ trials }) => trials.map(({ id }) => id)));
}

const namedLoads = ({ loads }: Experiment) =>
  loads.map((load) => ({ ...load, name: loadName(load) }));

const protocolOf = ({ measure: { window, warmup } }: Experiment): object => ({ window, warmup });

const extentOf = ({ only, exclude, measure, limits, client, telemetry }: Experiment): object => {
  const { rounds, repeats, requests, percentiles, order, keep, seed } = measure;
  return {
    only,
    exclude,
    measure: { rounds, repeats, requests, percentiles, order, keep, seed },
    limits,
    client,
    telemetry,
  };
};

const disclosureOf = ({
  name,
  title,
  variants,
  slo,
  environment,
  stated,
  waive,
  report,
}: Experiment): object => ({
  experiment: name,
  title,
  variants: Object.fromEntries(
    variants.flatMap((variant) =>
      variant.title ? [[variant.name, { title: variant.title }]] : [],
    ),
  ),
  slo,
  environment,
  stated,
  waive,
  report,
});

/** Things that only one side has change the extent; those of both sides are compared by field. */
function differencesOfNamed<Item extends { readonly name: string }>(
  section: string,
  itemsOfA: readonly Item[],
  itemsOfB: readonly Item[],
  contentOf: (item: Item) => object,
  effect: DifferenceEffect,
): readonly ExperimentDifference[] {
  const names = [...new Set([...itemsOfA, ...itemsOfB].map(({ name }) => name))];
  return names.flatMap((name): readonly ExperimentDifference[] => {
    const a = itemsOfA.find((item) => item.name === name);
    const b = itemsOfB.find((item) => item.name === name);
    const path = `${section}.${name}`;
    if (a !== undefined && b !== undefined)
      return differencesOfFields(path, contentOf(a), contentOf(b), effect);
    const told = (item: Item | undefined) =>
      item === undefined ? undefined : inline(contentOf(item));
    return [{ path, a: told(a), b: told(b), effect: "extent" }];
  });
}

function differencesOfFields(
  path: string,
  a: object,
  b: object,
  effect: DifferenceEffect,
): readonly ExperimentDifference[] {
  const [fieldsOfA, fieldsOfB] = [fieldsOf(a, path), fieldsOf(b, path)];
  const paths = [...new Set([...fieldsOfA.keys(), ...fieldsOfB.keys()])];
  return paths.flatMap((field) => {
    const [left, right] = [fieldsOfA.get(field), fieldsOfB.get(field)];
    return left === right ? [] : [{ path: field, a: left, b: right, effect }];
  });
}

/** Every leaf of nested maps by its dotted path; a list is one leaf. */
function fieldsOf(value: object, path: string): ReadonlyMap<string, string> {
  return new Map(
    Object.entries(value).flatMap(
      ([key, field]: [string, unknown]): (readonly [string, string])[] => {
        const here = path === "" ? key : `${path}.${key}`;
        if (field === undefined) return [];
        if (typeof field !== "object" || field === null || Array.isArray(field))
          return [[here, inline(field)]];
        return [...fieldsOf(field, here)];
      },
    ),
  );
}
