// What ran on what, in a few words for cover and identity: the GPUs with what they are cut into, or the
// CPU where there are none, and the engines with their versions.
import type { EnvironmentField } from "../environment/snapshot.ts";
import { formatBytes, formatNumber } from "../units.ts";
import { gpuNames } from "./record-fields.ts";
import type { RecordMaterial } from "./record-material.ts";
import type { Phrase, TextPart } from "./record-parts.ts";
import { distinct, say } from "./record-workload.ts";

type Fields = readonly EnvironmentField[];

/** The machine for the subtitle; undefined: it is not known, or not this one. */
export function shortHardware(material: RecordMaterial): Phrase | undefined {
  const fields = fieldsOf(material);
  if (isElsewhere(material, fields)) return undefined;
  const gpus = gpuPhrase(material, fields);
  if (gpus !== undefined) return gpus;
  const cpu = textOf(fields, "host.cpu.model");
  return cpu === undefined ? undefined : [{ data: cpu }];
}

/** The machine for the table of section 0. */
export function hardwareOf(material: RecordMaterial): Phrase {
  const fields = fieldsOf(material);
  if (isElsewhere(material, fields)) {
    return [
      say(
        "未采集：引擎在另一台主机上，本机的硬件不作数",
        "not collected: the engine is on another host, and this one's hardware counts for nothing",
      ),
    ];
  }
  const gpus = gpuPhrase(material, fields);
  const host = hostPhrase(fields);
  const parts: Phrase = [
    ...(gpus ?? []),
    ...(gpus !== undefined && host.length > 0 ? [say("；", "; ")] : []),
    ...host,
  ];
  return parts.length === 0 ? [say("未采集", "not collected")] : parts;
}

/** Names and versions of the engines, and what they were packed in. */
export function engineOf({ run }: RecordMaterial): Phrase {
  const names = distinct(run.starts.map(({ facts }) => engineName(facts))).filter(
    (name) => name !== "",
  );
  if (names.length === 0) return [say("未知：没有引擎就绪过", "not known: no engine became ready")];
  const images = distinct(
    run.starts.flatMap(({ facts: { container } }) => {
      if (container === undefined) return [];
      const { image, digest } = container;
      const isPinned = digest === undefined || image.includes(digest);
      return [isPinned ? image : `${image} @ ${digest.slice(0, 19)}…`];
    }),
  );
  return [
    { data: names.join(" / ") },
    ...(images.length === 0
      ? []
      : [say("，容器镜像 ", ", container image "), { data: images.join(", ") }]),
  ];
}

/** "vLLM 0.12.0"; "" for an engine that never said anything. */
export function engineName(facts: {
  readonly name: string;
  readonly version: string | undefined;
}): string {
  return facts.version === undefined ? facts.name : `${facts.name} ${facts.version}`;
}

function fieldsOf({ environment }: RecordMaterial): Fields {
  return environment.before.fields;
}

function textOf(fields: Fields, id: string): string | undefined {
  const field = fields.find((one) => one.id === id);
  return field?.value.state === "value" ? String(field.value.value) : undefined;
}

function numberOf(fields: Fields, id: string): number | undefined {
  const value = fields.find((one) => one.id === id)?.value;
  return value?.state === "value" && typeof value.value === "number" ? value.value : undefined;
}

/** Whether the snapshots are of another machine than the engine's. */
function isElsewhere({ experiment }: RecordMaterial, fields: Fields): boolean {
  const relation = textOf(fields, "client.engine_relation");
  return (
    experiment.environment.kind === "local" && relation !== undefined && relation !== "same host"
  );
}

/** "AMD EPYC 9654，192 逻辑核，1.5 TiB 内存". */
function hostPhrase(fields: Fields): Phrase {
  const cpu = textOf(fields, "host.cpu.model");
  const logical = numberOf(fields, "host.cpu.logical");
  const memory = numberOf(fields, "host.memory_bytes");
  const parts: TextPart[] = [];
  const add = (part: TextPart): void => {
    if (parts.length > 0) parts.push(say("，", ", "));
    parts.push(part);
  };
  if (cpu !== undefined) add({ data: cpu });
  if (logical !== undefined) {
    const count = formatNumber(logical, 0);
    add(say(`${count} 逻辑核`, `${count} logical CPUs`));
  }
  if (memory !== undefined) {
    const size = formatBytes(memory);
    add(say(`内存 ${size}`, `${size} of memory`));
  }
  return parts;
}

/** GPUs of one kind, in what tells kinds apart. */
interface GpuKind {
  readonly name: string;
  readonly isVgpu: boolean;
  readonly slices: number | undefined;
  /** "3g.40gb × 2"; undefined: it is not cut up. */
  readonly mig: string | undefined;
  readonly memoryMib: number | undefined;
  readonly driver: string | undefined;
}

/**
 * "2 × NVIDIA RTX Pro 6000 Blackwell DC-4-96Q（vGPU，4 个 MIG 切片，95.6 GiB，驱动 580.95.05）";
 * undefined: no GPU is known. What the engines leave idle is told apart.
 */
function gpuPhrase(material: RecordMaterial, fields: Fields): Phrase | undefined {
  const all = indexesOf(fields);
  if (all.length === 0) return undefined;
  const used = usedOf(material, all);
  if (used.length === 0) return undefined;
  const kinds = new Map<string, { readonly kind: GpuKind; readonly gpus: number[] }>();
  for (const gpu of used) {
    const kind = kindOf(fields, gpu);
    const key = JSON.stringify(kind);
    const known = kinds.get(key);
    if (known === undefined) kinds.set(key, { kind, gpus: [gpu] });
    else known.gpus.push(gpu);
  }
  const isPart = used.length < all.length;
  return [...kinds.values()].flatMap(({ kind, gpus }, at): TextPart[] => [
    ...(at === 0 ? [] : [say("，", ", ")]),
    { data: `${gpus.length} × ${kind.name}` },
    ...aboutKind(
      kind,
      isPart
        ? [
            say(
              `整机 ${all.length} 块，用 ${gpuNames(gpus)}`,
              `${gpuNames(gpus)} of ${all.length} in the machine`,
            ),
          ]
        : [],
    ),
  ]);
}

/** The GPUs that the engines run on; all, where that is not known of one of them. */
function usedOf(
  { environment, points }: RecordMaterial,
  all: readonly number[],
): readonly number[] {
  const variants = distinct(points.map(({ variant }) => variant));
  const own = variants.map((variant) => environment.gpus[variant]?.indexes);
  if (own.includes(undefined)) return all;
  const used = new Set(own.flatMap((indexes) => indexes ?? []));
  return all.filter((gpu) => used.has(gpu));
}

function indexesOf(fields: Fields): readonly number[] {
  const found = fields.flatMap(({ id }) => {
    const index = /^gpu\.(\d+)\./.exec(id)?.[1];
    return index === undefined ? [] : [Number(index)];
  });
  return [...new Set(found)].sort((a, b) => a - b);
}

function kindOf(fields: Fields, gpu: number): GpuKind {
  const text = (fact: string): string | undefined => textOf(fields, `gpu.${gpu}.${fact}`);
  const number = (fact: string): number | undefined => numberOf(fields, `gpu.${gpu}.${fact}`);
  return {
    name: text("name") ?? gpuNames([gpu]),
    isVgpu: text("vgpu.type") !== undefined,
    slices: number("vgpu.slices"),
    mig: text("mig.current") === "Enabled" ? counted(text("mig.profiles")) : undefined,
    memoryMib: number("memory_mib"),
    driver: text("driver"),
  };
}

/** "3g.40gb, 3g.40gb" -> "3g.40gb × 2". */
function counted(profiles: string | undefined): string {
  if (profiles === undefined || profiles === "none") return "× 0";
  const list = profiles.split(", ");
  return distinct(list)
    .map((profile) => {
      const count = list.filter((one) => one === profile).length;
      return count === 1 ? profile : `${profile} × ${count}`;
    })
    .join(", ");
}

function aboutKind(
  { isVgpu, slices, mig, memoryMib, driver }: GpuKind,
  which: readonly TextPart[],
): Phrase {
  const parts: TextPart[] = [];
  const push = (part: TextPart): void => {
    parts.push(parts.length === 0 ? say("（", " (") : say("，", ", "), part);
  };
  const add = (zh: string, en: string): void => {
    push(say(zh, en));
  };
  if (isVgpu) add("vGPU", "vGPU");
  if (slices !== undefined) add(`${slices} 个 MIG 切片`, `${slices} MIG slices`);
  if (mig !== undefined) add(`MIG ${mig}`, `MIG ${mig}`);
  if (memoryMib !== undefined) {
    const size = formatBytes(memoryMib * 1024 ** 2);
    add(`显存 ${size}`, `${size} of memory`);
  }
  if (driver !== undefined) add(`驱动 ${driver}`, `driver ${driver}`);
  for (const part of which) push(part);
  return parts.length === 0 ? [] : [...parts, say("）", ")")];
}
