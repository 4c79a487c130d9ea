// The sentences of a record that are made from its run: what was tested, under which load, by which
// rules, and what of it a reader must know before quoting a number.
import type { CachePolicy, LocalText } from "../experiment/experiment.ts";
import { combineFacts, intervalNote } from "../stats/interval-note.ts";
import { unseenShare } from "../stats/intervals.ts";
import { counted, formatNumber } from "../units.ts";
import type { Mark } from "./document.ts";
import { displayTime } from "./record-deviations.ts";
import { engineName, engineOf, hardwareOf, shortHardware } from "./record-hardware.ts";
import type { RecordMaterial } from "./record-material.ts";
import {
  type FindingData,
  type Phrase,
  type PointData,
  type TextPart,
  type TextRow,
} from "./record-parts.ts";
import { tokenRemarks, tokenSourceText } from "./record-tokens.ts";
import { distinct, inputText, lengthText, loadsText, say } from "./record-workload.ts";

/** One sentence of system and load for the cover. */
export function subtitleOf(material: RecordMaterial): Phrase {
  const { experiment, points } = material;
  const engines = distinct(material.run.starts.map(({ facts }) => engineName(facts))).filter(
    (name) => name !== "",
  );
  const machine = shortHardware(material);
  const workload = experiment.workloads[0];
  return [
    ...(machine === undefined
      ? []
      : [
          ...machine,
          say(" 上的 ", ", "),
          ...(engines.length === 0 ? [say("引擎", "engine")] : []),
        ]),
    { data: engines.join(" / ") },
    say("。", ". "),
    ...(workload === undefined || experiment.workloads.length > 1
      ? [
          say(
            `${experiment.workloads.length} 种负载，`,
            `${experiment.workloads.length} workloads, `,
          ),
        ]
      : [
          say("输入", "Input "),
          { text: inputText(workload) },
          say("，输出", ", output "),
          { text: lengthText(workload.output) },
          say("，", ", "),
          { text: shortCache[workload.cache.kind] },
          say("，", ", "),
        ]),
    { text: loadsText(points) },
    say(
      `，每点 ${roundsOf(material)} 轮。`,
      `; ${roundsOf(material)} ${roundsOf(material) === "1" ? "round" : "rounds"} a point.`,
    ),
  ];
}

const shortCache: Readonly<Record<CachePolicy["kind"], LocalText>> = {
  cold: { zh: "冷缓存", en: "cold prefix cache" },
  shared: { zh: "共享前缀", en: "shared prefix" },
  warm: { zh: "热缓存", en: "warm prefix cache" },
};

function roundsOf({ experiment, measured }: RecordMaterial): string {
  const rounds = distinct(
    measured.map(({ facts }) => String(facts.units.most)).filter((count) => count !== "0"),
  );
  if (experiment.measure.rounds.kind === "fixed") return String(experiment.measure.rounds.count);
  return rounds.join("/");
}

/** The note under every table of estimates. */
export function intervalNoteOf({ measured }: RecordMaterial): LocalText {
  const facts = combineFacts(measured.map((point) => point.facts));
  if (facts === undefined) return { zh: "没有任何测量。", en: "Nothing was measured." };
  return { zh: intervalNote(facts, "zh"), en: intervalNote(facts, "en") };
}

/** Requests, rounds and method behind the numbers of a figure. */
export function basisNoteOf({ measured }: RecordMaterial): LocalText {
  const facts = combineFacts(measured.map((point) => point.facts));
  if (facts === undefined) return { zh: "没有任何测量。", en: "Nothing was measured." };
  const { units, unit, requests } = facts;
  const range = ({ least, most }: typeof units, joint: string): string =>
    least === most
      ? formatNumber(most, 0)
      : `${formatNumber(least, 0)}${joint}${formatNumber(most, 0)}`;
  const zhUnit = { round: "轮", repeat: "次重复", start: "次启动" }[unit];
  const enUnit = { round: "round", repeat: "repeat", start: "engine start" }[unit];
  const method: LocalText =
    units.most > 1
      ? { zh: "，Student t", en: ", Student t" }
      : { zh: "，没有区间", en: ", no interval" };
  return {
    zh: `每点 ${range(requests, " 至 ")} 个请求，${range(units, " 至 ")} ${zhUnit}${method.zh}。`,
    en: `${range(requests, " to ")} request${requests.most === 1 ? "" : "s"} a point, ${range(units, " to ")} ${enUnit}${units.most === 1 ? "" : "s"}${method.en}.`,
  };
}

/** The table of section 0. */
export function identityOf(
  material: RecordMaterial,
  points: readonly PointData[],
): readonly TextRow[] {
  const { run, experiment, audit, recordId } = material;
  const { stated } = experiment;
  const by = [stated.operator, stated.site, stated.node, stated.ticket].filter(
    (text) => text !== undefined,
  );
  const rows: TextRow[] = [
    { key: "title", value: [{ data: experiment.title }] },
    {
      key: "verdict",
      value: [{ mark: audit.verdict }, say("：", ": "), ...verdictCount(points)],
    },
    { key: "hardware", value: hardwareOf(material) },
    { key: "engine", value: engineOf(material) },
    { key: "record_id", value: [{ code: `sha256:${recordId.digest}` }] },
    { key: "run", value: [{ code: run.id }] },
    {
      key: "tester",
      value:
        by.length === 0
          ? [say("未填写", "not stated")]
          : [{ data: by.join(" · ") }, say("（用户填写）", " (stated by the user)")],
    },
    {
      key: "period",
      value: [
        say(displayTime(run.createdAt), displayTime(run.createdAt)),
        say(" – ", " – "),
        run.endedAt === undefined
          ? say("未跑完", "not finished")
          : say(displayTime(run.endedAt), displayTime(run.endedAt)),
      ],
    },
    {
      key: "tool",
      value: [
        say(`benchbook ${run.tool.version}`, `benchbook ${run.tool.version}`),
        ...(run.tool.commit === undefined
          ? [say("，提交号未知", ", commit not known")]
          : [say("，提交 ", ", commit "), { code: run.tool.commit.slice(0, 12) }]),
        ...dirtyText(run.tool.dirty),
        say(`，Node.js ${nodeVersion(run.tool)}`, `, Node.js ${nodeVersion(run.tool)}`),
      ],
    },
  ];
  return rows;
}

/** "v20.20.2" as "20.20.2". */
function nodeVersion({ node }: RecordMaterial["run"]["tool"]): string {
  return node.replace(/^v/, "");
}

function dirtyText(dirty: boolean | undefined): Phrase {
  if (dirty === undefined) return [];
  return [
    dirty
      ? say("（工作区有未提交的改动）", " (working tree has uncommitted changes)")
      : say("（工作区干净）", " (clean working tree)"),
  ];
}

/** "6 个测点中 3 个有效，1 个有保留，2 个无效": each point once, by its mark. */
function verdictCount(points: readonly PointData[]): Phrase {
  const count = (mark: Mark, measured = true): number =>
    points.filter((point) => point.mark === mark && point.measured === measured).length;
  const parts: TextPart[] = [
    say(`${points.length} 个测点中`, `of ${counted(points.length, "point")}, `),
    say(` ${count("valid")} 个有效`, `${count("valid")} valid`),
  ];
  if (count("qualified") > 0) {
    parts.push(say(`，${count("qualified")} 个有保留`, `, ${count("qualified")} qualified`));
  }
  if (count("invalid") > 0) {
    parts.push(say(`，${count("invalid")} 个无效`, `, ${count("invalid")} invalid`));
  }
  const unjudged = count("not_checked");
  if (unjudged > 0) parts.push(say(`，${unjudged} 个没有裁定`, `, ${unjudged} without a verdict`));
  const missing = count("not_checked", false);
  if (missing > 0) parts.push(say(`，${missing} 个未测量`, `, ${missing} not measured`));
  return parts;
}

/** Section 10. */
export function reproductionOf(material: RecordMaterial): {
  readonly command: string;
  readonly rows: readonly TextRow[];
} {
  const { experiment, run, recordId } = material;
  const models = distinct(experiment.variants.map((variant) => variant.model));
  return {
    command: material.reproduce,
    rows: [
      {
        key: "experiment",
        value: [{ code: experiment.name }, say("，全文见附录", ", in full in the appendix")],
      },
      { key: "record_id", value: [{ code: `sha256:${recordId.digest}` }] },
      {
        key: "prerequisites",
        value: [
          say(
            `Node.js ${nodeVersion(run.tool)} 或更新，benchbook ${run.tool.version}；模型：`,
            `Node.js ${nodeVersion(run.tool)} or newer, benchbook ${run.tool.version}; model: `,
          ),
          { data: models.join(", ") },
        ],
      },
      {
        key: "same",
        value: [
          say(
            "计划与种子相同，提示词按同一配方重新生成；结果是否一致，由复测逐项判断",
            "the same plan and seed, prompts from the same recipe; whether it agrees is for a rerun to judge, item by item",
          ),
        ],
      },
    ],
  };
}

/** What a notebook may ask whether it holds. */
export function flagsOf(
  material: RecordMaterial,
  points: readonly PointData[],
): Readonly<Record<string, boolean>> {
  const { experiment, measured, audit, run } = material;
  const attached = experiment.variants.some((variant) => variant.engine.kind === "external");
  const facts = combineFacts(measured.map((point) => point.facts));
  const has = (key: string): boolean =>
    measured.some((point) => point.estimates.get(key)?.value !== undefined);
  return {
    intervals: measured.some((point) => point.facts.units.most > 1),
    one_process:
      facts === undefined ? experiment.measure.keep || attached : facts.engines !== "fresh",
    attached,
    interleaved: experiment.measure.order === "interleaved",
    handover: experiment.measure.window === "handover",
    first_wave_cut: material.points.some(({ firstWave }) => firstWave === "cut"),
    several_variants: experiment.variants.length > 1,
    several_workloads: experiment.workloads.length > 1,
    slo: experiment.slo.length > 0,
    goodput: has("goodput"),
    running: has("concurrency_running"),
    hit_rate: has("hit_rate"),
    cold_burst: has("cold_burst"),
    invalid: points.some((point) => point.mark === "invalid"),
    qualified: points.some((point) => point.mark === "qualified"),
    measured: measured.some((point) => point.requests.completed > 0),
    finished: run.endedAt !== undefined,
    seams: run.legs.length > 1,
    not_checked: audit.notChecked.length > 0,
    findings: audit.findings.length > 0 || audit.points.some((point) => point.findings.length > 0),
    gpu_readings: measured.some(({ gpus }) => gpus.kind === "read"),
    kept_engine: experiment.measure.keep || attached,
    after_snapshot: material.environment.after !== undefined,
    differences: material.environment.differences.length > 0,
    drift: material.environment.drift.length > 0,
    uncounted: measured.some((point) => tokenRemarks(point.tokenSources).length > 0),
    stated: Object.values(experiment.stated).some((value) => typeof value === "string"),
  };
}

/** Sentences by name, for `{{fact "..."}}`. */
export function factsOf(
  material: RecordMaterial,
  points: readonly PointData[],
  findings: readonly FindingData[],
): Readonly<Record<string, Phrase>> {
  const { audit, experiment, measured } = material;
  const count = (severity: string): number =>
    findings.filter((finding) => finding.severity === severity).length;
  const rounds = Math.max(0, ...measured.map(({ facts }) => facts.units.most));
  const requests = measured.reduce((sum, point) => sum + point.requests.completed, 0);
  return {
    system: subtitleOf(material),
    verdicts: verdictCount(points),
    checks: [
      say(
        `检查 ${audit.checked.length} 条规则，发现 ${findings.length} 条：阻断 ${count("block")}，不通过 ${count("fail")}，警告 ${count("warn")}，提示 ${count("info")}；未校验 ${audit.notChecked.length} 项`,
        `${counted(audit.checked.length, "rule")} checked, ${counted(findings.length, "finding")}: ${count("block")} block, ${count("fail")} fail, ${count("warn")} warn, ${count("info")} info; ${audit.notChecked.length} not checked`,
      ),
    ],
    interval_note: [{ text: intervalNoteOf(material) }],
    rounds: [say(String(rounds), String(rounds))],
    degrees: [say(String(Math.max(0, rounds - 1)), String(Math.max(0, rounds - 1)))],
    unseen: [
      rounds > 0
        ? say(
            `${formatNumber(unseenShare(rounds) * 100, 0)} %`,
            `${formatNumber(unseenShare(rounds) * 100, 0)} %`,
          )
        : say("100 %", "100 %"),
    ],
    points: [say(String(points.length), String(points.length))],
    requests: [say(formatNumber(requests, 0), formatNumber(requests, 0))],
    loads: [{ text: loadsText(material.points) }],
    token_source: [{ text: tokenSourceText(measured) }],
    variants: [{ data: experiment.variants.map((variant) => variant.name).join(", ") }],
    started: [say(displayTime(material.run.createdAt), displayTime(material.run.createdAt))],
    snapshot_before: [
      say(
        displayTime(material.environment.before.takenAt),
        displayTime(material.environment.before.takenAt),
      ),
    ],
    command: [{ code: material.reproduce }],
  };
}
