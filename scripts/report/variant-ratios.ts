// From the points of one workload to ratios of variants against the first of them, tested as one
// family. What the comparison cell prints and the forest plot draws.
import {
  type CellComparison,
  type ComparedCell,
  type Comparison,
  compareCells,
} from "../stats/comparison.ts";
import { gatingMetrics } from "../stats/stopping.ts";
import { type ChartPoint, counts, loadOf, type RatioOptions } from "./chart-data.ts";

/** One ratio with the two points behind it. */
export interface VariantRatio {
  readonly point: ChartPoint;
  readonly base: ChartPoint;
  readonly cell: CellComparison;
}

export interface VariantRatios {
  readonly comparison: Comparison;
  /** By load, then variant, then metric. */
  readonly rows: readonly VariantRatio[];
  readonly metrics: readonly string[];
  /** Names of points that have no partner, or are invalid. */
  readonly leftOut: readonly string[];
}

/**
 * Holds every other variant against the base, at each load that both have; invalid points are left
 * out. One family: Holm's correction runs over all of it.
 *
 * @param points of one workload
 * @returns undefined: there is no pair of points
 */
export function variantRatios(
  points: readonly ChartPoint[],
  { paired, margin, base, metrics = gatingMetrics }: RatioOptions,
): VariantRatios | undefined {
  const ordered = [...points].sort((a, b) => loadOf(a) - loadOf(b) || a.colorIndex - b.colorIndex);
  const baseName = base ?? [...points].sort((a, b) => a.colorIndex - b.colorIndex)[0]?.variant;
  const bases = new Map(
    ordered
      .filter((point) => point.variant === baseName && counts(point))
      .map((point) => [placeOf(point), point]),
  );
  const pairs = ordered.flatMap((point) => {
    const other = bases.get(placeOf(point));
    return point.variant === baseName || !counts(point) || other === undefined
      ? []
      : [{ point, base: other }];
  });
  const tested = pairs.flatMap((pair) =>
    metrics.flatMap((metric) => {
      const cell = cellOf(metric, pair.point, pair.base);
      return cell === undefined ? [] : [{ ...pair, cell }];
    }),
  );
  if (tested.length === 0) return undefined;
  const comparison = compareCells(
    tested.map(({ cell }) => cell),
    { margin, paired },
  );
  const used = new Set(pairs.flatMap((pair) => [pair.point.name, pair.base.name]));
  return {
    comparison,
    rows: comparison.cells.flatMap((cell, index) => {
      const pair = tested[index];
      return pair === undefined ? [] : [{ point: pair.point, base: pair.base, cell }];
    }),
    metrics: metrics.filter((metric) => tested.some(({ cell }) => cell.metric === metric)),
    leftOut: ordered.filter(({ name }) => !used.has(name)).map(({ name }) => name),
  };
}

function cellOf(metric: string, point: ChartPoint, base: ChartPoint): ComparedCell | undefined {
  const [a, b] = [point.metrics[metric]?.perRound, base.metrics[metric]?.perRound];
  return a === undefined || b === undefined ? undefined : { point: point.name, metric, a, b };
}

/** Where a point stands in its variant's matrix: what is left of its name without the variant. */
function placeOf({ name, variant }: ChartPoint): string {
  return name.startsWith(`${variant}/`) ? name.slice(variant.length + 1) : name;
}
