// The rule about the prefix cache: what it did has to be what the workload declares, by the server's
// usage and by its counters, each held to block arithmetic and to the other.
import type { LocalText, Workload } from "../experiment/experiment.ts";
import { cachedByUsage, cacheGrowth } from "../stats/cache-metrics.ts";
import { hitRateAgreement } from "../stats/counter-agreement.ts";
import type { RequestSample, TrialSamples } from "../stats/samples.ts";
import { formatNumber } from "../units.ts";
import {
  type AuditInput,
  eachPoint,
  found,
  isLaunched,
  type MeasuredPoint,
  notChecked,
  type Outcome,
  pass,
  plannedVariants,
  type Rule,
  readyStarts,
  settingOf,
  shareText,
} from "./rule.ts";
import { thresholds } from "./thresholds.ts";

export const cacheRule: Rule = {
  id: "E3",
  severity: "block",
  name: { zh: "前缀缓存", en: "Cache policy" },
  text: {
    zh: "提示词互不相同，命中率等于共享前缀应有的值，usage 与引擎计数一致；热缓存的测点最多为有保留",
    en: "prompts are unique, the hit rate is what the shared prefix gives, and usage and the engine's counters agree on it; a warm cache is qualified at best",
  },
  needs: {
    zh: "提示词摘要，cached_tokens 或引擎计数，块大小",
    en: "prompt digests, cached_tokens or engine counters, block size",
  },
  check: (input) => eachPoint(input, (point) => checkCache(input, point)),
};

function checkCache(input: AuditInput, { estimates, samples }: MeasuredPoint): readonly Outcome[] {
  const { point, variant } = estimates;
  const workload = input.experiment.workloads.find(({ name }) => name === estimates.workload);
  if (workload === undefined) {
    return [notChecked(point, "实验中没有这一负载", "the experiment has no such workload")];
  }
  const tallies = samples.flatMap(talliesOf);
  if (workload.cache.kind === "warm") return [declaredWarm(point, tallies)];
  const repeated = checkUniquePrompts(point, samples);
  if (repeated !== undefined) return [repeated];
  const beside = [...checkSourcesAgree(point, samples), ...checkReset(input, point, samples)];
  if (tallies.length === 0) {
    if (hasNoCache(input, variant)) return beside;
    const why = notChecked(
      point,
      "命中率未知：引擎没有报告前缀缓存命中（提示词唯一性已校验）",
      "hit rate unknown: the engine reports no prefix cache hits (prompts were checked and are unique)",
    );
    return [...beside, pass(point), why];
  }
  // What else prompts have in common the rule can't know: the rate is printed, and not judged.
  const load = input.plan.points.find(({ name }) => name === point)?.load;
  if (load?.kind === "trace" || workload.turns > 1 || workload.input.kind === "dataset") {
    const why = notChecked(
      point,
      "轨迹、数据集与多轮对话的提示词自带共享部分，没有应有的命中率可比",
      "prompts of a trace, a dataset or a conversation share parts of their own: there is no rate that they should have",
    );
    return [...beside, pass(point), why];
  }
  return [...checkHitRate(point, tallies, sharingOf(input, variant, workload)), ...beside];
}

/** Tokens that were looked up and found, by one source. */
interface Tally {
  readonly round: number;
  readonly source: "usage" | "counters";
  readonly cached: number;
  readonly asked: number;
  /** The requests that it is of. */
  readonly requests: readonly RequestSample[];
  /** The trial that they are of. */
  readonly trial: TrialSamples;
}

/** By usage of the measured cohort, and by the counters of the whole trial: as many as there are. */
function talliesOf(trial: TrialSamples): readonly Tally[] {
  const { round } = trial;
  const measured = trial.requests.filter(
    ({ phase, status }) => phase === "measured" && status === "completed",
  );
  const usage = cachedByUsage(measured);
  const counters = cacheGrowth(trial.engine);
  const sent = trial.requests.filter(({ sentAtMs }) => sentAtMs !== undefined);
  const of = (
    source: Tally["source"],
    requests: readonly RequestSample[],
    { part, whole }: { readonly part: number; readonly whole: number },
  ): Tally => ({ round, source, cached: part, asked: whole, requests, trial });
  return [
    ...(usage === undefined ? [] : [of("usage", measured, usage)]),
    ...(counters.kind === "ratio" ? [of("counters", sent, counters)] : []),
  ];
}

/** What prompts have in common, and how the engine keeps it. */
interface Sharing {
  /** Tokens that are shared for certain. */
  readonly shared: number;
  /** Tokens that may be shared beside them: a BOS token, a chat template whose length is not known. */
  readonly added: number;
  /** undefined: the engine does not tell its block size. */
  readonly block: number | undefined;
  /** Engines that each have a cache of their own. */
  readonly caches: number;
}

function sharingOf(
  input: AuditInput,
  variant: string,
  { cache, endpoint }: Pick<Workload, "cache" | "endpoint">,
): Sharing {
  const facts = readyStarts(input, variant).map((start) => start.facts);
  const configured = facts.map(({ config }) => settingOf(config, "block_size"));
  return {
    shared: cache.kind === "shared" ? cache.tokens : 0,
    added: endpoint === "chat" ? thresholds.chatTemplateTokens.value : 1,
    block:
      facts.map(({ settings }) => settings.blockSize).find((size) => size !== undefined) ??
      configured.find((size) => typeof size === "number"),
    caches: Math.max(1, ...facts.map(({ settings }) => settings.dataParallel ?? 1)),
  };
}

function checkHitRate(
  point: string,
  tallies: readonly Tally[],
  sharing: Sharing,
): readonly Outcome[] {
  const judged = tallies.map((tally) => {
    const rate = tally.cached / tally.asked;
    const { low, high } = expectedRate(tally, sharing);
    return { tally, rate, low, high, off: rate > high ? rate - high : Math.max(0, low - rate) };
  });
  const worst = judged.reduce((a, b) => (b.off > a.off ? b : a));
  if (worst.off > thresholds.hitRateOff.value) return [wrongHitRate(point, worst, sharing)];
  if (sharing.shared > 0 && sharing.block === undefined) {
    const why = notChecked(
      point,
      "引擎没有给出 KV 块大小，无法算出应有的命中率（提示词唯一性已校验）",
      "the engine does not tell its KV block size, so the expected hit rate is not known (prompts were checked and are unique)",
    );
    return [pass(point), why];
  }
  const widest = judged.reduce((a, b) => (b.high - b.low > a.high - a.low ? b : a));
  if (sharing.added <= 1 || widest.high - widest.low <= thresholds.hitRateOff.value) return [];
  const { low, high } = widest;
  const why = notChecked(
    point,
    `聊天模板的 token 数未知，只校验了命中率在 ${shareText(low).zh} 到 ${shareText(high).zh} 之间（提示词唯一性已校验）`,
    `the chat template's tokens are not counted, so the hit rate was only held to ${shareText(low).en} to ${shareText(high).en} (prompts were checked and are unique)`,
  );
  return [pass(point), why];
}

/**
 * Shares of the prompt tokens that whole blocks of what is shared make up: at least without what may
 * be shared besides and without the requests that came before anything was cached, at most with both.
 */
function expectedRate(
  { requests, trial }: Tally,
  { shared, added, block, caches }: Sharing,
): { readonly low: number; readonly high: number } {
  const early = earlyRequests(trial, caches);
  let asked = 0;
  let least = 0;
  let most = 0;
  for (const request of requests) {
    const length = request.inputTokens ?? request.plannedInputTokens;
    asked += length;
    most += cachedPart(shared + added, length, block ?? 1);
    if (block !== undefined && !early.has(request.index))
      least += cachedPart(shared, length, block);
  }
  return { low: least / asked, high: most / asked };
}

/** Whole blocks of the shared tokens; the last token of a prompt is always computed. */
function cachedPart(shared: number, length: number, block: number): number {
  return Math.floor(Math.min(shared, length - 1) / block) * block;
}

/** Indexes of the requests that were sent before any had output: for each cache, they may have found nothing. */
function earlyRequests({ requests }: TrialSamples, caches: number): ReadonlySet<number> {
  const firstOutputMs = requests.reduce(
    (least, { firstAtMs }) => Math.min(least, firstAtMs ?? least),
    Number.POSITIVE_INFINITY,
  );
  const sent = requests
    .flatMap(({ index, sentAtMs }) => (sentAtMs === undefined ? [] : [{ index, sentAtMs }]))
    .sort((a, b) => a.sentAtMs - b.sentAtMs);
  const first = sent.filter(({ sentAtMs }) => sentAtMs < firstOutputMs).length;
  return new Set(sent.slice(0, first * caches).map(({ index }) => index));
}

function wrongHitRate(
  point: string,
  {
    tally,
    rate,
    low,
    high,
  }: { readonly tally: Tally; readonly rate: number; readonly low: number; readonly high: number },
  { shared, block }: Sharing,
): Outcome {
  const { round, source, cached, asked, requests } = tally;
  const bound = rate > high ? high : low;
  const length = asked / requests.length;
  const arithmetic =
    shared > 0 && block !== undefined
      ? `floor(${shared} / ${block}) x ${block} / ${formatNumber(length, 0)}`
      : undefined;
  const one = shareText(bound, 2);
  const range = { low: shareText(low, 2), high: shareText(high, 2) };
  const isOne = range.low.en === range.high.en;
  return found({
    severity: "block",
    where: point,
    seen: {
      zh: `前缀缓存命中率 ${shareText(rate, 2).zh}（第 ${round} 轮，${sourceName(source).zh}：${asked} 个 token 中命中 ${cached} 个）`,
      en: `prefix cache hit rate ${shareText(rate, 2).en} (round ${round}, ${sourceName(source).en}: ${cached} of ${asked} tokens)`,
    },
    expected: {
      zh: `${isOne ? one.zh : `${range.low.zh} 到 ${range.high.zh}`}，相差不超过 1 个百分点${arithmetic === undefined ? "" : `；${arithmetic}`}`,
      en: `${isOne ? one.en : `${range.low.en} to ${range.high.en}`}, give or take 1 point${arithmetic === undefined ? "" : `; ${arithmetic}`}`,
    },
    mend: {
      zh: "试次之间清空前缀缓存，或换种子，使提示词不与之前的相同",
      en: "reset the prefix cache between trials, or change the seed so that prompts are new to the engine",
    },
    evidence: {
      hitRate: rate,
      expected: bound,
      source,
      round,
      cachedTokens: cached,
      promptTokens: asked,
      sharedTokens: shared,
      ...(block === undefined ? {} : { blockSize: block }),
    },
  });
}

function sourceName(source: Tally["source"]): LocalText {
  return source === "usage"
    ? { zh: "按 usage", en: "by usage" }
    : { zh: "按引擎计数", en: "by the engine's counters" };
}

function declaredWarm(point: string, tallies: readonly Tally[]): Outcome {
  const rates = tallies.map(({ cached, asked }) => cached / asked);
  const highest = rates.length === 0 ? undefined : Math.max(...rates);
  const share = highest === undefined ? undefined : shareText(highest, 2);
  return found({
    severity: "fail",
    where: point,
    seen: {
      zh: `声明为热缓存：提示词相同，预填充大多取自缓存${share === undefined ? "" : `，命中率 ${share.zh}`}`,
      en: `declared warm: prompts are identical and prefill comes mostly from the cache${share === undefined ? "" : `, hit rate ${share.en}`}`,
    },
    expected: { zh: "冷缓存或共享前缀", en: "a cold cache or a shared prefix" },
    mend: {
      zh: "测量预填充时用 cache: cold",
      en: "use cache: cold where prefill is to be measured",
    },
    evidence: { cache: "warm", ...(highest === undefined ? {} : { hitRate: highest }) },
  });
}

/** Usage and counters are two reports of the same look-ups. */
function checkSourcesAgree(point: string, samples: readonly TrialSamples[]): readonly Outcome[] {
  for (const trial of samples) {
    const rates = hitRateAgreement(trial);
    if (rates === undefined) continue;
    const { usage, counters } = rates;
    const off = counters > usage.high ? counters - usage.high : usage.low - counters;
    if (off <= thresholds.hitRatesDiffer.value) continue;
    const nearest = counters > usage.high ? usage.high : usage.low;
    return [
      found({
        severity: "warn",
        where: point,
        seen: {
          zh: `第 ${trial.round} 轮命中率：按 usage ${shareText(nearest, 2).zh}，按引擎计数 ${shareText(counters, 2).zh}`,
          en: `hit rate in round ${trial.round}: ${shareText(nearest, 2).en} by usage, ${shareText(counters, 2).en} by the engine's counters`,
        },
        expected: { zh: "两者相差不超过 0.5 个百分点", en: "the two within half a point" },
        mend: {
          zh: "查引擎前的网关是否自带缓存或改写 usage，是否有别的客户端在用这一引擎",
          en: "look for a gateway that caches or rewrites usage, and for other clients of the engine",
        },
        evidence: { round: trial.round, usage: nearest, counters },
      }),
    ];
  }
  return [];
}

/** A cache that could not be emptied matters where the engine has served something before. */
function checkReset(
  input: AuditInput,
  point: string,
  samples: readonly TrialSamples[],
): readonly Outcome[] {
  const stale = samples.find(
    ({ cacheReset, start, variant }) =>
      cacheReset === "failed" &&
      (plannedVariants(input).some((one) => one.name === variant && !isLaunched(one)) ||
        input.attempts.filter((attempt) => attempt.start === start).length > 1),
  );
  if (stale === undefined) return [];
  return [
    found({
      severity: "warn",
      where: point,
      seen: {
        zh: `第 ${stale.round} 轮试次前清空前缀缓存失败，而引擎在此之前已处理过请求`,
        en: `the prefix cache could not be emptied before the trial of round ${stale.round}, and the engine had served requests before`,
      },
      expected: { zh: "冷缓存的试次前缓存为空", en: "an empty cache before a cold trial" },
      mend: {
        zh: "提示词各不相同，命中率已校验；要从空缓存开始，让引擎允许 /reset_prefix_cache（vLLM：VLLM_SERVER_DEV_MODE=1），或每轮重新启动",
        en: "prompts are unique and the hit rate was checked; to begin with an empty cache let the engine offer /reset_prefix_cache (vLLM: VLLM_SERVER_DEV_MODE=1), or start it afresh for every round",
      },
      evidence: { round: stale.round, start: stale.start },
    }),
  ];
}

/** Prompts that one engine life saw twice, warm-up and filler included. */
function checkUniquePrompts(point: string, samples: readonly TrialSamples[]): Outcome | undefined {
  for (const start of new Set(samples.map((trial) => trial.start))) {
    const digests = new Set<string>();
    let sent = 0;
    for (const { requests } of samples.filter((trial) => trial.start === start)) {
      for (const { sentAtMs, promptDigest } of requests) {
        if (sentAtMs === undefined) continue;
        digests.add(promptDigest);
        sent += 1;
      }
    }
    const unique = digests.size;
    if (unique === sent) continue;
    return found({
      severity: "block",
      where: point,
      seen: {
        zh: `第 ${start} 次启动收到 ${sent} 个请求，只有 ${unique} 种提示词`,
        en: `engine start ${start} was sent ${sent} requests with ${unique} different prompts`,
      },
      expected: { zh: `${sent} 种提示词`, en: `${sent} different prompts` },
      mend: {
        zh: "每个请求用不同的提示词，或声明 cache: warm",
        en: "give every request its own prompt, or declare cache: warm",
      },
      evidence: { start, requests: sent, unique },
    });
  }
  return undefined;
}

/** The engine says that it keeps no prefix cache, at every start. */
function hasNoCache(input: AuditInput, variant: string): boolean {
  const starts = readyStarts(input, variant);
  return starts.length > 0 && starts.every(({ facts }) => facts.settings.prefixCaching === false);
}
