import { readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { systemCodeOf } from "../errors.ts";
import { real } from "./outside.ts";
import {
  describeUnreachable,
  HostUnreachable,
  openRemote,
  type RemoteOutside,
  withoutPrompts,
} from "./outside-remote.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "benchbook-remote-"));
  await mkdir(join(folder, "models/.hidden"), { recursive: true });
  await mkdir(join(folder, "models/deep/deeper"), { recursive: true });
  await mkdir(join(folder, "empty"));
  await writeFile(join(folder, "models/a b'c.bin"), "four");
  await writeFile(join(folder, "models/deep/x"), "22");
  await writeFile(join(folder, "models/deep/deeper/y"), "deeper than asked for");
  await writeFile(join(folder, "models/.hidden/z"), "in a hidden folder");
  await writeFile(join(folder, "bytes"), "a\nb\0 ü 中\n\n");
  await symlink("deep/x", join(folder, "models/linked"));
  await symlink("nowhere", join(folder, "models/dangling"));
  await utimes(join(folder, "models/deep/x"), 1_700_000_000, 1_700_000_000.25);
  // Programs as on a system that has only what POSIX asks for.
  await mkdir(join(folder, "posix"));
  const refuse = '#!/bin/sh\necho "not here" >&2; exit 1\n';
  const find = '#!/bin/sh\ncase "$*" in *-printf*) exit 1;; esac\nexec /usr/bin/find "$@"\n';
  const base64 = '#!/bin/sh\ncase "$*" in *-w*) exit 1;; esac\nexec /usr/bin/base64 "$@"\n';
  for (const [name, text] of Object.entries({ timeout: refuse, find, base64 })) {
    await writeFile(join(folder, "posix", name), text, { mode: 0o755 });
  }
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const opened: RemoteOutside[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((outside) => outside.close()));
});
async function open(...parameters: Parameters<typeof openRemote>): Promise<RemoteOutside> {
  const outside = await openRemote(...parameters);
  opened.push(outside);
  return outside;
}

const shells: readonly (readonly [string, () => readonly string[]])[] = [
  ["of this system", () => ["env"]],
  ["behind another command", () => ["sh", "-c", "echo Welcome; exec sh"]],
  ["that is bash", () => ["bash", "-c", "exec bash --posix"]],
  [
    "without timeout and find -printf",
    () => ["env", `PATH=${join(folder, "posix")}:/usr/bin:/bin`],
  ],
];

describe.each(shells)("a shell %s", (_name, prefix) => {
  it("reads files and folders as they are read here", async () => {
    const there = await open(prefix());
    for (const path of ["/proc/cpuinfo", "/etc/os-release", join(folder, "bytes")])
      expect(await there.readFile(path)).toBe(await real.readFile(path));
    const several = await there.readFiles?.(["/proc/loadavg", "/none", "/etc/os-release", folder]);
    expect(several?.map((text) => text?.trim())).toEqual([
      expect.stringMatching(/^[\d.]+ [\d.]+ /),
      undefined,
      (await real.readFile("/etc/os-release")).trim(),
      undefined,
    ]);
    expect(await there.readDirectory(folder)).toEqual(await real.readDirectory(folder));
    expect(await there.readDirectory(join(folder, "empty"))).toEqual([]);
    expect(await there.fileSystemBytes(folder)).toBe(await real.fileSystemBytes(folder));
    expect(there.hostname()).toBe(hostname());
    expect(there.elsewhere.utcOffset).toMatch(/^[+-]\d\d:\d\d$/);
  });

  it("lists files with their sizes and times, links followed, and no hidden folder", async () => {
    const there = await open(prefix());
    const models = join(folder, "models");
    const listed = await there.listFiles(models, 2);
    const here = await real.listFiles(models, 2);
    expect(listed.map(({ path, bytes }) => [path, bytes])).toEqual(
      here.map(({ path, bytes }) => [path, bytes]),
    );
    expect(listed.map(({ path }) => path.slice(models.length + 1))).toEqual([
      "a b'c.bin",
      "deep/x",
      "linked",
    ]);
    const x = listed.find(({ path }) => path.endsWith("deep/x"));
    // stat knows whole seconds only.
    expect(Math.abs((x?.mtimeMs ?? 0) - 1_700_000_000_250)).toBeLessThan(1000);
    const file = { path: join(models, "a b'c.bin"), bytes: 4, mtimeMs: 0 };
    expect(await there.sha256(file, "whole")).toBe(await real.sha256(file, "whole"));
  });

  it("says by a system error what can't be read", async () => {
    const there = await open(prefix());
    const codeOf = async (asked: Promise<unknown>): Promise<string | undefined> =>
      asked.then(() => "read", systemCodeOf);
    expect(await codeOf(there.readFile(join(folder, "none")))).toBe("ENOENT");
    expect(await codeOf(there.readFile(folder))).toBe("EISDIR");
    expect(await codeOf(there.readDirectory(join(folder, "bytes")))).toBe("ENOTDIR");
    expect(await codeOf(there.listFiles(join(folder, "none"), 1))).toBe("ENOENT");
  });

  it("runs commands with their words as they are, and tells exit code, stdout and stderr apart", async () => {
    const there = await open(prefix());
    const words = ["$HOME", "`id`", "a b", "'", "*", "", "two\nlines"];
    const printed = await there.exec(["printf", "%s|", ...words], { limitMs: 5000 });
    expect(printed.stdout).toBe(words.map((word) => `${word}|`).join(""));
    const script = "echo out; echo err >&2; echo $A; exit 9";
    expect(
      await there.exec(["sh", "-c", script], { limitMs: 5000, env: { A: "b c" } }),
    ).toMatchObject({
      exitCode: 9,
      stdout: "out\nb c\n",
      stderr: "err\n",
      failure: undefined,
    });
    expect(await there.exec(["no-such-program-anywhere"], { limitMs: 5000 })).toMatchObject({
      exitCode: undefined,
      failure: "missing",
    });
  });

  it("ends a command that hangs, while others go on", async () => {
    const there = await open(prefix());
    const hanging = there.exec(["sleep", "600"], { limitMs: 1000 });
    expect((await there.exec(["echo", "quick"], { limitMs: 5000 })).stdout).toBe("quick\n");
    expect(await hanging).toMatchObject({ exitCode: undefined, failure: "timed out" });
  });

  it("answers many questions at once, long ones too", async () => {
    const there = await open(prefix());
    const counts = Array.from({ length: 12 }, (_, index) => (index + 1) * 1000);
    const answers = await Promise.all(
      counts.map((count) => there.exec(["seq", String(count)], { limitMs: 20_000 })),
    );
    for (const [index, { stdout }] of answers.entries()) {
      const lines = stdout.split("\n");
      expect(lines).toHaveLength((counts[index] ?? 0) + 1);
      expect(lines.at(-2)).toBe(String(counts[index]));
    }
  });
});

it("what a hanging command said before its end is kept", async () => {
  const there = await open(["env"]);
  const ran = await there.exec(["sh", "-c", "echo so far; sleep 600"], { limitMs: 1000 });
  expect(ran).toMatchObject({ stdout: "so far\n", failure: "timed out" });
});

it("the clock of the same machine is no more than a little off", async () => {
  const there = await open(["env"]);
  expect(Math.abs((await there.elsewhere.clockOffsetMs()) ?? Number.NaN)).toBeLessThan(500);
});

it("variables that no probe asks for stay where they are", async () => {
  const there = await open(["env", "HF_HOME=/h/f", "MY_PASSWORD=hunter2"]);
  expect(there.env["HF_HOME"]).toBe("/h/f");
  expect(JSON.stringify(there.env)).not.toContain("hunter2");
});

describe("a connection that ends", () => {
  /** A shell whose every life leaves its pid in a file. */
  function mortal(
    name: string,
    lives = 9,
  ): { command: readonly string[]; pids(): readonly number[] } {
    const file = join(folder, name);
    const script = `echo $$ >> ${file}; test $(wc -l < ${file}) -le ${lives} || exit 1; exec sh`;
    const pids = (): readonly number[] => readFileSync(file, "utf8").trim().split("\n").map(Number);
    return { command: ["sh", "-c", script], pids };
  }
  const kill = (pid: number | undefined): void => {
    if (pid === undefined) throw new Error("there is a pid");
    process.kill(pid, "SIGKILL");
  };

  it("is made again, and what was being asked is asked again", async () => {
    const shell = mortal("again");
    const there = await open(shell.command);
    const slow = there.exec(["sh", "-c", "sleep 0.5; echo done"], { limitMs: 10_000 });
    await there.readFile("/etc/os-release");
    kill(shell.pids()[0]);
    expect(await slow).toMatchObject({ exitCode: 0, stdout: "done\n" });
    await Promise.all([1, 2, 3].map(() => there.readFile("/etc/os-release")));
    expect(shell.pids()).toHaveLength(2);
  });

  it("and can't be made again fails every question, saying so, without trying at each", async () => {
    const shell = mortal("once", 1);
    const there = await open(shell.command, { restMs: 60_000 });
    kill(shell.pids()[0]);
    await expect(there.readFile("/etc/os-release")).rejects.toMatchObject({ code: "EHOSTUNREACH" });
    expect(await there.exec(["true"], { limitMs: 1000 })).toMatchObject({
      exitCode: undefined,
      failure: "killed",
    });
    await expect(there.elsewhere.ready()).rejects.toThrow(HostUnreachable);
    expect(shell.pids()).toHaveLength(2);
  });

  it("is not made again where another machine answers", async () => {
    const shell = mortal("other");
    // Its name is the count of its lives.
    const uname = `#!/bin/sh\n[ "$1" = -n ] && exec echo host-$(wc -l < ${join(folder, "other")})\nexec /bin/uname "$@"\n`;
    await mkdir(join(folder, "names"));
    await writeFile(join(folder, "names/uname"), uname, { mode: 0o755 });
    const there = await open([
      "env",
      `PATH=${join(folder, "names")}:/usr/bin:/bin`,
      ...shell.command,
    ]);
    expect(there.elsewhere.name).toBe("host-1");
    kill(shell.pids()[0]);
    await expect(there.readFile("/etc/os-release")).rejects.toThrow(
      '"host-2" answers instead of "host-1"',
    );
  });
});

describe("a machine that can't be probed", () => {
  async function whyNot(command: readonly string[]): Promise<HostUnreachable> {
    const opening = openRemote(command, { connectMs: 1500 });
    return opening.then(
      () => {
        throw new Error("it can be probed");
      },
      (error: unknown) => {
        if (error instanceof HostUnreachable) return error;
        throw error;
      },
    );
  }

  it("says why, where and how to mend it", async () => {
    const command = ["sh", "-c", "echo 'user@host: Permission denied (publickey).' >&2; exit 255"];
    const { what, where, mend } = describeUnreachable(await whyNot(command), command);
    expect(what).toContain("Permission denied (publickey)");
    expect(where).toMatch(/^environment\.probe: sh -c /);
    expect(mend).toContain("ssh-copy-id");
  });

  it("is one whose program is not installed, whose command ends at once, or that stays silent", async () => {
    expect((await whyNot(["no-such-program-anywhere"])).lastWords).toContain("ENOENT");
    expect((await whyNot(["true"])).message).toContain("ended before a shell answered");
    expect((await whyNot(["sh", "-c", "exec cat"])).message).toContain("within 1.5 s");
  });
});

describe("ssh", () => {
  it("is told never to ask for a password, and keeps what was said", () => {
    expect(withoutPrompts(["ssh", "host"]).join(" ")).toBe(
      "ssh -o BatchMode=yes -o ConnectTimeout=5 -o ServerAliveInterval=5 -o ServerAliveCountMax=3 host",
    );
    const own = withoutPrompts([
      "/usr/bin/ssh",
      "-o",
      "batchmode no",
      "-oConnectTimeout=60",
      "host",
    ]);
    expect(own.join(" ")).not.toMatch(/BatchMode=yes|ConnectTimeout=5/);
    expect(withoutPrompts(["docker", "exec", "-i", "vllm"])).toEqual([
      "docker",
      "exec",
      "-i",
      "vllm",
    ]);
  });
});
