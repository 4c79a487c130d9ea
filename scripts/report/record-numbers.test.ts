import { describe, expect, it } from "vitest";
import type { Estimate } from "../stats/samples.ts";
import {
  decimalsOf,
  type NumberColumn,
  numberId,
  numberText,
  printCount,
  printEstimate,
} from "./record-numbers.ts";

function estimate(parts: Partial<Estimate>): Estimate {
  return {
    metric: "ttft.mean",
    value: undefined,
    low: undefined,
    high: undefined,
    level: 0.95,
    n: 60,
    starts: 3,
    rounds: 3,
    method: "t",
    cv: undefined,
    medianRound: undefined,
    geometric: false,
    perRound: [],
    absence: undefined,
    unit: "ms",
    ...parts,
  };
}

const ms = { zh: "ms", en: "ms" };
const column: NumberColumn = { key: "ttft.mean", unit: ms, scale: 1, decimals: 1 };

describe("the interval of the median round", () => {
  it("is printed from ten rounds on, in the decimals of its column, and absent below", () => {
    const ten = estimate({ value: 10.04, medianRound: { low: 9.12, high: 11.96 } });
    expect(printEstimate(ten, "fp32/c4", column).medianRound).toEqual({ low: "9.1", high: "12.0" });
    expect(printEstimate(estimate({ value: 10 }), "fp32/c4", column).medianRound).toBeUndefined();
  });
});

describe("decimalsOf", () => {
  const around = (value: number, half: number): Estimate =>
    estimate({ value, low: value - half, high: value + half });

  it("prints two significant digits of the typical half-width", () => {
    // Half-widths 0.04, 0.14, 0.38: the middle one, 0.14, has its second digit at the second decimal.
    expect(decimalsOf([around(31.04, 0.14), around(10.08, 0.38), around(9.68, 0.04)])).toBe(2);
    expect(decimalsOf([around(0.3721, 0.0011), around(0.4965, 0.0187)])).toBe(4);
    expect(decimalsOf([around(8754, 1248), around(7309, 531)])).toBe(0);
  });

  it("rounds before it counts digits: 0.0998 is 0.10", () => {
    expect(decimalsOf([around(5, 0.0998)])).toBe(2);
  });

  it("prints four significant digits where there is no interval, and whole numbers as such", () => {
    expect(decimalsOf([estimate({ value: 50.671 })])).toBe(2);
    expect(decimalsOf([estimate({ value: 18_417.99 })])).toBe(0);
    expect(decimalsOf([estimate({ value: 128 }), estimate({ value: 32 })])).toBe(0);
    expect(decimalsOf([])).toBe(0);
  });

  it("counts the decimals of what is printed, not of the ratio behind it", () => {
    // 0.4992 +- 0.0012 is 49.92 % +- 0.12 %.
    expect(decimalsOf([around(0.4992, 0.0012)], 100)).toBe(2);
  });
});

describe("printEstimate", () => {
  it("prints a symmetric interval as a half-width with the same decimals", () => {
    const printed = printEstimate(
      estimate({ value: 38.12, low: 37.31, high: 38.93, halfWidth: 0.81 }),
      "fp32/c4",
      column,
    );
    expect(printed).toMatchObject({
      id: "fp32-c4-ttft",
      source: "ttft.mean",
      text: "38.1",
      plusMinus: "0.8",
      interval: undefined,
      basis: { zh: "60 个请求，3 轮", en: "60 requests, 3 rounds" },
      exact: 38.12,
    });
  });

  it("prints an interval that is held at 0 by its ends, whatever made it", () => {
    const held = estimate({ value: 3, low: 0, high: 7.2, method: "t" });
    const printed = printEstimate(held, "a/c1", column);
    expect(printed.plusMinus).toBeUndefined();
    expect(numberText(printed)).toBe("3.0 [0.0, 7.2]");
  });

  it("prints an asymmetric interval by its ends", () => {
    const hull = estimate({ value: 1599, low: 1195, high: 2142, method: "t_hull" });
    const printed = printEstimate(hull, "fp8/c10", { ...column, key: "ttft.p90", decimals: 0 });
    expect(printed).toMatchObject({
      id: "fp8-c10-ttft-p90",
      text: "1,599",
      plusMinus: undefined,
      interval: { low: "1,195", high: "2,142" },
    });
  });

  it("never prints a half-width of zero for one that is above it", () => {
    const narrow = estimate({ value: 10, low: 9.999, high: 10.001, halfWidth: 0.001 });
    expect(printEstimate(narrow, "a/c1", { ...column, decimals: 2 }).plusMinus).toBe("<0.01");
  });

  it("says why there is no value, and keeps the place", () => {
    const short = estimate({ absence: { kind: "too_few_requests", have: 12, need: 36 } });
    const printed = printEstimate(short, "a/c1", column);
    expect(printed.text).toBeUndefined();
    expect(printed.remarks[0]?.en).toContain("have 12");
    expect(printEstimate(undefined, "a/c1", column).remarks[0]?.en).toBe("not computed");
  });

  it("leaves the missing interval of one round to the note under the table", () => {
    const one = estimate({ value: 5, rounds: 1, method: "none", absence: { kind: "one_round" } });
    expect(printEstimate(one, "a/c1", column)).toMatchObject({ text: "5.0", remarks: [] });
  });

  it("marks geometric means, two rounds and rounds without a value", () => {
    const noisy = estimate({
      value: 5,
      low: 3,
      high: 8,
      method: "log_t",
      geometric: true,
      rounds: 2,
      missingRounds: [{ round: 3, absence: { kind: "no_completed_request" } }],
    });
    expect(printEstimate(noisy, "a/c1", column).remarks.map(({ en }) => en.split(":")[0])).toEqual([
      "geometric mean",
      "two rounds only, so the interval is wide",
      "no value in round 3",
    ]);
  });
});

describe("counts and anchors", () => {
  it("prints a count without an interval, or the reason of its absence", () => {
    expect(printCount("a/c1", "requests_measured", 12_000, ms, ms).text).toBe("12,000");
    const absent = printCount("a/c1", "planned_input_tokens", undefined, ms, {
      zh: "无",
      en: "none",
    });
    expect(absent).toMatchObject({ text: undefined, remarks: [{ zh: "无", en: "none" }] });
  });

  it("makes one anchor of point and metric", () => {
    expect(numberId("fp32/10k-800/r2.5", "ttft.p99")).toBe("fp32-10k-800-r2-5-ttft-p99");
  });
});
