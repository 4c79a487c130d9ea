// Words of charts in both languages, and numbers as a chart prints them: titles of axes, names of
// loads, lists, ranges. Findings are sentences of each chart and stand with it.

import type { Language } from "../experiment/experiment.ts";
import { formatNumber } from "../units.ts";
import { type ChartPoint, type ChartValue, loadOf } from "./chart-data.ts";
import { spreadText } from "./record-numbers.ts";

const noBreak = "\u00a0";

/** Picks the text of a language. */
export function say(language: Language, zh: string, en: string): string {
  return language === "zh" ? zh : en;
}

/** The first letter in upper case. */
export function capitalized(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

/** "a, b and c"; "a、b、c". */
export function list(items: readonly string[], language: Language): string {
  if (language === "zh") return items.join("、");
  const last = items.at(-1) ?? "";
  return items.length < 2 ? last : `${items.slice(0, -1).join(", ")} and ${last}`;
}

/** Name of a load: "c = 40", "并发 40"; of an open loop the last part of the point's name. */
export function loadName(point: ChartPoint, language: Language): string {
  const planned = point.plannedConcurrency;
  if (planned === undefined) return point.name.split("/").at(-1) ?? point.name;
  return say(language, `并发${noBreak}${planned}`, `c${noBreak}=${noBreak}${planned}`);
}

/** "q8, c = 4"; "q8，并发 4". */
export function pointName(point: ChartPoint, language: Language): string {
  return say(
    language,
    `${point.variantLabel}，${loadName(point, language)}`,
    `${point.variantLabel}, ${loadName(point, language)}`,
  );
}

/** How something changed: `ratio` is after / before; `label` names whose change it is. */
export interface Change {
  readonly label: string | undefined;
  readonly ratio: number;
}

/**
 * A verb and its amounts, of more than three the least and the most: "rises by 13 % (fp8) and 21 %
 * (fp4)", "grows 6.4-fold", "changes by +3 % (fp8) and −2 % (fp4)"; "增至 6.4 倍（fp8）、6.5 倍（fp4）".
 */
export function changesText(changes: readonly Change[], language: Language): string {
  const ratios = changes.map(({ ratio }) => ratio);
  const up = ratios.every((ratio) => ratio >= 1);
  const down = ratios.every((ratio) => ratio < 1);
  const fold = up && Math.max(...ratios) >= 2;
  const amount = (ratio: number): string => {
    const times = formatNumber(ratio, ratio < 10 ? 1 : 0);
    if (fold) return say(language, `${times}${noBreak}倍`, `${times}\u2011fold`);
    const share = percent(up || down ? Math.abs(ratio - 1) : ratio - 1, language);
    return !up && !down && ratio >= 1 ? `+${share}` : share;
  };
  const verb = fold
    ? say(language, "增至", "grows")
    : up
      ? say(language, "上升", "rises by")
      : down
        ? say(language, "下降", "falls by")
        : say(language, "变化", "changes by");
  const named = ({ label, ratio }: Change): string =>
    label === undefined
      ? amount(ratio)
      : say(language, `${amount(ratio)}（${label}）`, `${amount(ratio)} (${label})`);
  if (changes.length <= 3) return `${verb} ${list(changes.map(named), language)}`;
  const ordered = [...changes].sort((a, b) => a.ratio - b.ratio);
  const ends = [ordered[0], ordered.at(-1)].filter((change) => change !== undefined).map(named);
  return `${verb} ${ends.join(say(language, "到 ", " to "))}`;
}

/** "From c = 1 to c = 8 "; "并发从 1 到 8，". */
export function spanText(first: ChartPoint, last: ChartPoint, language: Language): string {
  if (
    language === "zh" &&
    first.plannedConcurrency !== undefined &&
    last.plannedConcurrency !== undefined
  ) {
    return `并发从 ${first.plannedConcurrency} 到 ${last.plannedConcurrency}，`;
  }
  const [from, to] = [loadName(first, language), loadName(last, language)];
  return say(language, `从 ${from} 到 ${to}，`, `From ${from} to ${to} `);
}

/** Mark of an invalid point: "planned 200, invalid". */
export function invalidName(point: ChartPoint, language: Language): string {
  const planned = point.plannedConcurrency;
  if (planned === undefined)
    return say(
      language,
      `${loadName(point, language)}（无效）`,
      `${loadName(point, language)}, invalid`,
    );
  return say(language, `计划 ${planned}（无效）`, `planned ${planned}, invalid`);
}

/** "at all three loads", "at both loads", "at c = 4": `all` are those that could be named. */
export function atLoads(named: readonly ChartPoint[], all: number, language: Language): string {
  const loads = [...named].sort((a, b) => loadOf(a) - loadOf(b));
  if (language === "en" && loads.length === all && all >= 2) {
    return all === 2 ? "at both loads" : `at all ${countWord(all)} loads`;
  }
  if (language === "zh" && loads.length === all && all >= 4) return `全部 ${all} 个并发下`;
  const planned = loads.map((point) => point.plannedConcurrency);
  if (planned.some((value) => value === undefined)) {
    const names = list(
      loads.map((point) => loadName(point, language)),
      language,
    );
    return say(language, `${names} 下`, `at ${names}`);
  }
  const numbers = list(planned.map(String), language);
  return say(language, `并发 ${numbers} 时`, `at c${noBreak}=${noBreak}${numbers}`);
}

function countWord(count: number): string {
  return (
    ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"][count] ??
    String(count)
  );
}

/** A share as per cent with the decimals given: "33 %", "33%". */
export function percent(share: number, language: Language, decimals = 0): string {
  const digits = formatNumber(share * 100, decimals);
  return say(language, `${digits}%`, `${digits}${noBreak}%`);
}

/** Value and interval: as the tables print them, else with two digits of the half-width. */
export function valueText(value: ChartValue, decimals = decimalsOfValue(value)): string {
  if (value.text !== undefined) return value.text;
  const { low, high, halfWidth } = value;
  if (low === undefined || high === undefined) return formatNumber(value.value, decimals);
  const print = (number: number): string => formatNumber(number, decimals);
  const spread = spreadText(
    halfWidth === undefined
      ? { plusMinus: undefined, interval: { low: print(low), high: print(high) } }
      : { plusMinus: print(halfWidth), interval: undefined },
  );
  return `${print(value.value)} ${spread ?? ""}`;
}

/** Decimals for a column of values: those of the middle one. */
export function commonDecimals(values: readonly ChartValue[]): number {
  const each = values.map(decimalsOfValue).sort((a, b) => a - b);
  return each[Math.floor(each.length / 2)] ?? 0;
}

function decimalsOfValue({ value, low, high }: ChartValue): number {
  const half = low === undefined || high === undefined ? 0 : Math.max(high - value, value - low);
  return half > 0 ? decimalsFor(half, 2) : decimalsFor(value, 3);
}

function decimalsFor(value: number, digits: number): number {
  if (value === 0) return 0;
  return Math.min(6, Math.max(0, digits - 1 - Math.floor(Math.log10(Math.abs(value)))));
}

/** A sentence ends and the next begins. */
export function sentences(parts: readonly string[], language: Language): string {
  return language === "zh"
    ? parts.map((part) => `${part}。`).join("")
    : parts.map((part) => `${part}.`).join(" ");
}
