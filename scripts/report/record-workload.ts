// The load of a record in sentences: what was sent, how much, in which order, with which limits. From
// the experiment and its plan; what was achieved stands in the tables.
import type {
  CachePolicy,
  LengthSpec,
  Load,
  LocalText,
  SloLimit,
  Workload,
} from "../experiment/experiment.ts";
import type { Point } from "../experiment/plan.ts";
import { combineFacts, formatShare, onDemandEnd } from "../stats/interval-note.ts";
import { counted, formatDuration, formatNumber } from "../units.ts";
import type { RecordMaterial } from "./record-material.ts";
import type { Phrase, TextPart, TextRow } from "./record-parts.ts";

/** Section 3, one table per workload. */
export function workloadsOf(
  material: RecordMaterial,
): readonly { readonly name: string; readonly rows: readonly TextRow[] }[] {
  return material.experiment.workloads.map((workload) => ({
    name: workload.name,
    rows: workloadRows(workload, material),
  }));
}

function workloadRows(workload: Workload, material: RecordMaterial): readonly TextRow[] {
  const { measure, slo, limits, variants } = material.experiment;
  const points = material.points.filter((point) => point.workload === workload.name);
  const path = workload.endpoint === "chat" ? "/v1/chat/completions" : "/v1/completions";
  const attached = variants.some((variant) => variant.engine.kind === "external");
  return [
    {
      key: "endpoint",
      value: [{ code: `POST ${path}` }, say("，流式", ", streaming")],
    },
    { key: "input", value: [...datasetOf(workload), { text: inputText(workload) }] },
    { key: "output", value: [{ text: lengthText(workload.output) }] },
    { key: "prompts", value: [{ text: promptText(workload, variants.length) }] },
    { key: "cache", value: [{ text: cacheText(workload.cache, measure.keep || attached) }] },
    { key: "load", value: [{ text: loopText(points) }] },
    { key: "warmup", value: [{ text: warmupText(points, measure.window) }] },
    { key: "measured", value: [{ text: measuredText(points, measure.window) }] },
    { key: "rounds", value: [{ text: roundsText(material, attached) }] },
    {
      key: "order",
      value: [
        measure.order === "interleaved"
          ? say("每轮内各变体交错执行", "variants interleaved within each round")
          : say("按变体分组", "grouped by variant"),
        say(`，种子 ${measure.seed}`, `, seed ${measure.seed}`),
      ],
    },
    {
      key: "limits",
      value: [
        say(
          `单请求 ${formatDuration(limits.requestMs)}，流式停顿 ${formatDuration(limits.stallMs)}；失败超过 ${formatNumber(limits.failureShare * 100, 1)} % 则中止试次`,
          `${formatDuration(limits.requestMs)} a request, ${formatDuration(limits.stallMs)} of silence in a stream; a trial is ended beyond ${formatNumber(limits.failureShare * 100, 1)} % failures`,
        ),
      ],
    },
    { key: "slo", value: [{ text: sloText(slo) }] },
  ];
}

function datasetOf(workload: Workload): Phrase {
  return workload.input.kind === "dataset"
    ? [say("数据集 ", "dataset "), { data: workload.input.path }, say("，", ", ")]
    : [];
}

export function inputText(workload: Workload): LocalText {
  return workload.input.kind === "dataset"
    ? { zh: "长度随数据集", en: "lengths as in the data set" }
    : lengthText(workload.input);
}

export function lengthText(length: LengthSpec): LocalText {
  switch (length.kind) {
    case "exact": {
      const tokens = formatNumber(length.tokens, 0);
      return { zh: `定长 ${tokens} token`, en: `exactly ${tokens} tokens` };
    }
    case "normal":
      return {
        zh: `正态分布，均值 ${formatNumber(length.mean, 0)} token，变异系数 ${length.cv}`,
        en: `normal, mean ${formatNumber(length.mean, 0)} tokens, coefficient of variation ${length.cv}`,
      };
    case "uniform":
      return {
        zh: `均匀分布，${formatNumber(length.min, 0)} 至 ${formatNumber(length.max, 0)} token`,
        en: `uniform, ${formatNumber(length.min, 0)} to ${formatNumber(length.max, 0)} tokens`,
      };
  }
}

function promptText({ cache }: Workload, variants: number): LocalText {
  const same: LocalText =
    variants > 1
      ? {
          zh: "；同一轮内各变体用同一批提示词",
          en: "; within a round all variants see the same prompts",
        }
      : { zh: "", en: "" };
  switch (cache.kind) {
    case "cold":
      return {
        zh: `全部唯一，没有公共前缀${same.zh}`,
        en: `all unique, no shared prefix${same.en}`,
      };
    case "shared":
      return {
        zh: `公共前缀 ${formatNumber(cache.tokens, 0)} token，其余唯一${same.zh}`,
        en: `a shared prefix of ${formatNumber(cache.tokens, 0)} tokens, the rest unique${same.en}`,
      };
    case "warm":
      return { zh: `重复使用${same.zh}`, en: `reused${same.en}` };
  }
}

function cacheText(cache: CachePolicy, oneProcess: boolean): LocalText {
  const empty: LocalText = oneProcess
    ? { zh: "服务进程不重启", en: "the server is not restarted" }
    : {
        zh: "每轮重启引擎，缓存从空开始",
        en: "a fresh engine each round, so the cache starts empty",
      };
  const names: Readonly<Record<CachePolicy["kind"], LocalText>> = {
    cold: { zh: "冷缓存（cold）", en: "cold" },
    shared: { zh: "共享前缀（shared）", en: "shared prefix" },
    warm: { zh: "热缓存（warm）", en: "warm" },
  };
  return { zh: `${names[cache.kind].zh}：${empty.zh}`, en: `${names[cache.kind].en}: ${empty.en}` };
}

export function loadsText(points: readonly Point[]): LocalText {
  const loads = points.map(({ load }) => load);
  const of = (textOf: (load: Load) => string | undefined): readonly string[] =>
    distinct(loads.map(textOf).filter((text) => text !== undefined));
  const named: readonly (readonly [readonly string[], LocalText])[] = [
    [
      of((load) => (load.kind === "concurrency" ? String(load.concurrency) : undefined)),
      { zh: "并发", en: "concurrency" },
    ],
    [
      of((load) => (load.kind === "rate" ? `${load.requestRatePerS}/s` : undefined)),
      { zh: "请求速率", en: "request rate" },
    ],
    [
      of((load) =>
        load.kind === "ramp"
          ? `${load.fromPerS}→${load.toPerS}/s（${formatDuration(load.durationMs)}）`
          : undefined,
      ),
      { zh: "爬坡", en: "ramp" },
    ],
    [
      of((load) =>
        load.kind === "trace"
          ? `${load.path}${load.speed === 1 ? "" : ` ×${load.speed}`}`
          : undefined,
      ),
      { zh: "轨迹", en: "trace" },
    ],
  ];
  const written = named.filter(([texts]) => texts.length > 0);
  return {
    zh: written.map(([texts, { zh }]) => `${zh} ${texts.join("、")}`).join("；"),
    en: written
      .map(
        ([texts, { en }]) =>
          `${en} ${texts.join(", ").replaceAll("（", " (").replaceAll("）", ")")}`,
      )
      .join("; "),
  };
}

function loopText(points: readonly Point[]): LocalText {
  const closed = points.filter(({ load }) => load.kind === "concurrency");
  const open = points.filter(({ load }) => load.kind !== "concurrency");
  const [closedLoads, openLoads] = [loadsText(closed), loadsText(open)];
  const arrivals = arrivalsText(open);
  const texts: LocalText[] = [];
  if (closed.length > 0)
    texts.push({
      zh: `闭环，${closedLoads.zh}；一个请求结束，立即补发下一个`,
      en: `closed loop, ${closedLoads.en}; the next request is sent as soon as one ends`,
    });
  if (open.length > 0)
    texts.push({
      zh: `开环，${openLoads.zh}；${arrivals.zh}，不等应答`,
      en: `${closed.length > 0 ? "Open" : "open"} loop, ${openLoads.en}; ${arrivals.en}, whether or not earlier ones were answered`,
    });
  return { zh: texts.map(({ zh }) => zh).join("。"), en: texts.map(({ en }) => en).join(". ") };
}

/** How the requests of open loops arrive: "Poisson arrivals". */
function arrivalsText(points: readonly Point[]): LocalText {
  const texts = points.map(({ load }): LocalText => {
    if (load.kind === "trace" || load.kind === "concurrency")
      return { zh: "按记录的时刻到达", en: "requests arrive as recorded" };
    const { arrivals } = load;
    switch (arrivals.kind) {
      case "constant":
        return { zh: "等间隔到达", en: "requests arrive at even distances" };
      case "poisson":
        return { zh: "泊松到达", en: "Poisson arrivals" };
      case "gamma":
        return {
          zh: `间隔服从 gamma 分布（形状 ${arrivals.shape}，1 为泊松，越小越突发）`,
          en: `gamma-distributed gaps (shape ${arrivals.shape}; 1 is Poisson, less is burstier)`,
        };
      case "burst":
        return {
          zh: `每次同时到达 ${arrivals.size} 个，各次等间隔`,
          en: `bursts of ${arrivals.size} at once, at even distances`,
        };
    }
  });
  return {
    zh: distinct(texts.map(({ zh }) => zh)).join("，"),
    en: distinct(texts.map(({ en }) => en)).join(", "),
  };
}

function warmupText(points: readonly Point[], window: "handover" | "fixed"): LocalText {
  const requests = points.map((point) => point.warmupRequests);
  const most = Math.max(0, ...requests);
  if (most === 0) return { zh: "不预热", en: "none" };
  // A fixed window begins with an idle engine: cohort.ts of bench/ waits for the last warm-up request.
  const then: LocalText =
    window === "handover"
      ? { zh: "不排空，直接进入测量", en: "not drained: the measured ones follow at once" }
      : { zh: "全部结束后才开始测量", en: "and measuring begins when all of them have ended" };
  const wave = firstWaveText(points);
  if (new Set(requests).size === 1) {
    return {
      zh: `每个试次先发 ${formatNumber(most, 0)} 个请求，${then.zh}${wave.zh}`,
      en: `${counted(most, "request")} before each trial, ${then.en}${wave.en}`,
    };
  }
  const loads = loadWords(points);
  const counts = distinctByLoad(
    points,
    requests.map((count) => formatNumber(count, 0)),
  ).join(" / ");
  return {
    zh: `${loads.zh}各先发 ${counts} 个请求，${then.zh}${wave.zh}`,
    en: `${counts} requests at ${loads.en}, ${then.en}${wave.en}`,
  };
}

/** Empty where every first answer is asked for whole, as always in records of old plans. */
function firstWaveText(points: readonly Point[]): LocalText {
  const cut = points.filter(({ firstWave }) => firstWave === "cut");
  if (cut.length === 0) return { zh: "", en: "" };
  const loads = loadWords(cut);
  const isAll = cut.length === points.length;
  return {
    zh: `；${isAll ? "" : loads.zh}各流的首个应答截为随机长度，使各流错开`,
    en: `; ${isAll ? "" : `at ${loads.en} `}the first answer of each stream is cut to a random part, so that the streams are apart`,
  };
}

function measuredText(points: readonly Point[], window: "handover" | "fixed"): LocalText {
  const counts = points.map(({ measured }) => amountText(measured));
  const loads = loadWords(points);
  const zh = distinctByLoad(
    points,
    counts.map((count) => count.zh),
  ).join(" / ");
  const en = distinctByLoad(
    points,
    counts.map((count) => count.en),
  ).join(" / ");
  const unit: LocalText = points.every(({ measured }) => measured.kind === "count")
    ? { zh: " 个请求", en: en === "1" ? " request" : " requests" }
    : { zh: "", en: "" };
  if (points.every(({ load }) => load.kind === "trace")) {
    return {
      zh: `${loads.zh}每轮各测 ${zh}${unit.zh}`,
      en: `${en}${unit.en} a round at ${loads.en}`,
    };
  }
  return window === "handover"
    ? {
        zh: `${loads.zh}每轮各测 ${zh}${unit.zh}；此后补发请求维持负载，直到最后一个被测请求结束`,
        en: `${en}${unit.en} a round at ${loads.en}; then fillers keep the load on until the last measured request ends`,
      }
    : {
        zh: `${loads.zh}每轮各测 ${zh}${unit.zh}；窗口含爬升与排空，与多数工具相同`,
        en: `${en}${unit.en} a round at ${loads.en}; ramp and drain are inside the window, as in most tools`,
      };
}

function amountText(measured: Point["measured"]): LocalText {
  switch (measured.kind) {
    case "count": {
      const requests = formatNumber(measured.requests, 0);
      return { zh: requests, en: requests };
    }
    case "duration": {
      const duration = formatDuration(measured.durationMs);
      return { zh: duration, en: duration };
    }
    case "all":
      return { zh: "整条轨迹", en: "the whole trace" };
  }
}

function loadWords(points: readonly Point[]): LocalText {
  const labels = distinct(points.map(({ load }) => loadNumber(load)));
  const closed = points.every(({ load }) => load.kind === "concurrency");
  return closed
    ? { zh: `并发 ${labels.join(" / ")} `, en: `concurrency ${labels.join(" / ")}` }
    : { zh: `负载 ${labels.join(" / ")} `, en: `load ${labels.join(" / ")}` };
}

function loadNumber(load: Point["load"]): string {
  if (load.kind === "concurrency") return String(load.concurrency);
  if (load.kind === "rate") return `${load.requestRatePerS}/s`;
  return load.kind === "ramp" ? `${load.fromPerS}→${load.toPerS}/s` : load.name;
}

/** One text per load level: variants of one load share it. */
function distinctByLoad(points: readonly Point[], texts: readonly string[]): readonly string[] {
  const byLoad = new Map<string, string>();
  for (const [index, point] of points.entries()) {
    const key = loadNumber(point.load);
    if (!byLoad.has(key)) byLoad.set(key, texts[index] ?? "");
  }
  const all = [...byLoad.values()];
  return new Set(all).size === 1 ? all.slice(0, 1) : all;
}

function roundsText({ experiment, measured }: RecordMaterial, attached: boolean): LocalText {
  const { rounds, repeats, keep } = experiment.measure;
  const ended = onDemandEnd(
    combineFacts(measured.map(({ facts }) => facts))?.onDemand ?? { ends: [] },
  );
  const count: LocalText =
    rounds.kind === "fixed"
      ? {
          zh: `${rounds.count} 轮，测前确定`,
          en: `${counted(rounds.count, "round")}, fixed before the start`,
        }
      : {
          zh: `按需 ${rounds.min} 至 ${rounds.max} 轮，测前声明：输出吞吐、平均 TTFT、p90 TTFT、平均 TPOT 的区间半宽在每个测点都不超过均值的 ${formatShare(rounds.target)} 时停止；${ended.zh}`,
          en: `${rounds.min} to ${rounds.max} rounds on demand, declared before the start: until the half-width of output throughput, mean TTFT, p90 TTFT and mean TPOT is at most ${formatShare(rounds.target)} of the mean at every point; ${ended.en}`,
        };
  const life: LocalText =
    keep || attached
      ? { zh: "；全程同一服务进程", en: "; one server process throughout" }
      : { zh: "；每个变体每轮启动一次引擎", en: "; one engine start per variant and round" };
  const repeat: LocalText =
    repeats > 1
      ? { zh: `；每次启动重复 ${repeats} 次`, en: `; ${repeats} repeats per start` }
      : { zh: "", en: "" };
  return { zh: count.zh + life.zh + repeat.zh, en: count.en + life.en + repeat.en };
}

function sloText(slo: readonly SloLimit[]): LocalText {
  if (slo.length === 0) return { zh: "未规定", en: "none stated" };
  const parts = slo.map(
    ({ metric, percentile, limitMs }) =>
      `${metric.toUpperCase()} p${percentile} ≤ ${formatNumber(limitMs, Number.isInteger(limitMs) ? 0 : 1)} ms`,
  );
  return { zh: parts.join("，"), en: parts.join(", ") };
}

/** A sentence of ours as part of a phrase. */
export function say(zh: string, en: string): TextPart {
  return { text: { zh, en } };
}

/** The values in order, each once. */
export function distinct(values: readonly string[]): readonly string[] {
  return [...new Set(values)];
}
