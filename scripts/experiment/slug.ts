// Names that may stand in point names, run ids and file names.
import { basename, extname } from "node:path";

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
