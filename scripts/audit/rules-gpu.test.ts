import { describe, expect, it } from "vitest";
import { probeGpus } from "../environment/gpu.ts";
import type { GpuReading } from "../environment/gpu-reading.ts";
import { type Outside, real } from "../environment/outside.ts";
import { recorder } from "../environment/probe.ts";
import type { EnvironmentSnapshot, FieldValue } from "../environment/snapshot.ts";
import type { Variant } from "../experiment/experiment.ts";
import type { StoredSnapshot } from "../store/stored-run.ts";
import { replayedHost } from "../testing/replayed-host.ts";
import { findingsOf, outcomesOf, passes, whyNot } from "./fixtures/ask-rule.ts";
import {
  afterAt,
  beforeAt,
  experiment,
  healthy,
  onMachine,
  pointName,
  samplesOf,
  snapshot,
  startSaying,
  stored,
  withSamples,
} from "./fixtures/run.ts";
import type { AuditInput } from "./rule.ts";

const ids = ["E1", "E7", "E8", "E10", "E11", "E12", "E16", "E17", "E22", "E27"];

type Fields = NonNullable<Parameters<typeof snapshot>[1]>;

const notCollected: FieldValue = { state: "not_collected", reason: "not asked" };
const notApplicable: FieldValue = { state: "not_applicable" };

const vllm: Variant["engine"] = {
  kind: "vllm",
  name: "vllm",
  port: "auto",
  args: {},
  env: {},
  readyMs: 60_000,
  prefix: [],
};

const attached: Variant["engine"] = {
  kind: "external",
  name: "server",
  url: "http://127.0.0.1:8000",
  headers: {},
};

function withEngine(engine: Variant["engine"], input: AuditInput): AuditInput {
  const variants = experiment.variants.map((variant) => ({ ...variant, engine }));
  return { ...input, experiment: { ...input.experiment, variants } };
}

/** A healthy H100 at work, as a full snapshot has it. */
function h100(index: number): Fields {
  const fields: Fields = {
    name: "NVIDIA H100 80GB HBM3",
    uuid: `GPU-${index}`,
    pci_device_id: "233010DE",
    "memory.used_mib": 89,
    "ecc.current": "Enabled",
    "ecc.pending": "Enabled",
    "ecc.uncorrected_volatile": 0,
    "ecc.repair_pending": "No",
    recovery_action: "None",
    "retired.pending": notApplicable,
    "remapped.pending": "No",
    "remapped.failure": "No",
    "mig.current": "Disabled",
    "mig.pending": "Disabled",
    "processes.count": 0,
    "processes.list": "none",
    "power.limit_w": 700,
    "power.default_limit_w": 700,
    "power.enforced_limit_w": 700,
    "pcie.max_generation": 5,
    "pcie.max_width": 16,
    "clocks.max_sm_mhz": 1980,
    "clocks.max_memory_mhz": 2619,
    "fabric.state": "Completed",
  };
  return Object.fromEntries(
    Object.entries(fields).map(([id, value]) => [`gpu.${index}.${id}`, value]),
  );
}

const machine: Fields = {
  "client.engine_relation": "same host",
  "gpu.count": 1,
  "gpu.xid.count": 0,
  ...h100(0),
};

/** What one GPU says once the engine is ready, the engine's own process on it. */
const atWork: Fields = {
  "gpu.0.memory.used_mib": 72_000,
  "gpu.0.processes.count": 1,
  "gpu.0.processes.list": "4242 VLLM::EngineCore 71900 MiB",
};

/** A reading of a GPU at full speed. */
function gpuReading(atMs: number, parts: Partial<GpuReading> = {}): GpuReading {
  return {
    atMs,
    gpu: 0,
    uuid: "GPU-0",
    powerW: 640,
    smClockMhz: 1905,
    memoryClockMhz: 2619,
    temperatureC: 62,
    utilization: 1,
    memoryUsedMib: 72_000,
    pcieGeneration: 5,
    pcieWidth: 16,
    eventReasons: 0x4,
    swPowerCapUs: 0,
    hwThermalUs: 0,
    swThermalUs: 0,
    hwPowerBrakeUs: 0,
    syncBoostUs: 0,
    ...parts,
  };
}

interface Told {
  /** Changes of every snapshot; undefined takes a field away. */
  readonly fields?: Fields;
  /** Changes of the snapshots once the engine is ready. */
  readonly ready?: Fields;
  /** Changes of the snapshot after the trial of the second round. */
  readonly second?: Fields;
  readonly engine?: Variant["engine"];
  readonly title?: string;
  /** undefined: no reading at that second. */
  readonly reading?: (atMs: number, round: number) => Partial<GpuReading> | undefined;
}

/** Processes 4242 and on are those of an engine, which has new ones at every start that is ours. */
function livesOnce({ kind }: Variant["engine"], round: number, fields: Fields): Fields {
  const id = "gpu.0.processes.list";
  const list = fields[id];
  return kind === "external" || typeof list !== "string"
    ? fields
    : { ...fields, [id]: list.replaceAll(/\b424/g, `42${round}`) };
}

/** Three rounds on one H100 with nothing wrong but what is told. */
function told({ fields, ready, second, engine = vllm, title, reading }: Told = {}): AuditInput {
  const idle = { ...machine, ...fields };
  const working = { ...machine, ...atWork, ...fields, ...ready };
  const samples = [1, 2, 3].map((round) => ({
    ...samplesOf(round),
    gpus: Array.from({ length: 90 }, (_, at) => at * 1000).flatMap((atMs) => {
      const parts = reading === undefined ? {} : reading(atMs, round);
      return parts === undefined ? [] : [gpuReading(atMs, parts)];
    }),
  }));
  const before = snapshot(beforeAt, idle);
  const after = snapshot(afterAt, idle);
  const around = (round: number): readonly StoredSnapshot[] => {
    const own = livesOnce(engine, round, working);
    const last = round === 2 ? { ...own, ...livesOnce(engine, round, second ?? {}) } : own;
    return [
      stored("start", snapshot(beforeAt, own), { start: round }),
      stored("trial-before", snapshot(beforeAt, own), { start: round, trial: `t${round}` }),
      stored("trial-after", snapshot(afterAt, last), { start: round, trial: `t${round}` }),
    ];
  };
  const input = withSamples(samples);
  const named =
    title === undefined ? experiment : { ...experiment, title: { zh: title, en: title } };
  return withEngine(engine, {
    ...input,
    experiment: named,
    before,
    after,
    snapshots: [
      stored("run-before", before),
      ...[1, 2, 3].flatMap(around),
      stored("run-after", after),
    ],
  });
}

describe("every GPU rule", () => {
  it.each(ids)("%s passes a healthy GPU at work", (id) => {
    expect(outcomesOf(id, told()).filter(({ kind }) => kind !== "pass")).toEqual([]);
  });

  it.each(ids)("%s passes without a GPU, and is not checked where GPUs were not read", (id) => {
    expect(passes(id, onMachine({ "client.engine_relation": "same host" }))).toBe(true);
    expect(whyNot(id, healthy)).toEqual([
      "the engine is on another host, whose GPUs were not read",
    ]);
    const unread = onMachine({ "client.engine_relation": "same host", "gpu.count": notCollected });
    expect(whyNot(id, unread)).toEqual(["GPUs were not read: not asked"]);
    expect(whyNot(id, { ...healthy, before: undefined, after: undefined })).toEqual([
      "GPUs were not read",
    ]);
  });

  it.each(ids.filter((id) => id !== "E11"))("%s says what it lacks where there is a GPU", (id) => {
    const bare = onMachine({ "gpu.count": 1, "client.engine_relation": "same host" });
    expect(whyNot(id, withEngine(vllm, bare))).toHaveLength(1);
  });

  it.each(ids)("%s passes beside an engine that computes on the CPU", (id) => {
    const busy = onMachine({ ...machine, ...atWork, "gpu.0.ecc.current": "Disabled" });
    expect(passes(id, busy)).toBe(true);
    const cpu = withEngine(vllm, {
      ...busy,
      starts: [1, 2, 3].map((round) => startSaying(round, { version: "0.32.0+cpu" })),
    });
    expect(passes(id, cpu)).toBe(true);
  });

  it.each(ids)("%s speaks both languages without a stray Latin full stop in Chinese", (id) => {
    const spoiled = told({
      fields: {
        "gpu.0.memory.used_mib": 5000,
        "gpu.0.ecc.pending": "Disabled",
        "gpu.0.ecc.current": "Disabled",
        "gpu.0.remapped.pending": "Yes",
        "gpu.0.mig.current": "Enabled",
        "gpu.0.mig.pending": "Enabled",
        "gpu.0.power.limit_w": 400,
        "gpu.0.name": "NVIDIA RTX PRO 6000 Blackwell",
      },
      reading: (atMs) => ({ pcieGeneration: 1, smClockMhz: 900, hwThermalUs: atMs * 1000 }),
    });
    for (const { seen, expected, mend } of findingsOf(id, spoiled)) {
      for (const text of [seen, expected, mend]) {
        expect(text.zh).not.toMatch(/[a-z]\. |undefined|NaN/i);
        expect(text.en).not.toMatch(/\p{Script=Han}|undefined|NaN/u);
      }
    }
  });
});

describe("E1, the GPU to itself", () => {
  it("blocks a process that was there before the run, with its pid and name", () => {
    const input = told({
      fields: { "gpu.0.processes.count": 1, "gpu.0.processes.list": "77 python3 900 MiB" },
    });
    expect(findingsOf("E1", input)).toMatchObject([
      {
        severity: "block",
        where: "environment",
        seen: { en: "1 other compute process on GPU 0 before the run: 77 python3" },
        evidence: { gpu: 0, pids: "77" },
      },
    ]);
  });

  it("blocks memory in use before the run that no process on the list holds", () => {
    const input = told({ fields: { "gpu.0.memory.used_mib": 5000 } });
    expect(findingsOf("E1", input)).toMatchObject([
      { severity: "block", evidence: { gpu: 0, usedMib: 5000 } },
    ]);
  });

  it("names a desktop for what it is, and does not block for its memory", () => {
    const desktop = { "gpu.0.memory.used_mib": 1500, "gpu.0.processes.graphics_count": 3 };
    expect(findingsOf("E1", told({ fields: desktop }))).toMatchObject([
      {
        severity: "fail",
        seen: { en: "1,500 MiB in use on GPU 0 before the run, with 3 graphics processes on it" },
      },
    ]);
    expect(passes("E1", told({ fields: { ...desktop, "gpu.0.memory.used_mib": 400 } }))).toBe(true);
  });

  it("blocks a process that appears after the engine was ready, at the point it disturbed", () => {
    const list = "4242 VLLM::EngineCore 71900 MiB; 99 train.py 3000 MiB";
    const input = told({ second: { "gpu.0.processes.list": list } });
    expect(findingsOf("E1", input)).toMatchObject([
      { severity: "block", where: pointName, evidence: { pids: "99" } },
    ]);
  });

  it("blocks what an earlier engine left behind, though it was there when the next became ready", () => {
    const left = "77 VLLM::EngineCore 9000 MiB; 4242 VLLM::EngineCore 60000 MiB";
    const input = told({ ready: { "gpu.0.processes.list": left } });
    expect(findingsOf("E1", input)).toMatchObject([
      {
        severity: "block",
        where: "fp32",
        seen: {
          en: "1 other compute process on GPU 0 since an earlier start: 77 VLLM::EngineCore",
        },
      },
    ]);
    const kept = { ...input.experiment, measure: { ...input.experiment.measure, keep: true } };
    expect(passes("E1", { ...input, experiment: kept })).toBe(true);
  });

  it("knows the engine's process again, whatever its name holds and whatever it takes", () => {
    const own = "4242 python -c 'a; b' 60000 MiB; 4243 worker";
    const list = "4242 python -c 'a; b' 71900 MiB; 4243 worker";
    const input = told({
      ready: { "gpu.0.processes.list": own },
      second: { "gpu.0.processes.list": list },
    });
    expect(passes("E1", input)).toBe(true);
  });

  it("leaves alone what runs on GPUs that the engine does not use", () => {
    const neighbour: Fields = {
      "gpu.count": 2,
      ...h100(1),
      "gpu.1.memory.used_mib": 60_000,
      "gpu.1.processes.count": 1,
      "gpu.1.processes.list": "5 python3 59000 MiB",
    };
    expect(passes("E1", told({ fields: neighbour }))).toBe(true);
    expect(passes("E17", told({ fields: { ...neighbour, "gpu.1.ecc.current": "Disabled" } }))).toBe(
      true,
    );
  });

  it("goes by the devices that were made visible where nothing else shows the engine's", () => {
    const unseen: Fields = {
      "gpu.count": 2,
      ...h100(1),
      "gpu.0.processes.list": notCollected,
      "gpu.0.processes.count": notCollected,
      "gpu.1.power.limit_w": 300,
      "gpu.0.memory.used_mib": 89,
    };
    const visible = (devices: string): AuditInput =>
      told({
        fields: unseen,
        engine: { ...vllm, env: { CUDA_VISIBLE_DEVICES: devices } } as Variant["engine"],
      });
    expect(findingsOf("E12", visible("0"))).toEqual([]);
    expect(findingsOf("E12", visible("GPU-1"))).toHaveLength(1);
    expect(findingsOf("E12", told({ fields: unseen }))).toHaveLength(1);
  });

  it("says that processes are hidden, and finds what takes memory in a window all the same", () => {
    const hidden: Fields = { "gpu.0.processes.count": 0, "gpu.0.processes.list": "none" };
    expect(whyNot("E1", told({ ready: hidden }))).toEqual([
      expect.stringMatching(/^memory of GPU 0 is in use while the process list is empty/),
    ]);
    expect(findingsOf("E1", told({ ready: hidden }))).toEqual([]);
    const grown = told({
      ready: hidden,
      reading: (atMs) => ({ memoryUsedMib: atMs < 30_000 ? 70_000 : 75_000 }),
    });
    expect(findingsOf("E1", grown)).toMatchObject([
      { severity: "fail", where: pointName, evidence: { grownMib: 5000 } },
    ]);
  });

  it("can't tell whose an earlier process is when it attached, and finds later ones", () => {
    const own: Fields = {
      "gpu.0.processes.count": 1,
      "gpu.0.processes.list": "4242 VLLM::EngineCore 71900 MiB",
      "gpu.0.memory.used_mib": 72_000,
    };
    const input = told({ engine: attached, fields: own });
    expect(findingsOf("E1", input)).toEqual([]);
    expect(whyNot("E1", input)).toEqual([
      "the engine was running before: which of the processes on the GPU are its own is not known",
    ]);
    const joined = told({
      engine: attached,
      fields: own,
      second: { "gpu.0.processes.list": "4242 VLLM::EngineCore 71900 MiB; 99 x" },
    });
    expect(findingsOf("E1", joined)).toMatchObject([{ evidence: { pids: "99" } }]);
  });

  it("only fails what may be on another slice of a GPU", () => {
    const input = told({
      fields: { "gpu.0.mig.current": "Enabled", "gpu.0.processes.list": "77 python3 900 MiB" },
    });
    expect(findingsOf("E1", input)).toMatchObject([{ severity: "fail" }]);
  });
});

describe("E7, hardware errors", () => {
  it.each<[string, Fields, Readonly<Record<string, string | number>>]>([
    ["a new Xid", { "gpu.xid.count": 2 }, { xids: 2 }],
    ["new uncorrectable ECC errors", { "gpu.0.ecc.uncorrected_volatile": 3 }, { eccGpu0: 3 }],
    [
      "a pending row remapping",
      { "gpu.0.remapped.pending": "Yes" },
      { "remapped.pendingGpu0": "Yes" },
    ],
    [
      "a failed row remapping",
      { "gpu.0.remapped.failure": "Yes" },
      { "remapped.failureGpu0": "Yes" },
    ],
    [
      "a pending page retirement",
      { "gpu.0.retired.pending": "Yes" },
      { "retired.pendingGpu0": "Yes" },
    ],
    ["a recovery action", { "gpu.0.recovery_action": "Drain and Reset" }, {}],
  ])("blocks %s", (_, change, evidence) => {
    const input = told();
    const after = snapshot(afterAt, { ...machine, ...change });
    const spoiled = {
      ...input,
      after,
      snapshots: [...input.snapshots.slice(0, -1), stored("run-after", after)],
    };
    expect(findingsOf("E7", spoiled)).toMatchObject([{ severity: "block", evidence }]);
  });

  it("passes errors that are older than the run, and counters that a reset set back", () => {
    expect(passes("E7", told({ fields: { "gpu.xid.count": 4 } }))).toBe(true);
    const reset = told({
      fields: { "gpu.0.ecc.uncorrected_volatile": 5 },
      ready: { "gpu.0.ecc.uncorrected_volatile": 0 },
    });
    // 5 to 0 after the reset, then up by 5 again as the last snapshot still says 5.
    expect(findingsOf("E7", reset)).toMatchObject([{ evidence: { eccGpu0: 5 } }]);
  });

  it("says which of its sources were not there, and takes a card without ECC as it is", () => {
    expect(whyNot("E7", told({ fields: { "gpu.xid.count": notCollected } }))).toEqual([
      "not collected: the Xid log",
    ]);
    expect(
      passes("E7", told({ fields: { "gpu.0.ecc.uncorrected_volatile": notApplicable } })),
    ).toBe(true);
  });
});

describe("E8, pending modes", () => {
  it.each([
    ["MIG", { "gpu.0.mig.pending": "Enabled" }],
    ["ECC", { "gpu.0.ecc.pending": "Disabled" }],
  ])("blocks a pending %s mode, also one that was set in mid-run", (modes, change) => {
    expect(findingsOf("E8", told({ fields: change }))).toMatchObject([
      { severity: "block", evidence: { gpus: "0", modes } },
    ]);
    expect(findingsOf("E8", told({ second: change }))).toHaveLength(1);
  });

  it("is not checked where a mode was not read", () => {
    const input = told({ fields: { "gpu.0.mig.pending": notCollected } });
    expect(whyNot("E8", input)).toEqual(["not collected: MIG mode"]);
  });
});

describe("E10, slowdowns", () => {
  it("fails counters that grew within the window, with their share of it", () => {
    // 10 ms of every second.
    const input = told({ reading: (atMs) => ({ hwThermalUs: 500 + atMs * 10 }) });
    const [finding] = findingsOf("E10", input);
    expect(finding).toMatchObject({ severity: "fail", where: pointName, evidence: { rounds: 3 } });
    expect(Number(finding?.evidence["share"])).toBeCloseTo(0.01, 2);
    expect(finding?.seen.en).toMatch(/^GPU 0 slowed down for .* of the window of round \d, 1\.0 %/);
  });

  it("passes what grew before and after the window only", () => {
    const input = told({ reading: (atMs) => ({ hwPowerBrakeUs: atMs < 3000 ? 0 : 9_000_000 }) });
    expect(passes("E10", input)).toBe(true);
  });

  it("passes a power cap, at which GPUs work as they are meant to", () => {
    const input = told({ reading: (atMs) => ({ swPowerCapUs: atMs * 900, eventReasons: 0x4 }) });
    expect(passes("E10", input)).toBe(true);
  });

  it("falls back to the reasons at each reading, and says what that can't show", () => {
    const none = { hwThermalUs: undefined, swThermalUs: undefined, hwPowerBrakeUs: undefined };
    const hot = told({
      reading: (atMs) => ({ ...none, eventReasons: atMs % 10_000 === 0 ? 0x48 : 0 }),
    });
    const [finding] = findingsOf("E10", hot);
    expect(finding?.evidence["slowedReadings"]).toBeGreaterThan(0);
    expect(finding?.seen.en).toContain("the driver keeps no counters");
    expect(passes("E10", told({ reading: () => none }))).toBe(true);
    const silent = told({ reading: () => ({ ...none, eventReasons: undefined }) });
    expect(whyNot("E10", silent)).toEqual([
      "GPU 0 offers neither counters nor reasons of slowdowns",
    ]);
  });

  it("is not checked without readings", () => {
    expect(whyNot("E10", told({ reading: () => undefined }))).toEqual([
      "no GPU reading fell into a window",
    ]);
  });
});

describe("E11, slices disclosed", () => {
  const vgpu: Fields = {
    "gpu.0.name": "NVIDIA RTX Pro 6000 Blackwell DC-4-96Q",
    "gpu.0.virtualization": "VGPU",
    "gpu.0.vgpu.type": "NVIDIA RTX Pro 6000 Blackwell DC-4-96Q",
  };
  const mig: Fields = {
    "gpu.0.mig.current": "Enabled",
    "gpu.0.mig.pending": "Enabled",
    "gpu.0.mig.profiles": "3g.40gb, 3g.40gb",
  };

  it.each([
    ["vGPU", vgpu, ["Qwen3 on a vGPU", "Qwen3，RTX Pro 6000 DC-4-96Q"]],
    ["MIG", mig, ["H100 的 MIG 实例", "Qwen3 on H100 3g.40gb"]],
  ])("fails a %s slice that the title does not name", (_, fields, titles) => {
    expect(findingsOf("E11", told({ fields, title: "Qwen3 on one GPU" }))).toMatchObject([
      { severity: "fail" },
    ]);
    for (const title of titles) expect(passes("E11", told({ fields, title }))).toBe(true);
  });

  it("fails a slice whose profile is not known", () => {
    const fields = { ...mig, "gpu.0.mig.profiles": notCollected };
    expect(findingsOf("E11", told({ fields, title: "On MIG" }))).toMatchObject([
      { evidence: { gpus: "0" } },
    ]);
    const blind = { "gpu.0.name": "NVIDIA L40S", "gpu.0.virtualization": "VGPU" };
    expect(findingsOf("E11", told({ fields: blind, title: "On a vGPU" }))).toHaveLength(1);
  });

  it("passes a whole GPU that a machine was given", () => {
    expect(passes("E11", told({ fields: { "gpu.0.virtualization": "Pass-Through" } }))).toBe(true);
  });
});

describe("E12, power limit", () => {
  const lowered: Fields = { "gpu.0.power.limit_w": 400 };

  it("fails a limit below the default, also one that was lowered in mid-run", () => {
    expect(findingsOf("E12", told({ fields: lowered }))).toMatchObject([
      { severity: "fail", evidence: { gpus: "0", limitW: 400, defaultW: 700 } },
    ]);
    expect(findingsOf("E12", told({ second: lowered }))).toHaveLength(1);
    expect(
      findingsOf("E12", told({ fields: { "gpu.0.power.enforced_limit_w": 500 } })),
    ).toHaveLength(1);
  });

  it("passes one that the experiment states", () => {
    const input = told({ fields: lowered });
    const stated = { other: { 功耗上限: "400 W" } };
    expect(passes("E12", { ...input, experiment: { ...input.experiment, stated } })).toBe(true);
  });

  it("does not apply to a GPU without a limit of its own", () => {
    const none = {
      "gpu.0.power.limit_w": notApplicable,
      "gpu.0.power.default_limit_w": notApplicable,
      "gpu.0.power.enforced_limit_w": notApplicable,
    };
    expect(passes("E12", told({ fields: none }))).toBe(true);
  });
});

describe("E16, interconnect", () => {
  it("fails a link that never reached its maximum under load", () => {
    const input = told({ reading: () => ({ pcieGeneration: 3, pcieWidth: 8 }) });
    expect(findingsOf("E16", input)).toMatchObject([
      {
        severity: "fail",
        where: pointName,
        seen: { en: "PCIe of GPU 0 reached 3.0 x8 under load" },
        expected: { en: "5.0 x16" },
      },
    ]);
  });

  it("passes a link that rests between bursts, and a virtual GPU, which has none", () => {
    const resting = told({ reading: (atMs) => ({ pcieGeneration: atMs % 2000 === 0 ? 1 : 5 }) });
    expect(passes("E16", resting)).toBe(true);
    const virtual = told({
      fields: { "gpu.0.pcie.max_generation": notApplicable, "gpu.0.pcie.max_width": notApplicable },
      reading: () => ({ pcieGeneration: undefined, pcieWidth: undefined }),
    });
    expect(passes("E16", virtual)).toBe(true);
  });

  const split = (first: Fields, second: Fields): AuditInput => {
    const two: Fields = { "gpu.count": 2, ...h100(1), ...first, ...second };
    const working: Fields = Object.fromEntries(
      Object.entries(atWork).map(([id, value]) => [id.replace("gpu.0.", "gpu.1."), value]),
    );
    const engine = { ...vllm, args: { "tensor-parallel-size": 2 } } as Variant["engine"];
    const input = told({ fields: two, ready: { ...atWork, ...working }, engine });
    return {
      ...input,
      measured: input.measured.map((point) => ({
        ...point,
        samples: point.samples.map((trial) => ({
          ...trial,
          gpus: trial.gpus.flatMap((one) => [one, { ...one, gpu: 1, uuid: "GPU-1" }]),
        })),
      })),
    };
  };

  it("passes NVLink between GPUs that share a model, and fails one that lost its links", () => {
    const bonded = { "gpu.0.topology": "GPU1 NV18", "gpu.1.topology": "GPU0 NV18" };
    expect(passes("E16", split(bonded, {}))).toBe(true);
    const lost = {
      "gpu.0.topology": "GPU1 SYS, GPU2 SYS",
      "gpu.1.topology": "GPU0 SYS, GPU2 NV18",
    };
    expect(findingsOf("E16", split(lost, {}))).toMatchObject([{ evidence: { gpus: "0" } }]);
    expect(findingsOf("E16", split(bonded, { "gpu.1.fabric.state": "In Progress" }))).toMatchObject(
      [{ evidence: { gpus: "1", state: "In Progress" } }],
    );
  });

  it("says that P2P over PCIe was not looked at", () => {
    const plain = { "gpu.0.topology": "GPU1 PHB", "gpu.1.topology": "GPU0 PHB" };
    expect(whyNot("E16", split(plain, {}))).toEqual([
      "the GPUs have no NVLink, and whether PCIe P2P works was not collected",
    ]);
  });
});

describe("E17, memory ECC", () => {
  it.each(["NVIDIA H100 80GB HBM3", "NVIDIA RTX PRO 6000 Blackwell Server Edition", "NVIDIA L40S"])(
    "fails ECC that is off on %s",
    (name) => {
      const input = told({ fields: { "gpu.0.name": name, "gpu.0.ecc.current": "Disabled" } });
      expect(findingsOf("E17", input)).toMatchObject([
        { severity: "fail", evidence: { gpus: "0" } },
      ]);
    },
  );

  it("passes consumer and workstation cards, where it is off as sold", () => {
    for (const name of ["NVIDIA GeForce RTX 5090", "NVIDIA RTX A6000"]) {
      const input = told({ fields: { "gpu.0.name": name, "gpu.0.ecc.current": "Disabled" } });
      expect(passes("E17", input)).toBe(true);
    }
  });
});

describe("E22, clocks", () => {
  it("warns of a median below nine tenths of the maximum, and says what held it back", () => {
    const input = told({ reading: () => ({ smClockMhz: 1410, eventReasons: 0x4 }) });
    const [finding] = findingsOf("E22", input);
    expect(finding).toMatchObject({ severity: "warn", evidence: { smClockMhz: 1410 } });
    // 1410 of 1980 MHz are 71 %.
    expect(finding?.seen.en).toBe(
      "GPU 0: median SM clock 1,410 MHz, 71 % of the maximum of 1,980 MHz; held back by the power cap",
    );
    expect(findingsOf("E22", told({ reading: () => ({ memoryClockMhz: 1593 }) }))).toHaveLength(1);
  });

  it("warns of a clock that is held, though it is high", () => {
    const still = told({ reading: () => ({ smClockMhz: 1900, eventReasons: 0 }) });
    expect(findingsOf("E22", still)[0]?.seen.en).toContain("seems locked");
    const set = told({ reading: () => ({ eventReasons: 0x2 }) });
    expect(findingsOf("E22", set)[0]?.seen.en).toContain("applications clocks");
  });

  it("is not checked with a handful of readings, or without the maximum", () => {
    const few = told({ reading: (atMs) => (atMs === 30_000 ? {} : undefined) });
    expect(whyNot("E22", few)).toHaveLength(1);
    const unknown = told({
      fields: {
        "gpu.0.clocks.max_sm_mhz": notApplicable,
        "gpu.0.clocks.max_memory_mhz": notApplicable,
      },
    });
    expect(whyNot("E22", unknown)).toHaveLength(1);
  });
});

describe("E27, boards of one name", () => {
  const pro: Fields = { "gpu.0.name": "NVIDIA RTX PRO 6000 Blackwell" };

  it("can't tell which board a family's bare name means, and says which there are", () => {
    expect(whyNot("E27", told({ fields: pro }))).toEqual([
      "which board GPU 0 is can't be told: Server Edition 1597 GB/s, Max-Q Workstation Edition 1792 GB/s, Workstation Edition 1792 GB/s bear this name",
    ]);
  });

  it("passes a name that says the edition, and a device id that tells it", () => {
    for (const name of [
      "NVIDIA RTX PRO 6000 Blackwell Server Edition",
      "NVIDIA RTX Pro 6000 Blackwell DC-4-96Q",
    ]) {
      expect(passes("E27", told({ fields: { "gpu.0.name": name } }))).toBe(true);
    }
    expect(passes("E27", told({ fields: { ...pro, "gpu.0.pci_device_id": "2BB510DE" } }))).toBe(
      true,
    );
  });

  it("warns of two boards under one name", () => {
    const input = told({
      fields: { "gpu.count": 2, ...h100(1), "gpu.1.pci_device_id": "233110DE" },
      ready: {
        "gpu.1.processes.count": 1,
        "gpu.1.processes.list": "4243 VLLM::Worker 71900 MiB",
      },
    });
    expect(findingsOf("E27", input)).toMatchObject([
      { severity: "warn", evidence: { deviceIds: "233010DE 233110DE" } },
    ]);
  });
});

describe("a GPU that is changed between rounds", () => {
  /** The fixture calls fields of GPUs context; the probe calls these comparability. */
  const compared = (input: AuditInput, id: string): AuditInput => ({
    ...input,
    snapshots: input.snapshots.map((taken) => ({
      ...taken,
      snapshot: {
        ...taken.snapshot,
        fields: taken.snapshot.fields.map((field) =>
          field.id === id ? { ...field, class: "comparability" as const } : field,
        ),
      },
    })),
  });

  it.each([
    ["gpu.0.mig.current", "Enabled"],
    ["gpu.0.power.limit_w", 400],
    ["gpu.0.driver", "595.80"],
  ])("is found by E4 from the snapshots around trials: %s", (id, value) => {
    const input = compared(
      told({ fields: { "gpu.0.driver": "590.48.01" }, second: { [id]: value } }),
      id,
    );
    expect(findingsOf("E4", input)).toMatchObject([
      { severity: "block", evidence: { fields: id } },
    ]);
  });

  it("is found from what a replayed host with MIG instances answers before and after", async () => {
    const host = replayedHost("h100-mig");
    const outside: Outside = {
      ...real,
      exec: ([program = "", ...words], options) =>
        real.exec([program === "nvidia-smi" ? host.smi : program, ...words], options),
    };
    const light = async (): Promise<EnvironmentSnapshot> => {
      const record = recorder(outside, 20_000, (text) => text);
      const { fields } = await probeGpus(outside, record, { light: true });
      return { schema: 1, takenAt: beforeAt, light: true, fields, raw: record.raw };
    };
    const before = await light();
    host.setState({ cells: { "*": { "mig.mode.current": "Disabled" } } });
    const after = await light();
    host.remove();
    const input: AuditInput = {
      ...told(),
      snapshots: [
        stored("run-before", before),
        stored("trial-before", before, { start: 1, trial: "t1" }),
        stored("trial-before", after, { start: 2, trial: "t2" }),
        stored("run-after", after),
      ],
    };
    const [finding] = findingsOf("E4", input);
    expect(finding?.severity).toBe("block");
    expect(String(finding?.evidence["fields"]).split(" ")).toContain("gpu.0.mig.current");
    expect(findingsOf("E8", input)).toMatchObject([{ evidence: { modes: "MIG" } }]);
  });
});
