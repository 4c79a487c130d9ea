import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Cohort, type CohortOptions, createCohort } from "./cohort.ts";
import { createTally, newTrialMemory } from "./tally.ts";

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
    expect(cohort.ended("warmup", 1)).toBe("goes on");
    expect(cohort.ended("filler", 1)).toBe("goes on");
    expect(cohort.ended("measured", 1)).toBe("goes on");
    expect(cohort.ended("measured", 1)).toBe("goes on");
    expect(sends(cohort, 1)).toEqual(["filler"]);
    expect(cohort.ended("measured", 1)).toBe("over");
    expect(sends(cohort, 1)).toEqual(["over"]);
  });

  it("measures what is dispatched within a duration, counted from the first measured dispatch", () => {
    const cohort = createCohort({ window: "handover", warmupRequests: 1, measured: duration(100) });
    expect(sends(cohort, 1, 0)).toEqual(["warmup"]);
    expect(sends(cohort, 1, 1000)).toEqual(["measured"]);
    expect(sends(cohort, 1, 1099)).toEqual(["measured"]);
    expect(sends(cohort, 1, 1100)).toEqual(["filler"]);
    expect(cohort.ended("measured", 1101)).toBe("goes on");
    expect(cohort.ended("measured", 1200)).toBe("over");
  });

  it("goes on when all measured so far ended before the duration did", () => {
    const cohort = createCohort({ window: "handover", warmupRequests: 0, measured: duration(100) });
    expect(sends(cohort, 1, 0)).toEqual(["measured"]);
    expect(cohort.ended("measured", 50)).toBe("goes on");
    expect(sends(cohort, 1, 50)).toEqual(["measured"]);
    expect(cohort.ended("measured", 150)).toBe("over");
  });

  it("never goes back to measured once a duration has ended, whatever time a later dispatch read", () => {
    const cohort = createCohort({ window: "handover", warmupRequests: 0, measured: duration(100) });
    expect(sends(cohort, 1, 0)).toEqual(["measured"]);
    expect(sends(cohort, 1, 100)).toEqual(["filler"]);
    expect(sends(cohort, 1, 99)).toEqual(["filler"]);
  });

  it("drains the warm-up before, and the measured after, a fixed window", () => {
    const cohort = createCohort({ window: "fixed", warmupRequests: 2, measured: count(2) });
    expect(sends(cohort, 3)).toEqual(["warmup", "warmup", "wait"]);
    expect(cohort.ended("warmup", 1)).toBe("goes on");
    expect(sends(cohort, 1)).toEqual(["wait"]);
    expect(cohort.ended("warmup", 2)).toBe("drained");
    expect(sends(cohort, 3)).toEqual(["measured", "measured", "wait"]);
    expect(cohort.ended("measured", 3)).toBe("goes on");
    expect(cohort.ended("measured", 3)).toBe("over");
  });

  it("has nothing more to send when the requests are used up", () => {
    const options = {
      window: "handover",
      warmupRequests: 1,
      measured: count(2),
      total: 4,
    } as const;
    expect(sends(createCohort(options), 5)).toEqual([
      "warmup",
      "measured",
      "measured",
      "filler",
      "none",
    ]);
  });
});

describe("cohorts that share a trial", () => {
  /** What each ticket got when the dispatches go to `threads` cohorts in the order of `turns`. */
  const phasesByTicket = (
    options: CohortOptions,
    threads: number,
    turns: readonly number[],
  ): readonly string[] => {
    const memory = newTrialMemory();
    const cohorts = Array.from({ length: threads }, () =>
      createCohort(options, createTally(memory)),
    );
    const phases: string[] = [];
    turns.forEach((turn, atMs) => {
      const step = cohorts[turn % threads]?.next(atMs);
      if (step?.kind === "send") phases[step.ticket] = step.phase;
    });
    return phases;
  };

  it("give the same phases to the same tickets as one alone, whoever takes which", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(2, 4),
        fc.constantFrom(count(5), count(17), duration(9), duration(20)),
        fc.nat(6),
        fc.array(fc.nat(3), { minLength: 30, maxLength: 60 }),
        (threads, measured, warmupRequests, turns) => {
          const options = { window: "handover", warmupRequests, measured } as const;
          const alone = phasesByTicket(options, 1, turns);
          expect(alone).toHaveLength(turns.length);
          expect(phasesByTicket(options, threads, turns)).toEqual(alone);
        },
      ),
    );
  });

  it("end together: the last measured request may end in any of them", () => {
    const memory = newTrialMemory();
    const options = { window: "handover", warmupRequests: 0, measured: count(2) } as const;
    const one = createCohort(options, createTally(memory));
    const other = createCohort(options, createTally(memory));
    expect([...sends(one, 1), ...sends(other, 2)]).toEqual(["measured", "measured", "filler"]);
    expect(one.ended("measured", 5)).toBe("goes on");
    expect(other.ended("measured", 6)).toBe("over");
    expect(sends(one, 1)).toEqual(["over"]);
    expect(one.measuredDone).toBe(2);
  });
});
