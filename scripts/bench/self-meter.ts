// How busy a client thread was while it measured: CPU, waiting for a core, event-loop delay, garbage
// collection; and how the readings of several threads become that of their trial.
import { readFileSync } from "node:fs";
import { monitorEventLoopDelay, PerformanceObserver, performance } from "node:perf_hooks";
import { nowMs } from "../units.ts";
import type { ClientReading } from "./request-record.ts";

export interface SelfMeter {
  /** What happened since the meter was started; the meter can't be read again. */
  stop(): ClientReading;
}

/** The histogram holds whole intervals of its own timer, so the timer's period is taken off. */
const delayResolutionMs = 10;

/** Starts to meter the calling thread. `cpuShare` is of one core. */
export function startSelfMeter(readCpu: () => ThreadCpu = threadCpu): SelfMeter {
  const startedAtMs = nowMs();
  const atStart = readCpu();
  const delay = monitorEventLoopDelay({ resolution: delayResolutionMs });
  delay.enable();
  let gcPauseTotalMs = 0;
  const count = (entries: readonly { readonly duration: number }[]): void => {
    for (const { duration } of entries) gcPauseTotalMs += duration;
  };
  const collections = new PerformanceObserver((list) => {
    count(list.getEntries());
  });
  collections.observe({ entryTypes: ["gc"] });

  return {
    stop() {
      count(collections.takeRecords());
      collections.disconnect();
      delay.disable();
      const atEnd = readCpu();
      const elapsedMs = Math.max(nowMs() - startedAtMs, Number.MIN_VALUE);
      const { waitMs } = atStart;
      return {
        threads: 1,
        cpuShare: (atEnd.usedMs - atStart.usedMs) / elapsedMs,
        ...(waitMs === undefined || atEnd.waitMs === undefined
          ? {}
          : { cpuWaitShare: (atEnd.waitMs - waitMs) / elapsedMs }),
        eventLoopDelayP99Ms: delayMs(delay.count === 0 ? 0 : delay.percentile(99)),
        eventLoopDelayMaxMs: delayMs(delay.count === 0 ? 0 : delay.max),
        gcPauseTotalMs,
      };
    },
  };
}

/** The busiest thread's shares and delays; pauses summed. @throws for no reading at all */
export function mergeReadings(readings: readonly ClientReading[]): ClientReading {
  if (readings.length === 0) throw new Error("a trial without a client thread");
  const most = (of: (reading: ClientReading) => number): number => Math.max(...readings.map(of));
  const waits = readings.flatMap(({ cpuWaitShare }) => cpuWaitShare ?? []);
  return {
    threads: readings.length,
    cpuShare: most(({ cpuShare }) => cpuShare),
    ...(waits.length === 0 ? {} : { cpuWaitShare: Math.max(...waits) }),
    eventLoopDelayP99Ms: most(({ eventLoopDelayP99Ms }) => eventLoopDelayP99Ms),
    eventLoopDelayMaxMs: most(({ eventLoopDelayMaxMs }) => eventLoopDelayMaxMs),
    gcPauseTotalMs: readings.reduce((sum, { gcPauseTotalMs }) => sum + gcPauseTotalMs, 0),
  };
}

/** Of the calling thread since it began. */
export interface ThreadCpu {
  readonly usedMs: number;
  /** Ready to run, and no core was free; undefined: this host does not tell. */
  readonly waitMs: number | undefined;
}

/** The kernel's own count where there is one (Linux); else the time that the event loop was busy. */
export function threadCpu(): ThreadCpu {
  try {
    const [used, wait] = readFileSync("/proc/thread-self/schedstat", "utf8").split(" ");
    const usedNs = Number(used);
    const waitNs = Number(wait);
    if (usedNs > 0 && Number.isFinite(waitNs))
      return { usedMs: usedNs / 1e6, waitMs: waitNs / 1e6 };
  } catch {
    // No Linux, or a kernel that keeps no such count.
  }
  return { usedMs: performance.eventLoopUtilization().active, waitMs: undefined };
}

function delayMs(intervalNs: number): number {
  return Math.max(0, intervalNs / 1e6 - delayResolutionMs);
}
