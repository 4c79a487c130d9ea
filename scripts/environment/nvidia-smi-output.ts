// Any text that nvidia-smi printed, in whatever way it was asked and pasted, told apart and read.

import {
  type ListedGpu,
  type MigInstance,
  type NvlinkStatus,
  readComputeInstances,
  readDeviceList,
  readGpuInstances,
  readNvlinkStatus,
  readSmiCsv,
  type SmiCsv,
} from "./nvidia-smi-lists.ts";
import { readSmiQueryText } from "./nvidia-smi-query-text.ts";
import { type SmiRefusal, type SmiReport, smiRefusal } from "./nvidia-smi-report.ts";
import { readSmiTable, type SmiTable } from "./nvidia-smi-table.ts";
import { readTopology, type SmiTopology } from "./nvidia-smi-topology.ts";
import { readSmiXml } from "./nvidia-smi-xml.ts";

export type SmiOutput =
  | { readonly kind: "query-xml"; readonly report: SmiReport }
  | { readonly kind: "query-text"; readonly report: SmiReport }
  | { readonly kind: "table"; readonly table: SmiTable }
  | { readonly kind: "gpu-instances"; readonly instances: readonly MigInstance[] }
  | { readonly kind: "compute-instances"; readonly instances: readonly MigInstance[] }
  | { readonly kind: "topology"; readonly topology: SmiTopology }
  | { readonly kind: "nvlink"; readonly gpus: readonly NvlinkStatus[] }
  | { readonly kind: "list"; readonly gpus: readonly ListedGpu[] }
  | { readonly kind: "csv"; readonly csv: SmiCsv }
  /** No output of GPUs; the refusal says which of the known ways of saying so, if any. */
  | { readonly kind: "unknown"; readonly refusal: SmiRefusal };

/** Reads a text by what it looks like; where it holds several outputs, the fullest. Never throws. */
export function readNvidiaSmi(text: string): SmiOutput {
  if (/<nvidia_smi_log[\s>]/.test(text)) return { kind: "query-xml", report: readSmiXml(text) };
  if (/^=+\s*NVSMI LOG|^Attached GPUs\s*:/m.test(text))
    return { kind: "query-text", report: readSmiQueryText(text) };
  const table = readSmiTable(text);
  if (table !== undefined) return { kind: "table", table };
  if (/^\|\s*GPU instances:/m.test(text))
    return { kind: "gpu-instances", instances: readGpuInstances(text) };
  if (/^\|\s*Compute instances:/m.test(text))
    return { kind: "compute-instances", instances: readComputeInstances(text) };
  const topology = readTopology(text);
  if (topology !== undefined) return { kind: "topology", topology };
  if (/^\s*Link\s+\d+:/m.test(text)) {
    const gpus = readNvlinkStatus(text);
    if (gpus.length > 0) return { kind: "nvlink", gpus };
  }
  const gpus = readDeviceList(text);
  if (gpus.length > 0) return { kind: "list", gpus };
  const csv = readSmiCsv(text);
  if (csv !== undefined) return { kind: "csv", csv };
  return { kind: "unknown", refusal: smiRefusal(text) };
}
