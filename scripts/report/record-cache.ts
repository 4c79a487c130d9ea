// From what the prefix cache did at each point to the rows of its proof: declared, expected by block
// arithmetic, counted by the server, told by usage, and whether both sides counted the same tokens.
import type { LocalText, Workload } from "../experiment/experiment.ts";
import type { Point } from "../experiment/plan.ts";
import type { CacheHits, CountedHits, CountedTokens } from "../stats/cache-summary.ts";
import { formatNumber } from "../units.ts";
import type { CacheMaterial, PointMaterial, RecordMaterial } from "./record-material.ts";
import type { Phrase, TextPart } from "./record-parts.ts";
import { say } from "./record-workload.ts";

/** A share with the counts that it is made of, or why there is none. */
export type PrintedShare =
  | { readonly kind: "share"; readonly rate: string; readonly counts: string }
  | { readonly kind: "absent"; readonly why: LocalText };

/** What client and server counted, or why that can't be held against each other. */
export type PrintedTokens =
  | {
      readonly kind: "tokens";
      readonly client: string;
      readonly server: string;
      readonly off: string;
    }
  | { readonly kind: "absent"; readonly why: LocalText };

export interface CacheRow {
  readonly point: string;
  readonly policy: Phrase;
  /** With the arithmetic behind it. */
  readonly expected: Phrase;
  /** Whether that arithmetic is of blocks. */
  readonly hasArithmetic: boolean;
  readonly counters: PrintedShare;
  readonly usage: PrintedShare;
  readonly reset: Phrase;
  readonly promptTokens: PrintedTokens;
  readonly outputTokens: PrintedTokens;
  /** Whether requests that did not complete make the client's count a range. */
  readonly isBounded: boolean;
}

/** A row for every point of which something was measured, in the order of the plan. */
export function cacheRowsOf({ points, measured, experiment }: RecordMaterial): readonly CacheRow[] {
  return points.flatMap((point): readonly CacheRow[] => {
    const own = measured.find((one) => one.point === point.name);
    const workload = experiment.workloads.find(({ name }) => name === point.workload);
    return own === undefined || workload === undefined ? [] : [rowOf(point, workload, own)];
  });
}

function rowOf(point: Point, workload: Workload, measured: PointMaterial): CacheRow {
  const { cache } = measured;
  const { promptTokens, outputTokens } = cache;
  const expected = expectedOf(workload, cache, measured.inputTokens?.mean);
  return {
    point: point.name,
    policy: policyOf(workload),
    expected,
    hasArithmetic: expected.some((part) => "data" in part),
    counters: countersOf(cache),
    usage: usageOf(cache),
    reset: resetOf(cache),
    promptTokens: tokensOf(promptTokens, cache),
    outputTokens: tokensOf(outputTokens, cache),
    isBounded: [promptTokens, outputTokens].some(
      (tokens) => tokens.kind === "compared" && tokens.client.low !== tokens.client.high,
    ),
  };
}

function policyOf({ cache }: Workload): Phrase {
  switch (cache.kind) {
    case "cold":
      return [say("冷缓存", "cold")];
    case "shared": {
      const tokens = formatNumber(cache.tokens, 0);
      return [say(`共享前缀 ${tokens} token`, `${tokens} tokens shared`)];
    }
    case "warm":
      // A warm cache is qualified at best, and must be seen to be one.
      return [{ flag: { zh: "热缓存", en: "warm" } }];
  }
}

/**
 * What the policy lets expect. Hits come in whole blocks, and the last token of a prompt is always
 * computed: of prompts of L tokens that share k, floor(k / B) x B / L.
 */
function expectedOf(
  { cache, endpoint }: Workload,
  { prefixCaching, blockSize }: CacheMaterial,
  length: number | undefined,
): Phrase {
  if (prefixCaching === false)
    return [say("0 %：引擎未启用前缀缓存", "0 %: the engine keeps no prefix cache")];
  if (cache.kind === "cold") return [say("0 %：提示词各不相同", "0 %: no two prompts are alike")];
  if (length === undefined) return [say("未知：没有 token 计数", "not known: no token count")];
  if (blockSize === undefined)
    return [say("未知：引擎未给出块大小", "not known: the engine does not tell its block size")];
  const whole = Number.isInteger(length) ? length : Number(length.toFixed(1));
  const shared = cache.kind === "shared" ? Math.min(cache.tokens, length - 1) : length - 1;
  const rate = (Math.floor(shared / blockSize) * blockSize) / length;
  const l = formatNumber(whole, Number.isInteger(whole) ? 0 : 1);
  const k = cache.kind === "shared" ? formatNumber(cache.tokens, 0) : `(${l} − 1)`;
  const parts: TextPart[] = [
    say(`${formatNumber(rate * 100, 2)} %：`, `${formatNumber(rate * 100, 2)} %: `),
    { data: `⌊${k} / ${blockSize}⌋ × ${blockSize} / ${l}` },
  ];
  if (endpoint === "chat" && cache.kind === "shared") {
    parts.push(say("；对话模板的公共部分另计", "; what the chat template shares comes on top"));
  }
  return parts;
}

function countersOf({ counters, trials, unwatched }: CacheMaterial): PrintedShare {
  if (counters.kind === "counted") return shareOf(counters, trials);
  const why = counters.kind === "unread" ? (unwatched ?? undefined) : undefined;
  return { kind: "absent", why: why === undefined ? noCounters[counters.kind] : watchText(why) };
}

const noCounters: Readonly<Record<Exclude<CountedHits["kind"], "counted">, LocalText>> = {
  reset: {
    zh: "计数器在试次内归零，引擎重启过",
    en: "the counters went back within a trial: the engine restarted",
  },
  unread: {
    zh: "引擎没有前缀缓存计数",
    en: "the engine has no counters of its prefix cache",
  },
  still: { zh: "引擎没有查询过前缀缓存", en: "the engine never looked into a prefix cache" },
};

function usageOf({ usage, trials }: CacheMaterial): PrintedShare {
  return usage === undefined
    ? {
        kind: "absent",
        why: { zh: "没有 cached_tokens", en: "it holds no cached_tokens" },
      }
    : shareOf(usage, trials);
}

function shareOf({ hits, asked, trials }: CacheHits, all: number): PrintedShare {
  const of = trials < all ? ` (${trials}/${all})` : "";
  return {
    kind: "share",
    rate: formatNumber((100 * hits) / asked, 2),
    counts: `${formatNumber(hits, 0)} / ${formatNumber(asked, 0)}${of}`,
  };
}

/**
 * Why a watch of /metrics saw nothing, in both languages.
 *
 * @example watchText("HTTP 404 from /metrics").zh // "/metrics 返回 HTTP 404"
 */
function watchText(why: string): LocalText {
  const [, status, page] = /^HTTP (\d+) from (\S+)$/.exec(why) ?? [];
  if (status !== undefined && page !== undefined)
    return { zh: `${page} 返回 HTTP ${status}`, en: `${page} answers HTTP ${status}` };
  const silent = /^(\S+) has no series that benchbook knows$/.exec(why)?.[1];
  return silent === undefined
    ? { zh: why, en: why }
    : { zh: `${silent} 中没有 benchbook 认识的指标`, en: why };
}

const resetWords: readonly (readonly [keyof CacheMaterial["resets"], LocalText])[] = [
  ["done", { zh: "已清空", en: "emptied" }],
  ["not_offered", { zh: "引擎不提供", en: "not offered" }],
  ["failed", { zh: "清空失败", en: "failed" }],
  ["not_asked", { zh: "未要求", en: "not asked for" }],
];

/** "已清空 3/3": what became of it, where trials differ how many of each. */
function resetOf({ resets, trials }: CacheMaterial): Phrase {
  const seen = resetWords.filter(([outcome]) => resets[outcome] > 0);
  return seen.flatMap(([outcome, { zh, en }], at): TextPart[] => {
    const count = seen.length > 1 ? ` ${resets[outcome]}/${trials}` : "";
    return [...(at === 0 ? [] : [say("，", ", ")]), say(zh + count, en + count)];
  });
}

function tokensOf(tokens: CountedTokens, { unwatched }: CacheMaterial): PrintedTokens {
  if (tokens.kind === "unknown") {
    const why = tokens.why === "no_counter" ? unwatched : undefined;
    return { kind: "absent", why: why === undefined ? noAgreement[tokens.why] : watchText(why) };
  }
  const { client, server, off } = tokens;
  const { low, high } = client;
  const nearest = off > 0 ? high : low;
  const share = nearest === 0 ? undefined : (100 * Math.abs(off)) / nearest;
  const part = share === undefined || off === 0 ? "" : ` (${shareText(share)} %)`;
  return {
    kind: "tokens",
    client:
      low === high ? formatNumber(low, 0) : `${formatNumber(low, 0)} – ${formatNumber(high, 0)}`,
    server: formatNumber(server, 0),
    off: `${off > 0 ? "+" : ""}${formatNumber(off, 0)}${part}`,
  };
}

function shareText(percent: number): string {
  return percent < 0.01 ? "<0.01" : formatNumber(percent, 2);
}

const noAgreement: Readonly<Record<Extract<CountedTokens, { kind: "unknown" }>["why"], LocalText>> =
  {
    no_counter: { zh: "引擎没有 token 计数", en: "the engine does not count tokens" },
    counter_reset: noCounters.reset,
    not_covered: {
      zh: "首个请求之前或最后一个请求之后没有读数",
      en: "no reading before the first request, or none after the last",
    },
    no_usage: {
      zh: "有完成的请求缺少服务端 usage",
      en: "a completed request came without the server's usage",
    },
  };
