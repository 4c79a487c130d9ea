// What the prefix cache did for a trial: the hit rate by the client's usage and by the engine's own
// counters, and how much prefill was computed and how much was taken from the cache.
import { sum as sumOf } from "simple-statistics";
import type { AbsenceReason } from "./absence.ts";
import { type GrowthRatio, growthRatio } from "./counters.ts";
import type { RequestSample, TrialSamples } from "./samples.ts";
import {
  absent,
  type Cohort,
  inWindow,
  isNumber,
  notCollected,
  notDefined,
  type TrialValue,
  valueOf,
} from "./trial-value.ts";
import { isWithin, readingsIn, windowSeconds } from "./window.ts";

/** From usage where every completed request has it, else from the engine's counters. */
export function hitRate(cohort: Cohort): TrialValue {
  const { completed } = cohort;
  if (completed.length === 0) return absent({ kind: "no_completed_request" });
  const usage = cachedByUsage(completed);
  return usage === undefined
    ? hitRateByCounters(cohort)
    : valueOf(usage.part / usage.whole, completed.length);
}

/** Cached and all prompt tokens of requests; undefined where one of them does not tell, or there is none. */
export function cachedByUsage(
  requests: readonly RequestSample[],
): { readonly part: number; readonly whole: number } | undefined {
  const inputs = requests.map((request) => request.inputTokens).filter(isNumber);
  const cached = requests.map((request) => request.cachedTokens).filter(isNumber);
  const isWhole = inputs.length === requests.length && cached.length === requests.length;
  const whole = sumOf(inputs);
  return isWhole && whole > 0 ? { part: sumOf(cached), whole } : undefined;
}

/** Of all that the engine looked up from the trial's first reading to its last, warm-up and fillers too. */
export function hitRateByCounters({ trial, completed }: Cohort): TrialValue {
  if (completed.length === 0) return absent({ kind: "no_completed_request" });
  const ratio = cacheGrowth(trial.engine);
  switch (ratio.kind) {
    case "ratio":
      return valueOf(ratio.part / ratio.whole, completed.length);
    case "reset":
      return notCollected("counter_reset");
    case "unread":
      return notCollected("no_cache_report");
    case "still":
      return notDefined("no_cache_query");
  }
}

/**
 * Tokens found and tokens looked up. Engines that do not count their look-ups (SGLang, TensorRT-LLM)
 * tell of each prompt how much of it was cached.
 */
export function cacheGrowth(readings: TrialSamples["engine"]): GrowthRatio {
  const lookups = growthRatio(readings, "prefixHitsTotal", "prefixQueriesTotal");
  return lookups.kind === "unread"
    ? growthRatio(readings, "promptTokensCachedTotal", "promptTokensTotal")
    : lookups;
}

/** A request's prompt counts where its first output fell into the window: by then it was prefilled. */
export function promptThroughput(cohort: Cohort, part: "computed" | "cached"): TrialValue {
  return inWindow(cohort, (window) => {
    const share = cachedShare(cohort);
    if (share.kind === "absent") return share;
    const prefilled = cohort.trial.requests.filter(
      ({ firstAtMs }) => firstAtMs !== undefined && isWithin(firstAtMs, window),
    );
    const tokens = prefilled.map((request) => {
      const input = request.inputTokens ?? request.plannedInputTokens;
      const cached = request.cachedTokens ?? input * share.value;
      return part === "cached" ? cached : input - cached;
    });
    return valueOf(sumOf(tokens) / windowSeconds(window), prefilled.length);
  });
}

/**
 * Share of prompt tokens that were not computed: by usage, else by the counters within the window,
 * where no first wave blurs them, else over the trial. A remote cache saves prefill too. An engine
 * that never asked its cache has a share of 0 and no hit rate.
 */
function cachedShare(cohort: Cohort): TrialValue {
  const { trial, window, completed } = cohort;
  const asUsed = completed.every(({ cachedTokens }) => cachedTokens !== undefined);
  if (!asUsed && window !== undefined) {
    for (const readings of [readingsIn(trial, window), trial.engine]) {
      const saved = growthRatio(readings, "promptTokensCachedTotal", "promptTokensTotal");
      const ratio = saved.kind === "ratio" ? saved : cacheGrowth(readings);
      if (ratio.kind === "ratio") return valueOf(ratio.part / ratio.whole, completed.length);
      if (ratio.kind === "reset") return notCollected("counter_reset");
    }
  }
  const rate = hitRate(cohort);
  const neverAsked =
    rate.kind === "absent" &&
    rate.absence.kind === "not_defined" &&
    rate.absence.why === ("no_cache_query" satisfies AbsenceReason);
  return neverAsked ? valueOf(0, completed.length) : rate;
}

/** Tokens that a draft brought forward on average: the one that every step gives, and those accepted. */
export function specAcceptanceLength({ trial, completed }: Cohort): TrialValue {
  const ratio = growthRatio(trial.engine, "acceptedTokensTotal", "draftsTotal");
  return ratio.kind === "ratio"
    ? valueOf(1 + ratio.part / ratio.whole, completed.length)
    : noDrafts(ratio);
}

/** Share of the drafted tokens that were accepted. */
export function specAcceptanceRate({ trial, completed }: Cohort): TrialValue {
  const ratio = growthRatio(trial.engine, "acceptedTokensTotal", "draftTokensTotal");
  return ratio.kind === "ratio"
    ? valueOf(ratio.part / ratio.whole, completed.length)
    : noDrafts(ratio);
}

function noDrafts({ kind }: Exclude<GrowthRatio, { kind: "ratio" }>): TrialValue {
  if (kind === "reset") return notCollected("counter_reset");
  return kind === "still" ? notDefined("no_draft") : notCollected("no_draft_counter");
}
