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
  const sorted = Float64Array.from(samples).sort();
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

/** Below it a part of the samples is sorted. */
const sortedPart = 8192;

/** Parts into which the span of the samples is cut in one pass. */
const selectionParts = 4096;

/**
 * Quantiles of type 7 of samples too many to sort (millions of gaps between tokens): each pass cuts
 * the span that holds the wanted ranks into equal parts and goes on in the part that has them.
 * The same values as `quantile7(sortAscending(samples), p)`.
 *
 * @param ps each 0..1
 * @returns one value per p; undefined when there is no sample
 * @throws RangeError when a sample is not finite, or a p is no quantile
 */
export function selectQuantiles7(
  samples: Float64Array,
  ps: readonly number[],
): readonly (number | undefined)[] {
  if (samples.length <= sortedPart) {
    const sorted = sortAscending(samples);
    return ps.map((p) => quantile7(sorted, p));
  }
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  let checked = 0;
  for (const sample of samples) {
    // Becomes NaN, and stays it, with the first sample that is no finite number.
    checked += sample * 0;
    if (sample < low) low = sample;
    if (sample > high) high = sample;
  }
  if (checked !== 0) throw new RangeError("a sample is not a finite number");
  const ranks = new Set<number>();
  for (const p of ps) {
    if (!(p >= 0 && p <= 1)) throw new RangeError(`a quantile lies in 0..1, got ${p}`);
    const below = Math.floor((samples.length - 1) * p);
    ranks.add(below).add(Math.min(below + 1, samples.length - 1));
  }
  const found = new Map<number, number>();
  selectRanks(samples, { low, high, before: 0 }, [...ranks], found);
  return ps.map((p) => {
    const position = (samples.length - 1) * p;
    const below = found.get(Math.floor(position)) ?? 0;
    const above = found.get(Math.min(Math.floor(position) + 1, samples.length - 1)) ?? below;
    return below + (position - Math.floor(position)) * (above - below);
  });
}

/** Puts the samples of the wanted ranks into `found`; `before` samples of the whole lie below these. */
function selectRanks(
  samples: Float64Array,
  { low, high, before }: { readonly low: number; readonly high: number; readonly before: number },
  ranks: readonly number[],
  found: Map<number, number>,
): void {
  const scale = selectionParts / (high - low);
  if (samples.length <= sortedPart || !Number.isFinite(scale)) {
    const sorted = low === high ? samples : samples.slice().sort();
    for (const rank of ranks) found.set(rank, sorted[rank - before] ?? low);
    return;
  }
  const counts = new Uint32Array(selectionParts);
  for (const sample of samples) {
    const part = partOf(sample, low, scale);
    counts[part] = (counts[part] ?? 0) + 1;
  }
  // By part: 0, or from 1 on which of the wanted parts it is.
  const places = new Uint16Array(selectionParts);
  const wanted: Part[] = [];
  let below = before;
  for (let part = 0; part < selectionParts; part += 1) {
    const count = counts[part] ?? 0;
    const own = ranks.filter((rank) => rank >= below && rank < below + count);
    if (own.length > 0) {
      wanted.push(newPart(own, below, count));
      places[part] = wanted.length;
    }
    below += count;
  }
  for (const sample of samples) {
    const place = places[partOf(sample, low, scale)] ?? 0;
    if (place === 0) continue;
    const part = wanted[place - 1];
    if (part === undefined) continue;
    part.samples[part.filled] = sample;
    part.filled += 1;
    if (sample < part.low) part.low = sample;
    if (sample > part.high) part.high = sample;
  }
  for (const part of wanted) selectRanks(part.samples, part, part.ranks, found);
}

/** Samples of one part of the span, with the ranks that lie in it. */
interface Part {
  readonly ranks: readonly number[];
  /** Samples of the whole that lie below it. */
  readonly before: number;
  readonly samples: Float64Array;
  filled: number;
  low: number;
  high: number;
}

function newPart(ranks: readonly number[], before: number, count: number): Part {
  return {
    ranks,
    before,
    samples: new Float64Array(count),
    filled: 0,
    low: Number.POSITIVE_INFINITY,
    high: Number.NEGATIVE_INFINITY,
  };
}

function partOf(sample: number, low: number, scale: number): number {
  const part = ((sample - low) * scale) | 0;
  return part < selectionParts ? part : selectionParts - 1;
}
