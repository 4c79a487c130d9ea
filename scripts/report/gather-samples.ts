// The trials of a run as stats/ and the audit take them, without holding all their requests: those of
// a trial are read when they are asked for, and let go when others need the room.
import type { RequestSample, TrialSamples } from "../stats/samples.ts";
import type { Store } from "../store/store.ts";
import type { StoredAttempt } from "../store/stored-run.ts";

/** Of each trial the attempt that counts, in the order they were made; `requests` is read on demand. */
export function samplesOnDemand(
  store: Pick<Store, "samplesOfAttempt" | "readingsOf" | "gpuReadingsOf">,
  attempts: readonly StoredAttempt[],
  mostBytes = usualMostBytes,
): readonly TrialSamples[] {
  const shelf = createShelf(mostBytes);
  return attempts
    .filter(({ counts }) => counts)
    .map((attempt) => ({
      trial: attempt.trial,
      point: attempt.point,
      variant: attempt.variant,
      workload: attempt.workload,
      plannedConcurrency: attempt.plannedConcurrency,
      round: attempt.round,
      repeat: attempt.repeat,
      start: attempt.start,
      attempt: attempt.attempt,
      window: attempt.windowKind,
      engine: store.readingsOf(attempt),
      gpus: store.gpuReadingsOf(attempt),
      cacheReset: attempt.cacheReset,
      get requests() {
        return shelf(attempt.trial, () => store.samplesOfAttempt(attempt).requests);
      },
    }));
}

/** Room for every trial of most runs, or for one of 150,000 requests of 100 tokens. */
const usualMostBytes = 64 * 1024 * 1024;

/** Keeps what was asked for last, up to `mostBytes`; the latest stays, however large it is. */
function createShelf(
  mostBytes: number,
): (name: string, read: () => readonly RequestSample[]) => readonly RequestSample[] {
  /** The latest last. */
  const kept = new Map<
    string,
    { readonly requests: readonly RequestSample[]; readonly bytes: number }
  >();
  let bytes = 0;
  return (name, read) => {
    const known = kept.get(name);
    if (known !== undefined) {
      kept.delete(name);
      kept.set(name, known);
      return known.requests;
    }
    const requests = read();
    const own = { requests, bytes: bytesOf(requests) };
    kept.set(name, own);
    bytes += own.bytes;
    for (const [oldest, { bytes: freed }] of kept) {
      if (bytes <= mostBytes || oldest === name) break;
      kept.delete(oldest);
      bytes -= freed;
    }
    return requests;
  };
}

/** About what the samples take as the store packs them. */
function bytesOf(requests: readonly RequestSample[]): number {
  return requests.reduce((sum, { outputChunks }) => sum + 200 + 2 * outputChunks, 0);
}
