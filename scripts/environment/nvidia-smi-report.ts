// From the tree of `nvidia-smi -q` to what it says: driver, GPUs with their facts, MIG devices and
// processes, and what is wrong with the output itself. Damaged output yields what is left of it.

import { factEntries, type GpuFactId } from "./gpu-facts.ts";
import { type GpuValue, gpuValue, numberOf } from "./gpu-values.ts";
import { places, sums } from "./nvidia-smi-places.ts";
import { nodesAt, type SmiNode } from "./nvidia-smi-tree.ts";

export type SmiReport =
  | {
      readonly state: "read";
      readonly driver: GpuValue | undefined;
      readonly cuda: GpuValue | undefined;
      /** How many GPUs the output says it lists. */
      readonly attachedGpus: number | undefined;
      readonly gpus: readonly SmiGpu[];
      /** What is wrong with the output, in words. */
      readonly problems: readonly string[];
    }
  | SmiRefusal;

/** nvidia-smi answered, but not about GPUs. */
export interface SmiRefusal {
  readonly state:
    | "driver not loaded"
    | "library mismatch"
    | "no devices"
    | "gpu lost"
    | "no permission"
    | "empty"
    | "unexpected";
}

export interface SmiGpu {
  /** PCI address in the heading. undefined: the heading is empty. */
  readonly pciId: string | undefined;
  readonly facts: ReadonlyMap<GpuFactId, GpuValue>;
  readonly migDevices: readonly SmiMigDevice[];
  /** undefined: the output does not say. */
  readonly processes: readonly SmiProcess[] | undefined;
}

interface SmiMigDevice {
  /** Counted within the GPU, as `nvidia-smi -L` does. */
  readonly index: number | undefined;
  readonly gpuInstance: number | undefined;
  readonly computeInstance: number | undefined;
  readonly memoryMib: number | undefined;
  readonly multiprocessors: number | undefined;
}

export interface SmiProcess {
  readonly pid: number;
  /** C: compute, G: graphics, C+G: both. */
  readonly type: string;
  readonly name: string;
  /** undefined: the driver does not say, as on Windows. */
  readonly usedMib: number | undefined;
}

/**
 * What a text says that is no report.
 *
 * @example smiRefusal("No devices were found") // { state: "no devices" }
 */
export function smiRefusal(text: string): SmiRefusal {
  const state = (): SmiRefusal["state"] => {
    if (text.trim() === "") return "empty";
    if (/couldn't communicate with the NVIDIA driver/i.test(text)) return "driver not loaded";
    if (/driver\/library version mismatch/i.test(text)) return "library mismatch";
    if (/no devices were found/i.test(text)) return "no devices";
    if (/GPU is lost|unable to determine the device handle/i.test(text)) return "gpu lost";
    if (/insufficient permissions/i.test(text)) return "no permission";
    return "unexpected";
  };
  return { state: state() };
}

/**
 * Reads a tree whose root holds "driver_version", "cuda_version", "attached_gpus" and one "gpu" each.
 *
 * @param found problems that came up on the way from the text to the tree
 */
export function smiReport(root: SmiNode, found: readonly string[]): SmiReport {
  const gpus = nodesAt(root, "gpu").map(readGpu);
  const attached = valueAt(root, ["attached_gpus"]);
  const attachedGpus = attached?.state === "value" ? numberOf(attached.value) : undefined;
  return {
    state: "read",
    driver: valueAt(root, ["driver_version|kmd_version"]),
    cuda: valueAt(root, ["cuda_version|cuda_umd_version"]),
    attachedGpus,
    gpus,
    problems: [...found, ...problemsOf(gpus, attachedGpus)],
  };
}

function problemsOf(gpus: readonly SmiGpu[], attached: number | undefined): readonly string[] {
  const problems: string[] = [];
  if (attached !== undefined && attached !== gpus.length)
    problems.push(`attached_gpus says ${attached}, ${gpus.length} listed`);
  if (gpus.some(({ pciId }) => pciId === undefined)) problems.push("a GPU has no PCI address");
  const uuids = gpus.flatMap(({ facts }) => {
    const uuid = facts.get("uuid");
    return uuid?.state === "value" ? [uuid.value] : [];
  });
  if (new Set(uuids).size < uuids.length) problems.push("GPUs share a UUID");
  return problems;
}

function readGpu(node: SmiNode): SmiGpu {
  const facts = new Map<GpuFactId, GpuValue>();
  const say = (id: GpuFactId, value: GpuValue | undefined): void => {
    if (value !== undefined) facts.set(id, value);
  };
  for (const [id, paths] of factEntries(places)) say(id, valueAt(node, paths));
  for (const [id, paths] of factEntries(sums)) say(id, sumAt(node, paths));
  const device = facts.get("pci_device_id");
  if (device?.state === "value")
    say("pci_device_id", { ...device, value: String(device.value).replace(/^0x/i, "") });
  // Two kinds of repair; one that is pending is enough.
  const repairs = placesOf(node, "ecc.repair_pending").find(({ text }) =>
    /^yes$/i.test(text ?? ""),
  );
  if (repairs !== undefined) say("ecc.repair_pending", { state: "value", value: "Yes" });
  if (!facts.has("recovery_action")) say("recovery_action", resetAt(node));
  say("throttle.reasons", activeReasonsAt(node));
  return {
    pciId: node.id?.trim() === "" ? undefined : node.id,
    facts,
    migDevices: nodesAt(node, "mig_devices/mig_device")
      .filter(({ name }) => name === "mig_device")
      .concat(nodesAt(node, "mig_device"))
      .map(readMigDevice),
    processes: readProcesses(node),
  };
}

function placesOf(node: SmiNode, id: GpuFactId): readonly SmiNode[] {
  return (places[id] ?? []).flatMap((path) => nodesAt(node, path));
}

function valueAt(node: SmiNode, paths: readonly string[]): GpuValue | undefined {
  const said = paths
    .flatMap((path) => nodesAt(node, path))
    .flatMap(({ text }) => gpuValue(text ?? "") ?? []);
  return said.find(({ state }) => state === "value") ?? said[0];
}

function sumAt(node: SmiNode, paths: readonly string[]): GpuValue | undefined {
  const rows = paths.map((path) =>
    nodesAt(node, path).flatMap(({ text }) => gpuValue(text ?? "") ?? []),
  );
  for (const row of rows) {
    const numbers = row.flatMap((one) =>
      one.state === "value" ? (numberOf(one.value) ?? []) : [],
    );
    if (numbers.length > 0)
      return { state: "value", value: numbers.reduce((sum, one) => sum + one, 0) };
  }
  return rows.flat()[0];
}

/** Before gpu_recovery_action there was a plain "reset required". */
function resetAt(node: SmiNode): GpuValue | undefined {
  const value = valueAt(node, ["gpu_reset_status/reset_required"]);
  if (value?.state !== "value") return value;
  return { state: "value", value: value.value === "Yes" ? "Reset required" : "None" };
}

/** By the ends of the names, which drivers prefix differently. */
const reasonWords: readonly (readonly [RegExp, string])[] = [
  [/idle$/, "GPU idle"],
  [/applications_clocks_setting$/, "application clocks"],
  [/sw_power_cap$/, "SW power cap"],
  [/hw_slowdown$/, "HW slowdown"],
  [/hw_thermal_slowdown$/, "HW thermal slowdown"],
  [/hw_power_brake_slowdown$/, "HW power brake"],
  [/sync_boost$/, "sync boost"],
  [/sw_thermal_slowdown$/, "SW thermal slowdown"],
  [/display_clocks?_setting$/, "display clocks"],
];

/** The reasons that hold now, for which a GPU runs below its highest clock. */
function activeReasonsAt(node: SmiNode): GpuValue | undefined {
  const group = nodesAt(node, "clocks_event_reasons|clocks_throttle_reasons")[0];
  if (group === undefined) return undefined;
  if (group.children.length === 0) return gpuValue(group.text ?? "");
  const active = (parent: SmiNode): readonly string[] =>
    parent.children.flatMap((one) => [
      ...(/^active$/i.test(one.text ?? "")
        ? [reasonWords.find(([end]) => end.test(one.name))?.[1] ?? one.name]
        : []),
      ...active(one),
    ]);
  return { state: "value", value: active(group).join(", ") || "none" };
}

function readMigDevice(node: SmiNode): SmiMigDevice {
  const number = (path: string): number | undefined => {
    const value = valueAt(node, [path]);
    return value?.state === "value" ? numberOf(value.value) : undefined;
  };
  return {
    index: number("index"),
    gpuInstance: number("gpu_instance_id"),
    computeInstance: number("compute_instance_id"),
    memoryMib: number("fb_memory_usage|shared_fb_memory_usage/total"),
    multiprocessors: number("device_attributes/shared/multiprocessor_count"),
  };
}

/** XML has an element per process; the text has a "Process ID" with the rest indented below it. */
function readProcesses(node: SmiNode): readonly SmiProcess[] | undefined {
  const group = nodesAt(node, "processes|compute_processes")[0];
  const said = gpuValue(group?.text ?? "");
  if (group === undefined || (said !== undefined && said.state !== "value")) return undefined;
  return group.children.flatMap((one) => {
    const text = (path: string): string => nodesAt(one, path)[0]?.text?.trim() ?? "";
    const pid = Number(one.name === "process_id" ? one.text : text("pid"));
    if (!["process_id", "process_info"].includes(one.name) || !Number.isInteger(pid)) return [];
    return {
      pid,
      type: text("type"),
      name: text("process_name|name"),
      usedMib: numberOf(text("used_memory|used_gpu_memory")),
    };
  });
}
