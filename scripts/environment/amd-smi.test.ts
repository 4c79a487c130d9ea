import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { toldMachine } from "../testing/told-machine.ts";
import { probeAmd, readAmdSmi, readRocmSmi } from "./amd-smi.ts";
import { recorder } from "./probe.ts";
import { reasons } from "./reasons.ts";

const stated = {
  gpu: 1,
  asic: {
    market_name: "AMD Instinct MI300X",
    device_id: "0x74a1",
    target_graphics_version: "gfx942",
  },
  bus: { bdf: "0000:0c:00.0", max_pcie_width: 16, max_pcie_speed: { value: 32, unit: "GT/s" } },
  vbios: { name: "AMD MI300X", version: "022.040.003.042" },
  limit: { max_power: { value: 750, unit: "W" }, socket_power: { value: 700, unit: "W" } },
  driver: { name: "amdgpu", version: "6.12.12" },
  board: { model_number: "102-G30211-0C", product_serial: "PCB000000" },
  ras: { ecc_block_state: { UMC: "ENABLED", GFX: "DISABLED" } },
  partition: { accelerator_partition: "SPX", memory_partition: "NPS1" },
  numa: { node: 1, affinity: 1 },
  vram: { type: "HBM3", size: { value: 196592, unit: "MB" } },
};
const metric = {
  gpu: 1,
  power: { socket_power: { value: 142, unit: "W" }, throttle_status: "UNTHROTTLED" },
  clock: {
    gfx_0: { clk: { value: 132, unit: "MHz" }, max_clk: { value: 2100, unit: "MHz" } },
    mem_0: { clk: { value: 900, unit: "MHz" }, max_clk: { value: 1300, unit: "MHz" } },
  },
  temperature: { edge: "N/A", hotspot: { value: 41, unit: "C" } },
  pcie: { width: 16, speed: { value: 32, unit: "GT/s" }, replay_count: 0 },
  ecc: { total_correctable_count: 3, total_uncorrectable_count: 0 },
  mem_usage: { total_vram: { value: 196592, unit: "MB" }, used_vram: { value: 49148, unit: "MB" } },
};
const texts = {
  static: JSON.stringify([stated]),
  metric: JSON.stringify([metric]),
  list: JSON.stringify([
    { gpu: 1, bdf: "0000:0c:00.0", uuid: "b6ff74a0-0000-1000-80ae-7c8cefe1f084" },
  ]),
  process: JSON.stringify([
    {
      gpu: 1,
      process_list: [
        {
          process_info: {
            name: "python3",
            pid: 4242,
            memory_usage: { vram_mem: { value: 1073741824, unit: "B" } },
          },
        },
      ],
    },
  ]),
  version: JSON.stringify([{ tool: "AMDSMI Tool", version: "25.5.1", rocm_version: "6.4.2" }]),
};

function factsOf(of: typeof texts): Record<string, unknown> {
  const [gpu] = readAmdSmi(of);
  return Object.fromEntries(
    [...(gpu?.values ?? [])].map(([id, said]) => [
      id,
      said.state === "value" ? said.value : said.state,
    ]),
  );
}

describe("amd-smi", () => {
  const facts = {
    vendor: "AMD",
    name: "AMD Instinct MI300X",
    architecture: "gfx942",
    uuid: "b6ff74a0-0000-1000-80ae-7c8cefe1f084",
    pci_id: "0000:0c:00.0",
    pci_device_id: "74A1",
    part_number: "102-G30211-0C",
    driver: "6.12.12",
    rocm: "6.4.2",
    vbios: "022.040.003.042",
    memory_mib: 196592,
    "memory.used_mib": 49148,
    "ecc.current": "Enabled",
    "ecc.uncorrected_volatile": 0,
    "ecc.corrected_volatile": 3,
    "partition.compute": "SPX",
    "partition.memory": "NPS1",
    "power.draw_w": 142,
    "power.limit_w": 700,
    "power.max_limit_w": 750,
    "clocks.sm_mhz": 132,
    "clocks.max_sm_mhz": 2100,
    "clocks.memory_mhz": 900,
    "clocks.max_memory_mhz": 1300,
    temperature_c: 41,
    "throttle.reasons": "none",
    // 32 GT/s per lane is PCI Express 5.
    "pcie.generation": 5,
    "pcie.max_generation": 5,
    "pcie.width": 16,
    "pcie.max_width": 16,
    "pcie.replays": 0,
    numa_affinity: 1,
    "processes.count": 1,
    "processes.list": "4242 python3 1024 MiB",
  };

  it("gives the facts of a GPU in a common form", () => {
    expect(factsOf(texts)).toEqual(facts);
  });

  it("gives the same wrapped in an object, as ROCm 7 prints, and after a warning", () => {
    const wrapped = {
      ...texts,
      static: `WARNING: User is missing the following groups: render\n[warning] x\n${JSON.stringify({ gpu_data: [stated] }, undefined, 2)}`,
      metric: JSON.stringify({ gpu_data: [metric] }),
    };
    expect(factsOf(wrapped)).toEqual(facts);
  });

  it("fills a snapshot, with what only NVIDIA has as not applicable", async () => {
    const machine = toldMachine({
      commands: {
        "amd-smi static": { stdout: texts.static },
        "amd-smi metric": { stdout: texts.metric },
        "amd-smi list": { stdout: texts.list },
        "amd-smi process": { stdout: texts.process },
        "amd-smi version": { stdout: texts.version },
      },
    });
    const record = recorder(machine, 1000, (text) => text);
    const read = await probeAmd(machine, record, { light: false });
    if (read.state !== "read") throw new Error(read.reason);
    const values = new Map(read.fields.map(({ id, value }) => [id, value]));
    expect(values.get("gpu.count")).toEqual({ state: "value", value: 1 });
    expect(values.get("gpu.1.memory_mib")).toEqual({ state: "value", value: 196592, unit: "MiB" });
    expect(values.get("gpu.1.mig.pending")).toEqual({
      state: "not_applicable",
      reason: reasons.notThisVendor,
    });
    expect(values.get("gpu.1.power.min_limit_w")).toEqual({
      state: "not_collected",
      reason: reasons.gpuNotSaid,
    });
    expect(JSON.stringify(read.fields)).not.toContain("PCB000000");
  });

  it.each([
    ["amd-smi static", { exitCode: 0, stdout: "nothing" }, reasons.vendorToolUnexpected],
    ["amd-smi static", { exitCode: 1 }, reasons.noAmdSmi],
  ])("%s that answers %o is a named state", async (command, answer, reason) => {
    const machine = toldMachine({ commands: { [command]: answer } });
    const record = recorder(machine, 1000, (text) => text);
    expect(await probeAmd(machine, record, { light: true })).toMatchObject({
      state: "none",
      reason,
    });
  });
});

describe("rocm-smi", () => {
  it("gives what it has, where amd-smi is missing", async () => {
    const machine = toldMachine({
      commands: {
        "rocm-smi": {
          stdout: JSON.stringify({
            card0: {
              "Card Series": "AMD Instinct MI210",
              "Card Model": "0x740f",
              "VRAM Total Memory (B)": "68702699520",
              "VRAM Total Used Memory (B)": "11304960",
              "sclk clock speed:": "(800Mhz)",
              "Max Graphics Package Power (W)": "300.0",
              "Serial Number": "PCB000000",
            },
            system: { "Driver version": "6.7.0" },
          }),
        },
      },
    });
    const record = recorder(machine, 1000, (text) => text);
    const read = await probeAmd(machine, record, { light: false });
    if (read.state !== "read") throw new Error(read.reason);
    const values = new Map(read.fields.map(({ id, value }) => [id, value]));
    // 68702699520 / 2^20
    expect(values.get("gpu.0.memory_mib")).toMatchObject({ value: 65520 });
    expect(values.get("gpu.0.name")).toMatchObject({ value: "AMD Instinct MI210" });
    expect(values.get("gpu.0.driver")).toMatchObject({ value: "6.7.0" });
    expect(values.get("gpu.0.clocks.sm_mhz")).toMatchObject({ value: 800 });
    expect(values.get("gpu.0.power.limit_w")).toMatchObject({ value: 300 });
  });

  const folder = fileURLToPath(
    new URL("../../../shared/fixtures/02-nvidia-smi-text/", import.meta.url),
  );
  it.skipIf(!existsSync(folder)).each([
    ["llamaland-rocm-smi.json", "Radeon 8060S Graphics", 512],
    [
      "other-vendors/gpustack-amd-gpu-6.2.4-rocm-smi.json",
      "Navi 32 [Radeon RX 7700 XT / 7800 XT]",
      16368,
    ],
  ])(
    "%s is %s with %i MiB (skipped where shared/fixtures is not beside the checkout)",
    (file, name, mib) => {
      const [gpu] = readRocmSmi(readFileSync(folder + file, "utf8"));
      expect(gpu?.values.get("name")).toEqual({ state: "value", value: name });
      expect(gpu?.values.get("memory_mib")).toEqual({ state: "value", value: mib });
    },
  );
});
