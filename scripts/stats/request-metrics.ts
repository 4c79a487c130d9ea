// From the clock points of one request to its latencies, each undefined where it has no meaning.
import type { SloLimit } from "../experiment/experiment.ts";
import type { RequestSample } from "./samples.ts";

/** All times in milliseconds. Only a completed request has latencies: a failure is never a zero. */
export interface RequestMetrics {
  /** first - sent; undefined when no chunk carried output. */
  readonly ttftMs: number | undefined;
  /** last - sent; undefined when no chunk carried output. */
  readonly e2eMs: number | undefined;
  /**
   * (E2E - TTFT) / (n - 1) with n output tokens; undefined for n < 2, for an unknown n, and when all
   * output arrived at one instant, which says nothing about the time between tokens.
   */
  readonly tpotMs: number | undefined;
  /** sent - due, also of a failed request; undefined when it was never sent. */
  readonly clientDelayMs: number | undefined;
}

/**
 * The latencies of one request.
 *
 * @example sent 10, first 60, last 360, 7 tokens: TTFT 50, E2E 350, TPOT (350 - 50) / 6 = 50 ms
 */
export function requestMetrics(request: RequestSample): RequestMetrics {
  const { sentAtMs, firstAtMs, lastAtMs, outputTokens } = request;
  const clientDelayMs = sentAtMs === undefined ? undefined : sentAtMs - request.dueAtMs;
  if (
    request.status !== "completed" ||
    sentAtMs === undefined ||
    firstAtMs === undefined ||
    lastAtMs === undefined
  ) {
    return { ttftMs: undefined, e2eMs: undefined, tpotMs: undefined, clientDelayMs };
  }
  const hasGaps = outputTokens !== undefined && outputTokens >= 2 && lastAtMs > firstAtMs;
  return {
    ttftMs: firstAtMs - sentAtMs,
    e2eMs: lastAtMs - sentAtMs,
    tpotMs: hasGaps ? (lastAtMs - firstAtMs) / (outputTokens - 1) : undefined,
    clientDelayMs,
  };
}

/**
 * Whether a request met every limit. A failed request never did; neither did one without output. A
 * limit on TPOT does not bind an answer too short to have one.
 */
export function meetsSlo(request: RequestSample, slo: readonly SloLimit[]): boolean {
  const metrics = requestMetrics(request);
  if (metrics.ttftMs === undefined) return false;
  const seen = { ttft: metrics.ttftMs, tpot: metrics.tpotMs, e2e: metrics.e2eMs };
  return slo.every(({ metric, limitMs }) => {
    const value = seen[metric];
    return value === undefined || value <= limitMs;
  });
}
