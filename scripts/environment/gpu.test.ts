import { describe, expect, it } from "vitest";
import { toldMachine } from "../testing/told-machine.ts";
import { gpuFieldsWithoutGpu, probeGpus, readCell } from "./gpu.ts";
import type { Ran } from "./outside.ts";
import { recorder } from "./probe.ts";
import { reasons } from "./reasons.ts";
import type { FieldValue } from "./snapshot.ts";

const nvidiaOnBus = {
  "/sys/bus/pci/devices/0000:01:00.0/vendor": "0x10de\n",
  "/sys/bus/pci/devices/0000:01:00.0/class": "0x030200\n",
};
const virtioOnBus = {
  "/sys/bus/pci/devices/0000:00:01.0/vendor": "0x1af4\n",
  "/sys/bus/pci/devices/0000:00:01.0/class": "0x020000\n",
};

async function probe(
  smi: Partial<Ran> | undefined,
  files: Record<string, string>,
  light = false,
): Promise<Map<string, FieldValue>> {
  const machine = toldMachine({ files, ...(smi && { commands: { "nvidia-smi": smi } }) });
  const record = recorder(machine, 1000, (text) => text);
  const { fields } = await probeGpus(machine, record, { light });
  expect(new Set(fields.map(({ id }) => id)).size).toBe(fields.length);
  return new Map(fields.map(({ id, value }) => [id, value]));
}

describe("a machine without a GPU", () => {
  it("has every GPU field, each not applicable", async () => {
    const fields = await probe(undefined, virtioOnBus);
    expect([...fields.keys()]).toEqual(gpuFieldsWithoutGpu.map(({ id }) => id));
    for (const value of fields.values())
      expect(value).toEqual({ state: "not_applicable", reason: reasons.noGpu });
  });

  it("is one even where an image brings an nvidia-smi that finds no driver", async () => {
    const fields = await probe({ exitCode: 9, stdout: "NVIDIA-SMI has failed" }, virtioOnBus);
    expect(fields.get("gpu.name")).toEqual({ state: "not_applicable", reason: reasons.noGpu });
  });
});

describe("a GPU that can't be read is not called absent", () => {
  const cases: [string, Partial<Ran> | undefined, Record<string, string>, string][] = [
    ["nvidia-smi is not installed", undefined, nvidiaOnBus, reasons.noNvidiaSmi],
    ["only /dev shows it", undefined, { "/dev/nvidia0": "" }, reasons.noNvidiaSmi],
    ["nvidia-smi hangs", { failure: "timed out", exitCode: undefined }, {}, reasons.nvidiaSmiHangs],
    ["no devices", { exitCode: 6 }, nvidiaOnBus, reasons.nvidiaSmiNoDevices],
    ["no driver", { exitCode: 9 }, nvidiaOnBus, reasons.nvidiaSmiNoDriver],
    ["versions do not match", { exitCode: 18 }, nvidiaOnBus, reasons.nvidiaSmiMismatch],
    ["another exit code", { exitCode: 255 }, nvidiaOnBus, reasons.nvidiaSmiFails],
    [
      "an answer without rows",
      { exitCode: 0, stdout: "hello\n" },
      nvidiaOnBus,
      reasons.nvidiaSmiUnexpected,
    ],
    [
      "another vendor's accelerator",
      undefined,
      {
        "/sys/bus/pci/devices/0000:c1:00.0/vendor": "0x1002\n",
        "/sys/bus/pci/devices/0000:c1:00.0/class": "0x120000\n",
      },
      reasons.otherVendorGpu,
    ],
  ];
  it.each(cases)("%s", async (_, smi, files, reason) => {
    const fields = await probe(smi, files);
    expect(fields.size).toBe(gpuFieldsWithoutGpu.length);
    for (const value of fields.values()) expect(value).toEqual({ state: "not_collected", reason });
  });
});

describe("GPUs that nvidia-smi lists", () => {
  const stdout =
    "Warning: persistence daemon is not running, consider starting it\n" +
    "0, NVIDIA RTX Test 6000, GPU-11111111-2222-3333-4444-555555555555, 00000000:01:00.0, 580.10, 98304, [N/A]\n" +
    "1, NVIDIA RTX Test 6000, GPU-11111111-2222-3333-4444-666666666666, 00000000:02:00.0, 580.10, [Unknown Error], Enabled\n";

  it("have name, driver, memory, UUID and MIG mode, with states for what nvidia-smi does not say", async () => {
    const fields = await probe({ exitCode: 0, stdout }, nvidiaOnBus);
    expect(fields.get("gpu.count")).toEqual({ state: "value", value: 2 });
    expect(fields.get("gpu.0.name")).toEqual({ state: "value", value: "NVIDIA RTX Test 6000" });
    expect(fields.get("gpu.0.memory_mib")).toEqual({ state: "value", value: 98304, unit: "MiB" });
    expect(fields.get("gpu.0.mig.current")?.state).toBe("not_applicable");
    expect(fields.get("gpu.1.mig.current")).toEqual({ state: "value", value: "Enabled" });
    expect(fields.get("gpu.1.memory_mib")).toEqual({
      state: "not_collected",
      reason: reasons.gpuUnknownError,
    });
    expect(fields.get("gpu.1.ecc")).toEqual({ state: "not_collected", reason: reasons.gpuNotRead });
  });

  it("give only what can change in the light form", async () => {
    const light = "0, NVIDIA RTX Test 6000, GPU-1, 580.10, Disabled\n";
    const fields = await probe({ exitCode: 0, stdout: light }, nvidiaOnBus, true);
    expect([...fields.keys()]).toEqual([
      "gpu.count",
      "gpu.0.name",
      "gpu.0.uuid",
      "gpu.0.driver",
      "gpu.0.mig.current",
    ]);
  });
});

describe("a cell of nvidia-smi", () => {
  it.each([
    "N/A",
    " N/A ",
    "[N/A]",
    "[Not Supported]",
    "[Requested functionality has been deprecated]",
  ])("%s is a state, not a text", (cell) => {
    expect(readCell(cell, undefined, 0).value.state).toBe("not_applicable");
  });
  it.each(["[Unknown Error]", "ERR!", "[GPU requires reset]", ""])(
    "%s was not collected",
    (cell) => {
      expect(readCell(cell, "MiB", 0).value.state).toBe("not_collected");
    },
  );
});
