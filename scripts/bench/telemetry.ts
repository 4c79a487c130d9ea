// Watches an engine's own gauges during a trial, over a connection of its own: running, waiting,
// cache use, token counters. A trial never fails because of it.
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "undici";
import type { EngineEndpoint } from "../engine/engine.ts";
import { messageOf } from "../errors.ts";
import { nowMs } from "../units.ts";
import { type EngineGauges, parseMetrics } from "./metrics-text.ts";
import type { EngineReading, WatchEnd } from "./request-record.ts";

export interface WatchOptions {
  /** Time from one reading to the next. */
  readonly everyMs: number;
  /** The trial's zero, a `nowMs()` value. */
  readonly zeroMs: number;
  /** Ends the watch, after one last reading. */
  readonly signal: AbortSignal;
  /** Its "read" events ask for a reading at once, between the regular ones: a phase of the load began. */
  readonly readNow?: EventTarget;
  readonly clock?: () => number;
}

/** Longest to wait for one page. */
const pageMs = 5000;

/**
 * Yields a reading at once, one every `everyMs`, one whenever `readNow` asks, and a last one when the
 * signal comes. Await the first before a load begins, and counters can be compared over the whole
 * trial. An engine without
 * such a page ends the watch at once, with the reason in the return value; a page that fails once in
 * a while is counted and passed over.
 */
export async function* watchEngine(
  endpoint: EngineEndpoint,
  { everyMs, zeroMs, signal, readNow, clock = nowMs }: WatchOptions,
): AsyncGenerator<EngineReading, WatchEnd, undefined> {
  const page = openMetricsPage(endpoint);
  const startedAtMs = clock();
  let readings = 0;
  let missed = 0;
  let costMs = 0;
  let asks = 0;
  let wake = (): void => undefined;
  const onRead = (): void => {
    asks += 1;
    wake();
  };
  readNow?.addEventListener("read", onRead);
  const end = (unavailable?: string): WatchEnd => ({
    readings,
    missed,
    meanCostMs: readings === 0 ? undefined : costMs / readings,
    unavailable,
  });
  try {
    for (;;) {
      const isLast = signal.aborted;
      // Whoever asks while a page is on its way may mean a later moment than that page's.
      const asksBefore = asks;
      const askedAtMs = clock();
      const answer = await page.read();
      const atMs = clock();
      if (answer.kind === "absent" && readings === 0) return end(answer.reason);
      if (answer.kind === "read") {
        readings += 1;
        costMs += atMs - askedAtMs;
        yield { atMs: atMs - zeroMs, ...answer.gauges };
      } else {
        missed += 1;
      }
      if (isLast) return end();
      if (asks > asksBefore) continue;
      const elapsedMs = clock() - startedAtMs;
      const nap = new AbortController();
      wake = () => {
        nap.abort();
      };
      await sleepUnless(AbortSignal.any([signal, nap.signal]), everyMs - (elapsedMs % everyMs));
    }
  } finally {
    readNow?.removeEventListener("read", onRead);
    await page.close();
  }
}

/** After so long of failed reads nobody waits for an engine any more. */
const deadAfterMs = 1000;

/** `unknown`: the engine does not say what runs and waits. */
export type Idleness = "idle" | "busy" | "unknown";

/**
 * Waits until nothing runs or waits on the engine, as a trial must before it begins; at most
 * `limitMs`, else "busy".
 */
export async function waitUntilIdle(
  endpoint: EngineEndpoint,
  {
    limitMs,
    everyMs = 50,
    signal,
    clock = nowMs,
  }: {
    readonly limitMs: number;
    readonly everyMs?: number;
    readonly signal: AbortSignal;
    readonly clock?: () => number;
  },
): Promise<Idleness> {
  const page = openMetricsPage(endpoint);
  const startedAtMs = clock();
  let isKnown = false;
  try {
    for (;;) {
      const answer = await page.read();
      if (answer.kind === "absent") return "unknown";
      // A server that is gone will not become idle.
      if (answer.kind === "failed" && clock() - startedAtMs > deadAfterMs) return "unknown";
      if (answer.kind === "read") {
        const { running, waiting } = answer.gauges;
        if (running === undefined) return "unknown";
        isKnown = true;
        if (running + (waiting ?? 0) === 0) return "idle";
      }
      if (signal.aborted || clock() - startedAtMs >= limitMs) return isKnown ? "busy" : "unknown";
      await sleepUnless(signal, everyMs);
    }
  } finally {
    await page.close();
  }
}

type Answer =
  | { readonly kind: "read"; readonly gauges: EngineGauges }
  /** It has no such page, or nothing on it that we know. */
  | { readonly kind: "absent"; readonly reason: string }
  | { readonly kind: "failed"; readonly reason: string };

/** trtllm-serve answers the first with JSON of its own and has the usual text at the second. */
const metricsPaths = ["/metrics", "/prometheus/metrics"] as const;

const absentStatuses: readonly number[] = [401, 403, 404, 405, 501];

function openMetricsPage(endpoint: EngineEndpoint): {
  readonly read: () => Promise<Answer>;
  readonly close: () => Promise<void>;
} {
  const base = new URL(endpoint.baseUrl);
  const client = new Client(base.origin, { headersTimeout: pageMs, bodyTimeout: pageMs });
  const folder = base.pathname.replace(/\/+$/, "");
  const readPath = async (path: string): Promise<Answer> => {
    try {
      const { statusCode, body } = await client.request({
        path: folder + path,
        method: "GET",
        headers: endpoint.headers,
      });
      const text = await body.text();
      if (absentStatuses.includes(statusCode)) {
        return { kind: "absent", reason: `HTTP ${statusCode} from ${path}` };
      }
      if (statusCode !== 200) return { kind: "failed", reason: `HTTP ${statusCode} from ${path}` };
      const gauges = parseMetrics(text);
      return Object.values(gauges).every((value) => value === undefined)
        ? { kind: "absent", reason: `${path} has no series that benchbook knows` }
        : { kind: "read", gauges };
    } catch (error) {
      return { kind: "failed", reason: messageOf(error) };
    }
  };
  let path: string = metricsPaths[0];
  return {
    async read() {
      const answer = await readPath(path);
      if (answer.kind !== "absent" || path !== metricsPaths[0]) return answer;
      const other = await readPath(metricsPaths[1]);
      if (other.kind === "read") [, path] = metricsPaths;
      return other.kind === "read" ? other : answer;
    },
    close: () => client.destroy(),
  };
}

async function sleepUnless(signal: AbortSignal, durationMs: number): Promise<void> {
  if (signal.aborted) return;
  // An abort is the answer here, not an error.
  await sleep(durationMs, undefined, { signal }).catch(() => undefined);
}
