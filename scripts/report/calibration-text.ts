// A calibration of the client in words for a terminal, and as JSON for scripts.
import type { Calibration } from "../bench/calibration.ts";
import { counted, formatNumber } from "../units.ts";

/** "64 streams x 30/s on 1 thread: event error p50 0.050 ms, p99 0.120 ms; ...". */
export function describeCalibration(calibration: Calibration): string {
  const { load, threads, poll, event, burst, ttft, eventsPerS, cpuShare } = calibration;
  const ms = (value: number): string => formatNumber(value, 3);
  return [
    `${counted(load.streams, "stream")} x ${formatNumber(load.ratePerS, 0)}/s on ${counted(threads, "thread")}${poll === true ? ", polling" : ""}: event error p50 ${ms(event.p50Ms)} ms, p99 ${ms(event.p99Ms)} ms`,
    `in one-step bursts ${ms(burst.p50Ms)} and ${ms(burst.p99Ms)} ms`,
    `TTFT error p99 ${ms(ttft.p99Ms)} ms`,
    `headroom ${formatNumber(eventsPerS / 1e6, 2)} M events/s`,
    `client CPU ${formatNumber(100 * cpuShare, 0)} % of a core`,
  ].join("; ");
}

/** The keys that scripts may rely on, of the last (largest) calibration, and of each. */
export function calibrationsJson(calibrations: readonly Calibration[]): object {
  const each = calibrations.map(calibrationJson);
  return { ...each.at(-1), calibrations: each };
}

function calibrationJson(calibration: Calibration): object {
  const { load, event, burst, gap, ttft, startLag, ...rest } = calibration;
  return {
    streams: load.streams,
    ratePerS: load.ratePerS,
    errorP50Ms: event.p50Ms,
    errorP99Ms: event.p99Ms,
    burstErrorP50Ms: burst.p50Ms,
    burstErrorP99Ms: burst.p99Ms,
    gapErrorP50Ms: gap.p50Ms,
    gapErrorP99Ms: gap.p99Ms,
    ttftErrorP50Ms: ttft.p50Ms,
    ttftErrorP99Ms: ttft.p99Ms,
    startLagP50Ms: startLag.p50Ms,
    startLagP99Ms: startLag.p99Ms,
    ...rest,
  };
}
