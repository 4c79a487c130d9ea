// Gaps between the output chunks of many requests, pooled: millions of them in a long trial, so they
// are laid into one array and their percentiles selected, not sorted.
import { selectQuantiles7 } from "./quantiles.ts";
import type { RequestSample } from "./samples.ts";

export interface GapSpread {
  /** Gaps pooled. */
  readonly gaps: number;
  /** Milliseconds; undefined: there is no gap. */
  readonly mean: number | undefined;
  /** Milliseconds, one per percentile asked for. */
  readonly percentiles: readonly (number | undefined)[];
}

/**
 * Mean and percentiles (type 7) of the gaps between successive output chunks of these requests.
 *
 * @param percentiles each 0..100
 */
export function gapSpread(
  requests: readonly Pick<RequestSample, "outputChunks" | "chunksAtMs">[],
  percentiles: readonly number[],
): GapSpread {
  let count = 0;
  for (const { outputChunks } of requests) count += Math.max(0, outputChunks - 1);
  const gaps = new Float64Array(count);
  let next = 0;
  let sum = 0;
  for (const request of requests) {
    if (request.outputChunks < 2) continue;
    const { chunksAtMs } = request;
    let previous = chunksAtMs[0] ?? 0;
    for (let chunk = 1; chunk < chunksAtMs.length; chunk += 1) {
      const atMs = chunksAtMs[chunk] ?? previous;
      gaps[next] = atMs - previous;
      sum += atMs - previous;
      next += 1;
      previous = atMs;
    }
  }
  return {
    gaps: count,
    mean: count === 0 ? undefined : sum / count,
    percentiles: selectQuantiles7(
      gaps,
      percentiles.map((percentile) => percentile / 100),
    ),
  };
}
