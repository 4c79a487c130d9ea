// What every printed field is made of: the name that the dictionary knows it by, which of several it is
// about, its value as text.
import type { EnvironmentField, FieldSource, FieldValue } from "../environment/snapshot.ts";
import { formatBytes, formatNumber } from "../units.ts";

/** How a field is named, and which of several it is about. */
export interface FieldName {
  /** Ids that name the label, most special first: "model.fp32.dtype", "model.*.dtype". */
  readonly labels: readonly string[];
  /** The part of the id that the star stands for, where the row is about one of several: "fp32", "GPU 0–7". */
  readonly instance: string | undefined;
}

export interface EnvironmentRow extends FieldName {
  readonly value: PrintedField;
  readonly source: FieldSource;
  /** The host that it was read on; undefined: the one that benchbook ran on. */
  readonly readOn: string | undefined;
}

export type PrintedField =
  | { readonly state: "value"; readonly text: string }
  | { readonly state: "not_collected" | "not_applicable" | "redacted"; readonly reason: string };

/** "gpu.0.driver" -> "gpu.*.driver" and "0"; the second part is an instance if a number or a variant. */
export function splitId(
  id: string,
  variants: readonly string[],
): { readonly pattern: string; readonly instance: string | undefined } {
  const [group = "", instance = "", ...rest] = id.split(".");
  const several = rest.length > 0 && (/^\d+$/.test(instance) || variants.includes(instance));
  return several
    ? { pattern: [group, "*", ...rest].join("."), instance }
    : { pattern: id, instance: undefined };
}

export function labelsOf(id: string, variants: readonly string[]): readonly string[] {
  const { pattern } = splitId(id, variants);
  return pattern === id ? [id] : [id, pattern];
}

/** The row of a field that stands for itself, or for all of several that agree. */
export function rowOf(
  field: EnvironmentField,
  variants: readonly string[],
  instance: string | undefined,
): EnvironmentRow {
  return {
    labels: labelsOf(field.id, variants),
    instance,
    value: printField(field.value),
    source: field.source,
    readOn: field.readOn,
  };
}

/**
 * Indexes of GPUs as people write them.
 *
 * @example gpuNames([0, 1, 2, 5]) // "GPU 0–2, 5"
 */
export function gpuNames(indexes: readonly number[]): string {
  const runs: { first: number; last: number }[] = [];
  for (const index of [...indexes].sort((a, b) => a - b)) {
    const run = runs.at(-1);
    if (run !== undefined && index === run.last + 1) run.last = index;
    else runs.push({ first: index, last: index });
  }
  const texts = runs.map(({ first, last }) => (first === last ? `${first}` : `${first}–${last}`));
  return `GPU ${texts.join(", ")}`;
}

/** Whether two things print the same. */
export function printsAs(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** A field's value as text with its unit. Digests and paths stay as they are. */
export function printField(value: FieldValue): PrintedField {
  switch (value.state) {
    case "value":
      return { state: "value", text: printValue(value.value, value.unit) };
    case "not_collected":
    case "redacted":
      return { state: value.state, reason: value.reason };
    case "not_applicable":
      return { state: "not_applicable", reason: value.reason ?? "" };
  }
}

function printValue(value: string | number | boolean, unit: string | undefined): string {
  if (typeof value !== "number") return String(value);
  if (unit === "bytes" || unit === "B") return formatBytes(value);
  const short = Number(value.toPrecision(Math.abs(value) < 1 ? 3 : 9));
  const decimals = Math.min(Math.abs(value) < 1 ? 9 : 3, decimalsIn(short));
  const digits = formatNumber(short, decimals);
  if (unit === undefined) return digits;
  return `${digits}\u00a0${unit === "us" ? "µs" : unit}`;
}

function decimalsIn(value: number): number {
  return value.toFixed(9).replace(/0+$/, "").split(".")[1]?.length ?? 0;
}
