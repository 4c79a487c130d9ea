import { describe, expect, it } from "vitest";
import { fitText, textWidth } from "./text-width.ts";

describe("textWidth", () => {
  it("sets a Han character one em wide", () => {
    expect(textWidth("实测并发", { language: "zh", sizePx: 12 })).toBeCloseTo(48, 9);
    expect(textWidth("实测并发", { language: "en", sizePx: 12 })).toBeCloseTo(48, 9);
  });

  // Advance widths of Source Sans 3 Regular from its hmtx table: figures 497, space 200 of 1000 units.
  it("takes Latin from the font, enlarged in Chinese", () => {
    expect(textWidth("10", { language: "en", sizePx: 100 })).toBeCloseTo(99.4, 6);
    expect(textWidth("10", { language: "zh", sizePx: 100 })).toBeCloseTo(99.4 * 1.07, 6);
    expect(textWidth("并发 10", { language: "zh", sizePx: 100 })).toBeCloseTo(
      200 + (20 + 99.4) * 1.07,
      6,
    );
  });

  it("gives all figures one width, in both weights", () => {
    for (const weight of [400, 600] as const) {
      const widths = Array.from("0123456789", (digit) =>
        textWidth(digit, { language: "en", weight }),
      );
      expect(new Set(widths).size).toBe(1);
    }
  });

  it("takes the marks that both scripts share from Han in Chinese, from Latin in English", () => {
    for (const mark of ["“", "”", "…"]) {
      expect(textWidth(mark, { language: "zh", sizePx: 100 })).toBe(100);
      expect(textWidth(mark, { language: "en", sizePx: 100 })).toBeLessThan(100);
    }
  });

  it("sets semibold wider than regular", () => {
    const text = "Output throughput";
    expect(textWidth(text, { language: "en", weight: 600 })).toBeGreaterThan(
      textWidth(text, { language: "en" }),
    );
  });
});

describe("fitText", () => {
  it("leaves what fits and shortens what does not, within the limit", () => {
    expect(fitText("q8", 100, { language: "en" })).toBe("q8");
    const short = fitText("llama-3-70b-int4-awq-marlin", 80, { language: "en" });
    expect(short).toMatch(/^llama.*…$/);
    expect(textWidth(short, { language: "en" })).toBeLessThanOrEqual(80);
  });
});
