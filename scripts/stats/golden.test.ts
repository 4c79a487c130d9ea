// Holds stats/ to numbers made with scipy: every key of fixtures/golden.json, within 1e-9.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { percentileFloor } from "../experiment/percentile-floor.ts";
import { quantileRanks, studentQuantile } from "./distributions.ts";
import { stream, trial } from "./fixtures/trials.ts";
import {
  type Interval,
  logTInterval,
  type MeanInterval,
  neededRounds,
  percentileHull,
  predictionInterval,
  tInterval,
} from "./intervals.ts";
import { estimatePoint } from "./point-estimates.ts";
import { quantile7, sortAscending } from "./quantiles.ts";
import {
  isEquivalent,
  pairedRatio,
  type RatioResult,
  ratioToArchived,
  welchRatio,
} from "./ratios.ts";
import type { Estimate } from "./samples.ts";

const golden: Readonly<Record<string, number>> = JSON.parse(
  readFileSync(new URL("fixtures/golden.json", import.meta.url), "utf8"),
) as Record<string, number>;

const A = [2.41, 2.47, 2.44];
const B = [3.31, 3.18, 3.26, 3.22, 3.29];
const C = [150, 152, 148, 155, 151];
const D = [0.612, 0.598, 0.633, 0.604, 0.59, 0.621, 0.615, 0.607, 0.66, 0.601];
const rerun = [2.43, 2.46, 2.4, 2.45, 2.42];
const starts = [
  [2.41, 2.43],
  [2.47, 2.46],
  [2.44, 2.4],
];
const tenNumbers = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3];
const rounds = [0, 1, 2].map((k) =>
  Array.from(
    { length: 20 },
    (_, i) => 100 + 5 * k + ((37 * i + 11 * k) % 20) * (i % 7 === 0 ? 9 : 2),
  ),
);

type Numbers = Readonly<Record<string, number | undefined>>;

function meanParts(interval: MeanInterval | undefined): Numbers {
  if (interval === undefined) return {};
  const { count, mean, sd, half, low, high } = interval;
  return { R: count, mean, sd, half, lo: low, hi: high };
}

function ends(interval: Interval | undefined): Numbers {
  return { lo: interval?.low, hi: interval?.high };
}

function ratioParts(result: RatioResult): Numbers {
  if (result.kind !== "ratio") return { ratio: result.ratio };
  return { ratio: result.ratio, lo: result.low, hi: result.high, df: result.df, p: result.p };
}

function ninety(result: RatioResult): Interval {
  if (result.kind !== "ratio") throw new Error("expected a tested ratio");
  return result;
}

/** The parts of a percentile's interval, each by the function that makes it. */
function hullParts(p: number): Numbers {
  const ofRounds = rounds.map((samples) => quantile7(sortAscending(samples), p));
  const t = tInterval(ofRounds.filter((value) => value !== undefined));
  const ranks = quantileRanks(60, p);
  return {
    mean: t?.mean,
    tLo: t?.low,
    tHi: t?.high,
    l: ranks.low,
    u: ranks.high,
    ...ends(t && percentileHull(t, sortAscending(rounds.flat()), p)),
  };
}

/** The estimate of these TTFTs, by start and repeat, one request each or more. */
function estimated(key: string, ttftsMs: readonly (readonly (readonly number[])[])[]): Estimate {
  const trials = ttftsMs.flatMap((repeats, start) =>
    repeats.map((ttfts, repeat) =>
      trial(
        ttfts.map((ttftMs, i) => stream(1000 * i, { ttftMs })),
        { round: start + 1, repeat: repeat + 1 },
      ),
    ),
  );
  const { estimates } = estimatePoint(trials, {
    percentiles: [50, 90, 99],
    slo: [],
    oneProcess: false,
    freshPrompts: true,
  });
  const found = estimates.get(key);
  if (found === undefined) throw new Error(`no estimate ${key}`);
  return found;
}

const startsEstimate = estimated(
  "ttft.mean",
  starts.map((repeats) => repeats.map((value) => [value])),
);
const percentileEstimate = (p: number): Estimate =>
  estimated(
    `ttft.p${p}`,
    rounds.map((samples) => [samples]),
  );
const geometric = (values: ReturnType<typeof logTInterval>): Numbers => ({
  R: values?.count,
  gmean: values?.value,
  ...ends(values),
});

/** What each named group of the fixture is made of. */
const groups: Readonly<Record<string, Numbers>> = {
  A95: meanParts(tInterval(A)),
  C95: meanParts(tInterval(C)),
  D95: meanParts(tInterval(D)),
  "D97.5": meanParts(tInterval(D, 0.975)),
  Dlog: geometric(logTInterval(D)),
  Cpred: ends(predictionInterval(C)),
  "B/A": ratioParts(welchRatio(B, A)),
  "B/A90": ratioParts(welchRatio(B, A, 0.9)),
  "rerun/A90": ratioParts(welchRatio(rerun, A, 0.9)),
  archive: ratioParts(ratioToArchived(rerun, 2.39)),
  archive90: ratioParts(ratioToArchived(rerun, 2.39, 0.9)),
  paired: geometric(pairedRatio([3.31, 3.18, 3.26], A)),
  proc: {
    R: startsEstimate.starts,
    mean: startsEstimate.value,
    sd: (startsEstimate.cv ?? 0) * (startsEstimate.value ?? 0),
    half: startsEstimate.halfWidth,
    lo: startsEstimate.low,
    hi: startsEstimate.high,
  },
  pct90: hullParts(0.9),
  pct50: hullParts(0.5),
};

const flags: Readonly<Record<string, number>> = {
  "rerun/A equivalent 3%": Number(isEquivalent(ninety(welchRatio(rerun, A, 0.9)), 0.03)),
  "rerun/A equivalent 2%": Number(isEquivalent(ninety(welchRatio(rerun, A, 0.9)), 0.02)),
  "pct99 printed": Number(hullParts(0.99)["lo"] !== undefined),
};

function ours(key: string): number | undefined {
  const call = /^(t|ranks|q7|need)\(([\d.]+)(?:,([\d.]+))?\)(?:\.([lu]))?$/.exec(key);
  if (call !== null) {
    const [first, second] = [Number(call[2]), Number(call[3])];
    if (call[1] === "t") return studentQuantile(first, second);
    if (call[1] === "need") return neededRounds(first, second);
    if (call[1] === "q7") return quantile7(sortAscending(tenNumbers), first);
    return quantileRanks(first, second)[call[4] === "l" ? "low" : "high"];
  }
  const dot = key.lastIndexOf(".");
  return flags[key] ?? groups[key.slice(0, dot)]?.[key.slice(dot + 1)];
}

describe("numbers made with scipy", () => {
  it("is a fixture that was read", () => {
    expect(Object.keys(golden).length).toBe(158);
  });

  it.each(Object.entries(golden))("%s", (key, expected) => {
    const value = ours(key);
    expect(value).toBeDefined();
    // Relative, so that a p-value of 4e-7 is held as tightly as a mean.
    const error = Math.abs((value ?? Number.POSITIVE_INFINITY) - expected);
    expect(error).toBeLessThanOrEqual(1e-9 * Math.abs(expected));
  });

  it("agrees with the printed floors of the percentiles", () => {
    expect([50, 90, 95, 99].map(percentileFloor)).toEqual([6, 36, 72, 368]);
  });

  it.each([50, 90])("has the percentiles of the estimate of those rounds: p%i", (p) => {
    const { value, low, high, method } = percentileEstimate(p);
    expect(method).toBe("t_hull");
    for (const [part, number] of Object.entries({ mean: value, lo: low, hi: high })) {
      expect(number).toBeCloseTo(golden[`pct${p}.${part}`] ?? Number.NaN, 9);
    }
  });

  it("has no p99 of the estimate of those rounds", () => {
    expect(percentileEstimate(99)).toMatchObject({
      value: undefined,
      absence: { kind: "rank_out_of_sample", have: 60, need: 368 },
    });
  });

  it("takes the mean of the starts, not of all repeats, when starts have unequal repeats", () => {
    // Starts [100, 104] and [106]: means 102 and 106, so 104; all three together would give 103.3.
    expect(estimated("ttft.mean", [[[100], [104]], [[106]]]).value).toBe(104);
  });
});
