// From the fields of a machine's GPUs, some seventy of each, to what a reader can take in: what all of
// them share, a table of what differs, who is who, MIG devices, the matrix of their links.
import type { EnvironmentField } from "../environment/snapshot.ts";
import {
  type EnvironmentRow,
  gpuNames,
  labelsOf,
  type PrintedField,
  printField,
  printsAs,
  rowOf,
} from "./record-fields.ts";

/** Facts across GPUs. Columns are GPUs that agree in every row. */
export interface GpuComparison {
  /** "GPU 0–3", "GPU 4". */
  readonly gpus: readonly string[];
  readonly rows: readonly {
    readonly labels: readonly string[];
    /** One per column; undefined: no such field. */
    readonly values: readonly (PrintedField | undefined)[];
  }[];
}

/** Facts of which every GPU has its own: a row per GPU. */
interface GpuIdentities {
  /** Labels of the columns. */
  readonly facts: readonly (readonly string[])[];
  readonly rows: readonly {
    readonly gpu: string;
    readonly values: readonly (PrintedField | undefined)[];
  }[];
}

/** A MIG device; undefined: not told. */
interface MigDevice {
  /** "GPU 0". */
  readonly gpu: string;
  readonly profile: string;
  readonly gpuInstance: string | undefined;
  readonly computeInstance: string | undefined;
  /** First slice and number of slices: "0:4". */
  readonly slices: string | undefined;
  readonly memoryMib: number | undefined;
  readonly multiprocessors: number | undefined;
  readonly uuid: string | undefined;
}

export interface GpuEnvironment {
  /** "GPU 0–7". */
  readonly about: string;
  /** What they share; everything, of a single one. */
  readonly rows: readonly EnvironmentRow[];
  /** undefined: nothing is each one's own. */
  readonly identities: GpuIdentities | undefined;
  /** undefined: nothing else differs. */
  readonly differing: GpuComparison | undefined;
  readonly mig: readonly MigDevice[];
  /** The links between several GPUs, as text in columns; undefined: not read, or one GPU. */
  readonly topology: { readonly text: string; readonly links: readonly string[] } | undefined;
  /** What changes on its own, as it was before the run: power, clocks, temperature, processes. */
  readonly momentary: {
    readonly rows: readonly EnvironmentRow[];
    readonly differing: GpuComparison | undefined;
  };
}

type ByGpu = ReadonlyMap<number, EnvironmentField>;
type Fact = readonly [string, ByGpu];

/** What a table that names each GPU is for; long texts, of which no two are alike. */
const identityFacts: readonly string[] = ["pci_id", "uuid", "cpu_affinity", "numa_affinity"];

/** The GPUs of a snapshot; undefined: none was read. */
export function gpuEnvironmentOf(fields: readonly EnvironmentField[]): GpuEnvironment | undefined {
  const facts = byFact(fields);
  const gpus = [...new Set([...facts.values()].flatMap((byGpu) => [...byGpu.keys()]))].sort(
    (a, b) => a - b,
  );
  if (gpus.length === 0) return undefined;
  const mig = gpus.flatMap((gpu) => migDevicesOf(gpu, facts));
  const topology = gpus.length > 1 ? topologyOf(facts.get("topology"), gpus) : undefined;
  const isTold = (fact: string): boolean =>
    (fact === "topology" && topology !== undefined) ||
    (/^mig\.(?:devices|instances)$/.test(fact) && (mig.length > 0 || saysNone(facts.get(fact))));
  const shown = [...facts].filter(([fact]) => !isTold(fact));
  const isMomentary = (byGpu: ByGpu): boolean =>
    [...byGpu.values()].every((field) => field.class === "noise");
  const lasting = shown.filter(([, byGpu]) => !isMomentary(byGpu));
  const momentary = shown.filter(([, byGpu]) => isMomentary(byGpu));
  const shared = (facts: readonly Fact[]): readonly EnvironmentRow[] =>
    facts.flatMap(([, byGpu]) => {
      const [first] = byGpu.values();
      return first !== undefined && agrees(byGpu, gpus) ? [rowOf(first, [], undefined)] : [];
    });
  const differing = lasting.filter(([, byGpu]) => !agrees(byGpu, gpus));
  const own = differing.filter(([fact]) => identityFacts.includes(fact));
  return {
    about: gpuNames(gpus),
    rows: shared(lasting),
    identities: identitiesOf(own, gpus),
    differing: comparisonOf(
      differing.filter(([fact]) => !identityFacts.includes(fact)),
      gpus,
    ),
    mig,
    topology,
    momentary: {
      rows: shared(momentary),
      differing: comparisonOf(
        momentary.filter(([, byGpu]) => !agrees(byGpu, gpus)),
        gpus,
      ),
    },
  };
}

/** "gpu.0.power.limit_w" under "power.limit_w" and 0. */
function byFact(fields: readonly EnvironmentField[]): ReadonlyMap<string, ByGpu> {
  const facts = new Map<string, Map<number, EnvironmentField>>();
  for (const field of fields) {
    const [, gpu, fact] = /^gpu\.(\d+)\.(.+)$/.exec(field.id) ?? [];
    if (gpu === undefined || fact === undefined) continue;
    const byGpu = facts.get(fact) ?? new Map<number, EnvironmentField>();
    facts.set(fact, byGpu.set(Number(gpu), field));
  }
  return facts;
}

function agrees(byGpu: ByGpu, gpus: readonly number[]): boolean {
  const [first] = byGpu.values();
  return gpus.every((gpu) => printsAs(printed(byGpu, gpu), first && printField(first.value)));
}

function printed(byGpu: ByGpu, gpu: number): PrintedField | undefined {
  const field = byGpu.get(gpu);
  return field && printField(field.value);
}

function saysNone(byGpu: ByGpu | undefined): boolean {
  return [...(byGpu?.values() ?? [])].every(
    ({ value }) => value.state === "value" && value.value === "none",
  );
}

function labelsOfFact(byGpu: ByGpu): readonly string[] {
  const [first] = byGpu.values();
  return first === undefined ? [] : labelsOf(first.id, []);
}

function identitiesOf(own: readonly Fact[], gpus: readonly number[]): GpuIdentities | undefined {
  if (own.length === 0) return undefined;
  return {
    facts: own.map(([, byGpu]) => labelsOfFact(byGpu)),
    rows: gpus.map((gpu) => ({
      gpu: gpuNames([gpu]),
      values: own.map(([, byGpu]) => printed(byGpu, gpu)),
    })),
  };
}

function comparisonOf(facts: readonly Fact[], gpus: readonly number[]): GpuComparison | undefined {
  if (facts.length === 0) return undefined;
  const columns = new Map<string, number[]>();
  for (const gpu of gpus) {
    const key = JSON.stringify(facts.map(([, byGpu]) => printed(byGpu, gpu)));
    columns.set(key, [...(columns.get(key) ?? []), gpu]);
  }
  const groups = [...columns.values()];
  return {
    gpus: groups.map(gpuNames),
    rows: facts.map(([, byGpu]) => ({
      labels: labelsOfFact(byGpu),
      values: groups.map(([gpu]) => (gpu === undefined ? undefined : printed(byGpu, gpu))),
    })),
  };
}

function textOf(byGpu: ByGpu | undefined, gpu: number): string | undefined {
  const value = byGpu?.get(gpu)?.value;
  return value?.state === "value" ? String(value.value) : undefined;
}

/**
 * "3g.40gb MIG-..." of `nvidia-smi -L` beside "gi 1 ci 0 3g.40gb slices 0:4 40192 MiB 60 SM" of its
 * long form: both in the order of the devices. Where their numbers disagree the list is taken alone.
 */
function migDevicesOf(gpu: number, facts: ReadonlyMap<string, ByGpu>): readonly MigDevice[] {
  const listed = entriesOf(textOf(facts.get("mig.devices"), gpu));
  const told = entriesOf(textOf(facts.get("mig.instances"), gpu));
  const instances = listed.length === 0 || told.length === listed.length ? told : [];
  return (listed.length === 0 ? instances : listed).map((_, at): MigDevice => {
    const instance = instances[at] ?? "";
    const [profile, uuid] = listed[at]?.split(/ (?=MIG-)/) ?? [];
    const number = (pattern: RegExp): number | undefined => {
      const digits = pattern.exec(instance)?.[1];
      return digits === undefined ? undefined : Number(digits);
    };
    return {
      gpu: gpuNames([gpu]),
      profile: profile ?? /(?:^| )(\d\S*g\.\S+)/.exec(instance)?.[1] ?? "–",
      gpuInstance: /\bgi (\d+)/.exec(instance)?.[1],
      computeInstance: /\bci (\d+)/.exec(instance)?.[1],
      slices: /\bslices (\d+:\d+)/.exec(instance)?.[1],
      memoryMib: number(/(\d+) MiB\b/),
      multiprocessors: number(/(\d+) SM\b/),
      uuid,
    };
  });
}

function entriesOf(list: string | undefined): readonly string[] {
  return list === undefined || list === "none" ? [] : list.split("; ");
}

/** The matrix of `nvidia-smi topo -m`, from "GPU1 NV18, GPU2 SYS, NIC0 PXB" of each GPU. */
function topologyOf(byGpu: ByGpu | undefined, gpus: readonly number[]): GpuEnvironment["topology"] {
  const rows = gpus.flatMap((gpu) => {
    const text = textOf(byGpu, gpu);
    if (text === undefined) return [];
    const links = text.split(", ").map((entry): [string, string] => {
      const [device = "", link = ""] = entry.split(" ");
      return [device, link];
    });
    return [{ name: `GPU${gpu}`, links: new Map(links) }];
  });
  if (rows.length < gpus.length) return undefined;
  const others = rows.flatMap(({ links }) => [...links.keys()]);
  const devices = [...new Set([...gpus.map((gpu) => `GPU${gpu}`), ...others])];
  const lines = [
    ["", ...devices],
    ...rows.map(({ name, links }) => [
      name,
      ...devices.map((device) => (device === name ? "X" : (links.get(device) ?? "–"))),
    ]),
  ];
  const widths = devices.map((_, at) =>
    Math.max(...lines.map((line) => (line[at + 1] ?? "").length)),
  );
  const first = Math.max(...lines.map(([name = ""]) => name.length));
  return {
    text: lines
      .map(([name = "", ...cells]) =>
        [name.padEnd(first), ...cells.map((cell, at) => cell.padEnd(widths[at] ?? 0))]
          .join("  ")
          .trimEnd(),
      )
      .join("\n"),
    links: [...new Set(rows.flatMap(({ links }) => [...links.values()]))],
  };
}
