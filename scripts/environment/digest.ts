// Files to digests that say how they were made. Large files are sampled: a digest of 100 GB would
// take longer than the run, and size, head and tail tell two checkpoints apart.

import { createHash } from "node:crypto";
import { type FileStatus, type Outside, real } from "./outside.ts";

/** Up to this size a file is hashed whole. */
export const wholeUpToBytes = 64 * 1024 * 1024;

/** `whole`: sha256 of the file; `edges`: sha256 of its first and last MiB. */
interface FileDigest {
  readonly sha256: string;
  readonly of: "whole" | "edges";
}

/** By machine, path, size and time of change: hashes of files that did not change are not made twice. */
const caches = new WeakMap<Hasher, Map<string, Promise<string>>>();

type Hasher = Pick<Outside, "sha256">;

/** Digest of one file. @throws a system error where it can't be read. */
async function digestOfFile(file: FileStatus, outside: Hasher): Promise<FileDigest> {
  const of = file.bytes <= wholeUpToBytes ? "whole" : "edges";
  const cache = caches.get(outside) ?? new Map<string, Promise<string>>();
  caches.set(outside, cache);
  const key = `${file.path}\0${file.bytes}\0${file.mtimeMs}`;
  let sha256 = cache.get(key);
  if (sha256 === undefined) {
    sha256 = outside.sha256(file, of);
    cache.set(key, sha256);
    // A failure is not remembered: the file may be readable the next time.
    sha256.catch(() => cache.delete(key));
  }
  return { sha256: await sha256, of };
}

export interface FilesDigest {
  /** "sha256:..." where every file was hashed whole, else "sha256-sampled:...". */
  readonly digest: string;
  readonly bytes: number;
  /** What was hashed: one JSON line a file, ascending by name. */
  readonly list: string;
}

/**
 * One digest of several files: sha256 over the lines {"name","bytes","sha256"} (or "edgesSha256" for a
 * file that was sampled), ascending by name, each ended by a line feed.
 *
 * @param files name within the model folder and the file; at least one
 */
export async function digestOfFiles(
  files: readonly { readonly name: string; readonly file: FileStatus }[],
  outside: Hasher = real,
): Promise<FilesDigest> {
  const sorted = [...files].sort((a, b) => (a.name < b.name ? -1 : 1));
  const lines: string[] = [];
  let sampled = false;
  let total = 0;
  for (const { name, file } of sorted) {
    const { sha256, of } = await digestOfFile(file, outside);
    sampled ||= of === "edges";
    total += file.bytes;
    const key = of === "whole" ? "sha256" : "edgesSha256";
    lines.push(`${JSON.stringify({ name, bytes: file.bytes, [key]: sha256 })}\n`);
  }
  const list = lines.join("");
  const digest = `${sampled ? "sha256-sampled" : "sha256"}:${sha256Of(list)}`;
  return { digest, bytes: total, list };
}

/** sha256 of a text's UTF-8 bytes, lower-case hex. */
export function sha256Of(text: string): string {
  return createHash("sha256").update(text, "utf8").digest("hex");
}
