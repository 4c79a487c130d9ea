// Rules about the load: that the planned concurrency was reached, and that requests did not queue in
// the engine. What the prefix cache did is in rules-cache.ts.
import { counterGrowth } from "../stats/counters.ts";
import type { TrialSamples } from "../stats/samples.ts";
import type { TrialMetrics } from "../stats/trial-metrics.ts";
import { achievedConcurrency, readingsIn, throughputWindow } from "../stats/window.ts";
import { formatNumber } from "../units.ts";
import {
  eachPoint,
  found,
  type MeasuredPoint,
  notChecked,
  type Outcome,
  type Rule,
  shareText,
} from "./rule.ts";
import { cacheRule } from "./rules-cache.ts";
import { thresholds } from "./thresholds.ts";

export const loadRules: readonly Rule[] = [
  {
    id: "E2",
    severity: "block",
    name: { zh: "实测并发", en: "Achieved concurrency" },
    text: {
      zh: "实测并发不低于计划并发的 95%；引擎看到的请求数与客户端一致",
      en: "achieved concurrency reaches 95 % of the planned one, and the engine sees as many requests as the client",
    },
    needs: {
      zh: "请求的发送与结束时刻，引擎读数",
      en: "send and end times of requests, engine gauges",
    },
    check: (input) => eachPoint(input, checkConcurrency),
  },
  cacheRule,
  {
    id: "E21",
    severity: "warn",
    name: { zh: "排队与抢占", en: "Queueing and preemption" },
    text: {
      zh: "窗口内引擎没有排队与抢占，KV 缓存占用不超过 95%",
      en: "no request waits or is preempted in the window, KV cache usage up to 95 %",
    },
    needs: { zh: "引擎读数", en: "engine gauges" },
    check: (input) => eachPoint(input, checkQueueing),
  },
];

/** The trial's value of a metric; undefined where it has none. */
function valueIn(trial: TrialMetrics, key: string): number | undefined {
  const value = trial.values.get(key);
  return value?.kind === "value" ? value.value : undefined;
}

function checkConcurrency({ estimates, samples }: MeasuredPoint): readonly Outcome[] {
  const { point, plannedConcurrency: planned } = estimates;
  if (planned === undefined) {
    return [notChecked(point, "开环负载没有计划并发", "an open loop has no planned concurrency")];
  }
  const achieved = estimates.trials
    .map((trial) => valueIn(trial, "concurrency_achieved"))
    .filter((value) => value !== undefined);
  if (achieved.length === 0) {
    return [notChecked(point, "没有吞吐窗口", "there is no throughput window")];
  }
  const least = Math.min(...achieved);
  const share = least / planned;
  const seen = formatNumber(least, 2);
  const outcomes: Outcome[] = [];
  if (share < thresholds.achievedShare.value) {
    const idle = shareText(1 - share);
    outcomes.push(
      found({
        severity: planned >= thresholds.achievedBlocksFrom.value ? "block" : "warn",
        where: point,
        seen: {
          zh: `实测并发 ${seen}，计划 ${planned}，客户端空闲 ${idle.zh}`,
          en: `achieved concurrency ${seen} of ${planned} planned; client slots idle ${idle.en} of the time`,
        },
        expected: {
          zh: `不低于 ${formatNumber(planned * thresholds.achievedShare.value, 2)}`,
          en: `at least ${formatNumber(planned * thresholds.achievedShare.value, 2)}`,
        },
        mend: {
          zh: "查客户端与引擎之间的并发上限，或把这一测点的并发改为实际达到的值",
          en: "look for a cap between client and engine, or name the concurrency that is reached",
        },
        evidence: { achieved: least, planned, share },
      }),
    );
  }
  const heldUp = samples.flatMap((trial) => checkEngineSees(point, trial));
  return [...outcomes, ...heldUp.slice(0, 1)];
}

/** Requests that the client has open and the engine neither runs nor queues are held up in between. */
function checkEngineSees(point: string, trial: TrialSamples): readonly Outcome[] {
  const window = throughputWindow(trial);
  if (window === undefined) return [];
  const inEngine = readingsIn(trial, window).flatMap(({ running, waiting }) =>
    running === undefined || waiting === undefined ? [] : [running + waiting],
  );
  if (inEngine.length < thresholds.engineReadings.value) return [];
  const mean = inEngine.reduce((a, b) => a + b) / inEngine.length;
  const open = achievedConcurrency(trial, window);
  // A few readings of a gauge that jumps say little: only what three standard errors can't explain.
  const squares = inEngine.reduce((sum, seen) => sum + (seen - mean) ** 2, 0);
  const standardError = Math.sqrt(squares / (inEngine.length - 1) / inEngine.length);
  if (mean + 3 * standardError >= thresholds.engineSeesShare.value * open) return [];
  return [
    found({
      severity: "warn",
      where: point,
      seen: {
        zh: `客户端在途 ${formatNumber(open, 2)} 个请求，引擎内运行加排队平均 ${formatNumber(mean, 2)} 个`,
        en: `${formatNumber(open, 2)} requests open at the client, ${formatNumber(mean, 2)} running or waiting in the engine on average`,
      },
      expected: { zh: "两者相差不超过 10%", en: "the two within 10 %" },
      mend: {
        zh: "查代理、网关或连接数上限：请求在到达引擎之前排队",
        en: "look for a proxy, gateway or connection limit: requests queue before the engine",
      },
      evidence: { open, inEngine: mean, readings: inEngine.length, round: trial.round },
    }),
  ];
}

function checkQueueing({ estimates, samples }: MeasuredPoint): readonly Outcome[] {
  const { point } = estimates;
  const readings = samples.map((trial) => {
    const window = throughputWindow(trial);
    return window === undefined ? [] : readingsIn(trial, window);
  });
  const all = readings.flat();
  const waiting = all.map((one) => one.waiting).filter((value) => value !== undefined);
  const kv = all.map((one) => one.kvUsage).filter((value) => value !== undefined);
  const preemptions = readings.reduce((total, trial) => {
    const growth = counterGrowth(trial, "preemptionsTotal");
    return total + (growth.kind === "grown" ? growth.by : 0);
  }, 0);
  if (waiting.length === 0 && kv.length === 0) {
    return [notChecked(point, "窗口内没有引擎读数", "no engine reading fell into a window")];
  }
  const meanWaiting = waiting.length === 0 ? 0 : waiting.reduce((a, b) => a + b) / waiting.length;
  const mostKv = Math.max(0, ...kv);
  if (meanWaiting === 0 && preemptions === 0 && mostKv <= thresholds.kvUsage.value) return [];
  return [
    found({
      severity: "warn",
      where: point,
      seen: {
        zh: `排队平均 ${formatNumber(meanWaiting, 2)} 个请求（最多 ${Math.max(0, ...waiting)}），抢占 ${preemptions} 次，KV 缓存占用最高 ${shareText(mostKv, 0).zh}`,
        en: `${formatNumber(meanWaiting, 2)} requests waiting on average (at most ${Math.max(0, ...waiting)}), ${preemptions} preemptions, KV cache usage up to ${shareText(mostKv, 0).en}`,
      },
      expected: { zh: "不排队，不抢占，不超过 95%", en: "none waiting, no preemption, up to 95 %" },
      mend: {
        zh: "TTFT 含排队时间：读数时说明，或提高引擎的并发上限",
        en: "TTFT holds the time in the queue: say so, or raise the engine's limit",
      },
      evidence: { meanWaiting, preemptions, kvUsage: mostKv, readings: all.length },
    }),
  ];
}
