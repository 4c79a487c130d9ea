// The catalogue: what each number is called, how it is made, and which definition it follows.
// A new metric is one entry here and one line in trial-metrics.ts.
import type { LocalText } from "../experiment/experiment.ts";

/** What has to be there before the metric can be computed. */
type MetricNeed =
  | "stream"
  | "output_tokens"
  | "input_tokens"
  | "cached_tokens"
  | "engine_gauges"
  | "engine_counters"
  | "planned_concurrency"
  | "arrivals"
  | "warmup"
  | "slo"
  | "launched_engine"
  | "gpu_power"
  | "gpu_count"
  | "price";

export interface Metric {
  readonly id: string;
  /** Short name for a table's head, the same in both languages; undefined: it has none. */
  readonly symbol: string | undefined;
  readonly name: LocalText;
  readonly unit: string;
  /** Decimals that suffice in print; also the precision at which "no spread" is said. */
  readonly decimals: number;
  readonly formula: LocalText;
  readonly better: "lower" | "higher" | "neither";
  readonly needs: readonly MetricNeed[];
  /** Whose definition this is. */
  readonly source: string;
  /** Raised whenever the same samples would give another number. */
  readonly version: number;
  /** Statistics of a trial under which estimates are keyed: "ttft.mean", "ttft.p90"; else the id is the key. */
  readonly statistics: "mean_and_percentiles" | "one_value";
}

const own = "benchbook";
const requestLatency = "mean_and_percentiles";

const entries = [
  {
    id: "ttft",
    symbol: "TTFT",
    unit: "ms",
    decimals: 1,
    better: "lower",
    needs: ["stream"],
    name: { zh: "首 token 时延（TTFT）", en: "time to first token (TTFT)" },
    formula: {
      zh: "第一个带输出的分块到达时刻 - 请求首字节写入套接字的时刻",
      en: "arrival of the first chunk that carries output - first byte handed to the socket",
    },
    source: own,
    version: 1,
    statistics: requestLatency,
  },
  {
    id: "client_delay",
    symbol: undefined,
    unit: "ms",
    decimals: 2,
    better: "lower",
    needs: [],
    name: { zh: "客户端发送滞后", en: "client delay" },
    formula: { zh: "实际发送时刻 - 负载要求的发送时刻", en: "sent - due" },
    source: own,
    version: 1,
    statistics: requestLatency,
  },
  {
    id: "e2e",
    symbol: "E2E",
    unit: "ms",
    decimals: 1,
    better: "lower",
    needs: ["stream"],
    name: { zh: "端到端时延（E2E）", en: "end-to-end latency (E2E)" },
    formula: {
      zh: "最后一个带输出的分块到达时刻 - 发送时刻",
      en: "arrival of the last chunk that carries output - sent",
    },
    source: "vLLM bench serve",
    version: 1,
    statistics: requestLatency,
  },
  {
    id: "tpot",
    symbol: "TPOT",
    unit: "ms",
    decimals: 2,
    better: "lower",
    needs: ["stream", "output_tokens"],
    name: { zh: "每输出 token 时延（TPOT）", en: "time per output token (TPOT)" },
    formula: {
      zh: "(E2E - TTFT) / (n - 1)，逐请求计算；n < 2 或全部输出同时到达时没有定义；均值为各请求 TPOT 的均值",
      en: "(E2E - TTFT) / (n - 1) per request; undefined for n < 2 and when all output arrived at once; the mean is the mean of the requests' TPOT",
    },
    source: "vLLM bench serve",
    version: 1,
    statistics: requestLatency,
  },
  {
    id: "tpot_ratio",
    symbol: undefined,
    unit: "ms",
    decimals: 2,
    better: "lower",
    needs: ["stream", "output_tokens"],
    name: { zh: "TPOT（总和之比）", en: "TPOT as a ratio of sums" },
    formula: {
      zh: "各请求 (E2E - TTFT) 之和 / 各请求 (n - 1) 之和",
      en: "sum of (E2E - TTFT) / sum of (n - 1) over the requests that have a TPOT",
    },
    source: own,
    version: 1,
    statistics: "one_value",
  },
  {
    id: "itl",
    symbol: "ITL",
    unit: "ms",
    decimals: 2,
    better: "lower",
    needs: ["stream"],
    name: { zh: "token 间时延（ITL）", en: "inter-token latency (ITL)" },
    formula: {
      zh: "相邻两个输出分块的间隔，合并全部测量请求；一个分块可含多个 token，须与每 token 分块数同看",
      en: "gap between successive output chunks, pooled over the measured requests; a chunk may hold several tokens, so read it beside chunks per token",
    },
    source: "vLLM bench serve",
    version: 1,
    statistics: requestLatency,
  },
  {
    id: "chunks_per_token",
    symbol: undefined,
    unit: "chunk/token",
    decimals: 3,
    better: "neither",
    needs: ["stream", "output_tokens"],
    name: { zh: "每 token 分块数", en: "chunks per token" },
    formula: { zh: "输出分块数 / 输出 token 数", en: "output chunks / output tokens" },
    source: own,
    version: 1,
    statistics: "one_value",
  },
  {
    id: "coalesced_share",
    symbol: undefined,
    unit: "ratio",
    decimals: 3,
    better: "lower",
    needs: ["stream"],
    name: { zh: "合并到达占比", en: "coalesced share" },
    formula: {
      zh: "与前一分块在同一次读取中到达的分块 / 全部输出分块",
      en: "output chunks that arrived in the same read as the one before / output chunks",
    },
    source: own,
    version: 1,
    statistics: "one_value",
  },
  {
    id: "qps",
    symbol: "QPS",
    unit: "1/s",
    decimals: 3,
    better: "higher",
    needs: [],
    name: { zh: "每秒完成请求数（QPS）", en: "completed requests per second (QPS)" },
    formula: {
      zh: "窗口内完成的请求数 / 窗口长度",
      en: "requests completed in the window / window",
    },
    source: own,
    version: 1,
    statistics: "one_value",
  },
  {
    id: "offered_rate",
    symbol: undefined,
    unit: "1/s",
    decimals: 3,
    better: "neither",
    needs: ["arrivals"],
    name: { zh: "到达速率", en: "offered rate" },
    formula: {
      zh: "应在窗口内发出的请求数 / 窗口长度；仅开环",
      en: "requests due in the window / window; open loops only",
    },
    source: own,
    version: 1,
    statistics: "one_value",
  },
  {
    id: "output_tps",
    symbol: undefined,
    unit: "token/s",
    decimals: 1,
    better: "higher",
    needs: ["stream", "output_tokens"],
    name: { zh: "输出吞吐", en: "output throughput" },
    formula: {
      zh: "窗口内产出的输出 token 数 / 窗口长度；每个请求的 token 均摊到它的输出分块上",
      en: "output tokens emitted in the window / window; a request's tokens are spread evenly over its output chunks",
    },
    source: own,
    version: 1,
    statistics: "one_value",
  },
  {
    id: "prompt_tps_computed",
    symbol: undefined,
    unit: "token/s",
    decimals: 1,
    better: "higher",
    needs: ["stream", "input_tokens", "cached_tokens"],
    name: { zh: "预填充吞吐（计算的）", en: "prefill throughput, computed" },
    formula: {
      zh: "窗口内得到首个输出的请求中，未命中前缀缓存的输入 token 数 / 窗口长度；没有 cached_tokens 时按引擎计数的命中占比折算",
      en: "prompt tokens not served from the prefix cache, of requests whose first output fell into the window / window; without cached_tokens by the share that the engine's counters give",
    },
    source: own,
    version: 1,
    statistics: "one_value",
  },
  {
    id: "prompt_tps_cached",
    symbol: undefined,
    unit: "token/s",
    decimals: 1,
    better: "neither",
    needs: ["stream", "input_tokens", "cached_tokens"],
    name: { zh: "预填充吞吐（命中缓存的）", en: "prefill throughput, cached" },
    formula: {
      zh: "窗口内得到首个输出的请求中，命中前缀缓存的输入 token 数 / 窗口长度；单列，不与计算的相加",
      en: "prompt tokens served from the prefix cache, of requests whose first output fell into the window / window; printed apart, never added",
    },
    source: own,
    version: 1,
    statistics: "one_value",
  },
  {
    id: "prompt_tps_request",
    symbol: "Prompt TPS",
    unit: "token/s",
    decimals: 1,
    better: "higher",
    needs: ["stream", "input_tokens"],
    name: { zh: "单请求预填充速度（Prompt TPS）", en: "prompt speed per request (Prompt TPS)" },
    formula: {
      zh: "平均输入 token 数 / 平均 TTFT；须与缓存命中率同看",
      en: "mean input tokens / mean TTFT; only beside the cache hit rate",
    },
    source: own,
    version: 1,
    statistics: "one_value",
  },
  {
    id: "decode_tps",
    symbol: "Decode TPS",
    unit: "token/s",
    decimals: 2,
    better: "higher",
    needs: ["stream", "output_tokens"],
    name: { zh: "单请求解码速度（Decode TPS）", en: "decode speed per request (Decode TPS)" },
    formula: { zh: "1000 / 平均 TPOT", en: "1000 / mean TPOT" },
    source: own,
    version: 1,
    statistics: "one_value",
  },
  {
    id: "hit_rate",
    symbol: undefined,
    unit: "ratio",
    decimals: 4,
    better: "neither",
    needs: ["cached_tokens"],
    name: { zh: "前缀缓存命中率", en: "prefix cache hit rate" },
    formula: {
      zh: "测量请求的 cached_tokens 之和 / 输入 token 之和；服务端不给出时，取试次首尾两次读数间命中与查询的增量之比",
      en: "sum of cached_tokens / sum of input tokens over the measured requests; where the server gives none, delta hits / delta queries between the trial's first and last reading",
    },
    source: own,
    version: 1,
    statistics: "one_value",
  },
  {
    id: "hit_rate_counters",
    symbol: undefined,
    unit: "ratio",
    decimals: 4,
    better: "neither",
    needs: ["engine_counters"],
    name: {
      zh: "前缀缓存命中率（引擎计数）",
      en: "prefix cache hit rate by the engine's counters",
    },
    formula: {
      zh: "试次首尾两次读数间，引擎命中 token 的增量 / 查询 token 的增量，含预热与填充请求；不计查询的引擎取命中缓存的输入 token 增量 / 输入 token 增量；远端 KV 缓存的命中不计入",
      en: "delta hits / delta queries, in tokens, between the trial's first and last reading, warm-up and fillers included; for engines that count no queries, delta cached prompt tokens / delta prompt tokens; hits of a remote KV cache are not among them",
    },
    source: own,
    version: 1,
    statistics: "one_value",
  },
  {
    id: "spec_acceptance_length",
    symbol: undefined,
    unit: "token",
    decimals: 2,
    better: "higher",
    needs: ["engine_counters"],
    name: { zh: "投机解码接受长度", en: "acceptance length of speculative decoding" },
    formula: {
      zh: "1 + 接受的草稿 token 数 / 草稿次数，取试次首尾两次读数间的增量；1 为每次草稿都未被接受",
      en: "1 + accepted draft tokens / drafts, both the growth between the trial's first and last reading; 1 where nothing is ever accepted",
    },
    source: "vLLM",
    version: 1,
    statistics: "one_value",
  },
  {
    id: "spec_acceptance_rate",
    symbol: undefined,
    unit: "ratio",
    decimals: 4,
    better: "higher",
    needs: ["engine_counters"],
    name: { zh: "投机解码接受率", en: "acceptance rate of speculative decoding" },
    formula: {
      zh: "接受的草稿 token 数 / 草稿 token 数，取试次首尾两次读数间的增量",
      en: "accepted draft tokens / draft tokens, both the growth between the trial's first and last reading",
    },
    source: "vLLM",
    version: 1,
    statistics: "one_value",
  },
  {
    id: "concurrency_achieved",
    symbol: undefined,
    unit: "requests",
    decimals: 2,
    better: "neither",
    needs: [],
    name: { zh: "实测并发", en: "achieved concurrency" },
    formula: {
      zh: "在途请求数对窗口的时间积分 / 窗口长度",
      en: "time integral of requests in flight over the window / window",
    },
    source: own,
    version: 1,
    statistics: "one_value",
  },
  {
    id: "idle_share",
    symbol: undefined,
    unit: "ratio",
    decimals: 4,
    better: "lower",
    needs: ["planned_concurrency"],
    name: { zh: "客户端空闲占比", en: "idle share of client slots" },
    formula: {
      zh: "1 - 实测并发 / 计划并发",
      en: "1 - achieved concurrency / planned concurrency",
    },
    source: own,
    version: 1,
    statistics: "one_value",
  },
  {
    id: "in_flight_growth",
    symbol: undefined,
    unit: "requests",
    decimals: 2,
    better: "lower",
    needs: ["arrivals"],
    name: { zh: "在途请求增长", en: "growth of requests in flight" },
    formula: {
      zh: "窗口最后四分之一的平均在途请求数 - 最初四分之一的；仅开环",
      en: "mean requests in flight in the window's last quarter - in its first; open loops only",
    },
    source: own,
    version: 1,
    statistics: "one_value",
  },
  {
    id: "concurrency_running",
    symbol: undefined,
    unit: "requests",
    decimals: 2,
    better: "neither",
    needs: ["engine_gauges"],
    name: { zh: "引擎内运行请求数", en: "requests running in the engine" },
    formula: {
      zh: "窗口内引擎 running 读数的均值",
      en: "mean of the engine's running gauge over the window",
    },
    source: own,
    version: 1,
    statistics: "one_value",
  },
  {
    id: "concurrency_waiting",
    symbol: undefined,
    unit: "requests",
    decimals: 2,
    better: "lower",
    needs: ["engine_gauges"],
    name: { zh: "引擎内排队请求数", en: "requests waiting in the engine" },
    formula: {
      zh: "窗口内引擎 waiting 读数的均值",
      en: "mean of the engine's waiting gauge over the window",
    },
    source: own,
    version: 1,
    statistics: "one_value",
  },
  {
    id: "cold_burst",
    symbol: undefined,
    unit: "ms",
    decimals: 1,
    better: "lower",
    needs: ["stream", "warmup", "planned_concurrency"],
    name: { zh: "冷启动首波 TTFT", en: "cold burst TTFT" },
    formula: {
      zh: "前 c 个预热请求的平均 TTFT，c 为计划并发",
      en: "mean TTFT of the first c warm-up requests, c the planned concurrency",
    },
    source: own,
    version: 1,
    statistics: "one_value",
  },
  {
    id: "startup",
    symbol: undefined,
    unit: "s",
    decimals: 1,
    better: "lower",
    needs: ["launched_engine"],
    name: { zh: "引擎启动时间", en: "engine start" },
    formula: {
      zh: "从启动到就绪，每次启动一个值；注明编译缓存冷热",
      en: "launch to ready, one value per start; cold or warm compile cache named",
    },
    source: own,
    version: 1,
    statistics: "one_value",
  },
  {
    id: "cost_per_mtok",
    symbol: undefined,
    unit: "money/Mtoken",
    decimals: 3,
    better: "lower",
    needs: ["stream", "output_tokens", "gpu_count", "price"],
    name: { zh: "每百万输出 token 成本", en: "cost per million output tokens" },
    formula: {
      zh: "GPU 数 × 每 GPU 时价 / (3600 × 输出吞吐) × 10^6；须给出价格与币种",
      en: "GPUs x stated price per GPU hour / (3600 x output throughput) x 1e6; only with a stated price",
    },
    source: own,
    version: 1,
    statistics: "one_value",
  },
  {
    id: "goodput",
    symbol: "goodput",
    unit: "1/s",
    decimals: 3,
    better: "higher",
    needs: ["slo"],
    name: { zh: "有效吞吐（goodput）", en: "goodput" },
    formula: {
      zh: "窗口内完成且满足全部 SLO 的请求数 / 窗口长度；失败的请求不计入",
      en: "requests completed in the window that met every SLO / window; a failed request is never good",
    },
    source: own,
    version: 1,
    statistics: "one_value",
  },
  {
    id: "slo_share",
    symbol: undefined,
    unit: "ratio",
    decimals: 4,
    better: "higher",
    needs: ["slo"],
    name: { zh: "SLO 达标占比", en: "share of requests that met the SLO" },
    formula: {
      zh: "满足全部 SLO 的测量请求 / 全部测量请求（含失败）",
      en: "measured requests that met every SLO / measured requests, failed ones included",
    },
    source: own,
    version: 1,
    statistics: "one_value",
  },
  {
    id: "energy_per_token",
    symbol: undefined,
    unit: "J/token",
    decimals: 3,
    better: "lower",
    needs: ["stream", "output_tokens", "gpu_power"],
    name: { zh: "每 token 能耗", en: "energy per token" },
    formula: {
      zh: "窗口内 GPU 功率读数的梯形积分 / 窗口内产出的输出 token 数；引擎使用的 GPU 之和，不知道是哪几块时取读到的全部 GPU",
      en: "trapezoid integral of the GPUs' power readings over the window / output tokens emitted in it; summed over the engine's GPUs, over all that were read where its own are not known",
    },
    source: own,
    version: 1,
    statistics: "one_value",
  },
  {
    id: "tps_per_gpu",
    symbol: undefined,
    unit: "token/s",
    decimals: 1,
    better: "higher",
    needs: ["stream", "output_tokens", "gpu_count"],
    name: { zh: "每 GPU 输出吞吐", en: "output throughput per GPU" },
    formula: {
      zh: "输出吞吐 / 引擎使用的 GPU 数（张量、流水线、数据并行之积）",
      en: "output throughput / GPUs of the engine (tensor x pipeline x data parallelism)",
    },
    source: own,
    version: 1,
    statistics: "one_value",
  },
  {
    id: "tps_per_user",
    symbol: undefined,
    unit: "token/s",
    decimals: 2,
    better: "higher",
    needs: ["stream", "output_tokens"],
    name: { zh: "每用户输出速度", en: "output speed per user" },
    formula: { zh: "同 decode_tps：1000 / 平均 TPOT", en: "as decode_tps: 1000 / mean TPOT" },
    source: own,
    version: 1,
    statistics: "one_value",
  },
] as const satisfies readonly Metric[];

export type MetricId = (typeof entries)[number]["id"];

/** Every metric, in the order of a record's columns. */
export const metrics: readonly (Metric & { readonly id: MetricId })[] = entries;

/** The entry of a metric; undefined for an id the catalogue does not have. */
export function findMetric(id: string): (Metric & { readonly id: MetricId }) | undefined {
  return metrics.find((metric) => metric.id === id);
}

/** What a column prints so that it can be told from another definition: "tpot@1". */
export function definitionId(metric: Metric): string {
  return `${metric.id}@${metric.version}`;
}

/** Names the definitions of the whole catalogue; estimates carry it. Raised with any entry's version. */
export const catalogueVersion = `benchbook-metrics@${metrics.reduce((sum, { version }) => sum + version - 1, 1)}`;
