// What the GPUs were doing while a trial ran: one nvidia-smi that lives as long as the run, and its
// lines as readings of whichever trial is watched. A trial never waits for it and never fails by it.
import { existsSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { $, which } from "zx/core";
import type { WatchEnd } from "../bench/request-record.ts";
import { nowMs } from "../units.ts";
import type { GpuReading } from "./gpu-reading.ts";
import {
  columnsWithout,
  parseReading,
  refusedColumn,
  type TelemetryColumn,
  telemetryColumns,
} from "./gpu-telemetry-columns.ts";
import { reasons } from "./reasons.ts";

/** A watch of all GPUs of a machine, opened once for a run. */
export interface GpuWatch {
  /**
   * The newest reading of every GPU, which may be from just before the trial's zero, and every one
   * from now on until the signal comes; then one more of each when it comes within an interval, at
   * most about a second. Stamped on arrival, as nvidia-smi's own time is not our clock. One trial
   * after another; ends at once, saying why, where nothing can be read.
   */
  watch(options: GpuWatchOptions): AsyncGenerator<GpuReading, WatchEnd, undefined>;
  /** Ends nvidia-smi, and every watch. */
  close(): Promise<void>;
}

interface GpuWatchOptions {
  /** The trial's zero, a `nowMs()` value. */
  readonly zeroMs: number;
  readonly signal: AbortSignal;
}

export interface GpuWatchSettings {
  /** Time from one reading to the next. */
  readonly everyMs: number;
  /** Words that run nvidia-smi, on another host too: ["ssh", "host", "nvidia-smi"]. */
  readonly command?: readonly string[];
  /** How long nvidia-smi may take to its first line: with eight GPUs and no persistence mode, many seconds. */
  readonly firstLineLimitMs?: number;
  /** How long it may be silent after that before it is started anew. */
  readonly silenceLimitMs?: number;
}

/** A watch that never came to a reading, and was not told why. */
const noReading = "nvidia-smi gave no reading while the trial ran";

const closed = "the watch was closed";

/** Longest that the end of a trial waits for a last reading. */
const lastReadingLimitMs = 1250;

/** After the kill a process that a driver holds is left behind. */
const afterKillMs = 200;

/**
 * Starts nvidia-smi at once, in a process group of its own. Without the program, or without a GPU
 * that it can read, every watch says so; one that dies or falls silent in mid-run is started again.
 */
export function openGpuWatch({
  everyMs,
  command = ["nvidia-smi"],
  firstLineLimitMs = 30_000,
  silenceLimitMs = Math.max(10_000, 10 * everyMs),
}: GpuWatchSettings): GpuWatch {
  const listeners = new Set<Listener>();
  const closing = new AbortController();
  /** By GPU; `atMs` is when it came. */
  const newest = new Map<number, GpuReading>();
  let unavailable: string | undefined;
  const tellAll = (tell: (listener: Listener) => void): void => {
    for (const listener of [...listeners]) tell(listener);
  };

  const over = (async (): Promise<void> => {
    unavailable = await keepRunning();
    newest.clear();
    tellAll((listener) => {
      listener.wake();
    });
  })();

  /** Resolves when there is nothing more to read, with the reason. */
  async function keepRunning(): Promise<string> {
    const program = await which(command[0] ?? "", { nothrow: true });
    if (program === null) return existsSync("/dev/nvidiactl") ? reasons.noNvidiaSmi : reasons.noGpu;
    let columns = telemetryColumns;
    for (;;) {
      const life = await oneLife(program, columns);
      if (closing.signal.aborted) return closed;
      if (life.hasRead) {
        // Whatever ended it, the next may do better; not faster than the readings come.
        await delay(Math.min(everyMs, 1000), undefined, { signal: closing.signal }).catch(
          () => undefined,
        );
        continue;
      }
      const refused = refusedColumn(life.lastWords);
      const fewer = refused === undefined ? undefined : columnsWithout(columns, refused);
      if (fewer === undefined) return life.why;
      columns = fewer;
    }
  }

  /** One nvidia-smi from its start to its end. */
  async function oneLife(program: string, columns: readonly TelemetryColumn[]): Promise<Life> {
    const query = columns.map((column) => column.query).join(",");
    const argv = [
      program,
      ...command.slice(1),
      `--query-gpu=${query}`,
      "--format=csv,noheader,nounits",
      "-lms",
      String(everyMs),
    ];
    // zx keeps all output of a process; of this one that would grow for hours.
    const store = { stdout: [], stderr: [], stdall: [] };
    // `exec` makes the shell that zx uses become nvidia-smi. It ends by itself when we die: nobody
    // reads the pipe that it writes to any more.
    const child = $({
      detached: true,
      nothrow: true,
      quiet: true,
      store,
      env: { ...process.env, LC_ALL: "C" },
      stdio: ["ignore", "pipe", "pipe"],
    })`exec ${argv}`;
    let hasRead = false;
    let lastWords = "";
    let rest = "";
    const killed = new AbortController();
    const kill = (): void => {
      endGroup(child.pid);
      killed.abort();
    };
    let silence = setTimeout(kill, firstLineLimitMs);
    const take = (chunk: string): void => {
      const atMs = nowMs();
      const lines = (rest + chunk).split(/\r?\n/);
      rest = lines.pop() ?? "";
      for (const line of lines.filter((one) => one.trim() !== "")) {
        const reading = parseReading(line, columns, atMs);
        if (reading === undefined) {
          lastWords = `${lastWords}\n${line}`.slice(-1000);
          tellAll((listener) => {
            listener.miss();
          });
          continue;
        }
        hasRead = true;
        clearTimeout(silence);
        silence = setTimeout(kill, silenceLimitMs);
        newest.set(reading.gpu, reading);
        tellAll((listener) => {
          listener.take(reading);
        });
      }
    };
    const drop = (): void => {
      for (const kept of Object.values(store)) kept.length = 0;
    };
    child.stdout.on("data", (chunk: Buffer) => {
      take(chunk.toString());
      drop();
    });
    child.stderr.on("data", (chunk: Buffer) => {
      lastWords = `${lastWords}\n${chunk.toString()}`.slice(-1000);
      drop();
    });
    closing.signal.addEventListener("abort", kill, { once: true });
    if (closing.signal.aborted) kill();
    const ended = await Promise.race([child, afterwards(killed.signal, afterKillMs)]);
    clearTimeout(silence);
    closing.signal.removeEventListener("abort", kill);
    if (ended === undefined) {
      child.child?.unref();
      child.stdout.destroy();
      child.stderr.destroy();
    }
    lastWords += rest;
    const why = killed.signal.aborted
      ? reasons.nvidiaSmiHangs
      : whyItEnded(ended?.exitCode ?? undefined, lastWords);
    return { hasRead, lastWords, why };
  }

  async function* watch({
    zeroMs,
    signal,
  }: GpuWatchOptions): AsyncGenerator<GpuReading, WatchEnd, undefined> {
    const listener = createListener(everyMs, zeroMs);
    const onAbort = (): void => {
      listener.wake();
    };
    // A trial need not wait an interval for the counters that it begins with.
    for (const reading of newest.values())
      if (nowMs() - reading.atMs <= 2 * everyMs) listener.take(reading);
    listeners.add(listener);
    signal.addEventListener("abort", onAbort, { once: true });
    let deadline: NodeJS.Timeout | undefined;
    const late = new AbortController();
    try {
      for (;;) {
        const reading = listener.next();
        if (reading !== undefined) {
          yield reading;
          continue;
        }
        if (unavailable !== undefined || late.signal.aborted) break;
        if (signal.aborted && deadline === undefined) {
          listener.expectLast();
          deadline = setTimeout(
            () => {
              late.abort();
              listener.wake();
            },
            Math.min(1.25 * everyMs, lastReadingLimitMs),
          );
        }
        if (listener.hasLast()) break;
        await listener.woken();
      }
      return listener.end(unavailable);
    } finally {
      clearTimeout(deadline);
      listeners.delete(listener);
      signal.removeEventListener("abort", onAbort);
    }
  }

  return {
    watch,
    close: async () => {
      closing.abort();
      await over;
    },
  };
}

/** How one nvidia-smi went. */
interface Life {
  readonly hasRead: boolean;
  /** What it said that was no reading. */
  readonly lastWords: string;
  readonly why: string;
}

/** Exit codes as nvidia-smi's manual lists them; 127: a shell, here or over ssh, finds no such program. */
function whyItEnded(exitCode: number | undefined, lastWords: string): string {
  const named: Readonly<Record<number, string>> = {
    6: reasons.nvidiaSmiNoDevices,
    9: reasons.nvidiaSmiNoDriver,
    18: reasons.nvidiaSmiMismatch,
    127: reasons.noNvidiaSmi,
  };
  const known = named[exitCode ?? 0];
  if (known !== undefined) return known;
  const [words = ""] = lastWords.trim().split("\n");
  const said = words === "" ? "" : `: ${words.slice(0, 200)}`;
  return exitCode === undefined
    ? `nvidia-smi was killed${said}`
    : `nvidia-smi ended with exit code ${exitCode}${said}`;
}

/** Where one trial's readings wait to be fetched, and what is counted of them. */
interface Listener {
  take(reading: GpuReading): void;
  /** A line came that was no reading. */
  miss(): void;
  next(): GpuReading | undefined;
  wake(): void;
  woken(): Promise<void>;
  /** From now on one reading of each GPU is the last. */
  expectLast(): void;
  hasLast(): boolean;
  end(unavailable: string | undefined): WatchEnd;
}

/** Readings carry `nowMs()` when they come in, and time since the trial's zero when they go out. */
function createListener(everyMs: number, zeroMs: number): Listener {
  const queue: GpuReading[] = [];
  const awaited = new Set<number>();
  /** When each GPU was first and last read, and how often. */
  const read = new Map<number, { firstMs: number; lastMs: number; count: number }>();
  const openedMs = nowMs();
  let wake = (): void => undefined;
  let hasRung = false;
  let expectsLast = false;
  let missed = 0;
  const ring = (): void => {
    hasRung = true;
    wake();
  };
  /** Readings that should have come in a time without any. */
  const skipped = (fromMs: number, toMs: number): number =>
    Math.max(0, Math.round((toMs - fromMs) / everyMs) - 1);

  return {
    take: (reading) => {
      const { gpu, atMs } = reading;
      const earlier = read.get(gpu);
      if (earlier !== undefined) missed += skipped(earlier.lastMs, atMs);
      read.set(gpu, {
        firstMs: earlier?.firstMs ?? atMs,
        lastMs: atMs,
        count: (earlier?.count ?? 0) + 1,
      });
      queue.push({ ...reading, atMs: atMs - zeroMs });
      awaited.delete(gpu);
      if (expectsLast && read.size === 1) awaited.clear();
      ring();
    },
    miss: () => {
      missed += 1;
    },
    next: () => queue.shift(),
    wake: ring,
    woken: async () => {
      if (!hasRung) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      hasRung = false;
    },
    expectLast: () => {
      expectsLast = true;
      for (const gpu of read.keys()) awaited.add(gpu);
    },
    hasLast: () => expectsLast && read.size > 0 && awaited.size === 0,
    end: (unavailable) => {
      const each = [...read.values()];
      const readings = each.reduce((sum, { count }) => sum + count, 0);
      const silent = each.map(({ lastMs }) => skipped(lastMs, nowMs()));
      const late = each.length === 0 ? skipped(openedMs, nowMs()) : 0;
      const lost = silent.reduce((sum, count) => sum + count, missed + late);
      return {
        readings,
        missed: lost,
        meanCostMs: lost === 0 ? costOf(each, everyMs) : undefined,
        unavailable: unavailable ?? (readings === 0 ? noReading : undefined),
      };
    },
  };
}

/** nvidia-smi pauses between two rounds of readings: what a round takes beyond the pause is its cost. */
function costOf(
  each: readonly { readonly firstMs: number; readonly lastMs: number; readonly count: number }[],
  everyMs: number,
): number | undefined {
  const [first] = each;
  if (first === undefined || first.count < 2) return undefined;
  return Math.max(0, (first.lastMs - first.firstMs) / (first.count - 1) - everyMs);
}

/** Resolves so long after the signal. */
async function afterwards(signal: AbortSignal, durationMs: number): Promise<undefined> {
  if (!signal.aborted) {
    await new Promise<void>((resolve) => {
      signal.addEventListener(
        "abort",
        () => {
          resolve();
        },
        { once: true },
      );
    });
  }
  await delay(durationMs);
}

/** A process that ended by itself in the meantime is no fault. */
function endGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // Gone already.
  }
}
