// What a metric's key is called in a record: head of the column, unit as printed, definition. From
// the one catalogue of stats/, and a few counts that are facts of the plan or of the requests.
import type { LocalText } from "../experiment/experiment.ts";
import { parseEstimateKey } from "../stats/estimate-key.ts";
import { definitionId } from "../stats/metrics.ts";

export interface MetricText {
  readonly key: string;
  /** Head of a column: "TTFT", "TTFT p90", "输出吞吐". */
  readonly head: LocalText;
  /** In full, for prose and glossary: "首 token 时延（TTFT）". */
  readonly name: LocalText;
  readonly unit: LocalText;
  /** Printed value = estimate x scale. */
  readonly scale: number;
  /** "ttft@1"; the source of a count: "plan", "requests". */
  readonly definition: string;
  readonly formula: LocalText;
}

const requests: LocalText = { zh: "请求", en: "requests" };
const tokens: LocalText = { zh: "token", en: "tokens" };

/** Heads shorter than the catalogue's names, where a column needs it. */
const shortHeads: Readonly<Record<string, LocalText>> = {
  output_tps: { zh: "输出吞吐", en: "Output throughput" },
  prompt_tps_computed: { zh: "计算", en: "computed" },
  prompt_tps_cached: { zh: "命中缓存", en: "cached" },
  concurrency_achieved: { zh: "实测", en: "achieved" },
  concurrency_running: { zh: "运行", en: "running" },
  concurrency_waiting: { zh: "排队", en: "waiting" },
  hit_rate: { zh: "缓存命中率", en: "Cache hit rate" },
  hit_rate_counters: { zh: "命中率（引擎计数）", en: "Hit rate, counters" },
  spec_acceptance_length: { zh: "接受长度", en: "Acceptance length" },
  spec_acceptance_rate: { zh: "接受率", en: "Acceptance rate" },
  tps_per_gpu: { zh: "每 GPU 吞吐", en: "Throughput per GPU" },
  energy_per_token: { zh: "每 token 能耗", en: "Energy per token" },
  client_delay: { zh: "发送滞后", en: "Client delay" },
  offered_rate: { zh: "到达", en: "offered" },
  in_flight_growth: { zh: "在途增长", en: "In flight, growth" },
  cold_burst: { zh: "首波 TTFT", en: "Cold burst TTFT" },
  goodput: { zh: "有效吞吐", en: "Goodput" },
};

const counts: Readonly<Record<string, Omit<MetricText, "key" | "name" | "scale">>> = {
  planned_concurrency: {
    head: { zh: "计划", en: "planned" },
    unit: requests,
    definition: "plan",
    formula: {
      zh: "实验文件规定的在途请求数",
      en: "requests in flight that the experiment asks for",
    },
  },
  planned_rate: {
    head: { zh: "计划", en: "planned" },
    unit: { zh: "1/s", en: "1/s" },
    definition: "plan",
    formula: { zh: "实验文件规定的请求速率", en: "request rate that the experiment asks for" },
  },
  requests_measured: {
    head: { zh: "测量", en: "measured" },
    unit: requests,
    definition: "requests",
    formula: { zh: "测量请求数，各轮合计", en: "requests of the measured cohort, all rounds" },
  },
  requests_completed: {
    head: { zh: "完成", en: "completed" },
    unit: requests,
    definition: "requests",
    formula: { zh: "其中完成的请求数", en: "of which completed" },
  },
  requests_failed: {
    head: { zh: "失败", en: "failed" },
    unit: requests,
    definition: "requests",
    formula: {
      zh: "其中被拒、中断、超时或出错的请求数",
      en: "of which rejected, truncated, timed out or failed",
    },
  },
  planned_input_tokens: {
    head: { zh: "计划", en: "planned" },
    unit: tokens,
    definition: "plan",
    formula: { zh: "每个提示词的计划 token 数", en: "tokens planned per prompt" },
  },
  planned_output_tokens: {
    head: { zh: "计划", en: "planned" },
    unit: tokens,
    definition: "plan",
    formula: { zh: "每个请求的计划输出 token 数", en: "output tokens planned per request" },
  },
  input_tokens: {
    head: { zh: "输入", en: "input" },
    unit: tokens,
    definition: "requests",
    formula: {
      zh: "测量请求的实际输入 token 均值，以服务端 usage 为准；由本地分词器计数的加注",
      en: "mean input tokens of the measured requests, from the server's usage; counts of the local tokenizer are marked",
    },
  },
  output_tokens: {
    head: { zh: "输出", en: "output" },
    unit: tokens,
    definition: "requests",
    formula: {
      zh: "测量请求的实际输出 token 均值，以服务端 usage 为准；由本地分词器计数的加注",
      en: "mean output tokens of the measured requests, from the server's usage; counts of the local tokenizer are marked",
    },
  },
};

/**
 * The texts of a metric's key; undefined for a key that neither the catalogue nor the counts have.
 *
 * @example metricText("ttft.p90")?.head // { zh: "TTFT p90", en: "TTFT p90" }
 */
export function metricText(key: string): MetricText | undefined {
  const count = counts[key];
  if (Object.hasOwn(counts, key) && count !== undefined) {
    return { key, name: count.formula, scale: 1, ...count };
  }
  const parsed = parseEstimateKey(key);
  if (parsed === undefined) return undefined;
  const { metric, statistic } = parsed;
  const base: LocalText =
    shortHeads[metric.id] ??
    (metric.symbol === undefined ? metric.name : { zh: metric.symbol, en: metric.symbol });
  const suffix = statistic.kind === "percentile" ? ` p${trimmed(statistic.p * 100)}` : "";
  return {
    key,
    head: { zh: base.zh + suffix, en: base.en + suffix },
    name: { zh: metric.name.zh + suffix, en: metric.name.en + suffix },
    unit: printedUnit(metric.unit),
    scale: metric.unit === "ratio" ? 100 : 1,
    definition: definitionId(metric),
    formula: metric.formula,
  };
}

/** The keys of counts, for messages that list what can be asked for. */
export const countKeys: readonly string[] = Object.keys(counts);

function printedUnit(unit: string): LocalText {
  if (unit === "ratio") return { zh: "%", en: "%" };
  return unit === "requests" ? requests : { zh: unit, en: unit };
}

function trimmed(percentile: number): string {
  return String(Number(percentile.toFixed(6)));
}
