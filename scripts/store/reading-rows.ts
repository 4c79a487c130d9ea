// Readings of engines and GPUs as rows: one table of property and column for each, read both ways.
import type { Database } from "better-sqlite3";
import type { EngineReading } from "../bench/request-record.ts";
import type { GpuReading } from "../environment/gpu-reading.ts";
import type { Values } from "./writer.ts";

const engineColumns: Readonly<Record<keyof EngineReading, string>> = {
  atMs: "at_ms",
  running: "running",
  waiting: "waiting",
  kvUsage: "kv_usage",
  promptTokensTotal: "prompt_tokens_total",
  generationTokensTotal: "generation_tokens_total",
  prefixQueriesTotal: "prefix_queries_total",
  prefixHitsTotal: "prefix_hits_total",
  prefixHitRate: "prefix_hit_rate",
  promptTokensCachedTotal: "prompt_tokens_cached_total",
  promptTokensRemoteTotal: "prompt_tokens_remote_total",
  preemptionsTotal: "preemptions_total",
  draftsTotal: "drafts_total",
  draftTokensTotal: "draft_tokens_total",
  acceptedTokensTotal: "accepted_tokens_total",
};

const gpuColumns: Readonly<Record<keyof GpuReading, string>> = {
  atMs: "at_ms",
  gpu: "gpu",
  uuid: "uuid",
  powerW: "power_w",
  smClockMhz: "sm_clock_mhz",
  memoryClockMhz: "memory_clock_mhz",
  temperatureC: "temperature_c",
  utilization: "utilization",
  memoryUsedMib: "memory_used_mib",
  pcieGeneration: "pcie_generation",
  pcieWidth: "pcie_width",
  eventReasons: "event_reasons",
  swPowerCapUs: "sw_power_cap_us",
  hwThermalUs: "hw_thermal_us",
  swThermalUs: "sw_thermal_us",
  hwPowerBrakeUs: "hw_power_brake_us",
  syncBoostUs: "sync_boost_us",
};

/** The row of an engine's reading. */
export function engineReadingRow(attemptId: number, reading: EngineReading): Values {
  return rowOf(attemptId, reading, engineColumns);
}

/** The row of a GPU's reading. */
export function gpuReadingRow(attemptId: number, reading: GpuReading): Values {
  return rowOf(attemptId, reading, gpuColumns);
}

/** Ascending in time. */
export function readEngineReadings(db: Database, attemptId: number): readonly EngineReading[] {
  return read<EngineReading>(db, attemptId, "engine_reading_row", engineColumns);
}

/** Ascending in time, then by GPU. */
export function readGpuReadings(db: Database, attemptId: number): readonly GpuReading[] {
  return read<GpuReading>(db, attemptId, "gpu_reading_row", gpuColumns);
}

function rowOf<Reading extends object>(
  attemptId: number,
  reading: Reading,
  columns: Readonly<Record<keyof Reading & string, string>>,
): Values {
  const values: Record<string, Values[string]> = { attempt_id: attemptId };
  for (const [property, column] of Object.entries<string>(columns)) {
    const value: unknown = Reflect.get(reading, property);
    if (typeof value === "number" || typeof value === "string") values[column] = value;
    else values[column] = undefined;
  }
  return values;
}

function read<Reading>(
  db: Database,
  attemptId: number,
  table: string,
  columns: Readonly<Record<keyof Reading & string, string>>,
): readonly Reading[] {
  const list = Object.entries<string>(columns)
    .map(([property, column]) => `${column} AS "${property}"`)
    .join(", ");
  return db
    .prepare<[number], Readonly<Record<string, unknown>>>(
      `SELECT ${list} FROM ${table} WHERE attempt_id = ? ORDER BY at_ms, id`,
    )
    .all(attemptId)
    .map(
      (row) =>
        Object.fromEntries(
          Object.entries(row).map(([property, value]) => [property, value ?? undefined]),
        ) as Reading,
    );
}
