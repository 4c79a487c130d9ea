// Rules about the load: that the planned concurrency was reached, that prompts were new to the engine,
// and that requests did not queue in it.
import type { LocalText } from "../experiment/experiment.ts";
import type { TrialSamples } from "../stats/samples.ts";
import type { TrialMetrics } from "../stats/trial-metrics.ts";
import { achievedConcurrency, readingsIn, throughputWindow } from "../stats/window.ts";
import { formatNumber } from "../units.ts";
import {
  type AuditInput,
  eachPoint,
  found,
  type MeasuredPoint,
  notChecked,
  type Outcome,
  pass,
  type Rule,
  readyStarts,
  settingOf,
  shareText,
} from "./rule.ts";
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
  {
    id: "E3",
    severity: "block",
    name: { zh: "前缀缓存", en: "Cache policy" },
    text: {
      zh: "提示词互不相同，命中率等于共享前缀应有的值；热缓存的测点最多为有保留",
      en: "prompts are unique and the hit rate is what the shared prefix gives; a warm cache is qualified at best",
    },
    needs: { zh: "提示词摘要，缓存命中，块大小", en: "prompt digests, cache hits, block size" },
    check: (input) => eachPoint(input, (point) => checkCache(input, point)),
  },
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

function checkCache(input: AuditInput, { estimates, samples }: MeasuredPoint): readonly Outcome[] {
  const { point, variant } = estimates;
  const workload = input.experiment.workloads.find(({ name }) => name === estimates.workload);
  if (workload === undefined) {
    return [notChecked(point, "实验中没有这一负载", "the experiment has no such workload")];
  }
  if (workload.cache.kind === "warm") {
    return [
      found({
        severity: "fail",
        where: point,
        seen: {
          zh: "声明为热缓存：提示词相同，预填充大多取自缓存",
          en: "declared warm: prompts are identical and prefill comes mostly from the cache",
        },
        expected: { zh: "冷缓存或共享前缀", en: "a cold cache or a shared prefix" },
        mend: {
          zh: "测量预填充时用 cache: cold",
          en: "use cache: cold where prefill is to be measured",
        },
        evidence: { cache: "warm" },
      }),
    ];
  }
  const repeated = checkUniquePrompts(point, samples);
  if (repeated !== undefined) return [repeated];

  const rates = estimates.trials.map((trial) => valueIn(trial, "hit_rate"));
  const known = rates.filter((rate) => rate !== undefined);
  const length = estimates.inputTokens?.mean;
  if (known.length === 0 && hasNoCache(input, variant)) return [];
  if (known.length === 0 || length === undefined) {
    const why = notChecked(
      point,
      "命中率未知：引擎没有报告前缀缓存命中（提示词唯一性已校验）",
      "hit rate unknown: the engine reports no prefix cache hits (prompts were checked and are unique)",
    );
    return [pass(point), why];
  }
  const shared = workload.cache.kind === "shared" ? workload.cache.tokens : 0;
  const block = blockSizeOf(input, variant);
  const highest = Math.max(...known);
  const templateTokens = workload.endpoint === "chat" ? thresholds.chatTemplateTokens.value : 0;
  const ceiling = (shared + templateTokens) / length;
  if (workload.endpoint === "chat" && highest > ceiling + thresholds.hitRateOff.value) {
    return [
      wrongHitRate(
        point,
        highest,
        {
          zh: `至多 ${shareText(ceiling).zh}（共享前缀与聊天模板）`,
          en: `at most ${shareText(ceiling).en} (shared prefix and chat template)`,
        },
        ceiling,
      ),
    ];
  }
  // A chat template's tokens are shared too, and how many they are is not known here.
  if ((shared > 0 && block === undefined) || workload.endpoint === "chat") {
    const why =
      workload.endpoint === "chat"
        ? notChecked(
            point,
            "聊天模板的 token 数未知，无法算出应有的命中率（提示词唯一性已校验）",
            "the chat template's tokens are not counted, so the expected hit rate is not known (prompts were checked and are unique)",
          )
        : notChecked(
            point,
            "引擎没有给出 KV 块大小，无法算出应有的命中率（提示词唯一性已校验）",
            "the engine does not tell its KV block size, so the expected hit rate is not known (prompts were checked and are unique)",
          );
    return [pass(point), why];
  }
  const expected =
    shared > 0 && block !== undefined ? (Math.floor(shared / block) * block) / length : 0;
  const worst = known.reduce((a, b) => (Math.abs(b - expected) > Math.abs(a - expected) ? b : a));
  if (Math.abs(worst - expected) <= thresholds.hitRateOff.value) return [];
  return [
    wrongHitRate(
      point,
      worst,
      {
        zh: `${shareText(expected, 2).zh} ± 1 个百分点`,
        en: `${shareText(expected, 2).en}, give or take 1 point`,
      },
      expected,
    ),
  ];
}

function wrongHitRate(point: string, hitRate: number, expected: LocalText, bound: number): Outcome {
  return found({
    severity: "block",
    where: point,
    seen: {
      zh: `前缀缓存命中率 ${shareText(hitRate, 2).zh}`,
      en: `prefix cache hit rate ${shareText(hitRate, 2).en}`,
    },
    expected,
    mend: {
      zh: "试次之间清空前缀缓存，或换种子，使提示词不与之前的相同",
      en: "reset the prefix cache between trials, or change the seed so that prompts are new to the engine",
    },
    evidence: { hitRate, expected: bound },
  });
}

/** Prompts that one engine life saw twice, warm-up and filler included. */
function checkUniquePrompts(point: string, samples: readonly TrialSamples[]): Outcome | undefined {
  for (const start of new Set(samples.map((trial) => trial.start))) {
    const sent = samples
      .filter((trial) => trial.start === start)
      .flatMap((trial) => trial.requests)
      .filter((request) => request.sentAtMs !== undefined);
    const unique = new Set(sent.map((request) => request.promptDigest)).size;
    if (unique === sent.length) continue;
    return found({
      severity: "block",
      where: point,
      seen: {
        zh: `第 ${start} 次启动收到 ${sent.length} 个请求，只有 ${unique} 种提示词`,
        en: `engine start ${start} was sent ${sent.length} requests with ${unique} different prompts`,
      },
      expected: { zh: `${sent.length} 种提示词`, en: `${sent.length} different prompts` },
      mend: {
        zh: "每个请求用不同的提示词，或声明 cache: warm",
        en: "give every request its own prompt, or declare cache: warm",
      },
      evidence: { start, requests: sent.length, unique },
    });
  }
  return undefined;
}

/** The engine says that it keeps no prefix cache, at every start. */
function hasNoCache(input: AuditInput, variant: string): boolean {
  const starts = readyStarts(input, variant);
  return (
    starts.length > 0 &&
    starts.every(({ facts }) => settingOf(facts.config, "enable_prefix_caching") === false)
  );
}

function blockSizeOf(input: AuditInput, variant: string): number | undefined {
  for (const { facts } of readyStarts(input, variant)) {
    const size = settingOf(facts.config, "block_size");
    if (typeof size === "number") return size;
  }
  return undefined;
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
    const counts = trial.map((one) => one.preemptionsTotal).filter((value) => value !== undefined);
    return total + Math.max(0, (counts.at(-1) ?? 0) - (counts[0] ?? 0));
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
