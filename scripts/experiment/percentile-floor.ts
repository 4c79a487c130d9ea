// How many requests a percentile needs before its interval exists.

/** Chance left outside the interval on each side: 95 %. */
const tail = 0.025;

/**
 * The smallest count of requests from which a percentile has a distribution-free 95 % interval:
 * the chance that all of them lie below it, and that all lie above it, is at most 2.5 % each
 * (p^M and (1-p)^M, the outermost binomial ranks).
 *
 * @param percentile above 0, below 100
 * @example percentileFloor(90) // 36
 */
export function percentileFloor(percentile: number): number {
  const p = percentile / 100;
  return Math.ceil(Math.log(tail) / Math.log(Math.max(p, 1 - p)));
}
