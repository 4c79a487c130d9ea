// Gaps between the output chunks of many requests, pooled: millions of them in a long trial. Times are
// kept to the microsecond, so nearly all gaps are whole numbers of a small range: they are counted, not
// collected, and mean and percentiles come from the counts, the same as sorting all of them would give.
import { sortAscending } from "./quantiles.ts";
import type { RequestSample } from "./samples.ts";

export interface GapSpread {
  /** Gaps pooled. */
  readonly gaps: number;
  /** Milliseconds; undefined: there is no gap. */
  readonly mean: number | undefined;
  /** Milliseconds, one per percentile asked for. */
  readonly percentiles: readonly (number | undefined)[];
}

type Stream = Pick<RequestSample, "outputChunks" | "chunksAtMs" | "gapsUs">;

/**
 * Mean and percentiles (type 7) of the gaps between successive output chunks of these requests.
 *
 * @param percentiles each 0..100
 * @throws RangeError when a time is not finite, or a percentile lies outside 0..100
 */
export function gapSpread(requests: Iterable<Stream>, percentiles: readonly number[]): GapSpread {
  const pool = new GapPool();
  for (const request of requests) pool.add(request);
  return pool.spread(percentiles);
}

/** Whole gaps below it (some 1.05 s) are counted; a table for all of them takes 4 MiB. */
const countedUs = 2 ** 20;

/** As long as there are fewer, gaps are collected and sorted: a table would cost more than it saves. */
const fewGaps = 4096;

/** Takes in requests one by one and keeps none of them; `spread` may be asked at any time. */
export class GapPool {
  /** By gap in microseconds: how many there are. Grows to the longest gap that is counted. */
  #counts = new Uint32Array(0);
  /** Gaps in microseconds that are not counted: few, long, or not whole, as the first and last of a request. */
  readonly #others: number[] = [];
  /** Where the gaps of a request are laid out; grows with the longest request. */
  #gapsUs = new Float64Array(1024);
  #gaps = 0;
  #sumUs = 0;

  add(request: Stream): void {
    const { outputChunks } = request;
    if (outputChunks < 2) return;
    if (this.#gapsUs.length < outputChunks) this.#gapsUs = new Float64Array(2 * outputChunks);
    const gapsUs = this.#gapsUs;
    if (request.gapsUs === undefined) differences(request.chunksAtMs, outputChunks, gapsUs);
    else request.gapsUs(gapsUs);
    const few = this.#gaps < fewGaps;
    let counts = this.#counts;
    let sumUs = 0;
    for (let chunk = 1; chunk < outputChunks; chunk += 1) {
      const gapUs = gapsUs[chunk] ?? 0;
      sumUs += gapUs;
      if (few || gapUs >>> 0 !== gapUs || gapUs >= countedUs) {
        this.#others.push(gapUs);
        continue;
      }
      if (gapUs >= counts.length) counts = this.#countsUpTo(gapUs);
      counts[gapUs] = (counts[gapUs] ?? 0) + 1;
    }
    this.#sumUs += sumUs;
    this.#gaps += outputChunks - 1;
  }

  #countsUpTo(gapUs: number): Uint32Array<ArrayBuffer> {
    const counts = new Uint32Array(2 ** Math.ceil(Math.log2(gapUs + 1)));
    counts.set(this.#counts);
    this.#counts = counts;
    return counts;
  }

  /** As `gapSpread`, of the requests so far. */
  spread(percentiles: readonly number[]): GapSpread {
    const last = this.#gaps - 1;
    const positions = percentiles.map((percentile) => {
      if (!(percentile >= 0 && percentile <= 100)) {
        throw new RangeError(`a percentile lies in 0..100, got ${percentile}`);
      }
      return last * (percentile / 100);
    });
    const gapAt = this.#gapsAt(positions.flatMap((at) => [Math.floor(at), Math.ceil(at)]));
    return {
      gaps: this.#gaps,
      mean: this.#gaps === 0 ? undefined : this.#sumUs / this.#gaps / 1000,
      percentiles: positions.map((at) => {
        const below = gapAt.get(Math.floor(at));
        const above = gapAt.get(Math.ceil(at));
        if (below === undefined || above === undefined) return undefined;
        return (below + (at - Math.floor(at)) * (above - below)) / 1000;
      }),
    };
  }

  /** The gaps of these ranks, from 0 on, in microseconds. */
  #gapsAt(ranks: readonly number[]): ReadonlyMap<number, number> {
    const found = new Map<number, number>();
    const ascending = ranks.filter((rank) => rank >= 0).sort((a, b) => a - b);
    let place = 0;
    let below = 0;
    for (const { gapUs, count } of this.#ascending()) {
      below += count;
      for (; (ascending[place] ?? below) < below; place += 1)
        found.set(ascending[place] ?? 0, gapUs);
      if (place === ascending.length) break;
    }
    return found;
  }

  /** Every different gap from the least to the greatest, with how many there are. */
  *#ascending(): Generator<{ readonly gapUs: number; readonly count: number }> {
    const counts = this.#counts;
    const others = sortAscending(this.#others);
    let next = 0;
    for (let gapUs = 0; gapUs < counts.length; gapUs += 1) {
      const count = counts[gapUs] ?? 0;
      if (count === 0) continue;
      for (; (others[next] ?? gapUs) < gapUs; next += 1)
        yield { gapUs: others[next] ?? 0, count: 1 };
      yield { gapUs, count };
    }
    for (const gapUs of others.subarray(next)) yield { gapUs, count: 1 };
  }
}

function differences(timesMs: Float64Array, chunks: number, gapsUs: Float64Array): void {
  let previousMs = timesMs[0] ?? 0;
  for (let chunk = 1; chunk < chunks; chunk += 1) {
    const timeMs = timesMs[chunk] ?? previousMs;
    gapsUs[chunk] = (timeMs - previousMs) * 1000;
    previousMs = timeMs;
  }
}
