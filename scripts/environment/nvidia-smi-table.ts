// The plain table of nvidia-smi, which is what people paste, as the facts it holds. Its columns moved
// and widened over the years, so cells are told by their form, not by their place.

import { type GpuFactId } from "./gpu-facts.ts";
import { type GpuValue, type GpuValues, gpuValue } from "./gpu-values.ts";
import type { SmiProcess } from "./nvidia-smi-report.ts";

export interface SmiTable {
  /** undefined: the head of the table was not pasted. */
  readonly driver: GpuValue | undefined;
  readonly cuda: GpuValue | undefined;
  readonly gpus: readonly TableGpu[];
  readonly migDevices: readonly TableMigDevice[];
  readonly processes: readonly (SmiProcess & { readonly gpu: number })[];
}

interface TableGpu {
  readonly index: number;
  /** Whether the name was too long for the table and ends in "...". */
  readonly nameCut: boolean;
  readonly facts: GpuValues;
}

interface TableMigDevice {
  readonly gpu: number;
  readonly gpuInstance: number;
  readonly computeInstance: number;
  readonly index: number;
  readonly usedMib: number;
  readonly memoryMib: number;
}

/** Reads a table; undefined where the text holds none. */
export function readSmiTable(text: string): SmiTable | undefined {
  const head =
    /NVIDIA-SMI\s+\S+\s+(?:Driver|KMD) Version:\s*(\S+)(?:\s+CUDA (?:UMD )?Version:\s*([^\s|]+))?/.exec(
      text,
    );
  const driver = gpuValue(head?.[1] ?? "");
  const cuda = gpuValue(head?.[2] ?? "");
  const gpus: { index: number; nameCut: boolean; facts: Map<GpuFactId, GpuValue> }[] = [];
  const rows = text.split(/\r?\n/).map((line) => cellsOf(line));
  for (const [first, second, third] of rows) {
    const begun = beginningOf(first, second, third);
    if (begun !== undefined) gpus.push(begun);
    const facts = gpus.at(-1)?.facts;
    if (facts === undefined || begun !== undefined || third === undefined) continue;
    for (const [id, value] of readingsOf(first ?? "", second ?? "", third)) facts.set(id, value);
  }
  const migDevices = migDevicesOf(text);
  if (head === null && gpus.length === 0 && migDevices.length === 0) return undefined;
  return {
    driver,
    cuda,
    gpus: gpus.map(({ index, nameCut, facts }) => {
      if (driver !== undefined) facts.set("driver", driver);
      if (cuda !== undefined) facts.set("cuda", cuda);
      return { index, nameCut, facts };
    }),
    migDevices,
    processes: processesOf(text),
  };
}

/** The cells of a line of three: GPU, bus and memory, ECC and use. Other lines have none. */
function cellsOf(line: string): readonly (string | undefined)[] {
  const cells = line.trim().split("|");
  return cells.length === 5 ? cells.slice(1, 4) : [];
}

/** Index, name and persistence; PCI address; ECC. The row that begins a GPU. */
function beginningOf(
  first = "",
  second = "",
  third = "",
): { index: number; nameCut: boolean; facts: Map<GpuFactId, GpuValue> } | undefined {
  const gpu = /^\s*(\d+)\s+(\S.*?)\s+(On|Off|N\/A|WDDM|TCC|MCDM|ERR!)\s*$/.exec(first);
  const bus = /^\s*([0-9A-F]+:[0-9A-F]+:[0-9A-F]+\.[0-9A-F])\s/i.exec(second);
  if (gpu === null || bus === null) return undefined;
  const [, index = "", name = "", mode = ""] = gpu;
  const facts = new Map<GpuFactId, GpuValue>();
  facts.set("name", { state: "value", value: name });
  facts.set("pci_id", { state: "value", value: bus[1] ?? "" });
  const persistence = onOff(mode);
  if (persistence !== undefined) facts.set("persistence", persistence);
  const ecc = third.trim();
  const count = gpuValue(ecc);
  // A count where ECC is on, "Off" where it is off, "On" where MIG hides the count.
  if (/^\d+$/.test(ecc)) {
    facts.set("ecc.current", { state: "value", value: "Enabled" });
    facts.set("ecc.uncorrected_volatile", { state: "value", value: ecc });
  } else if (/^(?:On|Off)$/.test(ecc)) {
    facts.set("ecc.current", onOff(ecc) ?? { state: "unsupported" });
  } else if (count !== undefined && count.state !== "value") {
    facts.set("ecc.current", count);
  }
  return { index: Number(index), nameCut: name.endsWith("..."), facts };
}

/** What the rows below the first say, by form. */
function readingsOf(
  first: string,
  second: string,
  third: string,
): readonly (readonly [GpuFactId, GpuValue])[] {
  const found: [GpuFactId, GpuValue | undefined][] = [];
  const state =
    /^\s*(?:\S+)\s+(\d+C|N\/A|ERR!)\s+(P\d+|N\/A|ERR!)\s+([\d.]+W|N\/A|ERR!)\s*\/\s*([\d.]+W|N\/A|ERR!)\s*$/.exec(
      first,
    );
  if (state !== null) {
    const [, temperature = "", performance = "", draw = "", limit = ""] = state;
    found.push(["temperature_c", gpuValue(temperature)]);
    found.push(["performance_state", gpuValue(performance)]);
    found.push(["power.draw_w", gpuValue(draw)], ["power.limit_w", gpuValue(limit)]);
  }
  const memory = /^\s*(\d+)MiB\s*\/\s*(\d+)MiB\s*$/.exec(second);
  if (memory !== null) {
    found.push(["memory.used_mib", { state: "value", value: Number(memory[1]) }]);
    found.push(["memory_mib", { state: "value", value: Number(memory[2]) }]);
    const mode = /(Default|E\. Process|Prohibited|E\. Thread)\s*$/.exec(third)?.[1];
    if (mode !== undefined) found.push(["compute_mode", { state: "value", value: mode }]);
  }
  if (first.trim() === "" && second.trim() === "") {
    const mig = third.trim().replace(/\*$/, "");
    if (/^(?:Enabled|Disabled|N\/A|ERR!)$/.test(mig)) found.push(["mig.current", gpuValue(mig)]);
  }
  return found.flatMap(([id, value]) => (value === undefined ? [] : [[id, value] as const]));
}

function onOff(word: string): GpuValue | undefined {
  if (word === "On") return { state: "value", value: "Enabled" };
  if (word === "Off") return { state: "value", value: "Disabled" };
  return word === "ERR!" ? { state: "error" } : undefined;
}

function migDevicesOf(text: string): readonly TableMigDevice[] {
  const row =
    /^\|\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s*\|\s*(\d+)MiB\s*\/\s*(\d+)MiB\s*\|\s*\d+\s+\S+\s*\|/gm;
  return [...text.matchAll(row)].map(([, gpu, instance, compute, index, used, total]) => ({
    gpu: Number(gpu),
    gpuInstance: Number(instance),
    computeInstance: Number(compute),
    index: Number(index),
    usedMib: Number(used),
    memoryMib: Number(total),
  }));
}

function processesOf(text: string): SmiTable["processes"] {
  const row =
    /^\|\s*(\d+)\s+(?:(?:N\/A|\d+)\s+(?:N\/A|\d+)\s+)?(\d+)\s+(C|G|C\+G|M\+C)\s+(\S.*?)\s+(?:(\d+)MiB|N\/A)\s*\|/gm;
  return [...text.matchAll(row)].map(([, gpu, pid, type = "", name = "", used]) => ({
    gpu: Number(gpu),
    pid: Number(pid),
    type,
    name,
    usedMib: used === undefined ? undefined : Number(used),
  }));
}
