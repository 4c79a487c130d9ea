import { describe, expect, it } from "vitest";
import type { GpuReading } from "../environment/gpu-reading.ts";
import { stream, trial } from "./fixtures/trials.ts";
import { gpuSummary } from "./gpu-summary.ts";

function reading(gpu: number, atMs: number, parts: Partial<GpuReading> = {}): GpuReading {
  return {
    atMs,
    gpu,
    uuid: undefined,
    powerW: undefined,
    smClockMhz: undefined,
    memoryClockMhz: undefined,
    temperatureC: undefined,
    utilization: undefined,
    memoryUsedMib: undefined,
    pcieGeneration: undefined,
    pcieWidth: undefined,
    eventReasons: undefined,
    swPowerCapUs: undefined,
    hwThermalUs: undefined,
    swThermalUs: undefined,
    hwPowerBrakeUs: undefined,
    syncBoostUs: undefined,
    ...parts,
  };
}

// One request, sent at 0 and ended at 50 ms: a window of 0..50 ms.
const requests = [stream(0)];

describe("gpuSummary", () => {
  it("adds power over GPUs, and takes the worst of heat and memory", () => {
    const of = (gpu: number, powerW: number, temperatureC: number): readonly GpuReading[] =>
      [0, 25, 50].map((atMs) =>
        reading(gpu, atMs, {
          powerW,
          temperatureC: temperatureC + atMs / 25,
          smClockMhz: 1900 - 100 * gpu,
          utilization: gpu === 0 ? 1 : 0.5,
          memoryUsedMib: 1000 * (gpu + 1),
        }),
      );
    const summary = gpuSummary(
      [trial(requests, { gpus: [...of(0, 300, 60), ...of(1, 200, 50)] })],
      [0, 1],
    );
    expect(summary).toMatchObject({
      readings: 6,
      windowMs: 50,
      powerW: 500,
      smClockMhz: { low: 1800, high: 1900 },
      // 60 + 50 / 25
      temperatureC: 62,
      utilization: 0.75,
      memoryUsedMib: 2000,
    });
    expect(summary?.gpus.map(({ gpu, powerW }) => [gpu, powerW])).toEqual([
      [0, 300],
      [1, 200],
    ]);
  });

  it("leaves out readings outside the window and GPUs that are not the engine's", () => {
    const gpus = [
      reading(0, -10, { temperatureC: 99 }),
      reading(0, 20, { temperatureC: 61 }),
      reading(0, 60, { temperatureC: 98 }),
      reading(3, 20, { temperatureC: 97 }),
    ];
    expect(gpuSummary([trial(requests, { gpus })], [0])?.temperatureC).toBe(61);
    expect(gpuSummary([trial(requests, { gpus })], undefined)?.temperatureC).toBe(97);
  });

  it("counts what was held back between the readings around each window, over all trials", () => {
    // 100 us before the window, 400 within it and up to the first reading after it: 500 - 100.
    const first = [
      reading(0, -30, { swPowerCapUs: 40, hwThermalUs: 7, swThermalUs: 0 }),
      reading(0, -5, { swPowerCapUs: 100, hwThermalUs: 7, swThermalUs: 0 }),
      reading(0, 30, { swPowerCapUs: 300, hwThermalUs: 7, swThermalUs: 20 }),
      reading(0, 55, { swPowerCapUs: 500, hwThermalUs: 7, swThermalUs: 20 }),
      reading(0, 80, { swPowerCapUs: 900, hwThermalUs: 7, swThermalUs: 20 }),
    ];
    // The driver was loaded again: 50 us since.
    const second = [
      reading(0, -5, { swPowerCapUs: 900, hwThermalUs: 7, swThermalUs: 20 }),
      reading(0, 55, { swPowerCapUs: 0, hwThermalUs: 0, swThermalUs: 0 }),
      reading(0, 56, { swPowerCapUs: 50, hwThermalUs: 0, swThermalUs: 0 }),
    ];
    const summary = gpuSummary(
      [trial(requests, { gpus: first }), trial(requests, { round: 2, gpus: second })],
      [0],
    );
    expect(summary).toMatchObject({ powerCapUs: 400, thermalUs: 20, powerBrakeUs: undefined });
  });

  it("says nothing of a sum that misses a GPU, and nothing at all without readings", () => {
    const gpus = [reading(0, 0, { powerW: 300 }), reading(0, 50, { powerW: 300 })];
    const two = gpuSummary([trial(requests, { gpus })], [0, 1]);
    expect(two?.powerW).toBeUndefined();
    expect(two?.gpus[0]?.powerW).toBe(300);
    expect(gpuSummary([trial(requests)], [0])).toBeUndefined();
    expect(gpuSummary([trial(requests, { gpus: [reading(0, 900)] })], [0])).toBeUndefined();
  });
});
