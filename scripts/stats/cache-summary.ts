// From the trials of a point to the proof of what its prefix cache did: hits and look-ups by the
// server's counters and by usage, whether it was emptied before, and whether client and server
// counted the same tokens.
import type { CacheReset } from "../engine/engine.ts";
import { cachedByUsage, cacheGrowth } from "./cache-metrics.ts";
import { counterAgreement, type NoAgreement } from "./counter-agreement.ts";
import type { TrialSamples } from "./samples.ts";

/** Tokens that were found in the cache, of those that were looked up. */
export interface CacheHits {
  readonly hits: number;
  readonly asked: number;
  /** Trials that tell it: the sums are of them. */
  readonly trials: number;
}

export type CountedHits =
  | ({ readonly kind: "counted" } & CacheHits)
  /** No trial tells: the engine was started again within it, has no such counter, or never looked. */
  | { readonly kind: "reset" | "unread" | "still" };

/** Tokens as client and server counted them over whole trials, warm-up and fillers included. */
export type CountedTokens =
  | {
      readonly kind: "compared";
      /** Of requests that did not complete a server may have counted any part: hence two ends. */
      readonly client: { readonly low: number; readonly high: number };
      readonly server: number;
      /** How far the server is beyond the nearer end, tokens; below 0: it counted less. 0: inside. */
      readonly off: number;
      readonly trials: number;
    }
  | { readonly kind: "unknown"; readonly why: NoAgreement };

export interface CacheSummary {
  readonly trials: number;
  /** By the server's counters, first reading of a trial to its last. */
  readonly counters: CountedHits;
  /** By usage, completed measured requests; undefined: no trial tells. */
  readonly usage: CacheHits | undefined;
  /** Trials by what became of the request to empty the cache before them. */
  readonly resets: Readonly<Record<CacheReset | "not_asked", number>>;
  readonly promptTokens: CountedTokens;
  readonly outputTokens: CountedTokens;
}

/**
 * What the prefix cache did for a point.
 *
 * @param trials of one point, at least one
 */
export function cacheSummary(trials: readonly TrialSamples[]): CacheSummary {
  const growths = trials.map(({ engine }) => cacheGrowth(engine));
  const counted = growths.filter((growth) => growth.kind === "ratio");
  const usages = trials.flatMap(
    ({ requests }) =>
      cachedByUsage(
        requests.filter(({ phase, status }) => phase === "measured" && status === "completed"),
      ) ?? [],
  );
  const resetsOf = (outcome: CacheReset | undefined): number =>
    trials.filter(({ cacheReset }) => cacheReset === outcome).length;
  return {
    trials: trials.length,
    counters:
      counted.length > 0
        ? { kind: "counted", ...sumOf(counted) }
        : { kind: worstOf(growths.map(({ kind }) => kind)) },
    usage: usages.length > 0 ? sumOf(usages) : undefined,
    resets: {
      done: resetsOf("done"),
      not_offered: resetsOf("not_offered"),
      failed: resetsOf("failed"),
      not_asked: resetsOf(undefined),
    },
    promptTokens: countedTokens(trials, "prompt"),
    outputTokens: countedTokens(trials, "generation"),
  };
}

function sumOf(shares: readonly { readonly part: number; readonly whole: number }[]): CacheHits {
  return {
    hits: shares.reduce((sum, { part }) => sum + part, 0),
    asked: shares.reduce((sum, { whole }) => sum + whole, 0),
    trials: shares.length,
  };
}

/** A counter that was lost goes before one that is not there: it tells of a restart. */
function worstOf(kinds: readonly string[]): "reset" | "unread" | "still" {
  return (["reset", "unread", "still"] as const).find((kind) => kinds.includes(kind)) ?? "unread";
}

function countedTokens(
  trials: readonly TrialSamples[],
  kind: "prompt" | "generation",
): CountedTokens {
  const all = trials.flatMap((trial) =>
    counterAgreement(trial).filter(({ tokens }) => tokens === kind),
  );
  const compared = all.filter((one) => one.kind === "compared");
  const [unknown] = all.filter((one) => one.kind === "unknown");
  if (compared.length === 0) return { kind: "unknown", why: unknown?.why ?? "no_counter" };
  const low = compared.reduce((sum, { client }) => sum + client.low, 0);
  const high = compared.reduce((sum, { client }) => sum + client.high, 0);
  const server = compared.reduce((sum, one) => sum + one.server, 0);
  const off = server > high ? server - high : Math.min(0, server - low);
  return { kind: "compared", client: { low, high }, server, off, trials: compared.length };
}
