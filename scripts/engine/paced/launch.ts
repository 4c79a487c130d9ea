// Starts the paced server in a process of its own, where its work can't delay the client that it
// holds to account.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { packageRoot } from "../model-folder.ts";
import { readLog } from "./paced-log.ts";
import type { PacedOptions, PacedServer } from "./paced-server.ts";

/**
 * A paced server that listens. It ends with this process, however that ends.
 * @param prefix words before its command: ["taskset", "-c", "0"]
 * @throws when its process ends before it listens
 */
export async function launchPacedServer(
  options: PacedOptions,
  prefix: readonly string[] = [],
): Promise<PacedServer> {
  const server = join(packageRoot, "dist/engine/paced/server.js");
  const words = [...prefix, process.execPath, server, JSON.stringify(options)];
  const [program = process.execPath, ...argv] = words;
  const child = spawn(program, argv, { stdio: ["pipe", "pipe", "inherit"] });
  const exited = once(child, "exit");
  // A server that is gone takes no last word.
  child.stdin.on("error", () => undefined);
  const lines = createInterface({ input: child.stdout });
  const url = await Promise.race([
    once(lines, "line").then(([line]) => String(line)),
    exited.then(([code]) => {
      throw new Error(`the paced server ended before it listened (exit code ${String(code)})`);
    }),
  ]);
  return {
    url,
    log: async () => {
      const response = await fetch(`${url}/log`);
      return readLog(await response.text());
    },
    close: async () => {
      child.stdin.end();
      lines.close();
      await exited;
    },
  };
}
