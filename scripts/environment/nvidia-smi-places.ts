// Where nvidia-smi says each fact. Names moved between driver versions (throttle reasons became event
// reasons, power readings split by GPU and module) and differ between XML and text, so a fact has
// alternatives to look for instead of one fixed place.

import type { GpuFactId } from "./gpu-facts.ts";

const power = "gpu_power_readings|power_readings|module_power_readings";
// Since driver 610.
const ceiling = `${power}/gpu_ceiling_power_limit`;
const counters = "clocks_event_reasons_counters|clocks_throttle_reasons_counters";
const link = "pci/pci_gpu_link_info|gpu_link_info";
const generation = `${link}/pcie_gen|pcie_generation`;
const width = `${link}/link_widths|link_width`;

/** Within a GPU of the tree of `nvidia-smi -q`; the first place that holds a value is taken. */
export const places: Readonly<Partial<Record<GpuFactId, readonly string[]>>> = {
  name: ["product_name"],
  brand: ["product_brand"],
  architecture: ["product_architecture"],
  uuid: ["uuid|gpu_uuid"],
  pci_id: ["pci/pci_bus_id|bus_id"],
  pci_device_id: ["pci/pci_device_id|device_id"],
  part_number: ["board_part_number"],
  vbios: ["vbios_version"],
  gsp: ["gsp_firmware_version"],

  memory_mib: ["fb_memory_usage|memory_usage/total"],
  "memory.reserved_mib": ["fb_memory_usage/reserved"],
  "memory.used_mib": ["fb_memory_usage|memory_usage/used"],
  bar1_mib: ["bar1_memory_usage/total"],

  "ecc.current": ["ecc_mode/current_ecc|current"],
  "ecc.pending": ["ecc_mode/pending_ecc|pending"],
  "ecc.repair_pending": ["ecc_errors/channel_repair_pending|tpc_repair_pending"],
  recovery_action: ["gpu_recovery_action"],
  "retired.single_bit": [
    "retired_pages/multiple_single_bit_retirement/retired_count",
    "retired_pages/single_bit_ecc",
  ],
  "retired.double_bit": [
    "retired_pages/double_bit_retirement/retired_count",
    "retired_pages/double_bit_ecc",
  ],
  "retired.pending": [
    "retired_pages/pending_retirement|pending_blacklist|pending_page_blacklist|pending",
  ],
  "remapped.correctable": ["remapped_rows/remapped_row_corr|correctable_error"],
  "remapped.uncorrectable": ["remapped_rows/remapped_row_unc|uncorrectable_error"],
  "remapped.pending": ["remapped_rows/remapped_row_pending|pending"],
  "remapped.failure": ["remapped_rows/remapped_row_failure|remapping_failure_occurred"],

  "mig.current": ["mig_mode/current_mig|current"],
  "mig.pending": ["mig_mode/pending_mig|pending"],
  virtualization: ["gpu_virtualization_mode/virtualization_mode"],
  "vgpu.license": ["vgpu_software_licensed_product|grid_licensed_product/license_status"],
  persistence: ["persistence_mode"],
  compute_mode: ["compute_mode"],
  accounting: ["accounting_mode"],

  "power.draw_w": [
    `${power}/instant_power_draw|instantaneous_power_draw|power_draw|average_power_draw`,
  ],
  "power.limit_w": [
    `${power}/requested_power_limit|power_limit|current_power_limit`,
    `${ceiling}/requested_power_limit|current_power_limit`,
  ],
  "power.default_limit_w": [`${power}/default_power_limit`, `${ceiling}/default_power_limit`],
  "power.min_limit_w": [`${power}/min_power_limit`],
  "power.max_limit_w": [`${power}/max_power_limit`],
  "power.enforced_limit_w": [
    `${power}/enforced_power_limit|current_power_limit`,
    `${ceiling}/current_power_limit`,
  ],
  "clocks.graphics_mhz": ["clocks/graphics_clock|graphics"],
  "clocks.sm_mhz": ["clocks/sm_clock|sm"],
  "clocks.memory_mhz": ["clocks/mem_clock|memory"],
  "clocks.max_graphics_mhz": ["max_clocks/graphics_clock|graphics"],
  "clocks.max_sm_mhz": ["max_clocks/sm_clock|sm"],
  "clocks.max_memory_mhz": ["max_clocks/mem_clock|memory"],
  "clocks.application_graphics_mhz": ["applications_clocks/graphics_clock|graphics"],
  "clocks.application_memory_mhz": ["applications_clocks/mem_clock|memory"],
  "clocks.default_application_graphics_mhz": [
    "default_applications_clocks/graphics_clock|graphics",
  ],
  "clocks.default_application_memory_mhz": ["default_applications_clocks/mem_clock|memory"],
  "clocks.max_customer_boost_mhz": ["max_customer_boost_clocks/graphics_clock|graphics"],
  performance_state: ["performance_state"],
  temperature_c: ["temperature/gpu_temp|gpu_current_temp"],
  "throttle.sw_power_cap_us": [
    `${counters}/clocks_event_reasons_counters_sw_power_cap|sw_power_capping`,
  ],
  "throttle.hw_thermal_us": [
    `${counters}/clocks_event_reasons_counters_hw_therm_slowdown|hw_thermal_slowdown`,
  ],
  "throttle.sw_thermal_us": [
    `${counters}/clocks_event_reasons_counters_sw_therm_slowdown|sw_thermal_slowdown`,
  ],
  "throttle.hw_power_brake_us": [
    `${counters}/clocks_event_reasons_counters_hw_power_brake|hw_power_braking`,
  ],
  "throttle.sync_boost_us": [`${counters}/clocks_event_reasons_counters_sync_boost|sync_boost`],

  "pcie.generation": [`${generation}/current_link_gen|current`],
  "pcie.width": [`${width}/current_link_width|current`],
  "pcie.max_generation": [`${generation}/max_link_gen|max`],
  "pcie.max_width": [`${width}/max_link_width|max`],
  "pcie.device_max_generation": [`${generation}/max_device_link_gen|device_max`],
  "pcie.replays": ["pci/replay_counter|replays_since_reset"],
  "fabric.state": ["fabric/state"],
  "fabric.status": ["fabric/status"],
};

/** Facts that are a sum: the numbers of the first row in which there are any are added. */
export const sums: Readonly<Partial<Record<GpuFactId, readonly string[]>>> = {
  "ecc.uncorrected_volatile": eccErrors("volatile", "uncorrectable", "double_bit"),
  "ecc.corrected_volatile": eccErrors("volatile", "correctable", "single_bit"),
  "ecc.uncorrected_aggregate": eccErrors("aggregate", "uncorrectable", "double_bit"),
  "ecc.corrected_aggregate": eccErrors("aggregate", "correctable", "single_bit"),
};

/** Columns of `nvidia-smi --query-gpu`, for the facts that have one. */
export const queryColumns: Readonly<Partial<Record<GpuFactId, string>>> = {
  name: "name",
  uuid: "uuid",
  pci_id: "pci.bus_id",
  pci_device_id: "pci.device_id",
  driver: "driver_version",
  vbios: "vbios_version",
  memory_mib: "memory.total",
  "memory.reserved_mib": "memory.reserved",
  "memory.used_mib": "memory.used",
  "ecc.current": "ecc.mode.current",
  "ecc.pending": "ecc.mode.pending",
  "ecc.uncorrected_volatile": "ecc.errors.uncorrected.volatile.total",
  "ecc.corrected_volatile": "ecc.errors.corrected.volatile.total",
  "ecc.uncorrected_aggregate": "ecc.errors.uncorrected.aggregate.total",
  "ecc.corrected_aggregate": "ecc.errors.corrected.aggregate.total",
  "retired.single_bit": "retired_pages.single_bit_ecc.count",
  "retired.double_bit": "retired_pages.double_bit.count",
  "retired.pending": "retired_pages.pending",
  "remapped.correctable": "remapped_rows.correctable",
  "remapped.uncorrectable": "remapped_rows.uncorrectable",
  "remapped.pending": "remapped_rows.pending",
  "remapped.failure": "remapped_rows.failure",
  "mig.current": "mig.mode.current",
  "mig.pending": "mig.mode.pending",
  persistence: "persistence_mode",
  compute_mode: "compute_mode",
  "power.draw_w": "power.draw",
  "power.limit_w": "power.limit",
  "power.default_limit_w": "power.default_limit",
  "power.min_limit_w": "power.min_limit",
  "power.max_limit_w": "power.max_limit",
  "power.enforced_limit_w": "enforced.power.limit",
  "clocks.graphics_mhz": "clocks.current.graphics",
  "clocks.sm_mhz": "clocks.sm",
  "clocks.memory_mhz": "clocks.mem",
  "clocks.max_graphics_mhz": "clocks.max.graphics",
  "clocks.max_sm_mhz": "clocks.max.sm",
  "clocks.max_memory_mhz": "clocks.max.memory",
  "clocks.application_graphics_mhz": "clocks.applications.graphics",
  "clocks.application_memory_mhz": "clocks.applications.memory",
  performance_state: "pstate",
  temperature_c: "temperature.gpu",
  "pcie.generation": "pcie.link.gen.current",
  "pcie.width": "pcie.link.width.current",
  "pcie.max_generation": "pcie.link.gen.max",
  "pcie.max_width": "pcie.link.width.max",
  "fabric.state": "fabric.state",
  "fabric.status": "fabric.status",
};

/** Names under which nvidia-smi knows a column too, from its `--help-query-gpu`. */
export const columnAliases: Readonly<Record<string, string>> = {
  gpu_name: "name",
  gpu_uuid: "uuid",
  gpu_bus_id: "pci.bus_id",
  "clocks.gr": "clocks.current.graphics",
  "clocks.current.sm": "clocks.sm",
  "clocks.current.memory": "clocks.mem",
  "clocks.max.gr": "clocks.max.graphics",
  "clocks.max.mem": "clocks.max.memory",
};

/** By memory since Turing, by error weight before. SRAM errors are told by kind by new drivers. */
function eccErrors(span: string, kind: string, weight: string): readonly string[] {
  const sram =
    kind === "correctable"
      ? "sram_correctable"
      : "sram_uncorrectable|sram_uncorrectable_parity|sram_uncorrectable_secded|sram_uncorrectable_sec_ded";
  return [`ecc_errors/${span}/${sram}|dram_${kind}`, `ecc_errors/${span}/${weight}/total`];
}
