// The cell that holds variants against each other: per workload a table of ratios with their outcomes,
// what they come to as a whole, and which points had no part in it.
import { UserError } from "../errors.ts";
import { parseEstimateKey } from "../stats/estimate-key.ts";
import { gatingMetrics } from "../stats/stopping.ts";
import { parseShare } from "../units.ts";
import {
  type CellContext,
  checkOptions,
  inlineCell,
  listOption,
  nameOption,
  paragraph,
  pointHead,
  pointsOf,
  unknown,
  word,
} from "./cell-context.ts";
import type { RatioOptions } from "./chart-data.ts";
import { comparisonTable } from "./comparison-table.ts";
import { overallText } from "./comparison-text.ts";
import type { Block, TableCell } from "./document.ts";
import type { Cell } from "./notebook-source.ts";
import type { PointData } from "./record-parts.ts";
import { computedOf } from "./results-table.ts";
import { type VariantRatios, variantRatios } from "./variant-ratios.ts";

const compareOptions = ["base", "variants", "workloads", "metrics", "margin"];

/** A table per workload with its overall outcome; each table is a family of its own; of one variant nothing. */
export function compareVariantsTables(cell: Cell, context: CellContext): readonly Block[] {
  checkOptions(context, cell, compareOptions);
  if (context.data.variants.length < 2) return [];
  const options = ratioOptions(cell, context);
  const points = comparedPoints(cell, context, options);
  const workloads = [...new Set(points.map(({ workload }) => workload))];
  return workloads.flatMap((workload) => {
    const own = points.filter((point) => point.workload === workload);
    const names = new Set(own.map(({ name }) => name));
    const found = variantRatios(
      context.data.charts.filter(({ name }) => names.has(name)),
      options,
    );
    return found === undefined
      ? [paragraph(word(context, "compare_none"), context)]
      : workloadBlocks(found, own, context);
  });
}

/** The points that a comparison asks for; those of its base always. */
export function comparedPoints(
  cell: Cell,
  context: CellContext,
  { base }: Pick<RatioOptions, "base">,
): readonly PointData[] {
  const variants = listOption(context, cell, "variants");
  if (base === undefined || variants === undefined || variants.includes(base))
    return pointsOf(context, cell);
  return pointsOf(context, {
    ...cell,
    options: { ...cell.options, variants: [base, ...variants] },
  });
}

/**
 * How a cell wants its variants compared.
 *
 * @throws UserError for a base, a metric or a margin that is none
 */
export function ratioOptions(cell: Cell, context: CellContext): RatioOptions {
  const { data } = context;
  const base = nameOption(context, cell, "base");
  const variants = data.variants.map(({ name }) => name);
  if (base !== undefined && !variants.includes(base))
    throw unknown(context, cell, "base", base, variants);
  return {
    paired: data.flags["interleaved"] === true,
    oneProcess: data.flags["one_process"] === true,
    margin: marginOption(cell, context),
    base,
    metrics: metricsOption(cell, context),
  };
}

function metricsOption(cell: Cell, context: CellContext): readonly string[] | undefined {
  const asked = listOption(context, cell, "metrics");
  const known = [...new Set(context.data.charts.flatMap(({ metrics }) => Object.keys(metrics)))];
  return asked?.map((name) => {
    const key = [name, `${name}.mean`].find((one) => known.includes(one));
    if (key !== undefined) return key;
    // Of a metric that exists and was not measured there is nothing to compare, and no mistake.
    if (parseEstimateKey(name) !== undefined) return name;
    const names = known.map((one) => one.replace(/\.mean$/, ""));
    throw unknown(context, cell, "metric", name, names);
  });
}

function marginOption(cell: Cell, context: CellContext): number | undefined {
  const asked = cell.options["margin"];
  if (asked === undefined) return undefined;
  const margin = typeof asked === "string" ? parseShare(asked) : undefined;
  if (margin !== undefined && margin > 0 && margin < 1) return margin;
  throw new UserError({
    what: `margin is a share above 0 % and below 100 %, got ${JSON.stringify(asked)}`,
    where: `${context.path}:${cell.line}`,
    mend: "write margin: 3%",
  });
}

function workloadBlocks(
  found: VariantRatios,
  points: readonly PointData[],
  context: CellContext,
): readonly Block[] {
  const { data, language } = context;
  const { comparison, rows, leftOut, metrics } = found;
  const pointOf = (name: string): PointData | undefined =>
    points.find((point) => point.name === name);
  const compared = [...new Set(rows.map(({ point }) => point.variantLabel))];
  const table = comparisonTable(
    {
      comparison,
      rows: rows.map(({ point, base, cell: { metric } }) => {
        const own = pointOf(point.name);
        return {
          head: own === undefined ? inlineCell([], { head: true }) : pointHead(own, context),
          value: valueCell(own, metric),
          base: valueCell(pointOf(base.name), metric),
        };
      }),
      base: rows[0]?.base.variantLabel ?? "",
      compared: compared.length === 1 ? compared[0] : undefined,
      oneProcess: data.flags["one_process"] === true,
      basis: [
        ...(leftOut.length === 0
          ? []
          : [
              word(context, "compare_left_out", {
                points: leftOut.join(word(context, "list_separator")),
              }),
            ]),
        data.intervalNote[language],
      ],
      computed: computedOf(
        metrics.map((key) => ({ key })),
        context,
      ),
    },
    context,
  );
  // An outcome over the gating metrics says nothing where none of them was asked for.
  return metrics.some((metric) => gatingMetrics.some((gating) => gating === metric))
    ? [paragraph(overallText(comparison, language) + word(context, "full_stop"), context), table]
    : [table];
}

/** Value, interval and unit as the results print them, linked to their cell. */
function valueCell(point: PointData | undefined, metric: string): TableCell {
  const number = point?.numbers[metric] ?? point?.numbers[metric.replace(/\.mean$/, "")];
  return number === undefined
    ? inlineCell([{ kind: "absent", text: "–" }], { numeric: true })
    : inlineCell([{ kind: "number", number, unit: true }], { numeric: true });
}

/** Metric keys that a compare cell shows. */
export function comparedKeys(cell: Cell, context: CellContext): readonly string[] {
  return metricsOption(cell, context) ?? gatingMetrics;
}
