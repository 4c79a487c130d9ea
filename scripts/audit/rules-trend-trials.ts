// S8: whether latency rises or falls within the trials, from their first measured request to the last.
import type { LocalText } from "../experiment/experiment.ts";
import { holm } from "../stats/comparison.ts";
import {
  type CommonTrend,
  commonTrend,
  isSignificant,
  type Trend,
  trialTrend,
} from "../stats/trend.ts";
import type { TrialMetrics } from "../stats/trial-metrics.ts";
import { figureName } from "./round-series.ts";
import {
  type AuditInput,
  found,
  type MeasuredPoint,
  notChecked,
  type Outcome,
  pass,
} from "./rule.ts";
import { thresholds } from "./thresholds.ts";
import { directed, endsText, pText } from "./trend-text.ts";

const trialMetrics = ["ttft", "tpot"] as const;

/** The change over the window, one value per round, of TTFT and TPOT at every point. */
export function checkWithinTrials(input: AuditInput): readonly Outcome[] {
  if (input.measured.length === 0)
    return [notChecked("run", "没有测得任何测点", "no point was measured")];
  const loads = new Map(input.plan.points.map(({ name, load }) => [name, load.kind]));
  const asked = input.measured.map((point) => {
    const load = loads.get(point.estimates.point);
    const changes = load === "ramp" || load === "trace";
    const metrics = changes
      ? []
      : trialMetrics.flatMap((metric) => {
          const trend = commonTrend(trendsOf(point, metric));
          return trend === undefined ? [] : [{ metric, trend }];
        });
    return { point: point.estimates.point, changes, metrics };
  });
  const adjusted = holm(asked.flatMap(({ metrics }) => metrics.map(({ trend }) => trend.p)));
  const family = adjusted.length;
  let at = 0;
  return asked.map(({ point, changes, metrics }): Outcome => {
    if (changes)
      return notChecked(point, "负载按计划随时间变化", "its load changes over time by plan");
    if (metrics.length === 0)
      return notChecked(
        point,
        "试次的请求少于 30 个，或没有时延",
        "fewer than 30 requests a trial, or none with a latency",
      );
    const flagged = metrics.flatMap(({ metric, trend }) => {
      const p = adjusted[at];
      at += 1;
      const isLarge = Math.abs(trend.change) > thresholds.trendWithinTrial.value;
      return p !== undefined && isSignificant(p) && isLarge ? [{ metric, trend, p }] : [];
    });
    return flagged.length === 0 ? pass(point) : trialFinding(point, flagged, family);
  });
}

/** One trend per round, repeats averaged; where there is one round, one per repeat. */
function trendsOf(
  { estimates }: MeasuredPoint,
  metric: (typeof trialMetrics)[number],
): readonly Pick<Trend, "p" | "change">[] {
  const { trials } = estimates;
  const several = new Set(trials.map(({ round }) => round)).size > 1;
  const units = new Map<number, Pick<Trend, "p" | "change">[]>();
  for (const trial of trials) {
    const trend = trialTrend(trial.latencies[metric]);
    if (trend === undefined) continue;
    const unit = unitOf(trial, several);
    units.set(unit, [...(units.get(unit) ?? []), trend]);
  }
  return [...units.values()].flatMap((all) => {
    const [first] = all;
    const logs = all.map(({ change }) => Math.log1p(change));
    return first === undefined
      ? []
      : [{ p: first.p, change: Math.expm1(logs.reduce((a, b) => a + b) / logs.length) }];
  });
}

function unitOf({ round, repeat }: TrialMetrics, several: boolean): number {
  return several ? round : repeat;
}

function trialFinding(
  point: string,
  flagged: readonly {
    readonly metric: (typeof trialMetrics)[number];
    readonly trend: CommonTrend;
    readonly p: number;
  }[],
  family: number,
): Outcome {
  const clauses = flagged.map(({ metric, trend, p }): LocalText => {
    const name = figureName(`${metric}.mean`);
    const [zh, en] = [directed(trend.change, "zh"), directed(trend.change, "en")];
    if (trend.interval === undefined)
      return {
        zh: `${name.zh}在窗口内${zh}，校正后 p ${pText(p)}：只有一个试次，p 出自其十段均值，假定各段独立`,
        en: `${name.en} ${en} over the window, p ${pText(p)}: one trial, so p is that of its ten block means, taken as independent`,
      };
    const ends = endsText(trend.interval);
    return {
      zh: `${name.zh}在窗口内${zh}（${trend.count} 轮，95% 区间 ${ends.zh}，未校正），${trend.sameSign} 轮同向，校正后 p ${pText(p)}`,
      en: `${name.en} ${en} over the window (${trend.count} rounds, 95 % interval ${ends.en}, unadjusted), ${trend.sameSign} with the same sign, p ${pText(p)}`,
    };
  });
  const [first] = flagged;
  return found({
    severity: "warn",
    where: point,
    seen: {
      zh: `${clauses.map(({ zh }) => zh).join("；")}（Holm 校正 ${family} 项）`,
      en: `${clauses.map(({ en }) => en).join("; ")} (Holm over ${family})`,
    },
    expected: {
      zh: "窗口内没有超过 5% 的持续升降",
      en: "no steady rise or fall of more than 5 % within the window",
    },
    mend: {
      zh: "加长预热（measure.warmup）或窗口；开环下检查是否饱和",
      en: "warm up longer (measure.warmup) or measure longer; in an open loop see whether it is saturated",
    },
    evidence: {
      metrics: flagged.map(({ metric }) => metric).join(" "),
      tests: family,
      ...(first === undefined
        ? {}
        : {
            change: first.trend.change,
            rounds: first.trend.count,
            sameSign: first.trend.sameSign,
            adjustedP: first.p,
          }),
    },
  });
}
