// Tells whether a process that was noted down is still the one that runs under its pid.
import { readFileSync } from "node:fs";

/**
 * The start time of a process in clock ticks since boot, with the boot's id: no later process with
 * the same pid has it. undefined: no such process, or a system without /proc.
 */
export function processStartedAt(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field, the name in brackets, may hold spaces and brackets of its own.
    const ticks = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    return ticks === undefined ? undefined : `${boot}/${ticks}`;
  } catch {
    return undefined;
  }
}

/** Whether the process noted as `pid`, started at `startedAt`, still runs on this host. */
export function stillRuns(pid: number, startedAt: string | undefined): boolean {
  if (startedAt !== undefined) return processStartedAt(pid) === startedAt;
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
