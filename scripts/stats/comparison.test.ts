import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type ComparedCell,
  compareCells,
  defaultMargin,
  holm,
  roundsForEquivalence,
} from "./comparison.ts";

function sides(a: readonly number[], b: readonly number[], metric = "ttft.mean"): ComparedCell {
  const rounds = (values: readonly number[]) =>
    values.map((value, index) => ({ round: index + 1, value }));
  return { point: "fp8/c8", metric, a: rounds(a), b: rounds(b) };
}

const welch = { paired: false };

describe("holm", () => {
  it("multiplies the smallest p by the number of tests, and never falls", () => {
    // By hand: 0.01 x 3 = 0.03, 0.03 x 2 = 0.06, 0.04 x 1 = 0.04, held at 0.06.
    const adjusted = holm([0.01, 0.04, 0.03]);
    for (const [index, expected] of [0.03, 0.06, 0.06].entries())
      expect(adjusted[index]).toBeCloseTo(expected, 12);
  });

  it("counts no cell that was not tested, and stops at 1", () => {
    expect(holm([undefined, 0.2, undefined])).toEqual([undefined, 0.2, undefined]);
    expect(holm([0.7, 0.8])).toEqual([1, 1]);
  });

  it("keeps the order of the p-values, and never makes one smaller", () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 1, noNaN: true })), (ps) => {
        const adjusted = holm(ps);
        for (const [i, p] of ps.entries()) {
          expect(adjusted[i]).toBeGreaterThanOrEqual(Math.min(1, p));
          for (const [j, other] of ps.entries())
            if (p < other) expect(adjusted[i]).toBeLessThanOrEqual(adjusted[j] ?? 0);
        }
      }),
    );
  });
});

describe("compareCells", () => {
  it("gives the golden Welch ratio of two samples", () => {
    // golden.json, B/A: R's t.test of the logs.
    const cell = sides([3.31, 3.18, 3.26, 3.22, 3.29], [2.41, 2.47, 2.44]);
    const [compared] = compareCells([cell], welch).cells;
    expect(compared?.ratio).toBeCloseTo(1.3327139877717673, 9);
    expect(compared?.low).toBeCloseTo(1.29914769900489, 9);
    expect(compared).toMatchObject({ outcome: "differs", method: "Welch t of logs" });
  });

  it("calls what differs less than the margin equivalent, and says that it differs", () => {
    const [compared] = compareCells(
      [sides([100, 100.1, 99.9, 100.05], [101, 101.1, 100.9, 101.05])],
      { ...welch, margin: 0.05 },
    ).cells;
    expect(compared).toMatchObject({ outcome: "equivalent", alsoDiffers: true });
  });

  it("pairs the rounds of one interleaved run: a drift that both sides share does not hide a difference", () => {
    const drifting = sides([102, 122, 142, 162, 182], [100, 119, 140, 158, 179]);
    const [unpaired] = compareCells([drifting], welch).cells;
    const [paired] = compareCells([drifting], { paired: true }).cells;
    expect(unpaired?.outcome).not.toBe("differs");
    expect(paired).toMatchObject({ method: "paired t of logs" });
    expect(paired?.p).toBeLessThan(0.01);
  });

  it("says what can't be tested, and why", () => {
    expect(compareCells([sides([100], [100, 101])], welch).cells[0]).toMatchObject({
      outcome: "not_testable",
      reason: "one_round",
      ratio: expect.closeTo(100 / Math.sqrt(100 * 101), 12) as number,
      low: undefined,
    });
    expect(compareCells([sides([5, 5], [5, 5])], welch).cells[0]).toMatchObject({
      outcome: "not_testable",
      reason: "no_spread",
    });
    expect(compareCells([sides([0, 5], [5, 5])], welch).cells[0]).toMatchObject({
      outcome: "not_testable",
      reason: "no_value",
      ratio: undefined,
    });
  });

  it("says how many rounds an inconclusive cell would need", () => {
    const [compared] = compareCells([sides([100, 106, 95], [101, 94, 107])], {
      ...welch,
      margin: 0.05,
    }).cells;
    expect(compared?.outcome).toBe("inconclusive");
    expect(compared?.roundsNeeded).toBeGreaterThan(3);
  });

  it("judges the whole by the gating metrics alone", () => {
    const equal = sides([100, 100.2, 99.9], [100.1, 99.8, 100.1], "output_tps");
    const far = sides([1, 1.01, 0.99], [9, 9.1, 8.9], "startup.mean");
    expect(compareCells([equal, far], welch).outcome).toBe("equivalent");
    expect(compareCells([equal, { ...far, metric: "tpot.mean" }], welch).outcome).toBe("differs");
    expect(compareCells([], welch).outcome).toBe("not_testable");
  });

  it("does not depend on the unit, and turns around with its sides", () => {
    const values = fc.array(fc.double({ min: 50, max: 200, noNaN: true }), {
      minLength: 2,
      maxLength: 8,
    });
    fc.assert(
      fc.property(
        values,
        values,
        fc.double({ min: 0.01, max: 100, noNaN: true }),
        (a, b, scale) => {
          const options = { ...welch, margin: 0.05 };
          const [plain] = compareCells([sides(a, b)], options).cells;
          const [scaled] = compareCells(
            [
              sides(
                a.map((v) => v * scale),
                b.map((v) => v * scale),
              ),
            ],
            options,
          ).cells;
          const [turned] = compareCells([sides(b, a)], options).cells;
          if (plain?.p === undefined || scaled?.p === undefined || turned?.p === undefined) return;
          expect(scaled.p).toBeCloseTo(plain.p, 6);
          expect(turned.p).toBeCloseTo(plain.p, 9);
          expect((turned.ratio ?? 0) * (plain.ratio ?? 0)).toBeCloseTo(1, 9);
        },
      ),
    );
  });
});

describe("the margin and the rounds", () => {
  it("is 5 %, or three times the largest spread of a gating metric, and 20 % at most", () => {
    expect(defaultMargin([sides([100, 101], [100, 101])])).toBe(0.05);
    // 97 and 103: mean 100, sd 4.243, so 3 x 4.243 %.
    expect(defaultMargin([sides([97, 103], [100, 101])])).toBeCloseTo(0.12728, 4);
    expect(defaultMargin([sides([90, 110], [100, 101])])).toBe(0.2);
    expect(defaultMargin([sides([90, 110], [100, 101], "startup.mean")])).toBe(0.05);
  });

  it("needs more rounds for noisier sides", () => {
    const needed = [0.01, 0.02, 0.03, 0.05].map((cv) => roundsForEquivalence(cv, 0.05) ?? 0);
    expect(needed).toEqual([...needed].sort((a, b) => a - b));
    expect(roundsForEquivalence(0, 0.05)).toBeUndefined();
  });
});
