// From a cell of a notebook to blocks: which table, chart, part of the environment or of the checks.
// A new cell is one entry in the table below.

import { cacheTables } from "./cache-cells.ts";
import { type CellContext, unknown } from "./cell-context.ts";
import { chartFigures, chartMetrics } from "./chart-cells.ts";
import { chartIds } from "./charts.ts";
import { checkedRules, findingsTable, notCheckedTable } from "./check-cells.ts";
import { comparedKeys, compareVariantsTables } from "./compare-cells.ts";
import { toolDefinitions } from "./definition-cells.ts";
import type { Block } from "./document.ts";
import {
  engineArguments,
  engineConfigs,
  environmentDifferences,
  environmentDrift,
  environmentFields,
  experimentFile,
  filledDefaults,
  rawProbes,
} from "./environment-cells.ts";
import { gpuTelemetryKeys, gpuTelemetryTable } from "./gpu-cells.ts";
import type { Cell, CellName, Piece } from "./notebook-source.ts";
import { resultsTables, shownKeys } from "./results-table.ts";
import { sloKeys, sloTable } from "./slo-cells.ts";
import {
  definitionsTable,
  deviationsTable,
  glossary,
  identityTable,
  instrumentTable,
  medianRoundTable,
  plannedTable,
  reproduction,
  startsTable,
  verdictTable,
  workloadTables,
} from "./table-cells.ts";

type Maker = (cell: Cell, context: CellContext) => readonly Block[] | Promise<readonly Block[]>;

const cells: Readonly<Record<CellName, Readonly<Record<string, Maker>>>> = {
  table: {
    results: resultsTables,
    identity: identityTable,
    verdicts: verdictTable,
    workload: workloadTables,
    planned: plannedTable,
    definitions: definitionsTable,
    "tool-definitions": toolDefinitions,
    deviations: deviationsTable,
    starts: startsTable,
    instrument: instrumentTable,
    cache: cacheTables,
    gpu: gpuTelemetryTable,
    slo: sloTable,
    "median-rounds": medianRoundTable,
    reproduction,
    glossary,
  },
  chart: Object.fromEntries(chartIds.map((id) => [id, chartFigures])),
  env: {
    fields: environmentFields,
    drift: environmentDrift,
    differences: environmentDifferences,
    arguments: engineArguments,
    config: engineConfigs,
    raw: rawProbes,
    experiment: experimentFile,
    defaults: filledDefaults,
  },
  checks: {
    findings: findingsTable,
    "not-checked": notCheckedTable,
    checked: checkedRules,
  },
  compare: { variants: compareVariantsTables },
};

/** The blocks of a cell. @throws UserError for a name or an option that is not known. */
export async function renderCell(cell: Cell, context: CellContext): Promise<readonly Block[]> {
  const makers = cells[cell.cell];
  const maker = Object.hasOwn(makers, cell.name) ? makers[cell.name] : undefined;
  if (maker === undefined) throw unknown(context, cell, cell.cell, cell.name, Object.keys(makers));
  return await maker(cell, context);
}

/** Metric keys that the cells of a notebook show, in no order. */
export function keysShownBy(pieces: readonly Piece[], context: CellContext): ReadonlySet<string> {
  const keys = pieces.flatMap((piece): readonly string[] => {
    if (piece.kind !== "cell") return [];
    if (piece.cell === "table" && piece.name === "results") return shownKeys(piece, context);
    if (piece.cell === "table" && piece.name === "gpu") return gpuTelemetryKeys(context);
    if (piece.cell === "table" && piece.name === "slo") return sloKeys(context);
    if (piece.cell === "compare") return comparedKeys(piece, context);
    const chart = chartIds.find((id) => piece.cell === "chart" && id === piece.name);
    return chart === undefined ? [] : chartMetrics(chart, context.data);
  });
  return new Set(keys);
}
