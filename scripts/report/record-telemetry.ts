// From what the GPUs did at each point to the rows of a table: power, clock, heat, use, memory, and how
// long something held them back, formatted; or why there is nothing to show.
import type { LocalText } from "../experiment/experiment.ts";
import { formatDuration, formatNumber } from "../units.ts";
import { gpuNames } from "./record-fields.ts";
import type { GpuMaterial, RecordMaterial } from "./record-material.ts";

/** Printed; undefined: the GPUs or their driver do not tell it. */
interface GpuTelemetryRow {
  readonly point: string;
  /** "GPU 0–3". */
  readonly gpus: string;
  readonly powerW: string | undefined;
  /** "1,980", or "1,755 – 1,980" where GPUs differ. */
  readonly smClockMhz: string | undefined;
  readonly temperatureC: string | undefined;
  readonly utilizationPercent: string | undefined;
  readonly memoryGib: string | undefined;
  readonly thermal: string | undefined;
  readonly powerBrake: string | undefined;
  readonly powerCap: string | undefined;
  readonly isKnown: boolean;
  readonly isSliced: boolean;
}

/** What of a row is a number. */
export type GpuReadingColumn = Exclude<
  keyof GpuTelemetryRow,
  "point" | "gpus" | "isKnown" | "isSliced"
>;

export interface GpuTelemetry {
  readonly rows: readonly GpuTelemetryRow[];
  /** Points without readings, by what is the reason. */
  readonly unread: readonly { readonly why: LocalText; readonly points: readonly string[] }[];
  /** Why no point can have any; undefined: some could. */
  readonly none: "no_gpu" | "not_used" | undefined;
}

/** GPU telemetry of every measured point, in the order of the plan. */
export function gpuTelemetryOf({ points, measured }: RecordMaterial): GpuTelemetry {
  const told = points.flatMap(({ name }): { readonly point: string; gpus: GpuMaterial }[] => {
    const own = measured.find(({ point }) => point === name);
    return own === undefined ? [] : [{ point: name, gpus: own.gpus }];
  });
  const unread = new Map<string, { readonly why: LocalText; readonly points: string[] }>();
  for (const { point, gpus } of told) {
    if (gpus.kind !== "unread") continue;
    const known = unread.get(gpus.why.en);
    if (known === undefined) unread.set(gpus.why.en, { why: gpus.why, points: [point] });
    else known.points.push(point);
  }
  const absences = told.map(({ gpus }) => (gpus.kind === "none" ? gpus.why : undefined));
  return {
    rows: told.flatMap(({ point, gpus }) => (gpus.kind === "read" ? [rowOf(point, gpus)] : [])),
    unread: [...unread.values()],
    none: absences.includes(undefined)
      ? undefined
      : (absences.find((why) => why === "not_used") ?? absences[0]),
  };
}

function rowOf(
  point: string,
  { summary, isKnown, isSliced }: Extract<GpuMaterial, { kind: "read" }>,
): GpuTelemetryRow {
  const { powerW, smClockMhz, temperatureC, utilization, memoryUsedMib, windowMs, gpus } = summary;
  const print = (value: number | undefined, decimals: number): string | undefined =>
    value === undefined ? undefined : formatNumber(value, decimals);
  const held = (us: number | undefined): string | undefined => heldText(us, windowMs * gpus.length);
  const [low, high] = [print(smClockMhz?.low, 0), print(smClockMhz?.high, 0)];
  return {
    point,
    gpus: gpuNames(gpus.map(({ gpu }) => gpu)),
    powerW: print(powerW, powerW !== undefined && powerW < 100 ? 1 : 0),
    smClockMhz: low === high ? low : `${low ?? ""} – ${high ?? ""}`,
    temperatureC: print(temperatureC, 0),
    utilizationPercent: print(utilization === undefined ? undefined : utilization * 100, 0),
    memoryGib: print(memoryUsedMib === undefined ? undefined : memoryUsedMib / 1024, 1),
    thermal: held(summary.thermalUs),
    powerBrake: held(summary.powerBrakeUs),
    powerCap: held(summary.powerCapUs),
    isKnown,
    isSliced,
  };
}

/** "0", or how long and which share of the time of all GPUs: "3.2 s (1.4 %)". */
function heldText(us: number | undefined, gpuMs: number): string | undefined {
  if (us === undefined) return undefined;
  if (us === 0) return "0";
  const ms = us / 1000;
  const percent = (100 * ms) / gpuMs;
  const share = percent < 0.1 ? "<0.1" : formatNumber(percent, 1);
  return `${ms < 1 ? "<1 ms" : formatDuration(ms)} (${share} %)`;
}
