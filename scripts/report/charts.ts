// From the points of a run to a figure: which chart, in which language and width. The chart files
// compute positions and words, templates/charts/ holds the Vega-Lite, this joins and renders them.

import { byVariant, type ChartInput } from "./chart-data.ts";
import type { DrawingResult } from "./chart-panel.ts";
import { drawPareto } from "./chart-pareto.ts";
import { drawRatios } from "./chart-ratios.ts";
import { drawRoundStrip } from "./chart-rounds.ts";
import { renderSvg } from "./chart-svg.ts";
import { fillTemplate, readChartTemplate } from "./chart-template.ts";
import { drawThroughput } from "./chart-throughput.ts";
import { drawTtft } from "./chart-ttft.ts";
import { setText } from "./typography.ts";

const charts = {
  "throughput-interactivity": drawPareto,
  "ttft-by-concurrency": drawTtft,
  "output-throughput": drawThroughput,
  "variant-ratios": drawRatios,
  "round-strip": drawRoundStrip,
} as const satisfies Record<string, (input: ChartInput) => DrawingResult>;

export type ChartId = keyof typeof charts;

/** The charts that can be asked for, in the order of a record. */
export const chartIds = Object.keys(charts) as readonly ChartId[];

export interface ChartRequest extends ChartInput {
  readonly id: ChartId;
}

export interface RenderedChart {
  readonly status: "drawn";
  /** Plain colours: forPage or forFile dress it. */
  readonly svg: string;
  /** What the numbers show, without a full stop. */
  readonly finding: string;
  /** What is drawn and how to read it, in sentences; n, rounds and interval method are the caption's. */
  readonly note: string;
  /** Names of points that have no place in the chart. */
  readonly omitted: readonly string[];
}

/** Nothing to draw; the reason is in the language asked for. */
export interface NoChart {
  readonly status: "empty";
  readonly reason: string;
}

/** Draws a chart of the points of one workload. The same request gives the same bytes. */
export async function renderChart({
  id,
  ...input
}: ChartRequest): Promise<RenderedChart | NoChart> {
  const result = charts[id]({ ...input, points: byVariant(input.points).flat() });
  if (result.status === "empty") return result;
  const { drawing } = result;
  const { svg, warnings } = await renderSvg({
    spec: fillTemplate(readChartTemplate(drawing.template), drawing.values),
    language: input.language,
    title: setText(drawing.finding, input.language),
    description: drawing.description,
    frame: drawing.frame,
  });
  if (warnings.length > 0) throw new Error(`chart ${id}: ${warnings.join("; ")}`);
  return {
    status: "drawn",
    svg,
    finding: setText(drawing.finding, input.language),
    note: setText(drawing.note, input.language),
    omitted: drawing.omitted,
  };
}
