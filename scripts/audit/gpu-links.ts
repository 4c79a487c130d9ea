// E16: the links of the GPUs: PCIe as it was under load, and what joins GPUs that share a model.
import type { LocalText } from "../experiment/experiment.ts";
import { noReadings } from "./gpu-load.ts";
import { gpuList, numberIn, readingsOf, textIn } from "./gpu-use.ts";
import {
  type AuditInput,
  eachPoint,
  found,
  isKnown,
  type MeasuredPoint,
  notChecked,
  type Outcome,
  plannedVariants,
  readyStarts,
} from "./rule.ts";

/** E16: the best link that a GPU had under load, and the links between GPUs that work together. */
export function checkLinks(input: AuditInput, gpus: readonly number[]): readonly Outcome[] {
  return [
    ...eachPoint(input, (point) => checkPcie(input, gpus, point)),
    ...checkPeers(input, gpus),
  ];
}

function checkPcie(
  input: AuditInput,
  gpus: readonly number[],
  { estimates: { point }, samples }: MeasuredPoint,
): readonly Outcome[] {
  // A virtual GPU has no link of its own to look at.
  const linked = gpus.filter(
    (gpu) => !(isKnown(input, maxId(gpu)) && maxOf(input, gpu).generation === undefined),
  );
  const links = linked.map((gpu) => {
    const inside = readingsOf(samples, gpu).flatMap((one) => one.inside);
    const best = (values: readonly number[]): number | undefined =>
      values.length === 0 ? undefined : Math.max(...values);
    return {
      gpu,
      generation: best(inside.flatMap(({ pcieGeneration }) => pcieGeneration ?? [])),
      width: best(inside.flatMap(({ pcieWidth }) => pcieWidth ?? [])),
      max: maxOf(input, gpu),
    };
  });
  const outcomes = links.flatMap(({ gpu, generation, width, max }): readonly Outcome[] => {
    if (generation === undefined || width === undefined) return [];
    const isSlow = max.generation !== undefined && generation < max.generation;
    const isNarrow = max.width !== undefined && width < max.width;
    if (!isSlow && !isNarrow) return [];
    return [
      found({
        severity: "fail",
        where: point,
        seen: {
          zh: `负载下 GPU ${gpu} 的 PCIe 最高为 ${generation}.0 x${width}`,
          en: `PCIe of GPU ${gpu} reached ${generation}.0 x${width} under load`,
        },
        expected: {
          zh: `${max.generation ?? generation}.0 x${max.width ?? width}`,
          en: `${max.generation ?? generation}.0 x${max.width ?? width}`,
        },
        mend: {
          zh: "检查插槽、转接线与 BIOS 的 PCIe 设置",
          en: "check the slot, the riser and the PCIe settings of the firmware",
        },
        evidence: { gpu, generation, width },
      }),
    ];
  });
  if (links.every(({ generation, width }) => generation !== undefined && width !== undefined)) {
    const unknown = links.filter(({ max }) => max.generation === undefined);
    return unknown.length === 0
      ? outcomes
      : [
          ...outcomes,
          notChecked(
            point,
            "PCIe 的最大代数未采集",
            "the maximum PCIe generation was not collected",
          ),
        ];
  }
  return [...outcomes, notChecked(point, noReadings.zh, noReadings.en)];
}

function maxId(gpu: number): string {
  return `gpu.${gpu}.pcie.max_generation`;
}

function maxOf(
  { before, after }: AuditInput,
  gpu: number,
): { readonly generation: number | undefined; readonly width: number | undefined } {
  const snapshot = before ?? after;
  return {
    generation: numberIn(snapshot, maxId(gpu)),
    width: numberIn(snapshot, `gpu.${gpu}.pcie.max_width`),
  };
}

/** With tensor parallelism every token crosses the links between the GPUs. */
function checkPeers(input: AuditInput, gpus: readonly number[]): readonly Outcome[] {
  if (gpus.length < 2 || !isSplit(input)) return [];
  const snapshot = input.before ?? input.after;
  const outcomes: Outcome[] = [];
  const fabric = gpus.flatMap((gpu) => {
    const state = textIn(snapshot, `gpu.${gpu}.fabric.state`);
    return state === undefined || /^completed$/i.test(state) ? [] : [{ gpu, state }];
  });
  const [unready] = fabric;
  if (unready !== undefined) {
    const list = gpuList(fabric.map(({ gpu }) => gpu));
    outcomes.push(
      linkFinding(
        {
          zh: `${list} 的 NVLink fabric 状态为 ${unready.state}`,
          en: `NVLink fabric of ${list} is ${unready.state}`,
        },
        { gpus: fabric.map(({ gpu }) => gpu).join(" "), state: unready.state },
      ),
    );
  }
  const topology = gpus.map((gpu) => ({ gpu, text: textIn(snapshot, `gpu.${gpu}.topology`) }));
  if (topology.some(({ text }) => text === undefined)) {
    return [
      ...outcomes,
      notChecked("environment", "GPU 拓扑未采集", "the topology of the GPUs was not collected"),
    ];
  }
  const bonded = topology.filter(({ text }) => /GPU\d+ NV\d+/.test(text ?? ""));
  const alone = topology.filter((one) => !bonded.includes(one));
  if (bonded.length > 0 && alone.length > 0) {
    const list = gpuList(alone.map(({ gpu }) => gpu));
    outcomes.push(
      linkFinding(
        {
          zh: `${list} 没有 NVLink 连接，同机其他 GPU 有`,
          en: `${list} has no NVLink, while other GPUs of the machine have`,
        },
        { gpus: alone.map(({ gpu }) => gpu).join(" ") },
      ),
    );
  }
  if (bonded.length > 0) return outcomes;
  return [
    ...outcomes,
    notChecked(
      "environment",
      "GPU 之间没有 NVLink，PCIe P2P 是否可用不在采集范围内",
      "the GPUs have no NVLink, and whether PCIe P2P works was not collected",
    ),
  ];
}

function isSplit(input: AuditInput): boolean {
  return plannedVariants(input).some(({ name, engine }) => {
    const asked = engine.kind === "external" ? 1 : Number(engine.args["tensor-parallel-size"] ?? 1);
    return (
      asked > 1 ||
      readyStarts(input, name).some(({ facts }) => (facts.settings.tensorParallel ?? 1) > 1)
    );
  });
}

function linkFinding(
  seen: LocalText,
  evidence: Readonly<Record<string, string | number>>,
): Outcome {
  return found({
    severity: "fail",
    where: "environment",
    seen,
    expected: {
      zh: "张量并行的 GPU 之间 NVLink 正常",
      en: "NVLink up between the GPUs that share a model",
    },
    mend: {
      zh: "查 nvidia-smi nvlink -s 与 fabric manager，修复后重测",
      en: "look at nvidia-smi nvlink -s and the fabric manager, mend it and measure again",
    },
    evidence,
  });
}
