// Rules about the host: that its description has no blanks, and that it was idle, settled and not shared.
import type { LocalText } from "../experiment/experiment.ts";
import { formatBytes, formatDuration, formatNumber } from "../units.ts";
import { isElsewhere } from "./gpu-presence.ts";
import {
  type AuditInput,
  concernsPlan,
  fieldOf,
  found,
  notChecked,
  numberField,
  type Outcome,
  orPass,
  pass,
  type Rule,
  textField,
} from "./rule.ts";
import { thresholds } from "./thresholds.ts";

export const hostRules: readonly Rule[] = [
  {
    id: "E20",
    severity: "fail",
    name: { zh: "空白与时间", en: "Blanks and times" },
    text: {
      zh: "没有空白与占位文字，时间带时区偏移，墙上时钟与单调时钟相差不超过 50 ms",
      en: "no blanks or placeholders, every time has an offset, wall and monotonic clocks within 50 ms",
    },
    needs: { zh: "环境快照，试次时钟", en: "snapshots, clocks of the trials" },
    check: checkBlanksAndTimes,
  },
  {
    id: "E24",
    severity: "warn",
    name: { zh: "NUMA 与调频", en: "NUMA and governor" },
    text: {
      zh: "引擎在 GPU 所在的 NUMA 节点上，CPU 调频策略为 performance",
      en: "the server runs on the GPU's NUMA node, and the CPU governor is performance",
    },
    needs: { zh: "调频策略，NUMA", en: "governor, NUMA" },
    check: checkGovernor,
  },
  {
    id: "E25",
    severity: "warn",
    name: { zh: "客户端与引擎同机", en: "Client beside the engine" },
    text: {
      zh: "客户端不与引擎争用 CPU",
      en: "the client does not compete with the engine for CPU",
    },
    needs: { zh: "客户端与引擎的位置", en: "where client and engine run" },
    check: checkSeparation,
  },
  {
    id: "E28",
    severity: "info",
    name: { zh: "主机状态", en: "State of the host" },
    text: {
      zh: "运行前主机空闲、已稳定，未用交换分区与强制大页",
      en: "before the run the host is idle and settled, without swap and without forced huge pages",
    },
    needs: { zh: "负载，运行时间，交换分区，THP", en: "load, uptime, swap, THP" },
    check: checkHostState,
  },
];

/** Text that stands where a value should: templates, blanks, words that say nothing. */
const placeholder =
  /^(?:|todo|tbd|fixme|x{2,}|n\/?a|\[n\/a\]|default|null|undefined|nan|to be filled.*|待填.*|待补.*|待定|\{\{.*\}\}|\$\{.*\}|<[^<>]*>|[-?_.…]+)$/i;

function checkBlanksAndTimes(input: AuditInput): readonly Outcome[] {
  const snapshots = [input.before, input.after].filter((snapshot) => snapshot !== undefined);
  const { stated, title } = input.experiment;
  const told = [
    ["title.zh", title.zh],
    ["title.en", title.en],
    ...(["site", "node", "operator", "ticket"] as const).map(
      (key) => [`stated.${key}`, stated[key]] as const,
    ),
    ...Object.entries(stated.other).map(([key, text]) => [`stated.${key}`, text] as const),
  ] as const;
  const fields = snapshots
    .flatMap((snapshot) => snapshot.fields)
    .filter(({ id }) => concernsPlan(input, id));
  const blanks = [
    ...told.flatMap(([id, text]) =>
      text !== undefined && placeholder.test(text.trim()) ? [id] : [],
    ),
    ...fields.flatMap(({ id, value }) =>
      value.state === "value" && !isQuoted(id) && placeholder.test(String(value.value).trim())
        ? [id]
        : [],
    ),
  ];
  const times = [...snapshots.map(({ takenAt }) => takenAt), ...fields.map(({ at }) => at)];
  const bare = times.filter((time) => !/(?:Z|[+-]\d\d:?\d\d)$/.test(time));
  const outcomes: Outcome[] = [];
  if (blanks.length > 0) outcomes.push(blankFinding([...new Set(blanks)]));
  if (bare.length > 0) outcomes.push(bareTimeFinding(bare));
  if (outcomes.length === 0) {
    outcomes.push(
      snapshots.length === 0
        ? notChecked("environment", "没有环境快照", "there is no snapshot of the environment")
        : pass("environment"),
    );
  }
  return [...outcomes, ...checkClocks(input)];
}

/** What an engine says of its settings, and a driver of its modes, is quoted as it stands: "Default" is one. */
function isQuoted(id: string): boolean {
  return /^engine\..*\.config\./.test(id) || /^gpu\.\d+\.compute_mode$/.test(id);
}

function blankFinding(ids: readonly string[]): Outcome {
  const list = ids.slice(0, 5).join(", ");
  return found({
    severity: "fail",
    where: "environment",
    seen: {
      zh: `${ids.length} 个字段为空白或占位文字：${list}`,
      en: `${ids.length} blank or placeholder ${ids.length === 1 ? "field" : "fields"}: ${list}`,
    },
    expected: { zh: "值，或写明缺失的原因", en: "a value, or the reason for its absence" },
    mend: {
      zh: "填写，或从实验文件中删去",
      en: "fill it in, or take it out of the experiment file",
    },
    evidence: { fields: ids.join(" "), count: ids.length },
  });
}

function bareTimeFinding(times: readonly string[]): Outcome {
  return found({
    severity: "fail",
    where: "environment",
    seen: {
      zh: `${times.length} 个时间没有时区偏移，如 ${times[0] ?? ""}`,
      en: `${times.length} ${times.length === 1 ? "time has" : "times have"} no offset, such as ${times[0] ?? ""}`,
    },
    expected: { zh: "ISO 8601，带偏移", en: "ISO 8601 with an offset" },
    mend: { zh: "用 benchbook env 重新采集", en: "capture again with benchbook env" },
    evidence: { times: times.length },
  });
}

function checkClocks(input: AuditInput): readonly Outcome[] {
  const drifts = input.attempts.flatMap(({ point, round, summary }) =>
    summary === undefined ? [] : [{ point, round, driftMs: summary.clockDriftMs }],
  );
  if (drifts.length === 0) {
    return [notChecked("run", "没有试次的时钟读数", "no trial has clock readings")];
  }
  const drifted = drifts.filter(({ driftMs }) => Math.abs(driftMs) > thresholds.clockDriftMs.value);
  return orPass(
    drifted.map(({ point, round, driftMs }) =>
      found({
        severity: "fail",
        where: point,
        seen: {
          zh: `第 ${round} 轮墙上时钟与单调时钟相差 ${formatNumber(driftMs, 1)} ms`,
          en: `in round ${round} wall and monotonic clocks drifted ${formatNumber(driftMs, 1)} ms apart`,
        },
        expected: { zh: "不超过 50 ms", en: "up to 50 ms" },
        mend: {
          zh: "运行期间不要校时跳变：用 chrony 缓慢校正",
          en: "let chrony slew the clock; do not step it during a run",
        },
        evidence: { round, driftMs },
      }),
    ),
  );
}

function checkGovernor(input: AuditInput): readonly Outcome[] {
  if (isElsewhere(input)) {
    return [
      notChecked(
        "environment",
        "引擎在另一台主机上，那里的设置没有采集",
        "the engine is on another host, whose settings were not read",
      ),
    ];
  }
  const governor = textField(input, "host.cpu.governor");
  if (governor === undefined) {
    return fieldOf(input, "host.cpu.governor")?.state === "not_applicable"
      ? [pass("environment")]
      : [notChecked("environment", "CPU 调频策略未采集", "the CPU governor was not collected")];
  }
  if (governor === "performance") return [pass("environment")];
  return [
    found({
      severity: "warn",
      where: "environment",
      seen: { zh: `CPU 调频策略为 ${governor}`, en: `the CPU governor is ${governor}` },
      expected: { zh: "performance", en: "performance" },
      mend: {
        zh: "cpupower frequency-set -g performance",
        en: "cpupower frequency-set -g performance",
      },
      evidence: { governor },
    }),
  ];
}

function checkSeparation(input: AuditInput): readonly Outcome[] {
  const relation = textField(input, "client.engine_relation");
  if (relation === undefined) {
    return [
      notChecked(
        "environment",
        "客户端与引擎的位置未采集",
        "where client and engine run was not collected",
      ),
    ];
  }
  if (relation === "other host") return [pass("environment")];
  const cpus = numberField(input, "host.cpu.logical");
  return [
    found({
      severity: "warn",
      where: "environment",
      seen: {
        zh: `客户端与引擎共用一台主机${cpus === undefined ? "" : `的 ${cpus} 个逻辑 CPU`}`,
        en: `client and engine share ${cpus === undefined ? "one host" : `the ${cpus} logical CPUs of one host`}`,
      },
      expected: { zh: "互不共用 CPU", en: "CPUs of their own" },
      mend: {
        zh: "从另一台主机测，或把两者绑定到不同的核，并豁免 E25、写明理由",
        en: "measure from another host, or pin both to different cores and waive E25 with that reason",
      },
      evidence: { relation, ...(cpus === undefined ? {} : { logicalCpus: cpus }) },
    }),
  ];
}

function checkHostState(input: AuditInput): readonly Outcome[] {
  const load = numberField(input, "host.load_1m");
  const cpus = numberField(input, "host.cpu.logical");
  const uptimeS = numberField(input, "host.uptime_s");
  const swapBytes = numberField(input, "host.swap_bytes");
  const thp = textField(input, "host.thp");
  if (load === undefined && uptimeS === undefined && swapBytes === undefined && thp === undefined) {
    return [notChecked("environment", "主机状态未采集", "the state of the host was not collected")];
  }
  const clauses: LocalText[] = [];
  if (load !== undefined && cpus !== undefined && load > thresholds.loadPerCpu.value * cpus) {
    clauses.push({
      zh: `运行前 1 分钟负载 ${formatNumber(load, 2)}（${cpus} 个逻辑 CPU）`,
      en: `load of ${formatNumber(load, 2)} over the minute before the run (${cpus} logical CPUs)`,
    });
  }
  if (uptimeS !== undefined && uptimeS < thresholds.uptimeS.value) {
    const uptime = formatDuration(uptimeS * 1000);
    clauses.push({ zh: `开机时长仅 ${uptime}`, en: `up for ${uptime} only` });
  }
  if (swapBytes !== undefined && swapBytes > 0) {
    clauses.push({
      zh: `交换分区 ${formatBytes(swapBytes)}`,
      en: `swap of ${formatBytes(swapBytes)}`,
    });
  }
  if (thp === "always") clauses.push({ zh: "THP 为 always", en: "THP is always" });
  if (clauses.length === 0) return [pass("environment")];
  return [
    found({
      severity: "info",
      where: "environment",
      seen: {
        zh: clauses.map(({ zh }) => zh).join("；"),
        en: clauses.map(({ en }) => en).join("; "),
      },
      expected: {
        zh: "空闲、已稳定的主机",
        en: "an idle, settled host",
      },
      mend: {
        zh: "比较不同主机的结果时留意",
        en: "keep it in mind when results of different hosts are compared",
      },
      evidence: {
        ...(load === undefined ? {} : { load1m: load }),
        ...(uptimeS === undefined ? {} : { uptimeS }),
        ...(swapBytes === undefined ? {} : { swapBytes }),
        ...(thp === undefined ? {} : { thp }),
      },
    }),
  ];
}
