import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isMapped } from "./processes.ts";
import { listRemains, removeRemains } from "./remains.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "benchbook-remains-"));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

let number = 0;
function placesOf() {
  number += 1;
  const places = {
    sharedMemory: join(folder, `${number}-shm`),
    temporary: join(folder, `${number}-tmp`),
  };
  mkdirSync(places.sharedMemory);
  mkdirSync(places.temporary);
  return places;
}

describe("what an engine left behind", () => {
  it("is removed when it appeared since its start and has a name that engines give", async () => {
    const places = placesOf();
    const file = (name: string): string => join(places.sharedMemory, name);
    for (const name of ["psm_before", "mine"]) writeFileSync(file(name), "");
    const before = listRemains(places);
    for (const name of ["psm_1", "torch_2_3", "nccl-4", "sem.mp-5", "vllm_6", "pulse-shm-7"]) {
      writeFileSync(file(name), "");
    }
    expect(await removeRemains(before, places)).toEqual([]);
    const left = ["psm_before", "mine", "psm_1", "torch_2_3", "nccl-4", "sem.mp-5", "vllm_6"];
    expect(left.filter((name) => existsSync(file(name)))).toEqual(["psm_before", "mine"]);
    expect(existsSync(file("pulse-shm-7"))).toBe(true);
  });

  it("stays as long as a process uses it", async () => {
    const places = placesOf();
    const before = listRemains(places);
    const socket = join(places.temporary, "0c3dc8e3-9c0a-44e9-8d58-c0bce7406eff");
    const server = createServer().listen(socket);
    await new Promise((resolve) => server.once("listening", resolve));
    // A program has the file that it runs from mapped into its memory, as shared memory is; here, as
    // with a semaphore, under another name than the one that is looked at.
    const program = join(places.sharedMemory, "psm_used");
    const copy = 'cp "$(command -v sleep)" "$1" && ln "$1" "$0" && exec "$1" 60';
    const copied = spawn("sh", ["-c", copy, program, join(folder, "other-name")]);
    const isUsed = (): boolean => {
      const status = statSync(program, { throwIfNoEntry: false });
      return status !== undefined && isMapped(status.ino);
    };
    await expect.poll(isUsed).toBe(true);
    expect(await removeRemains(before, places)).toEqual([]);
    expect([socket, program].every((path) => existsSync(path))).toBe(true);
    copied.kill("SIGKILL");
    await new Promise((resolve) => copied.once("exit", resolve));
    await removeRemains(before, places);
    expect(existsSync(program)).toBe(false);
    await new Promise((resolve) => server.close(resolve));
  });
});
