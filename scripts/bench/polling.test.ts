import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { startPolling } from "./polling.ts";

describe("a thread that polls", () => {
  it("was busy in the turns that took longer than turns do, and in no others", async () => {
    const turnsMs = [0.002, 0.003, 0.002, 5, 0.002, 0.004, 7];
    let atMs = 100;
    let turns = 0;
    const polling = startPolling(() => atMs);
    for (const tookMs of turnsMs) {
      atMs += tookMs;
      turns += 1;
      await turn();
    }
    polling.stop();
    expect(turns).toBe(7);
    expect(polling.busyMs()).toBeCloseTo(12, 9);
  });

  it("forgets a turn that was quick by chance", async () => {
    let atMs = 0;
    const polling = startPolling(() => atMs);
    atMs += 0.0001;
    await turn();
    for (let count = 0; count < 40_000; count += 1) {
      atMs += 0.002;
      await turn();
    }
    const before = polling.busyMs();
    for (let count = 0; count < 1000; count += 1) {
      atMs += 0.002;
      await turn();
    }
    polling.stop();
    expect(polling.busyMs()).toBe(before);
  });

  it("lets the loop come to rest once it is stopped", async () => {
    let clockReads = 0;
    const polling = startPolling(() => (clockReads += 1));
    await turn();
    polling.stop();
    const before = clockReads;
    await turn();
    await turn();
    expect(clockReads).toBe(before);
  });
});
