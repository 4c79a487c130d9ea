import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { undisclosedSettings } from "../engine/engine.ts";
import { findProcess } from "../engine/processes.ts";
import { processStartedAt, stillRuns } from "../environment/process.ts";
import type { StoredLeg, StoredStart } from "../store/stored-run.ts";
import { cleanLeftLogs, endLeftovers } from "./leftovers.ts";

const children: ChildProcess[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

/** A process in a group of its own, as an engine is. */
function engine(): number {
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { detached: true });
  children.push(child);
  if (child.pid === undefined) throw new Error("node could not be started");
  return child.pid;
}

/** Dead, it may wait for a while until its parent, or this host's first process, buries it. */
function isGone(pid: number): boolean {
  return findProcess(pid)?.zombie ?? true;
}

const leg: StoredLeg = {
  leg: 1,
  startedAt: "2026-01-02T03:04:05.000+00:00",
  pid: 1,
  host: "here",
  argv: [],
  tool: { version: "0.1.0", commit: undefined, dirty: undefined, node: "20.20.2" },
  end: undefined,
};

function startOf(
  pid: number,
  pidStartedAt: string | undefined,
  end?: StoredStart["end"],
): StoredStart {
  return {
    start: 1,
    leg: 1,
    variant: "fp8",
    round: 1,
    startedAt: leg.startedAt,
    ready: {
      at: leg.startedAt,
      startupMs: 1,
      pid,
      pidStartedAt,
      facts: {
        name: "vLLM",
        version: undefined,
        argv: [],
        env: {},
        config: undefined,
        configDigest: undefined,
        maxModelLen: undefined,
        maxNumSeqs: undefined,
        settings: undisclosedSettings,
        nonDefaultArgs: undefined,
        container: undefined,
      },
    },
    end,
  };
}

describe("engines that a killed leg left alive", () => {
  it("are ended, and said", async () => {
    const pid = engine();
    const startedAt = processStartedAt(pid);
    const lines = await endLeftovers({ legs: [leg], starts: [startOf(pid, startedAt)] }, "here");
    expect(lines).toEqual([`fp8: its engine (process ${pid}) was still running and was stopped`]);
    expect(isGone(pid)).toBe(true);
  });

  it("are left alone when another process has the number, they were ended, or ran elsewhere", async () => {
    const pid = engine();
    const startedAt = processStartedAt(pid);
    const ended = { at: leg.startedAt, reason: "stopped" } as const;
    const none = await Promise.all([
      endLeftovers({ legs: [leg], starts: [startOf(pid, "another boot/1")] }, "here"),
      endLeftovers({ legs: [leg], starts: [startOf(pid, undefined)] }, "here"),
      endLeftovers({ legs: [leg], starts: [startOf(pid, startedAt, ended)] }, "here"),
      endLeftovers({ legs: [leg], starts: [startOf(pid, startedAt)] }, "there"),
    ]);
    expect(none.flat()).toEqual([]);
    expect(stillRuns(pid, startedAt)).toBe(true);
  });
});

describe("a worker that a killed server left in its group", () => {
  it("is waited for: it holds memory longer than its server", async () => {
    // Its worker heeds no SIGTERM.
    const worker =
      "process.on('SIGTERM', () => setTimeout(() => process.exit(), 300)); setInterval(() => {}, 1000); console.log(process.pid)";
    const server = spawn(
      process.execPath,
      [
        "-e",
        `require("child_process").spawn(process.execPath, ["-e", ${JSON.stringify(worker)}], { stdio: "inherit" }); setInterval(() => {}, 1000)`,
      ],
      { detached: true, stdio: ["ignore", "pipe", "ignore"] },
    );
    children.push(server);
    const workerPid = await new Promise<number>((resolve) => {
      server.stdout.once("data", (data: Buffer) => {
        resolve(Number(data.toString()));
      });
    });
    const pid = server.pid ?? 0;
    await endLeftovers({ legs: [leg], starts: [startOf(pid, processStartedAt(pid))] }, "here");
    expect(isGone(workerPid)).toBe(true);
  });
});

describe("what a killed leg left besides", () => {
  let folder = "";
  const path = process.env["PATH"];
  afterEach(() => {
    process.env["PATH"] = path;
    rmSync(folder, { recursive: true, force: true });
  });

  it("is removed where it is a container, by its name", async () => {
    folder = mkdtempSync(join(tmpdir(), "benchbook-left-"));
    // Knows one container until that is removed, and keeps what it was asked.
    writeFileSync(
      join(folder, "docker"),
      `#!/bin/sh
echo "$*" >> "$0.asked"
case "$1" in
  inspect) [ "$2" = benchbook-1 ] && [ ! -e "$0.removed" ] ;;
  rm) touch "$0.removed" ;;
esac
`,
    );
    chmodSync(join(folder, "docker"), 0o755);
    process.env["PATH"] = `${folder}:${path ?? ""}`;
    const start = startOf(0, undefined);
    const { ready } = start;
    if (ready === undefined) throw new Error("it was ready");
    const container = {
      runtime: "docker 28.2.2",
      name: "benchbook-1",
      image: "i",
      digest: undefined,
    };
    const run = {
      legs: [leg],
      starts: [{ ...start, ready: { ...ready, facts: { ...ready.facts, container } } }],
    };
    expect(await endLeftovers(run, "here")).toEqual([
      "fp8: its engine (container benchbook-1) was still running and was stopped",
    ]);
    expect(readFileSync(join(folder, "docker.asked"), "utf8")).toContain("rm -f benchbook-1");
    expect(await endLeftovers(run, "here")).toEqual([]);
  });

  it("is redacted where it is a log of a start that nobody ended", async () => {
    folder = mkdtempSync(join(tmpdir(), "benchbook-left-"));
    const names = ["fp8-r1-l1.log", "fp8-r1-l1-restart.log", "fp8-r1-l2.log", "notes.txt"];
    for (const name of names)
      writeFileSync(join(folder, name), "HF_TOKEN=hf_abcdefghijklmnop1234\n");
    const run = { legs: [leg, { ...leg, leg: 2 }], starts: [startOf(0, undefined)] };
    const left = { logFolder: folder, variants: [] };
    expect(await cleanLeftLogs(run, "here", left)).toEqual([]);
    const holds = names.filter((name) =>
      readFileSync(join(folder, name), "utf8").includes("hf_abcdefghijklmnop1234"),
    );
    // Of the second leg every start has its end: an end redacts its log.
    expect(holds).toEqual(["fp8-r1-l2.log", "notes.txt"]);
    expect(await cleanLeftLogs(run, "here", { ...left, logFolder: join(folder, "none") })).toEqual(
      [],
    );
  });
});
