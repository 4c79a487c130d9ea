// What the probes need of the world outside: processes, files, clocks. Handed in as one argument, so
// that every state of a machine, a broken one too, can be told to a probe by a test.

import { createHash } from "node:crypto";
import { open, readdir, readFile, stat, statfs } from "node:fs/promises";
import { hostname, networkInterfaces } from "node:os";
import { join } from "node:path";
import { $, which } from "zx/core";
import { messageOf, systemCodeOf } from "../errors.ts";
import { nowMs } from "../units.ts";

/** How a command ended. `exitCode` is undefined where it never ran or was killed. */
export interface Ran {
  readonly exitCode: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
  readonly durationMs: number;
  readonly failure: "missing" | "timed out" | "killed" | undefined;
}

interface ExecOptions {
  readonly limitMs: number;
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
}

/** What systeminformation says where /proc is silent. undefined: it does not know either. */
export interface HostFacts {
  readonly os: string | undefined;
  readonly kernel: string | undefined;
  readonly cpuModel: string | undefined;
  readonly sockets: number | undefined;
  readonly cores: number | undefined;
  readonly logical: number | undefined;
  readonly memoryBytes: number | undefined;
  readonly swapBytes: number | undefined;
  readonly uptimeS: number | undefined;
  readonly virtual: boolean | undefined;
}

export interface FileStatus {
  readonly path: string;
  readonly bytes: number;
  readonly mtimeMs: number;
}

/** A machine other than the one that benchbook runs on. */
export interface Elsewhere {
  /** The name that it gives itself. */
  readonly name: string;
  /** Of its time zone: "+08:00". */
  readonly utcOffset: string;
  /**
   * Whether it can be asked now; connects again where the connection was lost.
   * @throws a system error (EHOSTUNREACH) that says why not
   */
  ready(): Promise<void>;
  /** Its clock minus this machine's, ms; undefined: it does not tell parts of a second. */
  clockOffsetMs(): Promise<number | undefined>;
}

export interface Outside {
  /** Runs one command in a process group of its own; never throws for how it ended. */
  exec(command: readonly string[], options: ExecOptions): Promise<Ran>;
  /** The text of a file. @throws a system error (ENOENT, EACCES) where it can't be read. */
  readFile(path: string): Promise<string>;
  /**
   * The texts of many small files at once, where one by one would take long; undefined for one that
   * can't be read. Absent: they are read one by one.
   */
  readFiles?(paths: readonly string[]): Promise<readonly (string | undefined)[]>;
  /** Names in a folder, sorted. @throws a system error where there is none. */
  readDirectory(path: string): Promise<readonly string[]>;
  /** Files of a folder and of its folders down to `depth`, links followed, sorted by path. */
  listFiles(folder: string, depth: number): Promise<readonly FileStatus[]>;
  /**
   * sha256 of a file, lower-case hex: of all of it, or of its first and its last MiB.
   * @throws a system error where it can't be read.
   */
  sha256(file: FileStatus, part: "whole" | "edges"): Promise<string>;
  /** Size of the file system that holds a path, bytes. */
  fileSystemBytes(path: string): Promise<number>;
  hostFacts(): Promise<HostFacts>;
  /** Milliseconds since the Unix epoch. */
  now(): number;
  timeZone(): string;
  hostname(): string;
  /** Addresses of this machine's interfaces. */
  addresses(): readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly argv: readonly string[];
  readonly versions: { readonly node: string; readonly v8: string };
  readonly platform: string;
  /** undefined: the machine that benchbook runs on. */
  readonly elsewhere?: Elsewhere;
}

/** This machine. */
export const real: Outside = {
  exec: execReal,
  readFile: (path) => readFile(path, "utf8"),
  readDirectory: async (path) => (await readdir(path)).sort(),
  listFiles: listFilesReal,
  sha256: sha256Real,
  fileSystemBytes: async (path) => {
    const { blocks, bsize } = await statfs(path);
    return blocks * bsize;
  },
  hostFacts: hostFactsReal,
  now: () => Date.now(),
  timeZone: () => Intl.DateTimeFormat().resolvedOptions().timeZone,
  hostname,
  addresses: () =>
    Object.values(networkInterfaces()).flatMap((list) =>
      (list ?? []).map(({ address }) => address),
    ),
  env: process.env,
  argv: process.argv,
  versions: { node: process.version, v8: process.versions.v8 },
  platform: `${process.platform}-${process.arch}`,
};

/** After the kill a process in an uninterruptible wait (a driver that hangs) is left behind. */
const afterKillMs = 200;

async function execReal(command: readonly string[], options: ExecOptions): Promise<Ran> {
  const startedMs = nowMs();
  const ended = (parts: Omit<Ran, "durationMs">): Ran => ({
    ...parts,
    durationMs: nowMs() - startedMs,
  });
  const [program = "", ...rest] = command;
  const path = await which(program, { nothrow: true });
  if (path === null)
    return ended({ exitCode: undefined, stdout: "", stderr: "", failure: "missing" });

  const running = $({
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
    nothrow: true,
    quiet: true,
    env: { ...process.env, LC_ALL: "C", ...options.env },
  })`${[path, ...rest]}`;
  let stdout = "";
  let stderr = "";
  running.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  running.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));

  const timers: NodeJS.Timeout[] = [];
  const tooLong = new Promise<"timed out">((resolve) => {
    timers.push(
      setTimeout(() => {
        endGroup(running.pid);
        timers.push(
          setTimeout(() => {
            resolve("timed out");
          }, afterKillMs),
        );
      }, options.limitMs),
    );
  });
  const output = await Promise.race([running, tooLong]);
  for (const timer of timers) clearTimeout(timer);

  if (output === "timed out") {
    running.child?.unref();
    running.stdout.destroy();
    running.stderr.destroy();
    return ended({ exitCode: undefined, stdout, stderr, failure: "timed out" });
  }
  const killedByLimit = output.signal === "SIGKILL" && nowMs() - startedMs >= options.limitMs;
  return ended({
    exitCode: output.signal === null ? (output.exitCode ?? undefined) : undefined,
    stdout: output.stdout,
    stderr: output.stderr,
    failure: killedByLimit ? "timed out" : output.signal === null ? undefined : "killed",
  });
}

/** A process that ended by itself in the meantime is no fault. */
function endGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    if (systemCodeOf(error) !== "ESRCH") throw error;
  }
}

async function listFilesReal(folder: string, depth: number): Promise<readonly FileStatus[]> {
  const found: FileStatus[] = [];
  for (const name of (await readdir(folder)).sort()) {
    const path = join(folder, name);
    let status: Awaited<ReturnType<typeof stat>>;
    try {
      status = await stat(path);
    } catch (error) {
      // A dangling link of an unfinished download is no file.
      if (systemCodeOf(error) === "ENOENT") continue;
      throw new Error(`${path}: ${messageOf(error)}`, { cause: error });
    }
    if (status.isFile()) found.push({ path, bytes: status.size, mtimeMs: status.mtimeMs });
    else if (status.isDirectory() && depth > 1 && !name.startsWith("."))
      found.push(...(await listFilesReal(path, depth - 1)));
  }
  return found;
}

/** How much of a file's beginning and of its end make the digest of its edges. */
export const edgeBytes = 1024 * 1024;

async function sha256Real({ path, bytes }: FileStatus, part: "whole" | "edges"): Promise<string> {
  const hash = createHash("sha256");
  const file = await open(path);
  try {
    if (part === "whole") {
      const chunks = file.createReadStream({ autoClose: false }) as AsyncIterable<Buffer>;
      for await (const chunk of chunks) hash.update(chunk);
      return hash.digest("hex");
    }
    const edge = Buffer.alloc(edgeBytes);
    for (const position of [0, bytes - edgeBytes]) {
      const { bytesRead } = await file.read(edge, 0, edgeBytes, position);
      hash.update(edge.subarray(0, bytesRead));
    }
    return hash.digest("hex");
  } finally {
    await file.close();
  }
}

/** Loaded only where it is needed: it takes longer to load than all of /proc takes to read. */
async function hostFactsReal(): Promise<HostFacts> {
  const { cpu, mem, osInfo, system, time } = (await import("systeminformation")).default;
  const [cpuFacts, memory, os, machine] = await Promise.all([cpu(), mem(), osInfo(), system()]);
  const text = (value: string): string | undefined =>
    value.trim() === "" ? undefined : value.trim();
  const count = (value: number): number | undefined => (value > 0 ? value : undefined);
  return {
    os: text(`${os.distro} ${os.release}`),
    kernel: text(os.kernel),
    cpuModel: text(`${cpuFacts.manufacturer} ${cpuFacts.brand}`),
    sockets: count(cpuFacts.processors),
    cores: count(cpuFacts.physicalCores),
    logical: count(cpuFacts.cores),
    memoryBytes: count(memory.total),
    swapBytes: memory.swaptotal,
    uptimeS: time().uptime,
    virtual: machine.virtual,
  };
}
