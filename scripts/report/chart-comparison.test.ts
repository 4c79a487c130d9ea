import { describe, expect, it } from "vitest";
import { point, value } from "../testing/chart-points.ts";
import { compareVariants } from "./chart-comparison.ts";
import type { ChartPoint } from "./chart-data.ts";

const metric = (name: string) =>
  ({ valueOf: (of: ChartPoint) => of.metrics["output_tps"], better: "higher", name }) as const;
const at = (variant: string, load: number, mean: number, half?: number, place = 0) =>
  point(variant, load, { output_tps: value(mean, half) }, { place });
const en = (points: readonly ChartPoint[]) =>
  compareVariants(points, metric("output throughput"), "en");
const zh = (points: readonly ChartPoint[]) => compareVariants(points, metric("输出吞吐"), "zh");
const plain = (text: string | undefined) => text?.replaceAll("\u00a0", " ");

describe("compareVariants", () => {
  it("says who is ahead where all intervals lie apart", () => {
    const points = [1, 2, 4].flatMap((load) => [
      at("fp32", load, 10 * load, 1),
      at("q8", load, 15 * load, 1, 1),
    ]);
    expect(en(points)).toBe(
      "q8 is ahead of fp32 in output throughput at all three loads; intervals do not overlap",
    );
    expect(plain(zh(points))).toBe("并发 1、2、4 时 q8 的输出吞吐均高于 fp32，区间不重叠");
  });

  it("claims no difference where intervals overlap", () => {
    const points = [1, 2].flatMap((load) => [at("fp32", load, 10, 2), at("q8", load, 11, 2, 1)]);
    expect(en(points)).toBe(
      "Intervals of fp32 and q8 overlap in output throughput at both loads: no difference can be claimed",
    );
    expect(plain(zh(points))).toBe("并发 1、2 时 fp32 与 q8 的输出吞吐区间重叠，不能判断高低");
  });

  it("tells loads apart where only some are clear, and where the leader changes", () => {
    const some = [
      at("fp32", 1, 10, 1),
      at("q8", 1, 20, 1, 1),
      at("fp32", 4, 30, 5),
      at("q8", 4, 32, 5, 1),
    ];
    expect(plain(en(some))).toBe(
      "q8 is ahead of fp32 in output throughput at c = 1; intervals do not overlap; at c = 4 they overlap and no difference can be claimed",
    );
    const changing = [
      at("fp32", 1, 20, 1),
      at("q8", 1, 10, 1, 1),
      at("fp32", 4, 30, 1),
      at("q8", 4, 40, 1, 1),
    ];
    expect(plain(en(changing))).toBe(
      "fp32 is ahead of q8 in output throughput at c = 1, q8 at c = 4; intervals do not overlap",
    );
  });

  it("claims nothing without intervals", () => {
    const points = [at("fp32", 1, 10), at("q8", 1, 50, undefined, 1)];
    expect(en(points)).toBe(
      "Without intervals no difference between fp32 and q8 can be claimed in output throughput",
    );
    expect(plain(zh(points))).toBe("并发 1 时输出吞吐没有区间，不能判断 fp32 与 q8 的高低");
  });

  it("leaves invalid points out, and says nothing of one variant or of loads that are not shared", () => {
    const invalid = point("q8", 1, { output_tps: value(99, 1) }, { place: 1, verdict: "invalid" });
    expect(en([at("fp32", 1, 10, 1), invalid])).toBeUndefined();
    expect(en([at("fp32", 1, 10, 1), at("q8", 2, 10, 1, 1)])).toBeUndefined();
  });

  it("of three variants tells the highest shared load", () => {
    const far = [at("a", 8, 10, 1), at("b", 8, 20, 1, 1), at("c", 8, 30, 1, 2)];
    expect(plain(en(far))).toBe(
      "At c = 8 c has the highest output throughput; its interval overlaps no other",
    );
    const close = [at("a", 8, 10, 1), at("b", 8, 29.5, 1, 1), at("c", 8, 30, 1, 2)];
    expect(plain(en(close))).toBe(
      "At c = 8 c has the highest output throughput, but its interval overlaps with b: no difference can be claimed",
    );
  });
});
