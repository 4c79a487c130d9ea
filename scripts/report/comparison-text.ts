// A comparison as a terminal prints it, in either language, and as JSON for machines.
import type { Language } from "../experiment/experiment.ts";
import type { ComparedSides } from "../review/compare.ts";
import type { CellComparison, CellOutcome, Comparison } from "../stats/comparison.ts";
import { counted, formatNumber } from "../units.ts";
import { metricText } from "./metric-texts.ts";
import { table } from "./terminal.ts";

const outcomes: Readonly<Record<CellOutcome, Readonly<Record<Language, string>>>> = {
  equivalent: { en: "equivalent", zh: "等效" },
  differs: { en: "differs", zh: "有差异" },
  inconclusive: { en: "inconclusive", zh: "无法定论" },
  not_testable: { en: "not testable", zh: "不可检验" },
};

const reasons: Readonly<
  Record<NonNullable<CellComparison["reason"]>, Readonly<Record<Language, string>>>
> = {
  one_round: { en: "one round on a side", zh: "一侧只有一轮" },
  no_spread: { en: "no spread at the recorded precision", zh: "各轮数值相同，没有离散度" },
  no_value: { en: "no value on a side", zh: "一侧没有数值" },
};

const metricNames: Readonly<Record<string, Readonly<Record<Language, string>>>> = {
  output_tps: { zh: "输出吞吐", en: "output throughput" },
  "ttft.mean": { zh: "平均 TTFT", en: "mean TTFT" },
  "tpot.mean": { zh: "平均 TPOT", en: "mean TPOT" },
  "e2e.mean": { zh: "平均 E2E", en: "mean E2E" },
};

/** A metric in a sentence, a mean by its full name: "output throughput", "mean TTFT", "TTFT p90". */
export function comparedName(metric: string, language: Language): string {
  return metricNames[metric]?.[language] ?? metricText(metric)?.head[language] ?? metric;
}

/** A ratio as a table and a figure print it: "1.33" and "[1.23, 1.44]", "" where it has no interval. */
export interface RatioText {
  readonly ratio: string;
  readonly interval: string;
}

/** The ratios of a comparison in its order, with one number of decimals for all. */
export function ratioTexts({ cells }: Pick<Comparison, "cells">): readonly RatioText[] {
  const halves = cells
    .flatMap(({ low, high }) => (low === undefined || high === undefined ? [] : [(high - low) / 2]))
    .sort((x, y) => x - y);
  const decimals = (halves[Math.floor(halves.length / 2)] ?? 1) < 0.02 ? 3 : 2;
  return cells.map(({ ratio, low, high }) => ({
    ratio: ratio === undefined ? "–" : ratioText(ratio, decimals),
    interval:
      low === undefined || high === undefined
        ? ""
        : `[${ratioText(low, decimals)}, ${ratioText(high, decimals)}]`,
  }));
}

/** Beyond a thousandfold no digit of a ratio says more. */
function ratioText(ratio: number, decimals: number): string {
  if (ratio >= 1000) return "> 999";
  if (ratio < 0.01) return "< 0.01";
  return formatNumber(ratio, ratio >= 100 ? 0 : ratio >= 10 ? 1 : decimals);
}

/** A p-value as printed; "–" where there was no test. */
export function pText({ adjustedP }: CellComparison): string {
  if (adjustedP === undefined) return "–";
  return adjustedP < 0.001 ? "< 0.001" : formatNumber(adjustedP, 3);
}

/** What `benchbook compare` prints. */
export function describeComparison(sides: ComparedSides, language: Language): string {
  const say = (en: string, zh: string): string => (language === "zh" ? zh : en);
  const lines = [
    say(`Ratio: ${sides.a} / ${sides.b}`, `比值：${sides.a} / ${sides.b}`),
    ...(sides.comparable ? [] : notComparable(sides, language)),
  ];
  const { comparison } = sides;
  if (comparison !== undefined) {
    lines.push(
      "",
      table(
        [
          say("point", "测点"),
          say("metric", "指标"),
          say("ratio", "比值"),
          say("95 % CI", "95% 置信区间"),
          say("p, Holm", "p（Holm）"),
          say("outcome", "结论"),
        ],
        comparison.cells.map((cell) => rowOf(cell, language)),
        [2, 3, 4],
      ).trimEnd(),
      "",
      comparisonNotes({ ...sides, comparison }, language).join("\n"),
      overallText(comparison, language),
    );
  }
  for (const { point, why } of sides.notCompared)
    lines.push(
      say(`Not compared: ${point} (${why})`, `未比较：${point}（${whyText(why, language)}）`),
    );
  return `${lines.join("\n")}\n`;
}

function notComparable({ obstacles, a, b }: ComparedSides, language: Language): string[] {
  return [
    language === "zh"
      ? "不可比：以下各项两侧不同，比较结果没有意义。"
      : "Not comparable: these differ, so a ratio would say nothing.",
    table(
      language === "zh" ? ["字段", a, b] : ["field", a, b],
      obstacles.map((obstacle) => [obstacle.field, obstacle.a, obstacle.b]),
    ).trimEnd(),
  ];
}

function rowOf(cell: CellComparison, language: Language): string[] {
  const { low, high, ratio } = cell;
  return [
    cell.point,
    metricText(cell.metric)?.head[language] ?? cell.metric,
    ratio === undefined ? "-" : formatNumber(ratio, 3),
    low === undefined || high === undefined
      ? "-"
      : `[${formatNumber(low, 3)}, ${formatNumber(high, 3)}]`,
    pText(cell),
    outcomeText(cell, language),
  ];
}

/** "differs"; "equivalent, differs by 1.2 %"; "inconclusive (about 9 rounds could show equivalence)". */
export function outcomeText(cell: CellComparison, language: Language): string {
  const zh = language === "zh";
  const word = outcomes[cell.outcome][language];
  if (cell.reason !== undefined)
    return zh ? `${word}（${reasons[cell.reason].zh}）` : `${word} (${reasons[cell.reason].en})`;
  if (cell.alsoDiffers && cell.ratio !== undefined) {
    const percent = formatNumber(Math.abs(cell.ratio - 1) * 100, 1);
    return zh ? `${word}，确有 ${percent}% 差异` : `${word}, differs by ${percent} %`;
  }
  if (cell.roundsNeeded === undefined) return word;
  return zh
    ? `${word}（等效需约 ${cell.roundsNeeded} 轮）`
    : `${word} (about ${cell.roundsNeeded} rounds could show equivalence)`;
}

/** What the outcomes under a comparison rest on, a sentence or two each. */
export function comparisonNotes(
  { comparison, oneProcess }: { readonly comparison: Comparison; readonly oneProcess: boolean },
  language: Language,
): readonly string[] {
  const margin = formatNumber(comparison.margin * 100, 1);
  const tests = comparison.cells.filter(({ p }) => p !== undefined).length;
  const paired = comparison.cells.some(({ method }) => method === "paired t of logs");
  if (language === "zh") {
    return [
      `区间未做多重比较校正；“有差异”要求 ${tests} 个检验经 Holm 校正后 p < 0.05。`,
      `“等效”指 90% 区间落在 ±${margin}% 之内（${comparison.marginDeclared ? "事先声明" : "取 5% 与实测变异系数 3 倍中的较大者，不超过 20%"}）。`,
      paired ? "同一轮的两个数值配对：对数之比的 t 检验。" : "对数值的 Welch t 检验，以轮为单位。",
      ...(oneProcess ? ["至少一侧各轮共用一个服务进程：区间不含重启带来的差异。"] : []),
    ];
  }
  return [
    `Intervals are unadjusted; “differs” needs p < 0.05 after Holm over ${counted(tests, "test")}.`,
    `“Equivalent”: the 90 % interval lies within ±${margin} % (${comparison.marginDeclared ? "declared" : "5 %, or three times the measured CV, 20 % at most"}).`,
    paired
      ? "Values of one round are pairs: t on the logs of their ratio."
      : "Welch's t on logs, rounds as the unit.",
    ...(oneProcess
      ? ["The rounds of a side shared one server process: restarts are not in these intervals."]
      : []),
  ];
}

const whyZh: Readonly<Record<string, string>> = {
  "another workload or protocol": "负载或测试流程不同",
  "the first answers were cut in one of the two only": "只有一侧截短了首个应答",
  "measured for one of the two only": "只有一侧测了该点",
};

/** Why a point was not compared, in a language. */
export function whyText(why: string, language: Language): string {
  if (language === "en") return why;
  return (
    whyZh[why] ??
    why.replace(/^only in /, "只有这次运行有：").replace(/^invalid on a side: /, "有一侧无效：")
  );
}

/** The outcome of the whole, over the gating metrics. */
export function overallText({ outcome }: Comparison, language: Language): string {
  return language === "zh"
    ? `总体结论（输出吞吐、TTFT 均值与 p90、TPOT 均值）：${outcomes[outcome].zh}`
    : `Outcome over output throughput, mean and p90 TTFT, mean TPOT: ${outcomes[outcome].en}`;
}

/** The object of `benchbook compare --json`. */
export function comparisonJson(sides: ComparedSides): object {
  const { comparison } = sides;
  return {
    a: sides.a,
    b: sides.b,
    comparable: sides.comparable,
    obstacles: sides.obstacles,
    outcome: comparison?.outcome ?? "not_comparable",
    margin: comparison?.margin ?? null,
    rows: (comparison?.cells ?? []).map((cell) => ({
      point: cell.point,
      metric: cell.metric,
      ratio: cell.ratio ?? null,
      low: cell.low ?? null,
      high: cell.high ?? null,
      p: cell.p ?? null,
      adjustedP: cell.adjustedP ?? null,
      outcome: cell.outcome,
      reason: cell.reason ?? null,
      roundsNeeded: cell.roundsNeeded ?? null,
      rounds: cell.rounds,
      method: cell.method ?? null,
    })),
    notCompared: sides.notCompared,
  };
}
