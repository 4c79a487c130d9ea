import { describe, expect, it } from "vitest";
import { point, twoVariants, value } from "../testing/chart-points.ts";
import type { ChartPoint, ChartValue } from "./chart-data.ts";
import { drawRatios } from "./chart-ratios.ts";
import { variantRatios } from "./variant-ratios.ts";

const plain = (text: string): string => text.replaceAll("\u00a0", " ").replaceAll("\u2011", "-");
const rounds = (...values: readonly number[]): ChartValue => ({
  value: values.reduce((sum, one) => sum + one, 0) / values.length,
  low: undefined,
  high: undefined,
  perRound: values.map((of, index) => ({ round: index + 1, value: of })),
});

/** Two variants at two loads of three rounds, output throughput alone. */
const small: readonly ChartPoint[] = [
  point("fp32", 1, { output_tps: rounds(100, 100, 100) }),
  point("fp32", 4, { output_tps: rounds(200, 210, 190) }),
  point("q8", 1, { output_tps: rounds(110, 121, 133.1) }, { place: 1 }),
  point("q8", 4, { output_tps: rounds(202, 207, 192) }, { place: 1 }),
];

function findingOf(points: readonly ChartPoint[], margin?: number, language: "en" | "zh" = "en") {
  const result = drawRatios({ language, width: 744, points, compare: { paired: true, margin } });
  if (result.status !== "drawn") throw new Error(result.reason);
  return plain(result.drawing.finding);
}

describe("ratios of variants", () => {
  it("are those that hand computation gives", () => {
    const found = variantRatios(small, { paired: true });
    // Ratios of the rounds at c = 1 are 1.1, 1.21 and 1.331: logs are L, 2L and 3L with L = ln 1.1, so
    // the mean is 2L, the ratio 1.21; s = L, t(0.975; 2) = 4.302653, half = 4.302653 L / √3.
    const half = (4.302653 * Math.log(1.1)) / Math.sqrt(3);
    expect(found?.rows[0]?.cell).toMatchObject({
      method: "paired t of logs",
      rounds: { a: 3, b: 3 },
    });
    expect(found?.rows[0]?.cell.ratio).toBeCloseTo(1.21, 10);
    expect(found?.rows[0]?.cell.low).toBeCloseTo(1.21 * Math.exp(-half), 6);
    expect(found?.rows[0]?.cell.high).toBeCloseTo(1.21 * Math.exp(half), 6);
  });

  it("hold against the base that was asked for, upside down", () => {
    const found = variantRatios(small, { paired: true, base: "q8" });
    expect(found?.rows[0]?.cell.ratio).toBeCloseTo(1 / 1.21, 10);
  });

  it("leave out what is invalid and what has no partner, by name", () => {
    const points = [
      ...small,
      point("q8", 8, { output_tps: rounds(1, 2) }, { place: 1 }),
      point("fp32", 16, { output_tps: rounds(1, 2) }),
      point("q8", 16, { output_tps: rounds(1, 2) }, { place: 1, verdict: "invalid" }),
    ];
    const found = variantRatios(points, { paired: false });
    expect(found?.rows).toHaveLength(2);
    expect(found?.leftOut).toEqual(["q8/c8", "fp32/c16", "q8/c16"]);
  });
});

describe("the finding of the figure of ratios", () => {
  it("claims only what the tests bear, with least and most", () => {
    // q8 / fp32: 80/60 = 1.33 in throughput, 0.80 in TTFT, 14/20 = 0.70 in TPOT, at every load.
    // Rounds of one number move alike, so paired they had no spread.
    const result = drawRatios({
      language: "en",
      width: 744,
      points: twoVariants(),
      compare: { paired: false },
    });
    expect(result.status === "drawn" ? plain(result.drawing.finding) : result.reason).toBe(
      "q8 has 1.33 times the output throughput, 0.80 times the mean TTFT, 0.80 times the TTFT p90 and 0.70 times the mean TPOT of fp32 at all three loads",
    );
  });

  it("says that a difference could not be shown, and never that there is none", () => {
    expect(findingOf(small, 0.01)).toBe(
      "No difference in output throughput between q8 and fp32 could be shown",
    );
    expect(findingOf(small, 0.01, "zh")).toBe("q8 与 fp32 的输出吞吐未检出差异");
  });

  it("says equivalent with its margin", () => {
    const load4 = small.filter(({ plannedConcurrency }) => plannedConcurrency === 4);
    expect(findingOf(load4, 0.05)).toBe(
      "q8 is equivalent to fp32 within ±5 % in output throughput",
    );
  });

  it("draws nothing from one round", () => {
    const points = [
      point("fp32", 1, { output_tps: value(100) }),
      point("q8", 1, { output_tps: value(90) }, { place: 1 }),
    ];
    expect(drawRatios({ language: "zh", width: 744, points })).toEqual({
      status: "empty",
      reason: "只有 1 轮，变体之间的差异不可检验",
    });
  });

  it("fills a mark only where the outcome is known", () => {
    const result = drawRatios({
      language: "en",
      width: 744,
      points: small,
      compare: { paired: true, margin: 0.05 },
    });
    const text = JSON.stringify(result.status === "drawn" ? result.drawing.values : {});
    const fills = [...text.matchAll(/"fill":"(#\w+)"/g)].map(([, fill]) => fill);
    // c = 1 is inconclusive (p = 0.035, corrected 0.071), c = 4 equivalent.
    expect(fills).toEqual(["#ffffff", "#c05200"]);
  });
});
