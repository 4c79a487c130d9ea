// A program that behaves like docker or podman for one kind of image, one that has vLLM: the
// "container" is a process of its own session that its client does not own. State lies beside it.
//   node dist/testing/fake-docker.js STATE_FOLDER run --name N ... IMAGE serve MODEL ...
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { findProcess } from "../engine/processes.ts";

const [state = "", command = "", ...words] = process.argv.slice(2);
const name = command === "run" ? (words[words.indexOf("--name") + 1] ?? "") : (words.at(-1) ?? "");
const file = join(state, `${name}.pid`);
const digest = `sha256:${"d".repeat(64)}`;

switch (command) {
  case "--version":
    say("Docker version 28.2.2, build e6534b4");
    break;
  case "info":
    break;
  case "run":
    await run();
    break;
  case "stop":
  case "rm":
    await end(command === "stop" ? "SIGTERM" : "SIGKILL");
    break;
  case "inspect":
    say(JSON.stringify([{ Id: "c".repeat(64), Image: "sha256:image", State: { Pid: pidOf() } }]));
    break;
  case "image":
    say(JSON.stringify([{ RepoDigests: [`vllm/vllm-openai@${digest}`] }]));
    break;
  default:
    process.exit(1);
}

/** Starts what the image would run with the variables that are named, and lives as long as it does. */
async function run(): Promise<void> {
  const serve = words.slice(words.indexOf("serve"));
  const named = words.flatMap((word, index) => (words[index - 1] === "-e" ? [word] : []));
  const env = Object.fromEntries(
    ["PATH", ...named].map((variable) => [variable, process.env[variable] ?? ""]),
  );
  const program = join(import.meta.dirname, "fake-vllm.js");
  const started = spawnSync(
    "sh",
    ["-c", 'setsid "$@" 3>&- & echo $! >&3', "sh", process.execPath, program, ...serve],
    { stdio: ["ignore", "inherit", "inherit", "pipe"], env },
  );
  const pid = Number(String(started.output[3]));
  writeFileSync(file, String(pid));
  process.on("SIGTERM", () => process.kill(pid, "SIGTERM"));
  while (isAlive(pid)) await delay(50);
  rmSync(file, { force: true });
}

async function end(signal: NodeJS.Signals): Promise<void> {
  const pid = pidOf();
  if (pid === 0) {
    complain(`Error response from daemon: No such container: ${name}`);
    process.exit(1);
  }
  // A container ends whole.
  process.kill(signal === "SIGKILL" ? -pid : pid, signal);
  while (isAlive(pid)) await delay(20);
  rmSync(file, { force: true });
}

function pidOf(): number {
  return existsSync(file) ? Number(readFileSync(file, "utf8")) : 0;
}

/** A zombie is dead, however long the host takes to bury it. */
function isAlive(pid: number): boolean {
  return findProcess(pid)?.zombie === false;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function complain(line: string): void {
  process.stderr.write(`${line}\n`);
}
