import { describe, expect, it } from "vitest";
import { nowMs } from "../units.ts";
import { setPreciseTimer } from "./timer.ts";

const firedAfterMs = (delayMs: number): Promise<number> =>
  new Promise((resolve) => {
    const setAtMs = nowMs();
    setPreciseTimer(() => {
      resolve(nowMs() - setAtMs);
    }, delayMs);
  });

describe("setPreciseTimer", () => {
  it("never fires early, be it long or short", async () => {
    const delaysMs = [0, 0.4, 1, 2.7, 5.2, 10.3, 15.9, 23.45];
    const tookMs = await Promise.all(delaysMs.map(firedAfterMs));
    delaysMs.forEach((delayMs, index) => {
      expect(tookMs[index]).toBeGreaterThanOrEqual(delayMs);
    });
  });

  it("does not fire before it returns, and not at all when it was cancelled", async () => {
    let fired = 0;
    const count = (): void => {
      fired += 1;
    };
    for (const delayMs of [-5, 0, 1, 12]) setPreciseTimer(count, delayMs)();
    setPreciseTimer(count, -5);
    expect(fired).toBe(0);
    await firedAfterMs(25);
    expect(fired).toBe(1);
  });
});
