import { describe, expect, it } from "vitest";
import { seededRandom } from "../experiment/random.ts";
import type { gatingMetrics } from "../stats/stopping.ts";
import { findingsOf, outcomesOf, passes, whyNot } from "./fixtures/ask-rule.ts";
import {
  attempt,
  healthy,
  pointName,
  samplesOf,
  snapshot,
  stored,
  withSamples,
} from "./fixtures/run.ts";
import type { AuditInput, MeasuredPoint } from "./rule.ts";

const [plain] = healthy.measured;
if (plain === undefined) throw new Error("the healthy run has a point");

/** Values of each gating metric over the rounds; a metric that is left out has none. */
type Figures = Readonly<Partial<Record<(typeof gatingMetrics)[number], readonly number[]>>>;

function pointWith(name: string, figures: Figures): MeasuredPoint {
  const { estimates } = plain ?? {};
  if (estimates === undefined) throw new Error("no estimates");
  const rows = Object.entries(figures).flatMap(([metric, values]) => {
    const estimate = estimates.estimates.get(metric);
    const perRound = values.map((value, index) => ({ round: index + 1, value }));
    return estimate === undefined ? [] : [[metric, { ...estimate, perRound }] as const];
  });
  return { estimates: { ...estimates, point: name, estimates: new Map(rows) }, samples: [] };
}

/** A run of these points, each with its figures over the rounds. */
function run(points: Readonly<Record<string, Figures>>): AuditInput {
  return {
    ...healthy,
    measured: Object.entries(points).map(([name, figures]) => pointWith(name, figures)),
  };
}

const steady = [100, 101, 99, 100.5, 99.5, 100.2, 99.8, 100.4];
const rising = [100, 101, 103, 104, 106, 107, 109, 110];

describe("S7, a trend over the rounds", () => {
  it("is not checked where even a perfect order would say nothing", () => {
    expect(whyNot("S7", healthy)).toEqual([
      "3 rounds: even values in perfect order have p = 0.333, so no trend could be told",
    ]);
    // 2 / 4! = 0.083
    expect(whyNot("S7", run({ "fp32/c10": { "ttft.mean": rising.slice(0, 4) } }))[0]).toContain(
      "4 rounds: even values in perfect order have p = 0.083",
    );
    expect(whyNot("S7", { ...healthy, measured: [] })).toEqual(["no point was measured"]);
  });

  it("passes rounds without order", () => {
    expect(passes("S7", run({ "fp32/c10": { "ttft.mean": steady, output_tps: steady } }))).toBe(
      true,
    );
  });

  it("warns of a figure that rises, with its size, its interval and its p", () => {
    // 28 pairs of 28 rise: p = 2 / 8!, times two series of Holm's family.
    const input = run({ "fp32/c10": { "ttft.mean": rising, output_tps: steady } });
    const [finding, ...others] = findingsOf("S7", input);
    expect(others).toEqual([]);
    expect(finding).toMatchObject({
      severity: "warn",
      where: pointName,
      evidence: { metrics: "ttft.mean", rounds: 8, series: 2, tau: 1 },
    });
    expect(finding?.evidence["adjustedP"]).toBeCloseTo(4 / 40_320, 9);
    expect(finding?.seen.en).toMatch(
      /^over 8 rounds: mean TTFT rises by 10\.\d % \(95 % interval \+9\.\d % to \+11\.\d %, unadjusted\), tau 1\.00, p < 0\.001 \(exact Kendall test, Holm over 2 series\)$/,
    );
    expect(finding?.seen.zh).toMatch(/^8 轮内：平均 TTFT上升 10\.\d%|^8 轮内：平均 TTFT 上升/);
  });

  it("leaves alone a sure change that is smaller than 1 %", () => {
    const small = rising.map((value) => 1000 + value / 2);
    expect(passes("S7", run({ "fp32/c10": { "ttft.mean": small } }))).toBe(true);
  });

  it("says once what all points show, and names those that show it alone", () => {
    const input = run({
      "fp32/c10": { "ttft.mean": rising },
      "fp32/c20": { "ttft.mean": rising.map((value, index) => value + (index % 2 === 0 ? 0 : 1)) },
      "fp32/c30": { "ttft.mean": [101, 100, 102, 104, 103, 106, 105, 107] },
    });
    const findings = findingsOf("S7", input);
    expect(findings.map(({ where }) => where)).toEqual(["run"]);
    expect(findings[0]?.seen.en).toContain("3 points together, over 8 rounds: mean TTFT rises by");
    expect(findings[0]?.seen.en).toContain("By themselves too: fp32/c10, fp32/c20");
  });

  it("looks at variants one by one where their rounds lie apart in time", () => {
    const both = run({ a: { "ttft.mean": rising }, b: { "ttft.mean": rising } });
    const grouped: AuditInput = {
      ...both,
      experiment: {
        ...both.experiment,
        measure: { ...both.experiment.measure, order: "grouped" },
      },
      measured: both.measured.map((point) => ({
        ...point,
        estimates: { ...point.estimates, variant: `variant ${point.estimates.point}` },
      })),
    };
    expect(findingsOf("S7", grouped).map(({ where }) => where)).toEqual(["a", "b"]);
  });

  it("names what of the machine went the same way, and not as a cause", () => {
    const eight = rising.map((_, index) => index + 1);
    const input: AuditInput = {
      ...run({ "fp32/c10": { "ttft.mean": rising, "tpot.mean": steady } }),
      attempts: eight.map((round) => attempt(round)),
      snapshots: eight.flatMap((round) => [
        stored(
          "trial-before",
          snapshot("2026-03-01T10:00:00.000+08:00", {
            "host.load_1m": round / 10,
            // 101 to 103 is the largest step of `rising`.
            "host.thp": round < 3 ? "madvise" : "always",
          }),
          { trial: `t${round}` },
        ),
      ]),
    };
    const [finding] = findingsOf("S7", input);
    expect(finding?.seen.en).toContain(
      "Goes with it, which does not make it the cause: host load before the trials (tau +1.00), a change of host.thp (after fp32/c10 of round 2 began, before fp32/c10 of round 3)",
    );
  });
});

describe("S9, a round unlike the others", () => {
  const burst = steady.map((value, index) => (index === 4 ? value * 1.4 : value));

  it("is not checked below five rounds, and passes rounds that are alike", () => {
    expect(whyNot("S9", healthy)).toEqual(["3 rounds: 5 are needed to tell one from the others"]);
    expect(passes("S9", run({ "fp32/c10": { "ttft.mean": steady } }))).toBe(true);
  });

  it("labels the round with its distance, and keeps it", () => {
    const input = run({ "fp32/c10": { "ttft.mean": burst, "ttft.p90": burst } });
    const [finding, ...others] = findingsOf("S9", input);
    expect(others).toEqual([]);
    expect(finding).toMatchObject({
      severity: "warn",
      where: pointName,
      evidence: { round: 5, metrics: "ttft.mean ttft.p90" },
    });
    // 99.5 x 1.4 = 139.3 against a median of 100.2.
    expect(finding?.seen.en).toContain(
      "round 5 is unlike the others: mean TTFT is 39.0 % above the median of the others",
    );
    expect(finding?.mend.en).toContain("was not removed");
    expect(input.measured[0]?.estimates.estimates.get("ttft.mean")?.perRound).toHaveLength(8);
  });
});

describe("S8, a trend within the trials", () => {
  /** The window's requests get slower by this share from the first to the last. */
  const drifting = (rounds: readonly number[], share: number): AuditInput =>
    withSamples(
      rounds.map((round) =>
        samplesOf(round, (one) => {
          const late = (share * 200 * (one.index - 20)) / 139;
          const jitter = ((one.index * 37 + round * 11) % 5) - 2;
          return one.firstAtMs === undefined
            ? one
            : { ...one, firstAtMs: one.firstAtMs + late + jitter };
        }),
      ),
    );

  it("passes latencies without order", () => {
    expect(passes("S8", drifting([1, 2, 3], 0))).toBe(true);
  });

  it("warns of TTFT that rises in every round, one value per round", () => {
    const [finding] = findingsOf("S8", drifting([1, 2, 3], 0.2));
    expect(finding).toMatchObject({
      severity: "warn",
      where: pointName,
      evidence: { metrics: "ttft", rounds: 3, sameSign: 3 },
    });
    expect(finding?.seen.en).toMatch(
      /^mean TTFT rises by 1[78]\.\d % over the window \(3 rounds, 95 % interval .* unadjusted\), 3 with the same sign, p = 0\.\d+ \(Holm over 2\)|p < 0\.001/,
    );
  });

  it("leaves alone what is below 5 %", () => {
    expect(passes("S8", drifting([1, 2, 3], 0.03))).toBe(true);
  });

  it("says of one round that its blocks are all there is", () => {
    const [finding] = findingsOf("S8", drifting([1], 0.2));
    expect(finding?.seen.en).toContain(
      "one trial, so p is that of its ten block means, taken as independent",
    );
  });

  it("is not checked where the load changes by plan, or requests are few", () => {
    const [point] = healthy.plan.points;
    if (point === undefined) throw new Error("the healthy run has a point");
    const ramp = {
      kind: "ramp",
      name: "ramp",
      fromPerS: 1,
      toPerS: 2,
      durationMs: 1000,
      arrivals: { kind: "poisson" },
    } as const;
    const ramped = {
      ...healthy,
      plan: { ...healthy.plan, points: [{ ...point, load: ramp }] },
    };
    expect(whyNot("S8", ramped)).toEqual(["its load changes over time by plan"]);
    const few = withSamples(
      [1, 2, 3].map((round) => {
        const samples = samplesOf(round);
        return { ...samples, requests: samples.requests.filter(({ index }) => index < 40) };
      }),
    );
    expect(whyNot("S8", few)[0]).toContain("fewer than 30 requests a trial");
  });
});

describe("how often the rules are wrong, and how often they find what is there", () => {
  const runs = 60;
  const rounds = 8;
  const cv = 0.02;

  /** Six points; what a round draws is shared by its points in part, as on a real machine. */
  function simulated(random: () => number, drift: number): AuditInput {
    const shared = Array.from({ length: rounds }, () => cv * 0.7 * normal(random));
    const points = [1, 2, 3, 4, 5, 6].map((load) => {
      const own = (): readonly number[] =>
        shared.map((common, round) =>
          Math.exp(common + cv * 0.7 * normal(random) + (drift * round) / (rounds - 1)),
        );
      return [
        `fp32/c${load}`,
        { output_tps: own(), "ttft.mean": own(), "tpot.mean": own() },
      ] as const;
    });
    return run(Object.fromEntries(points));
  }

  function flaggedShare(rule: string, drift: number): number {
    const random = seededRandom(`trend ${drift}`);
    let flagged = 0;
    for (let one = 0; one < runs; one += 1) {
      const outcomes = outcomesOf(rule, simulated(random, drift));
      if (outcomes.some(({ kind }) => kind === "found")) flagged += 1;
    }
    return flagged / runs;
  }

  it("calls at most about one run in twenty drifting that is not", () => {
    expect(flaggedShare("S7", 0)).toBeLessThanOrEqual(0.05);
    expect(flaggedShare("S9", 0)).toBeLessThanOrEqual(0.05);
  });

  it("finds a drift of 10 % over eight rounds at a CV of 2 % mostly", () => {
    expect(flaggedShare("S7", Math.log(1.1))).toBeGreaterThan(0.8);
  });
});

/** Box and Muller: mean 0, sd 1. */
function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
