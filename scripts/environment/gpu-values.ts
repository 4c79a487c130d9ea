// What tools say of GPUs: values and the ways of having none, and the fields that come of them.

import { factEntries, type GpuFactId, gpuFactIds, gpuFacts } from "./gpu-facts.ts";
import { fieldOf, known, notApplicable, notCollected, type Reading } from "./probe.ts";
import { type Reason, reasons } from "./reasons.ts";
import type { EnvironmentField } from "./snapshot.ts";

/** What a tool said of a fact. */
export type GpuValue =
  | { readonly state: "value"; readonly value: string | number | boolean }
  /** The device or its driver does not offer it. */
  | { readonly state: "unsupported" }
  | { readonly state: "deprecated" }
  | { readonly state: "error" }
  /** The question does not arise: a GPU that is no vGPU has no vGPU type. */
  | { readonly state: "inapplicable"; readonly reason: Reason };

/** What a vendor's tool gave for this machine. */
export type VendorGpus =
  | { readonly state: "read"; readonly fields: readonly EnvironmentField[] }
  /** It answered with no GPU, or not at all. */
  | { readonly state: "none"; readonly reason: Reason; readonly rawIndex: number };

/** One GPU of a vendor other than NVIDIA. */
export interface ForeignGpu {
  readonly index: number;
  readonly values: GpuValues;
}

/** What is known of one GPU; a fact that is missing was not said. */
export type GpuValues = ReadonlyMap<GpuFactId, GpuValue>;

/**
 * The fields of one GPU: every fact of `ids`, a value or why there is none.
 *
 * @param rawOf the raw probe that a fact was, or would have been, read from
 */
export function fieldsOfGpu(
  index: number,
  values: GpuValues,
  ids: readonly GpuFactId[],
  { at, rawOf }: { readonly at: string; readonly rawOf: (id: GpuFactId) => number },
): readonly EnvironmentField[] {
  return ids.map((id) => {
    const fact = gpuFacts[id];
    const value = values.get(id);
    const reading =
      value === undefined
        ? notCollected(reasons.gpuNotSaid, rawOf(id))
        : readingOf(value, fact.unit, rawOf(id));
    return fieldOf(`gpu.${index}.${id}`, "gpu", fact.class, reading, at);
  });
}

function readingOf(value: GpuValue, unit: string | undefined, rawIndex: number): Reading {
  switch (value.state) {
    case "unsupported":
      return notApplicable(reasons.gpuNotSupported, rawIndex);
    case "deprecated":
      return notApplicable(reasons.gpuDeprecated, rawIndex);
    case "error":
      return notCollected(reasons.gpuUnknownError, rawIndex);
    case "inapplicable":
      return notApplicable(value.reason, rawIndex);
    case "value":
      return unit === undefined
        ? known(value.value, { rawIndex, otherwise: reasons.nvidiaSmiUnexpected })
        : known(numberOf(value.value), {
            unit: unit === "" ? undefined : unit,
            rawIndex,
            otherwise: reasons.nvidiaSmiUnexpected,
          });
  }
}

/**
 * A value as what it means: a number of its unit, or a state in the words by which tools say that
 * there is none. undefined for an empty text, which says nothing.
 *
 * @example gpuValue(" [N/A]") // { state: "unsupported" }
 */
export function gpuValue(text: string): GpuValue | undefined {
  const bare = text
    .trim()
    .replace(/^\[(.*)\]$/, "$1")
    // "610.57 [Deprecated; will be removed in ...]" is a value with advice.
    .replace(/\s+\[Deprecated;[^\]]*\]$/i, "")
    .trim();
  if (bare === "") return undefined;
  if (/^Requested functionality has been deprecated$/i.test(bare)) return { state: "deprecated" };
  if (/^(?:N\/A|Not Supported|Not Available|Function Not Found)$/i.test(bare))
    return { state: "unsupported" };
  if (
    /^(?:Unknown Error|ERR!|Not Found|Insufficient Permissions|GPU requires reset|GPU is lost)$/i.test(
      bare,
    )
  )
    return { state: "error" };
  return { state: "value", value: bare };
}

/**
 * All facts of a GPU that is not NVIDIA's: those its tool does not offer do not apply to it.
 *
 * @param offered the facts that the tool can tell
 */
export function foreignValues(values: GpuValues, offered: readonly GpuFactId[]): GpuValues {
  const none: GpuValue = { state: "inapplicable", reason: reasons.notThisVendor };
  const all = new Map(values);
  for (const id of gpuFactIds) if (!offered.includes(id)) all.set(id, none);
  return all;
}

/** The number that a value with a unit begins with: "40448 MiB" -> 40448, "16x" -> 16. */
export function numberOf(value: string | number | boolean): number | undefined {
  if (typeof value === "number") return value;
  const digits = /^-?\d+(?:\.\d+)?(?=$|[\sa-z%])/i.exec(String(value).trim())?.[0];
  return digits === undefined ? undefined : Number(digits);
}

/** A value that is known. */
export function given(value: string | number | boolean): GpuValue {
  return { state: "value", value };
}

/** A process that holds a part of a GPU. */
export interface GpuProcess {
  readonly pid: number;
  readonly name: string;
  /** undefined: the driver does not say, as on Windows. */
  readonly usedMib: number | undefined;
}

/** Processes that compute, in the same words in full and in light snapshots. */
export function computeProcesses(processes: readonly GpuProcess[]): GpuValues {
  const texts = processes.map(({ pid, name, usedMib }) =>
    [String(pid), name, usedMib === undefined ? [] : `${usedMib} MiB`].flat().join(" "),
  );
  return valuesOf({
    "processes.count": given(processes.length),
    "processes.list": given(listOf(texts)),
  });
}

/** Texts as one, or "none". */
export function listOf(texts: readonly string[], between = "; "): string {
  return texts.length === 0 ? "none" : texts.join(between);
}

/** Facts by id, without those that are undefined. */
export function valuesOf(
  values: Readonly<Partial<Record<GpuFactId, GpuValue | undefined>>>,
): GpuValues {
  return new Map(
    factEntries(values).flatMap(([id, value]) =>
      value === undefined ? [] : [[id, value] as const],
    ),
  );
}
