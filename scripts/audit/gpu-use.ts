// Which of a machine's GPUs the engine under test works on, and what snapshots and telemetry say of
// them: a neighbour's job on another GPU of the machine is no finding.
import type { EnvironmentSnapshot, FieldValue } from "../environment/snapshot.ts";
import type { Variant } from "../experiment/experiment.ts";
import type { TrialSamples } from "../stats/samples.ts";
import { throughputWindow, type Window } from "../stats/window.ts";
import type { StoredSnapshot } from "../store/stored-run.ts";
import { type AuditInput, plannedVariants, readyStarts, settingOf } from "./rule.ts";
import { thresholds } from "./thresholds.ts";

/** A process that computes on a GPU, as the driver lists it. */
export interface GpuProcess {
  readonly pid: number;
  readonly name: string;
}

/** Whether a variant computes on GPUs at all, as far as that is known. */
export function usesGpus(input: AuditInput, { name, engine }: Variant): boolean {
  if (engine.kind === "embedded") return false;
  return !readyStarts(input, name).some(
    ({ facts }) =>
      /\+cpu\b/.test(facts.version ?? "") ||
      settingOf(facts.config, "device", "device_type") === "cpu",
  );
}

/**
 * Indexes of the GPUs that engines of this run work on, ascending: those on which processes or
 * memory appeared when one became ready, else those that were made visible to it, else all.
 */
export function gpusInUse(input: AuditInput, count: number): readonly number[] {
  const all = gpuIndexes(input, count);
  const observed = all.filter((gpu) => appearedOn(input, gpu));
  if (observed.length > 0) return observed;
  const visible = plannedVariants(input).map((variant) => visibleTo(input, variant, all));
  const named = visible.flatMap((gpus) => gpus ?? []);
  if (visible.includes(undefined) || named.length === 0) return all;
  return all.filter((gpu) => named.includes(gpu));
}

/** Indexes as nvidia-smi counts, which need not begin at 0 where a GPU has failed. */
function gpuIndexes({ before, after }: AuditInput, count: number): readonly number[] {
  const found = new Set(
    [before, after].flatMap((snapshot) =>
      (snapshot?.fields ?? []).flatMap(({ id }) => {
        const index = /^gpu\.(\d+)\./.exec(id)?.[1];
        return index === undefined ? [] : [Number(index)];
      }),
    ),
  );
  return found.size > 0
    ? [...found].sort((a, b) => a - b)
    : Array.from({ length: count }, (_, index) => index);
}

function appearedOn({ snapshots }: AuditInput, gpu: number): boolean {
  const idle = snapshots.find(({ scope }) => scope === "run-before")?.snapshot;
  if (idle === undefined) return false;
  const known = new Set((processesOf(idle, gpu) ?? []).map(({ pid }) => pid));
  const idleMib = numberIn(idle, `gpu.${gpu}.memory.used_mib`);
  return snapshots
    .filter(({ scope }) => scope === "start")
    .some(({ snapshot }) => {
      const usedMib = numberIn(snapshot, `gpu.${gpu}.memory.used_mib`);
      return (
        (processesOf(snapshot, gpu) ?? []).some(({ pid }) => !known.has(pid)) ||
        (idleMib !== undefined &&
          usedMib !== undefined &&
          usedMib - idleMib > thresholds.gpuIdleMemoryMib.value)
      );
    });
}

/** undefined: nothing limits what it sees. */
function visibleTo(
  { before }: AuditInput,
  { engine }: Variant,
  all: readonly number[],
): readonly number[] | undefined {
  if (engine.kind === "external") return undefined;
  const list = engine.env["CUDA_VISIBLE_DEVICES"] ?? engine.env["NVIDIA_VISIBLE_DEVICES"];
  if (list === undefined || list === "all") return undefined;
  return list.split(",").flatMap((word) => {
    const device = word.trim();
    if (/^\d+$/.test(device)) return [Number(device)];
    return all.filter((gpu) =>
      ["uuid", "mig.devices"].some((id) =>
        device === "" ? false : (textIn(before, `gpu.${gpu}.${id}`) ?? "").includes(device),
      ),
    );
  });
}

/** Compute processes of one GPU; undefined: the list was not read. */
export function processesOf(
  snapshot: EnvironmentSnapshot,
  gpu: number,
): readonly GpuProcess[] | undefined {
  const list = textIn(snapshot, `gpu.${gpu}.processes.list`);
  if (list === undefined) {
    return numberIn(snapshot, `gpu.${gpu}.processes.count`) === 0 ? [] : undefined;
  }
  // "4242 python3 65710 MiB; 4243 ..."; a name may hold whatever a command line does.
  return list.split(/; (?=\d+ )/).flatMap((entry) => {
    const match = /^(\d+) (.*?)(?: \d+ MiB)?$/.exec(entry.trim());
    return match === null ? [] : [{ pid: Number(match[1]), name: match[2] ?? "" }];
  });
}

/** A field of a snapshot; undefined: it has no such field. */
function valueIn(snapshot: EnvironmentSnapshot | undefined, id: string): FieldValue | undefined {
  return snapshot?.fields.find((field) => field.id === id)?.value;
}

export function textIn(snapshot: EnvironmentSnapshot | undefined, id: string): string | undefined {
  const value = valueIn(snapshot, id);
  return value?.state === "value" ? String(value.value) : undefined;
}

export function numberIn(
  snapshot: EnvironmentSnapshot | undefined,
  id: string,
): number | undefined {
  const value = valueIn(snapshot, id);
  return value?.state === "value" && typeof value.value === "number" ? value.value : undefined;
}

/** A field over all snapshots that hold a number for it, in order. */
export function numbersOver(snapshots: readonly StoredSnapshot[], id: string): readonly number[] {
  return snapshots.flatMap(({ snapshot }) => numberIn(snapshot, id) ?? []);
}

/** One GPU's readings over the throughput window of one trial. */
export interface WindowReadings {
  readonly round: number;
  readonly window: Window;
  readonly inside: TrialSamples["gpus"];
  /** With the last reading before the window and the first one after it: what counters need. */
  readonly around: TrialSamples["gpus"];
}

/** One GPU over the windows of a point's trials; empty where none has readings. */
export function readingsOf(
  samples: readonly TrialSamples[],
  gpu: number,
): readonly WindowReadings[] {
  return samples.flatMap((trial) => {
    const window = throughputWindow(trial);
    if (window === undefined) return [];
    const own = trial.gpus.filter((reading) => reading.gpu === gpu);
    const inside = own.filter(({ atMs }) => atMs >= window.fromMs && atMs <= window.toMs);
    const before = own.filter(({ atMs }) => atMs < window.fromMs).slice(-1);
    const after = own.filter(({ atMs }) => atMs > window.toMs).slice(0, 1);
    const around = [...before, ...inside, ...after];
    return around.length === 0 ? [] : [{ round: trial.round, window, inside, around }];
  });
}

/** "GPU 0", "GPU 0, 1". */
export function gpuList(gpus: readonly number[]): string {
  return `GPU ${gpus.join(", ")}`;
}
