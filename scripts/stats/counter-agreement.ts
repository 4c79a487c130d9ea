// Whether client and server counted the same: the usage that the client was told of all its requests
// of a trial, against what the server's own counters counted meanwhile. Requests that did not complete
// are a bound, since a server may have counted any part of them.
import { counterGrowth, type GrowthRatio, growthRatio } from "./counters.ts";
import type { RequestSample, TrialSamples } from "./samples.ts";

/** Both ends inclusive. */
interface Bounds {
  readonly low: number;
  readonly high: number;
}

type TokenKind = "prompt" | "generation";

/** Why there is nothing to compare. */
export type NoAgreement =
  /** The engine has no such counter. */
  | "no_counter"
  /** The engine was started again within the trial. */
  | "counter_reset"
  /** There is no reading before the first request, or none after the last. */
  | "not_covered"
  /** A completed request came without the server's usage. */
  | "no_usage";

export type CounterAgreement =
  | {
      readonly kind: "compared";
      readonly tokens: TokenKind;
      /** What the client's usage adds up to. */
      readonly client: Bounds;
      /** What the server counted. */
      readonly server: number;
      /** How far the server is outside, as a share of the nearer end; below 0: it counted less. 0: inside. */
      readonly off: number;
    }
  | { readonly kind: "unknown"; readonly tokens: TokenKind; readonly why: NoAgreement };

/**
 * Compares prompt and output tokens of one trial, warm-up and fillers included.
 *
 * @example 10 completed requests of 100 prompt tokens and one that was cut off: the client knows of
 * 1000 to 1100; a server that counted 1100 agrees, one that counted 1320 is off by 0.2
 */
export function counterAgreement(trial: TrialSamples): readonly CounterAgreement[] {
  return [compare(trial, "prompt"), compare(trial, "generation")];
}

function compare(trial: TrialSamples, tokens: TokenKind): CounterAgreement {
  const unknown = (why: NoAgreement): CounterAgreement => ({ kind: "unknown", tokens, why });
  const growth = counterGrowth(
    trial.engine,
    tokens === "prompt" ? "promptTokensTotal" : "generationTokensTotal",
  );
  if (growth.kind === "unread") return unknown("no_counter");
  if (growth.kind === "reset") return unknown("counter_reset");
  if (!isCovered(trial)) return unknown("not_covered");
  const client = clientTokens(trial.requests, tokens);
  if (client === undefined) return unknown("no_usage");
  const { by: server } = growth;
  return { kind: "compared", tokens, client, server, off: offBy(server, client) };
}

/** undefined: a completed request has no count of the server's. */
function clientTokens(requests: readonly RequestSample[], tokens: TokenKind): Bounds | undefined {
  let known = 0;
  let open = 0;
  for (const request of requests) {
    if (request.status !== "completed") {
      if (request.sentAtMs === undefined) continue;
      open += tokens === "prompt" ? request.plannedInputTokens : request.plannedOutputTokens;
      continue;
    }
    const count = tokens === "prompt" ? request.inputTokens : request.outputTokens;
    if (count === undefined || request.tokenSource !== "usage") return undefined;
    known += count;
  }
  return { low: known, high: known + open };
}

/** The counters were read before the first request was sent and after the last one ended. */
function isCovered({ requests, engine }: TrialSamples): boolean {
  const firstSentMs = requests.reduce(
    (least, { sentAtMs }) => Math.min(least, sentAtMs ?? least),
    Number.POSITIVE_INFINITY,
  );
  const lastEndMs = requests.reduce((most, { endedAtMs }) => Math.max(most, endedAtMs), 0);
  const firstReadMs = engine[0]?.atMs;
  const lastReadMs = engine.at(-1)?.atMs;
  return (
    firstReadMs !== undefined &&
    lastReadMs !== undefined &&
    firstReadMs <= firstSentMs &&
    lastReadMs >= lastEndMs
  );
}

/** Distance of a value from an interval as a share of its nearer end; 0 inside. */
function offBy(value: number, { low, high }: Bounds): number {
  if (value > high) return high === 0 ? 1 : (value - high) / high;
  return value < low ? (value - low) / low : 0;
}

/** The hit rate of a trial as both sides tell it. */
export interface HitRateAgreement {
  /** By usage: completed requests, and all others at the best and the worst share seen among those. */
  readonly usage: Bounds;
  /** By the server's counters, a remote cache's hits included, as usage includes them. */
  readonly counters: number;
}

/** undefined: one of the sides tells none, or the counters do not cover the trial. */
export function hitRateAgreement(trial: TrialSamples): HitRateAgreement | undefined {
  if (!isCovered(trial)) return undefined;
  const ratio = savedShare(trial);
  if (ratio.kind !== "ratio") return undefined;
  let asked = 0;
  let cached = 0;
  let open = 0;
  let best = 0;
  let worst = 1;
  for (const {
    status,
    sentAtMs,
    inputTokens,
    cachedTokens,
    plannedInputTokens,
  } of trial.requests) {
    if (status !== "completed") {
      if (sentAtMs !== undefined) open += plannedInputTokens;
      continue;
    }
    if (inputTokens === undefined || inputTokens === 0 || cachedTokens === undefined) {
      return undefined;
    }
    asked += inputTokens;
    cached += cachedTokens;
    best = Math.max(best, cachedTokens / inputTokens);
    worst = Math.min(worst, cachedTokens / inputTokens);
  }
  if (asked === 0) return undefined;
  return {
    usage: {
      low: (cached + worst * open) / (asked + open),
      high: (cached + best * open) / (asked + open),
    },
    counters: ratio.part / ratio.whole,
  };
}

function savedShare({ engine }: TrialSamples): GrowthRatio {
  const own = growthRatio(engine, "prefixHitsTotal", "prefixQueriesTotal");
  if (own.kind === "unread") {
    return growthRatio(engine, "promptTokensCachedTotal", "promptTokensTotal");
  }
  const remote = counterGrowth(engine, "promptTokensRemoteTotal");
  return own.kind === "ratio" && remote.kind === "grown"
    ? { ...own, part: own.part + remote.by }
    : own;
}
