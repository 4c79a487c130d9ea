import { describe, expect, it } from "vitest";
import { undisclosedSettings } from "../engine/engine.ts";
import type { GpuReading } from "../environment/gpu-reading.ts";
import { stream, trial } from "./fixtures/trials.ts";
import { type EngineGpus, engineGpus, meanPowerW } from "./gpu-metrics.ts";
import { trialMetrics } from "./trial-metrics.ts";

function power(gpu: number, atMs: number, powerW: number | undefined): GpuReading {
  return {
    atMs,
    gpu,
    uuid: undefined,
    powerW,
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
  };
}

describe("mean power over a window", () => {
  const window = { fromMs: 0, toMs: 1000 };
  it.each<[string, readonly (readonly [number, number | undefined])[], number | undefined]>([
    [
      "is the trapezoid between readings",
      [
        [0, 100],
        [1000, 300],
      ],
      200,
    ],
    // 100 -> 300 over 0..500: mean 200; 300 -> 300: mean 300. Half each: 250.
    [
      "weighs readings by their distance",
      [
        [0, 100],
        [500, 300],
        [1000, 300],
      ],
      250,
    ],
    // Linear from 0 W at -1000 to 400 W at 3000: 100 W at 0, 200 W at 1000.
    [
      "is cut off at the window's edges",
      [
        [-1000, 0],
        [3000, 400],
      ],
      150,
    ],
    [
      "passes over a reading without power",
      [
        [0, 100],
        [500, undefined],
        [1000, 300],
      ],
      200,
    ],
    // 50..1000 is 95 % of the window: 110 W at 50 ms to 300 W, mean 205.
    [
      "may miss a twentieth of it",
      [
        [50, 110],
        [1000, 300],
      ],
      205,
    ],
    [
      "is not known where a fifth is missed",
      [
        [200, 100],
        [1000, 300],
      ],
      undefined,
    ],
    ["is not known from one reading", [[500, 100]], undefined],
    [
      "is not known from readings outside",
      [
        [2000, 100],
        [3000, 100],
      ],
      undefined,
    ],
  ])("%s", (_, readings, expected) => {
    const found = meanPowerW(
      readings.map(([atMs, powerW]) => power(0, atMs, powerW)),
      window,
    );
    if (expected === undefined) expect(found).toBeUndefined();
    else expect(found).toBeCloseTo(expected, 9);
  });
});

describe("energy and throughput of GPUs", () => {
  // Four requests of 5 tokens; the window is 0..350 ms (sent at 300, last output at 350).
  const requests = [0, 100, 200, 300].map((sentAtMs) => stream(sentAtMs));
  const gpus = [0, 1].flatMap((gpu) => [power(gpu, -10, 100), power(gpu, 400, 100)]);
  const value = (key: string, readings: readonly GpuReading[], engine?: EngineGpus): unknown => {
    const found = trialMetrics(trial(requests, { gpus: readings }), {
      percentiles: [50],
      slo: [],
      gpus: engine,
    }).values.get(key);
    return found?.kind === "value" ? found.value : found?.absence;
  };

  it("are joules per token of the engine's own GPUs", () => {
    // 100 W x 0.35 s = 35 J for 20 tokens: 1.75; of both GPUs 3.5.
    expect(value("energy_per_token", gpus, { count: 1, indexes: [1] })).toBeCloseTo(1.75, 9);
    expect(value("energy_per_token", gpus, { count: 2, indexes: [0, 1] })).toBeCloseTo(3.5, 9);
  });

  it("take what was read where that can only be the engine's, and no other GPU for it", () => {
    expect(value("energy_per_token", gpus.slice(0, 2))).toBeCloseTo(1.75, 9);
    expect(value("energy_per_token", gpus, { count: 2, indexes: undefined })).toBeCloseTo(3.5, 9);
    const unknown = { kind: "not_collected", why: "gpus_unknown" };
    expect(value("energy_per_token", gpus, { count: 1, indexes: undefined })).toEqual(unknown);
    expect(value("energy_per_token", gpus)).toEqual(unknown);
  });

  it("are not told of an engine elsewhere, nor of one that has a slice", () => {
    expect(value("energy_per_token", gpus, { count: 2, indexes: [] })).toEqual({
      kind: "not_collected",
      why: "no_gpu_power",
    });
    const slice = { count: 1, indexes: [0], isSliced: true };
    expect(value("energy_per_token", gpus, slice)).toEqual({
      kind: "not_defined",
      why: "gpu_slice",
    });
  });

  it("give no sum that misses a GPU", () => {
    const absence = { kind: "not_collected", why: "no_gpu_power" };
    const mute = [...gpus, power(2, -10, undefined), power(2, 400, undefined)];
    expect(value("energy_per_token", mute, { count: 3, indexes: undefined })).toEqual(absence);
    expect(value("energy_per_token", gpus, { count: 1, indexes: [7] })).toEqual(absence);
    expect(value("energy_per_token", [])).toEqual(absence);
  });

  it("divide the throughput by the number of GPUs", () => {
    // 20 tokens in 0.35 s on two GPUs.
    const two = { count: 2, indexes: undefined };
    expect(value("tps_per_gpu", [], two)).toBeCloseTo(20 / 0.35 / 2, 9);
    expect(value("tps_per_gpu", [])).toEqual({ kind: "not_collected", why: "no_gpu_count" });
  });

  it("are not defined for an engine that runs on none", () => {
    const none = { count: 0, indexes: [] };
    for (const key of ["energy_per_token", "tps_per_gpu"]) {
      expect(value(key, [], none)).toEqual({ kind: "not_defined", why: "no_gpu" });
    }
  });
});

describe("the GPUs of an engine", () => {
  const facts = (
    parallel: readonly [number?, number?, number?],
    env: Readonly<Record<string, string>> = {},
  ) => ({
    env,
    settings: {
      ...undisclosedSettings,
      tensorParallel: parallel[0],
      pipelineParallel: parallel[1],
      dataParallel: parallel[2],
    },
  });
  const shown = (devices: string) => ({ CUDA_VISIBLE_DEVICES: devices });

  it.each<[string, Parameters<typeof engineGpus>, EngineGpus]>([
    ["none on a host without", [facts([2]), 0], { count: 0, indexes: [] }],
    ["TP x PP x DP", [facts([2, 2, 2]), 8], { count: 8, indexes: [0, 1, 2, 3, 4, 5, 6, 7] }],
    ["not known which of many", [facts([2]), 8], { count: 2, indexes: undefined }],
    [
      "the first of those that it was shown",
      [facts([2], shown("4, 5,6,7")), 8],
      { count: 2, indexes: [4, 5] },
    ],
    [
      "slices have no index",
      [facts([1], shown("MIG-0a1b2c3d-0000-0000-0000-000000000000")), 1],
      { count: 1, indexes: undefined },
    ],
    ["the only one there is", [facts([]), 1], { count: 1, indexes: [0] }],
    ["the only one it was shown", [facts([], shown("3")), 8], { count: 1, indexes: [3] }],
    ["not known of many", [facts([]), 8], { count: undefined, indexes: undefined }],
    ["not known without a count", [facts([]), undefined], { count: undefined, indexes: undefined }],
    [
      "as many as it says, on a host not read",
      [facts([4]), undefined],
      { count: 4, indexes: undefined },
    ],
  ])("are %s", (_, [of, hostGpus], expected) => {
    expect(engineGpus(of, hostGpus)).toEqual(expected);
  });
});
