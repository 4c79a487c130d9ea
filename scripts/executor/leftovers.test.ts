import { type ChildProcess, spawn } from "node:child_process";
import { afterEach, describe, expect, it } from "vitest";
import { undisclosedSettings } from "../engine/engine.ts";
import { processStartedAt, stillRuns } from "../environment/process.ts";
import type { StoredLeg, StoredStart } from "../store/stored-run.ts";
import { endLeftovers } from "./leftovers.ts";

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
    expect(stillRuns(pid, startedAt)).toBe(false);
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
