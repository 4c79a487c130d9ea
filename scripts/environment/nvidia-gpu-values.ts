// What several outputs of nvidia-smi say together of one GPU: its own facts, the MIG devices and their
// instances, what its name tells of a vGPU, its place in the topology, the processes on it.

import { type GpuFactId } from "./gpu-facts.ts";
import {
  computeProcesses,
  type GpuValue,
  type GpuValues,
  given,
  listOf,
  valuesOf,
} from "./gpu-values.ts";
import type { ListedGpu, MigInstance } from "./nvidia-smi-lists.ts";
import type { SmiGpu, SmiProcess } from "./nvidia-smi-report.ts";
import type { SmiTopology } from "./nvidia-smi-topology.ts";
import { reasons } from "./reasons.ts";

/** Facts that only other vendors' tools tell. */
export const notNvidia: readonly GpuFactId[] = [
  "rocm",
  "partition.compute",
  "partition.memory",
  "health",
];

interface Together {
  readonly gpu: SmiGpu;
  readonly index: number;
  readonly driver: GpuValue | undefined;
  readonly cuda: GpuValue | undefined;
  /** undefined: the list was not read. */
  readonly listed: ListedGpu | undefined;
  /** GPU and compute instances of all GPUs. */
  readonly instances: readonly MigInstance[];
  /** undefined: the topology was not read. */
  readonly topology: SmiTopology | undefined;
}

/** All facts of a GPU in a full snapshot. */
export function nvidiaValues(together: Together): GpuValues {
  const { gpu, index, driver, cuda, listed, instances, topology } = together;
  const own = instances.filter((one) => one.gpu === index);
  return new Map([
    ...gpu.facts,
    ...valuesOf({ vendor: given("NVIDIA"), driver, cuda }),
    ...migValues(gpu.facts, listed, own),
    ...migInstanceValues(gpu, listed, own),
    ...vgpuValues(gpu.facts),
    ...topologyValues(index, topology),
    ...processValues(gpu.processes),
  ]);
}

/**
 * MIG devices as `nvidia-smi -L` lists them, in the same words in full and in light snapshots.
 *
 * @param instances stand in for profiles where the list was not read
 */
export function migValues(
  facts: GpuValues,
  listed: ListedGpu | undefined,
  instances: readonly MigInstance[] = [],
): GpuValues {
  const mode = facts.get("mig.current");
  if (mode === undefined) return new Map();
  if (mode.state !== "value")
    return valuesOf({ "mig.device_count": mode, "mig.profiles": mode, "mig.devices": mode });
  if (mode.value !== "Enabled")
    return valuesOf({
      "mig.device_count": given(0),
      "mig.profiles": given("none"),
      "mig.devices": given("none"),
    });
  const devices = listed?.migDevices;
  const profiles = devices?.map(({ profile }) => profile) ?? profilesOf(instances);
  return valuesOf({
    "mig.device_count": profiles === undefined ? undefined : given(profiles.length),
    "mig.profiles": profiles === undefined ? undefined : given(listOf(profiles, ", ")),
    "mig.devices":
      devices === undefined
        ? undefined
        : given(listOf(devices.map(({ profile, uuid }) => `${profile} ${uuid}`))),
  });
}

function profilesOf(instances: readonly MigInstance[]): readonly string[] | undefined {
  const own = instances.filter(({ computeInstance }) => computeInstance !== undefined);
  return own.length === 0 ? undefined : own.map(({ profile }) => profile);
}

/** Each device with the instances that make it, its memory and its multiprocessors. */
function migInstanceValues(
  gpu: SmiGpu,
  listed: ListedGpu | undefined,
  instances: readonly MigInstance[],
): GpuValues {
  const mode = gpu.facts.get("mig.current");
  if (mode?.state !== "value") return valuesOf({ "mig.instances": mode });
  const texts = gpu.migDevices.map((device) => {
    const ofDevice = instances.find(
      ({ gpuInstance, computeInstance }) =>
        gpuInstance === device.gpuInstance && computeInstance === device.computeInstance,
    );
    const slices = instances.find(
      ({ gpuInstance, computeInstance }) =>
        gpuInstance === device.gpuInstance && computeInstance === undefined,
    )?.placement;
    const profile =
      listed?.migDevices.find(({ index }) => index === device.index)?.profile ?? ofDevice?.profile;
    return [
      device.gpuInstance === undefined ? [] : `gi ${device.gpuInstance}`,
      device.computeInstance === undefined ? [] : `ci ${device.computeInstance}`,
      profile ?? [],
      slices === undefined ? [] : `slices ${slices.start}:${slices.size}`,
      device.memoryMib === undefined ? [] : `${device.memoryMib} MiB`,
      device.multiprocessors === undefined ? [] : `${device.multiprocessors} SM`,
    ]
      .flat()
      .join(" ");
  });
  return valuesOf({ "mig.instances": given(listOf(texts)) });
}

/**
 * What the name of a vGPU tells: "DC-4-96Q" has 4 MIG slices and 96 GB, "A40-48Q" shares its GPU by
 * time. The rule is NVIDIA's for naming vGPU types (vGPU software user guide, "Virtual GPU types").
 */
function vgpuValues(facts: GpuValues): GpuValues {
  const name = facts.get("name");
  const mode = facts.get("virtualization");
  const type =
    name?.state === "value" ? /-(?:(\d+)-)?(\d+)[ABCQ](?:ME\w*)?$/.exec(String(name.value)) : null;
  const isVgpu = (mode?.state === "value" && mode.value === "VGPU") || type !== null;
  if (!isVgpu) {
    if (name === undefined) return new Map();
    const none: GpuValue = { state: "inapplicable", reason: reasons.noVgpu };
    return valuesOf({
      "vgpu.type": none,
      "vgpu.mig_backed": none,
      "vgpu.slices": none,
      "vgpu.frame_buffer_mib": none,
      "vgpu.license": none,
    });
  }
  const [, slices, gigabytes] = type ?? [];
  return valuesOf({
    "vgpu.type": name,
    "vgpu.mig_backed": type === null ? undefined : given(slices !== undefined),
    "vgpu.slices":
      type === null
        ? undefined
        : slices === undefined
          ? { state: "inapplicable", reason: reasons.vgpuTimeSliced }
          : given(Number(slices)),
    "vgpu.frame_buffer_mib": gigabytes === undefined ? undefined : given(Number(gigabytes) * 1024),
  });
}

function topologyValues(index: number, topology: SmiTopology | undefined): GpuValues {
  const row = topology?.gpus.find((gpu) => gpu.index === index);
  if (topology === undefined || row === undefined) return new Map();
  const alone = topology.gpus.length === 1 && topology.nics.length === 0;
  const links = [...row.links].map(([device, link]) => `${device} ${link}`).join(", ");
  return valuesOf({
    topology: alone
      ? { state: "inapplicable", reason: reasons.nothingToReach }
      : links === ""
        ? undefined
        : given(links),
    cpu_affinity: row.cpuAffinity === undefined ? undefined : given(row.cpuAffinity),
    numa_affinity: row.numaAffinity === undefined ? undefined : given(row.numaAffinity),
  });
}

/** @param processes undefined: the driver does not tell them */
function processValues(processes: readonly SmiProcess[] | undefined): GpuValues {
  if (processes === undefined) {
    const none: GpuValue = { state: "unsupported" };
    return valuesOf({
      "processes.count": none,
      "processes.list": none,
      "processes.graphics_count": none,
    });
  }
  const compute = processes.filter(({ type }) => type.includes("C"));
  return new Map([
    ...computeProcesses(compute),
    ["processes.graphics_count", given(processes.length - compute.length)],
  ]);
}
