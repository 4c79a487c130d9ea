// One long-lived shell on another machine, and the frames in which it answers: many questions at
// once over one connection, each with its exit code, stdout and stderr apart.

import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { Socket } from "node:net";
import { messageOf } from "../errors.ts";
import { nowMs } from "../units.ts";
import { quoteWord } from "./probe.ts";

/** How a question to the shell ended. */
export interface ShellAnswer {
  /** `lost`: the connection ended first. `late`: no whole answer within the limit. */
  readonly ended: "answered" | "late" | "lost";
  /** Exit code, or what `reply` printed instead of one; "" where there is none yet. */
  readonly reply: string;
  readonly stdout: string;
  readonly stderr: string;
  readonly durationMs: number;
}

export interface RemoteShell {
  /** Asks by a function of the preamble or a program, and its words. Never throws. */
  call(words: readonly string[], limitMs: number): Promise<ShellAnswer>;
  /** Asks in the shell itself, without a process of its own; `expression` is expanded by the shell. */
  reply(expression: string, limitMs: number): Promise<ShellAnswer>;
  /** Stands in what the preamble's functions print between one part and the next. */
  readonly mark: string;
  /** Whether it still runs. */
  isAlive(): boolean;
  /** When the last frame came, by `nowMs`. */
  heardAtMs(): number;
  /** What the connection itself said, such as ssh's "Permission denied"; its last 2,000 characters. */
  lastWords(): string;
  /** Ends the connection and whatever holds it. */
  close(): Promise<void>;
}

/** Exit codes of the preamble's functions, far from those of programs. */
export const shellCode = {
  missing: 91,
  denied: 92,
  folder: 93,
  notFolder: 94,
  noBase64: 95,
} as const;

/**
 * What the shell learns first. Every frame is one short line, so that questions that are answered at
 * the same time can share one pipe: "<mark> <id> o|e <base64>", then "<mark> <id> r <code>", then
 * "<mark> <id> .". Only POSIX, base64 and, where they are, timeout and find -printf.
 */
const preamble = String.raw`
exec 2>/dev/null
LC_ALL=C; export LC_ALL
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; export PATH
_w=; printf x | base64 -w 900 >/dev/null 2>&1 && _w='-w 900'
_t=; timeout -s KILL 5 true >/dev/null 2>&1 && _t=1
_f=; find / -maxdepth 0 -printf '' >/dev/null 2>&1 && _f=1
_b() { base64 $_w | while IFS= read -r _l; do printf '%s %s %s %s\n' "$_n" "$1" "$2" "$_l"; done; }
_x() {
  _i=$1; shift
  exec 4>&1
  { { "$@" </dev/null 2>&1 >&3 3>&- 4>&-; printf '%s %s r %s\n' "$_n" "$_i" "$?" >&4; } | _b "$_i" e; } 3>&1 >&4 | _b "$_i" o
  printf '%s %s .\n' "$_n" "$_i"
}
_run() {
  _s=$1; _p=$2; shift 2
  command -v "$_p" >/dev/null 2>&1 || return ${shellCode.missing}
  if [ -n "$_t" ]; then timeout -s KILL "$_s" "$@"; return $?; fi
  "$@" & _c=$!
  ( sleep "$_s"; kill -9 "$_c" ) >/dev/null 2>&1 & _k=$!
  wait "$_c"; _r=$?; kill "$_k" 2>/dev/null; return $_r
}
_read() {
  [ -e "$1" ] || return ${shellCode.missing}
  [ -d "$1" ] && return ${shellCode.folder}
  [ -r "$1" ] || return ${shellCode.denied}
  cat "$1"
}
_readall() {
  for _p in "$@"; do
    if [ -f "$_p" ] && [ -r "$_p" ]; then
      printf '%s+' "$_n"
      while IFS= read -r _l || [ -n "$_l" ]; do printf '%s\n' "$_l"; done <"$_p"
    else printf '%s-' "$_n"; fi
  done
}
_folder() {
  [ -e "$1" ] || return ${shellCode.missing}
  [ -d "$1" ] || return ${shellCode.notFolder}
  [ -r "$1" ] && [ -x "$1" ] || return ${shellCode.denied}
}
_list() { _folder "$1" || return $?; ls -1A "$1"; }
_files() {
  _folder "$1" || return $?
  if [ -n "$_f" ]; then
    find -L "$1" -mindepth 1 -maxdepth "$2" -type d -name '.*' -prune -o -type f -printf '%s %T@ %p\n'
  else
    find -L "$1" -mindepth 1 -maxdepth "$2" -type d -name '.*' -prune -o -type f -exec stat -L -c '%s %Y %n' {} +
  fi
}
_sha256() {
  [ -e "$1" ] || return ${shellCode.missing}
  [ -r "$1" ] || return ${shellCode.denied}
  if [ "$2" = whole ]; then sha256sum <"$1"; else { head -c "$3" "$1"; tail -c "$3" "$1"; } | sha256sum; fi
}
_size() { [ -e "$1" ] || return ${shellCode.missing}; df -Pk "$1"; }
_hello() {
  command -v base64 >/dev/null 2>&1 || return ${shellCode.noBase64}
  uname -n; uname -s; uname -r; uname -m; date +%z
  { readlink /etc/localtime || cat /etc/timezone; } 2>/dev/null || echo
  for _v in "$@"; do eval "[ -n \"\${$_v+x}\" ] && printf '%s=%s\n' $_v \"\$$_v\""; done
  return 0
}
`;

/** How long the connection may take to end by itself before it is killed. */
const politeMs = 500;

/** How long frames are still read after the connection's process ended. */
const lastFramesMs = 100;

/** Starts the shell by a command to which `sh` is added: ["ssh", "gpu-node-7"]. */
export function startShell(command: readonly string[]): RemoteShell {
  const mark = `bb${randomBytes(6).toString("hex")}`;
  const open = new Map<string, OpenCall>();
  let nextId = 1;
  let alive = true;
  let heardAtMs = nowMs();
  let words = "";

  const [program = "", ...rest] = command;
  const child = spawn(program, [...rest, "sh"], {
    // A group of its own: Ctrl-C in the terminal must not end it before the last snapshot.
    detached: true,
    stdio: ["pipe", "pipe", "pipe"],
  });
  releaseLoop(child);
  const ended = new Promise<void>((resolve) => {
    const end = (): void => {
      alive = false;
      for (const call of open.values()) call.end("lost");
      resolve();
    };
    child.on("error", (error) => {
      words = messageOf(error);
      end();
    });
    child.on("exit", () => {
      alive = false;
      // What it started may hold the pipes for long after its end.
      setTimeout(end, lastFramesMs);
    });
    child.on("close", end);
  });
  child.stdin.on("error", () => {
    // It ended; "close" says so.
  });
  child.stderr.on("data", (chunk: Buffer) => {
    words = (words + chunk.toString()).slice(-2000);
  });

  let partial = "";
  child.stdout.on("data", (chunk: Buffer) => {
    const lines = (partial + chunk.toString("latin1")).split("\n");
    partial = lines.pop() ?? "";
    for (const line of lines) takeLine(line.trimEnd());
  });
  const takeLine = (line: string): void => {
    const [of, id = "", kind, ...payload] = line.split(" ");
    // Greetings that a login shell prints are none of ours.
    if (of !== mark) return;
    heardAtMs = nowMs();
    const call = open.get(id);
    const text = payload.join(" ");
    if (kind === "o") call?.stdout.push(Buffer.from(text, "base64"));
    else if (kind === "e") call?.stderr.push(Buffer.from(text, "base64"));
    else if (kind === "r") call?.reply(text);
    else if (kind === ".") call?.end("answered");
  };

  const ask = (line: (id: string) => string, limitMs: number): Promise<ShellAnswer> =>
    new Promise((resolve) => {
      const id = String(nextId++);
      const startedMs = nowMs();
      const stdout: Buffer[] = [];
      const stderr: Buffer[] = [];
      let reply = "";
      const end = (how: ShellAnswer["ended"]): void => {
        clearTimeout(timer);
        open.delete(id);
        resolve({
          ended: how,
          reply,
          stdout: Buffer.concat(stdout).toString("utf8"),
          stderr: Buffer.concat(stderr).toString("utf8"),
          durationMs: nowMs() - startedMs,
        });
      };
      const timer = setTimeout(end, limitMs, "late");
      open.set(id, {
        stdout,
        stderr,
        reply: (text) => {
          reply = text;
        },
        end,
      });
      if (!alive) end("lost");
      // `jobs` makes shells forget the background jobs that ended.
      else child.stdin.write(`jobs >/dev/null 2>&1; ${line(id)}\n`);
    });

  child.stdin.write(`_n=${mark}\n${preamble}`);
  return {
    call: (asked, limitMs) => ask((id) => `_x ${id} ${asked.map(quoteWord).join(" ")} &`, limitMs),
    reply: (expression, limitMs) =>
      ask((id) => {
        const [of, end] = [`${mark} ${id} r`, `${mark} ${id} .`];
        return `printf '%s %s\\n%s\\n' '${of}' "${expression}" '${end}'`;
      }, limitMs),
    mark,
    isAlive: () => alive,
    heardAtMs: () => heardAtMs,
    lastWords: () => words.trim(),
    close: async () => {
      child.stdin.end();
      const timer = setTimeout(() => {
        endGroup(child);
      }, politeMs);
      await ended;
      clearTimeout(timer);
    },
  };
}

interface OpenCall {
  readonly stdout: Buffer[];
  readonly stderr: Buffer[];
  reply(text: string): void;
  end(how: ShellAnswer["ended"]): void;
}

/** A connection that waits for the next question keeps no program from ending. */
function releaseLoop(child: ChildProcess): void {
  child.unref();
  for (const stream of child.stdio) if (stream instanceof Socket) stream.unref();
}

function endGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // It ended in the meantime.
  }
}
