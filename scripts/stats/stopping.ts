// When rounds on demand end: after a whole round every gating metric of every point is judged by its
// own interval. The rule is declared before the start, so the interval is widened to t(.9875), which
// still covers 95 % although its width decided when to stop.
import { sampleStandardDeviation } from "simple-statistics";
import { isNoisy, logTInterval, neededRounds, onDemandLevel, tInterval } from "./intervals.ts";

/** Metrics whose spread decides: of a comparison as a whole, and of when rounds on demand end. */
export const gatingMetrics = ["output_tps", "ttft.mean", "ttft.p90", "tpot.mean"] as const;
export type GatingMetric = (typeof gatingMetrics)[number];

/** As the experiment declares it. */
export interface StoppingRule {
  /** Half-width over mean, 0..1, above 0. */
  readonly target: number;
  /** Rounds at least, from 2. */
  readonly min: number;
  /** Rounds at most. */
  readonly max: number;
}

/** What the whole rounds so far gave of one metric at one point. */
export interface GatingValues {
  readonly point: string;
  readonly metric: GatingMetric;
  /** One per engine start, or per round within one engine life; a failed round has none. */
  readonly values: readonly number[];
}

/** How wide the interval of one metric at one point is. */
export interface GatingSpread {
  readonly point: string;
  readonly metric: GatingMetric;
  /** Values behind it. */
  readonly count: number;
  /** Mean, or geometric mean where the rounds are noisy; undefined: no value. */
  readonly value: number | undefined;
  /** Half-width over value, with t(.9875); undefined: fewer than two values. */
  readonly share: number | undefined;
  /** Computed in logs; `share` is then that of the wider, upper side. */
  readonly geometric: boolean;
  /** The interval lies within the target, and as many values as rounds were declared at least are behind it. */
  readonly reached: boolean;
}

/** What was decided after a whole round. */
export interface RoundsDecision {
  /** The last whole round. */
  readonly round: number;
  readonly outcome: "go-on" | "reached" | "max";
  /** In order of points and metrics; without metrics that a point does not have. */
  readonly spreads: readonly GatingSpread[];
  /**
   * The round after which the rule is likely to end, from the present spread: the smallest R with
   * t(.9875, R - 1) cv / sqrt R <= target, at most `max`. undefined: some point has no spread yet.
   */
  readonly likelyRounds: number | undefined;
}

/**
 * Decides after a whole round. A metric that has no value at all where the point has others (no TPOT
 * of one-token answers) does not gate; a point without any value is never within the target.
 *
 * @param gating every gating metric of every point that can still be measured
 * @example five rounds of [150, 152, 148, 155, 151]: half-width t(.9875, 4) 2.588 / sqrt 5 = 4.05,
 * 2.7 % of the mean: within 3 %, not within 2 %
 */
export function decideRounds(
  rule: StoppingRule,
  round: number,
  gating: readonly GatingValues[],
): RoundsDecision {
  const having = new Set(gating.flatMap(({ point, values }) => (values.length > 0 ? point : [])));
  const asked = gating.filter(({ point, values }) => values.length > 0 || !having.has(point));
  const spreads = asked.map((cell) => spreadOf(rule, cell));
  const isReached =
    round >= rule.min && spreads.length > 0 && spreads.every(({ reached }) => reached);
  const outcome = isReached ? "reached" : round >= rule.max ? "max" : "go-on";
  const likelyRounds = outcome === "go-on" ? likelyEnd(rule, round, asked) : round;
  return { round, outcome, spreads, likelyRounds };
}

/** The spread that keeps, or last kept, the rule from its end; undefined: none is known. */
export function widestOf(spreads: readonly GatingSpread[]): GatingSpread | undefined {
  return spreads.reduce<GatingSpread | undefined>(
    (widest, spread) =>
      spread.share !== undefined && spread.share > (widest?.share ?? -1) ? spread : widest,
    undefined,
  );
}

function spreadOf(
  { target, min }: StoppingRule,
  { point, metric, values }: GatingValues,
): GatingSpread {
  const base = { point, metric, count: values.length };
  const [only] = values;
  const t = tInterval(values, onDemandLevel);
  if (t === undefined)
    return { ...base, value: only, share: undefined, geometric: false, reached: false };
  const log = isNoisy(t) ? logTInterval(values, onDemandLevel) : undefined;
  const value = log?.value ?? t.mean;
  const half = log === undefined ? t.half : log.high - log.value;
  const reached = values.length >= min && half <= target * Math.abs(value);
  const share = half === 0 ? 0 : value === 0 ? undefined : half / Math.abs(value);
  return { ...base, value, share, geometric: log !== undefined, reached };
}

function likelyEnd(
  rule: StoppingRule,
  round: number,
  gating: readonly GatingValues[],
): number | undefined {
  let likely = Math.max(rule.min, round + 1);
  for (const { values } of gating) {
    const t = tInterval(values, onDemandLevel);
    if (t === undefined) return undefined;
    // Rounds that failed have given no value, and as many more are needed.
    const failed = round - values.length;
    likely = Math.max(likely, failed + roundsFor(rule, values, t));
  }
  return Math.min(likely, rule.max);
}

/** Values that one metric needs, if its spread stays as it is. */
function roundsFor(
  { target, max }: StoppingRule,
  values: readonly number[],
  t: NonNullable<ReturnType<typeof tInterval>>,
): number {
  if (t.sd === 0) return 2;
  if (isNoisy(t) && logTInterval(values, onDemandLevel) !== undefined) {
    // The upper side: exp(h) - 1 <= target.
    const sdOfLogs = sampleStandardDeviation(values.map(Math.log));
    return neededRounds(sdOfLogs, Math.log1p(target), onDemandLevel);
  }
  return t.mean === 0 ? max : neededRounds(t.sd / Math.abs(t.mean), target, onDemandLevel);
}
