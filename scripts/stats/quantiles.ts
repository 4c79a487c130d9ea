// From samples to quantiles: sort once, prove the order by type, read any quantile in constant time.

declare const ascendingBrand: unique symbol;

/** Finite numbers in ascending order; may be empty. Only `sortAscending` makes one. */
export type Ascending = Float64Array & { readonly [ascendingBrand]: true };

/**
 * A sorted copy of the samples.
 *
 * @throws RangeError when a sample is not finite: no value is `undefined`, never NaN, and must have
 * been left out before.
 */
export function sortAscending(samples: readonly number[] | Float64Array): Ascending {
  const sorted = new Float64Array(samples).sort();
  if (!isAscending(sorted)) throw new RangeError("a sample is not a finite number");
  return sorted;
}

function isAscending(samples: Float64Array): samples is Ascending {
  let previous = Number.NEGATIVE_INFINITY;
  for (const sample of samples) {
    if (!Number.isFinite(sample) || sample < previous) return false;
    previous = sample;
  }
  return true;
}

/**
 * Quantile of type 7 (Hyndman and Fan 1996): with h = (n - 1) p, the straight line between the
 * samples at floor(h) and floor(h) + 1. numpy's and R's default.
 *
 * @param p 0..1
 * @returns undefined when there is no sample
 * @example quantile7(sortAscending([1, 2, 3, 4]), 0.5) // 2.5
 */
export function quantile7(sorted: Ascending, p: number): number | undefined {
  if (!(p >= 0 && p <= 1)) throw new RangeError(`a quantile lies in 0..1, got ${p}`);
  const position = (sorted.length - 1) * p;
  const below = sorted[Math.floor(position)];
  if (below === undefined) return undefined;
  const above = sorted[Math.floor(position) + 1] ?? below;
  return below + (position - Math.floor(position)) * (above - below);
}

/** Arithmetic mean; undefined when there is no sample. Summed from small to large, which rounds least. */
export function meanOfSorted(sorted: Ascending): number | undefined {
  return sorted.length === 0 ? undefined : sorted.reduce((a, b) => a + b, 0) / sorted.length;
}
