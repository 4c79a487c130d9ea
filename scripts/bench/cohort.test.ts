import { describe, expect, it } from "vitest";
import { type Cohort, createCohort } from "./cohort.ts";

const count = (requests: number) => ({ kind: "count", requests }) as const;
const duration = (durationMs: number) => ({ kind: "duration", durationMs }) as const;
const sends = (cohort: Cohort, times: number, atMs = 0) =>
  Array.from({ length: times }, () => {
    const step = cohort.next(atMs);
    return step.kind === "send" ? step.phase : step.kind;
  });

describe("createCohort", () => {
  it("hands over from warm-up to measured to filler without a pause", () => {
    const cohort = createCohort({ window: "handover", warmupRequests: 2, measured: count(3) });
    expect(sends(cohort, 7)).toEqual([
      "warmup",
      "warmup",
      "measured",
      "measured",
      "measured",
      "filler",
      "filler",
    ]);
    expect(cohort.ended("warmup", 1)).toBe(false);
    expect(cohort.ended("filler", 1)).toBe(false);
    expect(cohort.ended("measured", 1)).toBe(false);
    expect(cohort.ended("measured", 1)).toBe(false);
    expect(sends(cohort, 1)).toEqual(["filler"]);
    expect(cohort.ended("measured", 1)).toBe(true);
    expect(sends(cohort, 1)).toEqual(["over"]);
  });

  it("measures what is dispatched within a duration, counted from the first measured dispatch", () => {
    const cohort = createCohort({ window: "handover", warmupRequests: 1, measured: duration(100) });
    expect(sends(cohort, 1, 0)).toEqual(["warmup"]);
    expect(sends(cohort, 1, 1000)).toEqual(["measured"]);
    expect(sends(cohort, 1, 1099)).toEqual(["measured"]);
    expect(sends(cohort, 1, 1100)).toEqual(["filler"]);
    expect(cohort.ended("measured", 1101)).toBe(false);
    expect(cohort.ended("measured", 1200)).toBe(true);
  });

  it("goes on when all measured so far ended before the duration did", () => {
    const cohort = createCohort({ window: "handover", warmupRequests: 0, measured: duration(100) });
    expect(sends(cohort, 1, 0)).toEqual(["measured"]);
    expect(cohort.ended("measured", 50)).toBe(false);
    expect(sends(cohort, 1, 50)).toEqual(["measured"]);
    expect(cohort.ended("measured", 150)).toBe(true);
  });

  it("drains the warm-up before, and the measured after, a fixed window", () => {
    const cohort = createCohort({ window: "fixed", warmupRequests: 2, measured: count(2) });
    expect(cohort.total).toBe(4);
    expect(sends(cohort, 3)).toEqual(["warmup", "warmup", "wait"]);
    cohort.ended("warmup", 1);
    expect(sends(cohort, 1)).toEqual(["wait"]);
    cohort.ended("warmup", 2);
    expect(sends(cohort, 3)).toEqual(["measured", "measured", "wait"]);
    expect(cohort.ended("measured", 3)).toBe(false);
    expect(cohort.ended("measured", 3)).toBe(true);
  });
});
