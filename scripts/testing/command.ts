// Runs the built program as a person would, in a project folder of its own.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const program = join(import.meta.dirname, "../../dist/cli.js");

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  /** Resolves when a line of stderr matches; rejects when the program ends before. */
  said(pattern: RegExp): Promise<void>;
}

/** A folder with experiments/, gone after `remove`. */
export interface TestProject {
  readonly root: string;
  /** Writes experiments/<name>.yaml; gives its path. */
  experiment(name: string, yaml: string): string;
  start(...argv: string[]): Running;
  run(...argv: string[]): Promise<Ended>;
  remove(): void;
}

/** @param env added to this process's environment */
export function createTestProject(env: Readonly<Record<string, string>> = {}): TestProject {
  const root = mkdtempSync(join(tmpdir(), "benchbook-project-"));
  mkdirSync(join(root, "experiments"));
  const start = (...argv: string[]): Running => startProgram(argv, root, env);
  return {
    root,
    experiment: (name, yaml) => {
      const path = join(root, "experiments", `${name}.yaml`);
      writeFileSync(path, yaml);
      return path;
    },
    start,
    run: (...argv) => start(...argv).ended,
    remove: () => {
      rmSync(root, { recursive: true, force: true });
    },
  };
}

function startProgram(
  argv: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>>,
): Running {
  const child = spawn(process.execPath, [program, ...argv], {
    cwd,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  const listeners = new Set<() => void>();
  child.stdout.on("data", (data: Buffer) => {
    stdout += data.toString();
  });
  child.stderr.on("data", (data: Buffer) => {
    stderr += data.toString();
    for (const listener of listeners) listener();
  });
  const ended = new Promise<Ended>((resolve) => {
    child.on("close", (code, signal) => {
      resolve({ code, signal, stdout, stderr });
    });
  });
  const said = (pattern: RegExp): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (!pattern.test(stderr)) return;
        listeners.delete(look);
        resolve();
      };
      listeners.add(look);
      look();
      void ended.then(() => {
        reject(new Error(`the program ended before it said ${pattern.source}:\n${stderr}`));
      });
    });
  return { child, ended, said };
}

/** Pids of the engines that a program started: its children that run the embedded server. */
export function enginesOf({ child }: Running): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const parent = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ")[1];
        return (
          Number(parent) === child.pid &&
          readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("engine/embedded/server.js")
        );
      } catch {
        // It ended between the two looks.
        return false;
      }
    });
}

/** A tiny experiment on the embedded engine: one variant, two loads, two rounds, about five seconds. */
export function tinyExperiment(change: Readonly<Record<string, string>> = {}): string {
  const parts: Record<string, string> = {
    experiment: "tiny",
    variants: "{ fp32: { model: data/models/tiny-qwen3, precision: fp32, engine: embedded } }",
    workloads: "{ 32-8: { input: 32, output: 8 } }",
    loads: "{ concurrency: [1, 2] }",
    measure: "{ rounds: 2, requests: 6, percentiles: [50] }",
    client: "{ calibrate: false }",
    ...change,
  };
  return Object.entries(parts)
    .map(([key, value]) => `${key}: ${value}\n`)
    .join("");
}
