import { describe, expect, it } from "vitest";
import { estimateTimeLeft } from "./progress.ts";

const step = (point: string, round: number): { point: string; round: number; rounds: number } => ({
  point,
  round,
  rounds: 2,
});

describe("time left", () => {
  it("is not known before the first trial has ended", () => {
    const clock = estimateTimeLeft([step("a/c1", 1)], () => 0);
    expect(clock.left()).toBeUndefined();
  });

  it("takes a point's own last duration, the mean for a new one, and what passes between trials", () => {
    let nowMs = 0;
    const clock = estimateTimeLeft(
      [step("a/c1", 1), step("a/c4", 1), step("a/c1", 2), step("a/c4", 2)],
      () => nowMs,
    );
    nowMs = 100; // 100 ms for the engine's start
    clock.began(step("a/c1", 1));
    nowMs = 1100; // 1,000 ms in the trial
    clock.ended(step("a/c1", 1));
    // Left: c4 (mean 1,000), c1 (own 1,000), c4 (mean 1,000), each with 100 ms beside it.
    expect(clock.left()).toBe(3300);
  });

  it("counts rounds on demand as far as they are likely to go", () => {
    let nowMs = 0;
    const steps = [1, 2, 3, 4, 5, 6].map((round) => step("a/c1", round));
    const clock = estimateTimeLeft(steps, () => nowMs);
    const measure = (round: number): void => {
      clock.began(step("a/c1", round));
      nowMs += 1000;
      clock.ended(step("a/c1", round));
    };
    measure(1);
    measure(2);
    expect(clock.left()).toBe(4000);
    clock.expectRounds(4, ["a/c1"]);
    expect(clock.left()).toBe(2000);
    expect(clock.trials()).toEqual({ ended: 2, total: 4 });
    measure(3);
    clock.expectRounds(5, ["a/c1"]);
    expect(clock.trials()).toEqual({ ended: 3, total: 5 });
    clock.expectRounds(3, ["a/c1"]);
    expect(clock.left()).toBe(0);
    expect(clock.trials()).toEqual({ ended: 3, total: 3 });
  });

  it("is zero when nothing is left", () => {
    const clock = estimateTimeLeft([step("a/c1", 1)], () => 0);
    clock.began(step("a/c1", 1));
    clock.ended(step("a/c1", 1));
    expect(clock.left()).toBe(0);
  });
});
