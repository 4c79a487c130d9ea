// Rules about what happened in the course of the run: a drift over the rounds (here), a drift within
// the trials, a round unlike the others. They say what they see and take nothing out of the figures.
import type { LocalText } from "../experiment/experiment.ts";
import { holm } from "../stats/comparison.ts";
import { isSignificant, leastTrendP, type Trend, trendOf } from "../stats/trend.ts";
import { formatNumber } from "../units.ts";
import { figureName, goesWith, mostRounds, type RoundSeries, seriesOf } from "./round-series.ts";
import { type AuditInput, found, notChecked, type Outcome, pass, type Rule } from "./rule.ts";
import { checkOutliers } from "./rules-trend-outliers.ts";
import { checkWithinTrials } from "./rules-trend-trials.ts";
import { thresholds } from "./thresholds.ts";
import { besideText, directed, endsText, pText } from "./trend-text.ts";

export const trendRules: readonly Rule[] = [
  {
    id: "S7",
    severity: "warn",
    name: { zh: "轮间趋势", en: "Trend over rounds" },
    text: {
      zh: "输出吞吐、TTFT 与 TPOT 不随轮次持续上升或下降（精确 Kendall 检验，Holm 校正，变化超过 1%）",
      en: "output throughput, TTFT and TPOT neither rise nor fall over the rounds (exact Kendall test, Holm, changes of more than 1 %)",
    },
    needs: { zh: "至少 5 轮", en: "5 rounds or more" },
    check: checkRounds,
  },
  {
    id: "S8",
    severity: "warn",
    name: { zh: "试次内趋势", en: "Trend within trials" },
    text: {
      zh: "TTFT 与 TPOT 在窗口内不持续上升或下降（十段均值的斜率，各轮一个值，Holm 校正，变化超过 5%）",
      en: "TTFT and TPOT neither rise nor fall within the window (slope of ten block means, one value per round, Holm, changes of more than 5 %)",
    },
    needs: {
      zh: "每个试次至少 30 个请求，负载不随时间变化",
      en: "30 requests a trial or more, a load that does not change by plan",
    },
    check: checkWithinTrials,
  },
  {
    id: "S9",
    severity: "warn",
    name: { zh: "离群轮次", en: "Outlying rounds" },
    text: {
      zh: "没有一轮偏离其他各轮超过 3.5 倍 MAD，且超出其他各轮所能预测的范围（Holm 校正）；只标注，不剔除",
      en: "no round lies more than 3.5 scaled MADs from the others and beyond what they predict (Holm); such rounds are labelled, not removed",
    },
    needs: { zh: "至少 5 轮", en: "5 rounds or more" },
    check: checkOutliers,
  },
];

function checkRounds(input: AuditInput): readonly Outcome[] {
  const { cells, common } = seriesOf(input);
  const rounds = mostRounds(cells);
  if (rounds === undefined) return [notChecked("run", "没有测得任何测点", "no point was measured")];
  const reaches = (family: readonly RoundSeries[]): boolean =>
    family.length > 0 && isSignificant(leastTrendP(rounds) * family.length);
  const shared = common.filter(({ points }) => points.length > 1);
  // Which family is tested hangs on counts alone and not on what was measured.
  const family = [[...shared, ...cells], common].find(reaches);
  if (family === undefined) {
    const p = formatNumber(leastTrendP(Math.max(1, rounds)), 3);
    return [
      notChecked(
        "run",
        `只有 ${rounds} 轮：完全单调的顺序 p 也有 ${p}，检验不出趋势`,
        `${rounds === 1 ? "1 round" : `${rounds} rounds`}: even values in perfect order have p = ${p}, so no trend could be told`,
      ),
    ];
  }
  const tested = family.map((series) => ({
    series,
    trend: trendOf(series.rounds.map(({ value }) => value)),
  }));
  const adjusted = holm(tested.map(({ trend }) => trend?.p));
  const flagged = tested.flatMap(({ series, trend }, index): readonly FlaggedTrend[] => {
    const p = adjusted[index];
    const isLarge = Math.abs(trend?.change ?? 0) > thresholds.trendOverRun.value;
    return trend !== undefined && p !== undefined && isSignificant(p) && isLarge
      ? [{ series, trend, p }]
      : [];
  });
  const places = new Set(flagged.map(({ series }) => series.where));
  // What the points have in common is said once, with the points that show it by themselves.
  const told = [...places].flatMap((where) => {
    const own = flagged.filter(({ series }) => series.where === where);
    const isTold = own.every(({ series }) =>
      flagged.some(
        (wider) =>
          wider.series.points.length > 1 &&
          wider.series.where !== where &&
          wider.series.points.includes(where) &&
          (wider.series.metric === series.metric || series.metric === "ttft.p90"),
      ),
    );
    return isTold ? [] : [trendFinding(input, where, own, { flagged, family: family.length })];
  });
  return told.length === 0 ? [pass("run")] : told;
}

interface FlaggedTrend {
  readonly series: RoundSeries;
  readonly trend: Trend;
  /** After Holm. */
  readonly p: number;
}

function trendFinding(
  input: AuditInput,
  where: string,
  own: readonly FlaggedTrend[],
  { flagged, family }: { readonly flagged: readonly FlaggedTrend[]; readonly family: number },
): Outcome {
  const clauses = own.map(({ series, trend, p }): LocalText => {
    const name = figureName(series.metric);
    const [zh, en] = [directed(trend.change, "zh"), directed(trend.change, "en")];
    const ends = trend.interval && endsText(trend.interval);
    return {
      zh: `${name.zh}${zh}${ends === undefined ? "" : `（95% 区间 ${ends.zh}，未校正）`}，τ ${trend.tau.toFixed(2)}，校正后 p ${pText(p)}`,
      en: `${name.en} ${en}${ends === undefined ? "" : ` (95 % interval ${ends.en}, unadjusted)`}, tau ${trend.tau.toFixed(2)}, p ${pText(p)}`,
    };
  });
  const [strongest] = own.toSorted((a, b) => Math.abs(b.trend.change) - Math.abs(a.trend.change));
  const { series, trend } = strongest ?? {};
  const rounds = series?.rounds.length ?? 0;
  const together = (series?.points.length ?? 1) > 1;
  const alone = new Set(
    flagged
      .filter((one) => one.series.points.length === 1 && series?.points.includes(one.series.where))
      .map((one) => one.series.where),
  );
  const scope: LocalText = together
    ? {
        zh: `${series?.points.length ?? 0} 个测点合看，${rounds} 轮内：`,
        en: `${series?.points.length ?? 0} points together, over ${rounds} rounds: `,
      }
    : { zh: `${rounds} 轮内：`, en: `over ${rounds} rounds: ` };
  const single: LocalText =
    !together || alone.size === 0
      ? { zh: "", en: "" }
      : {
          zh: `。单独看也如此的测点：${[...alone].join("、")}`,
          en: `. By themselves too: ${[...alone].join(", ")}`,
        };
  const beside = series && goesWith(input, series, largestStep(series));
  return found({
    severity: "warn",
    where,
    seen: {
      zh: `${scope.zh}${clauses.map(({ zh }) => zh).join("；")}（Kendall 精确检验，Holm 校正 ${family} 个序列）${single.zh}${besideText(beside).zh}`,
      en: `${scope.en}${clauses.map(({ en }) => en).join("; ")} (exact Kendall test, Holm over ${family} series)${single.en}${besideText(beside).en}`,
    },
    expected: { zh: "各轮没有持续的升降", en: "no steady rise or fall over the rounds" },
    mend: {
      zh: "查温度、降频与后台负载；稳定后重测。轮次均已计入，未剔除",
      en: "look for heat, clocks and background load, and measure again once settled; every round counts, none was removed",
    },
    evidence: {
      metrics: own.map((one) => one.series.metric).join(" "),
      rounds,
      series: family,
      ...(trend === undefined ? {} : { change: trend.change, tau: trend.tau, p: trend.p }),
      ...(strongest === undefined ? {} : { adjustedP: strongest.p }),
      ...(beside === undefined ? {} : { goesWith: beside.en }),
    },
  });
}

/** The round that is farthest from the one before it. */
function largestStep({ rounds }: RoundSeries): number | undefined {
  const steps = rounds.slice(1).map(({ round, value }, index) => ({
    round,
    step: Math.abs(Math.log(value / (rounds[index]?.value ?? value))),
  }));
  return steps.toSorted((a, b) => b.step - a.step)[0]?.round;
}
