// E7, E8, E12, E17: what the driver says of a GPU's health, its modes and its limits.
import type { LocalText } from "../experiment/experiment.ts";
import { formatNumber } from "../units.ts";
import { gpuList, numbersOver, textIn } from "./gpu-use.ts";
import { type AuditInput, found, isKnown, notChecked, type Outcome } from "./rule.ts";
import { thresholds } from "./thresholds.ts";

/** E7: errors that came during the run, and repairs that wait for a reset. */
export function checkErrors(input: AuditInput, gpus: readonly number[]): readonly Outcome[] {
  const clauses: LocalText[] = [];
  const evidence: Record<string, string | number> = {};
  const xids = growthOver(input, "gpu.xid.count");
  if (xids > 0) {
    const last = textIn(input.after, "gpu.xid.last");
    clauses.push({
      zh: `运行期间新增 ${xids} 条 Xid${last === undefined ? "" : `，最近一条：${last}`}`,
      en: `${xids} new Xid ${xids === 1 ? "line" : "lines"} during the run${last === undefined ? "" : `, the last one: ${last}`}`,
    });
    evidence["xids"] = xids;
  }
  for (const gpu of gpus) {
    const ecc = growthOver(input, `gpu.${gpu}.ecc.uncorrected_volatile`);
    if (ecc > 0) {
      clauses.push({
        zh: `GPU ${gpu} 新增 ${ecc} 个不可纠正的 ECC 错误`,
        en: `${ecc} new uncorrectable ECC ${ecc === 1 ? "error" : "errors"} on GPU ${gpu}`,
      });
      evidence[`eccGpu${gpu}`] = ecc;
    }
    for (const { id, text } of repairs) {
      const said = lastText(input, `gpu.${gpu}.${id}`);
      if (said === undefined || /^(?:no|none|0)$/i.test(said)) continue;
      clauses.push({
        zh: `GPU ${gpu} ${text.zh}：${said}`,
        en: `${text.en} on GPU ${gpu}: ${said}`,
      });
      evidence[`${id}Gpu${gpu}`] = said;
    }
  }
  const outcomes: Outcome[] = [];
  if (clauses.length > 0) {
    outcomes.push(
      found({
        severity: "block",
        where: "environment",
        seen: {
          zh: clauses.map(({ zh }) => zh).join("；"),
          en: clauses.map(({ en }) => en).join("; "),
        },
        expected: { zh: "没有错误与待处理的修复", en: "no errors and no repair pending" },
        mend: {
          zh: "复位或更换 GPU 后重测；Xid 的含义见驱动文档",
          en: "reset or replace the GPU, then measure again; the driver's manual explains each Xid",
        },
        evidence,
      }),
    );
  }
  const missing = [
    ...(isKnown(input, "gpu.xid.count") ? [] : [{ zh: "Xid 日志", en: "the Xid log" }]),
    ...(gpus.every((gpu) => isKnown(input, `gpu.${gpu}.ecc.uncorrected_volatile`))
      ? []
      : [{ zh: "ECC 计数", en: "ECC counters" }]),
  ];
  return missing.length === 0 ? outcomes : [...outcomes, notCollected(missing)];
}

/** Repairs that wait for a reset, and what the driver says when there is one. */
const repairs: readonly { readonly id: string; readonly text: LocalText }[] = [
  { id: "retired.pending", text: { zh: "有页退役待生效", en: "page retirement pending" } },
  { id: "remapped.pending", text: { zh: "有行重映射待生效", en: "row remapping pending" } },
  { id: "remapped.failure", text: { zh: "行重映射失败", en: "row remapping failed" } },
  { id: "ecc.repair_pending", text: { zh: "有 ECC 修复待生效", en: "ECC repair pending" } },
  { id: "recovery_action", text: { zh: "需要恢复操作", en: "recovery action needed" } },
];

/** E8: modes that a reset would change. */
export function checkPendingModes(input: AuditInput, gpus: readonly number[]): readonly Outcome[] {
  const pendingOf = (mode: string): readonly number[] =>
    gpus.filter((gpu) =>
      input.snapshots.some(({ snapshot }) => {
        const current = textIn(snapshot, `gpu.${gpu}.${mode}.current`);
        const pending = textIn(snapshot, `gpu.${gpu}.${mode}.pending`);
        return current !== undefined && pending !== undefined && current !== pending;
      }),
    );
  const mig = pendingOf("mig");
  const ecc = pendingOf("ecc");
  const modes = [...(mig.length > 0 ? ["MIG"] : []), ...(ecc.length > 0 ? ["ECC"] : [])];
  if (modes.length > 0) {
    const pending = gpus.filter((gpu) => mig.includes(gpu) || ecc.includes(gpu));
    return [
      found({
        severity: "block",
        where: "environment",
        seen: {
          zh: `${gpuList(pending)} 的 ${modes.join("、")} 模式待生效`,
          en: `${modes.join(" and ")} mode pending on ${gpuList(pending)}`,
        },
        expected: { zh: "待生效模式等于当前模式", en: "pending equals current" },
        mend: {
          zh: "复位 GPU 使模式生效后重测",
          en: "reset the GPU so that the mode takes effect",
        },
        evidence: { gpus: pending.join(" "), modes: modes.join(" ") },
      }),
    ];
  }
  const isRead = (gpu: number, mode: string): boolean =>
    isKnown(input, `gpu.${gpu}.${mode}.pending`);
  const missing = [
    ...(gpus.every((gpu) => isRead(gpu, "mig")) ? [] : [{ zh: "MIG 模式", en: "MIG mode" }]),
    ...(gpus.every((gpu) => isRead(gpu, "ecc")) ? [] : [{ zh: "ECC 模式", en: "ECC mode" }]),
  ];
  return missing.length === 0 ? [] : [notCollected(missing)];
}

/** E12: the lowest limit that held at any time of the run. */
export function checkPowerLimit(input: AuditInput, gpus: readonly number[]): readonly Outcome[] {
  const lowered = gpus.flatMap((gpu) => {
    const defaultW = numbersOver(input.snapshots, `gpu.${gpu}.power.default_limit_w`)[0];
    const limits = ["power.limit_w", "power.enforced_limit_w"].flatMap((id) =>
      numbersOver(input.snapshots, `gpu.${gpu}.${id}`),
    );
    if (defaultW === undefined || limits.length === 0) return [];
    const limitW = Math.min(...limits);
    return limitW < defaultW - thresholds.gpuPowerW.value ? [{ gpu, limitW, defaultW }] : [];
  });
  const [first] = lowered;
  if (first !== undefined && !declaresPower(input)) {
    const limit = formatNumber(first.limitW, 0);
    const usual = formatNumber(first.defaultW, 0);
    const list = gpuList(lowered.map(({ gpu }) => gpu));
    return [
      found({
        severity: "fail",
        where: "environment",
        seen: {
          zh: `${list} 的功耗上限为 ${limit} W，默认 ${usual} W`,
          en: `power limit of ${limit} W on ${list}, ${usual} W by default`,
        },
        expected: { zh: `不低于 ${usual} W，或已声明`, en: `at least ${usual} W, or declared` },
        mend: {
          zh: `nvidia-smi -pl ${formatNumber(first.defaultW, 0)}；有意为之的，写进 stated.other`,
          en: `nvidia-smi -pl ${formatNumber(first.defaultW, 0)}; if it is meant to be so, state it in stated.other`,
        },
        evidence: {
          gpus: lowered.map(({ gpu }) => gpu).join(" "),
          limitW: first.limitW,
          defaultW: first.defaultW,
        },
      }),
    ];
  }
  const unread = gpus.filter(
    (gpu) =>
      !isKnown(input, `gpu.${gpu}.power.limit_w`) ||
      !isKnown(input, `gpu.${gpu}.power.default_limit_w`),
  );
  return unread.length === 0 ? [] : [notCollected([{ zh: "功耗上限", en: "power limits" }])];
}

function declaresPower({ experiment: { stated } }: AuditInput): boolean {
  return Object.entries(stated.other).some(([label, text]) =>
    /power|功耗|功率/i.test(`${label} ${text}`),
  );
}

/** Cards that are sold with ECC memory for servers: there it is on unless somebody turned it off. */
const datacenter =
  /\b(?:[ABVP]100|A800|A[23]0|A10G?|A16|A2|A40|[HB][128]00|H20|G[HB][23]00|B300|L4|L40[SG]?|L20|L2|T4G?|P4|P40|Tesla|MI\d{2,3}X?)\b|RTX PRO 6000 Blackwell (?:Server|DC)/i;

/** E17: ECC of memory that has it. */
export function checkMemoryEcc(input: AuditInput, gpus: readonly number[]): readonly Outcome[] {
  const name = (gpu: number): string | undefined => nameOf(input, gpu);
  const off = gpus.filter(
    (gpu) =>
      datacenter.test(name(gpu) ?? "") &&
      input.snapshots.some(
        ({ snapshot }) => textIn(snapshot, `gpu.${gpu}.ecc.current`) === "Disabled",
      ),
  );
  if (off.length > 0) {
    const names = [...new Set(off.map((gpu) => name(gpu) ?? ""))].join(", ");
    return [
      found({
        severity: "fail",
        where: "environment",
        seen: {
          zh: `${gpuList(off)}（${names}）的显存 ECC 已关闭`,
          en: `memory ECC is off on ${gpuList(off)} (${names})`,
        },
        expected: { zh: "已开启", en: "on" },
        mend: {
          zh: "nvidia-smi -e 1 并复位 GPU，然后重测",
          en: "nvidia-smi -e 1 and a reset of the GPU, then measure again",
        },
        evidence: { gpus: off.join(" "), names },
      }),
    ];
  }
  const unread = gpus.filter((gpu) => {
    const gpuName = name(gpu);
    const isServer = gpuName === undefined || datacenter.test(gpuName);
    return isServer && !isKnown(input, `gpu.${gpu}.ecc.current`);
  });
  return unread.length === 0 ? [] : [notCollected([{ zh: "ECC 模式", en: "ECC mode" }])];
}

/** Name of a GPU, a vGPU's type before it where there is one. */
function nameOf(input: AuditInput, gpu: number): string | undefined {
  return (
    textIn(input.before ?? input.after, `gpu.${gpu}.vgpu.type`) ??
    textIn(input.before ?? input.after, `gpu.${gpu}.name`)
  );
}

/** How much a counter grew over the run, stretch by stretch; one that was set back counts from there. */
function growthOver({ snapshots }: AuditInput, id: string): number {
  const values = numbersOver(snapshots, id);
  return values.reduce((sum, value, at) => sum + Math.max(0, value - (values[at - 1] ?? value)), 0);
}

/** The last text that a snapshot holds. */
function lastText({ snapshots }: AuditInput, id: string): string | undefined {
  return snapshots.flatMap(({ snapshot }) => textIn(snapshot, id) ?? []).at(-1);
}

function notCollected(missing: readonly LocalText[]): Outcome {
  return notChecked(
    "environment",
    `未采集：${missing.map(({ zh }) => zh).join("、")}`,
    `not collected: ${missing.map(({ en }) => en).join(", ")}`,
  );
}
