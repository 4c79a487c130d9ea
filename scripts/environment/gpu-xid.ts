// How often the NVIDIA driver logged an Xid, its word for a fault of a GPU, since this machine started.
// Of the kernel log nothing else is read or kept.

import { fieldOf, known, notApplicable, notCollected, type Recorder } from "./probe.ts";
import { reasons } from "./reasons.ts";
import type { EnvironmentField } from "./snapshot.ts";

export interface Xids {
  /** From "Xid" on, the oldest first. undefined: the log could not be read. */
  readonly lines: readonly string[] | undefined;
  readonly rawIndex: number;
}

/** Reads the log of this boot: the journal where there is one, else the kernel's own buffer. */
export async function readXids(record: Recorder): Promise<Xids> {
  const journal = await record.run(
    ["journalctl", "--dmesg", "--boot", "--no-pager", "--output=short-iso", "--grep=NVRM: Xid"],
    undefined,
    { keep: onlyXids },
  );
  const found = xidsOf(journal.stdout);
  // With no match it ends with 1; without permission it says so beside its silence.
  const silent = (journal.exitCode === 0 || journal.exitCode === 1) && journal.stderr.trim() === "";
  if (found.length > 0 || (silent && journal.failure === undefined && !isMissing(journal.stdout)))
    return { lines: found, rawIndex: journal.rawIndex };
  const buffer = await record.run(["dmesg"], undefined, { keep: onlyXids });
  const lines = buffer.exitCode === 0 ? xidsOf(buffer.stdout) : undefined;
  return { lines, rawIndex: buffer.rawIndex };
}

/** gpu.xid.count, then gpu.xid.last. */
export function xidFields({ lines, rawIndex }: Xids, at: string): readonly EnvironmentField[] {
  const none = notCollected(reasons.noKernelLog, rawIndex);
  const last = lines?.at(-1);
  return [
    fieldOf(
      "gpu.xid.count",
      "gpu",
      "context",
      lines === undefined ? none : known(lines.length, { rawIndex }),
      at,
    ),
    fieldOf(
      "gpu.xid.last",
      "gpu",
      "context",
      lines === undefined
        ? none
        : last === undefined
          ? notApplicable(reasons.noXid, rawIndex)
          : known(last, { rawIndex }),
      at,
    ),
  ];
}

/** Without 45, by which the driver says that it cleaned up after a process that was killed. */
function xidsOf(log: string): readonly string[] {
  return [...log.matchAll(/NVRM: (Xid .*?)\s*$/gm)]
    .map(([, line = ""]) => line)
    .filter((line) => !/^Xid [^)]*\): 45\b/.test(line));
}

function isMissing(stdout: string): boolean {
  return stdout.includes("No journal files were found");
}

/** The rest of a kernel log is not ours to keep. */
function onlyXids(text: string): string {
  return text
    .split("\n")
    .filter((line) =>
      /NVRM: Xid|No entries|No journal|Operation not permitted|not seeing messages/.test(line),
    )
    .map((line) => `${line}\n`)
    .join("");
}
