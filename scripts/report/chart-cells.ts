// The chart cell: one figure per workload, its finding, its caption with what the numbers rest on.
import { createHash } from "node:crypto";
import { type CellContext, checkOptions, word } from "./cell-context.ts";
import type { RatioOptions } from "./chart-data.ts";
import { type ChartId, chartIds } from "./charts.ts";
import { comparedPoints, ratioOptions } from "./compare-cells.ts";
import type { Block, Figure } from "./document.ts";
import type { Cell } from "./notebook-source.ts";
import { textInlines } from "./phrase.ts";
import type { RecordData } from "./record-data.ts";
import { needsTokens } from "./record-tokens.ts";
import { computedOf } from "./results-table.ts";

/** A figure per workload: points of different workloads share no axis. */
export async function chartFigures(cell: Cell, context: CellContext): Promise<readonly Block[]> {
  const compares = cell.name === "variant-ratios";
  checkOptions(context, cell, [
    ...["variants", "workloads", "points"],
    ...(compares ? ["base", "metrics", "margin"] : []),
  ]);
  // That there is one variant only is for the notebook to say, not for a figure that it never had.
  if (compares && context.data.variants.length < 2) return [];
  const compare = compares ? ratioOptions(cell, context) : undefined;
  const points = comparedPoints(cell, context, { base: compare?.base });
  const workloads = [...new Set(points.map((point) => point.workload))];
  const blocks: Block[] = [];
  for (const workload of workloads) {
    const names = points.filter((point) => point.workload === workload).map(({ name }) => name);
    const id = chartIds.find((one) => one === cell.name);
    if (id === undefined) continue;
    blocks.push(await chartFigure(id, names, 744, context, compare));
  }
  return blocks;
}

/** One chart of the named points as a figure, or the sentence that says why there is none. */
export async function chartFigure(
  id: ChartId,
  names: readonly string[],
  width: 744 | 468,
  context: CellContext,
  compare?: RatioOptions,
): Promise<Figure | Extract<Block, { kind: "paragraph" }>> {
  const { data, language, drawChart } = context;
  const points = data.charts.filter((point) => names.includes(point.name));
  const request = { id, language, points, ...(compare === undefined ? {} : { compare }) };
  const [wide, narrow] = [
    await drawChart({ ...request, width }),
    await drawChart({ ...request, width: 346 }),
  ];
  if (wide.status === "empty" || narrow.status === "empty") {
    const reason = wide.status === "empty" ? wide.reason : "";
    return {
      kind: "paragraph",
      content: textInlines(word(context, "chart_empty", { reason }), language),
    };
  }
  const number = context.number("figure");
  const omitted =
    wide.omitted.length === 0
      ? ""
      : word(context, "chart_omitted", {
          points: wide.omitted.join(word(context, "list_separator")),
        }) + word(context, "full_stop");
  const metrics = compare?.metrics ?? chartMetrics(id, data);
  const note = [
    wide.note,
    omitted,
    data.basisNote[language],
    ...(metrics.some(needsTokens) ? [data.tokenNote?.[language] ?? ""] : []),
  ].filter((text) => text !== "");
  return {
    kind: "figure",
    id: `fig-${number.replaceAll(/\D/g, "")}`,
    numbered: number,
    name: figureName(id, { names, compare }, data),
    finding: wide.finding,
    caption: textInlines(note.join(language === "zh" ? "" : " "), language),
    wide: wide.svg,
    narrow: narrow.svg,
    computed: computedOf(
      metrics.map((key) => ({ key })),
      context,
    ),
  };
}

/**
 * "round-strip" of all points, "round-strip-128-32" of all points of one workload among several, and
 * with a digest of the choice where points or ways to compare were chosen, so that no two choices share a file.
 */
function figureName(
  id: ChartId,
  {
    names,
    compare,
  }: { readonly names: readonly string[]; readonly compare: RatioOptions | undefined },
  data: RecordData,
): string {
  const workload = data.points.find((point) => names.includes(point.name))?.workload ?? "";
  const all = data.points.filter((point) => point.workload === workload).map(({ name }) => name);
  const base = data.workloads.length > 1 ? `${id}-${workload}` : id;
  const chosen = all.filter((name) => names.includes(name));
  const { base: against, margin, metrics } = compare ?? {};
  const isChoice = [against, margin, metrics].some((option) => option !== undefined);
  if (chosen.length === all.length && !isChoice) return base;
  const choice = isChoice ? { chosen, against, margin, metrics } : chosen;
  const digest = createHash("sha256").update(JSON.stringify(choice)).digest("hex");
  return `${base}.${digest.slice(0, 8)}`;
}

/** What a chart shows, for its sources. */
export function chartMetrics(id: ChartId, data: RecordData): readonly string[] {
  const keys: Readonly<Record<ChartId, readonly string[]>> = {
    "throughput-interactivity": ["output_tps", "decode_tps"],
    "ttft-by-concurrency": ["ttft.mean", "concurrency_achieved"],
    "output-throughput": ["output_tps", "concurrency_achieved"],
    "variant-ratios": ["output_tps", "ttft.mean", "ttft.p90", "tpot.mean"],
    "round-strip": ["output_tps"],
  };
  return keys[id].filter((key) => Object.hasOwn(data.metrics, key));
}
