// The GPUs of this machine, as nvidia-smi lists them, as fields; or which of the many ways of having
// none this is. Only what identifies a GPU is read here, everything else states that it is not.

import type { Outside, Ran } from "./outside.ts";
import {
  type DeclaredField,
  fieldOf,
  known,
  notApplicable,
  notCollected,
  type ProbeResult,
  type Reading,
  type Recorder,
  timeOf,
} from "./probe.ts";
import { type Reason, reasons } from "./reasons.ts";
import type { EnvironmentField, FieldClass } from "./snapshot.ts";

/** A column of `nvidia-smi --query-gpu`, and the field it becomes. */
interface Column {
  readonly query: string;
  readonly id: string;
  readonly class: FieldClass;
  readonly unit?: string;
  readonly light?: true;
}

const columns: readonly Column[] = [
  { query: "name", id: "name", class: "comparability", light: true },
  { query: "uuid", id: "uuid", class: "context", light: true },
  { query: "pci.bus_id", id: "pci_id", class: "context" },
  { query: "driver_version", id: "driver", class: "comparability", light: true },
  { query: "memory.total", id: "memory_mib", class: "comparability", unit: "MiB" },
  { query: "mig.mode.current", id: "mig.current", class: "comparability", light: true },
];

/** Groups of facts that a GPU has and that are not read yet. */
const notRead: readonly DeclaredField[] = [
  { id: "cuda", class: "comparability" },
  { id: "vgpu", class: "comparability" },
  { id: "ecc", class: "comparability" },
  { id: "power_limit", class: "comparability" },
  { id: "clocks", class: "noise" },
  { id: "throttle", class: "noise" },
  { id: "pcie", class: "comparability" },
  { id: "topology", class: "comparability" },
  { id: "processes", class: "noise" },
];

/** Fields of a machine whose GPUs, if it has any, could not be listed: one for each kind of fact. */
export const gpuFieldsWithoutGpu: readonly DeclaredField[] = [
  { id: "gpu.count", class: "comparability" },
  { id: "gpu.name", class: "comparability" },
  { id: "gpu.driver", class: "comparability" },
  { id: "gpu.memory", class: "comparability" },
  { id: "gpu.mig", class: "comparability" },
  ...notRead.map(({ id, class: fieldClass }) => ({ id: `gpu.${id}`, class: fieldClass })),
];

/** Reads which GPUs there are. */
export async function probeGpus(
  outside: Outside,
  record: Recorder,
  { light }: { readonly light: boolean },
): Promise<ProbeResult> {
  const asked = columns.filter((column) => !light || column.light);
  const query = ["index", ...asked.map((column) => column.query)].join(",");
  const [smi, devices] = await Promise.all([
    record.run(["nvidia-smi", `--query-gpu=${query}`, "--format=csv,noheader,nounits"]),
    findDevices(outside, record),
  ]);
  const at = timeOf(outside);
  const rows = parseRows(smi.stdout, asked.length + 1);
  if (smi.failure === undefined && smi.exitCode === 0 && rows.length > 0)
    return {
      fields: fieldsOfRows(rows, asked, { light, at, rawIndex: smi.rawIndex }),
      raw: record.raw,
    };

  const absence = absenceOf(smi, devices);
  return {
    fields: gpuFieldsWithoutGpu.map(({ id, class: fieldClass }) =>
      fieldOf(id, "gpu", fieldClass, absence, at),
    ),
    raw: record.raw,
  };
}

interface Devices {
  /** NVIDIA devices on the PCI bus or in /dev. */
  readonly nvidia: boolean;
  /** Accelerators of vendors that are not read. */
  readonly other: boolean;
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
  const nodes = device.filter((name) => /^nvidia(?:\d+|ctl)$/.test(name));
  record.note("list /dev/nvidia*", nodes.join("\n"));
  const on = (vendor: string, kinds: RegExp): boolean =>
    vendors.texts.some((text, at) => text === vendor && kinds.test(classes.texts[at] ?? ""));
  return {
    // 0x03: display controller, 0x12: processing accelerator.
    nvidia: nodes.length > 0 || on("0x10de", /^0x(?:03|12)/),
    // AMD's compute cards are no VGA adapters (0x0300); Huawei's are processing accelerators.
    other: on("0x1002", /^0x(?:0302|0380|12)/) || on("0x19e5", /^0x12/),
  };
}

/** The one state of all GPU fields. */
function absenceOf(smi: Ran & { readonly rawIndex: number }, devices: Devices): Reading {
  const { rawIndex } = smi;
  if (smi.failure === "timed out") return notCollected(reasons.nvidiaSmiHangs, rawIndex);
  if (!devices.nvidia)
    return devices.other
      ? notCollected(reasons.otherVendorGpu, rawIndex)
      : notApplicable(reasons.noGpu, rawIndex);
  if (smi.failure === "missing") return notCollected(reasons.noNvidiaSmi, rawIndex);
  if (smi.exitCode === 0) return notCollected(reasons.nvidiaSmiUnexpected, rawIndex);
  return notCollected(failures[smi.exitCode ?? -1] ?? reasons.nvidiaSmiFails, rawIndex);
}

/** Exit codes as nvidia-smi's manual lists them. */
const failures: Readonly<Record<number, Reason>> = {
  6: reasons.nvidiaSmiNoDevices,
  9: reasons.nvidiaSmiNoDriver,
  18: reasons.nvidiaSmiMismatch,
};

/** Lines of the asked number of columns that start with an index; warnings are no rows. */
function parseRows(stdout: string, length: number): readonly (readonly string[])[] {
  return stdout
    .split("\n")
    .map((line) => line.split(",").map((cell) => cell.trim()))
    .filter((cells) => cells.length === length && /^\d+$/.test(cells[0] ?? ""));
}

function fieldsOfRows(
  rows: readonly (readonly string[])[],
  asked: readonly Column[],
  {
    light,
    at,
    rawIndex,
  }: { readonly light: boolean; readonly at: string; readonly rawIndex: number },
): readonly EnvironmentField[] {
  const fields = [
    fieldOf("gpu.count", "gpu", "comparability", known(rows.length, { rawIndex }), at),
  ];
  for (const [index = "", ...cells] of rows) {
    for (const [position, column] of asked.entries()) {
      const reading = readCell(cells[position] ?? "", column.unit, rawIndex);
      fields.push(fieldOf(`gpu.${index}.${column.id}`, "gpu", column.class, reading, at));
    }
    if (light) continue;
    for (const { id, class: fieldClass } of notRead)
      fields.push(
        fieldOf(`gpu.${index}.${id}`, "gpu", fieldClass, notCollected(reasons.gpuNotRead), at),
      );
  }
  return fields;
}

/**
 * A cell of nvidia-smi: a value, or one of the texts by which it says that there is none.
 *
 * @example readCell("[N/A]", undefined, 0).value // { state: "not_applicable", ... }
 */
export function readCell(cell: string, unit: string | undefined, rawIndex: number): Reading {
  const bare = cell
    .trim()
    .replace(/^\[(.*)\]$/, "$1")
    .trim();
  if (
    /^(?:N\/A|Not Supported|Not Available|Requested functionality has been deprecated)$/i.test(bare)
  )
    return notApplicable(reasons.gpuNotSupported, rawIndex);
  if (
    /^(?:Unknown Error|ERR!|Insufficient Permissions|GPU requires reset|GPU is lost)$/i.test(bare)
  )
    return notCollected(reasons.gpuUnknownError, rawIndex);
  const value = unit !== undefined && /^\d+(?:\.\d+)?$/.test(bare) ? Number(bare) : bare;
  return known(value, { unit, rawIndex, otherwise: reasons.nvidiaSmiUnexpected });
}
