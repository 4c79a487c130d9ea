// From the estimates of every load to what a record says of the SLO: the verdict of each load, and per
// variant between which loads the highest one lies that meets it.
import type { Load, LocalText, SloLimit } from "../experiment/experiment.ts";
import type { Point } from "../experiment/plan.ts";
import {
  type LimitVerdict,
  type LoadVerdict,
  type SloLoad,
  type SloSeries,
  type SloVerdict,
  sloSeries,
} from "../stats/slo.ts";
import { formatNumber } from "../units.ts";
import type { RecordMaterial } from "./record-material.ts";

export interface SloData {
  readonly limits: readonly SloLimitData[];
  /** One per variant, workload and kind of load, in the order of the plan. */
  readonly series: readonly SloSeriesData[];
  /** By point. */
  readonly verdicts: Readonly<Record<string, SloPointVerdict>>;
  /** Points that are no load of a series, by what is the reason. */
  readonly leftOut: readonly { readonly point: string; readonly why: SloLeftOut }[];
}

interface SloLimitData {
  /** Key of the estimate that is held against it: "ttft.p90". */
  readonly key: string;
  /** "TTFT p90 ≤ 200 ms". */
  readonly text: string;
}

interface SloSeriesData {
  readonly variant: string;
  /** The variant, and the workload where there are several. */
  readonly label: LocalText;
  readonly kind: SloSeries["answer"]["kind"];
  /** The answer in one sentence without its full stop. */
  readonly answer: LocalText;
}

export interface SloPointVerdict {
  readonly verdict: SloVerdict;
  /** By key of the estimate. */
  readonly limits: Readonly<Record<string, Pick<LimitVerdict, "verdict" | "by">>>;
}

/** `unordered`: a ramp or a trace has no one load. */
type SloLeftOut = "invalid" | "not_measured" | "unordered";

/** What the record says of the SLO; undefined: the experiment has none. */
export function sloOf(material: RecordMaterial): SloData | undefined {
  const { slo } = material.experiment;
  if (slo.length === 0) return undefined;
  const leftOut: { point: string; why: SloLeftOut }[] = [];
  const groups = new Map<string, { readonly first: Point; readonly loads: SloLoad[] }>();
  for (const point of material.points) {
    const told = loadOf(point, material);
    if (typeof told === "string") {
      leftOut.push({ point: point.name, why: told });
      continue;
    }
    const key = seriesKey(point);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { first: point, loads: [told] });
    else group.loads.push(told);
  }
  const series = [...groups.values()].map(({ first, loads }) => ({
    first,
    judged: sloSeries(loads, slo),
  }));
  return {
    limits: slo.map((limit) => ({ key: limitKey(limit), text: limitText(limit) })),
    series: series.map(({ first, judged }) => ({
      variant: first.variant,
      label: seriesLabel(first, material),
      kind: judged.answer.kind,
      answer: answerText(judged, first.load),
    })),
    verdicts: Object.fromEntries(
      series.flatMap(({ judged }) => judged.loads.map((one) => [one.point, pointVerdict(one)])),
    ),
    leftOut,
  };
}

/** One line per series for a terminal: "fp32: at least concurrency 8; ...". */
export function sloLines(slo: SloData | undefined): readonly string[] {
  if (slo === undefined) return [];
  const limits = slo.limits.map(({ text }) => text).join(", ");
  return slo.series.map(({ label, answer }) => `SLO (${limits}), ${label.en}: ${answer.en}`);
}

/** A load that can stand in a series, or why it can't. What is invalid must not be quoted, so it decides nothing. */
function loadOf(point: Point, { measured, audit }: RecordMaterial): SloLoad | SloLeftOut {
  const { load } = point;
  if (load.kind === "ramp" || load.kind === "trace") return "unordered";
  const own = measured.find((one) => one.point === point.name);
  if (own === undefined) return "not_measured";
  const verdict = audit.points.find((one) => one.point === point.name)?.verdict;
  if (verdict === "invalid") return "invalid";
  return {
    point: point.name,
    load: load.kind === "rate" ? load.requestRatePerS : load.concurrency,
    estimates: own.estimates,
    requests: own.requests,
  };
}

/** Loads of one series differ in nothing but how much they are. */
function seriesKey({ variant, workload, load }: Point): string {
  return JSON.stringify([
    variant,
    workload,
    load.kind,
    load.kind === "rate" ? load.arrivals : undefined,
  ]);
}

function seriesLabel({ variant, workload }: Point, { experiment }: RecordMaterial): LocalText {
  if (experiment.workloads.length < 2) return { zh: variant, en: variant };
  return { zh: `${variant}，${workload}`, en: `${variant}, ${workload}` };
}

function pointVerdict({ verdict, limits }: LoadVerdict): SloPointVerdict {
  return {
    verdict,
    limits: Object.fromEntries(
      limits.map((one) => [one.key, { verdict: one.verdict, by: one.by }]),
    ),
  };
}

function limitKey({ metric, percentile }: SloLimit): string {
  return `${metric}.p${percentile}`;
}

function limitText({ metric, percentile, limitMs }: SloLimit): string {
  const limit = formatNumber(limitMs, Number.isInteger(limitMs) ? 0 : 1);
  return `${metric.toUpperCase()} p${percentile} ≤ ${limit} ms`;
}

// Words

function answerText(series: SloSeries, load: Load): LocalText {
  const unit: LocalText =
    load.kind === "rate" ? { zh: "速率", en: "rate" } : { zh: "并发", en: "concurrency" };
  const suffix = load.kind === "rate" ? "/s" : "";
  const amount = (one: LoadVerdict): string => `${one.load}${suffix}`;
  const list = (loads: readonly LoadVerdict[], comma: string): string =>
    loads.map(amount).join(comma);
  const open: LocalText = {
    zh: list(series.undecided, "、"),
    en: list(series.undecided, ", "),
  };
  const clauses: LocalText[] = [headText(series, unit, amount)];
  if (series.undecided.length > 0 && series.answer.kind !== "open") {
    const { zh, en } = openPlaces[series.answer.kind];
    clauses.push({ zh: `${zh}未定：${unit.zh} ${open.zh}`, en: `undecided ${en}: ${open.en}` });
  }
  if (series.goodAbove.length > 0) {
    clauses.push({
      zh: `不单调：更高的 ${unit.zh} ${list(series.goodAbove, "、")} 又达标，不计入`,
      en: `not monotone: met again at ${list(series.goodAbove, ", ")}, which does not count`,
    });
  }
  if (!series.byIntervals) {
    clauses.push({
      zh: "部分判定没有区间，只凭数值",
      en: "some verdicts are by the value alone, without an interval",
    });
  }
  return {
    zh: clauses.map(({ zh }) => zh).join("；"),
    en: clauses.map(({ en }) => en).join("; "),
  };
}

const openPlaces: Readonly<Record<"between" | "at_least" | "below", LocalText>> = {
  between: { zh: "其间", en: "between" },
  at_least: { zh: "其上", en: "above" },
  below: { zh: "其下", en: "below" },
};

function headText(
  { answer, undecided }: SloSeries,
  unit: LocalText,
  amount: (one: LoadVerdict) => string,
): LocalText {
  switch (answer.kind) {
    case "between": {
      const [good, bad] = [amount(answer.good), amount(answer.bad)];
      const missed = missedText(answer.bad);
      return {
        zh: `达标的最高负载在${unit.zh} ${good}（达标）与 ${bad}（未达标：${missed}）之间`,
        en: `the highest load that meets it lies between ${unit.en} ${good} (met) and ${bad} (not met: ${missed})`,
      };
    }
    case "at_least":
      return {
        zh: `至少到${unit.zh} ${amount(answer.good)}：测过的负载没有未达标的`,
        en: `at least ${unit.en} ${amount(answer.good)}: no load that was tested misses it`,
      };
    case "below": {
      const [bad, missed] = [amount(answer.bad), missedText(answer.bad)];
      return undecided.length === 0
        ? {
            zh: `低于${unit.zh} ${bad}：测过的最低负载已未达标（${missed}）`,
            en: `below ${unit.en} ${bad}: the lowest load that was tested misses it (${missed})`,
          }
        : {
            zh: `低于${unit.zh} ${bad}（未达标：${missed}）`,
            en: `below ${unit.en} ${bad} (not met: ${missed})`,
          };
    }
    case "open":
      return {
        zh: "未定：没有一个负载确定达标或未达标",
        en: "undecided: no load that was tested is sure to meet or to miss it",
      };
  }
}

/** "TTFT p90, TPOT p90": the limits that a bad load is beyond. */
function missedText({ limits }: LoadVerdict): string {
  return limits
    .filter(({ verdict }) => verdict === "bad")
    .map(({ limit }) => `${limit.metric.toUpperCase()} p${limit.percentile}`)
    .join(", ");
}
