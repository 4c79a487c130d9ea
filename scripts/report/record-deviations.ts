// What did not go as planned, as facts: seams, failed attempts, engines that died, drift, waivers,
// trials that are missing. What people wish to add stands beside it in the notebook, not here.

import type { LocalText } from "../experiment/experiment.ts";
import { counted } from "../units.ts";
import type { RecordMaterial } from "./record-material.ts";
import type { Phrase, TextPart } from "./record-parts.ts";

export interface Deviation {
  /** "D-1". */
  readonly id: string;
  readonly kind: "seam" | "attempt" | "engine" | "drift" | "waiver" | "missing" | "tool";
  readonly what: Phrase;
  readonly handling: Phrase;
  /** Last words of an engine, verbatim. */
  readonly log: string | undefined;
}

/** Every deviation of a run, in the order in which a reader should know them. */
export function deviationsOf(material: RecordMaterial): readonly Deviation[] {
  const { run, audit, environment } = material;
  const all: Omit<Deviation, "id">[] = [
    ...missingOf(material),
    ...run.legs.slice(0, -1).map((leg, index) => seam(leg, run.legs[index + 1])),
    ...run.trials
      .filter((trial) => trial.status !== "complete")
      .map((trial) => attempt(trial, run.trials)),
    ...run.starts.flatMap(engineEnd),
    ...driftOf(environment),
    ...[...audit.findings, ...audit.points.flatMap((point) => point.findings)]
      .filter((finding) => finding.waived !== undefined)
      .map(
        (finding): Omit<Deviation, "id"> => ({
          kind: "waiver",
          what: [
            {
              text: { zh: `规则 ${finding.rule} 被豁免：`, en: `Rule ${finding.rule} is waived: ` },
            },
            { data: finding.waived?.reason ?? "" },
          ],
          handling: [
            { text: { zh: "豁免人：", en: "Waived by " } },
            { data: finding.waived?.by ?? "" },
          ],
          log: undefined,
        }),
      ),
    ...(run.tool.dirty === true
      ? [
          {
            kind: "tool" as const,
            what: [
              {
                text: {
                  zh: "benchbook 的工作区有未提交的改动",
                  en: "benchbook's working tree had uncommitted changes",
                },
              },
            ],
            handling: [
              {
                text: {
                  zh: "仅凭提交号无法还原所用程序。",
                  en: "The commit alone does not give back the program that was used.",
                },
              },
            ],
            log: undefined,
          },
        ]
      : []),
  ];
  const seen = new Set<string>();
  return all
    .filter((one) => {
      const key = JSON.stringify(one);
      const first = !seen.has(key);
      seen.add(key);
      return first;
    })
    .map((one, index) => ({ id: `D-${index + 1}`, ...one }));
}

function missingOf({ run }: RecordMaterial): readonly Omit<Deviation, "id">[] {
  const done = new Set(
    run.trials.filter((trial) => trial.status === "complete").map((trial) => trial.trial),
  ).size;
  if (done >= run.plannedTrials) return [];
  return [
    {
      kind: "missing",
      what: [
        {
          text: {
            zh: `计划 ${run.plannedTrials} 个试次，完成 ${done} 个`,
            en: `${counted(run.plannedTrials, "trial")} planned, ${done} finished`,
          },
        },
      ],
      handling: [
        {
          text: {
            zh: "缺失的试次没有用其他数据补足；轮数少的测点，区间更宽。",
            en: "Nothing stands in for the missing trials; points with fewer rounds have wider intervals.",
          },
        },
      ],
      log: undefined,
    },
  ];
}

type Leg = RecordMaterial["run"]["legs"][number];

function seam(leg: Leg, next: Leg | undefined): Omit<Deviation, "id"> {
  const from = displayTime(leg.endedAt ?? leg.startedAt);
  const to = displayTime(next?.startedAt ?? "");
  const known = leg.endedAt !== undefined;
  return {
    kind: "seam",
    what: [
      {
        text: known
          ? { zh: `运行在 ${from} 停止`, en: `The run stopped at ${from}` }
          : {
              zh: `${from} 开始的一段没有结束时间`,
              en: `The stretch that began at ${from} left no end time`,
            },
      },
      ...(leg.reason === undefined
        ? []
        : [{ text: { zh: "，原因：", en: ", reason: " } }, legReason(leg.reason)]),
      {
        text: {
          zh: `；${to} 续跑（第 ${leg.leg} 次）`,
          en: `; resumed at ${to}, seam ${leg.leg}`,
        },
      },
    ],
    handling: [
      {
        text: {
          zh: "已完成的试次照用，未完成的试次整个重测；续跑前后的环境差异见“被测系统”。",
          en: "Finished trials are kept, unfinished ones were measured again in full; what changed across the seam is under “System under test”.",
        },
      },
    ],
    log: undefined,
  };
}

/** Why a leg ended, in words of ours where it is one of the reasons that are known. */
function legReason(reason: string): TextPart {
  const known: Readonly<Record<string, LocalText>> = {
    killed: { zh: "程序被强制终止", en: "killed" },
    interrupted: { zh: "人为中断", en: "interrupted" },
    failed: { zh: "出错退出", en: "failed" },
  };
  const text = Object.hasOwn(known, reason) ? known[reason] : undefined;
  return text === undefined ? { data: reason } : { text };
}

type TrialRow = RecordMaterial["run"]["trials"][number];

function attempt(trial: TrialRow, all: readonly TrialRow[]): Omit<Deviation, "id"> {
  const replaced = all.some(
    (other) =>
      other.trial === trial.trial && other.attempt > trial.attempt && other.status === "complete",
  );
  return {
    kind: "attempt",
    what: [
      { code: trial.point },
      {
        text: {
          zh: ` 第 ${trial.round} 轮第 ${trial.attempt} 次尝试${trial.status === "failed" ? "失败" : "未完成"}：`,
          en: ` round ${trial.round}, attempt ${trial.attempt} ${trial.status === "failed" ? "failed" : "was not finished"}: `,
        },
      },
      { data: trial.reason ?? "" },
    ],
    handling: [
      {
        text: replaced
          ? {
              zh: "样本保留，不计入；该试次重测成功。",
              en: "Its samples are kept and not counted; the trial was measured again and finished.",
            }
          : {
              zh: "样本保留，不计入；该试次没有成功的尝试。",
              en: "Its samples are kept and not counted; no attempt at this trial finished.",
            },
      },
    ],
    log: undefined,
  };
}

function engineEnd(
  start: RecordMaterial["run"]["starts"][number],
): readonly Omit<Deviation, "id">[] {
  if (start.ended.kind !== "died" && start.ended.kind !== "never_ready") return [];
  const ready = start.ended.kind === "died";
  return [
    {
      kind: "engine",
      what: [
        { code: start.variant },
        {
          text: {
            zh: ` 第 ${start.round} 轮的引擎（启动 ${start.start}）${ready ? "中途退出" : "未能就绪"}：`,
            en: `, round ${start.round}: the engine (start ${start.start}) ${ready ? "died" : "never became ready"}: `,
          },
        },
        { data: start.ended.reason },
      ],
      handling: [
        {
          text: {
            zh: "这次启动中未完成的试次不计入；运行从下一次启动继续。",
            en: "Trials that this start left unfinished do not count; the run went on with the next start.",
          },
        },
      ],
      log: start.ended.lastWords,
    },
  ];
}

/** Fields that must be equal to compare, and were not. Context and noise stay in section 2. */
function driftOf({
  differences,
  drift,
}: RecordMaterial["environment"]): readonly Omit<Deviation, "id">[] {
  const drifted = [...differences, ...drift].filter((one) => one.class === "comparability");
  if (drifted.length === 0) return [];
  return [
    {
      kind: "drift",
      what: [
        {
          text: {
            zh: "运行期间，决定可比性的字段发生变化：",
            en: "Fields that decide comparability changed during the run: ",
          },
        },
        { code: [...new Set(drifted.map(({ id }) => id))].join(", ") },
      ],
      handling: [
        {
          text: {
            zh: "变化前后的值见“被测系统”。",
            en: "The values are under “System under test”.",
          },
        },
      ],
      log: undefined,
    },
  ];
}

/** "2026-01-14T20:06:31.000+08:00" -> "2026-01-14 20:06:31 +08:00". */
export function displayTime(iso: string): string {
  const match = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)$/.exec(iso);
  if (match === null) return iso;
  const offset = match[3] === "Z" ? "+00:00" : match[3];
  return `${match[1] ?? ""} ${match[2] ?? ""} ${offset ?? ""}`;
}
