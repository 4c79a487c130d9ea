import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { afterEach, describe, expect, it } from "vitest";
import type { WatchEnd } from "../bench/request-record.ts";
import { type ReplayedHost, replayedHost } from "../testing/replayed-host.ts";
import { nowMs } from "../units.ts";
import type { GpuReading } from "./gpu-reading.ts";
import { type GpuWatch, type GpuWatchSettings, openGpuWatch } from "./gpu-telemetry.ts";
import { columnsWithout, parseReading, telemetryColumns } from "./gpu-telemetry-columns.ts";
import { reasons } from "./reasons.ts";

const everyMs = 40;
const hosts: ReplayedHost[] = [];
const watches: GpuWatch[] = [];
afterEach(async () => {
  await Promise.all(watches.splice(0).map((watch) => watch.close()));
  for (const host of hosts.splice(0)) host.remove();
});

function hostOf(...args: Parameters<typeof replayedHost>): ReplayedHost {
  const host = replayedHost(...args);
  hosts.push(host);
  return host;
}

function open(host: ReplayedHost, settings: Partial<GpuWatchSettings> = {}): GpuWatch {
  const watch = openGpuWatch({ everyMs, command: [host.smi], ...settings });
  watches.push(watch);
  return watch;
}

interface Watched {
  readonly readings: readonly GpuReading[];
  readonly end: WatchEnd;
}

/** Watches until `enough`, which is asked after every reading, says so. */
async function watched(
  watch: GpuWatch,
  enough: (readings: readonly GpuReading[]) => boolean,
  zeroMs = nowMs(),
): Promise<Watched> {
  const over = new AbortController();
  const stream = watch.watch({ zeroMs, signal: over.signal });
  const readings: GpuReading[] = [];
  for (let step = await stream.next(); ; step = await stream.next()) {
    if (step.done === true) return { readings, end: step.value };
    readings.push(step.value);
    if (enough(readings)) over.abort();
  }
}

const counted =
  (count: number) =>
  (readings: readonly GpuReading[]): boolean =>
    readings.length >= count;

/** Processes whose command line holds the text. */
function processesWith(text: string): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(text);
      } catch {
        // It ended between the two looks.
        return false;
      }
    });
}

const folderOf = ({ smi }: ReplayedHost): string => smi.replace(/\/bin\/nvidia-smi$/, "/host");

describe("a line of telemetry", () => {
  const line = (cells: Readonly<Record<string, string>>): string =>
    telemetryColumns
      .map(({ query, property }) => cells[query] ?? cells[property] ?? "[N/A]")
      .join(", ");

  it("becomes a reading with ratios, and without a value for what is not a number", () => {
    const cells = {
      gpu: "3",
      uuid: "GPU-1",
      powerW: "631.95",
      utilization: "87",
      smClockMhz: "ERR!",
      temperatureC: "[Unknown Error]",
      eventReasons: "0x0000000000000024",
      hwThermalUs: "1200",
    };
    expect(parseReading(line(cells), telemetryColumns, 7)).toEqual({
      atMs: 7,
      gpu: 3,
      uuid: "GPU-1",
      powerW: 631.95,
      utilization: 0.87,
      eventReasons: 0x24,
      hwThermalUs: 1200,
    });
  });

  it.each([
    ["a warning", "WARNING: infoROM is corrupted at gpu 0000:00:1E.0"],
    ["a cut line", "0, GPU-1, 631.95"],
    ["a GPU of which nothing can be read", line({ gpu: "0", uuid: "[GPU is lost]" })],
    ["a GPU without an index", line({ gpu: "[N/A]", powerW: "71.40" })],
  ])("is no reading when it is %s", (_, text) => {
    expect(parseReading(text, telemetryColumns, 0)).toBeUndefined();
  });

  it("is asked of an older driver by older names and without counters", () => {
    const older = columnsWithout(telemetryColumns, "clocks_event_reasons.active");
    const queries = older?.map(({ query }) => query) ?? [];
    expect(queries).toContain("clocks_throttle_reasons.active");
    expect(queries.some((query) => query.includes("counters"))).toBe(false);
    const bare = columnsWithout(older ?? [], "clocks_throttle_reasons.active");
    expect(bare?.map(({ query }) => query)).not.toContain("clocks_throttle_reasons.active");
    expect(columnsWithout(telemetryColumns, "index")).toBeUndefined();
    expect(columnsWithout(telemetryColumns, "no.such.column")).toBeUndefined();
  });
});

describe("a watch of GPUs", () => {
  it("gives every GPU's readings on the trial's clock, and one of each after the signal", async () => {
    const host = hostOf("rtx-pro-6000-vgpu");
    const zeroMs = nowMs();
    const { readings, end } = await watched(open(host), counted(7), zeroMs);
    expect(readings.map(({ gpu }) => gpu)).toEqual(readings.map((_, at) => at % 2));
    // Seven, the second GPU of the same round, and two more; lines may come in a bunch.
    expect(readings.length).toBeGreaterThanOrEqual(10);
    const times = readings.map(({ atMs }) => atMs);
    expect(times).toEqual([...times].sort((a, b) => a - b));
    expect(times[0]).toBeGreaterThan(0);
    expect(times.at(-1)).toBeLessThanOrEqual(nowMs() - zeroMs);
    expect(readings[0]?.uuid).toMatch(/^GPU-6d1f/);
    expect(readings[0]?.smClockMhz).toBe(2430);
    expect(readings[0]?.powerW).toBeUndefined();
    expect(end).toMatchObject({ readings: readings.length, unavailable: undefined });
  });

  it("serves one trial after another from one process, and ends it on close", async () => {
    const host = hostOf("h100-mig");
    const watch = open(host);
    await watched(watch, counted(2));
    const first = processesWith(folderOf(host));
    const { readings } = await watched(watch, counted(2));
    expect(processesWith(folderOf(host))).toEqual(first);
    expect(first).toHaveLength(1);
    // The second trial begins with the newest reading, and with nothing older.
    expect(readings[0]?.atMs).toBeLessThanOrEqual(1);
    expect(readings[0]?.atMs).toBeGreaterThan(-2 * everyMs);
    expect(readings[1]?.atMs).toBeGreaterThan(0);
    await watch.close();
    expect(processesWith(folderOf(host))).toEqual([]);
    const { end } = await watched(watch, counted(1));
    expect(end).toMatchObject({ readings: 0, unavailable: "the watch was closed" });
  });

  it("sees counters grow, and what the host becomes in mid-trial", async () => {
    const column = "clocks_event_reasons_counters.hw_thermal_slowdown";
    const host = hostOf("h100-mig", { growing: { [column]: 1_000_000 } });
    const { readings } = await watched(open(host), (all) => {
      if (all.length === 3) host.setState({ cells: { "0": { "power.draw": "320.50 W" } } });
      return all.at(-1)?.powerW === 320.5;
    });
    const [first, second] = readings.map(({ hwThermalUs }) => hwThermalUs ?? 0);
    expect(second).toBeGreaterThan(first ?? 0);
    expect(readings[0]?.powerW).toBe(71.4);
  });

  it("asks an older driver for what it has", async () => {
    const counters = telemetryColumns
      .map(({ query }) => query)
      .filter((query) => query.includes("counters"));
    const host = hostOf("h100-mig", { refused: ["clocks_event_reasons.active", ...counters] });
    const { readings } = await watched(open(host), counted(1));
    expect(readings[0]).toMatchObject({ eventReasons: 1, smClockMhz: 1980 });
    expect(readings[0]?.hwThermalUs).toBeUndefined();
  });

  it("passes over lines that are no readings, and counts them", async () => {
    const host = hostOf("h100-mig");
    const noise = ["WARNING: infoROM is corrupted", "0, ERR!", ""];
    const { end } = await watched(open(host), (all) => {
      if (all.length === 2) {
        host.setState({ lines: noise });
        setTimeout(() => {
          host.reset();
        }, 5 * everyMs);
      }
      return all.length >= 6;
    });
    expect(end.readings).toBeGreaterThanOrEqual(6);
    expect(end.missed).toBeGreaterThanOrEqual(2);
    expect(end.unavailable).toBeUndefined();
  });

  it("starts nvidia-smi again when it dies in mid-run, and counts the gap", async () => {
    const host = hostOf("h100-mig");
    const { end } = await watched(open(host), (all) => {
      if (all.length === 3)
        for (const pid of processesWith(folderOf(host))) process.kill(pid, "SIGKILL");
      return all.length >= 6;
    });
    expect(end).toMatchObject({ unavailable: undefined });
    expect(end.readings).toBeGreaterThanOrEqual(6);
    expect(end.missed).toBeGreaterThanOrEqual(1);
  });

  it("says why when it dies and does not come back", async () => {
    const host = hostOf("h100-mig");
    const { end } = await watched(open(host), (all) => {
      if (all.length === 2)
        host.setState({ failure: { kind: "exit", code: 15, text: "GPU is lost\n" } });
      return false;
    });
    expect(end.readings).toBeGreaterThanOrEqual(2);
    expect(end.unavailable).toBe("nvidia-smi ended with exit code 15: GPU is lost");
  });

  it("starts one that falls silent again", async () => {
    const host = hostOf("h100-mig");
    const { end } = await watched(open(host, { silenceLimitMs: 400 }), (all) => {
      if (all.length === 2) {
        host.setState({ failure: { kind: "hang" } });
        setTimeout(() => {
          host.reset();
        }, 200);
      }
      return all.length >= 4;
    });
    expect(end.readings).toBeGreaterThanOrEqual(4);
    expect(end.missed).toBeGreaterThanOrEqual(5);
  });

  it("lets a trial end in time when nvidia-smi hangs from the start", async () => {
    const host = hostOf("h100-mig", { failure: { kind: "hang" } });
    const watch = open(host);
    const over = new AbortController();
    const stream = watch.watch({ zeroMs: nowMs(), signal: over.signal });
    const first = stream.next();
    const abortedMs = nowMs();
    over.abort();
    const step = await first;
    expect(step).toMatchObject({
      done: true,
      value: { readings: 0, unavailable: "nvidia-smi gave no reading while the trial ran" },
    });
    expect(nowMs() - abortedMs).toBeLessThan(1500);
  });

  it("gives up one that hangs from the start, and leaves no process", async () => {
    const host = hostOf("h100-mig", { failure: { kind: "hang" } });
    const { end } = await watched(open(host, { firstLineLimitMs: 300 }), counted(1));
    expect(end).toMatchObject({ readings: 0, unavailable: reasons.nvidiaSmiHangs });
    expect(processesWith(folderOf(host))).toEqual([]);
  });

  it.each([
    [6, "No devices were found\n", reasons.nvidiaSmiNoDevices],
    [9, "NVIDIA-SMI has failed\n", reasons.nvidiaSmiNoDriver],
    [18, "Failed to initialize NVML\n", reasons.nvidiaSmiMismatch],
    [14, "infoROM is corrupted\n", "nvidia-smi ended with exit code 14: infoROM is corrupted"],
  ])("names exit code %i", async (code, text, why) => {
    const host = hostOf("h100-mig", { failure: { kind: "exit", code, text } });
    const { end } = await watched(open(host), counted(1));
    expect(end).toMatchObject({ readings: 0, unavailable: why });
  });

  it("says at once that there is nothing to watch where the program is missing", async () => {
    const watch = openGpuWatch({ everyMs, command: ["no-such-nvidia-smi"] });
    const { end } = await watched(watch, counted(1));
    expect(end.readings).toBe(0);
    expect([reasons.noGpu, reasons.noNvidiaSmi]).toContain(end.unavailable);
    await watch.close();
  });

  it("takes its process with it when it is killed", async () => {
    const host = hostOf("h100-mig");
    const module = new URL("../../dist/environment/gpu-telemetry.js", import.meta.url).href;
    const program = `
      const { openGpuWatch } = await import(${JSON.stringify(module)});
      const watch = openGpuWatch({ everyMs: 40, command: [${JSON.stringify(host.smi)}] });
      const signal = new AbortController().signal;
      for await (const reading of watch.watch({ zeroMs: 0, signal })) console.log(reading.gpu);
    `;
    const owner = spawn(process.execPath, ["--input-type=module", "-e", program]);
    await once(owner.stdout, "data");
    expect(processesWith(folderOf(host)).length).toBeGreaterThanOrEqual(1);
    owner.kill("SIGKILL");
    await once(owner, "exit");
    const left = (): readonly number[] => processesWith(`replayed-smi.js\0${folderOf(host)}`);
    await expect.poll(left, { timeout: 5000 }).toEqual([]);
  });
});
