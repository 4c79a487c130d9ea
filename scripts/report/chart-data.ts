// What a chart is drawn from: points with their estimates as plain numbers, nothing of how to draw.

import type { Language } from "../experiment/experiment.ts";

/** A number with its interval; low and high are both undefined where no interval could be given. */
export interface ChartValue {
  readonly value: number;
  readonly low: number | undefined;
  readonly high: number | undefined;
  /** Where the interval is value -+ half-width; else it is told by its ends. */
  readonly halfWidth?: number | undefined;
  /** Each round's own value, in order of rounds; empty where the metric has none. */
  readonly perRound: readonly { readonly round: number; readonly value: number }[];
  /** Rounds that a check found unlike the others (S9); they count all the same. Absent: none. */
  readonly outlying?: readonly number[];
  /** Mean and interval as the tables print them, so that chart and table agree to the digit. */
  readonly text?: string;
}

/** One point of one workload: a variant under one load. */
export interface ChartPoint {
  /** Slug; points of one variant are joined by a line. */
  readonly variant: string;
  readonly variantLabel: string;
  /** From 0: place of the variant in the experiment; picks its colour and shape in all charts. */
  readonly colorIndex: number;
  /** "q8/c4". */
  readonly name: string;
  /** Requests in flight as planned; undefined in an open loop. */
  readonly plannedConcurrency: number | undefined;
  /** Requests in flight as measured; undefined: not measured, and the point is on no concurrency axis. */
  readonly achievedConcurrency: Omit<ChartValue, "perRound"> | undefined;
  readonly verdict: "valid" | "qualified" | "invalid";
  /** By key of the catalogue: "output_tps", "ttft.mean", "ttft.p90", "tpot.mean". */
  readonly metrics: Readonly<Record<string, ChartValue | undefined>>;
}

/** Whether a point may stand in a finding, a line or a comparison. */
export function counts(point: ChartPoint): boolean {
  return point.verdict !== "invalid";
}

/** The points of each variant by rising load, variants by their colour. */
export function byVariant(points: readonly ChartPoint[]): readonly (readonly ChartPoint[])[] {
  const groups = new Map<string, ChartPoint[]>();
  for (const point of [...points].sort((a, b) => a.colorIndex - b.colorIndex)) {
    const group = groups.get(point.variant);
    if (group === undefined) groups.set(point.variant, [point]);
    else group.push(point);
  }
  return [...groups.values()].map((group) => group.sort(byLoad));
}

function byLoad(a: ChartPoint, b: ChartPoint): number {
  const [one, other] = [loadOf(a), loadOf(b)];
  return one === other ? (a.name < b.name ? -1 : 1) : one - other;
}

/** What points of a variant are ordered by: planned load, else the measured one. */
export function loadOf(point: ChartPoint): number {
  return point.plannedConcurrency ?? point.achievedConcurrency?.value ?? Number.POSITIVE_INFINITY;
}

/** How variants are held against each other. */
export interface RatioOptions {
  /** Rounds of the variants were interleaved: values of one round are pairs. */
  readonly paired: boolean;
  /** Declared margin of equivalence, 0.05 for 5 %; undefined: made from the spread. */
  readonly margin?: number | undefined;
  /** What the others are held against; undefined: the first variant. */
  readonly base?: string | undefined;
  /** Keys of estimates; undefined: the gating metrics. */
  readonly metrics?: readonly string[] | undefined;
  /** Those of the metrics that a figure draws; undefined: all. */
  readonly panels?: readonly string[];
  /** The rounds of a variant shared one server process: restarts are not in the intervals. */
  readonly oneProcess?: boolean;
}

/** What a chart is asked for. */
export interface ChartInput {
  readonly language: Language;
  /** Outer width in px: figure on a wide page, on the cover, on a phone. */
  readonly width: ChartWidth;
  /** Points of one workload, in any order. */
  readonly points: readonly ChartPoint[];
  /** How variants are held against each other, for the chart of their ratios. */
  readonly compare?: RatioOptions;
}

type ChartWidth = 744 | 468 | 346;
