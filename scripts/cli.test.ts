import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
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
    ["too many nouns", ["report", "a", "b", "c"], /too much: c/],
    ["a point without its table", ["report", "a", "b"], /leave it out, or ask for its definitions/],
    [
      "a count that is none",
      ["run", "x.yaml", "--rounds", "many"],
      /whole number from 1 to 1000, got "many"/,
    ],
    ["an experiment that does not exist", ["run", "experiments/nowhere.yaml"], /nowhere.yaml/],
    ["an unknown run", ["report", "nothing"], /nothing/],
    ["a report where there is no run", ["report"], /there is no run yet/],
    ["a probe without a command", ["env", "--probe", " "], /--probe names no command/],
    ["an environment held against no run", ["env", "--against", "latest"], /there is no run yet/],
    [
      "an environment held against no file",
      ["env", "--against", "nowhere.json"],
      /no such snapshot file[\s\S]*nowhere\.json[\s\S]*benchbook env --json/,
    ],
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

  const changed = (text: string, id: string, value: unknown): string => {
    const snapshot = z
      .looseObject({ fields: z.array(z.looseObject({ id: z.string() })) })
      .parse(JSON.parse(text));
    const fields = snapshot.fields.map((field) =>
      field.id === id ? { ...field, value: { state: "value", value } } : field,
    );
    return JSON.stringify({ ...snapshot, fields });
  };

  it("shows what differs from a file, and exits 1 where nothing may be compared", async () => {
    const { stdout } = await project.run("env", "--json");
    const file = join(project.root, "env.json");
    writeFileSync(file, changed(stdout, "host.kernel", "5.4-other"));
    const context = await project.run("env", "--against", file);
    expect(context.stdout).toMatch(/Worth knowing\n[\s\S]*host\.kernel +5\.4-other +\S/);
    expect(context.stdout).toContain("Comparable: nothing");
    expect(context.code).toBe(0);

    writeFileSync(file, changed(stdout, "host.cpu.model", "Another CPU"));
    const { code, stdout: json } = await project.run("env", "--against", file, "--json");
    expect(code).toBe(1);
    const found = z
      .object({
        against: z.literal(file),
        comparable: z.literal(false),
        differences: z.array(
          z.object({ field: z.string(), class: z.string(), before: z.unknown() }),
        ),
        unknown: z.array(z.object({ field: z.string() })),
      })
      .parse(JSON.parse(json));
    expect(found.differences.filter((one) => one.class === "comparability")).toMatchObject([
      { field: "host.cpu.model", before: { state: "value", value: "Another CPU" } },
    ]);
  });

  it("captures another machine by a command, and says by which it can't be reached", async () => {
    const there = await project.run("env", "--json", "--probe", "env");
    const { fields } = z
      .object({ fields: z.array(z.object({ id: z.string(), readOn: z.string().optional() })) })
      .parse(JSON.parse(there.stdout));
    expect(fields.find(({ id }) => id === "host.kernel")?.readOn).toBe(hostname());
    const refused = await project.run("env", "--probe", "false --quickly");
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain("--probe: false --quickly");
  });

  it("reads the files of an experiment's models too", async () => {
    const path = project.experiment("models", tinyExperiment());
    const { stdout } = await project.run("env", path, "--json");
    expect(stdout).toContain("model.fp32.weights_digest");
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
