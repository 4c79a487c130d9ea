// Which of a machine's GPUs the engine under test works on, and what snapshots and telemetry say of
// them: a neighbour's job on another GPU of the machine is no finding.
import type { EnvironmentSnapshot, FieldValue } from "../environment/snapshot.ts";
import type { Variant } from "../experiment/experiment.ts";
import { type EngineGpus, engineGpus, unknownGpus } from "../stats/gpu-metrics.ts";
import type { TrialSamples } from "../stats/samples.ts";
import { throughputWindow, type Window } from "../stats/window.ts";
import type { StoredSnapshot } from "../store/stored-run.ts";
import { gpuPresence, isElsewhere } from "./gpu-presence.ts";
import {
  type AuditInput,
  isLaunched,
  numberField,
  plannedVariants,
  readyStarts,
  settingOf,
} from "./rule.ts";
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

/** The GPUs of one variant's engine: as many as it says, and which, as far as the machine shows it. */
export function gpusOfVariant(input: AuditInput, variant: Variant): EngineGpus {
  const presence = gpuPresence(input);
  if (presence.kind === "none" || !usesGpus(input, variant)) return { count: 0, indexes: [] };
  const facts = readyStarts(input, variant.name)[0]?.facts;
  const count = presence.kind === "present" ? presence.count : undefined;
  const said = facts === undefined ? unknownGpus : engineGpus(facts, count);
  // What is read here is of other GPUs than the engine's.
  if (isElsewhere(input)) return { ...said, indexes: [] };
  if (count === undefined) return said;
  const seen = appearedGpus(input, gpuIndexes(input), [variant]);
  const isKnown = seen.length > 0 && seen.length === (said.count ?? seen.length);
  const gpus = isKnown ? { count: seen.length, indexes: seen } : said;
  const isSliced = (gpus.indexes ?? gpuIndexes(input)).some((gpu) => isCut(input, gpu));
  return isSliced ? { ...gpus, isSliced } : gpus;
}

/**
 * Indexes of the GPUs that engines of this run work on, ascending: those on which processes or
 * memory appeared when one became ready, else those that were made visible to it, else those in use
 * when we attached to it, else all.
 */
export function gpusInUse(input: AuditInput): readonly number[] {
  const all = gpuIndexes(input);
  const variants = plannedVariants(input);
  const observed = appearedGpus(input, all, variants);
  if (observed.length > 0) return observed;
  const visible = variants.map((variant) => visibleTo(input, variant, all));
  const named = visible.flatMap((gpus) => gpus ?? []);
  if (!visible.includes(undefined) && named.length > 0)
    return all.filter((gpu) => named.includes(gpu));
  const occupied = variants.some(isLaunched) ? [] : all.filter((gpu) => isOccupied(input, gpu));
  return occupied.length > 0 ? occupied : all;
}

/** Indexes as nvidia-smi counts, which need not begin at 0 where a GPU has failed. */
export function gpuIndexes(input: AuditInput): readonly number[] {
  const found = new Set(
    [input.before, input.after].flatMap((snapshot) =>
      (snapshot?.fields ?? []).flatMap(({ id }) => {
        const index = /^gpu\.(\d+)\./.exec(id)?.[1];
        return index === undefined ? [] : [Number(index)];
      }),
    ),
  );
  return found.size > 0
    ? [...found].sort((a, b) => a - b)
    : Array.from({ length: numberField(input, "gpu.count") ?? 0 }, (_, index) => index);
}

/** Whether a GPU is cut into MIG instances. */
export function isCut({ before, after }: AuditInput, gpu: number): boolean {
  return textIn(before ?? after, `gpu.${gpu}.mig.current`) === "Enabled";
}

/** GPUs on which a process or memory appeared when an engine of these variants became ready. */
function appearedGpus(
  input: AuditInput,
  all: readonly number[],
  variants: readonly Variant[],
): readonly number[] {
  const names = new Set(variants.map(({ name }) => name));
  const starts = new Set(
    input.starts.filter(({ variant }) => names.has(variant)).map(({ start }) => start),
  );
  return all.filter((gpu) => appearedOn(input, gpu, starts));
}

function appearedOn({ snapshots }: AuditInput, gpu: number, starts: ReadonlySet<number>): boolean {
  const idle = snapshots.find(({ scope }) => scope === "run-before")?.snapshot;
  if (idle === undefined) return false;
  const idleMib = numberIn(idle, `gpu.${gpu}.memory.used_mib`);
  const known = new Set<number>();
  return snapshots.some(({ scope, start, snapshot }) => {
    const processes = processesOf(snapshot, gpu) ?? [];
    const isNew = processes.some(({ pid }) => !known.has(pid));
    for (const { pid } of processes) known.add(pid);
    if (scope !== "start" || start === undefined || !starts.has(start)) return false;
    const usedMib = numberIn(snapshot, `gpu.${gpu}.memory.used_mib`);
    const hasGrown =
      idleMib !== undefined &&
      usedMib !== undefined &&
      usedMib - idleMib > thresholds.gpuIdleMemoryMib.value;
    return isNew || hasGrown;
  });
}

function isOccupied({ before }: AuditInput, gpu: number): boolean {
  if (before === undefined) return false;
  const usedMib = numberIn(before, `gpu.${gpu}.memory.used_mib`) ?? 0;
  return (processesOf(before, gpu) ?? []).length > 0 || usedMib > thresholds.gpuIdleMemoryMib.value;
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
