// Rules about the GPUs: that they are the engine's alone, healthy, and at full speed. A machine without
// a GPU satisfies them all.
import type { Severity } from "./finding.ts";
import { gpuPresence } from "./gpu-presence.ts";
import {
  type AuditInput,
  found,
  isKnown,
  notChecked,
  type Outcome,
  orPass,
  pass,
  type Rule,
  textField,
} from "./rule.ts";

export const gpuRules: readonly Rule[] = [
  gpuRule("E1", "block", {
    name: { zh: "GPU 独占", en: "GPU to itself" },
    text: {
      zh: "启动前与窗口内 GPU 上没有别的计算进程与显存占用",
      en: "no other compute process or memory in use on the GPU before the start or in the window",
    },
    needs: { zh: "GPU 进程与显存", en: "GPU processes and memory" },
  }),
  gpuRule("E7", "block", {
    name: { zh: "GPU 硬件错误", en: "GPU hardware errors" },
    text: {
      zh: "没有 Xid，没有新增的不可纠正 ECC 错误，没有待处理的行重映射与页退役",
      en: "no Xid, no new uncorrectable ECC errors, no pending row remapping or page retirement",
    },
    needs: { zh: "ECC 计数，Xid 日志", en: "ECC counters, Xid log" },
  }),
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
  gpuRule("E10", "fail", {
    name: { zh: "GPU 降频", en: "GPU throttling" },
    text: {
      zh: "窗口内没有因温度或功耗制动而降频",
      en: "no thermal or power-brake slowdown in the window",
    },
    needs: { zh: "降频计数", en: "event reason counters" },
  }),
  gpuRule(
    "E11",
    "fail",
    {
      name: { zh: "vGPU 与 MIG 披露", en: "vGPU and MIG disclosed" },
      text: {
        zh: "标题写明 vGPU 或 MIG",
        en: "the title names a vGPU or MIG slice as such",
      },
      needs: { zh: "GPU 名称与 MIG 模式", en: "GPU name and MIG mode" },
    },
    checkSlicesDisclosed,
  ),
  gpuRule("E12", "fail", {
    name: { zh: "功耗上限", en: "Power limit" },
    text: {
      zh: "功耗上限不低于默认值，或已声明",
      en: "the power limit is not below the default, or is declared",
    },
    needs: { zh: "功耗上限", en: "power limits" },
  }),
  gpuRule("E16", "fail", {
    name: { zh: "互连", en: "Interconnect" },
    text: {
      zh: "负载下 PCIe 代数与宽度达到最大，多卡时 P2P/NVLink 正常",
      en: "PCIe generation and width are at maximum under load, P2P and NVLink are up with several GPUs",
    },
    needs: { zh: "PCIe 与拓扑", en: "PCIe and topology" },
  }),
  gpuRule("E17", "fail", {
    name: { zh: "显存 ECC", en: "Memory ECC" },
    text: { zh: "数据中心显存的 ECC 已开启", en: "ECC is on for datacenter memory" },
    needs: { zh: "ECC 模式", en: "ECC mode" },
  }),
  gpuRule("E22", "warn", {
    name: { zh: "GPU 频率", en: "GPU clocks" },
    text: {
      zh: "SM 与显存频率的 p50 不低于最大值的 90%，频率未锁定",
      en: "median SM and memory clocks reach 90 % of the maximum, and clocks are not locked",
    },
    needs: { zh: "频率遥测", en: "clock telemetry" },
  }),
  gpuRule("E27", "warn", {
    name: { zh: "GPU 型号", en: "GPU SKU" },
    text: {
      zh: "同名 GPU 的具体型号已区分",
      en: "GPUs of one name are told apart by SKU",
    },
    needs: { zh: "GPU 的显存带宽与板卡型号", en: "memory bandwidth and board part number" },
  }),
];

/** A rule that has nothing to look at on a machine without a GPU, which satisfies it. */
function gpuRule(
  id: string,
  severity: Severity,
  parts: Pick<Rule, "name" | "text" | "needs">,
  check?: (input: AuditInput, count: number) => readonly Outcome[],
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
      return check === undefined
        ? [
            notChecked(
              "environment",
              `未采集：${parts.needs.zh}`,
              `not collected: ${parts.needs.en}`,
            ),
          ]
        : orPass(check(input, presence.count), "environment");
    },
  };
}

function checkPendingModes(input: AuditInput, count: number): readonly Outcome[] {
  const indexes = Array.from({ length: count }, (_, i) => i);
  const pending = indexes.filter((i) => {
    const current = textField(input, `gpu.${i}.mig.current`);
    const next = textField(input, `gpu.${i}.mig.pending`);
    return current !== undefined && next !== undefined && current !== next;
  });
  if (pending.length > 0) {
    return [
      found({
        severity: "block",
        where: "environment",
        seen: {
          zh: `GPU ${pending.join(", ")} 的 MIG 模式待生效`,
          en: `a MIG mode is pending on GPU ${pending.join(", ")}`,
        },
        expected: { zh: "待生效模式等于当前模式", en: "pending equals current" },
        mend: {
          zh: "复位 GPU 使模式生效后重测",
          en: "reset the GPU so that the mode takes effect",
        },
        evidence: { gpus: pending.join(" ") },
      }),
    ];
  }
  const unread = indexes.some((i) => !isKnown(input, `gpu.${i}.mig.pending`));
  return unread
    ? [notChecked("environment", "待生效的模式未采集", "pending modes were not collected")]
    : [];
}

function checkSlicesDisclosed(input: AuditInput, count: number): readonly Outcome[] {
  const { zh, en } = input.experiment.title;
  const disclosed = /\bv?gpu\b|\bmig\b/i.test(`${zh} ${en}`.replaceAll(/[^\x20-\x7e]/g, " "));
  const indexes = Array.from({ length: count }, (_, i) => i);
  const slices = indexes.filter((i) => {
    const name = textField(input, `gpu.${i}.name`) ?? "";
    const mig = textField(input, `gpu.${i}.mig.current`) ?? "";
    // Names like DC-4-96Q, GRID T4-16Q, A100-3-20C are virtual; MIG says so itself.
    return /enabled/i.test(mig) || /\bMIG\b|GRID|-\d+[QCBA]\b/.test(name);
  });
  if (slices.length === 0 || disclosed) return [];
  const names = slices.map((i) => textField(input, `gpu.${i}.name`) ?? String(i)).join(", ");
  return [
    found({
      severity: "fail",
      where: "environment",
      seen: {
        zh: `${names} 是 GPU 的切片，标题没有写明`,
        en: `${names} is a slice of a GPU, and the title does not say so`,
      },
      expected: { zh: "标题写明 vGPU 或 MIG", en: "a title that names vGPU or MIG" },
      mend: { zh: "把切分规格写进 title", en: "write the profile into title" },
      evidence: { gpus: names },
    }),
  ];
}
