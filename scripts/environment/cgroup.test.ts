import { describe, expect, it } from "vitest";
import { toldMachine } from "../testing/told-machine.ts";
import { readCgroup } from "./cgroup.ts";
import { recorder } from "./probe.ts";
import { reasons } from "./reasons.ts";

async function read(files: Record<string, string>) {
  return readCgroup(recorder(toldMachine({ files }), 1000, (text) => text));
}

const unified = "30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n";

describe("control groups, version 2", () => {
  it("takes the tightest limit between the process's group and the root", async () => {
    const { cpuQuota, memoryLimitBytes, throttledUs } = await read({
      "/proc/self/cgroup": "0::/slice/unit\n",
      "/proc/self/mountinfo": unified,
      "/sys/fs/cgroup/slice/unit/cpu.max": "max 100000\n",
      "/sys/fs/cgroup/slice/cpu.max": "250000 100000\n",
      "/sys/fs/cgroup/slice/unit/memory.max": "8589934592\n",
      "/sys/fs/cgroup/slice/memory.max": "max\n",
      "/sys/fs/cgroup/slice/unit/cpu.stat": "usage_usec 10\nnr_throttled 0\nthrottled_usec 0\n",
      "/sys/fs/cgroup/slice/cpu.stat": "usage_usec 20\nnr_throttled 3\nthrottled_usec 4500\n",
    });
    // 250,000 us of every 100,000 us.
    expect(cpuQuota.value).toEqual({ state: "value", value: 2.5, unit: "CPU" });
    expect(memoryLimitBytes.value).toEqual({ state: "value", value: 8589934592, unit: "B" });
    expect(throttledUs.value).toEqual({ state: "value", value: 4500, unit: "us" });
  });

  it("says that there is no limit where the group sets none", async () => {
    const { cpuQuota, memoryLimitBytes, throttledUs } = await read({
      "/proc/self/cgroup": "0::/\n",
      "/proc/self/mountinfo": unified,
      "/sys/fs/cgroup/cpu.max": "max 100000\n",
      "/sys/fs/cgroup/memory.max": "max\n",
    });
    expect(cpuQuota.value).toEqual({ state: "not_applicable", reason: reasons.noCpuLimit });
    expect(memoryLimitBytes.value).toEqual({
      state: "not_applicable",
      reason: reasons.noMemoryLimit,
    });
    expect(throttledUs.value).toEqual({ state: "not_applicable", reason: reasons.noCpuLimit });
  });
});

describe("control groups, version 1", () => {
  it("reads a container whose mount shows only its own part of the tree", async () => {
    const { cpuQuota, memoryLimitBytes, throttledUs } = await read({
      "/proc/self/cgroup": "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/\n",
      "/proc/self/mountinfo":
        "33 31 0:30 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n" +
        "36 31 0:33 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
      "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "150000\n",
      "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
      "/sys/fs/cgroup/cpu,cpuacct/cpu.stat":
        "nr_periods 9\nnr_throttled 1\nthrottled_time 2500000\n",
      "/sys/fs/cgroup/memory/memory.limit_in_bytes": "1073741824\n",
    });
    expect(cpuQuota.value).toEqual({ state: "value", value: 1.5, unit: "CPU" });
    expect(memoryLimitBytes.value).toEqual({ state: "value", value: 1073741824, unit: "B" });
    // Version 1 counts nanoseconds.
    expect(throttledUs.value).toEqual({ state: "value", value: 2500, unit: "us" });
  });

  it("takes -1 and the largest number of pages for no limit", async () => {
    const { cpuQuota, memoryLimitBytes } = await read({
      "/proc/self/cgroup": "4:memory:/\n3:cpu:/\n",
      "/proc/self/mountinfo":
        "33 31 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n" +
        "36 31 0:33 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
      "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
      "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
      "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    });
    expect(cpuQuota.value.state).toBe("not_applicable");
    expect(memoryLimitBytes.value.state).toBe("not_applicable");
  });
});

it("says that no control group limits the process where there is none", async () => {
  const readings = await read({});
  for (const { value } of [readings.cpuQuota, readings.memoryLimitBytes, readings.throttledUs])
    expect(value).toEqual({ state: "not_applicable", reason: reasons.noCgroup });
});
