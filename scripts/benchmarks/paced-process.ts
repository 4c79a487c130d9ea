// The paced server as a benchmark uses it: in a process of its own, on a core of its own where asked.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { packageRoot } from "../engine/model-folder.ts";
import { type PacedLog, readLog } from "../engine/paced/paced-log.ts";
import type { PacedOptions } from "../engine/paced/paced-server.ts";
import { pinnedTo } from "./client-peers.ts";

export interface PacedProcess {
  readonly url: string;
  readonly port: number;
  log(): Promise<PacedLog>;
  close(): Promise<void>;
}

/**
 * Resolves when it listens.
 * @param core to run on; undefined: any
 * @throws Error when it ends before
 */
export async function startPacedProcess(
  options: PacedOptions,
  core?: number,
): Promise<PacedProcess> {
  const server = join(packageRoot, "dist/engine/paced/server.js");
  const pin = core === undefined ? [] : pinnedTo(core);
  const words = [...pin, process.execPath, server, JSON.stringify(options)];
  const [program = "", ...argv] = words;
  const child = spawn(program, argv, { stdio: ["pipe", "pipe", "inherit"] });
  const ended = once(child, "exit");
  child.stdin.on("error", () => undefined);
  const lines = createInterface({ input: child.stdout });
  const url = await Promise.race([
    once(lines, "line").then(([line]) => String(line)),
    ended.then(([code]) => {
      throw new Error(`the paced server ended before it listened, with ${String(code)}`);
    }),
  ]);
  return {
    url,
    port: Number(new URL(url).port),
    log: async () => readLog(await (await fetch(`${url}/log`)).text()),
    close: async () => {
      child.stdin.end();
      await ended;
    },
  };
}
