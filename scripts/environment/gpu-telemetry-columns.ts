// The columns that GPU telemetry asks nvidia-smi for, what an older driver takes instead, and a line
// of its answer as a reading. Cells that hold no number ("[N/A]", "ERR!") are no value.
import type { GpuReading } from "./gpu-reading.ts";

type Measured = Exclude<keyof GpuReading, "atMs" | "gpu" | "uuid">;

/** A column of `nvidia-smi --query-gpu`, and the property that it becomes. */
export interface TelemetryColumn {
  readonly query: string;
  readonly property: "gpu" | "uuid" | Measured;
  /** The name that drivers before 535 know. */
  readonly older?: string;
  /** Factor from the cell to the property. */
  readonly scale?: number;
}

const counterPrefix = "clocks_event_reasons_counters.";

/** What a driver of today is asked for. */
export const telemetryColumns: readonly TelemetryColumn[] = [
  { query: "index", property: "gpu" },
  { query: "uuid", property: "uuid" },
  { query: "power.draw", property: "powerW" },
  { query: "clocks.sm", property: "smClockMhz" },
  { query: "clocks.mem", property: "memoryClockMhz" },
  { query: "temperature.gpu", property: "temperatureC" },
  { query: "utilization.gpu", property: "utilization", scale: 0.01 },
  { query: "memory.used", property: "memoryUsedMib" },
  { query: "pcie.link.gen.current", property: "pcieGeneration" },
  { query: "pcie.link.width.current", property: "pcieWidth" },
  {
    query: "clocks_event_reasons.active",
    property: "eventReasons",
    older: "clocks_throttle_reasons.active",
  },
  { query: `${counterPrefix}sw_power_cap`, property: "swPowerCapUs" },
  { query: `${counterPrefix}hw_thermal_slowdown`, property: "hwThermalUs" },
  { query: `${counterPrefix}sw_thermal_slowdown`, property: "swThermalUs" },
  { query: `${counterPrefix}hw_power_brake_slowdown`, property: "hwPowerBrakeUs" },
  { query: `${counterPrefix}sync_boost`, property: "syncBoostUs" },
];

/** The column that nvidia-smi says it does not know; undefined: it says no such thing. */
export function refusedColumn(output: string): string | undefined {
  return /Field "([^"]+)" is not a valid field to query/.exec(output)?.[1];
}

/**
 * The columns to ask for after one was refused: under its older name, else without it. A driver
 * that knows the reasons by their older name, or lacks one counter, has no counters at all.
 * undefined: nothing is left to try.
 */
export function columnsWithout(
  columns: readonly TelemetryColumn[],
  refused: string,
): readonly TelemetryColumn[] | undefined {
  const column = columns.find(({ query }) => query === refused);
  if (column === undefined || column.property === "gpu") return undefined;
  const withoutCounters = columns.filter(({ query }) => !query.startsWith(counterPrefix));
  if (refused.startsWith(counterPrefix)) return withoutCounters;
  const { older, property } = column;
  return older === undefined
    ? columns.filter((one) => one !== column)
    : withoutCounters.map((one) => (one === column ? { query: older, property } : one));
}

/**
 * A line as nvidia-smi prints it with `--format=csv,noheader,nounits`; undefined: it is no reading
 * (a warning, a cut line, a GPU of which nothing can be read).
 */
export function parseReading(
  line: string,
  columns: readonly TelemetryColumn[],
  atMs: number,
): GpuReading | undefined {
  const cells = line.split(",").map((cell) => cell.trim());
  if (cells.length !== columns.length) return undefined;
  const cell = (property: TelemetryColumn["property"]): string | undefined =>
    cells[columns.findIndex((column) => column.property === property)];
  const number = (property: Measured): number | undefined => {
    const value = numberIn(cell(property) ?? "");
    const scale = columns.find((column) => column.property === property)?.scale ?? 1;
    return value === undefined ? undefined : value * scale;
  };
  const index = cell("gpu") ?? "";
  if (!/^\d+$/.test(index)) return undefined;
  const uuid = cell("uuid") ?? "";
  const measured = {
    powerW: number("powerW"),
    smClockMhz: number("smClockMhz"),
    memoryClockMhz: number("memoryClockMhz"),
    temperatureC: number("temperatureC"),
    utilization: number("utilization"),
    memoryUsedMib: number("memoryUsedMib"),
    pcieGeneration: number("pcieGeneration"),
    pcieWidth: number("pcieWidth"),
    eventReasons: number("eventReasons"),
    swPowerCapUs: number("swPowerCapUs"),
    hwThermalUs: number("hwThermalUs"),
    swThermalUs: number("swThermalUs"),
    hwPowerBrakeUs: number("hwPowerBrakeUs"),
    syncBoostUs: number("syncBoostUs"),
  } satisfies Readonly<Record<Measured, number | undefined>>;
  if (Object.values(measured).every((value) => value === undefined)) return undefined;
  return {
    atMs,
    gpu: Number(index),
    uuid: /^(?:GPU|MIG)-/.test(uuid) ? uuid : undefined,
    ...measured,
  };
}

/** "631.95", "100 %", "0x0000000000000004"; anything else holds no number. */
function numberIn(cell: string): number | undefined {
  if (/^0x[0-9a-f]+$/i.test(cell)) return Number(cell);
  const match = /^(-?\d+(?:\.\d+)?)(?: (?:W|MHz|MiB|us|%|C))?$/.exec(cell);
  return match === null ? undefined : Number(match[1]);
}
