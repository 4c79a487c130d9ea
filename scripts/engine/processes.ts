// The processes of this host as /proc lists them, and which of them belong to an engine: its group,
// its session, and whatever they started. Where there is no /proc the lists are empty.
import { readdirSync, readFileSync } from "node:fs";

export interface HostProcess {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  /** Clock ticks since boot: no later process with the same pid has it. */
  readonly startedAt: string;
  /** Ended, but not yet waited for. */
  readonly zombie: boolean;
}

/** One process; undefined: there is none with this pid. */
export function findProcess(pid: number): HostProcess | undefined {
  const stat = readText(`/proc/${pid}/stat`);
  // The second field, the name in brackets, may hold spaces and brackets of its own.
  const [state = "", parent, group, session, ...rest] = stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ");
  const startedAt = rest[15];
  if (startedAt === undefined) return undefined;
  return {
    pid,
    parent: Number(parent),
    group: Number(group),
    session: Number(session),
    startedAt,
    zombie: state === "Z" || state === "X",
  };
}

/** All processes. Costs some 20 µs for each of them: not for the time in which a load is driven. */
export function listProcesses(): readonly HostProcess[] {
  return pids().flatMap((pid) => findProcess(pid) ?? []);
}

/** Whether it still runs, and is not another one that was given its pid. */
export function isAlive({ pid, startedAt }: Pick<HostProcess, "pid" | "startedAt">): boolean {
  const now = findProcess(pid);
  return now !== undefined && !now.zombie && now.startedAt === startedAt;
}

/**
 * Those that belong to the process `root`: itself, its group and session, what was known before, and
 * all descendants of these, also when they left the group or lost their parent.
 */
export function familyOf(
  root: number,
  all: readonly HostProcess[],
  known: readonly HostProcess[] = [],
): readonly HostProcess[] {
  const family = new Map<number, HostProcess>();
  const knownStarts = new Map(known.map(({ pid, startedAt }) => [pid, startedAt]));
  for (const candidate of all) {
    const { pid, group, session, startedAt } = candidate;
    const belongs = [pid, group, session].includes(root) || knownStarts.get(pid) === startedAt;
    if (belongs) family.set(pid, candidate);
  }
  for (let grown = true; grown; ) {
    const before = family.size;
    for (const candidate of all) {
      if (family.has(candidate.parent)) family.set(candidate.pid, candidate);
    }
    grown = family.size > before;
  }
  return [...family.values()];
}

/** The words of its command line, or the title it gave itself; "" for one that is gone. */
export function commandLineOf(pid: number): string {
  return readText(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim();
}

/** The control groups that hold it, which name the container that it runs in; "" where unknown. */
export function cgroupOf(pid: number): string {
  return readText(`/proc/${pid}/cgroup`);
}

/**
 * Whether a process has the file with this inode mapped into its memory, as shared memory is used. Its
 * path would not tell: a semaphore is mapped under another name than the one it then gets.
 */
export function isMapped(inode: number): boolean {
  return pids().some((pid) => readText(`/proc/${pid}/maps`).includes(` ${inode} `));
}

function pids(): readonly number[] {
  try {
    return readdirSync("/proc").flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []));
  } catch {
    // Not Linux.
    return [];
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // It ended between two looks, or belongs to somebody else.
    return "";
  }
}
