import { describe, expect, it } from "vitest";
import { tInterval } from "../stats/intervals.ts";
import { coverageCell, coverageRounds, simulateStart } from "./coverage-cells.ts";
import { comparisonStudies, countComparisons } from "./coverage-comparisons.ts";
import {
  coverageAt,
  coverageOfOneRun,
  evaluateExperiment,
  type ToldInterval,
  type ToldMetric,
  targetOf,
} from "./coverage-intervals.ts";
import { type Job, runJobs } from "./coverage-jobs.ts";
import { errorOf, verdictOf } from "./coverage-rates.ts";
import { countStopping, stoppingStudies } from "./coverage-stopping.ts";
import { describeCoverage, judge } from "./coverage-table.ts";

const interval = (low: number, high: number, geometric = false): ToldInterval => ({
  low,
  high,
  geometric,
});

function told(printed: ToldInterval, naive?: ToldInterval): ToldMetric {
  return {
    starts: [9, 11],
    printed: [printed, printed, printed],
    naive: [naive, naive, naive],
    oneRun: { naive, bootstrap: naive },
  };
}

describe("counting coverage", () => {
  it("takes the mean over starts as the target, and the geometric mean of a geometric interval", () => {
    // Mean of 4, 4, 16: 8; geometric mean: the cube root of 256, 6.35. sd sqrt 48, error sqrt 48 / sqrt 3 = 4.
    const target = targetOf([4, 4, 16]);
    expect(target.mean).toBe(8);
    expect(target.geometricMean).toBeCloseTo(256 ** (1 / 3), 12);
    expect(target.error).toBeCloseTo(4, 12);
    const experiments = [
      told(interval(7, 9)),
      told(interval(6, 7)),
      told(interval(6, 7, true)),
      told(interval(7, 9, true)),
      told(undefined),
    ];
    const counted = coverageAt("qps", 0, experiments, target);
    // Held by the first and the third; the last prints none.
    expect(counted.covered).toEqual({ hits: 2, of: 4 });
    expect(counted.withoutInterval).toBe(1);
    expect(counted.geometric).toBe(2);
    // Half-widths 1, 0.5, 0.5 and 1: their mean over the target of 8.
    expect(counted.halfWidth).toBeCloseTo(0.75 / 8, 12);
    expect(counted.naive).toBeUndefined();
  });

  it("counts an interval that ends at the target as holding it", () => {
    const target = targetOf([9, 11]);
    const experiments = [told(interval(10, 12), interval(8, 10)), told(interval(11, 12))];
    expect(coverageAt("ttft.mean", 1, experiments, target).covered).toEqual({ hits: 1, of: 2 });
    expect(coverageAt("ttft.mean", 1, experiments, target).naive).toEqual({ hits: 1, of: 1 });
    expect(coverageOfOneRun(experiments, target)?.bootstrap).toEqual({ hits: 1, of: 1 });
  });

  it("says missed on either side of an aim, and of a promise only beyond two standard errors", () => {
    const aim = { least: 0.93, most: 0.97 };
    expect(verdictOf({ hits: 1900, of: 2000 }, aim)).toBe("within");
    expect(verdictOf({ hits: 1859, of: 2000 }, aim)).toBe("missed");
    expect(verdictOf({ hits: 1941, of: 2000 }, aim)).toBe("missed");
    expect(verdictOf({ hits: 0, of: 0 }, aim)).toBeUndefined();
    // sqrt(.06 x .94 / 1000) = 0.0075: 6 % of 1,000 may be 5 % by chance; sqrt(.07 x .93 / 1000) = 0.0081.
    const promise = { most: 0.05, isPromise: true };
    expect(errorOf({ hits: 60, of: 1000 })).toBeCloseTo(0.0075, 4);
    expect(verdictOf({ hits: 60, of: 1000 }, promise)).toBe("within");
    expect(verdictOf({ hits: 70, of: 1000 }, promise)).toBe("missed");
  });

  it("lists what lockstep misses as a known limit, and the same of other cells as missed", () => {
    const target = targetOf([9, 11]);
    const metrics = [
      {
        metric: "qps",
        target,
        coverage: [coverageAt("qps", 0, [told(interval(1, 2))], target)],
        oneRun: undefined,
        longRun: { value: 8, error: 0 },
      },
    ];
    const cells = [false, true].map((isLockstep) => ({
      ...{ cell: isLockstep ? "lockstep" : "apart", isLockstep, metrics },
    }));
    const results = { cells, stopping: [], comparisons: [] };
    expect(judge(results).map(({ verdict }) => verdict)).toEqual(["missed", "known limit"]);
    // 10 is told where 8 is true in the long run.
    expect(describeCoverage(results)).toMatch(/apart +qps +0\.0 ± 0\.0 +93-97 +missed.* 25\.0 ± /);
  });
});

describe("a simulated experiment", () => {
  const cell = coverageCell("c8, fixed");

  it("prints at R rounds the t interval of the first R starts", async () => {
    const rounds = coverageRounds.at(-1) ?? 0;
    const trials = await Promise.all(
      Array.from({ length: rounds }, (_, start) => simulateStart(cell, "test", start)),
    );
    for (const { requests } of trials) {
      const measured = requests.filter(({ phase }) => phase === "measured");
      expect(measured).toHaveLength(123);
      // Every token of every answer is stamped, in order.
      for (const { chunksAtMs, outputTokens } of measured) {
        expect(chunksAtMs).toHaveLength(outputTokens ?? 0);
        expect([...chunksAtMs]).toEqual([...chunksAtMs].sort((a, b) => a - b));
      }
    }
    const experiment = evaluateExperiment(trials, () => 0.5);
    for (const metric of ["ttft.mean", "qps"]) {
      const { starts = [], printed = [] } = experiment.get(metric) ?? {};
      expect(starts).toHaveLength(rounds);
      expect(printed).toEqual(
        coverageRounds.map((count) => {
          const { low, high } = tInterval(starts.slice(0, count)) ?? {};
          return { low, high, geometric: false };
        }),
      );
    }
    const hull = experiment.get("ttft.p90")?.printed[0];
    const inner = tInterval(experiment.get("ttft.p90")?.starts.slice(0, 3) ?? []);
    expect(hull?.low).toBeLessThanOrEqual(inner?.low ?? 0);
    expect(hull?.high).toBeGreaterThanOrEqual(inner?.high ?? Number.POSITIVE_INFINITY);
  });

  it("gives the same whatever pieces it is cut into", async () => {
    const part = (from: number, to: number): Job => ({
      ...{ kind: "intervals", cell: cell.name, seed: "test", from, to },
    });
    const experimentsOf = async (jobs: readonly Job[]) =>
      (await runJobs(jobs, 0, () => undefined)).flatMap((result) =>
        result.kind === "intervals" ? result.experiments : [],
      );
    const whole = await experimentsOf([part(0, 2)]);
    expect(whole).toHaveLength(2);
    expect(whole[0]).not.toEqual(whole[1]);
    expect(await experimentsOf([part(1, 2)])).toEqual(whole.slice(1));
  });
});

describe("counting outcomes", () => {
  const studies = comparisonStudies(undefined);
  const studyNamed = (name: string) => {
    const study = studies.find((one) => one.name === name);
    if (study === undefined) throw new Error(`no study ${name}`);
    return study;
  };

  it("knows each study by a name of its own", () => {
    expect(new Set(studies.map(({ name }) => name)).size).toBe(studies.length);
  });

  it("finds a large difference always, and equal sides equivalent, where rounds hardly vary", () => {
    const calm = { kind: "lognormal", cells: 1, cv: 1e-6 } as const;
    const apart = { ...studyNamed("power to find 10 %, CV 2 %, R = 3, alone"), population: calm };
    const found = countComparisons(apart, "test", 0, 20);
    expect(found.significant).toEqual({ hits: 20, of: 20 });
    expect(found.equivalent.hits + found.inconclusive.hits).toBe(0);
    expect(found.runDiffers.hits).toBe(20);
    const equal = { ...studyNamed("power to find equal, CV 2 %, R = 3"), population: calm };
    expect(countComparisons(equal, "test", 0, 20).equivalent.hits).toBe(20);
  });

  it("counts the same in one piece and in several", () => {
    const study = studyNamed("at the margin's upper edge, CV 2 %, R = 3, Welch");
    const whole = countComparisons(study, "test", 0, 60);
    const parts = [countComparisons(study, "test", 0, 25), countComparisons(study, "test", 25, 60)];
    const [first, second] = parts.map(({ significant }) => significant.hits);
    expect((first ?? 0) + (second ?? 0)).toBe(whole.significant.hits);
    // At the edge the sides are 5 % apart: a claim of equivalence is false.
    expect(whole.falselyEquivalent).toEqual(whole.equivalent);
  });

  it("stops at the least rounds without spread, and at the most with too much of it", () => {
    const [study] = stoppingStudies(undefined, () => targetOf([1, 1]));
    if (study === undefined) throw new Error("no study");
    const withCv = (cv: number) =>
      countStopping({ ...study, population: { kind: "normal", cells: 1, cv } }, "test", 0, 10);
    const calm = withCv(1e-6);
    expect(calm.rounds).toBe(10 * 4);
    expect(calm.reached).toEqual({ hits: 10, of: 10 });
    expect(calm.covered.get("output_tps")?.of).toBe(10);
    const wild = withCv(0.15);
    expect(wild.rounds).toBe(10 * 12);
    expect(wild.reached.hits).toBe(0);
  });
});
