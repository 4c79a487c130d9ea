// A process of an engine: started in its own group with its log in a file, watched, stopped with
// everything it started. Shared by every engine that benchbook launches itself.
import { closeSync, existsSync, openSync } from "node:fs";
import { createServer } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { $ } from "zx";
import { nowMs } from "../units.ts";
import { endFamily, type Family, lookAgain } from "./ending.ts";
import type { EngineExit } from "./engine.ts";
import { EngineStartError } from "./engine.ts";
import { probe } from "./http.ts";
import { endOf, lastLines } from "./log-text.ts";
import { commandLineOf, familyOf, findProcess, isAlive, listProcesses } from "./processes.ts";
import { listRemains, removeRemains } from "./remains.ts";
import { type Release, startWatchdog } from "./watchdog.ts";

export interface EngineProcess {
  readonly pid: number;
  /** Resolves when the process ended, or one of its guarded workers did. */
  readonly exited: Promise<EngineExit>;
  /** Looks which processes belong to it now. Not while a load is driven: it reads all of /proc. */
  note(): void;
  /**
   * From now on the end of a worker is the engine's own end, also when its server lives on.
   * @param root whose descendants are looked at: the engine's pid, or its container's
   */
  guard(root: number, pick: PickWorkers): void;
  /**
   * SIGTERM to the process, to all that belongs to it after `politeMs`, then SIGKILL; removes the
   * shared memory that is left. The first call decides.
   * @returns what is left of it, in words for people
   */
  stop(politeMs?: number): Promise<readonly string[]>;
}

/** Picks those of an engine's processes without which it can't serve. */
export type PickWorkers = (processes: readonly Worker[]) => readonly Worker[];

export interface Worker {
  readonly pid: number;
  readonly parent: number;
  readonly startedAt: string;
  readonly commandLine: string;
}

/** What a log says of a failed start. */
export interface Diagnosis {
  readonly what: string;
  readonly mend: string;
}

/** How often the workers are looked at: one small file of /proc for each. */
const guardMs = 200;
/** How long the log of an engine whose worker ended may take for its last words. */
const lastWordsMs = 200;

/**
 * Starts argv in its own process group. It ends with this process, a kill -9 included: its standard
 * input closes, and a watchdog ends what does not heed that.
 * @throws EngineStartError when the program can't be started at all
 */
export async function launchProcess(
  argv: readonly string[],
  options: {
    readonly env: Readonly<Record<string, string>>;
    readonly logPath: string;
    readonly cwd: string;
    readonly release?: Release | undefined;
  },
): Promise<EngineProcess> {
  const { logPath, release } = options;
  const log = openSync(logPath, "a");
  const remains = listRemains();
  // `exec` makes the shell that zx uses become the engine: its pid is the engine's and its group's.
  const child = $({
    detached: true,
    nothrow: true,
    quiet: true,
    cwd: options.cwd,
    // The shell that becomes the engine must read no start-up file, which may change the PATH: none
    // that BASH_ENV names, and not ~/.bashrc, which bash reads as a first shell (SHLVL) whose standard
    // input is a socket, as Node's pipes are.
    env: { ...process.env, BASH_ENV: "", SHLVL: "1", ...options.env },
    stdio: ["pipe", log, log],
  })`exec ${argv}`;
  let loss: string | undefined;
  const ended = (async (): Promise<EngineExit> => {
    const output = await child;
    closeSync(log);
    return {
      exitCode: output.exitCode ?? undefined,
      signal: output.signal ?? undefined,
      detail: loss,
      lastWords: lastLines(logPath),
    };
  })();
  const pid = child.pid;
  if (pid === undefined) {
    const { lastWords } = await ended;
    throw new EngineStartError(
      `${argv[0] ?? "the engine"} could not be started`,
      "check that the program exists",
      lastWords,
    );
  }

  const watchdog = startWatchdog(pid, release);
  let family: Family = { root: pid, members: [] };
  const note = (): void => {
    family = lookAgain(family);
    watchdog.know(family.members.filter(({ group }) => group !== pid));
  };

  let guarding: NodeJS.Timeout | undefined;
  let stopping: Promise<readonly string[]> | undefined;
  const stop = (politeMs = 10_000): Promise<readonly string[]> => {
    clearInterval(guarding);
    stopping ??= (async () => {
      const left = existsSync("/proc/self/stat")
        ? await endFamily(family, { politeMs, release })
        : await endGroup(pid, politeMs);
      watchdog.dismiss();
      // Dead, they stay in the group until this host's first process has waited for them.
      await groupGone(pid, buriedMs);
      return [...left, ...(await removeRemains(remains))];
    })();
    return stopping;
  };
  // What a dead engine leaves running is ended at once: it holds the accelerator's memory. Whoever
  // stops it gets what went wrong.
  void ended.then(() => stop()).catch(() => undefined);

  let lose: (exit: EngineExit) => void;
  const lost = new Promise<EngineExit>((resolve) => {
    lose = resolve;
  });
  const guard = (root: number, pick: PickWorkers): void => {
    if (stopping !== undefined) return;
    const own = findProcess(pid);
    const workers = pick(
      familyOf(root, listProcesses()).map((member) => ({
        ...member,
        commandLine: commandLineOf(member.pid),
      })),
    );
    guarding = setInterval(() => {
      const gone = workers.find((worker) => !isAlive(worker));
      if (gone === undefined || own === undefined || !isAlive(own)) return;
      clearInterval(guarding);
      loss = `its process ${nameOf(gone)} (pid ${gone.pid}) ended while the server still ran`;
      void (async () => {
        await Promise.race([ended, delay(lastWordsMs)]);
        const lastWords = lastLines(logPath);
        lose({ exitCode: undefined, signal: undefined, detail: loss, lastWords });
        await stop();
      })().catch(() => undefined);
    }, guardMs);
    guarding.unref();
  };
  return { pid, exited: Promise.race([ended, lost]), note, guard, stop };
}

/**
 * Waits until the engine answers GET /health with 200, dies, or the time is over.
 * @param address where it answers; undefined as long as that is not known
 * @param options.diagnose finds in the end of its log why it did not start
 * @returns where, and milliseconds waited
 * @throws EngineStartError with the log's last words
 */
export async function waitUntilReady(
  engine: Pick<EngineProcess, "exited" | "note">,
  address: () => string | undefined,
  options: {
    readonly readyMs: number;
    readonly signal: AbortSignal;
    readonly logPath: string;
    readonly diagnose?: (log: string) => Diagnosis | undefined;
  },
): Promise<{ readonly url: string; readonly startupMs: number }> {
  const startedAtMs = nowMs();
  const failure = (what: string, mend: string): EngineStartError => {
    const found = options.diagnose?.(endOf(options.logPath, diagnosedBytes));
    const message = found === undefined ? what : `${what}: ${found.what}`;
    return new EngineStartError(message, found?.mend ?? mend, lastLines(options.logPath));
  };
  let exit: EngineExit | undefined;
  void engine.exited.then((value) => {
    exit = value;
  });
  let notedAtMs = startedAtMs;
  while (nowMs() - startedAtMs < options.readyMs) {
    options.signal.throwIfAborted();
    if (exit !== undefined) {
      throw failure(
        `the engine ended before it was ready (${describeExit(exit)})`,
        "read its log in data/runs",
      );
    }
    const url = address();
    if (url !== undefined) {
      const answer = await probe(`${url}/health`, { timeoutMs: 2000 });
      if (answer.kind === "answer" && answer.status === 200) {
        const startupMs = nowMs() - startedAtMs;
        engine.note();
        return { url, startupMs };
      }
    }
    if (nowMs() - notedAtMs > notedEveryMs) {
      engine.note();
      notedAtMs = nowMs();
    }
    await delay(50);
  }
  throw failure(
    `the engine was not ready within ${Math.round(options.readyMs / 1000)} s`,
    "give it longer with engines.<name>.ready, or read its log",
  );
}

/** How often it is looked during a start what the engine has started. */
const notedEveryMs = 1000;

/** How much of a log's end is searched for the reason of a failure. */
const diagnosedBytes = 64 * 1024;

export function describeExit(exit: EngineExit): string {
  if (exit.detail !== undefined) return exit.detail;
  if (exit.signal !== undefined) return `killed by ${exit.signal}`;
  return exit.exitCode === undefined ? "ended" : `exit code ${exit.exitCode}`;
}

/** Whether nobody listens on a port of the loopback interface. */
export async function isFree(port: number): Promise<boolean> {
  return (await listenOn(port)) !== undefined;
}

/** A port of the loopback interface that nobody listens on at the moment. */
export async function freePort(): Promise<number> {
  const port = await listenOn(0);
  if (port === undefined) {
    throw new EngineStartError("127.0.0.1 has no free port", "end programs that hold ports");
  }
  return port;
}

/** Listens for a moment; gives the port, undefined where that is not possible. */
function listenOn(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => {
      resolve(undefined);
    });
    server.listen({ host: "127.0.0.1", port }, () => {
      const address = server.address();
      server.close(() => {
        resolve(typeof address === "object" && address !== null ? address.port : undefined);
      });
    });
  });
}

/** The title that a worker gave itself ("VLLM::EngineCore"), else its program. */
function nameOf({ commandLine }: Worker): string {
  return commandLine.split(" ")[0] ?? commandLine;
}

const killedMs = 5000;
const buriedMs = 1000;

/** Where there is no /proc only the group is known. */
async function endGroup(pid: number, politeMs: number): Promise<readonly string[]> {
  for (const [signal, waitMs] of [
    ["SIGTERM", politeMs],
    ["SIGKILL", killedMs],
  ] as const) {
    signalGroup(pid, signal);
    if (await groupGone(pid, waitMs)) return [];
  }
  return [`processes of group ${pid} could not be ended`];
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
