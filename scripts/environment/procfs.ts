// What single files of /proc and /sys say, as text to numbers. undefined where a file does not say.

/** The value of a line "name : value" of /proc/cpuinfo; the first one. */
export function lineOf(text: string, name: string): string | undefined {
  const start = text.split("\n").find((line) => line.startsWith(name));
  const value = start?.slice(start.indexOf(":") + 1).trim();
  return value === "" ? undefined : value;
}

/**
 * The parameters that decide how the kernel behaves. What follows " -- " goes to init; which init,
 * root and image it is says where this machine came from, which is nobody's business here.
 */
export function kernelPartOf(cmdline: string): string {
  const [kernelPart = ""] = cmdline.trim().split(/\s--(?:\s|$)/);
  const ofOrigin = /^(?:init|rdinit|root|initrd|BOOT_IMAGE)=/;
  return kernelPart
    .split(/\s+/)
    .filter((parameter) => !ofOrigin.test(parameter))
    .join(" ");
}

/** undefined where /proc/cpuinfo does not number cores and sockets, as on ARM. */
export function topologyOf(cpuinfo: string): {
  readonly sockets: number | undefined;
  readonly cores: number | undefined;
  readonly logical: number | undefined;
} {
  const blocks = cpuinfo.split(/\n\s*\n/).filter((block) => /^processor\s*:/m.test(block));
  const sockets = new Set<string>();
  const cores = new Set<string>();
  for (const block of blocks) {
    const socket = lineOf(block, "physical id");
    const core = lineOf(block, "core id");
    if (socket === undefined || core === undefined) continue;
    sockets.add(socket);
    cores.add(`${socket}/${core}`);
  }
  const some = (count: number): number | undefined => (count === 0 ? undefined : count);
  return { sockets: some(sockets.size), cores: some(cores.size), logical: some(blocks.length) };
}

/** Bytes of a line "MemTotal:  24684092 kB"; the kernel's kB are 1024 bytes. */
export function memoryOf(meminfo: string, name: string): number | undefined {
  const kib = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(meminfo)?.[1];
  return kib === undefined ? undefined : Number(kib) * 1024;
}

/** "0 × 2048 KiB": reserved pages of the default size. */
export function hugePagesOf(meminfo: string): string | undefined {
  const count = /^HugePages_Total:\s+(\d+)$/m.exec(meminfo)?.[1];
  const size = /^Hugepagesize:\s+(\d+) kB$/m.exec(meminfo)?.[1];
  return count === undefined || size === undefined ? undefined : `${count} × ${size} KiB`;
}

/** How many a list like "0-3,8" names. */
export function countOfList(list: string): number | undefined {
  let count = 0;
  for (const part of list.trim().split(",")) {
    const match = /^(\d+)(?:-(\d+))?$/.exec(part);
    if (match === null) return undefined;
    count += Number(match[2] ?? match[1]) - Number(match[1]) + 1;
  }
  return count;
}

/** Ticks of all CPUs since the machine started. Guest time is within user time already. */
export function cpuTicksOf(
  stat: string,
): { readonly steal: number; readonly total: number } | undefined {
  const line = /^cpu\s+([\d ]+)$/m.exec(stat)?.[1];
  const ticks = line?.trim().split(/\s+/).map(Number).slice(0, 8) ?? [];
  const steal = ticks[7];
  return steal === undefined ? undefined : { steal, total: ticks.reduce((sum, n) => sum + n, 0) };
}

/** Share 0..1 of the time since the machine started that the hypervisor gave to others. */
export function shareOf(ticks: ReturnType<typeof cpuTicksOf>): number | undefined {
  return ticks === undefined || ticks.total === 0
    ? undefined
    : Number((ticks.steal / ticks.total).toFixed(6));
}

export function memlockOf(limits: string): string | number | undefined {
  const soft = /^Max locked memory\s+(\S+)/m.exec(limits)?.[1];
  return soft === undefined || soft === "unlimited" ? soft : Number(soft);
}

/** "on", "off", "forced off", "not supported", "not implemented". */
export function smtOf(control: string): string {
  return control
    .trim()
    .replace(/^not/, "not ")
    .replace(/^force/, "forced ");
}
