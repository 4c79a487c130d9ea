// When a trial has failed too often to go on, and how long a slot rests after a failure.
import type { Limits } from "../experiment/experiment.ts";
import type { RequestRecord } from "./request-record.ts";

/** Everything that is neither completed nor cancelled by us. */
export function isFailure({ status }: Pick<RequestRecord, "status">): boolean {
  return status !== "completed" && status !== "cancelled";
}

/**
 * How many requests of a trial may fail before it is ended: the smaller of the count and the share.
 * The share counts over what has finished, but over no fewer than 20 requests and `expected` as long
 * as more are to come, so that the first few can't decide alone; and one failure is always forgiven
 * unless the limit is 0.
 *
 * @example failuresAllowed({ failureShare: 0.01, failureCount: undefined }, { finished: 9, expected: 8 }) // 1
 */
export function failuresAllowed(
  {
    failureShare,
    failureCount = Number.POSITIVE_INFINITY,
  }: Pick<Limits, "failureShare" | "failureCount">,
  {
    finished,
    expected,
    isLast = false,
  }: {
    readonly finished: number;
    /** Requests that will finish soon, as many as a closed loop's slots twice over. */
    readonly expected: number;
    /** No more measured requests are to come. */
    readonly isLast?: boolean;
  },
): number {
  if (failureShare === 0) return 0;
  const over = isLast ? finished : Math.max(finished, 20, expected);
  return Math.min(failureCount, Math.max(1, failureShare * over));
}

/**
 * Rest of a slot after so many failures in a row: 50 ms, doubled up to 1 s. A server that refuses at
 * once would otherwise be asked thousands of times a second.
 */
export function restAfterFailuresMs(failuresInARow: number): number {
  return failuresInARow === 0 ? 0 : Math.min(1000, 50 * 2 ** (failuresInARow - 1));
}
