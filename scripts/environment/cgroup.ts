// What control groups, version 1 or 2, allow this process: the tightest limit on the way from its own
// group to the root, since any of them binds it.

import { dirname, join } from "node:path/posix";
import { known, notApplicable, notCollected, type Reading, type Recorder } from "./probe.ts";
import { reasons } from "./reasons.ts";

export interface CgroupReadings {
  /** CPUs, may be a fraction. */
  readonly cpuQuota: Reading;
  readonly memoryLimitBytes: Reading;
  /** Microseconds since the group was made. */
  readonly throttledUs: Reading;
}

interface Mount {
  /** The group that is mounted at `point`. */
  readonly root: string;
  readonly point: string;
  readonly version: 1 | 2;
  readonly controllers: readonly string[];
}

/** Reads the groups of this process. */
export async function readCgroup(record: Recorder): Promise<CgroupReadings> {
  const [membership, mountInfo] = await Promise.all([
    record.read("/proc/self/cgroup"),
    record.read("/proc/self/mountinfo", (text) =>
      text
        .split("\n")
        .filter((line) => line.includes(" - cgroup"))
        .join("\n"),
    ),
  ]);
  if (membership.text === undefined) {
    const none = notApplicable(reasons.noCgroup, membership.rawIndex);
    return { cpuQuota: none, memoryLimitBytes: none, throttledUs: none };
  }
  const groups = membership.text.split("\n").flatMap(parseMembership);
  const mounts = (mountInfo.text ?? "").split("\n").flatMap(parseMount);
  const [cpu, memory] = await Promise.all([
    readCpu(record, foldersOf("cpu", groups, mounts)),
    readMemory(record, foldersOf("memory", groups, mounts)),
  ]);
  return { ...cpu, ...memory };
}

interface Folders {
  readonly version: 1 | 2;
  /** From the process's own group up to what is mounted. */
  readonly paths: readonly string[];
}

interface Membership {
  readonly version: 1 | 2;
  readonly controllers: readonly string[];
  readonly path: string;
}

/** "4:memory:/a" or "0::/a". */
function parseMembership(line: string): Membership[] {
  const match = /^(\d+):([^:]*):(\/.*)$/.exec(line);
  if (match === null) return [];
  const [, hierarchy, controllers = "", path = "/"] = match;
  const version = hierarchy === "0" && controllers === "" ? 2 : 1;
  return [{ version, controllers: controllers.split(","), path }];
}

/** A line of mountinfo: "33 31 0:30 <root> <point> options [tags] - cgroup source superOptions". */
function parseMount(line: string): Mount[] {
  const [before = "", after = ""] = line.split(" - ");
  const [, , , root, point] = before.split(" ");
  const [type, , options = ""] = after.split(" ");
  if (root === undefined || point === undefined) return [];
  if (type === "cgroup2") return [{ root, point, version: 2, controllers: [] }];
  return type === "cgroup" ? [{ root, point, version: 1, controllers: options.split(",") }] : [];
}

/** Where the files of a controller are; version 1 wins where both are mounted, as it then holds it. */
function foldersOf(
  controller: string,
  groups: readonly Membership[],
  mounts: readonly Mount[],
): Folders | undefined {
  for (const version of [1, 2] as const) {
    const holds = (it: { version: 1 | 2; controllers: readonly string[] }): boolean =>
      it.version === version && (version === 2 || it.controllers.includes(controller));
    const group = groups.find(holds);
    const mount = mounts.find(holds);
    if (group === undefined || mount === undefined) continue;
    // In a container the mount may show only a part of the tree: its root is cut from the path.
    const inside =
      group.path === mount.root || group.path.startsWith(`${mount.root.replace(/\/$/, "")}/`)
        ? group.path.slice(mount.root.replace(/\/$/, "").length)
        : "/";
    const paths: string[] = [];
    for (let path = inside === "" ? "/" : inside; ; path = dirname(path)) {
      paths.push(join(mount.point, path).replace(/(.)\/$/, "$1"));
      if (path === "/" || path === ".") break;
    }
    return { version, paths };
  }
  return undefined;
}

async function readCpu(
  record: Recorder,
  folders: Folders | undefined,
): Promise<Pick<CgroupReadings, "cpuQuota" | "throttledUs">> {
  if (folders === undefined)
    return {
      cpuQuota: notApplicable(reasons.noCgroup),
      throttledUs: notApplicable(reasons.noCgroup),
    };
  const { version, paths } = folders;
  const all = (name: string): ReturnType<Recorder["readAll"]> =>
    record.readAll(
      `${name} of the control group and those above it`,
      paths.map((path) => join(path, name)),
    );

  const [quota, period, statistics] = await Promise.all([
    all(version === 2 ? "cpu.max" : "cpu.cfs_quota_us"),
    version === 2 ? Promise.resolve(undefined) : all("cpu.cfs_period_us"),
    all("cpu.stat"),
  ]);
  const quotas = quota.texts.map((text, level) => {
    const [allowed, length] = version === 2 ? text.split(" ") : [text, period?.texts[level]];
    return Number(allowed) / Number(length);
  });
  const limits = quotas.filter((cpus) => Number.isFinite(cpus) && cpus > 0);
  const times = statistics.texts.flatMap((text) => {
    const match = /^throttled_(usec|time) (\d+)$/m.exec(text);
    return match === null ? [] : [Number(match[2]) / (match[1] === "usec" ? 1 : 1000)];
  });
  return {
    cpuQuota:
      limits.length === 0
        ? notApplicable(reasons.noCpuLimit, quota.rawIndex)
        : known(Math.min(...limits), { unit: "CPU", rawIndex: quota.rawIndex }),
    // Time throttled at any level; levels are added so that the counter grows whichever binds.
    throttledUs:
      times.length === 0
        ? limits.length === 0
          ? notApplicable(reasons.noCpuLimit, statistics.rawIndex)
          : notCollected(reasons.noCpuThrottling, statistics.rawIndex)
        : known(Math.round(times.reduce((sum, us) => sum + us, 0)), {
            unit: "us",
            rawIndex: statistics.rawIndex,
          }),
  };
}

/** Version 1 says "no limit" with the largest number of pages there is. */
const noLimitBytes = 2 ** 60;

async function readMemory(
  record: Recorder,
  folders: Folders | undefined,
): Promise<Pick<CgroupReadings, "memoryLimitBytes">> {
  if (folders === undefined) return { memoryLimitBytes: notApplicable(reasons.noCgroup) };
  const name = folders.version === 2 ? "memory.max" : "memory.limit_in_bytes";
  const { texts, rawIndex } = await record.readAll(
    `${name} of the control group and those above it`,
    folders.paths.map((path) => join(path, name)),
  );
  const limits = texts.map(Number).filter((bytes) => bytes > 0 && bytes < noLimitBytes);
  return {
    memoryLimitBytes:
      limits.length === 0
        ? notApplicable(reasons.noMemoryLimit, rawIndex)
        : known(Math.min(...limits), { unit: "B", rawIndex }),
  };
}
