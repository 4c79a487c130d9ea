import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { seededRandom } from "./experiment/random.ts";
import type { StoredRun } from "./store/stored-run.ts";
import {
  createTestProject,
  enginesOf,
  type TestProject,
  tinyExperiment,
} from "./testing/command.ts";
import { newestRun, queryProject, runResult } from "./testing/stored-runs.ts";

let project: TestProject;
beforeEach(() => {
  project = createTestProject();
});
afterEach(() => {
  project.remove();
});

const storedRun = (): StoredRun => newestRun(project.root);
const query = (sql: string): readonly (readonly unknown[])[] => queryProject(project.root, sql);

describe("an interrupted run", () => {
  it("by Ctrl-C stops the engine, keeps every sample, and is resumed with a seam", {
    timeout: 120_000,
  }, async () => {
    const path = project.experiment("tiny", tinyExperiment());
    const running = project.start("run", path);
    await running.said(/\[1\/4\]/);
    running.child.kill("SIGINT");
    const { code, stderr } = await running.ended;
    expect(code).toBe(130);
    expect(stderr).toContain("benchbook run --resume");
    expect(enginesOf(running)).toEqual([]);
    expect(storedRun().legs.map(({ end }) => end?.reason)).toEqual(["interrupted"]);
    const resumed = await project.run("run", "--resume", "--json");
    const { reports, findings } = runResult.parse(JSON.parse(resumed.stdout));
    expect(findings.map(({ rule }) => rule)).toContain("S1");
    const run = storedRun();
    expect(run.legs.map(({ end }) => end?.reason)).toEqual(["interrupted", "complete"]);
    expect(
      new Set(run.attempts.filter(({ status }) => status === "measured").map(({ trial }) => trial))
        .size,
    ).toBe(4);
    expect(reports).toHaveLength(4);
  });

  it("killed twenty times at random moments opens each time, completes, and shows the seams", {
    timeout: 300_000,
  }, async () => {
    const path = project.experiment(
      "tiny",
      tinyExperiment({ measure: "{ rounds: 12, requests: 40, percentiles: [50] }" }),
    );
    // Seeded moments: some while it starts, some after so many more requests. Twenty times at most
    // 30 requests are far fewer than the plan's 1,000, so it can't end before.
    const random = seededRandom("twenty kills");
    for (let kill = 0; kill < 20; kill += 1) {
      const running = project.start(...(hasRun() ? ["run", "--resume"] : ["run", path]));
      if (random() < 0.3) await delay(900 * random());
      else {
        const target = storedRequests() + Math.floor(30 * random());
        await expect
          .poll(storedRequests, { timeout: 30_000, interval: 20 })
          .toBeGreaterThan(target);
      }
      running.child.kill("SIGKILL");
      expect((await running.ended).signal).toBe("SIGKILL");
      if (hasRun()) expect(query("PRAGMA integrity_check")).toEqual([["ok"]]);
    }
    const { stdout } = await project.run("run", "--resume", "--json");
    const { reports, findings } = runResult.parse(JSON.parse(stdout));
    const run = storedRun();
    const counted = run.attempts.filter(({ counts }) => counts);
    expect(new Set(counted.map(({ trial }) => trial)).size).toBe(24);
    expect(run.legs.length).toBeGreaterThan(1);
    expect(findings.map(({ rule }) => rule)).toContain("S1");
    const english = reports.find((file) => file.endsWith("en.md")) ?? "";
    expect(readFileSync(join(project.root, english), "utf8")).toContain("resumed");
  });

  function storedRequests(): number {
    return hasRun() ? Number(query("SELECT count(*) FROM request")[0]?.[0]) : 0;
  }

  /** false too while the database is being made. */
  function hasRun(): boolean {
    if (!existsSync(join(project.root, "data/benchbook.db"))) return false;
    try {
      return query("SELECT count(*) FROM run")[0]?.[0] !== 0;
    } catch {
      return false;
    }
  }

  it("is not resumed while it still runs", { timeout: 120_000 }, async () => {
    const long = tinyExperiment({ measure: "{ rounds: 50, requests: 50, percentiles: [50] }" });
    const running = project.start("run", project.experiment("tiny", long));
    await running.said(/Run /);
    const { code, stderr } = await project.run("run", "--resume");
    expect(code).toBe(2);
    expect(stderr).toContain(`still being measured by process ${running.child.pid ?? 0}`);
    running.child.kill("SIGINT");
    await running.ended;
  });

  it("does not stand in the way of another run on the same database", {
    timeout: 180_000,
  }, async () => {
    const path = project.experiment(
      "tiny",
      tinyExperiment({ measure: "{ rounds: 1, requests: 6, percentiles: [50] }" }),
    );
    const both = await Promise.all([
      project.run("run", path, "--json"),
      project.run("run", path, "--json"),
    ]);
    const runs = both.map(({ stdout }) => runResult.parse(JSON.parse(stdout)).run);
    expect(new Set(runs).size).toBe(2);
    expect(query("SELECT count(*) FROM trial WHERE counts")).toEqual([[4]]);
  });
});
