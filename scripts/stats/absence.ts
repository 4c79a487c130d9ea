// Why a cell is empty, in both languages: every absence has a text, so that no "-" stands alone.
import type { LocalText } from "../experiment/experiment.ts";
import type { Absence } from "./samples.ts";

/** The reasons that `not_defined` and `not_collected` carry in `why`. */
export const absenceReasons = {
  no_window: {
    zh: "没有吞吐窗口：没有测量请求，或窗口长度为零",
    en: "no throughput window: nothing was measured, or no time passed",
  },
  no_output_gap: {
    zh: "没有一个请求有至少两次到达时刻不同的输出",
    en: "no request had output at two different times",
  },
  no_output: {
    zh: "完成的请求都没有输出",
    en: "no completed request carried output",
  },
  no_token_count: {
    zh: "有完成的请求缺少 token 计数",
    en: "a completed request has no token count",
  },
  no_cache_report: {
    zh: "引擎没有报告前缀缓存命中（既无 cached_tokens，也无命中计数）",
    en: "the engine reports no prefix cache hits, neither cached_tokens nor counters",
  },
  no_cache_query: {
    zh: "试次内引擎没有查询过前缀缓存",
    en: "the engine made no prefix cache query in the trial",
  },
  counter_reset: {
    zh: "引擎计数器在试次内变小：引擎重启过",
    en: "an engine counter went down in the trial: the engine restarted",
  },
  no_draft: {
    zh: "试次内引擎没有投机解码的草稿",
    en: "the engine made no speculative draft in the trial",
  },
  no_draft_counter: {
    zh: "引擎没有投机解码计数",
    en: "the engine has no counters of speculative decoding",
  },
  no_gpu: { zh: "引擎不在 GPU 上运行", en: "the engine runs on no GPU" },
  no_gpu_count: {
    zh: "引擎使用的 GPU 数未知",
    en: "how many GPUs the engine uses is not known",
  },
  gpus_unknown: {
    zh: "引擎用的是本机哪几块 GPU 未知",
    en: "which of the machine's GPUs the engine uses is not known",
  },
  gpu_slice: {
    zh: "功率是整块 GPU 的，引擎只用其中的 MIG 实例",
    en: "power is that of whole GPUs, of which the engine has MIG instances",
  },
  no_gpu_power: {
    zh: "没有覆盖窗口的 GPU 功率读数",
    en: "no GPU power readings cover the window",
  },
  no_engine_gauge: {
    zh: "窗口内没有引擎读数",
    en: "no engine reading fell into the window",
  },
  no_slo: { zh: "实验没有给出 SLO", en: "the experiment states no SLO" },
  no_planned_concurrency: {
    zh: "这一负载没有计划并发",
    en: "this load has no planned concurrency",
  },
  closed_loop: {
    zh: "闭环负载：请求随应答发出，没有到达速率",
    en: "a closed loop: requests follow answers and have no rate of arrival",
  },
  no_cold_burst: {
    zh: "预热请求少于并发数，没有完整的首波",
    en: "fewer warm-up requests than streams: no whole first wave",
  },
  no_trial: { zh: "这一测点没有完成的试次", en: "no trial of this point was finished" },
  spread_too_wide: {
    zh: "各轮相差过大，区间无法表示",
    en: "the rounds differ by more than an interval can express",
  },
} as const satisfies Readonly<Record<string, LocalText>>;

export type AbsenceReason = keyof typeof absenceReasons;

/**
 * Why there is no value, or no interval, in one short clause per language.
 *
 * @example absenceText({ kind: "one_round" }).en // "n/a (1 round)"
 */
export function absenceText(absence: Absence): LocalText {
  switch (absence.kind) {
    case "one_round":
      return { zh: "不适用（1 轮）", en: "n/a (1 round)" };
    case "too_few_requests":
    case "rank_out_of_sample":
      return {
        zh: `请求数不足：有 ${absence.have} 个，此分位数至少要 ${absence.need} 个`,
        en: `too few requests: have ${absence.have}, this percentile needs ${absence.need}`,
      };
    case "constant": {
      const step = (10 ** -absence.decimals).toFixed(absence.decimals);
      return {
        zh: `±0（记录精度 ${step}）`,
        en: `±0 at the recorded precision (${step})`,
      };
    }
    case "no_completed_request":
      return { zh: "没有完成的请求", en: "no request completed" };
    case "not_defined":
      return reasonText(absence.why, { zh: "没有定义", en: "not defined" });
    case "not_collected":
      return reasonText(absence.why, { zh: "未采集", en: "not collected" });
  }
}

function reasonText(why: string, prefix: LocalText): LocalText {
  const reason: LocalText = isReason(why) ? absenceReasons[why] : { zh: why, en: why };
  return { zh: `${prefix.zh}：${reason.zh}`, en: `${prefix.en}: ${reason.en}` };
}

function isReason(why: string): why is AbsenceReason {
  return Object.hasOwn(absenceReasons, why);
}
