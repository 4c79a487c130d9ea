// What is asked of every GPU, of whatever vendor: the facts in the order in which a record shows them,
// each with how a difference between two snapshots is read, and its unit.

import type { FieldClass } from "./snapshot.ts";

export interface GpuFact {
  readonly class: FieldClass;
  /** A fact with a unit is a number; "" for a number that counts things. */
  readonly unit?: string;
  /** Whether a trial can change it, so that light snapshots ask for it too. */
  readonly light?: true;
}

const C = "comparability";
const X = "context";
const N = "noise";

const facts = {
  vendor: { class: C },
  name: { class: C, light: true },
  brand: { class: X },
  architecture: { class: C },
  uuid: { class: X, light: true },
  pci_id: { class: X },
  // Tells apart the SKUs that bear one name.
  pci_device_id: { class: C },
  part_number: { class: X },
  driver: { class: C, light: true },
  cuda: { class: C },
  rocm: { class: C },
  vbios: { class: X },
  gsp: { class: X },

  memory_mib: { class: C, unit: "MiB" },
  "memory.reserved_mib": { class: X, unit: "MiB" },
  "memory.used_mib": { class: N, unit: "MiB", light: true },
  bar1_mib: { class: C, unit: "MiB" },

  "ecc.current": { class: C, light: true },
  "ecc.pending": { class: C, light: true },
  "ecc.uncorrected_volatile": { class: X, unit: "", light: true },
  "ecc.corrected_volatile": { class: N, unit: "" },
  "ecc.uncorrected_aggregate": { class: X, unit: "" },
  "ecc.corrected_aggregate": { class: N, unit: "" },
  "ecc.repair_pending": { class: X },
  recovery_action: { class: X },
  health: { class: X },
  "retired.single_bit": { class: X, unit: "" },
  "retired.double_bit": { class: X, unit: "" },
  "retired.pending": { class: X, light: true },
  "remapped.correctable": { class: X, unit: "" },
  "remapped.uncorrectable": { class: X, unit: "" },
  "remapped.pending": { class: X, light: true },
  "remapped.failure": { class: X, light: true },

  "mig.current": { class: C, light: true },
  "mig.pending": { class: C, light: true },
  "mig.device_count": { class: C, unit: "", light: true },
  "mig.profiles": { class: C, light: true },
  "mig.devices": { class: X, light: true },
  "mig.instances": { class: X },
  "partition.compute": { class: C },
  "partition.memory": { class: C },
  virtualization: { class: C },
  "vgpu.type": { class: C },
  "vgpu.mig_backed": { class: C },
  "vgpu.slices": { class: C, unit: "" },
  "vgpu.frame_buffer_mib": { class: C, unit: "MiB" },
  "vgpu.license": { class: X },
  persistence: { class: C, light: true },
  compute_mode: { class: C, light: true },
  accounting: { class: X },

  "power.draw_w": { class: N, unit: "W" },
  "power.limit_w": { class: C, unit: "W", light: true },
  "power.default_limit_w": { class: C, unit: "W" },
  "power.min_limit_w": { class: X, unit: "W" },
  "power.max_limit_w": { class: C, unit: "W" },
  "power.enforced_limit_w": { class: C, unit: "W" },
  "clocks.graphics_mhz": { class: N, unit: "MHz" },
  "clocks.sm_mhz": { class: N, unit: "MHz", light: true },
  "clocks.memory_mhz": { class: N, unit: "MHz", light: true },
  "clocks.max_graphics_mhz": { class: C, unit: "MHz" },
  "clocks.max_sm_mhz": { class: C, unit: "MHz" },
  "clocks.max_memory_mhz": { class: C, unit: "MHz" },
  "clocks.application_graphics_mhz": { class: C, unit: "MHz" },
  "clocks.application_memory_mhz": { class: C, unit: "MHz" },
  "clocks.default_application_graphics_mhz": { class: X, unit: "MHz" },
  "clocks.default_application_memory_mhz": { class: X, unit: "MHz" },
  "clocks.max_customer_boost_mhz": { class: C, unit: "MHz" },
  performance_state: { class: N },
  temperature_c: { class: N, unit: "°C" },
  "throttle.reasons": { class: N },
  "throttle.sw_power_cap_us": { class: N, unit: "us" },
  "throttle.hw_thermal_us": { class: N, unit: "us" },
  "throttle.sw_thermal_us": { class: N, unit: "us" },
  "throttle.hw_power_brake_us": { class: N, unit: "us" },
  "throttle.sync_boost_us": { class: N, unit: "us" },

  // An idle link slows down, so what it runs at now is noise; what it could run at is not.
  "pcie.generation": { class: N, unit: "" },
  "pcie.width": { class: N, unit: "" },
  "pcie.max_generation": { class: C, unit: "" },
  "pcie.max_width": { class: C, unit: "" },
  "pcie.device_max_generation": { class: C, unit: "" },
  "pcie.replays": { class: N, unit: "" },
  "fabric.state": { class: C },
  "fabric.status": { class: X },
  topology: { class: C },
  cpu_affinity: { class: X },
  numa_affinity: { class: X },

  "processes.count": { class: N, unit: "", light: true },
  "processes.list": { class: N, light: true },
  "processes.graphics_count": { class: N, unit: "" },
} as const satisfies Readonly<Record<string, GpuFact>>;

/** Dotted, after `gpu.N.`: "power.limit_w". */
export type GpuFactId = keyof typeof facts;

/** Class, unit and place of every fact. */
export const gpuFacts: Readonly<Record<GpuFactId, GpuFact>> = facts;

/** All facts, in the order of a record. */
export const gpuFactIds: readonly GpuFactId[] = Object.keys(facts).filter(isFactId);

/** The facts that a light snapshot holds, in the same order. */
export const lightGpuFactIds: readonly GpuFactId[] = gpuFactIds.filter((id) => gpuFacts[id].light);

/** What a record holds of facts, in the order of all facts. */
export function factEntries<T>(
  record: Readonly<Partial<Record<GpuFactId, T>>>,
): readonly (readonly [GpuFactId, T])[] {
  return gpuFactIds.flatMap((id) => {
    const held = record[id];
    return held === undefined ? [] : [[id, held] as const];
  });
}

function isFactId(id: string): id is GpuFactId {
  return Object.hasOwn(facts, id);
}
