// From an experiment to everything that will be measured, in order: rounds, starts, trials.
import { UserError } from "../errors.ts";
import {
  contentId,
  loadContent,
  protocolContent,
  variantContent,
  workloadContent,
} from "./content-id.ts";
import type { Experiment, Load, Measure, Variant, Workload } from "./experiment.ts";
import { explainPattern, matchesPattern } from "./patterns.ts";
import { percentileFloor } from "./percentile-floor.ts";
import { seededRandom, shuffled } from "./random.ts";

/** One variant under one workload at one load: a row of the results table. */
export interface Point {
  /** `variant/[workload/]c40`; the workload stands in it when there is more than one. */
  readonly name: string;
  readonly variant: string;
  readonly workload: string;
  readonly load: Load;
  /** Requests before the window. */
  readonly warmupRequests: number;
  /**
   * Requests of the measured cohort per trial, or how long requests are dispatched into it; in an open
   * loop, how long they arrive for it. `all`: what a trace has after its warm-up.
   */
  readonly measured:
    | { readonly kind: "count"; readonly requests: number }
    | { readonly kind: "duration"; readonly durationMs: number }
    | { readonly kind: "all" };
  /**
   * `cut`: the first request of every stream asks for a random part of its answer, so that the streams
   * are apart. undefined: they ask for all of it, as in every plan stored before there was another way.
   */
  readonly firstWave?: "cut" | undefined;
}

/** One point in one round (and repeat). */
export interface Trial {
  /** Hash of the content that decides the measurement: the same trial has the same id anywhere. */
  readonly id: string;
  readonly point: string;
  readonly variant: string;
  readonly workload: string;
  readonly load: Load;
  /** From 1. */
  readonly round: number;
  /** From 1. */
  readonly repeat: number;
  /** Hex; of workload, load, round and repeat but not the variant, so compared variants see the same prompts. */
  readonly seed: string;
}

/** One life of an engine and the trials it serves, in order. */
export interface PlannedStart {
  readonly variant: string;
  readonly trials: readonly Trial[];
}

export interface Round {
  /** From 1. */
  readonly round: number;
  readonly starts: readonly PlannedStart[];
}

export interface Plan {
  /** As read, with the rounds that the plan was asked for. */
  readonly experiment: Experiment;
  /** In the order of the experiment. */
  readonly points: readonly Point[];
  /**
   * In the order of execution. `order: grouped` does all rounds of a variant first, so a round then
   * stands here once for each variant; `roundCount` says how many there are.
   */
  readonly rounds: readonly Round[];
  /** Rounds of each point; at most so many where rounds go on until a target is reached. */
  readonly roundCount: number;
  /** What the plan was restricted to when it was made. */
  readonly selection: PlanSelection;
}

interface PlanSelection {
  readonly only: readonly string[];
  /** undefined: the experiment's own. */
  readonly rounds: number | undefined;
}

export interface PlanOptions {
  /** Patterns over point names, beside those of the experiment; none: all its points. */
  readonly only?: readonly string[] | undefined;
  /** Instead of the experiment's rounds. */
  readonly rounds?: number | undefined;
}

/**
 * Plans an experiment: the same experiment gives the same plan.
 *
 * `keep: true` and external engines have their starts planned too; who executes the plan decides
 * that they are one life.
 *
 * @throws UserError when a pattern matches no point, or none is left
 */
export function makePlan(asRead: Experiment, { only = [], rounds }: PlanOptions = {}): Plan {
  const experiment = rounds === undefined ? asRead : withRounds(asRead, rounds);
  const { measure, variants } = experiment;
  const points = selectPoints(experiment, only);
  const roundCount = measure.rounds.kind === "fixed" ? measure.rounds.count : measure.rounds.max;
  const idOf = trialIds(experiment);
  const selection = { only, rounds };

  const startOf = (variant: Variant, round: number): PlannedStart[] => {
    const own = points.filter((point) => point.variant === variant.name);
    if (own.length === 0) return [];
    const trials = orderOfTrials(own, measure, round).map(({ point, repeat }): Trial => {
      const { name, workload, load } = point;
      return {
        point: name,
        variant: variant.name,
        workload,
        load,
        round,
        repeat,
        ...idOf(point, round, repeat),
      };
    });
    return [{ variant: variant.name, trials }];
  };

  const numbers = Array.from({ length: roundCount }, (_, index) => index + 1);
  if (measure.order === "grouped") {
    const order = shuffled(variants, seededRandom(`${measure.seed}/variants`));
    const planned = order.flatMap((variant) =>
      numbers.flatMap((round) =>
        startOf(variant, round).map((start) => ({ round, starts: [start] })),
      ),
    );
    return { experiment, points, rounds: planned, roundCount, selection };
  }
  const planned = numbers.map((round) => {
    const order = shuffled(variants, seededRandom(`${measure.seed}/variants/${round}`));
    return { round, starts: order.flatMap((variant) => startOf(variant, round)) };
  });
  return { experiment, points, rounds: planned, roundCount, selection };
}

/** What a plan still lacks, in its order: its rounds with the given trials alone. */
export function missingRounds(
  plan: Pick<Plan, "rounds">,
  missing: readonly Pick<Trial, "id">[],
): readonly Round[] {
  const ids = new Set(missing.map(({ id }) => id));
  return plan.rounds.flatMap(({ round, starts }) => {
    const lacking = starts.flatMap(({ variant, trials }) => {
      const rest = trials.filter(({ id }) => ids.has(id));
      return rest.length === 0 ? [] : [{ variant, trials: rest }];
    });
    return lacking.length === 0 ? [] : [{ round, starts: lacking }];
  });
}

function withRounds(experiment: Experiment, rounds: number): Experiment {
  if (!Number.isInteger(rounds) || rounds < 1) {
    throw new UserError({
      what: `rounds must be a whole number from 1 on, got ${rounds}`,
      mend: "say --rounds 3",
    });
  }
  return {
    ...experiment,
    measure: { ...experiment.measure, rounds: { kind: "fixed", count: rounds } },
  };
}

// Points

/** All points of an experiment, whatever `only` and `exclude` say. */
export function allPoints({ variants, workloads, loads, measure }: Experiment): readonly Point[] {
  return variants.flatMap((variant) =>
    workloads.flatMap((workload) =>
      loads.map((load): Point => {
        const name = [
          variant.name,
          ...(workloads.length > 1 ? [workload.name] : []),
          loadName(load),
        ].join("/");
        const warmupRequests = warmupOf(load, measure);
        return {
          name,
          variant: variant.name,
          workload: workload.name,
          load,
          warmupRequests,
          measured: measuredOf(load, workload, measure),
          ...(cutsFirstWave(load, workload, measure.window, warmupRequests)
            ? { firstWave: "cut" }
            : {}),
        };
      }),
    ),
  );
}

/** The last part of a point's name: c40, r2.5, ramp-1-20-120s, or the trace's name. */
export function loadName(load: Load): string {
  switch (load.kind) {
    case "concurrency":
      return `c${load.concurrency}`;
    case "rate":
      return `r${load.requestRatePerS}`;
    case "ramp":
    case "trace":
      return load.name;
  }
}

function selectPoints(experiment: Experiment, only: readonly string[]): readonly Point[] {
  const all = allPoints(experiment);
  const matched = (patterns: readonly string[], { name }: Point): boolean =>
    patterns.some((pattern) => matchesPattern(pattern, name));
  const kept = all.filter(
    (point) =>
      (experiment.only.length === 0 || matched(experiment.only, point)) &&
      !matched(experiment.exclude, point),
  );
  const nameOf = ({ name }: Point): string => name;
  const useless = (patterns: readonly string[], points: readonly Point[], where: string) =>
    patterns.flatMap((pattern) => {
      const told = explainPattern(pattern, points.map(nameOf));
      return told === undefined ? [] : [{ ...told, where }];
    });
  const mistakes = [
    ...useless(experiment.only, all, "only"),
    ...useless(experiment.exclude, all, "exclude"),
  ];
  if (mistakes.length > 0) throw new UserError(mistakes);
  if (kept.length === 0) {
    throw new UserError({
      what: `only and exclude leave none of the ${all.length} points`,
      mend: `take a pattern out; the points are ${all.slice(0, 6).map(nameOf).join(", ")}`,
    });
  }
  const notAsked = useless(only, kept, "--only");
  if (notAsked.length > 0) throw new UserError(notAsked);
  return only.length === 0 ? kept : kept.filter((point) => matched(only, point));
}

// How much of each point is measured

/** Open loop: arrivals before and within the window, unless told. */
const openLoop = { warmupS: 10, windowS: 60 } as const;

function warmupOf(load: Load, { warmup, window }: Measure): number {
  if (warmup !== "auto") return warmup;
  if (window === "fixed" || load.kind === "trace") return 0;
  if (load.kind === "concurrency") return 2 * load.concurrency;
  return Math.ceil(openLoop.warmupS * firstRatePerS(load));
}

function measuredOf(load: Load, workload: Workload, measure: Measure): Point["measured"] {
  const { requests } = measure;
  if (load.kind === "ramp") return { kind: "duration", durationMs: load.durationMs };
  if (requests.kind === "duration") return { kind: "duration", durationMs: requests.durationMs };
  if (requests.kind === "count") return { kind: "count", requests: requests.count };
  const needed = Math.ceil(requestsNeeded(measure) / (roundsForSure(measure) * measure.repeats));
  switch (load.kind) {
    case "concurrency": {
      // Lengths that vary bias a short cohort: long answers are over-represented at its end.
      const fixedLengths = workload.input.kind === "exact" && workload.output.kind === "exact";
      return {
        kind: "count",
        requests: Math.max((fixedLengths ? 3 : 10) * load.concurrency, needed),
      };
    }
    case "rate":
      return {
        kind: "count",
        requests: Math.max(Math.ceil(openLoop.windowS * load.requestRatePerS), needed),
      };
    case "trace":
      return { kind: "all" };
  }
}

/**
 * Streams that begin at once with answers of one length go on in lockstep, unlike independent users.
 * Answers that vary part them anyway. What is measured is never cut: all of the first wave warms up.
 */
function cutsFirstWave(
  load: Load,
  { input, output, turns }: Workload,
  window: Measure["window"],
  warmupRequests: number,
): boolean {
  return (
    window === "handover" &&
    load.kind === "concurrency" &&
    load.concurrency >= 2 &&
    warmupRequests >= load.concurrency &&
    input.kind !== "dataset" &&
    output.kind === "exact" &&
    turns === 1
  );
}

/** Requests per second with which an open loop's arrivals begin. */
export function firstRatePerS(load: Extract<Load, { kind: "rate" | "ramp" }>): number {
  return load.kind === "rate" ? load.requestRatePerS : load.fromPerS;
}

/** Requests over all rounds with which every percentile asked for has an interval. */
function requestsNeeded({ percentiles }: Measure): number {
  return Math.max(...percentiles.map(percentileFloor));
}

/** Rounds that are measured even when the target is reached early. */
export function roundsForSure({ rounds }: Measure): number {
  return rounds.kind === "fixed" ? rounds.count : rounds.min;
}

// Order and identity of trials

/**
 * The trials of one start. Interleaved: each repeat visits all points, in an order that the seed
 * decides and that is the same for all variants of a round; grouped: as written.
 */
function orderOfTrials(
  points: readonly Point[],
  { order, repeats, seed }: Measure,
  round: number,
): readonly { readonly point: Point; readonly repeat: number }[] {
  const passes = Array.from({ length: repeats }, (_, index) => index + 1);
  if (order === "grouped")
    return points.flatMap((point) => passes.map((repeat) => ({ point, repeat })));
  return passes.flatMap((repeat) =>
    shuffled(points, seededRandom(`${seed}/loads/${round}/${repeat}`)).map((point) => ({
      point,
      repeat,
    })),
  );
}

/** Gives a trial its id and its seed. */
function trialIds(
  experiment: Experiment,
): (point: Point, round: number, repeat: number) => Pick<Trial, "id" | "seed"> {
  const variants = withTwins(experiment.variants, variantContent);
  const workloads = withTwins(experiment.workloads, workloadContent);
  const protocol = protocolContent(experiment);
  return (point, round, repeat) => {
    const { warmupRequests, measured, firstWave } = point;
    const asked = {
      workload: workloads.get(point.workload),
      load: loadContent(point.load),
      round,
      repeat,
    };
    const seed = contentId({ seed: experiment.measure.seed, ...asked });
    const variant = variants.get(point.variant);
    const amount = { warmupRequests, measured, ...(firstWave === undefined ? {} : { firstWave }) };
    return { seed, id: contentId({ variant, ...asked, protocol, ...amount, seed }) };
  };
}

/**
 * Contents by name. Of several with the same content (an A/A test) all but the first are numbered,
 * so that their trials keep apart.
 */
function withTwins<Item extends { readonly name: string }>(
  items: readonly Item[],
  contentOf: (item: Item) => object,
): ReadonlyMap<string, object> {
  const counts = new Map<string, number>();
  return new Map(
    items.map((item) => {
      const content = contentOf(item);
      const id = contentId(content);
      const twin = counts.get(id) ?? 0;
      counts.set(id, twin + 1);
      return [item.name, twin === 0 ? content : { content, twin }];
    }),
  );
}
