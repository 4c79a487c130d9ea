// A process of an engine: started in its own group with its log in a file, watched, stopped with
// everything it started. Shared by every engine that benchbook launches itself.
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { createServer } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { $ } from "zx";
import { nowMs } from "../units.ts";
import type { EngineExit } from "./engine.ts";
import { EngineStartError } from "./engine.ts";
import { probe } from "./http.ts";

export interface EngineProcess {
  readonly pid: number;
  readonly exited: Promise<EngineExit>;
  /** SIGTERM to the group, SIGKILL after `politeMs`; gives what is left of it, in words for people. */
  stop(politeMs?: number): Promise<readonly string[]>;
}

/**
 * Starts argv in its own process group. Its standard input stays open as long as this process
 * lives, so that an engine which reads it learns of our death, a kill -9 included.
 * @throws EngineStartError when the program can't be started at all
 */
export async function launchProcess(
  argv: readonly string[],
  options: {
    readonly env: Readonly<Record<string, string>>;
    readonly logPath: string;
    readonly cwd: string;
  },
): Promise<EngineProcess> {
  const log = openSync(options.logPath, "a");
  // `exec` makes the shell that zx uses become the engine: its pid is the engine's and its group's.
  const child = $({
    detached: true,
    nothrow: true,
    quiet: true,
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ["pipe", log, log],
  })`exec ${argv}`;
  const exited = (async (): Promise<EngineExit> => {
    const output = await child;
    closeSync(log);
    return {
      exitCode: output.exitCode ?? undefined,
      signal: output.signal ?? undefined,
      lastWords: lastLines(options.logPath),
    };
  })();
  const pid = child.pid;
  if (pid === undefined) {
    const { lastWords } = await exited;
    throw new EngineStartError(
      `${argv[0] ?? "the engine"} could not be started`,
      "check that the program exists",
      lastWords,
    );
  }
  return { pid, exited, stop: (politeMs = 10_000) => stopGroup(pid, politeMs) };
}

/**
 * Waits until the engine answers GET /health with 200, dies, or the time is over.
 * @param address where it answers; undefined as long as that is not known
 * @returns where, and milliseconds waited
 * @throws EngineStartError with the log's last words
 */
export async function waitUntilReady(
  engine: EngineProcess,
  address: () => string | undefined,
  options: { readonly readyMs: number; readonly signal: AbortSignal; readonly logPath: string },
): Promise<{ readonly url: string; readonly startupMs: number }> {
  const startedAtMs = nowMs();
  let exit: EngineExit | undefined;
  void engine.exited.then((value) => {
    exit = value;
  });
  while (nowMs() - startedAtMs < options.readyMs) {
    options.signal.throwIfAborted();
    if (exit !== undefined) {
      throw new EngineStartError(
        `the engine ended before it was ready (${describeExit(exit)})`,
        "read its log in data/runs",
        exit.lastWords,
      );
    }
    const url = address();
    if (url !== undefined) {
      const answer = await probe(`${url}/health`, { timeoutMs: 2000 });
      if (answer.kind === "answer" && answer.status === 200)
        return { url, startupMs: nowMs() - startedAtMs };
    }
    await delay(50);
  }
  throw new EngineStartError(
    `the engine was not ready within ${Math.round(options.readyMs / 1000)} s`,
    "give it longer with engines.<name>.ready, or read its log",
    lastLines(options.logPath),
  );
}

export function describeExit(exit: EngineExit): string {
  if (exit.signal !== undefined) return `killed by ${exit.signal}`;
  return exit.exitCode === undefined ? "ended" : `exit code ${exit.exitCode}`;
}

/** Whether nobody listens on a port of the loopback interface. */
export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => {
      resolve(false);
    });
    server.listen({ host: "127.0.0.1", port }, () => {
      server.close(() => {
        resolve(true);
      });
    });
  });
}

/** The last lines of a log, at most 20 of its last 8 KiB, for people. */
export function lastLines(path: string, lines = 20): string {
  try {
    const file = openSync(path, "r");
    try {
      const size = fstatSync(file).size;
      const buffer = Buffer.alloc(Math.min(size, 8192));
      readSync(file, buffer, 0, buffer.length, size - buffer.length);
      return buffer.toString("utf8").trimEnd().split("\n").slice(-lines).join("\n");
    } finally {
      closeSync(file);
    }
  } catch {
    // A log that is gone has no last words; the caller still says what happened.
    return "";
  }
}

async function stopGroup(pid: number, politeMs: number): Promise<readonly string[]> {
  signalGroup(pid, "SIGTERM");
  if (await groupGone(pid, politeMs)) return [];
  signalGroup(pid, "SIGKILL");
  return (await groupGone(pid, 5000)) ? [] : [`processes of group ${pid} could not be ended`];
}

async function groupGone(pid: number, withinMs: number): Promise<boolean> {
  const until = nowMs() + withinMs;
  while (signalGroup(pid, 0)) {
    if (nowMs() > until) return false;
    await delay(20);
  }
  return true;
}

/** Sends a signal to the whole group; false when no process of it is left. */
export function signalGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(-pid, signal);
    return true;
  } catch {
    return false;
  }
}
