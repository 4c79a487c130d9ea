// vLLM's life, on a program that behaves like it (the real one: vllm.vllm.test.ts).
import { spawn } from "node:child_process";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { VllmEngine } from "../experiment/experiment.ts";
import { nowMs } from "../units.ts";
import type { RunningEngine } from "./engine.ts";
import { commandLineOf, listProcesses } from "./processes.ts";
import { vllm } from "./vllm.ts";
import type { VllmVariant } from "./vllm-command.ts";

const dist = join(import.meta.dirname, "../../dist");
const program = join(dist, "testing/fake-vllm.js");

let folder = "";
let path: string | undefined;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "benchbook-vllm-"));
  for (const part of ["bin", "venv/bin", "model", "state"]) {
    mkdirSync(join(folder, part), { recursive: true });
  }
  // A virtual environment whose "python" runs the stand-in.
  symlinkSync(process.execPath, join(folder, "venv/bin/python"));
  script("venv/bin/vllm", `import(${JSON.stringify(program)})`);
  for (const runtime of ["docker", "podman"]) {
    script(
      `bin/${runtime}`,
      `process.argv.splice(2, 0, ${JSON.stringify(join(folder, "state"))}); import(${JSON.stringify(join(dist, "testing/fake-docker.js"))})`,
    );
  }
  writeFileSync(join(folder, "model/config.json"), '{"max_position_embeddings": 4096}');
  path = process.env["PATH"];
  process.env["PATH"] = `${join(folder, "bin")}:${path ?? ""}`;
});
afterAll(() => {
  process.env["PATH"] = path;
  rmSync(folder, { recursive: true });
});

function script(name: string, text: string): void {
  writeFileSync(join(folder, name), `#!${process.execPath}\n${text}\n`);
  chmodSync(join(folder, name), 0o755);
}

function variantOf(engine: Partial<VllmEngine> = {}, ways = ""): VllmVariant {
  const { env = {}, ...rest } = engine;
  const program_ =
    rest.container === undefined && rest.command === undefined ? { venv: "venv" } : {};
  return {
    name: "v",
    model: "model",
    precision: "auto",
    engine: {
      kind: "vllm",
      name: "vllm",
      port: "auto",
      args: {},
      env: { ...env, FAKE_VLLM: ways },
      readyMs: 30_000,
      prefix: [],
      ...program_,
      ...rest,
    },
  };
}

let logs = 0;
const context = () => {
  logs += 1;
  const { signal } = new AbortController();
  return { projectRoot: folder, logPath: join(folder, `${logs}.log`), signal };
};
const start = (variant: VllmVariant): Promise<RunningEngine> => vllm.start(variant, context());

const failureOf = async (variant: VllmVariant) =>
  start(variant).then(
    () => "it started",
    (error: unknown) => error,
  );

/** The stand-in's processes that serve on a port, or are workers of those that do. */
function processesOf({ endpoint }: Pick<RunningEngine, "endpoint">): readonly number[] {
  const port = new URL(endpoint.baseUrl).port;
  const all = listProcesses().filter(({ zombie }) => !zombie);
  const servers = all.filter(({ pid }) => {
    const words = commandLineOf(pid);
    return words.includes(`--port ${port}`) && !words.includes("run --rm");
  });
  const workers = all.filter(({ parent }) => servers.some(({ pid }) => pid === parent));
  return [...servers, ...workers].map(({ pid }) => pid);
}

function workerOf(engine: RunningEngine): number {
  const worker = processesOf(engine).find((pid) => commandLineOf(pid).startsWith("VLLM::"));
  if (worker === undefined) throw new Error("the engine has no worker");
  return worker;
}

const isRunning = (pid: number): boolean =>
  listProcesses().some((process_) => process_.pid === pid && !process_.zombie);

/** Milliseconds until the engine says that it ended. */
async function noticed(engine: RunningEngine): Promise<number> {
  const startedMs = nowMs();
  await engine.exited;
  return nowMs() - startedMs;
}

describe("vLLM that is launched", () => {
  it("is ready with what it is and how it was started, and gone after its stop", async () => {
    const engine = await start(
      variantOf({ args: { "max-num-seqs": 8 }, env: { SEEN: "by the engine" } }),
    );
    const port = new URL(engine.endpoint.baseUrl).port;
    expect(engine.endpoint.model).toBe("model");
    expect(engine.facts).toMatchObject({ name: "vLLM", version: "0.32.0", maxNumSeqs: 8 });
    expect(engine.facts.argv).toEqual([
      ...["venv/bin/python", "venv/bin/vllm", "serve", "model", "--served-model-name", "model"],
      ...["--host", "127.0.0.1", "--port", port, "--enable-prompt-tokens-details"],
      ...["--max-num-seqs", "8"],
    ]);
    // And what it inherits.
    expect(engine.facts.env).toMatchObject({
      ...{ VLLM_SERVER_DEV_MODE: "1", VLLM_NO_USAGE_STATS: "1", DO_NOT_TRACK: "1" },
      ...{ SEEN: "by the engine", FAKE_VLLM: "" },
    });
    const environment = await (await fetch(`${engine.endpoint.baseUrl}/server_info`)).text();
    expect(environment).toContain(`"seen":"by the engine","path":"${join(folder, "venv/bin")}:`);
    expect(engine.interpreter).toEqual([join(folder, "venv/bin/python")]);
    expect(await engine.resetPrefixCache()).toBe("done");
    const pids = processesOf(engine);
    expect(pids).toHaveLength(2);
    expect(await engine.stop()).toEqual([]);
    expect(pids.filter(isRunning)).toEqual([]);
  });

  it("runs behind a prefix", async () => {
    const engine = await start(variantOf({ prefix: ["nice", "-n", "1"] }));
    expect(engine.facts.argv?.slice(0, 4)).toEqual(["nice", "-n", "1", "venv/bin/python"]);
    expect(engine.pid).toBe(processesOf(engine)[0]);
    await engine.stop();
  });

  it.each([
    ["bad-argument", "no-such-flag"],
    ["out-of-memory", "memory"],
    ["port-taken", "port"],
  ])("names why it does not start: %s", async (way, says) => {
    const failure = await failureOf(variantOf({}, way));
    expect(failure).toMatchObject({ name: "EngineStartError" });
    expect(String(failure)).toContain("the engine ended before it was ready (exit code ");
    expect(String(failure)).toMatch(new RegExp(`\\): .*${says}`, "i"));
  });

  it("is given up when it hangs, and leaves nothing", async () => {
    const variant = variantOf({ readyMs: 400, args: { "served-model-name": "hangs" } }, "hang");
    expect(String(await failureOf(variant))).toContain("was not ready within");
    const left = listProcesses().filter(({ pid }) => commandLineOf(pid).includes("hangs"));
    expect(left).toEqual([]);
  });

  it("refuses a port that is taken, in the check and at the start", async () => {
    const holder = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => holder.once("listening", resolve));
    const address = holder.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    expect(String(await failureOf(variantOf({ port })))).toContain(
      `port ${port} of 127.0.0.1 is taken`,
    );
    const demand = { longestRequestTokens: undefined, largestConcurrency: 1 };
    expect(await vllm.check(variantOf({ port }), demand, context())).toMatchObject([
      { what: `port ${port} of 127.0.0.1 is taken`, where: "engines.vllm.port" },
    ]);
    await new Promise((resolve) => holder.close(resolve));
  });
});

describe("the death of vLLM", () => {
  it("is noticed within a second when only its worker died, and the rest is ended", async () => {
    const engine = await start(variantOf());
    const worker = workerOf(engine);
    const pids = processesOf(engine);
    process.kill(worker, "SIGKILL");
    expect(await noticed(engine)).toBeLessThan(1000);
    expect((await engine.exited).detail).toBe(
      `its process VLLM::EngineCore (pid ${worker}) ended while the server still ran`,
    );
    await engine.stop();
    expect(pids.filter(isRunning)).toEqual([]);
  });

  it("is noticed within a second when its server died, and its worker is ended, wherever it went", async () => {
    const engine = await start(variantOf({}, "stray"));
    const pids = processesOf(engine);
    process.kill(engine.pid ?? 0, "SIGKILL");
    expect(await noticed(engine)).toBeLessThan(1000);
    expect(await engine.exited).toMatchObject({ signal: "SIGKILL", detail: undefined });
    await engine.stop();
    expect(pids).toHaveLength(2);
    expect(pids.filter(isRunning)).toEqual([]);
  });

  it("leaves no shared memory", async () => {
    const engine = await start(variantOf({}, "shared-memory"));
    const worker = workerOf(engine);
    const name = `psm_fake${worker}`;
    expect(readdirSync("/dev/shm")).toContain(name);
    process.kill(worker, "SIGKILL");
    await engine.exited;
    expect(await engine.stop()).toEqual([]);
    expect(readdirSync("/dev/shm")).not.toContain(name);
  });
});

describe("vLLM in a container", () => {
  const image = "vllm/vllm-openai:v0.32.0";

  it.each(["docker", "podman"] as const)(
    "of %s is ready, says which image runs, and is gone after its stop",
    async (runtime) => {
      const engine = await start(variantOf({ container: { image, runtime } }));
      expect(engine.facts.argv?.slice(0, 3)).toEqual([runtime, "run", "--rm"]);
      expect(engine.facts.container).toMatchObject({
        runtime: `${runtime} 28.2.2`,
        image,
        digest: `sha256:${"d".repeat(64)}`,
      });
      const name = engine.facts.container?.name ?? "";
      expect(engine.interpreter).toEqual([runtime, "exec", name, "python3"]);
      const pids = processesOf(engine);
      expect(pids).toHaveLength(2);
      expect(await engine.stop()).toEqual([]);
      expect(pids.filter(isRunning)).toEqual([]);
      expect(readdirSync(join(folder, "state"))).toEqual([]);
    },
  );

  it("is declared dead when its worker died", async () => {
    const engine = await start(variantOf({ container: { image } }));
    const pids = processesOf(engine);
    process.kill(workerOf(engine), "SIGKILL");
    expect(await noticed(engine)).toBeLessThan(1000);
    expect((await engine.exited).detail).toContain("VLLM::EngineCore");
    await engine.stop();
    expect(pids.filter(isRunning)).toEqual([]);
  });

  it("refuses another image than the pinned one", async () => {
    const digest = `sha256:${"e".repeat(64)}`;
    const failure = await failureOf(variantOf({ container: { image, digest } }));
    expect(String(failure)).toContain(`not the pinned ${digest}`);
    expect(readdirSync(join(folder, "state"))).toEqual([]);
  });
});

describe("a kill -9 of benchbook", () => {
  it.each([
    ["that launched vLLM", {}, "stray"],
    ["that launched a container", { container: { image: "vllm:1" } }, ""],
  ])("%s leaves none of it", async (_name, engine, ways) => {
    const starter = `
      const { vllm } = await import(${JSON.stringify(join(dist, "engine/vllm.js"))});
      const engine = await vllm.start(${JSON.stringify(variantOf(engine, ways))}, ${JSON.stringify({ ...context(), signal: undefined })});
      console.log(engine.endpoint.baseUrl);
      setInterval(() => {}, 1000);`.replace(
      '"logPath"',
      '"signal":new AbortController().signal,"logPath"',
    );
    const parent = spawn(process.execPath, ["--input-type=module", "-e", starter], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const baseUrl = await new Promise<string>((resolve) => {
      parent.stdout.once("data", (data: Buffer) => {
        resolve(data.toString().trim());
      });
    });
    const pids = processesOf({ endpoint: { baseUrl, model: "", headers: {} } });
    expect(pids).toHaveLength(2);
    parent.kill("SIGKILL");
    await expect.poll(() => pids.filter(isRunning), { timeout: 20_000 }).toEqual([]);
    await expect.poll(() => readdirSync(join(folder, "state")), { timeout: 20_000 }).toEqual([]);
  });
});
