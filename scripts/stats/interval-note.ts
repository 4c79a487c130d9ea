// The sentences under a table of estimates: what its intervals cover and what they do not.
import type { Language } from "../experiment/experiment.ts";
import { formatNumber } from "../units.ts";
import { studentQuantile } from "./distributions.ts";
import { onDemandLevel, printedLevel, unseenShare } from "./intervals.ts";
import type { GatingSpread, StoppingRule } from "./stopping.ts";

interface CountRange {
  readonly least: number;
  readonly most: number;
}

/** What the intervals of a point, or of all points of a table, rest on. */
export interface EstimateFacts {
  /** Values behind each interval: engine starts, or rounds or repeats within one process. */
  readonly units: CountRange;
  /** `start`: some round had several engine starts, each of which is a value. */
  readonly unit: "round" | "repeat" | "start";
  /** Trials averaged into each value. */
  readonly repeatsPerUnit: number;
  /** Completed measured requests of a point, all rounds together. */
  readonly requests: CountRange;
  /** Engine starts, attachments to a running engine included, that served the point. */
  readonly starts: CountRange;
  /**
   * `fresh`: a start of its own behind each value. `one`: one engine life for all, so the interval
   * covers repeats and not restarts. `several`: an engine that was kept, and yet started or attached
   * to more than once, so it covers restarts in part at most.
   */
  readonly engines: "fresh" | "one" | "several";
  /** Every round has prompts of its own. */
  readonly freshPrompts: boolean;
  /** The spread decided how many rounds there are; absent: their number was fixed before the start. */
  readonly onDemand?: OnDemand | undefined;
}

/** The rule of rounds on demand, and how they ended. */
export interface OnDemand extends StoppingRule {
  /** One, or one for each variant where they end on their own (`order: grouped`); none: not ended. */
  readonly ends: readonly {
    readonly variant: string | undefined;
    readonly round: number;
    readonly outcome: "reached" | "max";
    /** The widest interval at the end; undefined: no spread was known. */
    readonly widest: Pick<GatingSpread, "point" | "metric" | "share"> | undefined;
  }[];
}

/**
 * The facts of a table with several points: ranges where they differ, and the weaker statement
 * where only some points allow the stronger.
 *
 * @returns undefined for no point
 */
export function combineFacts(all: readonly EstimateFacts[]): EstimateFacts | undefined {
  const [first] = all;
  if (first === undefined) return undefined;
  const engines = new Set(all.map((facts) => facts.engines));
  return {
    units: rangeOf(all.map((facts) => facts.units)),
    unit: all.every(({ unit }) => unit === first.unit) ? first.unit : "round",
    repeatsPerUnit: Math.min(...all.map((facts) => facts.repeatsPerUnit)),
    requests: rangeOf(all.map((facts) => facts.requests)),
    starts: rangeOf(all.map((facts) => facts.starts)),
    engines: (["one", "several"] as const).find((kind) => engines.has(kind)) ?? "fresh",
    freshPrompts: all.every((facts) => facts.freshPrompts),
    onDemand: combineOnDemand(all.flatMap(({ onDemand }) => onDemand ?? [])),
  };
}

/** Points of one experiment follow one rule; an end that they share is said once. */
function combineOnDemand(all: readonly OnDemand[]): OnDemand | undefined {
  const [first] = all;
  if (first === undefined) return undefined;
  const ends = new Map(
    all.flatMap((one) => one.ends).map((end) => [`${end.variant ?? ""} ${end.round}`, end]),
  );
  return { ...first, ends: [...ends.values()] };
}

/**
 * The note under a table, one paragraph.
 *
 * @example one round, 40 requests: "1 round, 40 requests. No confidence interval: spread between
 * rounds was not measured."
 */
export function intervalNote(facts: EstimateFacts, language: Language): string {
  if (facts.units.most === 0) return nothingMeasured[language];
  if (facts.units.most === 1) return oneRound(facts)[language];
  const sentences = [
    coverage(facts),
    ...(facts.units.least === 1 ? [someOneRound] : []),
    ...(facts.units.least <= 2 && facts.units.most >= 2 ? [twoRounds(facts)] : []),
    unseenMode(facts),
    ...(facts.onDemand === undefined ? [] : [onDemandNote(facts.onDemand)]),
  ];
  return sentences.map((sentence) => sentence[language]).join(language === "zh" ? "" : " ");
}

type Sentence = Readonly<Record<Language, string>>;

const unitTexts: Readonly<Record<EstimateFacts["unit"], Sentence>> = {
  round: { zh: "轮", en: "rounds" },
  repeat: { zh: "次重复", en: "repeats" },
  start: { zh: "次启动", en: "engine starts" },
};

const nothingMeasured: Sentence = {
  zh: "没有完成的请求，没有可报告的数值。",
  en: "No request completed: there is no value to report.",
};

function oneRound({ requests }: EstimateFacts): Sentence {
  const plural = requests.most === 1 ? "request" : "requests";
  return {
    zh: `1 轮，${rangeText(requests, "zh")} 个请求。没有置信区间：未测量轮次之间的离散。`,
    en: `1 round, ${rangeText(requests, "en")} ${plural}. No confidence interval: spread between rounds was not measured.`,
  };
}

function coverage(facts: EstimateFacts): Sentence {
  const unit = unitTexts[facts.unit];
  const averaged: Sentence =
    facts.repeatsPerUnit > 1
      ? {
          zh: `（每${facts.unit === "start" ? "次启动" : "轮"}取 ${facts.repeatsPerUnit} 次重复的均值）`,
          en: ` (each the mean of ${facts.repeatsPerUnit} repeats)`,
        }
      : { zh: "", en: "" };
  const fresh: Sentence =
    facts.unit === "start"
      ? { zh: "有的轮次启动过不止一次", en: "more than one start in some rounds" }
      : { zh: "每轮全新启动", en: "fresh start per round" };
  const process: Sentence = {
    fresh,
    one: {
      zh: "同一服务进程（覆盖重复，不覆盖重启）",
      en: "one server process (covers repeats, not restarts)",
    },
    several: {
      zh: `引擎跨轮保留，共启动或接入 ${rangeText(facts.starts, "zh")} 次（覆盖重复，至多部分覆盖重启）`,
      en: `an engine kept between rounds and started or attached to ${rangeText(facts.starts, "en")} times (covers repeats, restarts in part at most)`,
    },
  }[facts.engines];
  const prompts: Sentence = facts.freshPrompts
    ? { zh: "每轮提示词不同", en: "fresh prompts" }
    : { zh: "同一组提示词", en: "one prompt set" };
  const mean: Sentence =
    facts.engines === "fresh"
      ? { zh: "多次引擎启动均值的 95% 置信区间", en: "95 % CI of the mean over engine restarts" }
      : { zh: "均值的 95% 置信区间", en: "95 % CI of the mean" };
  return {
    zh: `${mean.zh}：${rangeText(facts.units, "zh")} ${unit.zh}${averaged.zh}，Student t，${process.zh}，${prompts.zh}。`,
    en: `${mean.en}, Student t over ${rangeText(facts.units, "en")} ${unit.en}${averaged.en}, ${process.en}, ${prompts.en}.`,
  };
}

const someOneRound: Sentence = {
  zh: "只有 1 轮的测点没有置信区间。",
  en: "A point with 1 round has no confidence interval.",
};

/** t(0.975, 1) is 12.7 where ten rounds have 2.26: such an interval is honest and nearly useless. */
function twoRounds({ units, unit, onDemand }: EstimateFacts): Sentence {
  const all = units.least === 2 && units.most === 2;
  const level = onDemand === undefined ? printedLevel : onDemandLevel;
  const times = formatNumber(studentQuantile((1 + level) / 2, 1), 1);
  return {
    zh: `${all ? "" : "部分测点"}只有 2 ${unitTexts[unit].zh}：自由度为 1，区间半宽是标准误的 ${times} 倍，只能看数量级。`,
    en: `${all ? "Only 2" : "Points with only 2"} ${unitTexts[unit].en}: with 1 degree of freedom the interval reaches ${times} standard errors either way and tells the order of magnitude only.`,
  };
}

function unseenMode({ units, unit, engines }: EstimateFacts): Sentence {
  const share = 100 * unseenShare(Math.max(2, units.least));
  const text = formatNumber(share, share < 10 ? 1 : 0);
  if (engines === "fresh") {
    return {
      zh: `出现概率低于 ${text}% 的启动状态可能未被观察到。`,
      en: `A mode hit by fewer than ${text} % of restarts could be unseen.`,
    };
  }
  const restarts: Sentence =
    engines === "one"
      ? { zh: "；重启之间的差异未测量", en: "; how restarts differ was not measured" }
      : { zh: "", en: "" };
  return {
    zh: `出现概率低于 ${text}% 的${unit === "repeat" ? "重复" : "轮次"}状态可能未被观察到${restarts.zh}。`,
    en: `A mode hit by fewer than ${text} % of ${unitTexts[unit].en} could be unseen${restarts.en}.`,
  };
}

function onDemandNote(onDemand: OnDemand): Sentence {
  const { target, min, max } = onDemand;
  const share = formatShare(target);
  const end = onDemandEnd(onDemand);
  return {
    zh: `轮次按需增加：测前声明 ${min} 至 ${max} 轮，所有判定指标的区间半宽都不超过均值的 ${share.replace(" ", "")} 时停止；${end.zh}。轮数由区间宽度决定，所以区间按 t(.9875) 而非 t(.975) 计算，作为 95% 区间给出。`,
    en: `Rounds on demand, declared before the start: ${min} to ${max}, until the half-width of every gating metric is at most ${share} of its mean; ${end.en}. The width decided the number of rounds, so the interval is computed with t(.9875) in place of t(.975) and given as 95 %.`,
  };
}

/** How rounds on demand ended: "ended after round 6, target reached (widest: 1.8 % of fp32/c4 ttft.p90)". */
export function onDemandEnd({ ends }: Pick<OnDemand, "ends">): Sentence {
  if (ends.length === 0) return { zh: "尚未结束", en: "not ended, as the run is not finished" };
  const texts = ends.map(({ variant, round, outcome, widest }): Sentence => {
    const whose = variant === undefined ? "" : `${variant} `;
    const reached = outcome === "reached";
    const share = widest?.share === undefined ? undefined : formatShare(widest.share, 2);
    const where = `${widest?.point ?? ""} ${widest?.metric ?? ""}`;
    return {
      zh: `${whose}第 ${round} 轮后${reached ? "达到目标，停止" : "停止，未达到目标"}${share === undefined ? "" : `（最宽的是 ${where}：${share.replace(" ", "")}）`}`,
      en: `${whose}ended after round ${round}, target ${reached ? "" : "not "}reached${share === undefined ? "" : ` (widest: ${share} of ${where})`}`,
    };
  });
  return {
    zh: texts.map(({ zh }) => zh).join("；"),
    en: texts.map(({ en }) => en).join("; "),
  };
}

/** @example formatShare(0.02) // "2 %", formatShare(0.02676, 2) // "2.7 %" */
export function formatShare(share: number, digits = 6): string {
  return `${Number((share * 100).toPrecision(digits))} %`;
}

function rangeOf(ranges: readonly CountRange[]): CountRange {
  return {
    least: Math.min(...ranges.map(({ least }) => least)),
    most: Math.max(...ranges.map(({ most }) => most)),
  };
}

function rangeText({ least, most }: CountRange, language: Language): string {
  if (least === most) return formatNumber(most, 0);
  const joint = language === "zh" ? "至" : "to";
  return `${formatNumber(least, 0)} ${joint} ${formatNumber(most, 0)}`;
}
