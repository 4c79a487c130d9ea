// Text as a typesetter leaves it: Chinese and Latin one space apart, number and unit on one line,
// the percent sign as each language has it, and hostile characters made visible. Never used in code.
import type { Language } from "../experiment/experiment.ts";

const noBreakSpace = "\u00a0";
const latinEnd = /[A-Za-z0-9%°µ±]$/;
const latinStart = /^[A-Za-z0-9±]/;
const hanEnd = /\p{Script=Han}$/u;
const hanStart = /^\p{Script=Han}/u;

const units =
  "ms|s|min|h|us|µs|token/s|token|tokens|1/s|req/s|kB|MB|GB|KiB|MiB|GiB|TiB|MHz|GHz|GB/s|W|J|J/token|°C";
const numberThenUnit = new RegExp(`(\\d) (?=(?:${units})(?![A-Za-z0-9/]))`, "g");

/**
 * Sets prose in a language.
 *
 * @example setText("并发40时为3.1 %", "zh") // "并发 40 时为 3.1%"
 * @example setText("3.1% of 20 ms", "en") // "3.1 % of 20 ms", both with no-break spaces
 */
export function setText(text: string, language: Language): string {
  const percent =
    language === "zh"
      ? text.replaceAll(/(\d)[ \u00a0]%/g, "$1%")
      : text.replaceAll(/(\d)[ \u00a0]?%/g, `$1${noBreakSpace}%`);
  const spaced =
    language === "zh"
      ? percent
          .replaceAll(/(\p{Script=Han})(?=[A-Za-z0-9±])/gu, "$1 ")
          .replaceAll(/([A-Za-z0-9%°µ])(?=\p{Script=Han})/gu, "$1 ")
      : percent;
  return spaced.replaceAll(numberThenUnit, `$1${noBreakSpace}`);
}

/** What stands between two set pieces of text: a space where Han meets Latin in Chinese, else nothing. */
export function between(before: string, after: string, language: Language): "" | " " {
  if (language !== "zh") return "";
  const meet =
    (hanEnd.test(before) && latinStart.test(after)) ||
    (latinEnd.test(before) && hanStart.test(after));
  return meet ? " " : "";
}

/** What a line break within a paragraph becomes: nothing between two Han characters, else a space. */
export function softBreak(before: string, after: string): "" | " " {
  const wide = /[\p{Script=Han}，。；：、？！（）“”…—]/u;
  return wide.test(before.slice(-1)) && wide.test(after.slice(0, 1)) ? "" : " ";
}

/** Number and unit as one: "12.3 ms" with a no-break space; in Chinese the percent sign is closed up. */
export function withUnit(digits: string, unit: string, language: Language): string {
  if (unit === "") return digits;
  return unit === "%" && language === "zh" ? `${digits}%` : `${digits}${noBreakSpace}${unit}`;
}

/**
 * Text from outside, safe to show: terminal colours dropped, control characters, lone surrogates and
 * marks that turn the reading direction made visible. Line breaks and tabs stay.
 *
 * @example visible("a\u202eb") // "a[U+202E]b"
 */
export function visible(text: string): string {
  return (
    text
      // biome-ignore format: one pattern
      .replaceAll(/\u001b\[[0-9;?]*[A-Za-z]/g, "")
      .replaceAll("\r\n", "\n")
      .replaceAll(
        /[\p{Cc}\p{Surrogate}\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ue000-\uf8ff]/gu,
        (character) =>
          character === "\n" || character === "\t"
            ? character
            : `[U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}]`,
      )
  );
}
