// Rules about how the run went: seams, engines that died, trials that are missing, tokens that the
// server did not count or counted otherwise.
import type { LocalText } from "../experiment/experiment.ts";
import {
  type CounterAgreement,
  counterAgreement,
  type NoAgreement,
} from "../stats/counter-agreement.ts";
import { formatNumber } from "../units.ts";
import {
  type AuditInput,
  eachPoint,
  found,
  type MeasuredPoint,
  notChecked,
  type Outcome,
  orPass,
  type Rule,
  shareText,
} from "./rule.ts";
import { thresholds } from "./thresholds.ts";

export const storyRules: readonly Rule[] = [
  {
    id: "S1",
    severity: "warn",
    name: { zh: "续跑", en: "Seams" },
    text: {
      zh: "运行没有中断",
      en: "the run went through without being interrupted and resumed",
    },
    needs: { zh: "运行的各段", en: "the stretches of the run" },
    check: checkSeams,
  },
  {
    id: "S2",
    severity: "fail",
    name: { zh: "引擎存活", en: "Engine survival" },
    text: {
      zh: "每次启动的引擎都就绪，且没有中途退出",
      en: "every engine start became ready and none ended by itself",
    },
    needs: { zh: "引擎启动记录", en: "engine starts" },
    check: checkEngines,
  },
  {
    id: "S3",
    severity: "block",
    name: { zh: "试次齐全", en: "Trials complete" },
    text: {
      zh: "计划的试次全部测成，每个测点都有完成的请求",
      en: "all planned trials were measured, and every point has completed requests",
    },
    needs: { zh: "计划与试次", en: "plan and trials" },
    check: checkComplete,
  },
  {
    id: "S5",
    severity: "warn",
    name: { zh: "token 计数来源", en: "Source of token counts" },
    text: {
      zh: "每个完成的请求的 token 数都来自服务端的 usage",
      en: "the tokens of every completed request come from the server's usage",
    },
    needs: { zh: "服务端的 usage", en: "usage of the server" },
    check: (input) => eachPoint(input, checkTokenSources),
  },
  {
    id: "S6",
    severity: "fail",
    name: { zh: "客户端与引擎计数一致", en: "Client and server count the same" },
    text: {
      zh: "试次内客户端 usage 之和与引擎 token 计数的增量一致；未完成的请求作为上下界",
      en: "over each trial the client's usage adds up to what the engine's token counters counted; requests that did not complete are a bound",
    },
    needs: { zh: "usage，试次首尾的引擎计数", en: "usage, engine counters at the trial's ends" },
    check: (input) => eachPoint(input, checkTokenCounts),
  },
];

function checkSeams({ legs, attempts }: AuditInput): readonly Outcome[] {
  if (legs.length === 0) return [notChecked("run", "没有运行段的记录", "no stretch was recorded")];
  const seams = legs.slice(1).map((leg, position) => {
    const end = legs[position]?.end;
    const resumed = attempts.filter((attempt) => attempt.leg === leg.leg).length;
    return found({
      severity: "warn",
      where: "run",
      seen: {
        zh: `第 ${leg.leg} 段始于 ${leg.startedAt}，前一段${end === undefined ? "被强制终止" : `结束于 ${end.endedAt}`}；续跑之后有 ${resumed} 次试次`,
        en: `stretch ${leg.leg} began at ${leg.startedAt}; the one before ${end === undefined ? "was killed" : `ended at ${end.endedAt}`}; ${resumed} attempts follow the seam`,
      },
      expected: { zh: "一次跑完", en: "one stretch" },
      mend: {
        zh: "比较续跑前后的轮次；有差异则重测",
        en: "compare the rounds on both sides of the seam; measure again if they differ",
      },
      evidence: { leg: leg.leg, attemptsAfter: resumed, killed: end === undefined },
    });
  });
  return orPass(seams);
}

function checkEngines({ starts, attempts }: AuditInput): readonly Outcome[] {
  if (starts.length === 0) return [notChecked("run", "没有引擎启动", "no engine was started")];
  return orPass(
    starts.flatMap(({ start, variant, round, end }): readonly Outcome[] => {
      if (end?.reason !== "died" && end?.reason !== "never_ready") return [];
      const victim = attempts.find(
        (attempt) => attempt.start === start && attempt.status === "failed",
      );
      const died = end.reason === "died";
      const detail = end.detail === undefined ? "" : firstLine(end.detail);
      return [
        found({
          severity: "fail",
          where: victim?.point ?? variant,
          seen: {
            zh: `${variant} 第 ${round} 轮的引擎${died ? "中途退出" : "没有就绪"}${detail === "" ? "" : `：${detail}`}`,
            en: `the engine of ${variant} in round ${round} ${died ? "ended by itself" : "never became ready"}${detail === "" ? "" : `: ${detail}`}`,
          },
          expected: { zh: "引擎由 benchbook 停止", en: "an engine that benchbook stops" },
          mend: {
            zh: "看引擎日志的最后几行；修好后用 run --resume 补测",
            en: "read the last lines of the engine's log; mend it, then run --resume",
          },
          evidence: { start, round, variant, reason: end.reason },
        }),
      ];
    }),
  );
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0]?.trim() ?? "";
}

function checkComplete(input: AuditInput): readonly Outcome[] {
  const done = new Set(
    input.attempts.filter(({ status }) => status === "measured").map(({ trial }) => trial),
  );
  const planned = input.plan.rounds.flatMap(({ starts }) => starts.flatMap(({ trials }) => trials));
  if (planned.length === 0) return [notChecked("run", "计划中没有试次", "the plan has no trials")];
  return input.plan.points.flatMap(({ name }): readonly Outcome[] => {
    const trials = planned.filter(({ point }) => point === name);
    const missing = trials.filter(({ id }) => !done.has(id));
    const measured = input.measured.find(({ estimates }) => estimates.point === name);
    const completed = (measured?.estimates.trials ?? []).reduce(
      (total, trial) => total + trial.completed,
      0,
    );
    if (completed > 0 && missing.length === 0) return [{ kind: "pass", where: name }];
    const rounds = [...new Set(missing.map(({ round }) => round))].join(", ");
    return [
      found({
        severity: completed === 0 ? "block" : "fail",
        where: name,
        seen:
          completed === 0
            ? {
                zh: "没有一个请求完成，没有可报告的数值",
                en: "no request completed: there is no value to report",
              }
            : {
                zh: `缺 ${missing.length} 个试次，共 ${trials.length} 个（第 ${rounds} 轮）`,
                en: `${missing.length} of ${trials.length} trials are missing (round ${rounds})`,
              },
        expected: { zh: `${trials.length} 个试次`, en: `${trials.length} trials` },
        mend: {
          zh: "用 run --resume 补测缺少的试次",
          en: "run --resume measures the trials that are missing",
        },
        evidence: { planned: trials.length, missing: missing.length, completedRequests: completed },
      }),
    ];
  });
}

/** Counts of the local tokenizer are near the server's and not the same; without any there is no TPOT. */
function checkTokenSources({ estimates }: MeasuredPoint): readonly Outcome[] {
  const { point, tokenSources } = estimates;
  const { usage, tokenizer, none } = tokenSources;
  const completed = usage + tokenizer + none;
  if (completed === 0) return [notChecked(point, "没有完成的请求", "no request completed")];
  if (usage === completed) return [];
  return [
    found({
      severity: "warn",
      where: point,
      seen: {
        zh: `${completed} 个完成的请求中，${tokenizer} 个的 token 由本地分词器计数，${none} 个没有计数`,
        en: `of ${completed} completed requests the local tokenizer counted the tokens of ${tokenizer}, and nobody those of ${none}`,
      },
      expected: { zh: "全部来自 usage", en: "all from usage" },
      mend: {
        zh: "让服务端按 stream_options.include_usage 返回 usage；否则 TPOT 与 token 吞吐以分词器的计数为准",
        en: "let the server honour stream_options.include_usage; until then TPOT and token rates rest on the tokenizer's counts",
      },
      evidence: { ...tokenSources },
    }),
  ];
}

/** Tokens that the engine counted beyond the client's are somebody else's; fewer are a count gone wrong. */
function checkTokenCounts({ estimates, samples }: MeasuredPoint): readonly Outcome[] {
  const { point } = estimates;
  const agreements = samples.flatMap((trial) =>
    counterAgreement(trial).map((agreement) => ({ round: trial.round, agreement })),
  );
  const compared = agreements.flatMap(({ round, agreement }) =>
    agreement.kind === "compared" ? [{ round, ...agreement }] : [],
  );
  const [worst] = compared.toSorted((a, b) => Math.abs(b.off) - Math.abs(a.off));
  if (worst === undefined) {
    const why = agreements.flatMap(({ agreement }) =>
      agreement.kind === "unknown" ? [agreement.why] : [],
    )[0];
    const text = noAgreement[why ?? "no_counter"];
    return [notChecked(point, text.zh, text.en)];
  }
  if (Math.abs(worst.off) <= thresholds.tokenCountsDiffer.value) return [];
  return [differingCounts(point, worst)];
}

const noAgreement: Readonly<Record<NoAgreement, LocalText>> = {
  no_counter: {
    zh: "引擎没有 token 计数",
    en: "the engine has no counters of tokens",
  },
  counter_reset: {
    zh: "引擎在试次内重启过，计数归零",
    en: "the engine was started again within the trial, and its counters with it",
  },
  not_covered: {
    zh: "首个请求之前或最后一个请求之后没有引擎读数",
    en: "there is no reading of the engine before the first request or after the last",
  },
  no_usage: {
    zh: "有完成的请求没有 usage（见 S5）",
    en: "completed requests came without usage (see S5)",
  },
};

function differingCounts(
  point: string,
  {
    round,
    tokens,
    client,
    server,
    off,
  }: { readonly round: number } & Extract<CounterAgreement, { kind: "compared" }>,
): Outcome {
  const kind: LocalText =
    tokens === "prompt" ? { zh: "输入", en: "prompt" } : { zh: "输出", en: "output" };
  const low = formatNumber(client.low, 0);
  const high = formatNumber(client.high, 0);
  const known: LocalText =
    client.low === client.high
      ? { zh: low, en: low }
      : { zh: `${low} 到 ${high}`, en: `${low} to ${high}` };
  const share = shareText(Math.abs(off));
  const isMore = off > 0;
  return found({
    severity: off > thresholds.foreignTokens.value ? "fail" : "warn",
    where: point,
    seen: {
      zh: `第 ${round} 轮引擎计入 ${formatNumber(server, 0)} 个${kind.zh} token，客户端 usage 合计 ${known.zh} 个：${isMore ? "多" : "少"} ${share.zh}`,
      en: `in round ${round} the engine counted ${formatNumber(server, 0)} ${kind.en} tokens, the client's usage adds up to ${known.en}: ${share.en} ${isMore ? "more" : "less"}`,
    },
    expected: { zh: "两者相差不超过 0.5%", en: "the two within 0.5 %" },
    mend: isMore
      ? {
          zh: "查是否有别的客户端在用这一引擎；试次期间引擎只应处理计划的负载",
          en: "look for other clients of the engine: during a trial it should serve the planned load alone",
        }
      : {
          zh: "查引擎前的网关是否自带缓存、改写 usage，或把请求分给了别的引擎",
          en: "look for a gateway that caches, rewrites usage, or hands requests to other engines",
        },
    evidence: { round, tokens, server, clientLow: client.low, clientHigh: client.high, off },
  });
}
