// AMD's GPUs as amd-smi tells them in JSON, or rocm-smi where only that is installed, as the same
// facts as NVIDIA's. Shapes: ROCm 6 prints a list, ROCm 7 an object around it (amd-smi CLI manual).

import { factEntries, type GpuFactId, gpuFactIds, lightGpuFactIds } from "./gpu-facts.ts";
import {
  computeProcesses,
  type ForeignGpu,
  fieldsOfGpu,
  foreignValues,
  type GpuProcess,
  type GpuValue,
  type GpuValues,
  given,
  gpuValue,
  numberOf,
  type VendorGpus,
} from "./gpu-values.ts";
import type { Outside } from "./outside.ts";
import { fieldOf, known, type Recorder, timeOf } from "./probe.ts";
import { reasons } from "./reasons.ts";

/** What `amd-smi static`, `metric`, `list`, `process` and `version` printed with --json. */
export interface AmdSmiTexts {
  readonly static: string;
  readonly metric: string;
  readonly list: string;
  readonly process: string;
  readonly version: string;
}

/** Reads AMD's GPUs: amd-smi first, rocm-smi where it is missing or silent. */
export async function probeAmd(
  outside: Outside,
  record: Recorder,
  { light }: { readonly light: boolean },
): Promise<VendorGpus> {
  const ask = (words: string, patience = 1): ReturnType<Recorder["run"]> =>
    record.run(["amd-smi", words, "--json"], undefined, { patience, longest: 512 * 1024 });
  const stated = await ask("static", 2);
  const missing = stated.failure !== undefined || stated.exitCode !== 0;
  const [metric, list, process, version] = missing
    ? []
    : await Promise.all([ask("metric"), ask("list"), ask("process"), ask("version")]);
  let rawIndex = stated.rawIndex;
  let gpus = readAmdSmi({
    static: stated.stdout,
    metric: metric?.stdout ?? "",
    list: list?.stdout ?? "",
    process: process?.stdout ?? "",
    version: version?.stdout ?? "",
  });
  if (gpus.length === 0) {
    const old = await record.run(["rocm-smi", "--showallinfo", "--json"]);
    rawIndex = old.rawIndex;
    gpus = readRocmSmi(old.stdout);
    if (gpus.length === 0) {
      const answered = stated.exitCode === 0 || old.exitCode === 0;
      return {
        state: "none",
        reason: answered ? reasons.vendorToolUnexpected : reasons.noAmdSmi,
        rawIndex,
      };
    }
  }
  const at = timeOf(outside);
  const ids = light ? lightGpuFactIds : gpuFactIds;
  return {
    state: "read",
    fields: [
      fieldOf("gpu.count", "gpu", "comparability", known(gpus.length, { rawIndex }), at),
      ...gpus.flatMap(({ index, values }) =>
        fieldsOfGpu(index, foreignValues(values, offered), ids, { at, rawOf: () => rawIndex }),
      ),
    ],
  };
}

/** Reads the JSON of amd-smi; no GPUs where it is none. */
export function readAmdSmi(texts: AmdSmiTexts): readonly ForeignGpu[] {
  const byGpu = (text: string): ReadonlyMap<number, unknown> =>
    new Map(
      gpusIn(jsonIn(text)).flatMap((gpu): [number, unknown][] => {
        const index = within(gpu, "gpu");
        return typeof index === "number" ? [[index, gpu]] : [];
      }),
    );
  const [metrics, lists, processes] = [texts.metric, texts.list, texts.process].map(byGpu);
  const version = gpusIn(jsonIn(texts.version))[0];
  return [...byGpu(texts.static)].map(([index, stated]) => ({
    index,
    values: amdValues({
      stated,
      metric: metrics?.get(index),
      list: lists?.get(index),
      process: processes?.get(index),
      version,
    }),
  }));
}

interface AmdParts {
  readonly stated: unknown;
  readonly metric: unknown;
  readonly list: unknown;
  readonly process: unknown;
  readonly version: unknown;
}

/** Where amd-smi says what; of several places the first that holds a value. */
const amdPlaces: Readonly<Partial<Record<GpuFactId, readonly [keyof AmdParts, string][]>>> = {
  name: [["stated", "asic.market_name"]],
  architecture: [["stated", "asic.target_graphics_version"]],
  uuid: [
    ["list", "uuid"],
    ["stated", "uuid"],
  ],
  pci_id: [
    ["stated", "bus.bdf"],
    ["list", "bdf"],
  ],
  part_number: [["stated", "board.model_number"]],
  driver: [["stated", "driver.version"]],
  rocm: [["version", "rocm_version"]],
  vbios: [
    ["stated", "vbios.version"],
    ["stated", "vbios.name"],
  ],
  memory_mib: [
    ["stated", "vram.size"],
    ["metric", "mem_usage.total_vram"],
  ],
  "memory.used_mib": [["metric", "mem_usage.used_vram"]],
  "ecc.uncorrected_volatile": [["metric", "ecc.total_uncorrectable_count"]],
  "ecc.corrected_volatile": [["metric", "ecc.total_correctable_count"]],
  "partition.compute": [
    ["stated", "partition.accelerator_partition"],
    ["stated", "partition.compute_partition"],
  ],
  "partition.memory": [["stated", "partition.memory_partition"]],
  "power.draw_w": [
    ["metric", "power.socket_power"],
    ["metric", "power.average_socket_power"],
    ["metric", "power.current_socket_power"],
  ],
  "power.limit_w": [
    ["stated", "limit.socket_power"],
    ["stated", "limit.ppt0.socket_power_limit"],
  ],
  "power.max_limit_w": [
    ["stated", "limit.max_power"],
    ["stated", "limit.ppt0.max_power_limit"],
  ],
  "power.min_limit_w": [
    ["stated", "limit.min_power"],
    ["stated", "limit.ppt0.min_power_limit"],
  ],
  "clocks.sm_mhz": [["metric", "clock.gfx_0.clk"]],
  "clocks.max_sm_mhz": [["metric", "clock.gfx_0.max_clk"]],
  "clocks.memory_mhz": [["metric", "clock.mem_0.clk"]],
  "clocks.max_memory_mhz": [["metric", "clock.mem_0.max_clk"]],
  temperature_c: [
    ["metric", "temperature.hotspot"],
    ["metric", "temperature.edge"],
  ],
  "pcie.width": [["metric", "pcie.width"]],
  "pcie.max_width": [["stated", "bus.max_pcie_width"]],
  "pcie.replays": [["metric", "pcie.replay_count"]],
  cpu_affinity: [["stated", "numa.cpu_affinity"]],
  numa_affinity: [["stated", "numa.node"]],
};

/** What AMD's tools can tell, whether or not they do. */
const offered: readonly GpuFactId[] = [
  ...gpuFactIds.filter((id) => Object.hasOwn(amdPlaces, id)),
  "vendor",
  "pci_device_id",
  "ecc.current",
  "pcie.generation",
  "pcie.max_generation",
  "throttle.reasons",
  "processes.count",
  "processes.list",
];

function amdValues(parts: AmdParts): GpuValues {
  const values = new Map<GpuFactId, GpuValue>([["vendor", given("AMD")]]);
  const say = (id: GpuFactId, value: GpuValue | undefined): void => {
    if (value !== undefined) values.set(id, value);
  };
  for (const [id, places] of factEntries(amdPlaces)) {
    const said = places.flatMap(([part, path]) => valueOf(within(parts[part], path)) ?? []);
    say(id, said.find(({ state }) => state === "value") ?? said[0]);
  }
  const device = within(parts.stated, "asic.device_id");
  if (typeof device === "string")
    say("pci_device_id", given(device.replace(/^0x/i, "").toUpperCase()));
  say("ecc.current", eccState(within(parts.stated, "ras.ecc_block_state")));
  say("pcie.generation", generationOf(within(parts.metric, "pcie.speed")));
  say("pcie.max_generation", generationOf(within(parts.stated, "bus.max_pcie_speed")));
  const throttle = valueOf(within(parts.metric, "power.throttle_status"));
  say("throttle.reasons", isValue(throttle, "UNTHROTTLED") ? given("none") : throttle);
  const processes = within(parts.process, "process_list");
  if (Array.isArray(processes))
    for (const [id, value] of computeProcesses(processes.flatMap(processOf))) say(id, value);
  return values;
}

function processOf(entry: unknown): readonly GpuProcess[] {
  const pid = within(entry, "process_info.pid") ?? within(entry, "pid");
  const name = within(entry, "process_info.name") ?? within(entry, "name");
  if (typeof pid !== "number") return [];
  const used = valueOf(
    within(entry, "process_info.memory_usage.vram_mem") ??
      within(entry, "process_info.vram_mem") ??
      within(entry, "process_info.mem_usage"),
  );
  const unit = within(entry, "process_info.memory_usage.vram_mem.unit");
  const amount = used?.state === "value" ? numberOf(used.value) : undefined;
  const usedMib =
    amount === undefined ? undefined : unit === "B" ? Math.round(amount / 2 ** 20) : amount;
  return [{ pid, name: typeof name === "string" ? name : "", usedMib }];
}

/** UMC is the memory controller: its state is that of the memory's ECC. */
function eccState(blocks: unknown): GpuValue | undefined {
  const state = typeof blocks === "string" ? blocks : within(blocks, "UMC");
  if (typeof state !== "string") return undefined;
  if (/^enabled$/i.test(state)) return given("Enabled");
  return /^disabled$/i.test(state) ? given("Disabled") : gpuValue(state);
}

/** Transfers per second of one lane, GT/s -> generation (PCI Express base specification). */
const generations: readonly (readonly [number, number])[] = [
  [2.5, 1],
  [5, 2],
  [8, 3],
  [16, 4],
  [32, 5],
  [64, 6],
];

function generationOf(speed: unknown): GpuValue | undefined {
  const said = valueOf(speed);
  if (said?.state !== "value") return said;
  const rate = numberOf(said.value);
  const generation = generations.find(([of]) => of === rate)?.[1];
  return generation === undefined ? undefined : given(generation);
}

/** Reads `rocm-smi --showallinfo --json`: flat texts per card, named as they are printed. */
export function readRocmSmi(text: string): readonly ForeignGpu[] {
  const cards = jsonIn(text);
  if (!isRecord(cards)) return [];
  const driver = within(cards, "system.Driver version");
  return Object.entries(cards).flatMap(([name, card]) => {
    const index = /^card(\d+)$/.exec(name)?.[1];
    if (index === undefined || !isRecord(card)) return [];
    const values = new Map<GpuFactId, GpuValue>([["vendor", given("AMD")]]);
    const say = (id: GpuFactId, value: GpuValue | undefined): void => {
      if (value !== undefined && !values.has(id)) values.set(id, value);
    };
    for (const [label, said] of Object.entries(card)) {
      const value = valueOf(said);
      for (const [id, form, read] of rocmLabels)
        if (form.test(label)) say(id, read?.(value) ?? value);
    }
    say("driver", valueOf(driver));
    return [{ index: Number(index), values }];
  });
}

type Reader = (value: GpuValue | undefined) => GpuValue | undefined;

const bytesToMib: Reader = (value) =>
  value?.state === "value" ? given(Math.round(Number(value.value) / 2 ** 20)) : value;
const hertz: Reader = (value) =>
  value?.state === "value" ? gpuValue(/(\d+)\s*mhz/i.exec(String(value.value))?.[1] ?? "") : value;
const bareId: Reader = (value) =>
  value?.state === "value" ? given(String(value.value).replace(/^0x/i, "").toUpperCase()) : value;

const rocmLabels: readonly (readonly [GpuFactId, RegExp, Reader?])[] = [
  ["name", /^Card series$/i],
  ["name", /^Device Name$/i],
  ["architecture", /^GFX Version$/i],
  ["uuid", /^Unique ID$/i],
  ["pci_id", /^PCI Bus$/i],
  ["pci_device_id", /^(?:Card model|Device ID)$/i, bareId],
  ["part_number", /^Card SKU$/i],
  ["vbios", /^VBIOS version$/i],
  ["memory_mib", /^VRAM Total Memory \(B\)$/i, bytesToMib],
  ["memory.used_mib", /^VRAM Total Used Memory \(B\)$/i, bytesToMib],
  ["power.draw_w", /^(?:Average|Current) (?:Socket )?Graphics Package Power \(W\)$/i],
  ["power.limit_w", /^Max Graphics Package Power \(W\)$/i],
  ["clocks.sm_mhz", /^sclk clock speed:?$/i, hertz],
  ["clocks.memory_mhz", /^mclk clock speed:?$/i, hertz],
  ["temperature_c", /^Temperature \(Sensor junction\) \(C\)$/i],
  ["partition.compute", /^Compute Partition$/i],
  ["partition.memory", /^Memory Partition$/i],
];

/** A number, a text, or `{ value, unit }`. */
function valueOf(said: unknown): GpuValue | undefined {
  if (typeof said === "number" || typeof said === "boolean") return given(said);
  if (typeof said === "string") return gpuValue(said);
  return within(said, "value") === undefined ? undefined : valueOf(within(said, "value"));
}

function isValue(value: GpuValue | undefined, text: string): boolean {
  return value?.state === "value" && value.value === text;
}

/** What lies at a dotted path. */
function within(value: unknown, path: string): unknown {
  let found = value;
  for (const step of path.split(".")) {
    if (!isRecord(found)) return undefined;
    found = found[step];
  }
  return found;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

/** ROCm 7 wraps the list of GPUs; versions come as a list of one or bare. */
function gpusIn(value: unknown): readonly unknown[] {
  const list = within(value, "gpu_data") ?? value;
  if (Array.isArray(list)) return list;
  return isRecord(list) ? [list] : [];
}

/** The tools print warnings before their JSON. */
function jsonIn(text: string): unknown {
  for (const { index } of text.matchAll(/^\s*[[{]/gm)) {
    try {
      return JSON.parse(text.slice(index));
    } catch {
      // It begins like JSON and is a warning in brackets: a line below may be it.
      continue;
    }
  }
  return undefined;
}
