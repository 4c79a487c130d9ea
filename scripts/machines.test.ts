// Whole runs on machines that are not here: a replayed nvidia-smi beside a program that behaves like
// vLLM, through the built command.
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { Store } from "./store/store.ts";
import { createTestProject, type TestProject } from "./testing/command.ts";
import { type HostName, type ReplayedHost, replayedHost } from "./testing/replayed-host.ts";

const fakeVllm = join(import.meta.dirname, "../dist/testing/fake-vllm.js");
const tinyModel = join(import.meta.dirname, "../data/models/tiny-qwen3");

const opened: { remove(): void }[] = [];
afterEach(() => {
  for (const one of opened.splice(0)) one.remove();
});

function machine(name: HostName): { readonly host: ReplayedHost; readonly project: TestProject } {
  const host = replayedHost(name);
  const project = createTestProject(host.env);
  opened.push(host, project);
  return { host, project };
}

/** Two rounds of one point on the program that behaves like vLLM. */
function experiment(change: Readonly<Record<string, string>> = {}): string {
  const parts: Record<string, string> = {
    experiment: "machines",
    engines: `{ vllm: { kind: vllm, command: ["${process.execPath}", "${fakeVllm}", serve], args: { tensor-parallel-size: 2 } } }`,
    variants: `{ fp8: { model: ${tinyModel}, precision: bf16, engine: vllm } }`,
    workloads: "{ 32-8: { input: 32, output: 8 } }",
    loads: "{ concurrency: [2] }",
    measure: "{ rounds: 2, requests: 8, percentiles: [50] }",
    telemetry: "{ gpu: 100 ms, engine: 100 ms }",
    client: "{ calibrate: false }",
    ...change,
  };
  return Object.entries(parts)
    .map(([key, value]) => `${key}: ${value}\n`)
    .join("");
}

function latest<T>(project: TestProject, read: (store: Store, run: string) => T): T {
  const store = Store.open(join(project.root, "data/benchbook.db"), { readonly: true });
  try {
    return read(store, store.resolveRun("latest"));
  } finally {
    store.close();
  }
}

function recordOf(project: TestProject, language: "zh" | "en"): string {
  const run = latest(project, (_, id) => id);
  return readFileSync(join(project.root, "reports", run, `record.${language}.md`), "utf8");
}

/** Cells of pair and field tables without a text. */
function blankCells(record: string): readonly string[] {
  const system = record.slice(record.indexOf('id="s2"'), record.indexOf('id="s3"'));
  return system
    .split("\n")
    .filter((line) => line.startsWith("|") && !/^\|[\s|:-]*\|$/.test(line))
    .filter((line) =>
      line
        .slice(1, -1)
        .split(" | ")
        .slice(1, 2)
        .some((cell) => cell.trim() === ""),
    )
    .filter((line) => !/^\|\s*\|/.test(line));
}

describe("a run on a host with two vGPUs", () => {
  it("gives a full record: cards, profile, driver, and what they did in every trial", async () => {
    const { project } = machine("rtx-pro-6000-vgpu");
    const ended = await project.run("run", project.experiment("vgpu", experiment()));
    expect(ended.stderr).toContain("Run ");
    const { fields, readings } = latest(project, (store, run) => ({
      fields: store.snapshotsOf(run)[0]?.snapshot.fields ?? [],
      readings: store.attemptsOf(run).map((attempt) => store.gpuReadingsOf(attempt)),
    }));
    const valueOf = (id: string): unknown => {
      const value = fields.find((field) => field.id === id)?.value;
      return value?.state === "value" ? value.value : value?.state;
    };
    expect(valueOf("gpu.count")).toBe(2);
    expect(valueOf("gpu.0.driver")).toBe("580.105.08");
    expect(valueOf("gpu.1.name")).toMatch(/DC-4-96Q/);
    expect(readings).toHaveLength(2);
    for (const trial of readings)
      expect(new Set(trial.map(({ gpu }) => gpu))).toEqual(new Set([0, 1]));
    for (const language of ["zh", "en"] as const) {
      const record = recordOf(project, language);
      expect(record).toContain("DC-4-96Q");
      expect(record).toContain("580.105.08");
      expect(blankCells(record)).toEqual([]);
    }
  });
});

describe("a run on a host with MIG instances", () => {
  it("gives a full record, with the instances", async () => {
    const { project } = machine("h100-mig");
    await project.run("run", project.experiment("mig", experiment()));
    for (const language of ["zh", "en"] as const) {
      const record = recordOf(project, language);
      expect(record).toContain("3g.40gb");
      expect(blankCells(record)).toEqual([]);
    }
  });

  it("finds that MIG was switched between two rounds, and says between which trials", async () => {
    const { host, project } = machine("h100-mig");
    const run = project.start("run", project.experiment("switched", experiment()));
    await run.said(/\[1\/2\] round 1/);
    host.setState({ cells: { "*": { "mig.mode.current": "Disabled" } } });
    const { code } = await run.ended;
    expect(code).toBe(1);
    const audit = latest(project, (store, id) => store.auditOf(id));
    expect(audit?.verdict).toBe("invalid");
    const finding = audit?.findings.find(
      ({ rule, seen }) => rule === "E4" && seen.en.includes("gpu.0.mig.current"),
    );
    expect(finding?.severity).toBe("block");
    expect(finding?.seen.en).toMatch(/Enabled → Disabled.*round 2/);
    expect(recordOf(project, "en")).toContain("Enabled");
  });
});

/** Every file below a folder. */
function filesIn(folder: string): readonly string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? filesIn(path) : [path];
  });
}

describe("secrets", () => {
  const secrets = {
    HF_TOKEN: "env0Xq7vB2nR9tY4wL6",
    VLLM_API_KEY: "key1Zp8cD3mS0uH5kJ7",
    GATEWAY_PASSWORD: "pas2Yo9eF4lT1vG6jK8",
  };

  /** Files that hold a secret, of those that a run writes. */
  const leaksIn = (project: TestProject, secret: string): readonly string[] =>
    ["data", "reports"]
      .map((folder) => join(project.root, folder))
      .flatMap((folder) => (existsSync(folder) ? filesIn(folder) : []))
      .filter((path) => readFileSync(path, "latin1").includes(secret) || path.includes(secret));

  it("stand in no file that a run writes, though the engine prints its whole environment", async () => {
    const project = createTestProject(secrets);
    opened.push(project);
    const path = project.experiment(
      "leaks",
      experiment({ measure: "{ rounds: 1, requests: 4, percentiles: [50] }" }),
    );
    const { stderr } = await project.run("run", path);
    expect(stderr).toContain("[1/1] round 1/1 fp8/c2: 4 requests");
    const log =
      filesIn(join(project.root, "data/runs")).find((file) => file.endsWith(".log")) ?? "";
    expect(readFileSync(log, "utf8")).toContain("[redacted]");
    for (const [name, secret] of Object.entries(secrets))
      expect(leaksIn(project, secret), name).toEqual([]);
  });

  it.each([
    [
      "the model's path",
      "leaks",
      {
        variants: '{ fp8: { model: "models/${GATEWAY_PASSWORD}", precision: bf16, engine: vllm } }',
      },
    ],
    ["a note", "leaks", { stated: '{ other: { note: "${HF_TOKEN}" } }' }],
    ["a comment", "leaks", { experiment: `machines # ${secrets.HF_TOKEN}` }],
    [
      "a URL",
      "leaks",
      { engines: '{ vllm: { kind: external, url: "http://127.0.0.1:9/${VLLM_API_KEY}" } }' },
    ],
    [
      "a header",
      "leaks",
      {
        engines:
          '{ vllm: { kind: external, url: "http://127.0.0.1:9", headers: { x-key: "${VLLM_API_KEY}" } } }',
      },
    ],
    [
      "an argument",
      "leaks",
      {
        engines:
          '{ vllm: { kind: vllm, command: [vllm, serve], args: { api-key: "${VLLM_API_KEY}" } } }',
      },
    ],
    ["the command line", `leaks-${secrets.HF_TOKEN}`, {}],
  ])("are refused in %s before anything is stored", async (_, name, change) => {
    const project = createTestProject(secrets);
    opened.push(project);
    const { code, stderr } = await project.run("run", project.experiment(name, experiment(change)));
    expect(code).toBe(2);
    expect(stderr).toContain("secret");
    if (name === "leaks")
      for (const secret of Object.values(secrets)) expect(stderr).not.toContain(secret);
    for (const secret of Object.values(secrets)) expect(leaksIn(project, secret)).toEqual([]);
  });
});
