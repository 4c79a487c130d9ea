// Rules about the load: that the planned concurrency was reached, and that requests did not queue in
// the engine. What the prefix cache did is in rules-cache.ts.
import type { Load } from "../experiment/experiment.ts";
import { counterGrowth } from "../stats/counters.ts";
import type { TrialSamples } from "../stats/samples.ts";
import type { TrialMetrics } from "../stats/trial-metrics.ts";
import {
  achievedConcurrency,
  arrivalsIn,
  completionsIn,
  edgesOf,
  endsUnderLoad,
  readingsIn,
  throughputWindow,
} from "../stats/window.ts";
import { formatNumber } from "../units.ts";
import {
  type AuditInput,
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
    name: { zh: "实测负载", en: "Achieved load" },
    text: {
      zh: "闭环：实测并发不低于计划并发的 95%。开环：QPS 不低于到达速率的 95%，在途请求不增长。引擎看到的请求数与客户端一致",
      en: "closed loop: achieved concurrency reaches 95 % of the planned one; open loop: QPS reaches 95 % of the offered rate and requests in flight do not grow; the engine sees as many requests as the client",
    },
    needs: {
      zh: "请求的发送与结束时刻，引擎读数",
      en: "send and end times of requests, engine gauges",
    },
    check: (input) => eachPoint(input, (measured) => checkLoad(input, measured)),
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

function checkLoad({ plan }: AuditInput, measured: MeasuredPoint): readonly Outcome[] {
  const { estimates, samples } = measured;
  const { point, plannedConcurrency } = estimates;
  const load = plan.points.find(({ name }) => name === point)?.load;
  const reached =
    plannedConcurrency === undefined
      ? checkKeptUp(measured, load)
      : checkConcurrency(estimates, plannedConcurrency);
  const heldUp = samples.flatMap((trial) => checkEngineSees(point, trial));
  return [...reached, ...heldUp.slice(0, 1)];
}

/** Whether the server answered as much as arrived. */
function checkKeptUp(
  { estimates: { point, trials }, samples }: MeasuredPoint,
  load: Load | undefined,
): readonly Outcome[] {
  if (load?.kind === "ramp") {
    return [notChecked(point, "爬坡期间速率一直在变，没有稳态", "a ramp has no steady state")];
  }
  if (!samples.every(endsUnderLoad)) {
    return [
      notChecked(
        point,
        "窗口含排空，全部请求都在其中完成",
        "the window holds the drain, so all that arrived was answered in it",
      ),
    ];
  }
  const valuesOf = (key: string): readonly number[] =>
    trials.map((trial) => valueIn(trial, key)).filter((value) => value !== undefined);
  const qps = meanOf(valuesOf("qps"));
  const offered = meanOf(valuesOf("offered_rate"));
  if (qps === undefined || offered === undefined || offered === 0) {
    return [notChecked(point, "没有吞吐窗口", "there is no throughput window")];
  }
  const share = qps / offered;
  const growth = meanOf(valuesOf("in_flight_growth")) ?? 0;
  const isBelow = share < thresholds.keptUpShare.value;
  const isSaturated = isBelow && isBeyondChance(samples);
  if (!isBelow && !samples.every(grows)) return [];
  const [seenQps, seenOffered] = [formatNumber(qps, 3), formatNumber(offered, 3)];
  const grown = formatNumber(growth, 1);
  return [
    found({
      severity: isSaturated ? "fail" : "warn",
      where: point,
      seen: {
        zh: `${isSaturated ? "饱和" : "接近饱和"}：到达 ${seenOffered}/s，完成 ${seenQps}/s（${shareText(share).zh}），窗口内在途请求增长 ${grown} 个`,
        en: `${isSaturated ? "saturated" : "nearly saturated"}: ${seenOffered}/s arrived and ${seenQps}/s completed (${shareText(share).en}); requests in flight grew by ${grown} over the window`,
      },
      expected: {
        zh: "完成不低于到达的 95%，在途请求不增长",
        en: "at least 95 % of what arrives completed, requests in flight level",
      },
      mend: {
        zh: "时延随测量时长而增，不是稳态值：降低速率，或只把这一行当作吞吐上限来读",
        en: "latencies grow with the length of the trial and are no steady values: lower the rate, or read the row as the most that is served",
      },
      evidence: { qps, offered, share, growth },
    }),
  ];
}

/**
 * Whether more arrived than was answered by more than chance. At a steady load the requests in flight
 * at two far instants are about Poisson, so their difference has a variance of twice their mean.
 */
function isBeyondChance(samples: readonly TrialSamples[]): boolean {
  let shortfall = 0;
  let variance = 0;
  for (const trial of samples) {
    const window = throughputWindow(trial);
    if (window === undefined) continue;
    shortfall += arrivalsIn(trial, window) - completionsIn(trial, window).length;
    variance += 2 * edgesOf(trial, window).first;
  }
  return shortfall > 2 * Math.sqrt(variance);
}

/** Whether many more requests are in flight at the end of the window than at its begin. */
function grows(trial: TrialSamples): boolean {
  const window = throughputWindow(trial);
  if (window === undefined) return false;
  const { first, last } = edgesOf(trial, window);
  return (
    last > first * thresholds.inFlightGrowth.value &&
    last - first > thresholds.inFlightGrowthFrom.value
  );
}

function meanOf(values: readonly number[]): number | undefined {
  return values.length === 0 ? undefined : values.reduce((a, b) => a + b) / values.length;
}

function checkConcurrency(
  { point, trials }: MeasuredPoint["estimates"],
  planned: number,
): readonly Outcome[] {
  const achieved = trials
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
  return outcomes;
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
