// From an engine's readings to what its counters counted between them. A counter that goes down was
// begun anew with its engine: what it counted is lost, and nothing is said rather than less.
import type { EngineReading } from "../bench/request-record.ts";

/** The readings that only grow while an engine lives. */
export type EngineCounter =
  | "promptTokensTotal"
  | "promptTokensCachedTotal"
  | "promptTokensRemoteTotal"
  | "generationTokensTotal"
  | "prefixQueriesTotal"
  | "prefixHitsTotal"
  | "preemptionsTotal"
  | "draftsTotal"
  | "draftTokensTotal"
  | "acceptedTokensTotal";

export type Growth =
  | { readonly kind: "grown"; readonly by: number }
  /** It went down: the engine was started again. */
  | { readonly kind: "reset" }
  /** Fewer than two readings have it. */
  | { readonly kind: "unread" };

/**
 * What a counter counted from the first to the last of the readings that have it.
 *
 * @param readings ascending in time
 * @example 1000, 1200, 1500: grown by 500. 1000, 40, 300: reset
 */
export function counterGrowth(readings: readonly EngineReading[], counter: EngineCounter): Growth {
  const values = readings.map((reading) => reading[counter]).filter((value) => value !== undefined);
  const [first] = values;
  const last = values.at(-1);
  if (first === undefined || last === undefined || values.length < 2) return { kind: "unread" };
  const fell = values.some((value, index) => value < (values[index - 1] ?? value));
  return fell ? { kind: "reset" } : { kind: "grown", by: last - first };
}

/** How one counter grew in proportion to another: part / whole. */
export type GrowthRatio =
  | { readonly kind: "ratio"; readonly part: number; readonly whole: number }
  | { readonly kind: "reset" }
  | { readonly kind: "unread" }
  /** The whole did not grow. */
  | { readonly kind: "still" };

/** The growth of two counters over the same readings. */
export function growthRatio(
  readings: readonly EngineReading[],
  part: EngineCounter,
  whole: EngineCounter,
): GrowthRatio {
  const ofPart = counterGrowth(readings, part);
  const ofWhole = counterGrowth(readings, whole);
  if (ofPart.kind === "reset" || ofWhole.kind === "reset") return { kind: "reset" };
  if (ofPart.kind === "unread" || ofWhole.kind === "unread") return { kind: "unread" };
  return ofWhole.by === 0
    ? { kind: "still" }
    : { kind: "ratio", part: ofPart.by, whole: ofWhole.by };
}
