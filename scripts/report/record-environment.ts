// From snapshots to the fields of "system under test": per group, one row for what all variants share,
// a row per variant where they differ, each with its source or the reason for its absence.
import {
  type EnvironmentField,
  type FieldClass,
  type FieldGroup,
  type FieldSource,
  type FieldValue,
  fieldGroups,
  type RawProbe,
} from "../environment/snapshot.ts";
import { formatBytes, formatNumber } from "../units.ts";
import type { RecordMaterial } from "./record-material.ts";

export interface EnvironmentRow {
  /** Ids that name the label, most special first: "model.fp32.dtype", "model.*.dtype". */
  readonly labels: readonly string[];
  /** The part of the id that the star stands for, where the row is about one of several: "fp32". */
  readonly instance: string | undefined;
  readonly value: PrintedField;
  readonly source: FieldSource;
}

export type PrintedField =
  | { readonly state: "value"; readonly text: string }
  | { readonly state: "not_collected" | "not_applicable" | "redacted"; readonly reason: string };

export interface EnvironmentData {
  readonly takenAt: string;
  readonly groups: readonly {
    readonly group: FieldGroup;
    readonly rows: readonly EnvironmentRow[];
  }[];
  readonly differences: readonly {
    readonly labels: readonly string[];
    readonly instance: string | undefined;
    readonly class: FieldClass;
    readonly before: PrintedField | undefined;
    readonly after: PrintedField | undefined;
  }[];
  /** undefined: the second snapshot was not taken. */
  readonly takenAfterAt: string | undefined;
  readonly raw: readonly RawProbe[];
}

/** The environment of a record: the snapshot before the run, and what changed until after it. */
export function environmentOf(
  { before, after, differences }: RecordMaterial["environment"],
  variants: readonly string[],
): EnvironmentData {
  return {
    takenAt: before.takenAt,
    takenAfterAt: after?.takenAt,
    groups: fieldGroups
      .map((group) => ({
        group,
        rows: rowsOf(
          before.fields.filter((field) => field.group === group && !isSetting(field)),
          variants,
        ),
      }))
      .filter(({ rows }) => rows.length > 0),
    // Load and uptime always differ; a table of them would hide what matters.
    differences: differences
      .filter((one) => one.class !== "noise")
      .map((difference) => ({
        labels: labelsOf(difference.id, variants),
        instance: splitId(difference.id, variants).instance,
        class: difference.class,
        before: difference.before === undefined ? undefined : printField(difference.before),
        after: difference.after === undefined ? undefined : printField(difference.after),
      })),
    raw: before.raw,
  };
}

/** One of the engine's resolved settings: they stand in full in the appendix, often hundreds of them. */
function isSetting({ id }: EnvironmentField): boolean {
  return /^engine\.[^.]+\.config\./.test(id);
}

/** Rows in the order of the snapshot; instances of one field that agree become one row. */
function rowsOf(
  fields: readonly EnvironmentField[],
  variants: readonly string[],
): readonly EnvironmentRow[] {
  const byPattern = new Map<string, EnvironmentField[]>();
  for (const field of fields) {
    const { pattern } = splitId(field.id, variants);
    byPattern.set(pattern, [...(byPattern.get(pattern) ?? []), field]);
  }
  return [...byPattern.values()].flatMap((instances) => {
    const printed = instances.map((field) => JSON.stringify(printField(field.value)));
    const agree = new Set(printed).size === 1;
    return (agree ? instances.slice(0, 1) : instances).map((field) => ({
      labels: labelsOf(field.id, variants),
      instance: agree ? undefined : splitId(field.id, variants).instance,
      value: printField(field.value),
      source: field.source,
    }));
  });
}

/** "gpu.0.driver" -> "gpu.*.driver" and "0"; the second part is an instance if a number or a variant. */
function splitId(
  id: string,
  variants: readonly string[],
): { readonly pattern: string; readonly instance: string | undefined } {
  const [group = "", instance = "", ...rest] = id.split(".");
  const several = rest.length > 0 && (/^\d+$/.test(instance) || variants.includes(instance));
  return several
    ? { pattern: [group, "*", ...rest].join("."), instance }
    : { pattern: id, instance: undefined };
}

function labelsOf(id: string, variants: readonly string[]): readonly string[] {
  const { pattern } = splitId(id, variants);
  return pattern === id ? [id] : [id, pattern];
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
  return unit === undefined ? digits : `${digits}\u00a0${unit}`;
}

function decimalsIn(value: number): number {
  return value.toFixed(9).replace(/0+$/, "").split(".")[1]?.length ?? 0;
}
