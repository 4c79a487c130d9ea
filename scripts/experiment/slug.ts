// Names that may stand in point names, run ids and file names.
import { basename, extname } from "node:path";
import { parseDurationMs } from "../units.ts";

/** The slug nearest to a text; undefined where nothing of it can stay. */
export function slugOf(text: string): string | undefined {
  const slug = text
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .slice(0, 64)
    .replaceAll(/^-+|-+$/g, "");
  return slug === "" ? undefined : slug;
}

/** A thing called after its file: data/Chat-2024.jsonl is chat-2024. */
export function slugOfFile(path: string): string | undefined {
  return slugOf(basename(path, extname(path)));
}

/** What points under a ramp are called: ramp-1-20-120s; numbers as they stand in the file. */
export function rampName({
  from,
  to,
  duration,
}: {
  readonly from: number;
  readonly to: number;
  readonly duration: string;
}): string {
  return `ramp-${from}-${to}-${(parseDurationMs(duration) ?? 0) / 1000}s`;
}

/** What points under a trace are called: its file, and its speed where it is not the recorded one: chat-x2. */
export function traceName(file: string, speed: number): string {
  const name = slugOfFile(file) ?? "trace";
  return speed === 1 ? name : `${name}-x${speed}`;
}
