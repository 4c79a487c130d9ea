import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import type { StoredRun } from "./store/stored-run.ts";
import {
  createTestProject,
  enginesOf,
  type TestProject,
  tinyExperiment,
} from "./testing/command.ts";
import { startFaultyServer } from "./testing/faulty-server.ts";
import { startPacedServer } from "./testing/paced-server.ts";
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

const external = (url: string): string =>
  `{ a: { model: paced, engine: server } }\nengines: { server: { kind: external, url: "${url}" } }`;

describe("a run", () => {
  it("measures every trial and leaves a record in both languages", {
    timeout: 120_000,
  }, async () => {
    const path = project.experiment("tiny", tinyExperiment());
    const { code, stdout, stderr } = await project.run("run", path, "--json");
    const result = runResult.parse(JSON.parse(stdout));
    expect(stderr).toContain("[4/4]");
    expect(result.reports.map((file) => file.split("/").at(-1)).sort()).toEqual([
      "record.en.html",
      "record.en.md",
      "record.zh.html",
      "record.zh.md",
    ]);
    for (const file of result.reports) expect(existsSync(join(project.root, file))).toBe(true);
    expect(code).toBe(result.verdict === "invalid" ? 1 : 0);
    const run = storedRun();
    expect(run.attempts.map(({ status }) => status)).toEqual([
      "measured",
      "measured",
      "measured",
      "measured",
    ]);
    expect(run.starts.map(({ end }) => end?.reason)).toEqual(["stopped", "stopped"]);
    expect(
      query("SELECT count(*) FROM request WHERE phase = 'measured' AND status = 'completed'"),
    ).toEqual([[24]]);
    expect(
      query("SELECT DISTINCT input_tokens, output_tokens FROM request WHERE phase = 'measured'"),
    ).toEqual([[32, 8]]);
  });

  it("gives the same bytes when its record is rendered again", { timeout: 120_000 }, async () => {
    const path = project.experiment(
      "tiny",
      tinyExperiment({ measure: "{ rounds: 1, requests: 6, percentiles: [50] }" }),
    );
    const { stdout } = await project.run("run", path, "--json");
    const { reports } = runResult.parse(JSON.parse(stdout));
    const first = reports.map((file) => readFileSync(join(project.root, file)));
    await project.run("report", "latest");
    for (const [index, file] of reports.entries()) {
      expect(readFileSync(join(project.root, file)).equals(first[index] ?? Buffer.alloc(0))).toBe(
        true,
      );
    }
  });

  it("prints figures that a few lines of SQL give too", { timeout: 120_000 }, async () => {
    const path = project.experiment("tiny", tinyExperiment());
    await project.run("run", path);
    // Each figure of one point from the views alone: a value per round, then their mean; the
    // geometric mean where the rounds are noisy, which the metric's method says.
    const measured = `FROM request r JOIN trial t USING (run, trial, attempt)
      WHERE t.counts AND t.point = 'fp32/c2' AND r.phase = 'measured' AND r.status = 'completed' GROUP BY t.round`;
    const windowed = `FROM request r JOIN trial t USING (run, trial, attempt)
      WHERE t.counts AND t.point = 'fp32/c2' GROUP BY t.round`;
    const perRound: Record<string, string> = {
      "ttft.mean": `SELECT avg(r.ttft_ms) AS value ${measured}`,
      "e2e.mean": `SELECT avg(r.e2e_ms) AS value ${measured}`,
      "tpot.mean": `SELECT avg(r.tpot_ms) AS value ${measured}`,
      qps: `SELECT sum(r.in_window) * 1000.0 / t.window_ms AS value ${windowed}`,
      output_tps: `SELECT sum(r.window_tokens) * 1000.0 / t.window_ms AS value ${windowed}`,
      concurrency_achieved: `SELECT sum(max(0, min(r.ended_at_ms, t.window_end_ms)
        - max(r.sent_at_ms, t.window_start_ms))) / t.window_ms AS value ${windowed}`,
    };
    for (const [metric, sql] of Object.entries(perRound)) {
      const [row] = query(
        `SELECT value, method FROM metric WHERE point = 'fp32/c2' AND metric = '${metric}'`,
      );
      const mean = row?.[1] === "log_t" ? "exp(avg(ln(value)))" : "avg(value)";
      const [bySql] = query(`SELECT ${mean}, count(*) FROM (${sql})`);
      expect(bySql?.[1], metric).toBe(2);
      expect(Number(row?.[0]) / Number(bySql?.[0]), metric).toBeCloseTo(1, 9);
    }
  });
});

describe("what is wrong before a run is refused with exit 2, all at once, and nothing is left behind", () => {
  const cases: readonly (readonly [string, Record<string, string>, RegExp])[] = [
    [
      "a model folder that is missing",
      { variants: "{ a: { model: models/none, precision: fp32, engine: embedded } }" },
      /models\/none does not exist/,
    ],
    [
      "a precision that the model does not have",
      { variants: "{ a: { model: data/models/tiny-qwen3, precision: fp8, engine: embedded } }" },
      /no precision "fp8"[\s\S]*fp32, q8/,
    ],
    [
      "an input longer than the model allows",
      { workloads: "{ long: { input: 5000, output: 8 } }" },
      /5008 tokens, more than the 4096/,
    ],
    [
      "a program that is not on this machine",
      {
        variants:
          "{ a: { model: x/y, precision: fp8, engine: v } }\nengines: { v: { kind: vllm, command: [no-such-vllm, serve] } }",
      },
      /the program no-such-vllm does not exist/,
    ],
    [
      "a key that is not set",
      {
        variants:
          "{ a: { model: m, engine: s } }\nengines: { s: { kind: external, url: 'http://127.0.0.1:1', key: { env: BENCHBOOK_NO_SUCH_KEY } } }",
      },
      /BENCHBOOK_NO_SUCH_KEY/,
    ],
    ["an unknown key", { measure: "{ round: 3 }" }, /tiny\.yaml:\d+:\d+[\s\S]*rounds/],
    ["concurrency 0", { loads: "{ concurrency: [0] }" }, /tiny\.yaml:\d+:\d+/],
  ];
  it.each(cases)("%s", async (_name, change, message) => {
    const path = project.experiment("tiny", tinyExperiment(change));
    const { code, stdout, stderr } = await project.run("run", path);
    expect(stderr).toMatch(message);
    expect(stdout).toBe("");
    expect(code).toBe(2);
    expect((await project.run("list")).stdout).toContain("no runs yet");
  });

  it("a broken model folder", async () => {
    const model = join(project.root, "models/broken");
    mkdirSync(model, { recursive: true });
    writeFileSync(join(model, "config.json"), "{");
    const path = project.experiment(
      "tiny",
      tinyExperiment({
        variants: "{ a: { model: models/broken, precision: fp32, engine: embedded } }",
      }),
    );
    const { code, stderr } = await project.run("run", path);
    expect(stderr).toContain("is not JSON");
    expect(code).toBe(2);
  });

  it("a data folder that can't be written", async () => {
    // A file where the folder should be: refused for root too, whom permissions don't stop.
    writeFileSync(join(project.root, "data"), "");
    const { code, stderr } = await project.run("run", project.experiment("tiny", tinyExperiment()));
    expect(stderr).toMatch(/data/);
    expect(stderr).not.toContain("node:internal");
    expect(code).toBe(2);
  });
});

describe("an engine that fails", () => {
  it("at its start is named with its last words; a run without a measured trial exits 1", {
    timeout: 120_000,
  }, async () => {
    const model = join(project.root, "models/garbled");
    cpSync(join(import.meta.dirname, "../data/models/tiny-qwen3"), model, { recursive: true });
    writeFileSync(join(model, "onnx/model.onnx"), "no weights");
    const path = project.experiment(
      "tiny",
      tinyExperiment({
        variants: "{ a: { model: models/garbled, precision: fp32, engine: embedded } }",
      }),
    );
    const { code, stderr } = await project.run("run", path);
    expect(stderr).toContain("the engine ended before it was ready");
    expect(stderr).toMatch(/has no measured trial, so there is nothing to report/);
    expect(code).toBe(1);
    const run = storedRun();
    expect(run.starts.map(({ end }) => end?.reason)).toEqual(["never_ready", "never_ready"]);
  });

  it("by never becoming ready is given up after its time", { timeout: 120_000 }, async () => {
    const path = project.experiment(
      "tiny",
      tinyExperiment({
        engines: "{ slow: { kind: embedded, ready: 1 ms } }",
        variants: "{ a: { model: data/models/tiny-qwen3, precision: fp32, engine: slow } }",
      }),
    );
    const running = project.start("run", path);
    const { code, stderr } = await running.ended;
    expect(stderr).toContain("was not ready within");
    expect(code).toBe(1);
    expect(enginesOf(running)).toEqual([]);
  });

  it("because its port is taken is named, and the holder is left alone", {
    timeout: 120_000,
  }, async () => {
    const holder = createServer();
    const port = await new Promise<number>((resolve) => {
      holder.listen(0, "127.0.0.1", () => {
        resolve(z.object({ port: z.number() }).parse(holder.address()).port);
      });
    });
    const path = project.experiment(
      "tiny",
      tinyExperiment({
        engines: `{ fixed: { kind: embedded, port: ${port} } }`,
        variants: "{ a: { model: data/models/tiny-qwen3, precision: fp32, engine: fixed } }",
      }),
    );
    const { code, stderr } = await project.run("run", path);
    expect(stderr).toMatch(new RegExp(`port ${port} of 127.0.0.1 is taken`));
    expect(code).toBe(1);
    expect(holder.listening).toBe(true);
    await new Promise((resolve) => holder.close(resolve));
  });

  it("in mid-trial leaves the trial marked, and the run goes on with the next start", {
    timeout: 180_000,
  }, async () => {
    const path = project.experiment(
      "tiny",
      tinyExperiment({
        loads: "{ concurrency: [1, 2, 4] }",
        measure: "{ rounds: 1, requests: 400, percentiles: [50] }",
      }),
    );
    const running = project.start("run", path, "--json");
    await running.said(/\[1\/3\]/);
    // In the middle of the second trial: some of its requests are in the database already.
    await expect
      .poll(
        () =>
          query(
            "SELECT count(*) FROM request JOIN trial USING (attempt_id) WHERE trial.status = 'unfinished'",
          )[0]?.[0],
        { timeout: 20_000, interval: 50 },
      )
      .toBeGreaterThan(0);
    for (const pid of enginesOf(running)) process.kill(pid, "SIGKILL");
    const { code, stdout, stderr } = await running.ended;
    expect(stderr).toContain("the engine died (killed by SIGKILL)");
    expect(stderr).toContain("starting the engine again");
    expect(code).toBe(1);
    const run = storedRun();
    expect(run.starts.map(({ end }) => end?.reason)).toEqual(["died", "stopped"]);
    expect(run.attempts.map(({ status }) => status)).toEqual(["measured", "failed", "measured"]);
    // What the dead trial had measured is kept.
    const dead = run.attempts.find(({ status }) => status === "failed");
    expect(
      query(`SELECT count(*) FROM request WHERE trial = '${dead?.trial ?? ""}'`)[0]?.[0],
    ).toBeGreaterThan(0);
    const { reports, findings } = runResult.parse(JSON.parse(stdout));
    expect(findings.map(({ rule }) => rule)).toContain("S2");
    const record = readFileSync(
      join(project.root, reports.find((file) => file.endsWith("en.md")) ?? ""),
      "utf8",
    );
    expect(record).toContain("killed by SIGKILL");
    // Resumed, the dead trial is measured in a second attempt.
    const resumed = await project.run("run", "--resume", "--json");
    expect(resumed.code).toBe(0);
    expect(storedRun().attempts.map(({ status }) => status)).toEqual([
      "measured",
      "failed",
      "measured",
      "measured",
    ]);
  });
});

describe("what is stored and published", () => {
  it("holds no secret of a server's own settings, and none of the key that was sent", {
    timeout: 120_000,
  }, async () => {
    const server = await startPacedServer({
      schedule: () => ({ ttftMs: 5, gapMs: 1, tokens: 8 }),
      promptTokens: 32,
      serverInfo: {
        model: "paced",
        hf_token: `hf_${"a".repeat(30)}`,
        api_key: `sk-live-${"b".repeat(30)}`,
      },
    });
    process.env["BENCHBOOK_TEST_SECRET"] = `sk-test-${"c".repeat(30)}`;
    const yaml = external(server.url).replace(
      "kind: external,",
      "kind: external, key: { env: BENCHBOOK_TEST_SECRET },",
    );
    await project.run("run", project.experiment("tiny", tinyExperiment({ variants: yaml })));
    delete process.env["BENCHBOOK_TEST_SECRET"];
    expect(storedRun().attempts.length).toBe(4);
    const files = readdirSync(project.root, { recursive: true, withFileTypes: true }).filter(
      (file) => file.isFile(),
    );
    expect(files.length).toBeGreaterThan(5);
    for (const file of files) {
      const bytes = readFileSync(join(file.parentPath, file.name), "latin1");
      expect(
        bytes.includes("aaaaaaaaaa") ||
          bytes.includes("bbbbbbbbbb") ||
          bytes.includes("cccccccccc"),
        file.name,
      ).toBe(false);
    }
    await server.close();
  });

  it("is refused when a secret stands in a comment of the experiment", async () => {
    const path = project.experiment("tiny", `# sk-live-${"d".repeat(30)}\n${tinyExperiment()}`);
    const { code, stderr } = await project.run("run", path);
    expect(code).toBe(2);
    expect(stderr).toContain("tiny.yaml:1");
    expect(stderr).not.toContain("dddddddd");
  });

  it("names the whole command that measures the same again", { timeout: 120_000 }, async () => {
    const path = project.experiment("tiny", tinyExperiment());
    const { stdout } = await project.run("run", path, "--only", "*/c2", "--rounds", "1", "--json");
    const { reports } = runResult.parse(JSON.parse(stdout));
    const english = reports.find((file) => file.endsWith("en.md")) ?? "";
    expect(readFileSync(join(project.root, english), "utf8")).toContain(
      "benchbook run experiments/tiny.yaml --only '*/c2' --rounds 1",
    );
  });

  it("survives a reader that goes away", { timeout: 120_000 }, async () => {
    const path = project.experiment("tiny", tinyExperiment());
    const running = project.start("run", path);
    await running.said(/Run /);
    running.child.stderr?.destroy();
    running.child.stdout?.destroy();
    await running.ended;
    expect(storedRun().attempts.map(({ status }) => status)).toEqual([
      "measured",
      "measured",
      "measured",
      "measured",
    ]);
  });
});

describe("a server that somebody else started", () => {
  it("is measured without being started or stopped, on one process", {
    timeout: 120_000,
  }, async () => {
    const server = await startPacedServer({
      schedule: () => ({ ttftMs: 5, gapMs: 1, tokens: 8 }),
      promptTokens: 32,
    });
    const path = project.experiment("tiny", tinyExperiment({ variants: external(server.url) }));
    const { stdout } = await project.run("run", path, "--json");
    runResult.parse(JSON.parse(stdout));
    const run = storedRun();
    expect(run.attempts.map(({ status }) => status)).toEqual([
      "measured",
      "measured",
      "measured",
      "measured",
    ]);
    expect(run.starts.map(({ end }) => end?.reason)).toEqual(["detached"]);
    expect((await fetch(`${server.url}/health`)).status).toBe(200);
    await server.close();
  });

  it.each(["500", "html", "half-event", "error-then-done", "silence"] as const)(
    "and answers with %s gives a failed trial with its reason, not a crash",
    { timeout: 120_000 },
    async (fault) => {
      const server = await startFaultyServer(() => fault);
      const path = project.experiment(
        "tiny",
        tinyExperiment({
          variants: external(server.url),
          limits: "{ request: 1 s, stall: 500 ms, failures: 10% }",
          measure: "{ rounds: 1, requests: 6, percentiles: [50] }",
        }),
      );
      const { code, stderr } = await project.run("run", path);
      expect(code).toBe(1);
      expect(stderr).not.toContain("node:internal");
      expect(storedRun().attempts.every(({ status }) => status === "failed")).toBe(true);
      expect(
        query(
          "SELECT count(*) FROM request WHERE status NOT IN ('completed', 'cancelled')",
        )[0]?.[0],
      ).toBeGreaterThan(1);
      await server.close();
    },
  );
});

describe("an engine that is kept", () => {
  it("is one start over all rounds, and stopped at its end", { timeout: 120_000 }, async () => {
    const path = project.experiment(
      "tiny",
      tinyExperiment({ measure: "{ rounds: 3, requests: 8, percentiles: [50], keep: true }" }),
    );
    const running = project.start("run", path);
    const { code } = await running.ended;
    expect(code).toBe(0);
    expect(enginesOf(running)).toEqual([]);
    const { starts } = storedRun();
    const variants = new Set(starts.map(({ variant }) => variant));
    expect(starts).toHaveLength(variants.size);
    for (const { end } of starts)
      expect(end).toMatchObject({ reason: "stopped", logDigest: expect.any(String) as unknown });
  });
});
