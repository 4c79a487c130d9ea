// What is held side by side: the figures, how a percentile is taken, and what is known of a tool.
import type { LocalText } from "../experiment/experiment.ts";
import type { latencyFormulas } from "./definitions-latencies.ts";
import type { rateFormulas } from "./definitions-rates.ts";

/** The figures that are held side by side, in order of print. */
export const figures = [
  { id: "ttft.mean", unit: "ms" },
  { id: "ttft.p99", unit: "ms" },
  { id: "tpot.mean", unit: "ms" },
  { id: "itl.mean", unit: "ms" },
  { id: "itl.p99", unit: "ms" },
  { id: "e2e.mean", unit: "ms" },
  { id: "icl.mean", unit: "ms" },
  { id: "ntpot.mean", unit: "ms" },
  { id: "qps", unit: "1/s" },
  { id: "output_tps", unit: "token/s" },
  { id: "total_tps", unit: "token/s" },
  { id: "user_tps", unit: "token/s" },
  { id: "prompt_tps", unit: "token/s" },
  { id: "concurrency", unit: "requests" },
] as const;

export type FigureId = (typeof figures)[number]["id"];

/** The key of a formula in `definitions-latencies.ts` or `definitions-rates.ts`. */
export type FormulaId = keyof typeof latencyFormulas | keyof typeof rateFormulas;

/**
 * How a tool takes a percentile of n values in ascending order. linear: type 7, numpy's and pandas'
 * default. nearest_rank: the value of rank ceil(p n). lower: the value at floor((n - 1) p).
 * cumulative: the first value at which the weights reach the share p of their sum.
 */
export type PercentileMethod = "linear" | "nearest_rank" | "lower" | "cumulative";

export const percentileMethods: Readonly<Record<PercentileMethod, LocalText>> = {
  linear: { zh: "线性插值（第 7 类）", en: "linear between ranks (type 7)" },
  nearest_rank: { zh: "最近秩", en: "nearest rank" },
  lower: { zh: "取下侧的样本值", en: "the sample below" },
  cumulative: {
    zh: "加权累计达到该比例的首个值",
    en: "first value at which the weights reach the share",
  },
};

/** Where a definition was read. */
interface DefinitionSource {
  /** "vllm-project/vllm". */
  readonly project: string;
  readonly path: string;
  /** A released version, or a commit. */
  readonly at: string;
}

export interface ToolDefinition {
  readonly id: string;
  readonly name: LocalText;
  /** The version whose definitions these are. */
  readonly version: string;
  readonly sources: readonly DefinitionSource[];
  readonly percentiles: PercentileMethod;
  /** Which requests count, failed ones and those without output included. */
  readonly requests: LocalText;
  /** Whether a request that ends well without any output is a successful one. */
  readonly emptyAnswers: "count" | "fail";
  /** What a token is. */
  readonly tokens: LocalText;
  /** What benchbook cannot know of what it would print here; absent: nothing. */
  readonly limits?: LocalText;
  /** Figures that it does not print are missing. */
  readonly figures: Readonly<Partial<Record<FigureId, FormulaId>>>;
}
