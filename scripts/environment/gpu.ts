// The accelerators of this machine as fields, whoever made them; or which of the many ways of having
// none this is. The bus says what is there, the vendor's own tool says what it is like.

import { probeAmd } from "./amd-smi.ts";
import { probeNvidia } from "./gpu-nvidia.ts";
import type { VendorGpus } from "./gpu-values.ts";
import { probeAscend } from "./npu-smi.ts";
import type { Outside } from "./outside.ts";
import {
  type DeclaredField,
  fieldOf,
  notApplicable,
  notCollected,
  type ProbeResult,
  type Reading,
  type Recorder,
  timeOf,
} from "./probe.ts";
import { reasons } from "./reasons.ts";
import type { EnvironmentField } from "./snapshot.ts";

/** Fields of a machine whose GPUs, if it has any, could not be read: one for each kind of fact. */
export const gpuFieldsWithoutGpu: readonly DeclaredField[] = [
  { id: "gpu.count", class: "comparability" },
  { id: "gpu.name", class: "comparability" },
  { id: "gpu.driver", class: "comparability" },
  { id: "gpu.memory", class: "comparability" },
  { id: "gpu.mig", class: "comparability" },
  { id: "gpu.cuda", class: "comparability" },
  { id: "gpu.vgpu", class: "comparability" },
  { id: "gpu.ecc", class: "comparability" },
  { id: "gpu.power_limit", class: "comparability" },
  { id: "gpu.clocks", class: "noise" },
  { id: "gpu.throttle", class: "noise" },
  { id: "gpu.pcie", class: "comparability" },
  { id: "gpu.topology", class: "comparability" },
  { id: "gpu.processes", class: "noise" },
];

/** Reads which GPUs there are and, in full or in what a trial can change, what they are like. */
export async function probeGpus(
  outside: Outside,
  record: Recorder,
  options: { readonly light: boolean },
): Promise<ProbeResult> {
  const [nvidia, devices] = await Promise.all([
    probeNvidia(outside, record, options),
    findDevices(outside, record),
  ]);
  const read = await firstRead(nvidia, devices, { outside, record, options });
  if (read.state === "read") return { fields: read.fields, raw: record.raw };
  const at = timeOf(outside);
  return {
    fields: gpuFieldsWithoutGpu.map(({ id, class: fieldClass }) =>
      fieldOf(id, "gpu", fieldClass, read.reading, at),
    ),
    raw: record.raw,
  };
}

interface Devices {
  /** By the PCI bus or, where it shows none, by /dev. */
  readonly nvidia: boolean;
  readonly amd: boolean;
  readonly ascend: boolean;
}

async function firstRead(
  nvidia: VendorGpus,
  devices: Devices,
  {
    outside,
    record,
    options,
  }: {
    readonly outside: Outside;
    readonly record: Recorder;
    readonly options: { readonly light: boolean };
  },
): Promise<
  | { readonly state: "read"; readonly fields: readonly EnvironmentField[] }
  | { readonly state: "none"; readonly reading: Reading }
> {
  if (nvidia.state === "read") return nvidia;
  // A tool that hangs is a driver in trouble, whatever the bus shows.
  const { reason, rawIndex } = nvidia;
  if (devices.nvidia || reason === reasons.nvidiaSmiHangs)
    return { state: "none", reading: notCollected(reason, rawIndex) };
  for (const [present, probe] of [
    [devices.amd, probeAmd],
    [devices.ascend, probeAscend],
  ] as const) {
    if (!present) continue;
    const read = await probe(outside, record, options);
    return read.state === "read"
      ? read
      : { state: "none", reading: notCollected(read.reason, read.rawIndex) };
  }
  return { state: "none", reading: notApplicable(reasons.noGpu, rawIndex) };
}

/** PCI: vendor and class say what a device is, whether or not a driver is loaded. */
async function findDevices(outside: Outside, record: Recorder): Promise<Devices> {
  const list = (path: string): Promise<readonly string[]> =>
    outside.readDirectory(path).catch(() => []);
  const [device, pci] = await Promise.all([list("/dev"), list("/sys/bus/pci/devices")]);
  const folder = "/sys/bus/pci/devices";
  const [vendors, classes] = await Promise.all([
    record.readAll(
      `${folder}/*/vendor`,
      pci.map((name) => `${folder}/${name}/vendor`),
    ),
    record.readAll(
      `${folder}/*/class`,
      pci.map((name) => `${folder}/${name}/class`),
    ),
  ]);
  const nodes = device.filter((name) => /^(?:nvidia(?:\d+|ctl)|kfd|davinci\d+)$/.test(name));
  record.note("list /dev/nvidia*, /dev/kfd, /dev/davinci*", nodes.join("\n"));
  const on = (vendor: string, kinds: RegExp): boolean =>
    vendors.texts.some((text, at) => text === vendor && kinds.test(classes.texts[at] ?? ""));
  return {
    // 0x03: display controller, 0x12: processing accelerator.
    nvidia: nodes.some((name) => name.startsWith("nvidia")) || on("0x10de", /^0x(?:03|12)/),
    // AMD's compute cards are no VGA adapters (0x0300); one that computes all the same has /dev/kfd.
    amd: on("0x1002", /^0x(?:0302|0380|12)/) || (nodes.includes("kfd") && on("0x1002", /^0x03/)),
    ascend: on("0x19e5", /^0x12/) || nodes.some((name) => name.startsWith("davinci")),
  };
}
