import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { createTestProject, type TestProject, tinyExperiment } from "./testing/command.ts";
import { startPacedServer } from "./testing/paced-server.ts";

let project: TestProject;
beforeAll(() => {
  project = createTestProject();
});
afterAll(() => {
  project.remove();
});

describe("help", () => {
  it("names every command, and each command shows its options with examples", async () => {
    const overview = await project.run("--help");
    expect(overview.code).toBe(0);
    for (const command of ["plan", "run", "report", "env", "list", "init"]) {
      expect(overview.stdout).toContain(`  ${command} `);
      const { code, stdout } = await project.run(command, "--help");
      expect(code).toBe(0);
      expect(stdout).toContain(`Examples\n  benchbook ${command}`);
      expect(stdout).toContain("--json");
    }
  });

  it("is what an empty command line gets, as wrong use", async () => {
    const { code, stdout } = await project.run();
    expect(code).toBe(2);
    expect(stdout).toContain("benchbook <command> --help");
  });
});

describe("wrong use exits 2 and says how to mend it", () => {
  const cases: readonly (readonly [string, readonly string[], RegExp])[] = [
    ["an unknown command", ["rum"], /no command "rum"[\s\S]*one of plan, run/],
    ["an unknown option", ["run", "x.yaml", "--round", "3"], /--round[\s\S]*benchbook run --help/],
    ["a missing noun", ["plan"], /something is missing/],
    ["too many nouns", ["report", "a", "b"], /too much: b/],
    [
      "a count that is none",
      ["run", "x.yaml", "--rounds", "many"],
      /whole number from 1 to 1000, got "many"/,
    ],
    ["an experiment that does not exist", ["run", "experiments/nowhere.yaml"], /nowhere.yaml/],
    ["an unknown run", ["report", "nothing"], /nothing/],
    ["a report where there is no run", ["report"], /there is no run yet/],
    [
      "a resumption with another selection",
      ["run", "--resume", "--only", "a/c1"],
      /can't change it/,
    ],
    ["a url that is none", ["init", "localhost:8000"], /no http URL/],
    ["no experiment", ["run"], /which experiment/],
    ["a project that does not exist", ["list", "--project", "nowhere"], /nowhere does not exist/],
  ];
  it.each(cases)("%s", async (_name, argv, message) => {
    const { code, stderr, stdout } = await project.run(...argv);
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n\s+at .*\.js:\d+/);
    expect(stdout).toBe("");
    expect(code).toBe(2);
  });
});

describe("plan", () => {
  it("shows the matrix and starts nothing", async () => {
    const path = project.experiment("tiny", tinyExperiment());
    const { code, stdout } = await project.run("plan", path);
    expect(code).toBe(0);
    expect(stdout).toMatch(/fp32\/c1 .*\n.*fp32\/c2 /);
    expect(stdout).toContain("2 starts, 4 trials");
    expect(existsSync(join(project.root, "reports"))).toBe(false);
  });

  it("gives one JSON object with trials, requests and the expected time", async () => {
    const path = project.experiment("tiny", tinyExperiment());
    const { stdout } = await project.run("plan", path, "--json", "--only", "*/c2", "--rounds", "3");
    const plan = z
      .object({
        trials: z.array(z.object({ id: z.string(), point: z.literal("fp32/c2") })),
        requests: z.number(),
      })
      .parse(JSON.parse(stdout));
    expect(plan.trials).toHaveLength(3);
  });

  it("says what keeps it from running here", async () => {
    const path = project.experiment(
      "missing",
      tinyExperiment({
        variants: "{ a: { model: models/none, precision: fp32, engine: embedded } }",
      }),
    );
    const { code, stdout } = await project.run("plan", path);
    expect(stdout).toMatch(
      /the model folder models\/none does not exist\n {4}at {3}variants\.a\.model/,
    );
    expect(code).toBe(2);
  });

  it("shows what differs from another experiment", async () => {
    const one = project.experiment("one", tinyExperiment());
    const two = project.experiment("two", tinyExperiment({ loads: "{ concurrency: [1, 3] }" }));
    const { code, stdout } = await project.run("plan", one, "--diff", two);
    expect(code).toBe(0);
    expect(stdout).toContain("c3");
  });
});

describe("env", () => {
  it("shows this machine, for people and as JSON", async () => {
    const text = await project.run("env");
    expect(text.code).toBe(0);
    expect(text.stdout).toMatch(/host\.kernel +\S/);
    const { stdout } = await project.run("env", "--json");
    expect(
      z
        .object({ schema: z.literal(1), fields: z.array(z.unknown()).min(30) })
        .safeParse(JSON.parse(stdout)).success,
    ).toBe(true);
  });
});

describe("init", () => {
  it("writes an experiment from a running server that plan accepts, and never over another", async () => {
    const server = await startPacedServer({ schedule: () => ({ ttftMs: 1, gapMs: 1, tokens: 4 }) });
    const out = join(project.root, "experiments/served.yaml");
    const first = await project.run("init", server.url, "--out", out);
    expect(first.stderr).toBe("");
    expect(first.code).toBe(0);
    expect(readFileSync(out, "utf8")).toContain(server.url);
    expect((await project.run("plan", out)).code).toBe(0);
    expect((await project.run("init", server.url, "--out", out)).stderr).toContain(
      "exists already",
    );
    await server.close();
  });

  it("exits 1 where nobody answers", async () => {
    const { code, stderr } = await project.run("init", "http://127.0.0.1:1");
    expect(code).toBe(1);
    expect(stderr).toContain("no OpenAI-compatible server answers");
  });
});
