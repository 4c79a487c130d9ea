// How busy the client itself was while it measured: CPU, event-loop delay, garbage collection.
import { monitorEventLoopDelay, PerformanceObserver } from "node:perf_hooks";
import { nowMs } from "../units.ts";
import type { ClientReading } from "./request-record.ts";

export interface SelfMeter {
  /** What happened since the meter was started; the meter can't be read again. */
  stop(): ClientReading;
}

/** The histogram holds whole intervals of its own timer, so the timer's period is taken off. */
const delayResolutionMs = 10;

/** Starts to meter this process. `cpuShare` is of one core: 1.5 is one and a half cores. */
export function startSelfMeter(): SelfMeter {
  const startedAtMs = nowMs();
  const cpuAtStart = process.cpuUsage();
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
      const { user, system } = process.cpuUsage(cpuAtStart);
      const elapsedMs = Math.max(nowMs() - startedAtMs, Number.MIN_VALUE);
      return {
        cpuShare: (user + system) / 1000 / elapsedMs,
        eventLoopDelayP99Ms: delayMs(delay.count === 0 ? 0 : delay.percentile(99)),
        eventLoopDelayMaxMs: delayMs(delay.count === 0 ? 0 : delay.max),
        gcPauseTotalMs,
      };
    },
  };
}

function delayMs(intervalNs: number): number {
  return Math.max(0, intervalNs / 1e6 - delayResolutionMs);
}
