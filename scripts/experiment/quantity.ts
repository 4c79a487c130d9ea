// Durations and shares as people write them in an experiment ("2 s", "1%"), and what to write
// instead when the unit is missing or spelled another way.
import { parseDurationMs, parseShare } from "../units.ts";

/** What `parseDurationMs` takes, as a pattern for editors. */
export const durationPattern = /^\s*\d+(\.\d+)?\s*(us|ms|s|min|h)\s*$/;

/** What `parseShare` takes, as a pattern for editors. */
export const sharePattern = /^\s*\d+(\.\d+)?\s*%\s*$/;

/** Milliseconds of a text that the schema has let through. */
export function durationMs(text: string): number {
  const parsed = parseDurationMs(text);
  if (parsed === undefined)
    throw new Error(`the schema let ${JSON.stringify(text)} through as a duration`);
  return parsed;
}

/** A ratio 0..1 of a text that the schema has let through. */
export function shareOf(text: string): number {
  const parsed = parseShare(text);
  if (parsed === undefined)
    throw new Error(`the schema let ${JSON.stringify(text)} through as a share`);
  return parsed;
}

const unitWords: Readonly<Record<string, string>> = {
  microsecond: "us",
  usec: "us",
  µs: "us",
  millisecond: "ms",
  msec: "ms",
  milli: "ms",
  second: "s",
  sec: "s",
  minute: "min",
  m: "min",
  hour: "h",
  hr: "h",
  秒: "s",
  毫秒: "ms",
  分钟: "min",
  小时: "h",
};

/** How to write the duration that was probably meant by `seen`. */
export function durationAdvice(seen: unknown, example: string): string {
  if (typeof seen === "number" && seen > 0) {
    const plain = String(seen);
    return `write "${plain} s" for ${plain} seconds, or "${plain} ms" for milliseconds`;
  }
  const match = /^\s*(\d+(?:\.\d+)?)\s*(\S+?)\s*$/.exec(String(seen));
  const [, amount, word] = match ?? [];
  if (amount !== undefined && word !== undefined) {
    const singular = word.toLowerCase().replace(/(?<=..)s$/, "");
    const unit = unitWords[singular];
    if (unit !== undefined) return `write "${amount} ${unit}"`;
    if (/^\d*$/.test(word)) return durationAdvice(Number(`${amount}${word}`), example);
  }
  return `write a number and one of us, ms, s, min, h, as in "${example}"`;
}

/** How to write the share that was probably meant by `seen`. */
export function shareAdvice(seen: unknown, example: string): string {
  const number =
    typeof seen === "number" ? seen : Number(String(seen).replace(/\s*(percent|pct)\s*$/i, ""));
  if (String(seen).trim() === "" || !Number.isFinite(number) || number < 0)
    return `write "${example}"`;
  if (number >= 1 || number === 0) return `write "${number}%"`;
  return `write "${Number((number * 100).toPrecision(12))}%" for ${number} of all, or "${number}%"`;
}
