import { describe, expect, it } from "vitest";
import {
  experiment,
  onMachine,
  pointName,
  samplesOf,
  settings,
  startSaying,
} from "../audit/fixtures/run.ts";
import type { AuditInput } from "../audit/rule.ts";
import type { WatchEnd } from "../bench/request-record.ts";
import type { GpuReading } from "../environment/gpu-reading.ts";
import type { Variant } from "../experiment/experiment.ts";
import type { StoredAttempt, TrialWatches } from "../store/stored-run.ts";
import { cacheMaterial, gpuMaterial } from "./gather-points.ts";

const trials = [samplesOf(1), samplesOf(2)];
const [variant] = experiment.variants;
if (variant === undefined) throw new Error("the fixture has a variant");
const vllm: Variant = {
  ...variant,
  engine: { kind: "vllm", name: "vllm", port: "auto", args: {}, env: {}, readyMs: 1, prefix: [] },
};

const here = { "client.engine_relation": "same host" };
const bare = onMachine(here);

/** A run of vLLM on two GPUs, each told in full. */
function onGpus(parts: Partial<AuditInput> = {}): AuditInput {
  return {
    ...onMachine({ ...here, "gpu.count": 2, "gpu.0.name": "H100", "gpu.1.name": "H100" }),
    experiment: { ...experiment, variants: [vllm] },
    starts: [startSaying(1, { settings: { ...settings, tensorParallel: 2, blockSize: 16 } })],
    ...parts,
  };
}

function ended(unavailable: string | undefined): WatchEnd {
  return { readings: 0, missed: 0, meanCostMs: undefined, unavailable };
}

function attempts(watches: TrialWatches | undefined): readonly StoredAttempt[] {
  return trials.map(
    ({ trial, round }): StoredAttempt => ({
      run: "r",
      trial,
      attempt: 1,
      point: pointName,
      variant: "fp32",
      workload: "w",
      load: { kind: "concurrency", concurrency: 10 },
      round,
      repeat: 1,
      seed: "s",
      start: round,
      leg: 1,
      startedAt: "2026-03-01T10:00:00.000+08:00",
      plannedConcurrency: 10,
      warmupRequests: 20,
      measured: { kind: "count", requests: 140 },
      windowKind: "handover",
      status: "measured",
      reason: undefined,
      counts: true,
      summary: undefined,
      window: undefined,
      cacheReset: undefined,
      watches,
    }),
  );
}

describe("gpuMaterial", () => {
  const gpus = { count: 2, indexes: [0, 1] };
  const read = (input: AuditInput, own = gpus, watches?: TrialWatches, samples = trials) =>
    gpuMaterial(input, samples, { attempts: attempts(watches), gpus: own });

  it("tells apart a machine without GPUs and an engine that uses none", () => {
    expect(read(bare)).toEqual({ kind: "none", why: "no_gpu" });
    expect(read(onGpus(), { count: 0, indexes: [] })).toEqual({ kind: "none", why: "not_used" });
  });

  it("says what the watch said where it saw nothing", () => {
    const watches = { engine: undefined, gpus: ended("nvidia-smi failed") };
    expect(read(onGpus(), gpus, watches)).toMatchObject({
      kind: "unread",
      why: { en: "nvidia-smi failed" },
    });
    expect(read(onGpus())).toMatchObject({
      kind: "unread",
      why: { en: "no GPU reading fell into a window" },
    });
  });

  it("takes no reading of this machine for one of the engine's", () => {
    const there = onMachine({ "gpu.count": 2, "client.engine_relation": "other host" });
    expect(read({ ...onGpus(), ...there })).toMatchObject({
      kind: "unread",
      why: { en: "the engine is on another host, whose GPUs were not read" },
    });
  });

  it("summarizes what was read of the engine's GPUs", () => {
    const reading = (gpu: number): GpuReading => ({
      atMs: 30_000,
      gpu,
      uuid: undefined,
      powerW: undefined,
      smClockMhz: 1980,
      memoryClockMhz: undefined,
      temperatureC: 60 + gpu,
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
    });
    const watched = trials.map((trial) => ({ ...trial, gpus: [0, 1, 5].map(reading) }));
    expect(read(onGpus(), gpus, undefined, watched)).toMatchObject({
      kind: "read",
      summary: { readings: 4, temperatureC: 61 },
    });
  });
});

describe("cacheMaterial", () => {
  it("knows what the engine says of its cache, and why its counters were not read", () => {
    const watches = { engine: ended("HTTP 404 from /metrics"), gpus: undefined };
    expect(cacheMaterial(onGpus(), trials, attempts(watches))).toMatchObject({
      trials: 2,
      blockSize: 16,
      unwatched: "HTTP 404 from /metrics",
    });
    const half = attempts(watches).slice(0, 1);
    const whole = attempts({ engine: ended(undefined), gpus: undefined }).slice(1);
    expect(cacheMaterial(onGpus(), trials, [...half, ...whole]).unwatched).toBeUndefined();
    expect(cacheMaterial(onGpus(), trials, attempts(undefined)).unwatched).toBeUndefined();
  });
});
