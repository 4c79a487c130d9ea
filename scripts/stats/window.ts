// From the requests of a trial to its throughput window and what happened inside it: completions,
// tokens, requests in flight.
import type { RequestSample, TrialSamples } from "./samples.ts";

/**
 * A span of a trial. An event belongs to it when from < t <= to, so that windows laid end to end
 * count each event once.
 */
export interface Window {
  readonly fromMs: number;
  readonly toMs: number;
}

/**
 * The throughput window of a trial.
 *
 * `handover`: from the dispatch of the first measured request to the dispatch of the first filler;
 * at one stream, or when no filler was sent, to the end of the last measured request.
 * Open loop: from when the first measured request was due to when the first filler was; where no
 * filler came (a trace that ended), to the end of the last measured request.
 * `fixed`: from the dispatch of the first measured request to the end of the last one, ramp and
 * drain counted, as most tools do.
 *
 * @returns undefined when no request was measured or no time passed
 */
export function throughputWindow(trial: TrialSamples): Window | undefined {
  const measured = trial.requests.filter((request) => request.phase === "measured");
  const fillers = trial.requests.filter((request) => request.phase === "filler");
  // An arrival belongs to the window in which it was due, however late it was sent.
  const placeOf = isOpenLoop(trial) && trial.window === "handover" ? dueAtMsOf : dispatchedAtMs;
  const fromMs = least(measured.map(placeOf));
  const lastEndMs = greatest(measured.map((request) => request.endedAtMs));
  const handsOver = trial.window === "handover" && trial.plannedConcurrency !== 1;
  const handoverMs = handsOver ? least(fillers.map(placeOf)) : undefined;
  const toMs = handoverMs ?? lastEndMs;
  return fromMs === undefined || toMs === undefined || toMs <= fromMs
    ? undefined
    : { fromMs, toMs };
}

/** Whether the requests of a trial arrived whether or not earlier ones were answered. */
export function isOpenLoop({
  plannedConcurrency,
}: Pick<TrialSamples, "plannedConcurrency">): boolean {
  return plannedConcurrency === undefined;
}

/** Whether a window ended while requests still arrived: only then do rates in it say what was kept up with. */
export function endsUnderLoad(trial: TrialSamples): boolean {
  return trial.window === "handover" && trial.requests.some(({ phase }) => phase === "filler");
}

/** Requests that were due in the window, of any phase: in an open loop what arrived. */
export function arrivalsIn(trial: TrialSamples, window: Window): number {
  return trial.requests.filter(({ dueAtMs }) => dueAtMs >= window.fromMs && dueAtMs < window.toMs)
    .length;
}

/** Length of a window in seconds, above 0. */
export function windowSeconds(window: Window): number {
  return (window.toMs - window.fromMs) / 1000;
}

/** Whether an event at `atMs` belongs to the window. */
export function isWithin(atMs: number, window: Window): boolean {
  return atMs > window.fromMs && atMs <= window.toMs;
}

/** Requests of any phase that completed inside the window: those that began before it stand for those that end after it. */
export function completionsIn(trial: TrialSamples, window: Window): readonly RequestSample[] {
  return trial.requests.filter(
    (request) => request.status === "completed" && isWithin(request.endedAtMs, window),
  );
}

/**
 * Output tokens of one request that were emitted inside the window: its tokens spread evenly over
 * its output chunks, chunks counted by arrival. All of them at its end when no chunk carried output.
 *
 * @returns 0 when its token count is not known, as of a request that failed before its usage came
 * @example 12 tokens in 4 chunks, 3 of them inside: 9
 */
export function windowTokensOf(request: RequestSample, window: Window): number {
  const tokens = request.outputTokens ?? 0;
  const { firstAtMs, lastAtMs } = request;
  // Most streams lie wholly on one side; only the others have to be unpacked.
  if (firstAtMs !== undefined && lastAtMs !== undefined) {
    if (lastAtMs <= window.fromMs || firstAtMs > window.toMs) return 0;
    if (firstAtMs > window.fromMs && lastAtMs <= window.toMs) return tokens;
  }
  const chunks = request.chunksAtMs;
  if (chunks.length === 0) return isWithin(request.endedAtMs, window) ? tokens : 0;
  const inside = countUpTo(chunks, window.toMs) - countUpTo(chunks, window.fromMs);
  return (tokens * inside) / chunks.length;
}

/**
 * Achieved concurrency: time integral of requests in flight (sent, and stream not closed; waiting in
 * the engine counts) over the window, divided by its length. Requests, not whole.
 */
export function achievedConcurrency(trial: TrialSamples, window: Window): number {
  let inFlightMs = 0;
  for (const { sentAtMs, endedAtMs } of trial.requests) {
    if (sentAtMs === undefined) continue;
    const overlapMs = Math.min(endedAtMs, window.toMs) - Math.max(sentAtMs, window.fromMs);
    inFlightMs += Math.max(0, overlapMs);
  }
  return inFlightMs / (window.toMs - window.fromMs);
}

/** Mean requests in flight in the first and in the last quarter of a window. */
export function edgesOf(
  trial: TrialSamples,
  { fromMs, toMs }: Window,
): { readonly first: number; readonly last: number } {
  const quarterMs = (toMs - fromMs) / 4;
  return {
    first: achievedConcurrency(trial, { fromMs, toMs: fromMs + quarterMs }),
    last: achievedConcurrency(trial, { fromMs: toMs - quarterMs, toMs }),
  };
}

/** Readings of the engine inside the window, its first instant included. */
export function readingsIn(trial: TrialSamples, window: Window): TrialSamples["engine"] {
  return trial.engine.filter(({ atMs }) => atMs >= window.fromMs && atMs <= window.toMs);
}

/** When a request was dispatched: sent, or due where it never got a socket. */
export function dispatchedAtMs(request: RequestSample): number {
  return request.sentAtMs ?? request.dueAtMs;
}

function dueAtMsOf({ dueAtMs }: RequestSample): number {
  return dueAtMs;
}

/** How many of the ascending times are <= `atMs`. */
function countUpTo(ascendingMs: Float64Array, atMs: number): number {
  let low = 0;
  let high = ascendingMs.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ascendingMs[middle] ?? Number.POSITIVE_INFINITY) <= atMs) low = middle + 1;
    else high = middle;
  }
  return low;
}

function least(values: readonly number[]): number | undefined {
  return values.length === 0 ? undefined : values.reduce((a, b) => Math.min(a, b));
}

function greatest(values: readonly number[]): number | undefined {
  return values.length === 0 ? undefined : values.reduce((a, b) => Math.max(a, b));
}
