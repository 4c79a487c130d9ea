// A thread that never sleeps: it turns its event loop without a pause, so that nothing that arrives has
// to wait until the kernel has woken it. That takes a core; what its turns found says how busy it was.
import { nowMs } from "../units.ts";

export interface Polling {
  /** Milliseconds since the start in which a turn found something to do, or the core was another's. */
  busyMs(): number;
  stop(): void;
}

/** A turn that takes more than so many times the quickest one found something to do. */
const idleTurns = 3;

/** The quickest turn is forgotten by and by: one that was quick by chance does not count for ever. */
const forgets = 1.0001;

/** Keeps the calling thread awake until it is stopped. */
export function startPolling(clock: () => number = nowMs): Polling {
  const startedAtMs = clock();
  let turnedAtMs = startedAtMs;
  let quickestMs = Number.POSITIVE_INFINITY;
  let idleMs = 0;
  const turn = (): void => {
    const atMs = clock();
    const tookMs = atMs - turnedAtMs;
    turnedAtMs = atMs;
    quickestMs = Math.min(tookMs, quickestMs * forgets);
    if (tookMs <= idleTurns * quickestMs) idleMs += tookMs;
    immediate = setImmediate(turn);
  };
  let immediate = setImmediate(turn);
  return {
    busyMs: () => Math.max(0, clock() - startedAtMs - idleMs),
    stop() {
      clearImmediate(immediate);
    },
  };
}
