// Rounds on demand as a person meets them, on a paced server in place of an engine.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTestProject, type TestProject, tinyExperiment } from "./testing/command.ts";
import { type PacedServer, startPacedServer } from "./testing/paced-server.ts";
import { newestRun, queryProject, runResult } from "./testing/stored-runs.ts";

let project: TestProject;
let server: PacedServer;
beforeEach(async () => {
  project = createTestProject();
  server = await startPacedServer({ schedule: () => ({ ttftMs: 60, gapMs: 15 }) });
});
afterEach(async () => {
  await server.close();
  project.remove();
});

/** One point, about half a second a round. */
function onDemand(rounds: string): string {
  return project.experiment(
    "demand",
    tinyExperiment({
      variants: "{ a: { model: paced, engine: server } }",
      engines: `{ server: { kind: external, url: "${server.url}" } }`,
      workloads: "{ w: { input: 8, output: 4 } }",
      loads: "{ concurrency: [1] }",
      measure: `{ rounds: ${rounds}, requests: 2, warmup: 1, percentiles: [50] }`,
    }),
  );
}

const roundsMeasured = (): readonly number[] =>
  newestRun(project.root)
    .attempts.filter(({ status }) => status === "measured")
    .map(({ round }) => round);

describe("a run with rounds on demand", () => {
  it("ends once its target is reached, says why, and has nothing left to resume", {
    timeout: 120_000,
  }, async () => {
    const path = onDemand("{ until: 90%, min: 3, max: 9 }");
    const { stdout, stderr } = await project.run("run", path, "--json");
    const rounds = roundsMeasured();
    expect(rounds.length).toBeGreaterThanOrEqual(3);
    expect(rounds.length).toBeLessThan(9);
    const last = rounds.length;
    expect(stderr).toContain(`round ${last} of 3 to 9: widest half-width`);
    expect(stderr).toContain("target reached, no more rounds");
    expect(
      queryProject(project.root, "SELECT DISTINCT round, outcome, target FROM rounds_end"),
    ).toEqual([[last, "reached", 0.9]]);
    const { findings } = runResult.parse(JSON.parse(stdout));
    // No trial is missing: those of later rounds are not asked for.
    expect(findings.map(({ rule }) => rule)).not.toContain("S3");
    const english = runResult
      .parse(JSON.parse(stdout))
      .reports.find((file) => file.endsWith("en.md"));
    const record = readFileSync(join(project.root, english ?? ""), "utf8");
    expect(record).toContain(`ended after round ${last}, target reached`);
    const served = server.served.length;
    const again = await project.run("run", "--resume");
    expect(again.stderr).toContain("has all its trials");
    expect(server.served).toHaveLength(served);
  });

  it("killed between rounds goes on to the most that are allowed, and says that its target was not reached", {
    timeout: 120_000,
  }, async () => {
    const running = project.start("run", onDemand("{ until: 0.1%, min: 2, max: 4 }"));
    await running.said(/round 2 of 2 to 4/);
    running.child.kill("SIGKILL");
    await running.ended;
    const { code, stdout, stderr } = await project.run("run", "--resume");
    expect(stderr).toContain("target not reached, and no more rounds are allowed");
    expect(stdout.replaceAll("\n", " ")).toContain("ended after round 4, target not reached");
    expect(roundsMeasured()).toEqual([1, 2, 3, 4]);
    expect(newestRun(project.root).legs).toHaveLength(2);
    expect(code).toBeLessThan(2);
  });
});
