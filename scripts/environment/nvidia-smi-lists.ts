// The small outputs of nvidia-smi as data: the list of devices (-L), GPU and compute instances
// (mig -lgi, mig -lci), what --query-... prints as CSV, and the state of NVLinks.

import { factEntries, type GpuFactId } from "./gpu-facts.ts";
import { type GpuValue, type GpuValues, gpuValue } from "./gpu-values.ts";
import { columnAliases, queryColumns } from "./nvidia-smi-places.ts";

export interface ListedGpu {
  readonly index: number;
  readonly name: string;
  readonly uuid: string;
  readonly migDevices: readonly ListedMigDevice[];
}

interface ListedMigDevice {
  readonly index: number;
  /** "3g.40gb", "1c.3g.40gb", "1g.10gb+me". */
  readonly profile: string;
  readonly uuid: string;
  /** Told only by the ids of old drivers: MIG-GPU-<uuid>/<GPU instance>/<compute instance>. */
  readonly gpuInstance: number | undefined;
  readonly computeInstance: number | undefined;
}

/** Reads `nvidia-smi -L`; lines of other kinds are passed over. */
export function readDeviceList(text: string): readonly ListedGpu[] {
  const gpus: { gpu: Omit<ListedGpu, "migDevices">; migDevices: ListedMigDevice[] }[] = [];
  for (const line of text.split(/\r?\n/)) {
    const gpu = /^\s*GPU\s+(\d+):\s+(.*?)\s+\(UUID:\s*([^)\s]+)\s*\)/.exec(line);
    if (gpu !== null) {
      const [, index = "", name = "", uuid = ""] = gpu;
      gpus.push({ gpu: { index: Number(index), name, uuid }, migDevices: [] });
      continue;
    }
    const mig = /^\s*MIG\s+(\S+)\s+Device\s+(\d+):\s+\(UUID:\s*([^)\s]+)\s*\)/.exec(line);
    if (mig === null) continue;
    const [, profile = "", index = "", uuid = ""] = mig;
    const ids = /\/(\d+)\/(\d+)$/.exec(uuid);
    gpus.at(-1)?.migDevices.push({
      index: Number(index),
      profile,
      uuid,
      gpuInstance: ids === null ? undefined : Number(ids[1]),
      computeInstance: ids === null ? undefined : Number(ids[2]),
    });
  }
  return gpus.map(({ gpu, migDevices }) => ({ ...gpu, migDevices }));
}

export interface MigInstance {
  readonly gpu: number;
  readonly profile: string;
  readonly profileId: number;
  /** Of the GPU instance, which holds compute instances. */
  readonly gpuInstance: number;
  /** undefined: this is a GPU instance. */
  readonly computeInstance: number | undefined;
  /** First slice and number of slices. undefined: old drivers do not say it of compute instances. */
  readonly placement: { readonly start: number; readonly size: number } | undefined;
}

/** Reads `nvidia-smi mig -lgi`. */
export function readGpuInstances(text: string): readonly MigInstance[] {
  const row = /^\|\s*(\d+)\s+MIG\s+(\S+)\s+(\d+)\*?\s+(\d+)\s+(\d+):(\d+)\s*\|/gm;
  return [...text.matchAll(row)].map(([, gpu, profile = "", profileId, instance, start, size]) => ({
    gpu: Number(gpu),
    profile,
    profileId: Number(profileId),
    gpuInstance: Number(instance),
    computeInstance: undefined,
    placement: { start: Number(start), size: Number(size) },
  }));
}

/** Reads `nvidia-smi mig -lci`. */
export function readComputeInstances(text: string): readonly MigInstance[] {
  const row = /^\|\s*(\d+)\s+(\d+)\s+MIG\s+(\S+)\s+(\d+)\*?\s+(\d+)(?:\s+(\d+):(\d+))?\s*\|/gm;
  return [...text.matchAll(row)].map(
    ([, gpu, within, profile = "", profileId, instance, start, size]) => ({
      gpu: Number(gpu),
      profile,
      profileId: Number(profileId),
      gpuInstance: Number(within),
      computeInstance: Number(instance),
      placement: start === undefined ? undefined : { start: Number(start), size: Number(size) },
    }),
  );
}

export interface SmiCsv {
  readonly columns: readonly { readonly name: string; readonly unit: string | undefined }[];
  /** As many cells as columns. undefined: an empty cell. */
  readonly rows: readonly (readonly (GpuValue | undefined)[])[];
}

/** Reads the CSV of a query, with its header; undefined where there is no header that looks so. */
export function readSmiCsv(text: string): SmiCsv | undefined {
  const lines = text.replace(/^\uFEFF/, "").split(/\r?\n/);
  const start = lines.findIndex(isCsvHeader);
  if (start === -1) return undefined;
  const columns = cellsOf(lines[start] ?? "").map((cell) => {
    const [, name = cell, unit] = /^(\S+?)(?:\s+\[([^\]]+)\])?$/.exec(cell) ?? [];
    return { name, unit };
  });
  // The one column whose cells may hold commas.
  const loose = columns.findIndex(({ name }) => /^(?:process_name|name|gpu_name)$/.test(name));
  const rows = lines
    .slice(start + 1)
    .map((line) => fitCells(cellsOf(line), columns.length, loose))
    .filter((cells) => cells.length === columns.length)
    .map((cells) => cells.map(gpuValue));
  return { columns, rows };
}

/** Joins what commas within the cell at `loose` took apart. */
export function fitCells(
  cells: readonly string[],
  length: number,
  loose: number,
): readonly string[] {
  const extra = cells.length - length;
  if (extra <= 0 || loose < 0) return cells;
  const joined = cells.slice(loose, loose + extra + 1).join(", ");
  return [...cells.slice(0, loose), joined, ...cells.slice(loose + extra + 1)];
}

/** The cells of a line. */
export function cellsOf(line: string): readonly string[] {
  return line.split(",").map((cell) => cell.trim());
}

function isCsvHeader(line: string): boolean {
  const cells = cellsOf(line);
  const known = (cell: string): boolean => {
    const name = cell.replace(/\s+\[[^\]]+\]$/, "");
    return Object.values(queryColumns).includes(name) || Object.hasOwn(columnAliases, name);
  };
  return cells.every((cell) => /^[a-z][\w.]*(?:\s+\[[^\]]+\])?$/i.test(cell)) && cells.some(known);
}

const factOfColumn: ReadonlyMap<string, GpuFactId> = new Map(
  factEntries(queryColumns).map(([id, column]) => [column, id]),
);

/** The facts in a row of a `--query-gpu`; columns that are no fact are left out. */
export function factsOfRow(
  columns: readonly string[],
  cells: readonly (GpuValue | undefined)[],
): GpuValues {
  const facts = new Map<GpuFactId, GpuValue>();
  for (const [at, column] of columns.entries()) {
    const id = factOfColumn.get(columnAliases[column] ?? column);
    const value = cells[at];
    if (id !== undefined && value !== undefined) facts.set(id, value);
  }
  return facts;
}

export interface NvlinkStatus {
  readonly gpu: number;
  readonly uuid: string;
  /** One each, in order; undefined: inactive. */
  readonly linksGbPerS: readonly (number | undefined)[];
}

/** Reads `nvidia-smi nvlink --status`. */
export function readNvlinkStatus(text: string): readonly NvlinkStatus[] {
  const gpus: {
    readonly gpu: number;
    readonly uuid: string;
    readonly linksGbPerS: (number | undefined)[];
  }[] = [];
  for (const line of text.split(/\r?\n/)) {
    const gpu = /^\s*GPU\s+(\d+):.*\(UUID:\s*([^)\s]+)\)/.exec(line);
    if (gpu !== null) gpus.push({ gpu: Number(gpu[1]), uuid: gpu[2] ?? "", linksGbPerS: [] });
    const link = /^\s*Link\s+\d+:\s+(?:([\d.]+)\s*GB\/s|<?inactive>?)/i.exec(line);
    if (link === null) continue;
    gpus.at(-1)?.linksGbPerS.push(link[1] === undefined ? undefined : Number(link[1]));
  }
  return gpus;
}
