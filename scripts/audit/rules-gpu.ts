// Rules about the GPUs: that they are the engine's alone, healthy, and at full speed. A machine without
// a GPU satisfies them all, and so does an engine that computes on none.
import type { Severity } from "./finding.ts";
import { checkExclusive } from "./gpu-exclusive.ts";
import { checkErrors, checkMemoryEcc, checkPendingModes, checkPowerLimit } from "./gpu-health.ts";
import { checkBoards, checkSlices } from "./gpu-identity.ts";
import { checkLinks } from "./gpu-links.ts";
import { checkClocks, checkSlowdowns } from "./gpu-load.ts";
import { gpuPresence } from "./gpu-presence.ts";
import { gpusInUse, usesGpus } from "./gpu-use.ts";
import { type AuditInput, type Outcome, orPass, pass, plannedVariants, type Rule } from "./rule.ts";

export const gpuRules: readonly Rule[] = [
  gpuRule(
    "E1",
    "block",
    {
      name: { zh: "GPU 独占", en: "GPU to itself" },
      text: {
        zh: "启动前与窗口内 GPU 上没有别的计算进程与显存占用",
        en: "no other compute process or memory in use on the GPU before the start or in the window",
      },
      needs: { zh: "GPU 进程与显存", en: "GPU processes and memory" },
    },
    checkExclusive,
  ),
  gpuRule(
    "E7",
    "block",
    {
      name: { zh: "GPU 硬件错误", en: "GPU hardware errors" },
      text: {
        zh: "没有 Xid，没有新增的不可纠正 ECC 错误，没有待处理的行重映射与页退役",
        en: "no Xid, no new uncorrectable ECC errors, no pending row remapping or page retirement",
      },
      needs: { zh: "ECC 计数，Xid 日志", en: "ECC counters, Xid log" },
    },
    checkErrors,
  ),
  gpuRule(
    "E8",
    "block",
    {
      name: { zh: "MIG 与 ECC 模式", en: "MIG and ECC mode" },
      text: {
        zh: "MIG 与 ECC 的待生效模式与当前模式相同",
        en: "pending MIG and ECC modes equal the current ones",
      },
      needs: { zh: "当前与待生效的模式", en: "current and pending modes" },
    },
    checkPendingModes,
  ),
  gpuRule(
    "E10",
    "fail",
    {
      name: { zh: "GPU 降频", en: "GPU throttling" },
      text: {
        zh: "窗口内没有因温度或功耗制动而降频",
        en: "no thermal or power-brake slowdown in the window",
      },
      needs: { zh: "GPU 遥测中的降频计数", en: "event reason counters of GPU telemetry" },
    },
    checkSlowdowns,
  ),
  gpuRule(
    "E11",
    "fail",
    {
      name: { zh: "vGPU 与 MIG 披露", en: "vGPU and MIG disclosed" },
      text: {
        zh: "标题写明 vGPU 或 MIG，切分规格已知",
        en: "the title names a vGPU or MIG slice as such, and its profile is known",
      },
      needs: { zh: "GPU 名称、vGPU 类型与 MIG 规格", en: "GPU name, vGPU type and MIG profiles" },
    },
    checkSlices,
  ),
  gpuRule(
    "E12",
    "fail",
    {
      name: { zh: "功耗上限", en: "Power limit" },
      text: {
        zh: "功耗上限不低于默认值，或已声明",
        en: "the power limit is not below the default, or is declared",
      },
      needs: { zh: "功耗上限", en: "power limits" },
    },
    checkPowerLimit,
  ),
  gpuRule(
    "E16",
    "fail",
    {
      name: { zh: "互连", en: "Interconnect" },
      text: {
        zh: "负载下 PCIe 代数与宽度达到最大，多卡时 P2P/NVLink 正常",
        en: "PCIe generation and width are at maximum under load, P2P and NVLink are up with several GPUs",
      },
      needs: { zh: "PCIe 与拓扑", en: "PCIe and topology" },
    },
    checkLinks,
  ),
  gpuRule(
    "E17",
    "fail",
    {
      name: { zh: "显存 ECC", en: "Memory ECC" },
      text: { zh: "数据中心显存的 ECC 已开启", en: "ECC is on for datacenter memory" },
      needs: { zh: "ECC 模式", en: "ECC mode" },
    },
    checkMemoryEcc,
  ),
  gpuRule(
    "E22",
    "warn",
    {
      name: { zh: "GPU 频率", en: "GPU clocks" },
      text: {
        zh: "SM 与显存频率的 p50 不低于最大值的 90%，频率未锁定",
        en: "median SM and memory clocks reach 90 % of the maximum, and clocks are not locked",
      },
      needs: { zh: "频率遥测", en: "clock telemetry" },
    },
    checkClocks,
  ),
  gpuRule(
    "E27",
    "warn",
    {
      name: { zh: "GPU 型号", en: "GPU SKU" },
      text: {
        zh: "同名 GPU 的具体型号已区分",
        en: "GPUs of one name are told apart by SKU",
      },
      needs: { zh: "GPU 名称与 PCI 设备号", en: "GPU name and PCI device id" },
    },
    checkBoards,
  ),
];

/** A rule that has nothing to look at where no GPU is, or none is used: that satisfies it. */
function gpuRule(
  id: string,
  severity: Severity,
  parts: Pick<Rule, "name" | "text" | "needs">,
  check: (input: AuditInput, gpus: readonly number[]) => readonly Outcome[],
): Rule {
  return {
    id,
    severity,
    ...parts,
    check: (input) => {
      const presence = gpuPresence(input);
      if (presence.kind === "none") return [pass("environment")];
      if (presence.kind === "unknown") {
        return [{ kind: "not_checked", where: "environment", why: presence.why }];
      }
      const variants = plannedVariants(input);
      if (variants.length > 0 && !variants.some((variant) => usesGpus(input, variant)))
        return [pass("environment")];
      return orPass(check(input, gpusInUse(input)), "environment");
    },
  };
}
