// From snapshots to the fields of "system under test": per group, one row for what all variants or GPUs
// share, a row each where they differ, each with its source or the reason for its absence.
import {
  type EnvironmentField,
  type FieldClass,
  type FieldGroup,
  fieldGroups,
  type RawProbe,
} from "../environment/snapshot.ts";
import type { LocalText } from "../experiment/experiment.ts";
import {
  type EnvironmentRow,
  type FieldName,
  gpuNames,
  labelsOf,
  type PrintedField,
  printField,
  printsAs,
  rowOf,
  splitId,
} from "./record-fields.ts";
import { type GpuEnvironment, gpuEnvironmentOf } from "./record-gpus.ts";
import type { DriftMaterial, RecordMaterial } from "./record-material.ts";

export interface ChangedField extends FieldName {
  readonly class: FieldClass;
  /** undefined: no such field. */
  readonly before: PrintedField | undefined;
  readonly after: PrintedField | undefined;
  /** Between which trials or starts; undefined: not known, or not asked. */
  readonly when: LocalText | undefined;
}

export interface EnvironmentData {
  readonly takenAt: string;
  /** Of the GPUs only what they share; what is each one's own is in `gpus`. */
  readonly groups: readonly {
    readonly group: FieldGroup;
    /** "GPU 0–7": what the rows are about, where they are about several. */
    readonly about: string | undefined;
    readonly rows: readonly EnvironmentRow[];
  }[];
  /** undefined: no GPU was read. */
  readonly gpus: GpuEnvironment | undefined;
  /** Between the snapshots before and after the run. */
  readonly differences: readonly ChangedField[];
  /** While the run went on, in order. */
  readonly drift: readonly ChangedField[];
  /** undefined: the second snapshot was not taken. */
  readonly takenAfterAt: string | undefined;
  readonly raw: readonly RawProbe[];
}

/** The environment of a record: the snapshot before the run, what changed in it and until after it. */
export function environmentOf(
  { before, after, differences, drift }: RecordMaterial["environment"],
  variants: readonly string[],
): EnvironmentData {
  const gpus = gpuEnvironmentOf(before.fields);
  const shown = before.fields.filter((field) => !isSetting(field) && !/^gpu\.\d+\./.test(field.id));
  return {
    takenAt: before.takenAt,
    takenAfterAt: after?.takenAt,
    groups: fieldGroups
      .map((group) => ({
        group,
        about: group === "gpu" ? gpus?.about : undefined,
        rows: [
          ...inOrder(
            rowsOf(
              shown.filter((field) => field.group === group),
              variants,
            ),
          ),
          ...(group === "gpu" ? (gpus?.rows ?? []) : []),
        ],
      }))
      .filter(({ rows }) => rows.length > 0),
    gpus,
    // Load and uptime always differ; a table of them would hide what matters.
    differences: changesOf(
      differences
        .filter((one) => one.class !== "noise")
        .map((difference) => ({ ...difference, when: undefined })),
      variants,
    ),
    drift: changesOf(drift, variants),
    raw: before.raw,
  };
}

/** One of the engine's resolved settings: they stand in full in the appendix, often hundreds of them. */
function isSetting({ id }: EnvironmentField): boolean {
  return /^engine\.[^.]+\.config\./.test(id);
}

/**
 * Rows in the order of the snapshot, variants in that of the experiment; instances of one field that
 * agree become one row.
 */
function rowsOf(
  fields: readonly EnvironmentField[],
  variants: readonly string[],
): readonly EnvironmentRow[] {
  const byPattern = new Map<string, EnvironmentField[]>();
  const place = ({ id }: EnvironmentField): number =>
    variants.indexOf(splitId(id, variants).instance ?? "");
  for (const field of fields) {
    const { pattern } = splitId(field.id, variants);
    byPattern.set(pattern, [...(byPattern.get(pattern) ?? []), field]);
  }
  return [...byPattern.values()].flatMap((instances) => {
    const rows = [...instances]
      .sort((a, b) => place(a) - place(b))
      .map((field) => rowOf(field, variants, splitId(field.id, variants).instance));
    const [first] = rows;
    const agree = rows.every((row) => printsAs(row.value, first?.value));
    return agree ? rows.slice(0, 1).map((row) => ({ ...row, instance: undefined })) : rows;
  });
}

/** What decides a measurement stands first; how the engine was called, which is long, last. */
const engineOrder = [
  "name",
  "version",
  "kind",
  "dtype",
  "quantization",
  "kv_cache_dtype",
  "attention_backend",
  "cuda_graphs",
  "enforce_eager",
  "chunked_prefill",
  "prefix_caching",
  "block_size",
  "kv_cache_tokens",
  "max_num_seqs",
  "max_num_batched_tokens",
  "max_model_len",
  "tensor_parallel",
  "pipeline_parallel",
  "data_parallel",
  "gpu_memory_utilization",
  "speculative",
  "load_format",
  "container.image",
  "container.digest",
  "container.runtime",
  "container.name",
  "non_default_args",
  "config",
  "config_digest",
  "env",
  "argv",
].map((name) => `engine.*.${name}`);

/** Rows of the engine by what a reader asks for first; all others as they come. */
function inOrder(rows: readonly EnvironmentRow[]): readonly EnvironmentRow[] {
  const place = ({ labels }: EnvironmentRow): number => {
    const at = engineOrder.indexOf(labels.at(-1) ?? "");
    return at === -1 ? engineOrder.length : at;
  };
  return [...rows].sort((a, b) => place(a) - place(b));
}

type Change = Pick<DriftMaterial, "id" | "class" | "when"> & {
  readonly before: RecordMaterial["environment"]["differences"][number]["before"];
  readonly after: RecordMaterial["environment"]["differences"][number]["after"];
};

/** One row per change; what changed alike on several GPUs is one. */
function changesOf(
  changes: readonly Change[],
  variants: readonly string[],
): readonly ChangedField[] {
  const rows = new Map<string, { readonly row: ChangedField; readonly instances: string[] }>();
  for (const { id, class: of, before, after, when } of changes) {
    const { pattern, instance } = splitId(id, variants);
    const row: ChangedField = {
      labels: labelsOf(id, variants),
      instance,
      class: of,
      before: before && printField(before),
      after: after && printField(after),
      when,
    };
    const isOfGpu = pattern.startsWith("gpu.*.");
    const key = JSON.stringify(isOfGpu ? [pattern, row.before, row.after, when] : [rows.size]);
    const known = rows.get(key);
    if (known === undefined) rows.set(key, { row, instances: [instance ?? ""] });
    else known.instances.push(instance ?? "");
  }
  return [...rows.values()].map(({ row, instances }) => ({
    ...row,
    instance: row.labels.at(-1)?.startsWith("gpu.*.")
      ? gpuNames(instances.map(Number))
      : row.instance,
  }));
}
