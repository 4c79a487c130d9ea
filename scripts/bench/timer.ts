// Timers that fire when they are due, not a millisecond early or late: what an open loop sends by.
import { nowMs } from "../units.ts";

/** Calls `run` once, `delayMs` from now, never earlier and never before it returns; gives back what cancels it. */
export type SetTimer = (run: () => void, delayMs: number) => () => void;

/** Node's timers count whole milliseconds and may fire almost one early, so they end this long before. */
const coarseMs = 1.5;

/** A timer may watch the clock to the microsecond for at most a tenth of its time. */
const shortestWatchedMs = 10;

/**
 * A timer on the machine's clock. The last millisecond of a long wait is spent turning the event
 * loop, which serves the streams in flight on every turn; a short wait is only as fine as Node's
 * timers, since a thread that turns its loop all the time measures with less of its core.
 */
export const setPreciseTimer: SetTimer = (run, delayMs) => {
  const dueAtMs = nowMs() + delayMs;
  let timeout: NodeJS.Timeout | undefined;
  let immediate: NodeJS.Immediate | undefined;
  const wait = (): void => {
    const restMs = dueAtMs - nowMs();
    if (restMs <= 0) run();
    else if (restMs > coarseMs) timeout = setTimeout(wait, restMs - 1);
    else if (delayMs >= shortestWatchedMs) immediate = setImmediate(wait);
    else timeout = setTimeout(wait, restMs);
  };
  if (delayMs > 0) wait();
  else immediate = setImmediate(run);
  return () => {
    clearTimeout(timeout);
    clearImmediate(immediate);
  };
};
