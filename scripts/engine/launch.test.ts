import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EngineStartError } from "./engine.ts";
import { isFree, launchProcess, signalGroup, waitUntilReady } from "./launch.ts";
import { findProcess } from "./processes.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "benchbook-launch-"));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

let logs = 0;
/** Starts a small Node program as if it were an engine. */
async function launch(program: string) {
  logs += 1;
  const logPath = join(folder, `${logs}.log`);
  const engine = await launchProcess([process.execPath, "-e", program], {
    env: { GREETING: "hello" },
    logPath,
    cwd: folder,
  });
  return { engine, logPath };
}

const { signal } = new AbortController();

function server(port: number, status = 200): string {
  return `require("node:http").createServer((q, r) => { r.statusCode = ${status}; r.end("ok"); }).listen(${port}, "127.0.0.1")`;
}

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const { createServer } = await import("node:net");
  const holder = createServer();
  return new Promise((resolve) => {
    holder.listen(0, "127.0.0.1", () => {
      const address = holder.address();
      holder.close(() => {
        resolve(typeof address === "object" && address !== null ? address.port : 0);
      });
    });
  });
}

describe("a launched engine", () => {
  it("is ready when it answers, writes its log to the file, and is gone after stop", async () => {
    const port = await freePort();
    const { engine, logPath } = await launch(`console.log(process.env.GREETING); ${server(port)}`);
    const { startupMs } = await waitUntilReady(engine, () => `http://127.0.0.1:${port}`, {
      readyMs: 20_000,
      signal,
      logPath,
    });
    expect(startupMs).toBeGreaterThan(0);
    expect(readFileSync(logPath, "utf8")).toBe("hello\n");
    await engine.stop();
    expect(signalGroup(engine.pid, 0)).toBe(false);
    expect((await engine.exited).signal).toBe("SIGTERM");
  });

  it("that dies at start is reported at once with its last words", async () => {
    const { engine, logPath } = await launch(
      `console.error("CUDA out of memory"); process.exit(3)`,
    );
    const failure = await waitUntilReady(engine, () => "http://127.0.0.1:1", {
      readyMs: 60_000,
      signal,
      logPath,
    }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(EngineStartError);
    expect(failure).toMatchObject({
      message: "the engine ended before it was ready (exit code 3)",
      lastWords: "CUDA out of memory",
    });
  });

  it("that never becomes ready is given up after its time", async () => {
    const port = await freePort();
    const { engine, logPath } = await launch(server(port, 503));
    await expect(
      waitUntilReady(engine, () => `http://127.0.0.1:${port}`, { readyMs: 300, signal, logPath }),
    ).rejects.toThrow("was not ready within");
    await engine.stop();
  });

  it("that ignores SIGTERM is killed, together with what it started", async () => {
    const port = await freePort();
    const child = `require("node:child_process").spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);`;
    const { engine, logPath } = await launch(
      `process.on("SIGTERM", () => {}); ${child} ${server(port)}`,
    );
    await waitUntilReady(engine, () => `http://127.0.0.1:${port}`, {
      readyMs: 20_000,
      signal,
      logPath,
    });
    await engine.stop(200);
    expect(signalGroup(engine.pid, 0)).toBe(false);
    expect((await engine.exited).signal).toBe("SIGKILL");
  });

  it("sees its standard input close when the program that started it is gone", async () => {
    // The launcher runs in a process of its own, which is then killed like benchbook would be.
    const launcher = `
      const { launchProcess } = await import(${JSON.stringify(new URL("../../dist/engine/launch.js", import.meta.url).href)});
      const engine = await launchProcess(
        [process.execPath, "-e", "process.stdin.resume().on('end', () => { console.log('orphaned'); process.exit() }); console.log('up')"],
        { env: {}, logPath: ${JSON.stringify(join(folder, "orphan.log"))}, cwd: "." },
      );
      console.log(engine.pid);
      setInterval(() => {}, 1000);`;
    const { spawn } = await import("node:child_process");
    const parent = spawn(process.execPath, ["--input-type=module", "-e", launcher], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const pid = await new Promise<number>((resolve) => {
      parent.stdout.once("data", (data: Buffer) => {
        resolve(Number(data.toString()));
      });
    });
    parent.kill("SIGKILL");
    await expect.poll(() => signalGroup(pid, 0), { timeout: 20_000 }).toBe(false);
    expect(readFileSync(join(folder, "orphan.log"), "utf8")).toContain("orphaned");
  });
});

describe("the watchdog of an engine", () => {
  it("ends processes that left the group, but none that was given the pid of one", async () => {
    const { spawn } = await import("node:child_process");
    const sleeper = () => spawn("sleep", ["60"], { detached: true, stdio: "ignore" });
    const [engine, stray, stranger] = [sleeper(), sleeper(), sleeper()];
    const strayStart = findProcess(stray.pid ?? 0)?.startedAt ?? "";
    const holder = `
      const { startWatchdog } = await import(${JSON.stringify(new URL("../../dist/engine/watchdog.js", import.meta.url).href)});
      startWatchdog(${engine.pid ?? 0}, undefined).know([
        { pid: ${stray.pid ?? 0}, startedAt: "${strayStart}" },
        { pid: ${stranger.pid ?? 0}, startedAt: "1" },
      ]);
      console.log("up");
      setInterval(() => {}, 1000);`;
    const parent = spawn(process.execPath, ["--input-type=module", "-e", holder], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await new Promise((resolve) => parent.stdout.once("data", resolve));
    const ended = Promise.all([engine, stray].map((child) => once(child, "exit")));
    parent.kill("SIGKILL");
    await ended;
    expect(findProcess(stranger.pid ?? 0)?.zombie).toBe(false);
    stranger.kill("SIGKILL");
  });
});

describe("a port", () => {
  it("that is taken is not free", async () => {
    const { createServer } = await import("node:net");
    const holder = createServer();
    const port = await new Promise<number>((resolve) => {
      holder.listen(0, "127.0.0.1", () => {
        const address = holder.address();
        resolve(typeof address === "object" && address !== null ? address.port : 0);
      });
    });
    expect(await isFree(port)).toBe(false);
    await new Promise((resolve) => holder.close(resolve));
    expect(await isFree(port)).toBe(true);
  });
});
