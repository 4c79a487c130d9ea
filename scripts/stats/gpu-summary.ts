// From the GPU readings of a point's trials to what its GPUs did within the throughput windows: power,
// clock, heat, use, memory, and how long something held them back.
import { mean as meanOf } from "simple-statistics";
import type { GpuReading } from "../environment/gpu-reading.ts";
import { meanPowerW } from "./gpu-metrics.ts";
import { quantile7, sortAscending } from "./quantiles.ts";
import type { TrialSamples } from "./samples.ts";
import { isNumber } from "./trial-value.ts";
import { throughputWindow, type Window } from "./window.ts";

/** What held a GPU back, in time. undefined: the driver keeps no such counter. */
interface HeldBack {
  /** Heat, by hardware or by software, us. */
  readonly thermalUs: number | undefined;
  readonly powerBrakeUs: number | undefined;
  readonly powerCapUs: number | undefined;
}

/** One GPU over the windows of all trials; undefined: it told none, or not over a whole window. */
interface GpuUse extends HeldBack {
  /** Index as nvidia-smi counts. */
  readonly gpu: number;
  /** Mean over the trials of each window's mean. */
  readonly powerW: number | undefined;
  /** Median over all readings. */
  readonly smClockMhz: number | undefined;
  readonly temperatureC: number | undefined;
  /** Ratio 0..1. */
  readonly utilization: number | undefined;
  readonly memoryUsedMib: number | undefined;
}

export interface GpuSummary extends HeldBack {
  /** Readings within the windows, all GPUs together. */
  readonly readings: number;
  /** Length of all windows together. */
  readonly windowMs: number;
  /** By index, ascending. */
  readonly gpus: readonly GpuUse[];
  /** Of all GPUs together; undefined where one of them told none: a sum that misses a GPU is no sum. */
  readonly powerW: number | undefined;
  /** Medians of the slowest and of the fastest GPU. */
  readonly smClockMhz: { readonly low: number; readonly high: number } | undefined;
  /** Highest reading of any GPU. */
  readonly temperatureC: number | undefined;
  /** Mean over the GPUs, 0..1. */
  readonly utilization: number | undefined;
  /** Highest reading of any one GPU. */
  readonly memoryUsedMib: number | undefined;
}

/**
 * What the GPUs did while a point was measured.
 *
 * @param trials of one point
 * @param wanted indexes of the GPUs that its engine runs on; undefined: all that were read
 * @returns undefined where no reading of them fell into a window
 */
export function gpuSummary(
  trials: readonly TrialSamples[],
  wanted: readonly number[] | undefined,
): GpuSummary | undefined {
  const windows = trials.flatMap((trial) => {
    const window = throughputWindow(trial);
    return window === undefined ? [] : [{ window, readings: trial.gpus }];
  });
  const read = new Set(windows.flatMap(({ readings }) => readings.map(({ gpu }) => gpu)));
  const indexes = [...(wanted ?? read)].sort((a, b) => a - b);
  const spans = indexes.map((gpu) =>
    windows.map(({ window, readings }): Span => {
      const own = readings.filter((reading) => reading.gpu === gpu);
      return { window, readings: own, inside: own.filter((one) => isInside(one, window)) };
    }),
  );
  const readings = spans.flat().reduce((sum, { inside }) => sum + inside.length, 0);
  if (readings === 0) return undefined;
  const gpus = indexes.map((gpu, at) => useOf(gpu, spans[at] ?? []));
  const clocks = gpus.map(({ smClockMhz }) => smClockMhz).filter(isNumber);
  return {
    readings,
    windowMs: windows.reduce((sum, { window }) => sum + window.toMs - window.fromMs, 0),
    gpus,
    powerW: total(gpus.map(({ powerW }) => powerW)),
    smClockMhz:
      clocks.length === 0 ? undefined : { low: Math.min(...clocks), high: Math.max(...clocks) },
    temperatureC: highest(gpus.map(({ temperatureC }) => temperatureC)),
    utilization: average(gpus.map(({ utilization }) => utilization)),
    memoryUsedMib: highest(gpus.map(({ memoryUsedMib }) => memoryUsedMib)),
    thermalUs: total(gpus.map(({ thermalUs }) => thermalUs)),
    powerBrakeUs: total(gpus.map(({ powerBrakeUs }) => powerBrakeUs)),
    powerCapUs: total(gpus.map(({ powerCapUs }) => powerCapUs)),
  };
}

/** One GPU over one window. */
interface Span {
  readonly window: Window;
  /** Of the whole trial. */
  readonly readings: readonly GpuReading[];
  readonly inside: readonly GpuReading[];
}

function isInside({ atMs }: GpuReading, { fromMs, toMs }: Window): boolean {
  return atMs >= fromMs && atMs <= toMs;
}

function useOf(gpu: number, spans: readonly Span[]): GpuUse {
  const inside = (of: (reading: GpuReading) => number | undefined): readonly number[] =>
    spans.flatMap((span) => span.inside.map(of).filter(isNumber));
  const heldBack = (counter: HeldBackCounter): number | undefined =>
    total(spans.map((span) => growthAround(span, counter)));
  const thermal = [heldBack("hwThermalUs"), heldBack("swThermalUs")];
  return {
    gpu,
    powerW: average(spans.map(({ readings, window }) => meanPowerW(readings, window))),
    smClockMhz: quantile7(sortAscending(inside(({ smClockMhz }) => smClockMhz)), 0.5),
    temperatureC: highest(inside(({ temperatureC }) => temperatureC)),
    utilization: average(inside(({ utilization }) => utilization)),
    memoryUsedMib: highest(inside(({ memoryUsedMib }) => memoryUsedMib)),
    // Some drivers keep one of the two.
    thermalUs: thermal.every((us) => us === undefined)
      ? undefined
      : total(thermal.filter(isNumber)),
    powerBrakeUs: heldBack("hwPowerBrakeUs"),
    powerCapUs: heldBack("swPowerCapUs"),
  };
}

type HeldBackCounter = "swPowerCapUs" | "hwThermalUs" | "swThermalUs" | "hwPowerBrakeUs";

/**
 * How far a counter grew from the last reading before a window to the first one after it: what was
 * held back between two readings is not lost. One that was set back counts from there.
 */
function growthAround({ readings, window }: Span, counter: HeldBackCounter): number | undefined {
  const counted = readings.flatMap((reading) => {
    const us = reading[counter];
    return us === undefined ? [] : [{ atMs: reading.atMs, us }];
  });
  const around = [
    ...counted.filter(({ atMs }) => atMs < window.fromMs).slice(-1),
    ...counted.filter(({ atMs }) => atMs >= window.fromMs && atMs <= window.toMs),
    ...counted.filter(({ atMs }) => atMs > window.toMs).slice(0, 1),
  ];
  if (around.length < 2) return undefined;
  return around.reduce((sum, { us }, at) => sum + Math.max(0, us - (around[at - 1]?.us ?? us)), 0);
}

/** undefined where one of them is missing, or there is none. */
function total(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter(isNumber);
  return known.length === 0 || known.length < values.length
    ? undefined
    : known.reduce((a, b) => a + b);
}

function average(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter(isNumber);
  return known.length === 0 ? undefined : meanOf(known);
}

function highest(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter(isNumber);
  return known.length === 0 ? undefined : Math.max(...known);
}
