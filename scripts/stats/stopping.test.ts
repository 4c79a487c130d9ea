import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { stream, trial } from "./fixtures/trials.ts";
import { neededRounds, onDemandLevel } from "./intervals.ts";
import { estimatePoint } from "./point-estimates.ts";
import { decideRounds, type GatingValues, type StoppingRule, widestOf } from "./stopping.ts";

const rule: StoppingRule = { target: 0.02, min: 4, max: 12 };

const cell = (
  values: readonly number[],
  metric: GatingValues["metric"] = "ttft.mean",
  point = "fp32/c4",
): GatingValues => ({ point, metric, values });

/** Mean 151.2, sd 2.5884; t(.9875, 4) = 3.49541: half-width 3.49541 x 2.5884 / sqrt 5 = 4.0462, 2.676 % of the mean. */
const C = [150, 152, 148, 155, 151];
/** Ten rounds whose half-width with t(.9875) is 0.017171245572436877 by scipy, 2.796 % of 0.6141. */
const D = [0.612, 0.598, 0.633, 0.604, 0.59, 0.621, 0.615, 0.607, 0.66, 0.601];

describe("rounds on demand", () => {
  it("end once the half-width with t(.9875) is at most the target", () => {
    const within = decideRounds({ ...rule, target: 0.027 }, 5, [cell(C)]);
    expect(within.outcome).toBe("reached");
    expect(within.spreads[0]?.share).toBeCloseTo(0.02676074668, 9);
    expect(decideRounds({ ...rule, target: 0.0267 }, 5, [cell(C)]).outcome).toBe("go-on");
    // t(.975) alone would have let 3.2140 / 151.2 = 2.13 % pass.
    expect(decideRounds({ ...rule, target: 0.022 }, 5, [cell(C)]).outcome).toBe("go-on");
  });

  it("decide by the interval that scipy gives", () => {
    const share = 0.017171245572436877 / 0.6141;
    expect(decideRounds({ ...rule, target: share + 1e-9 }, 10, [cell(D)]).outcome).toBe("reached");
    expect(decideRounds({ ...rule, target: share - 1e-9 }, 10, [cell(D)]).outcome).toBe("go-on");
  });

  it("go on until every metric of every point is within the target", () => {
    const quiet = [100, 100.1, 99.9, 100];
    const cells = [cell(quiet), cell(quiet, "output_tps"), cell([90, 100, 110, 100], "tpot.mean")];
    const decision = decideRounds(rule, 4, cells);
    expect(decision.outcome).toBe("go-on");
    expect(decision.spreads.map(({ reached }) => reached)).toEqual([true, true, false]);
    // sd sqrt(200 / 3) = 8.16497, t(.9875, 3) = 4.17653: 4.17653 x 8.16497 / 2 = 17.05 % of 100.
    expect(widestOf(decision.spreads)).toMatchObject({ metric: "tpot.mean", count: 4 });
    expect(widestOf(decision.spreads)?.share).toBeCloseTo(0.17050632, 7);
  });

  it("never end before the least, and never go on after the most", () => {
    const same = [5, 5, 5];
    expect(decideRounds(rule, 3, [cell(same)]).outcome).toBe("go-on");
    expect(decideRounds(rule, 4, [cell([...same, 5])]).outcome).toBe("reached");
    const wild = Array.from({ length: 12 }, (_, index) => 100 + 10 * (index % 2));
    expect(decideRounds(rule, 12, [cell(wild)])).toMatchObject({
      outcome: "max",
      likelyRounds: 12,
    });
  });

  it("take noisy rounds in logs, as the intervals do", () => {
    // ln of 50, 100, 200, 100 around ln 100: sd = sqrt(2 ln^2 2 / 3) = 0.565952;
    // exp(4.176535 x 0.565952 / 2) - 1 = 2.2604.
    const [spread] = decideRounds(rule, 4, [cell([50, 100, 200, 100])]).spreads;
    expect(spread).toMatchObject({ geometric: true, reached: false });
    expect(spread?.value).toBeCloseTo(100, 9);
    expect(spread?.share).toBeCloseTo(2.260432180738871, 9);
  });

  it("wait for values that failed rounds did not give", () => {
    expect(decideRounds(rule, 5, [cell([7, 7, 7])]).outcome).toBe("go-on");
    expect(decideRounds(rule, 5, [cell([7, 7, 7, 7])]).outcome).toBe("reached");
    expect(decideRounds(rule, 5, [cell([7])]).spreads[0]).toMatchObject({
      value: 7,
      share: undefined,
    });
    expect(decideRounds(rule, 5, [cell([])]).outcome).toBe("go-on");
    expect(decideRounds(rule, 5, []).outcome).toBe("go-on");
  });

  it("don't wait for a metric that a point does not have", () => {
    const decision = decideRounds(rule, 4, [cell([7, 7, 7, 7]), cell([], "tpot.mean")]);
    expect(decision.outcome).toBe("reached");
    expect(decision.spreads.map(({ metric }) => metric)).toEqual(["ttft.mean"]);
    const other = cell([], "ttft.mean", "fp32/c40");
    expect(decideRounds(rule, 4, [cell([7, 7, 7, 7]), other]).outcome).toBe("go-on");
  });

  it("say how many are likely needed, at most the most", () => {
    // cv 1.712 %: t(.9875, 6) / sqrt 7 = 1.122 <= 2 / 1.712 = 1.168 < t(.9875, 5) / sqrt 6 = 1.291
    expect(decideRounds(rule, 5, [cell(C)]).likelyRounds).toBe(7);
    // With a failed round, one more.
    expect(decideRounds(rule, 6, [cell(C)]).likelyRounds).toBe(8);
    expect(decideRounds({ ...rule, max: 6 }, 5, [cell(C)]).likelyRounds).toBe(6);
    expect(decideRounds(rule, 4, [cell([50, 100, 200, 100])]).likelyRounds).toBe(12);
    expect(decideRounds(rule, 1, [cell([150])]).likelyRounds).toBeUndefined();
    expect(decideRounds(rule, 2, [cell([5, 5])]).likelyRounds).toBe(4);
  });

  it("need as many rounds as the smallest R with t(.9875, R - 1) cv / sqrt R within the target", () => {
    // R = 8: 2.84124 / 2.82843 = 1.0045 > 1; R = 9: 2.75152 / 3 = 0.917.
    expect(neededRounds(0.02, 0.02, onDemandLevel)).toBe(9);
    // R = 4: 4.17653 / 2 x 0.01 = 0.0209 > 0.02; R = 5: 3.49541 / 2.23607 x 0.01 = 0.0156.
    expect(neededRounds(0.01, 0.02, onDemandLevel)).toBe(5);
  });

  it("decide the same in whatever unit, and in whatever order of rounds", () => {
    const values = fc.array(fc.double({ min: 50, max: 200, noNaN: true }), {
      minLength: 2,
      maxLength: 12,
    });
    fc.assert(
      fc.property(values, fc.constantFrom(0.25, 4, 1024), (drawn, scale) => {
        const asked = { ...rule, target: 0.3 };
        const decided = decideRounds(asked, drawn.length, [cell(drawn)]);
        const scaled = decideRounds(asked, drawn.length, [
          cell(drawn.map((value) => value * scale).toReversed()),
        ]);
        const share = decided.spreads[0]?.share ?? 0;
        // Rounding may tip what stands on the edge.
        fc.pre(Math.abs(share - asked.target) > 1e-9);
        expect(scaled.outcome).toBe(decided.outcome);
        expect((scaled.spreads[0]?.share ?? 0) - share).toBeLessThanOrEqual(1e-9 * (1 + share));
      }),
      { numRuns: 200 },
    );
  });
});

describe("the intervals of a run whose rounds were on demand", () => {
  const trials = C.map((ttftMs, index) => trial([stream(0, { ttftMs })], { round: index + 1 }));
  const options = { percentiles: [90], slo: [], oneProcess: false, freshPrompts: true };

  it("are those that the rule went by, given as 95 %", () => {
    const onDemand = {
      target: 0.03,
      min: 4,
      max: 12,
      ends: [{ variant: undefined, round: 5, outcome: "reached" as const, widest: undefined }],
    };
    const { estimates, facts } = estimatePoint(trials, { ...options, onDemand });
    const estimate = estimates.get("ttft.mean");
    expect(estimate?.halfWidth).toBeCloseTo(4.0462248984, 9);
    expect(estimate?.level).toBe(0.95);
    expect(facts.onDemand).toEqual(onDemand);
  });

  it("are wider than those of as many rounds fixed before", () => {
    const { estimates, facts } = estimatePoint(trials, options);
    // t(.975, 4) = 2.77645: 2.77645 x 2.5884 / sqrt 5
    expect(estimates.get("ttft.mean")?.halfWidth).toBeCloseTo(3.2139675707, 9);
    expect(facts.onDemand).toBeUndefined();
  });
});
