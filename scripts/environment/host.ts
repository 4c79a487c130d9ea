// A machine as fields, the one benchbook runs on or the engine's: from /proc, /sys and a few commands,
// and from systeminformation where the system has no /proc.

import { isoWithOffset } from "../units.ts";
import { type CgroupReadings, readCgroup } from "./cgroup.ts";
import { cloudOf, type Dmi, readDmi } from "./cloud.ts";
import type { HostFacts, Outside } from "./outside.ts";
import {
  type DeclaredField,
  fieldOf,
  known,
  notCollected,
  type ProbeResult,
  type Reading,
  type Recorder,
  reasonOf,
  type Text,
  timeOf,
  within,
} from "./probe.ts";
import {
  countOfList,
  cpuTicksOf,
  hugePagesOf,
  kernelPartOf,
  lineOf,
  memlockOf,
  memoryOf,
  shareOf,
  smtOf,
  topologyOf,
} from "./procfs.ts";
import { reasons } from "./reasons.ts";

/** All that was read before the first field is made of it. */
interface Sources {
  readonly outside: Outside;
  readonly files: Readonly<Record<keyof typeof paths, Text>>;
  readonly commands: Readonly<Record<keyof typeof commands, Awaited<ReturnType<Recorder["run"]>>>>;
  /** undefined: not asked, since /proc said it all, or no answer. */
  readonly facts: HostFacts | undefined;
  readonly governors: Awaited<ReturnType<Recorder["readAll"]>>;
  readonly cgroup: CgroupReadings;
  readonly dmi: Dmi;
  readonly shm: Reading;
  /** undefined: not asked, or it tells whole seconds only. */
  readonly clockOffsetMs: number | undefined;
}

const paths = {
  osRelease: "/etc/os-release",
  kernel: "/proc/sys/kernel/osrelease",
  cmdline: "/proc/cmdline",
  hostname: "/proc/sys/kernel/hostname",
  cpuinfo: "/proc/cpuinfo",
  smt: "/sys/devices/system/cpu/smt/control",
  meminfo: "/proc/meminfo",
  numa: "/sys/devices/system/node/online",
  thp: "/sys/kernel/mm/transparent_hugepage/enabled",
  load: "/proc/loadavg",
  uptime: "/proc/uptime",
  stat: "/proc/stat",
  limits: "/proc/self/limits",
  docker: "/.dockerenv",
  podman: "/run/.containerenv",
  systemdContainer: "/run/systemd/container",
  firstCgroup: "/proc/1/cgroup",
} as const;

const commands = {
  detectVirt: ["systemd-detect-virt", "--vm"],
  timedatectl: ["timedatectl", "show"],
  chronyc: ["chronyc", "-n", "tracking"],
} as const;

/** What the light form reads: what a trial can change, and nothing that takes a process. */
const lightPaths: readonly (keyof typeof paths)[] = ["load", "uptime", "stat"];

interface HostField extends DeclaredField {
  readonly light?: true;
  /** Only of a machine that is not this one. */
  readonly elsewhere?: true;
  readonly read: (sources: Sources) => Reading;
}

const hostFields: readonly HostField[] = [
  { id: "host.os", class: "context", read: readOs },
  {
    id: "host.kernel",
    class: "context",
    read: (s) =>
      orFact(
        ofText(s.files.kernel, (text) => text),
        s.facts?.kernel,
      ),
  },
  {
    id: "host.kernel_cmdline",
    class: "context",
    read: (s) => ofText(s.files.cmdline, (text) => text),
  },
  {
    id: "host.hostname",
    class: "context",
    read: (s) =>
      orFact(
        ofText(s.files.hostname, (text) => text),
        s.outside.hostname(),
      ),
  },
  { id: "host.machine", class: "context", read: (s) => s.dmi.machine },
  { id: "host.cloud", class: "context", read: (s) => cloudOf(s.dmi) },
  {
    id: "host.cpu.model",
    class: "comparability",
    read: (s) =>
      orFact(
        ofText(s.files.cpuinfo, (text) => lineOf(text, "model name")),
        s.facts?.cpuModel,
      ),
  },
  {
    id: "host.cpu.sockets",
    class: "comparability",
    read: (s) =>
      orFact(
        ofText(s.files.cpuinfo, (text) => topologyOf(text).sockets),
        s.facts?.sockets,
      ),
  },
  {
    id: "host.cpu.cores",
    class: "comparability",
    read: (s) =>
      orFact(
        ofText(s.files.cpuinfo, (text) => topologyOf(text).cores),
        s.facts?.cores,
      ),
  },
  {
    id: "host.cpu.logical",
    class: "comparability",
    read: (s) =>
      orFact(
        ofText(s.files.cpuinfo, (text) => topologyOf(text).logical),
        s.facts?.logical,
      ),
  },
  {
    id: "host.cpu.smt",
    class: "comparability",
    read: (s) => ofText(s.files.smt, smtOf, reasons.noSmtControl),
  },
  { id: "host.cpu.governor", class: "context", read: readGovernor },
  {
    id: "host.cpu.steal_share",
    class: "noise",
    light: true,
    read: (s) => ofText(s.files.stat, (text) => shareOf(cpuTicksOf(text))),
  },
  {
    id: "host.cpu.steal_ticks",
    class: "noise",
    light: true,
    read: (s) => ofText(s.files.stat, (text) => cpuTicksOf(text)?.steal),
  },
  {
    id: "host.cpu.total_ticks",
    class: "noise",
    light: true,
    read: (s) => ofText(s.files.stat, (text) => cpuTicksOf(text)?.total),
  },
  {
    // The kernel takes its own part first, so it differs a little between kernels.
    id: "host.memory_bytes",
    class: "context",
    read: (s) =>
      orFact(
        ofText(s.files.meminfo, (text) => memoryOf(text, "MemTotal"), undefined, "B"),
        s.facts?.memoryBytes,
        "B",
      ),
  },
  {
    id: "host.swap_bytes",
    class: "context",
    read: (s) =>
      orFact(
        ofText(s.files.meminfo, (text) => memoryOf(text, "SwapTotal"), undefined, "B"),
        s.facts?.swapBytes,
        "B",
      ),
  },
  { id: "host.numa_nodes", class: "context", read: (s) => ofText(s.files.numa, countOfList) },
  {
    id: "host.thp",
    class: "context",
    read: (s) => ofText(s.files.thp, (text) => /\[(\w+)\]/.exec(text)?.[1], reasons.noThp),
  },
  { id: "host.hugepages", class: "context", read: (s) => ofText(s.files.meminfo, hugePagesOf) },
  {
    id: "host.load_1m",
    class: "noise",
    light: true,
    read: (s) => ofText(s.files.load, (text) => Number(text.split(" ")[0])),
  },
  {
    id: "host.uptime_s",
    class: "noise",
    light: true,
    read: (s) =>
      orFact(
        ofText(s.files.uptime, (text) => Number(text.split(" ")[0]), undefined, "s"),
        s.facts?.uptimeS,
        "s",
      ),
  },
  { id: "host.virtualization", class: "context", read: readVirtualization },
  { id: "host.container", class: "context", read: readContainer },
  { id: "host.cgroup.cpu_quota", class: "comparability", read: (s) => s.cgroup.cpuQuota },
  {
    id: "host.cgroup.memory_limit_bytes",
    class: "comparability",
    read: (s) => s.cgroup.memoryLimitBytes,
  },
  {
    id: "host.cgroup.throttled_us",
    class: "noise",
    light: true,
    read: (s) => s.cgroup.throttledUs,
  },
  { id: "host.shm_bytes", class: "context", read: (s) => s.shm },
  {
    id: "host.memlock_bytes",
    class: "context",
    read: (s) => ofText(s.files.limits, memlockOf, undefined, "B"),
  },
  { id: "host.time_zone", class: "context", read: readTimeZone },
  { id: "host.ntp", class: "context", read: readNtp },
  {
    // Noise: each reading is off by up to half a round trip.
    id: "host.clock_offset_ms",
    class: "noise",
    elsewhere: true,
    read: (s) => known(s.clockOffsetMs, { unit: "ms", otherwise: reasons.coarseClock }),
  },
];

/** The host's fields; those of the light form where `light`. */
export function declaredHostFields(light: boolean, elsewhere = false): readonly DeclaredField[] {
  return wantedFields(light, elsewhere);
}

function wantedFields(light: boolean, elsewhere: boolean): readonly HostField[] {
  return hostFields.filter(
    (field) => (!light || field.light === true) && (elsewhere || field.elsewhere !== true),
  );
}

/** Reads the host. The light form reads only what a trial can change. */
export async function probeHost(
  outside: Outside,
  record: Recorder,
  options: { readonly light: boolean; readonly limitMs: number },
): Promise<ProbeResult> {
  const sources = await readSources(outside, record, options);
  const at = timeOf(outside);
  const wanted = wantedFields(options.light, outside.elsewhere !== undefined);
  return {
    fields: wanted.map(({ id, class: fieldClass, read }) =>
      fieldOf(id, "host", fieldClass, read(sources), at),
    ),
    raw: record.raw,
  };
}

async function readSources(
  outside: Outside,
  record: Recorder,
  { light, limitMs }: { readonly light: boolean; readonly limitMs: number },
): Promise<Sources> {
  const notAsked: Text = { text: undefined, reason: reasons.notThisSystem, rawIndex: 0 };
  const read = (name: keyof typeof paths): Promise<Text> => {
    if (light && !lightPaths.includes(name)) return Promise.resolve(notAsked);
    return record.read(paths[name], name === "cmdline" ? kernelPartOf : undefined);
  };
  const run = (name: keyof typeof commands): ReturnType<Recorder["run"]> =>
    light
      ? Promise.resolve({
          exitCode: undefined,
          stdout: "",
          stderr: "",
          durationMs: 0,
          failure: "missing",
          rawIndex: 0,
        })
      : record.run(commands[name]);

  // Alone, before the others make answers slow.
  const clockOffsetMs = light ? undefined : await readClockOffset(outside, limitMs);
  const [files, ran, governors, cgroup, dmi, shm] = await Promise.all([
    eachOf(paths, read),
    eachOf(commands, run),
    light ? { texts: [], rawIndex: 0 } : readGovernors(outside, record),
    readCgroup(record),
    readDmi(light ? undefined : record),
    light ? notCollected(reasons.notThisSystem) : readShm(outside, limitMs),
  ]);
  // An ARM machine's /proc/cpuinfo has no model name; other systems have no /proc at all.
  const silent = lineOf(files.cpuinfo.text ?? "", "model name") === undefined;
  const facts = silent && !light ? await readFacts(outside, record, limitMs) : undefined;
  return { outside, files, commands: ran, facts, governors, cgroup, dmi, shm, clockOffsetMs };
}

async function readClockOffset(
  { elsewhere }: Outside,
  limitMs: number,
): Promise<number | undefined> {
  if (elsewhere === undefined) return undefined;
  return within(limitMs, elsewhere.clockOffsetMs()).catch(() => undefined);
}

async function eachOf<K extends string, T>(
  names: Readonly<Record<K, unknown>>,
  get: (name: K) => Promise<T>,
): Promise<Record<K, T>> {
  const keys = Object.keys(names) as K[];
  const values = await Promise.all(keys.map(async (key) => [key, await get(key)] as const));
  return Object.fromEntries(values) as Record<K, T>;
}

async function readFacts(
  outside: Outside,
  record: Recorder,
  limitMs: number,
): Promise<HostFacts | undefined> {
  try {
    const facts = await within(limitMs, outside.hostFacts());
    record.note("systeminformation", JSON.stringify(facts));
    return facts;
  } catch (error) {
    record.note("systeminformation", `failed: ${String(error)}`);
    return undefined;
  }
}

async function readGovernors(
  outside: Outside,
  record: Recorder,
): Promise<Awaited<ReturnType<Recorder["readAll"]>>> {
  const folder = "/sys/devices/system/cpu/cpufreq";
  const names = await outside.readDirectory(folder).catch(() => []);
  const policies = names.filter((name) => name.startsWith("policy"));
  return record.readAll(
    `${folder}/policy*/scaling_governor`,
    policies.map((name) => `${folder}/${name}/scaling_governor`),
  );
}

async function readShm(outside: Outside, limitMs: number): Promise<Reading> {
  try {
    return known(await within(limitMs, outside.fileSystemBytes("/dev/shm")), { unit: "B" });
  } catch (error) {
    return notCollected(reasonOf(error));
  }
}

/** A reading of a file's text; `read` returns undefined where the text does not say. */
function ofText(
  file: Text,
  read: (text: string) => string | number | undefined,
  missing?: string,
  unit?: string,
): Reading {
  if (file.text === undefined) {
    const reason = file.reason === reasons.fileMissing ? (missing ?? file.reason) : file.reason;
    return notCollected(reason, file.rawIndex);
  }
  return known(read(file.text), {
    rawIndex: file.rawIndex,
    ...(unit === undefined ? {} : { unit }),
  });
}

/** The reading, or what systeminformation or Node says where it holds no value. */
function orFact(reading: Reading, fact: string | number | undefined, unit?: string): Reading {
  if (reading.value.state === "value" || fact === undefined) return reading;
  return known(fact, unit === undefined ? {} : { unit });
}

function readOs({ files, facts }: Sources): Reading {
  const pretty = ofText(files.osRelease, (text) =>
    /^PRETTY_NAME=(["']?)(.*)\1$/m.exec(text)?.[2]?.trim(),
  );
  return orFact(pretty, facts?.os);
}

function readGovernor({ governors: { texts, rawIndex } }: Sources): Reading {
  const distinct = [...new Set(texts)].sort();
  return distinct.length === 0
    ? notCollected(reasons.noGovernor, rawIndex)
    : known(distinct.join(", "), { rawIndex });
}

/** "none", or the name systemd gives it; else what the CPU's flags and the DMI tables say. */
function readVirtualization({ commands, files, facts, dmi }: Sources): Reading {
  const { failure, stdout, rawIndex } = commands.detectVirt;
  if (failure === undefined && /^[\w-]+\s*$/.test(stdout)) return known(stdout, { rawIndex });
  const { text, rawIndex: at } = files.cpuinfo;
  if (text !== undefined && /^flags\s*:.*\bhypervisor\b/m.test(text)) {
    const product =
      dmi.machine.value.state === "value" ? String(dmi.machine.value.value) : undefined;
    return known(product === undefined ? "virtual machine" : `virtual machine (${product})`, {
      rawIndex: at,
    });
  }
  if (text !== undefined && /^flags\s*:/m.test(text)) return known("none", { rawIndex: at });
  return facts?.virtual === undefined
    ? notCollected(reasons.notThisSystem)
    : known(facts.virtual ? "virtual machine" : "none");
}

/** The container's kind by the marks that runtimes leave; "none" where there is no mark. */
function readContainer({ files, outside }: Sources): Reading {
  const { docker, podman, systemdContainer, firstCgroup } = files;
  if (outside.env["KUBERNETES_SERVICE_HOST"] !== undefined) return known("kubernetes");
  if (podman.text !== undefined) return known("podman", { rawIndex: podman.rawIndex });
  if (docker.text !== undefined) return known("docker", { rawIndex: docker.rawIndex });
  if (systemdContainer.text !== undefined && systemdContainer.text.trim() !== "")
    return known(systemdContainer.text, { rawIndex: systemdContainer.rawIndex });
  if (firstCgroup.text === undefined) return notCollected(reasons.notThisSystem);
  const kind = /\b(kubepods|docker|libpod|lxc|containerd|garden)\b/.exec(firstCgroup.text)?.[1];
  return known(kind ?? "none", { rawIndex: firstCgroup.rawIndex });
}

/** "Asia/Shanghai, +08:00". */
function readTimeZone({ outside }: Sources): Reading {
  const offset = outside.elsewhere?.utcOffset ?? isoWithOffset(outside.now()).slice(-6);
  return known(`${outside.timeZone()}, ${offset}`);
}

function readNtp({ commands: { timedatectl, chronyc } }: Sources): Reading {
  const synchronized = /^NTPSynchronized=(yes|no)$/m.exec(timedatectl.stdout)?.[1];
  if (timedatectl.exitCode === 0 && synchronized !== undefined)
    return known(synchronized === "yes" ? "synchronized" : "not synchronized", {
      rawIndex: timedatectl.rawIndex,
    });
  const leap = /^Leap status\s*:\s*(.+)$/m.exec(chronyc.stdout)?.[1]?.trim();
  if (chronyc.exitCode === 0 && leap !== undefined)
    return known(leap === "Normal" ? "synchronized" : `not synchronized (${leap})`, {
      rawIndex: chronyc.rawIndex,
    });
  return notCollected(reasons.noNtpAnswer, timedatectl.rawIndex);
}
