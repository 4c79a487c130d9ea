// Another machine as the outside world of the probes: every file, folder and command is asked of one
// shell there, so that the record of an engine's host says the same wherever benchbook runs.

import { basename } from "node:path";
import type { UserErrorParts } from "../errors.ts";
import { messageOf } from "../errors.ts";
import { epochMsOf, nowMs } from "../units.ts";
import {
  type Elsewhere,
  edgeBytes,
  type FileStatus,
  type HostFacts,
  type Outside,
  type Ran,
  real,
} from "./outside.ts";
import { quoteWord } from "./probe.ts";
import { type RemoteShell, type ShellAnswer, shellCode, startShell } from "./remote-shell.ts";

export interface RemoteOutside extends Outside {
  readonly elsewhere: Elsewhere;
  /** Ends the connection; every later question fails. */
  close(): Promise<void>;
}

export interface RemoteLimits {
  /** Longest a connection may take to answer for the first time. */
  readonly connectMs: number;
  /** Longest a file or a folder may take. */
  readonly fileMs: number;
  /** After a connection failed, questions fail at once for so long. */
  readonly restMs: number;
}

const defaultLimits: RemoteLimits = { connectMs: 10_000, fileMs: 5000, restMs: 3000 };

/** How long a command that was killed there may take to hand over what it had said. */
const afterKillMs = 300;

/** The machine can't be asked. Its code is that of a system error, as the probes expect. */
export class HostUnreachable extends Error {
  readonly code = "EHOSTUNREACH";
  /** What the connection itself said; "" where it said nothing. */
  readonly lastWords: string;

  constructor(what: string, lastWords = "") {
    super(what);
    this.name = "HostUnreachable";
    this.lastWords = lastWords;
  }
}

/** Variables of the other machine that a probe asks for; its others stay there. */
const variableNames = [
  "HOME",
  "TZ",
  "HF_HOME",
  "HF_HUB_CACHE",
  "XDG_CACHE_HOME",
  "MODELSCOPE_CACHE",
  "KUBERNETES_SERVICE_HOST",
  "CUDA_VISIBLE_DEVICES",
] as const;

/**
 * Connects to another machine by a command that runs a shell there when `sh` is added to it.
 *
 * @example await openRemote(["ssh", "gpu-node-7"])
 * @example await openRemote(["docker", "exec", "-i", "vllm"])
 * @throws {HostUnreachable} when no shell answers there
 */
export async function openRemote(
  command: readonly string[],
  limits: Partial<RemoteLimits> = {},
): Promise<RemoteOutside> {
  const { connectMs, fileMs, restMs } = { ...defaultLimits, ...limits };
  const prefix = withoutPrompts(command);
  const { hello, ...first } = await connect(prefix, connectMs);
  let { shell } = first;
  let closed = false;
  let reconnecting: Promise<RemoteShell> | undefined;
  let failed: { readonly atMs: number; readonly error: unknown } | undefined;

  const reconnect = async (): Promise<RemoteShell> => {
    try {
      const again = await connect(prefix, connectMs);
      if (again.hello.name === hello.name) return (shell = again.shell);
      await again.shell.close();
      throw new HostUnreachable(`"${again.hello.name}" answers instead of "${hello.name}"`);
    } catch (error) {
      failed = { atMs: nowMs(), error };
      throw error;
    } finally {
      reconnecting = undefined;
    }
  };
  /** The shell that runs, else a new one; questions that come together share it. */
  const live = async (): Promise<RemoteShell> => {
    if (closed) throw new HostUnreachable("the connection was closed");
    if (shell.isAlive()) return shell;
    if (reconnecting === undefined && failed !== undefined && nowMs() - failed.atMs < restMs)
      throw failed.error;
    reconnecting ??= reconnect();
    return reconnecting;
  };
  /** Asked once more on a new connection where the first was lost: every question only reads. */
  const ask = async (question: (shell: RemoteShell) => Promise<ShellAnswer>) => {
    const first = await question(await live());
    if (first.ended !== "lost") return first;
    const second = await question(await live());
    if (second.ended === "lost") throw new HostUnreachable("the connection was lost");
    return second;
  };
  /** The stdout of a function of the shell's preamble. @throws a system error */
  const text = async (words: readonly string[], what: string): Promise<string> => {
    const startedMs = nowMs();
    const answer = await ask((shell) => shell.call(words, fileMs));
    if (answer.ended === "late") {
      // Not a word since it was asked: the connection is dead, and nobody said so.
      const shell = await live();
      if (shell.heardAtMs() < startedMs) void shell.close();
      throw systemError("ETIMEDOUT", [what]);
    }
    if (answer.reply === "0") return answer.stdout;
    throw systemError(codes[Number(answer.reply)] ?? "EIO", [what, answer.stderr.trim()]);
  };

  const exec: Outside["exec"] = async (asked, { limitMs, env = {} }) => {
    const [program = ""] = asked;
    const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    const words = variables.length === 0 ? asked : ["env", ...variables, ...asked];
    const seconds = String(Math.max(1, Math.ceil(limitMs / 1000)));
    const startedMs = nowMs();
    try {
      const answer = await ask((shell) =>
        shell.call(["_run", seconds, program, ...words], Number(seconds) * 1000 + afterKillMs),
      );
      return ranOf(answer, limitMs);
    } catch (error) {
      const durationMs = nowMs() - startedMs;
      const stderr = messageOf(error);
      return { exitCode: undefined, stdout: "", stderr, durationMs, failure: "killed" };
    }
  };

  return {
    exec,
    readFile: (path) => text(["_read", path], path),
    readFiles: async (paths) => {
      if (paths.length === 0) return [];
      const [, ...parts] = (await text(["_readall", ...paths], "files")).split(shell.mark);
      return parts.map((part) => (part.startsWith("+") ? part.slice(1) : undefined));
    },
    readDirectory: async (path) => linesOf(await text(["_list", path], path)).sort(),
    listFiles: async (folder, depth) =>
      filesOf(await text(["_files", folder, String(depth)], folder)),
    sha256: async ({ path }, part) => {
      const line = await text(["_sha256", path, part, String(edgeBytes)], path);
      const digest = /^[0-9a-f]{64}/.exec(line)?.[0];
      if (digest === undefined) throw systemError("EIO", [path, "no sha256sum there"]);
      return digest;
    },
    fileSystemBytes: async (path) => {
      const kib = linesOf(await text(["_size", path], path))
        .at(-1)
        ?.trim()
        .split(/\s+/)[1];
      if (kib === undefined) throw systemError("EIO", [path, "df does not say"]);
      return Number(kib) * 1024;
    },
    hostFacts: async () => factsOf(hello, (await exec(["lscpu"], { limitMs: fileMs })).stdout),
    now: () => real.now(),
    timeZone: () => hello.timeZone,
    hostname: () => hello.name,
    addresses: () => [],
    env: hello.env,
    argv: real.argv,
    versions: real.versions,
    platform: `${hello.system.toLowerCase()}-${hello.machine}`,
    elsewhere: {
      name: hello.name,
      utcOffset: hello.utcOffset,
      ready: async () => {
        await live();
      },
      clockOffsetMs: () =>
        clockOffsetMs((limitMs) => ask((shell) => shell.reply("$(date +%s%N)", limitMs)), fileMs),
    },
    close: async () => {
      closed = true;
      await reconnecting?.catch(() => undefined);
      await shell.close();
    },
  };
}

interface Connection {
  readonly shell: RemoteShell;
  readonly hello: Hello;
}

/** What the machine says first. */
interface Hello {
  readonly name: string;
  readonly system: string;
  readonly kernel: string;
  readonly machine: string;
  readonly utcOffset: string;
  readonly timeZone: string;
  readonly env: Readonly<Record<string, string>>;
}

async function connect(prefix: readonly string[], limitMs: number): Promise<Connection> {
  const shell = startShell(prefix);
  const answer = await shell.call(["_hello", ...variableNames], limitMs);
  if (answer.ended === "answered" && answer.reply === "0")
    return { shell, hello: helloOf(answer.stdout) };
  await shell.close();
  const { ended, reply } = answer;
  if (ended === "late")
    throw new HostUnreachable(`no shell answered within ${limitMs / 1000} s`, shell.lastWords());
  if (reply === String(shellCode.noBase64))
    throw new HostUnreachable("the shell there has no base64");
  const how =
    ended === "lost"
      ? "the connection ended before a shell answered"
      : "the shell there can't tell what it is";
  throw new HostUnreachable(how, shell.lastWords());
}

function helloOf(text: string): Hello {
  const [name = "", system = "", kernel = "", machine = "", offset = "", zone = "", ...variables] =
    text.split("\n");
  const env = Object.fromEntries(
    variables
      .filter((line) => line.includes("="))
      .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
  );
  return {
    name,
    system,
    kernel,
    machine,
    utcOffset: offset.replace(/^([+-]\d\d)(\d\d)$/, "$1:$2"),
    // ".../zoneinfo/Asia/Shanghai"
    timeZone: (env["TZ"] ?? zone.replace(/^.*\/zoneinfo\//, "").trim()).replace(
      /^(?:Etc\/UTC)?$/,
      "UTC",
    ),
    env,
  };
}

const codes: Readonly<Record<number, string>> = {
  [shellCode.missing]: "ENOENT",
  [shellCode.denied]: "EACCES",
  [shellCode.folder]: "EISDIR",
  [shellCode.notFolder]: "ENOTDIR",
};

function systemError(code: string, what: readonly string[]): Error {
  const message = [code, ...what.filter((text) => text !== "")].join(": ");
  return Object.assign(new Error(message), { code });
}

/** Exit codes by which `timeout -s KILL` says that it had to; 128 + 9 is that of any killed program. */
const killedCodes: readonly string[] = ["124", "137"];

function ranOf({ ended, reply, stdout, stderr, durationMs }: ShellAnswer, limitMs: number): Ran {
  const ran = { stdout, stderr, durationMs };
  if (ended === "late") return { ...ran, exitCode: undefined, failure: "timed out" };
  if (reply === String(shellCode.missing))
    return { ...ran, exitCode: undefined, failure: "missing" };
  if (killedCodes.includes(reply))
    return { ...ran, exitCode: undefined, failure: durationMs >= limitMs ? "timed out" : "killed" };
  return { ...ran, exitCode: Number(reply), failure: undefined };
}

function linesOf(text: string): string[] {
  return text.split("\n").filter((line) => line !== "");
}

/** Lines "<bytes> <seconds since the epoch> <path>". */
function filesOf(text: string): readonly FileStatus[] {
  return linesOf(text)
    .flatMap((line): FileStatus[] => {
      const [, bytes, seconds, path] = /^(\d+) ([\d.]+) (.+)$/.exec(line) ?? [];
      return path === undefined
        ? []
        : [{ path, bytes: Number(bytes), mtimeMs: Number(seconds) * 1000 }];
    })
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** What /proc/cpuinfo does not say on ARM, lscpu does. */
function factsOf({ system, kernel }: Hello, lscpu: string): HostFacts {
  const value = (name: string): string | undefined =>
    new RegExp(`^${name}:\\s+(.+)$`, "m").exec(lscpu)?.[1]?.trim();
  const count = (text: string | undefined): number | undefined =>
    text === undefined || !/^\d+$/.test(text) ? undefined : Number(text);
  const sockets = count(value("Socket\\(s\\)"));
  const perSocket = count(value("Core\\(s\\) per (?:socket|cluster)"));
  return {
    os: system,
    kernel,
    cpuModel: value("Model name"),
    sockets,
    cores: sockets === undefined || perSocket === undefined ? undefined : sockets * perSocket,
    logical: count(value("CPU\\(s\\)")),
    memoryBytes: undefined,
    swapBytes: undefined,
    uptimeS: undefined,
    virtual: undefined,
  };
}

/** How often the clock there is read; the quickest answer is the surest. */
const clockReadings = 5;

/**
 * Clock there minus clock here, ms, to 0.1 ms, as if the answer took as long as the question: it is
 * wrong by half the round trip at most.
 */
async function clockOffsetMs(
  ask: (limitMs: number) => Promise<ShellAnswer>,
  limitMs: number,
): Promise<number | undefined> {
  let best: { readonly roundTripMs: number; readonly offsetMs: number } | undefined;
  for (let reading = 0; reading < clockReadings; reading += 1) {
    const askedAt = epochMsOf(nowMs());
    const { reply } = await ask(limitMs);
    const answeredAt = epochMsOf(nowMs());
    // BusyBox's date knows no nanoseconds.
    if (!/^\d{19}$/.test(reply)) return undefined;
    const roundTripMs = answeredAt - askedAt;
    const offsetMs = Number(reply) / 1e6 - (askedAt + answeredAt) / 2;
    if (best === undefined || roundTripMs < best.roundTripMs) best = { roundTripMs, offsetMs };
  }
  return best === undefined ? undefined : Number(best.offsetMs.toFixed(1));
}

/** What ssh needs so that it never asks a person, and notices a host that went away. */
const sshOptions = {
  BatchMode: "yes",
  ConnectTimeout: "5",
  ServerAliveInterval: "5",
  ServerAliveCountMax: "3",
} as const;

/**
 * The command with what keeps ssh from asking for a password; any other command as it is.
 *
 * @example withoutPrompts(["ssh", "gpu-node-7"])[2] // "BatchMode=yes"
 */
export function withoutPrompts(command: readonly string[]): readonly string[] {
  const [program = "", ...rest] = command;
  if (basename(program) !== "ssh") return command;
  const given = rest.join(" ").toLowerCase();
  const added = Object.entries(sshOptions)
    .filter(([name]) => !given.includes(name.toLowerCase()))
    .flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  return [program, ...added, ...rest];
}

/** Why a machine can't be asked, and what a person can do about it. */
export function describeUnreachable(
  error: HostUnreachable,
  command: readonly string[],
  where = "environment.probe",
): UserErrorParts {
  const said = error.lastWords.split("\n").at(-1)?.trim() ?? "";
  const line = command.map(quoteWord).join(" ");
  const mend = mends.find(({ when }) => when.test(error.lastWords))?.mend(line);
  return {
    what: `the engine's host can't be probed: ${error.message}${said === "" ? "" : ` (${said})`}`,
    where: `${where}: ${line}`,
    mend: mend ?? `\`${line} sh\` must run a shell that reads its standard input; try it by hand`,
  };
}

const mends: readonly { readonly when: RegExp; readonly mend: (line: string) => string }[] = [
  {
    when: /Permission denied|Too many authentication failures/,
    mend: (line) =>
      `let it log in by a key (ssh-copy-id); no password is asked for. \`${line} true\` must end without a word`,
  },
  {
    when: /Host key verification failed|REMOTE HOST IDENTIFICATION/,
    mend: (line) => `log in once by hand and check the host's key: ${line}`,
  },
  {
    when: /Could not resolve|Name or service not known|No such container|NotFound/,
    mend: () => "correct its name",
  },
  {
    when: /Connection refused|timed out|No route to host|Network is unreachable/,
    mend: () => "start the host or its ssh server, or correct address and port",
  },
  { when: /ENOENT/, mend: () => "install the program, or correct the command" },
];
