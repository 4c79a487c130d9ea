// A small run with numbers that can be worked by hand: two variants, one round, one point each.
// The fixtures of the store's older schemas hold this very run: add other cases beside it.

import type { AuditResult } from "../audit/finding.ts";
import type { Calibration } from "../bench/calibration.ts";
import type { DriveSummary, EngineReading, RequestRecord } from "../bench/request-record.ts";
import type { EngineFacts } from "../engine/engine.ts";
import { undisclosedSettings } from "../engine/engine.ts";
import type { GpuReading } from "../environment/gpu-reading.ts";
import type { EnvironmentSnapshot } from "../environment/snapshot.ts";
import type { Experiment } from "../experiment/experiment.ts";
import type { Plan, Trial } from "../experiment/plan.ts";
import type { Estimate } from "../stats/samples.ts";
import type { RoundsEnd } from "../store/rounds-ends.ts";
import type { Store } from "../store/store.ts";
import type {
  AttemptKey,
  LegBegin,
  RunHeader,
  TrialBegin,
  TrialWatches,
} from "../store/stored-run.ts";

export const caseAt = "2025-12-19T18:39:40.000+08:00";

const tool = { version: "0.1.0", commit: "f99dc42", dirty: false, node: "20.20.2" };

const experiment: Experiment = {
  version: 1,
  name: "quickstart",
  title: { zh: "快速开始", en: "Quickstart" },
  variants: (["fp32", "q8"] as const).map((precision) => ({
    name: precision,
    model: "data/models/tiny",
    precision,
    engine: {
      kind: "embedded",
      name: "embedded",
      port: "auto",
      args: {},
      env: {},
      readyMs: 60_000,
    },
  })),
  workloads: [
    {
      name: "chat",
      input: { kind: "exact", tokens: 32 },
      output: { kind: "exact", tokens: 3 },
      cache: { kind: "cold" },
      endpoint: "completions",
      turns: 1,
    },
  ],
  loads: [{ kind: "concurrency", concurrency: 2 }],
  only: [],
  exclude: [],
  measure: {
    rounds: { kind: "fixed", count: 1 },
    repeats: 1,
    requests: { kind: "count", count: 2 },
    warmup: 2,
    percentiles: [50, 90],
    window: "handover",
    order: "interleaved",
    keep: false,
    seed: 1,
  },
  slo: [],
  limits: {
    requestMs: 60_000,
    stallMs: 10_000,
    failureShare: 0.1,
    failureCount: undefined,
    trialMs: undefined,
  },
  client: { threads: "auto", poll: false, calibrate: true },
  telemetry: { gpuMs: 1000, engineMs: 1000 },
  environment: { kind: "local" },
  stated: { other: {} },
  waive: [],
  report: { languages: ["zh", "en"], formats: ["html", "md"], notebook: "default" },
};

/** The trial of a variant; its id is not a real hash. */
export function caseTrial(variant: string): Trial {
  return {
    id: `trial-${variant}`,
    point: `${variant}/c2`,
    variant,
    workload: "chat",
    load: { kind: "concurrency", concurrency: 2 },
    round: 1,
    repeat: 1,
    seed: "00ff",
  };
}

export const casePlan: Plan = {
  experiment,
  points: ["fp32", "q8"].map((variant) => ({
    name: `${variant}/c2`,
    variant,
    workload: "chat",
    load: { kind: "concurrency", concurrency: 2 },
    warmupRequests: 2,
    measured: { kind: "count", requests: 2 },
  })),
  selection: { only: [], rounds: 1 },
  roundCount: 1,
  rounds: [
    {
      round: 1,
      starts: ["fp32", "q8"].map((variant) => ({ variant, trials: [caseTrial(variant)] })),
    },
  ],
};

export function caseHeader(run: string): RunHeader {
  return {
    run,
    experiment: experiment.name,
    title: experiment.title,
    experimentSource: "version: 1\nname: quickstart # 快速开始\n",
    experimentPath: "/home/user/experiments/quickstart.yaml",
    resolved: experiment,
    plan: casePlan,
    tool,
    defaults: [],
    extended: [],
    createdAt: caseAt,
  };
}

export const caseLeg: LegBegin = {
  startedAt: caseAt,
  pid: 4242,
  pidStartedAt: "123456",
  host: "bench-1",
  argv: ["benchbook", "run", "experiments/quickstart.yaml"],
  tool,
};

export const caseFacts: EngineFacts = {
  name: "embedded",
  version: "0.1.0",
  argv: ["node", "server.js", "--max-num-seqs", "16"],
  env: { OMP_NUM_THREADS: "1" },
  config: { max_num_seqs: 16, enable_prefix_caching: false, revision: null },
  configDigest: "ab12",
  maxModelLen: 2048,
  maxNumSeqs: 16,
  settings: { ...undisclosedSettings, prefixCaching: false, blockSize: 16, quantization: "none" },
  nonDefaultArgs: { max_num_seqs: 16 },
  container: { runtime: "docker 27.3", name: "bb-1", image: "engine:1", digest: "sha256:ef56" },
};

export function caseBegin(variant: string, start: number): TrialBegin {
  return {
    trial: caseTrial(variant),
    start,
    startedAt: caseAt,
    plannedConcurrency: 2,
    warmupRequests: 2,
    measured: { kind: "count", requests: 2 },
    cacheReset: "done",
  };
}

export const caseSummary: DriveSummary = {
  zeroAt: caseAt,
  endedAtMs: 90.25,
  clockDriftMs: 0.125,
  outcome: { kind: "complete" },
  client: {
    threads: 1,
    cpuShare: 0.25,
    eventLoopDelayP99Ms: 1.5,
    eventLoopDelayMaxMs: 2.5,
    gcPauseTotalMs: 0.5,
  },
};

/** What is known of the client on some machine. */
export const caseCalibration: Calibration = {
  at: caseAt,
  machine: "9f86d081",
  tool: "0.1.0",
  load: { streams: 64, ratePerS: 30 },
  threads: 1,
  seconds: 1.5,
  events: 5000,
  event: { p50Ms: 0.0625, p99Ms: 0.25 },
  burst: { p50Ms: 0.5, p99Ms: 1.5 },
  gap: { p50Ms: 0.0625, p99Ms: 0.5 },
  ttft: { p50Ms: 0.125, p99Ms: 0.75 },
  startLag: { p50Ms: 0.125, p99Ms: 0.5 },
  eventsPerS: 2_000_000,
  cpuShare: 0.125,
  coalescedShare: 0,
  eventLoopDelayP99Ms: 1,
};

/** A request that completed, of as many tokens as chunks unless told. */
export function caseRecord(
  index: number,
  phase: RequestRecord["phase"],
  times: { readonly dueAtMs: number; readonly sentAtMs: number; readonly endedAtMs: number },
  chunksAtMs: readonly number[],
  completionTokens: number | undefined = chunksAtMs.length,
): RequestRecord & { readonly status: "completed" } {
  return {
    index,
    phase,
    ...times,
    headersAtMs: times.sentAtMs + 0.5,
    chunksAtMs: Float64Array.from(chunksAtMs),
    coalescedChunks: 0,
    usage: { promptTokens: 32, completionTokens, cachedTokens: 0 },
    finishReason: "length",
    plannedInputTokens: 32,
    plannedOutputTokens: 3,
    promptDigest: `0123456789abcd${String(index).padStart(2, "0")}`,
    status: "completed",
  };
}

/** The requests of a trial at c = 2: two to warm up, two measured, one filler that was cut off. */
export const caseRecords: readonly RequestRecord[] = [
  caseRecord(0, "warmup", { dueAtMs: 0, sentAtMs: 0, endedAtMs: 30 }, [10, 20, 30]),
  caseRecord(1, "warmup", { dueAtMs: 0, sentAtMs: 0, endedAtMs: 45 }, [15, 25, 45]),
  caseRecord(2, "measured", { dueAtMs: 30, sentAtMs: 31, endedAtMs: 62 }, [41, 51, 61]),
  caseRecord(3, "measured", { dueAtMs: 45, sentAtMs: 46, endedAtMs: 80 }, [60, 80], 3),
  {
    ...caseRecord(4, "filler", { dueAtMs: 62, sentAtMs: 62, endedAtMs: 90 }, [75]),
    usage: { promptTokens: undefined, completionTokens: undefined, cachedTokens: undefined },
    finishReason: undefined,
    status: "cancelled",
    cause: "the window ended",
  },
];

/** From the dispatch of the first measured request to that of the first filler: 31 ms. */
export const caseWindow = { startMs: 31, endMs: 62 };

/** Chunks at 45; 41, 51, 61; and 60, which held half of three tokens. */
export const caseWindowTokens: ReadonlyMap<number, number> = new Map([
  [1, 1],
  [2, 3],
  [3, 1.5],
]);

export const caseReadings: readonly EngineReading[] = [
  {
    atMs: 20.5,
    running: 2,
    waiting: 0,
    kvUsage: undefined,
    promptTokensTotal: 64,
    generationTokensTotal: 4,
    prefixQueriesTotal: undefined,
    prefixHitsTotal: undefined,
    prefixHitRate: undefined,
    promptTokensCachedTotal: undefined,
    draftsTotal: undefined,
    draftTokensTotal: undefined,
    acceptedTokensTotal: undefined,
    preemptionsTotal: 0,
  },
  {
    atMs: 60.5,
    running: 2,
    waiting: 1,
    kvUsage: 0.5,
    promptTokensTotal: 128,
    generationTokensTotal: 11,
    prefixQueriesTotal: 128,
    prefixHitsTotal: 16,
    prefixHitRate: 0.125,
    promptTokensCachedTotal: 20,
    promptTokensRemoteTotal: 4,
    draftsTotal: 3,
    draftTokensTotal: 12,
    acceptedTokensTotal: 6,
    preemptionsTotal: 0,
  },
];

/** Two GPUs at two moments; the second tells little of itself. */
export const caseGpuReadings: readonly GpuReading[] = [20, 60].flatMap((atMs, turn) => [
  {
    atMs,
    gpu: 0,
    uuid: "GPU-00000000-0000-0000-0000-000000000001",
    powerW: 350.25 + turn,
    smClockMhz: 1980,
    memoryClockMhz: 2619,
    temperatureC: 61,
    utilization: 0.98,
    memoryUsedMib: 70_123,
    pcieGeneration: 5,
    pcieWidth: 16,
    eventReasons: 4,
    swPowerCapUs: 1_000_000 + turn,
    hwThermalUs: 0,
    swThermalUs: 0,
    hwPowerBrakeUs: 0,
    syncBoostUs: 0,
  },
  {
    atMs,
    gpu: 1,
    uuid: undefined,
    powerW: undefined,
    smClockMhz: undefined,
    memoryClockMhz: undefined,
    temperatureC: undefined,
    utilization: undefined,
    memoryUsedMib: 12,
    pcieGeneration: undefined,
    pcieWidth: undefined,
    eventReasons: undefined,
    swPowerCapUs: undefined,
    hwThermalUs: undefined,
    swThermalUs: undefined,
    hwPowerBrakeUs: undefined,
    syncBoostUs: undefined,
  },
]);

export const caseWatches: TrialWatches = {
  engine: { readings: 2, missed: 1, meanCostMs: 1.5, unavailable: undefined },
  gpus: { readings: 4, missed: 0, meanCostMs: undefined, unavailable: "the GPUs fell silent" },
};

export const caseSnapshot: EnvironmentSnapshot = {
  schema: 1,
  light: false,
  takenAt: caseAt,
  fields: [
    {
      id: "host.memory",
      group: "host",
      class: "context",
      value: { state: "value", value: 34359738368, unit: "B" },
      source: "probe",
      at: caseAt,
      rawIndex: 0,
    },
    {
      id: "host.swap",
      group: "host",
      class: "context",
      value: { state: "value", value: false },
      source: "probe",
      at: caseAt,
    },
    {
      id: "gpu.0.name",
      group: "gpu",
      class: "comparability",
      value: { state: "not_applicable", reason: "this machine has no GPU" },
      source: "probe",
      at: caseAt,
    },
  ],
  raw: [
    {
      command: "cat /proc/meminfo",
      exitCode: 0,
      stdout: "MemTotal: 33554432 kB\n",
      stderr: "",
      durationMs: 1.25,
    },
  ],
};

export const caseEstimate: Estimate = {
  metric: "ttft_mean",
  value: 12,
  low: undefined,
  high: undefined,
  level: 0.95,
  n: 2,
  starts: 1,
  rounds: 1,
  method: "none",
  cv: undefined,
  medianRound: undefined,
  geometric: false,
  perRound: [{ round: 1, value: 12 }],
  absence: { kind: "one_round" },
  unit: "ms",
};

const finding = {
  rule: "E23",
  severity: "warn",
  where: "fp32/c2",
  seen: { zh: "1 轮", en: "1 round" },
  expected: { zh: "至少 3 轮", en: "at least 3 rounds" },
  mend: { zh: "加 rounds: 3", en: "add rounds: 3" },
  evidence: { rounds: 1 },
} as const;

export const caseAudit: AuditResult = {
  verdict: "qualified",
  points: [{ point: "fp32/c2", verdict: "qualified", findings: [finding] }],
  findings: [finding],
  notChecked: [{ rule: "E1", where: "run", why: { zh: "没有 GPU", en: "no GPU" } }],
  checked: ["E23"],
};

/** As if its rounds had been on demand. */
export const caseRoundsEnd: RoundsEnd = {
  leg: 1,
  variant: "fp32",
  at: caseAt,
  round: 1,
  outcome: "max",
  target: 0.02,
  trialsSpared: 0,
  spreads: [
    {
      point: "fp32/c2",
      metric: "ttft.mean",
      count: 1,
      value: 12,
      share: undefined,
      geometric: false,
      reached: false,
    },
  ],
};

/** Appends the run with its first trial measured and its second not begun; gives the first's key. */
export function appendCase(store: Store, run: string): AttemptKey {
  store.createRun(caseHeader(run));
  const leg = store.beginLeg(run, caseLeg);
  store.appendSnapshot(run, { leg, scope: "run-before" }, caseSnapshot);
  const start = store.beginStart(run, { leg, variant: "fp32", round: 1, startedAt: caseAt });
  store.startReady(run, start, {
    at: caseAt,
    startupMs: 1234.5,
    facts: caseFacts,
    pid: 4243,
    pidStartedAt: "234567",
    logPath: "/home/user/reports/log.txt",
  });
  const key = store.beginTrial(run, caseBegin("fp32", start));
  for (const record of caseRecords) store.appendRequest(key, record);
  for (const reading of caseReadings) store.appendReading(key, reading);
  for (const reading of caseGpuReadings) store.appendGpuReading(key, reading);
  store.endTrial(key, {
    summary: caseSummary,
    status: "measured",
    windowTokens: caseWindowTokens,
    window: caseWindow,
    watches: caseWatches,
  });
  store.endStart(run, start, { at: caseAt, reason: "stopped", logDigest: "cd34" });
  return key;
}
