import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { point, twoVariants, value } from "../testing/chart-points.ts";
import { chartColors } from "./chart-colors.ts";
import type { ChartInput, ChartPoint } from "./chart-data.ts";
import { isInside, overlaps } from "./chart-labels.ts";
import type { Drawing, DrawingResult } from "./chart-panel.ts";
import { drawPareto } from "./chart-pareto.ts";
import { drawRatios } from "./chart-ratios.ts";
import { drawRoundStrip } from "./chart-rounds.ts";
import { compileSpec, forFile, forPage } from "./chart-svg.ts";
import { fillTemplate, readChartTemplate } from "./chart-template.ts";
import { drawThroughput } from "./chart-throughput.ts";
import { drawTtft } from "./chart-ttft.ts";
import { type ChartId, chartIds, renderChart } from "./charts.ts";

const draw: Record<ChartId, (input: ChartInput) => DrawingResult> = {
  "throughput-interactivity": drawPareto,
  "ttft-by-concurrency": drawTtft,
  "output-throughput": drawThroughput,
  "variant-ratios": drawRatios,
  "round-strip": drawRoundStrip,
};
const widths = [744, 468, 346] as const;
const languages = ["zh", "en"] as const;

function drawn(result: DrawingResult): Drawing {
  if (result.status !== "drawn") throw new Error(`nothing drawn: ${result.reason}`);
  return result.drawing;
}

async function rendered(id: ChartId, points: readonly ChartPoint[], language: "zh" | "en" = "en") {
  const chart = await renderChart({ id, language, width: 744, points });
  if (chart.status !== "drawn") throw new Error(`nothing drawn: ${chart.reason}`);
  return chart;
}

const plain = (text: string): string => text.replaceAll("\u00a0", " ").replaceAll("\u2011", "-");

describe.each(chartIds)("%s", (id) => {
  it("gives the same bytes for the same points in any order, also while another chart is drawn", async () => {
    const points = twoVariants();
    const [first, other, second] = await Promise.all([
      renderChart({ id, language: "zh", width: 744, points }),
      renderChart({ id, language: "en", width: 346, points }),
      renderChart({ id, language: "zh", width: 744, points: [...points].reverse() }),
    ]);
    expect(first).toEqual(second);
    expect(other).not.toEqual(first);
  });

  it.each(widths)(
    "is exactly %i px wide, asks for nothing and has a title and a description",
    async (width) => {
      const chart = await renderChart({ id, language: "en", width, points: twoVariants() });
      if (chart.status !== "drawn") throw new Error(chart.reason);
      expect(chart.svg).toMatch(
        new RegExp(
          `^<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="\\d+" viewBox="0 0 ${width} \\d+" role="img"><title>[^<]+</title><desc>[^<]+</desc>`,
        ),
      );
      expect(chart.svg.replace("http://www.w3.org/2000/svg", "")).not.toMatch(
        /https?:|href|url\(|<image|<script| id=/,
      );
      expect(chart.svg).not.toMatch(/NaN|undefined|Infinity/);
      const sizes = [...chart.svg.matchAll(/font-size="([\d.]+)px"/g)].map((match) =>
        Number(match[1]),
      );
      expect(Math.min(...sizes)).toBeGreaterThanOrEqual(11);
      // A name with a digit would need quotes, and without them voids the whole list.
      const families = [...chart.svg.matchAll(/font-family="([^"]+)"/g)].map((match) => match[1]);
      for (const family of families)
        expect(family).toMatch(/^BB Sans(?:, [A-Za-z -]+)*, sans-serif$/);
    },
  );

  it("is valid Vega-Lite that computes no statistics and loads nothing", () => {
    for (const language of languages) {
      const { template, values, frame } = drawn(
        draw[id]({ language, width: 744, points: twoVariants() }),
      );
      const { vegaSpec, warnings } = compileSpec(
        fillTemplate(readChartTemplate(template), values),
        frame,
      );
      expect(warnings).toEqual([]);
      const text = JSON.stringify(vegaSpec);
      expect(text).not.toMatch(
        /"type":"(aggregate|joinaggregate|bin|density|quantile|loess|regression|sample|stack)"/,
      );
      expect(text).not.toContain('"url"');
    }
  });

  it("draws only in colours that the page knows", async () => {
    const known = new Set(chartColors.map(({ light }) => light));
    const { svg } = await rendered(id, twoVariants());
    const used = [...svg.matchAll(/(?:fill|stroke)="(#[0-9a-f]+)"/g)].map(
      (match) => match[1] ?? "",
    );
    expect(used.length).toBeGreaterThan(10);
    for (const hex of used) expect(known).toContain(hex);
    expect(forPage(svg)).not.toMatch(/(?:fill|stroke)="#/);
    expect(forPage(svg)).toContain('fill="var(--variant-2, #c05200)"');
    expect(forFile(svg)).toContain('<rect width="100%" height="100%" fill="#ffffff"/>');
    expect(forFile(svg)).not.toContain("var(");
  });

  it("draws a point of one variant alone, unless it is there to compare", async () => {
    if (id === "variant-ratios") {
      const points = twoVariants().slice(0, 1);
      const reason = "no point has one of another variant to be held against";
      const chart = await renderChart({ id, language: "en", width: 744, points });
      expect(chart).toEqual({ status: "empty", reason });
      return;
    }
    const { svg, finding } = await rendered(id, twoVariants().slice(0, 1));
    expect(svg).toContain("fp32");
    expect(finding).not.toBe("");
  });

  it("says why there is nothing to draw, in both languages", async () => {
    const without = [point("fp32", 1, {})];
    for (const points of [[], without]) {
      const zh = await renderChart({ id, language: "zh", width: 744, points });
      const en = await renderChart({ id, language: "en", width: 744, points });
      expect(zh).toMatchObject({
        status: "empty",
        reason: expect.stringMatching(/^没有测点/) as unknown,
      });
      expect(en).toMatchObject({
        status: "empty",
        reason: expect.stringMatching(/^no point/) as unknown,
      });
    }
  });

  it("escapes what comes from outside", async () => {
    const hostile = twoVariants().map((one) => ({ ...one, variantLabel: '<b onload="x">&' }));
    const { svg } = await rendered(id, hostile);
    expect(svg).not.toContain("<b onload");
  });

  it("keeps all text inside and apart, whatever the numbers", () => {
    fc.assert(
      fc.property(
        someRun,
        fc.constantFrom(...widths),
        fc.constantFrom(...languages),
        (points, width, language) => {
          const result = draw[id]({ language, width, points });
          if (result.status === "empty") return;
          const { texts, frame } = result.drawing;
          const outer = { x: -2, y: 0, width: frame.width + 4, height: frame.height };
          texts.forEach(({ text, box }, index) => {
            expect({ text, inside: isInside(box, outer) }).toEqual({ text, inside: true });
            for (const other of texts.slice(index + 1)) {
              expect({ text, other: other.text, meet: overlaps(box, other.box) }).toEqual({
                text,
                other: other.text,
                meet: false,
              });
            }
          });
        },
      ),
      { numRuns: 60, seed: 20260301 },
    );
  });
});

describe("findings", () => {
  it("state the change of TTFT over load for each variant", async () => {
    const { finding } = await rendered("ttft-by-concurrency", twoVariants());
    // TTFT p50 is 9 and 72 ms for fp32, 7.2 and 57.6 ms for q8: 8-fold both.
    expect(plain(finding)).toBe(
      "From c = 1 to c = 8 TTFT p50 grows 8.0-fold (fp32) and 8.0-fold (q8), p90 grows 8.0-fold (fp32) and 8.0-fold (q8)",
    );
    const zh = await rendered("ttft-by-concurrency", twoVariants(), "zh");
    expect(plain(zh.finding)).toBe(
      "并发从 1 到 8，TTFT p50 增至 8.0 倍（fp32）、8.0 倍（q8），p90 增至 8.0 倍（fp32）、8.0 倍（q8）",
    );
  });

  it("state who is ahead in throughput, and the share of linear scaling", async () => {
    const { finding } = await rendered("output-throughput", twoVariants());
    // 8^0.5 / 8 = 35 %.
    expect(plain(finding)).toBe(
      "q8 is ahead of fp32 in output throughput at all three loads; intervals do not overlap; at c = 8 throughput is 35 % (fp32) and 35 % (q8) of linear scaling from c = 1",
    );
  });

  it("name throughput and decode speed together where the same holds for both", async () => {
    const { finding } = await rendered("throughput-interactivity", twoVariants());
    expect(plain(finding)).toBe(
      "q8 is ahead of fp32 in output throughput and decode speed at all three loads; intervals do not overlap",
    );
  });

  it("state how wide the intervals are, and where the widest is", async () => {
    const { finding } = await rendered("round-strip", twoVariants());
    expect(plain(finding)).toContain(
      "Output throughput: intervals from ±2.0 % to ±2.0 % of the mean, widest at",
    );
  });

  it("draws the decode speed that the tables print, with its own interval", async () => {
    const speed = { ...value(88.8, 1.2), text: "88.8 ±1.2" };
    const [one] = twoVariants();
    const points =
      one === undefined ? [] : [{ ...one, metrics: { ...one.metrics, decode_tps: speed } }];
    const { svg, finding } = await rendered("throughput-interactivity", points);
    expect(plain(finding)).toContain("decode speed 88.8 ±1.2 token/s");
    expect(svg).toContain("88.8 ±1.2 token/s per request");
  });

  it("say ± only of intervals that are symmetric", async () => {
    const held = twoVariants().map((one) => ({
      ...one,
      metrics: { ...one.metrics, output_tps: { ...value(100, 40), low: 70, halfWidth: undefined } },
    }));
    const { finding } = await rendered("round-strip", held);
    expect(plain(finding)).toContain("Output throughput: the interval reaches");
    expect(plain(finding.split("; ")[0] ?? "")).not.toContain("±");
  });

  it("claim nothing from one round, and draw no spread where none was measured", async () => {
    const single = twoVariants().map((one) => ({
      ...one,
      metrics: {
        output_tps: value(10),
        "ttft.mean": value(5),
        "ttft.p50": value(5),
        "tpot.mean": value(7),
        decode_tps: value(142),
      },
    }));
    const throughput = await rendered("output-throughput", single);
    expect(throughput.finding).toContain(
      "Without intervals no difference between fp32 and q8 can be claimed",
    );
    expect(throughput.note).toContain("There are no confidence intervals.");
    const strip = await renderChart({
      id: "round-strip",
      language: "zh",
      width: 744,
      points: single,
    });
    expect(strip).toEqual({ status: "empty", reason: "只有 1 轮，未测得轮间波动" });
  });

  it("leave invalid points out and say what hollow means", async () => {
    const points = [
      ...twoVariants(),
      point(
        "fp32",
        64,
        { output_tps: value(9999, 1), "ttft.p50": value(9e4, 1) },
        { verdict: "invalid", achieved: 20 },
      ),
    ];
    const chart = await rendered("output-throughput", points);
    expect(chart.finding).not.toContain("64");
    expect(chart.note).toContain("Hollow points are invalid and left out of the finding.");
    expect(chart.svg).toContain("planned 64, invalid");
  });

  it("name the points that have no place", async () => {
    const points = [
      ...twoVariants(),
      point("q8", 16, { output_tps: value(3, 1) }, { place: 1, achieved: undefined }),
    ];
    const chart = await rendered("output-throughput", points);
    expect(chart.omitted).toEqual(["q8/c16"]);
  });
});

// Runs as they come: one to four variants, any loads, values over orders of magnitude, intervals
// absent or far too wide, invalid points, missing metrics, long names.
const someValue = (scale: number) =>
  fc
    .record({
      mean: fc.double({ min: 0.01, max: 100, noNaN: true }),
      half: fc.option(fc.double({ min: 0, max: 2, noNaN: true }), { nil: undefined }),
    })
    .map(({ mean, half }) =>
      value(mean * scale, half === undefined ? undefined : half * mean * scale),
    );

const someMetrics = fc.record({
  output_tps: fc.option(someValue(100), { nil: undefined }),
  "ttft.mean": fc.option(someValue(200), { nil: undefined }),
  "ttft.p50": fc.option(someValue(200), { nil: undefined }),
  "ttft.p90": fc.option(someValue(400), { nil: undefined }),
  "ttft.p99": fc.option(someValue(900), { nil: undefined }),
  "tpot.mean": fc.option(someValue(10), { nil: undefined }),
  decode_tps: fc.option(someValue(100), { nil: undefined }),
});

const someLoad = fc.record({
  planned: fc.constantFrom(1, 2, 4, 8, 10, 40, 64, 200, 1024),
  share: fc.double({ min: 0.3, max: 1, noNaN: true }),
  verdict: fc.constantFrom("valid", "qualified", "invalid"),
  metrics: someMetrics,
});

const someRun: fc.Arbitrary<readonly ChartPoint[]> = fc
  .record({
    variants: fc.uniqueArray(fc.constantFrom("fp32", "q8", "nvfp4-kv-fp8", "int4-awq-marlin"), {
      minLength: 1,
    }),
    loads: fc.uniqueArray(someLoad, {
      selector: ({ planned }) => planned,
      minLength: 1,
      maxLength: 5,
    }),
    other: fc.array(someMetrics, { minLength: 20, maxLength: 20 }),
  })
  .map(({ variants, loads, other }) =>
    variants.flatMap((variant, place) =>
      loads.map(({ planned, share, verdict, metrics }, index) => {
        const own = place === 0 ? metrics : (other[place * 5 + index] ?? metrics);
        return point(variant, planned, own, { place, achieved: planned * share, verdict });
      }),
    ),
  );
