// What a trial cost in GPUs: energy from their power readings, throughput from their number. Which
// GPUs are an engine's own is told from its parallelism and from the devices that it was shown.
import type { EngineFacts } from "../engine/engine.ts";
import type { GpuReading } from "../environment/gpu-reading.ts";
import {
  type Cohort,
  inWindow,
  isNumber,
  notCollected,
  notDefined,
  type TrialValue,
  valueOf,
} from "./trial-value.ts";
import type { Window } from "./window.ts";

/** The GPUs that an engine runs on. */
export interface EngineGpus {
  /** undefined: not known; 0: it runs on none. */
  readonly count: number | undefined;
  /** As nvidia-smi counts; undefined: not known which. */
  readonly indexes: readonly number[] | undefined;
  /** It has slices of them alone, of which the power is not told apart. */
  readonly isSliced?: boolean;
}

/** Of an engine of which nothing is known. */
export const unknownGpus: EngineGpus = { count: undefined, indexes: undefined };

const visibilityVariables: readonly string[] = [
  "CUDA_VISIBLE_DEVICES",
  "HIP_VISIBLE_DEVICES",
  "ROCR_VISIBLE_DEVICES",
  "ASCEND_RT_VISIBLE_DEVICES",
];

/**
 * The GPUs of an engine: as many as its tensor, pipeline and data parallelism multiply to, else the
 * only one that it can see. Of GPUs that are alike CUDA counts in nvidia-smi's order.
 *
 * @param hostGpus how many its host has; undefined: not read
 * @example TP 2, CUDA_VISIBLE_DEVICES=4,5,6,7: 2 GPUs, indexes 4 and 5
 */
export function engineGpus(
  { settings, env }: Pick<EngineFacts, "settings" | "env">,
  hostGpus: number | undefined,
): EngineGpus {
  if (hostGpus === 0) return { count: 0, indexes: [] };
  const shown = visibilityVariables.map((name) => env[name]).find((value) => value !== undefined);
  const visible = shown
    ?.split(",")
    .map((device) => device.trim())
    .filter((device) => device !== "");
  const sizes = [settings.tensorParallel, settings.pipelineParallel, settings.dataParallel];
  const available = visible?.length ?? hostGpus;
  const count = sizes.some(isNumber)
    ? sizes.reduce<number>((product, size) => product * (size ?? 1), 1)
    : available === 1
      ? 1
      : undefined;
  if (count === undefined) return unknownGpus;
  if (visible === undefined) {
    const all = count === hostGpus;
    return { count, indexes: all ? Array.from({ length: count }, (_, index) => index) : undefined };
  }
  const named = visible.every((device) => /^\d+$/.test(device)) && visible.length >= count;
  return { count, indexes: named ? visible.slice(0, count).map(Number) : undefined };
}

/** Output throughput per GPU. */
export function throughputPerGpu(output: TrialValue, { count }: EngineGpus): TrialValue {
  if (count === undefined) return notCollected("no_gpu_count");
  if (count === 0) return notDefined("no_gpu");
  return output.kind === "absent" ? output : valueOf(output.value / count, output.requests);
}

/** GPU energy over the window, per output token emitted in it. */
export function energyPerToken(
  cohort: Cohort,
  output: TrialValue,
  { count, indexes, isSliced = false }: EngineGpus,
): TrialValue {
  if (count === 0) return notDefined("no_gpu");
  if (isSliced) return notDefined("gpu_slice");
  return inWindow(cohort, (window) => {
    if (output.kind === "absent") return output;
    const read = [...new Set(cohort.trial.gpus.map(({ gpu }) => gpu))];
    // Others than the engine's own would be paid for too.
    const isAll = read.length === 0 || read.length === (count ?? 1);
    const own = indexes ?? (isAll ? read : undefined);
    if (own === undefined) return notCollected("gpus_unknown");
    const powersW = own.map((index) =>
      meanPowerW(
        cohort.trial.gpus.filter(({ gpu }) => gpu === index),
        window,
      ),
    );
    const known = powersW.filter(isNumber);
    // A sum that misses a GPU is no sum.
    if (known.length === 0 || known.length < powersW.length) return notCollected("no_gpu_power");
    if (output.value === 0) return notDefined("no_output");
    // W / (token/s) = J/token.
    const powerW = known.reduce((a, b) => a + b);
    return valueOf(powerW / output.value, output.requests);
  });
}

/** Share of a window that power readings must span. */
const leastSpan = 0.9;

/**
 * Mean power over a window, W: the trapezoids between readings, cut off at the window's edges.
 * undefined where the readings span less than nine tenths of it.
 *
 * @param readings of one GPU, ascending in time
 * @example 100 W at 0 ms and 300 W at 1000 ms, window 500..1000 ms: 250 W
 */
export function meanPowerW(readings: readonly GpuReading[], window: Window): number | undefined {
  let energy = 0;
  let spanMs = 0;
  let previous: { readonly atMs: number; readonly powerW: number } | undefined;
  for (const { atMs, powerW } of readings) {
    if (powerW === undefined) continue;
    if (previous !== undefined) {
      const fromMs = Math.max(previous.atMs, window.fromMs);
      const toMs = Math.min(atMs, window.toMs);
      if (toMs > fromMs) {
        const slope = (powerW - previous.powerW) / (atMs - previous.atMs);
        const middleMs = (fromMs + toMs) / 2;
        energy += (previous.powerW + slope * (middleMs - previous.atMs)) * (toMs - fromMs);
        spanMs += toMs - fromMs;
      }
    }
    previous = { atMs, powerW };
  }
  return spanMs < leastSpan * (window.toMs - window.fromMs) ? undefined : energy / spanMs;
}
