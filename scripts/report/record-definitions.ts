// From a point's figures by every definition to what a record and a terminal print of them: our own
// first, then each tool's, with how far it is from ours.
import type { LocalText } from "../experiment/experiment.ts";
import { formulaText, ownTool, type SideBySide } from "../stats/definitions.ts";
import { type FigureId, figures } from "../stats/definitions-figures.ts";
import { tools } from "../stats/definitions-tools.ts";
import { formatNumber } from "../units.ts";
import type { RecordMaterial } from "./record-material.ts";

/** A figure of a tool, printed. */
export interface PrintedFigure {
  readonly text: string;
  /** "+24.4" per cent of ours; undefined: none to print, or the same at this precision. */
  readonly percent: string | undefined;
}

export interface PointDefinitions {
  readonly point: string;
  readonly trials: number;
  readonly completed: number;
  readonly rows: readonly {
    readonly tool: string;
    readonly label: LocalText;
    /** What the tool does not print, or has no value for, is missing. */
    readonly figures: Readonly<Partial<Record<FigureId, PrintedFigure>>>;
  }[];
}

interface FigureText {
  readonly head: LocalText;
  readonly decimals: number;
}

/** Heads and decimals of the figures. */
export const figureTexts: Readonly<Record<FigureId, FigureText>> = {
  "ttft.mean": { head: { zh: "TTFT", en: "TTFT" }, decimals: 1 },
  "ttft.p99": { head: { zh: "TTFT p99", en: "TTFT p99" }, decimals: 1 },
  "tpot.mean": { head: { zh: "TPOT", en: "TPOT" }, decimals: 2 },
  "itl.mean": { head: { zh: "ITL", en: "ITL" }, decimals: 2 },
  "itl.p99": { head: { zh: "ITL p99", en: "ITL p99" }, decimals: 2 },
  "e2e.mean": { head: { zh: "E2E", en: "E2E" }, decimals: 1 },
  "icl.mean": { head: { zh: "ICL", en: "ICL" }, decimals: 2 },
  "ntpot.mean": { head: { zh: "NTPOT", en: "NTPOT" }, decimals: 2 },
  qps: { head: { zh: "请求速率", en: "Requests" }, decimals: 3 },
  output_tps: { head: { zh: "输出吞吐", en: "Output" }, decimals: 1 },
  total_tps: { head: { zh: "总吞吐", en: "Total" }, decimals: 1 },
  user_tps: { head: { zh: "每用户", en: "Per user" }, decimals: 1 },
  prompt_tps: { head: { zh: "Prompt TPS", en: "Prompt TPS" }, decimals: 0 },
  concurrency: { head: { zh: "并发", en: "In flight" }, decimals: 2 },
};

/** The figures in two tables: what is a time, and what is a rate. */
export const figureGroups = {
  latencies: ["ttft.mean", "ttft.p99", "tpot.mean", "itl.mean", "itl.p99", "e2e.mean"],
  rates: ["qps", "output_tps", "total_tps", "user_tps", "prompt_tps", "concurrency"],
} as const satisfies Readonly<Record<string, readonly FigureId[]>>;

/** Figures that a tool prints under a name of its own: they stand in a note. */
export const ownNames = ["icl.mean", "ntpot.mean"] as const satisfies readonly FigureId[];

/** The unit of a figure. */
export function unitOf(figure: FigureId): string {
  return figures.find(({ id }) => id === figure)?.unit ?? "";
}

/** A row of tools for every measured point, in the order of the plan. */
export function definitionsOf({ points, measured }: RecordMaterial): readonly PointDefinitions[] {
  return points.flatMap(({ name }): readonly PointDefinitions[] => {
    const found = measured.find(({ point }) => point === name)?.definitions;
    return found === undefined ? [] : [printed(name, found)];
  });
}

function printed(point: string, { trials, completed, rows }: SideBySide): PointDefinitions {
  const labels = [{ id: ownTool, name: { zh: ownTool, en: ownTool } }, ...tools];
  return {
    point,
    trials,
    completed,
    rows: labels.map(({ id, name }) => ({
      tool: id,
      label: name,
      figures: Object.fromEntries(
        rows.flatMap(({ tool, figure, value, difference }) =>
          tool !== id || value === undefined
            ? []
            : [
                [
                  figure,
                  {
                    text: formatNumber(value, figureTexts[figure].decimals),
                    percent: percentOf(difference),
                  },
                ],
              ],
        ),
      ),
    })),
  };
}

/** One decimal; hundreds of per cent without it. */
function percentOf(difference: number | undefined): string | undefined {
  if (difference === undefined || Math.abs(difference) < 0.0005) return undefined;
  const percent = Math.abs(difference) * 100;
  const text = formatNumber(percent, percent < 99.95 ? 1 : 0);
  return `${difference < 0 ? "−" : "+"}${text}`;
}

/** A formula with the tools whose figure it is. */
export interface SharedFormula {
  readonly figure: FigureId;
  readonly text: LocalText;
  readonly tools: readonly string[];
}

/** The formulas, each once, in the order of figures and tools. A p99 is of the same values as its mean. */
export function sharedFormulas(): readonly SharedFormula[] {
  return figures.flatMap(({ id }) => {
    if (id.endsWith(".p99")) return [];
    const byText = new Map<string, SharedFormula>();
    for (const tool of tools) {
      const formula = tool.figures[id];
      if (formula === undefined) continue;
      const text = formulaText(tool, id, formula);
      const known = byText.get(text.en);
      byText.set(text.en, { figure: id, text, tools: [...(known?.tools ?? []), tool.id] });
    }
    return [...byText.values()];
  });
}
