// Files to digests that say how they were made. Large files are sampled: a digest of 100 GB would
// take longer than the run, and size, head and tail tell two checkpoints apart.

import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import type { FileStatus } from "./outside.ts";

/** Up to this size a file is hashed whole. */
export const wholeUpToBytes = 64 * 1024 * 1024;
const edgeBytes = 1024 * 1024;

/** `whole`: sha256 of the file; `edges`: sha256 of its first and last MiB. */
interface FileDigest {
  readonly sha256: string;
  readonly of: "whole" | "edges";
}

/** By path, size and time of change: hashes of files that did not change are not made twice. */
const cache = new Map<string, Promise<FileDigest>>();

/** Digest of one file. @throws a system error where it can't be read. */
function digestOfFile(file: FileStatus): Promise<FileDigest> {
  const key = `${file.path}\0${file.bytes}\0${file.mtimeMs}`;
  const cached = cache.get(key);
  if (cached !== undefined) return cached;
  const made = hashFile(file);
  cache.set(key, made);
  // A failure is not remembered: the file may be readable the next time.
  made.catch(() => cache.delete(key));
  return made;
}

async function hashFile({ path, bytes }: FileStatus): Promise<FileDigest> {
  const hash = createHash("sha256");
  const file = await open(path);
  try {
    if (bytes <= wholeUpToBytes) {
      for await (const chunk of file.createReadStream({
        autoClose: false,
      }) as AsyncIterable<Buffer>)
        hash.update(chunk);
      return { sha256: hash.digest("hex"), of: "whole" };
    }
    const edge = Buffer.alloc(edgeBytes);
    for (const position of [0, bytes - edgeBytes]) {
      const { bytesRead } = await file.read(edge, 0, edgeBytes, position);
      hash.update(edge.subarray(0, bytesRead));
    }
    return { sha256: hash.digest("hex"), of: "edges" };
  } finally {
    await file.close();
  }
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
): Promise<FilesDigest> {
  const sorted = [...files].sort((a, b) => (a.name < b.name ? -1 : 1));
  const lines: string[] = [];
  let sampled = false;
  let total = 0;
  for (const { name, file } of sorted) {
    const { sha256, of } = await digestOfFile(file);
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
