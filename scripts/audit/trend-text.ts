// The words that the findings about drift share: how far, between which ends, how sure, and beside what.
import type { LocalText } from "../experiment/experiment.ts";
import { formatNumber } from "../units.ts";
import { shareText } from "./rule.ts";

/** "rises by 10.2 %". */
export function directed(change: number, language: "zh" | "en"): string {
  const share = shareText(Math.abs(change))[language];
  if (language === "zh") return `${change > 0 ? "上升" : "下降"} ${share}`;
  return `${change > 0 ? "rises" : "falls"} by ${share}`;
}

/** "+6.1 % to +14.0 %". */
export function endsText({
  low,
  high,
}: {
  readonly low: number;
  readonly high: number;
}): LocalText {
  const text = (share: number): string => `${share > 0 ? "+" : ""}${shareText(share).zh}`;
  const textEn = (share: number): string => `${share > 0 ? "+" : ""}${shareText(share).en}`;
  return { zh: `${text(low)} 至 ${text(high)}`, en: `${textEn(low)} to ${textEn(high)}` };
}

/** "= 0.012", "< 0.001". */
export function pText(p: number): string {
  return p < 0.001 ? "< 0.001" : `= ${formatNumber(p, 3)}`;
}

/** The sentence that says what goes with a finding; nothing where there is nothing. */
export function besideText(beside: LocalText | undefined): LocalText {
  return beside === undefined
    ? { zh: "", en: "" }
    : {
        zh: `。同时出现（不等于原因）：${beside.zh}`,
        en: `. Goes with it, which does not make it the cause: ${beside.en}`,
      };
}
