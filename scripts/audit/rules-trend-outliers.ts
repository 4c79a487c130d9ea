// S9: which round is unlike the others. It is labelled, and counts like every other.
import type { LocalText } from "../experiment/experiment.ts";
import { holm } from "../stats/comparison.ts";
import { isSignificant, type OutlyingRound, outlyingRounds } from "../stats/trend.ts";
import { formatNumber } from "../units.ts";
import { figureName, goesWith, mostRounds, type RoundSeries, seriesOf } from "./round-series.ts";
import { type AuditInput, found, notChecked, type Outcome, pass, shareText } from "./rule.ts";
import { thresholds } from "./thresholds.ts";
import { besideText, pText } from "./trend-text.ts";

/** Every round of every series against the others. */
export function checkOutliers(input: AuditInput): readonly Outcome[] {
  const { cells, common } = seriesOf(input);
  const rounds = mostRounds(cells);
  if (rounds === undefined) return [notChecked("run", "没有测得任何测点", "no point was measured")];
  if (rounds < 5) {
    return [
      notChecked(
        "run",
        `只有 ${rounds} 轮，至少要 5 轮才能看出哪一轮离群`,
        `${rounds === 1 ? "1 round" : `${rounds} rounds`}: 5 are needed to tell one from the others`,
      ),
    ];
  }
  const shared = common.filter(({ points }) => points.length > 1);
  const all = [...shared, ...cells].flatMap((series) =>
    outlyingRounds(series.rounds).map((outlier) => ({ series, outlier })),
  );
  const adjusted = holm(all.map(({ outlier }) => outlier.p));
  const flagged = all.flatMap((one, index): readonly FlaggedRound[] => {
    const p = adjusted[index];
    const { mads, deviation } = one.outlier;
    const isFar = (mads ?? Number.POSITIVE_INFINITY) > thresholds.outlyingRoundMads.value;
    const isLarge = Math.abs(deviation) > thresholds.trendOverRun.value;
    return p !== undefined && isSignificant(p) && isFar && isLarge ? [{ ...one, p }] : [];
  });
  const places = new Map<string, FlaggedRound[]>();
  for (const one of flagged) {
    const place = JSON.stringify([one.series.where, one.outlier.round]);
    places.set(place, [...(places.get(place) ?? []), one]);
  }
  if (places.size === 0) return [pass("run")];
  return [...places.values()].flatMap((own) => outlierFinding(input, own));
}

interface FlaggedRound {
  readonly series: RoundSeries;
  readonly outlier: OutlyingRound;
  /** After Holm. */
  readonly p: number;
}

function outlierFinding(input: AuditInput, own: readonly FlaggedRound[]): readonly Outcome[] {
  const [first] = own;
  if (first === undefined) return [];
  const { series, outlier } = first;
  const { round } = outlier;
  const clauses = own.map((one): LocalText => {
    const name = figureName(one.series.metric);
    const { mads } = one.outlier;
    const far: LocalText =
      mads === undefined
        ? { zh: "其他各轮几乎相同", en: "most other rounds are the same" }
        : { zh: `${formatNumber(mads, 1)} 倍 MAD`, en: `${formatNumber(mads, 1)} scaled MADs` };
    return {
      zh: `${name.zh}比其他各轮中位数${comparedZh(one.outlier.deviation)}（${far.zh}，校正后 p ${pText(one.p)}）`,
      en: `${name.en} is ${comparedEn(one.outlier.deviation)} the median of the others (${far.en}, p ${pText(one.p)} after Holm)`,
    };
  });
  const beside = changesBeside(input, first);
  return [
    found({
      severity: "warn",
      where: series.where,
      seen: {
        zh: `第 ${round} 轮离群：${clauses.map(({ zh }) => zh).join("；")}${besideText(beside).zh}`,
        en: `round ${round} is unlike the others: ${clauses.map(({ en }) => en).join("; ")}${besideText(beside).en}`,
      },
      expected: { zh: "各轮相近", en: "rounds that are alike" },
      mend: {
        zh: "查这一轮的引擎日志与环境；该轮照常计入，未剔除",
        en: "read the engine's log and the environment of that round; it counts like the others and was not removed",
      },
      evidence: {
        round,
        metrics: own.map((one) => one.series.metric).join(" "),
        deviation: outlier.deviation,
        ...(outlier.mads === undefined ? {} : { mads: outlier.mads }),
        adjustedP: first.p,
        ...(beside === undefined ? {} : { goesWith: beside.en }),
      },
    }),
  ];
}

/** Of one round only what changed in it can be named: an order over the rounds says nothing of it. */
function changesBeside(
  input: AuditInput,
  { series, outlier }: FlaggedRound,
): LocalText | undefined {
  return goesWith(input, { ...series, rounds: [] }, outlier.round);
}

function comparedZh(deviation: number): string {
  return `${deviation > 0 ? "高" : "低"} ${shareText(Math.abs(deviation)).zh}`;
}

function comparedEn(deviation: number): string {
  return `${shareText(Math.abs(deviation)).en} ${deviation > 0 ? "above" : "below"}`;
}
