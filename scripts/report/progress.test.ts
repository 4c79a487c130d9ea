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

  it("is zero when nothing is left", () => {
    const clock = estimateTimeLeft([step("a/c1", 1)], () => 0);
    clock.began(step("a/c1", 1));
    clock.ended(step("a/c1", 1));
    expect(clock.left()).toBe(0);
  });
});
