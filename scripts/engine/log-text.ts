// The text of an engine's log: its beginning says what was configured, its end why it failed.
import { closeSync, fstatSync, openSync, readSync } from "node:fs";

/** The first `bytes` of a file as text; "" for one that is gone. */
export function beginningOf(path: string, bytes: number): string {
  return read(path, (size) => [0, Math.min(size, bytes)]);
}

/** The last `bytes` of a file as text; "" for one that is gone. */
export function endOf(path: string, bytes: number): string {
  return read(path, (size) => [Math.max(0, size - bytes), size]);
}

const lastBytes = 8192;

/**
 * The last lines of a log, at most 20 of its last 8 KiB, for people. They begin with a whole word: the
 * rest of one that was cut could be that of a secret, which nobody would know for one.
 */
export function lastLines(path: string, lines = 20): string {
  const end = endOf(path, lastBytes + 1);
  const whole = Buffer.byteLength(end) > lastBytes ? end.replace(/^\S*\s?/, "") : end;
  return whole.trimEnd().split("\n").slice(-lines).join("\n");
}

function read(path: string, range: (size: number) => readonly [number, number]): string {
  try {
    const file = openSync(path, "r");
    try {
      const [from, to] = range(fstatSync(file).size);
      const buffer = Buffer.alloc(to - from);
      readSync(file, buffer, 0, buffer.length, from);
      return buffer.toString("utf8");
    } finally {
      closeSync(file);
    }
  } catch {
    // A log that is gone has no words; the caller still says what happened.
    return "";
  }
}
