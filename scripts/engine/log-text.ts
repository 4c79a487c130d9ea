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

/** The last lines of a log, at most 20 of its last 8 KiB, for people. */
export function lastLines(path: string, lines = 20): string {
  return endOf(path, 8192).trimEnd().split("\n").slice(-lines).join("\n");
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
