import { existsSync } from "node:fs";
import { chromium } from "playwright-core";
import { describe, expect, it } from "vitest";
import { twoVariants } from "../testing/chart-points.ts";
import { forPage } from "./chart-svg.ts";
import { chartIds, renderChart } from "./charts.ts";
import { embedFonts } from "./fonts.ts";
import { textWidth } from "./text-width.ts";

const executablePath = [
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
].find(existsSync);
if (executablePath === undefined) {
  process.stderr.write("charts.browser.test.ts: no Chromium found, skipped\n");
}

async function onPage<T>(
  language: "zh" | "en",
  text: string,
  body: string,
  read: () => T,
): Promise<T> {
  const { css } = await embedFonts({ regular: text }, language);
  const browser = await chromium.launch({
    ...(executablePath === undefined ? {} : { executablePath }),
    args: ["--no-sandbox", "--disable-gpu"],
  });
  try {
    const page = await browser.newPage();
    await page.setContent(
      `<!doctype html><html lang="${language === "zh" ? "zh-Hans" : "en"}"><style>${css} svg text{font-family:"BB Sans","BB Han",sans-serif}</style>${body}`,
    );
    await page.evaluate("document.fonts.ready");
    return await page.evaluate(read);
  } finally {
    await browser.close();
  }
}

describe.skipIf(executablePath === undefined)("charts in Chromium", () => {
  it.each([
    [
      "zh",
      [
        "实测并发（请求，对数轴）→",
        "↑ 输出吞吐（token/s）",
        "计划 200（无效）",
        "297.7 ±0.9",
        "12,345",
      ],
    ],
    [
      "en",
      [
        "Achieved concurrency (requests, log) →",
        "planned 200, invalid",
        "297.7 ±0.9",
        "q8 35\u00a0%",
      ],
    ],
  ] as const)(
    "sets text in %s as wide as it was computed, never wider",
    async (language, texts) => {
      const body = texts
        .flatMap((text) =>
          [400, 600].map(
            (weight) => `<svg><text font-size="12" font-weight="${weight}">${text}</text></svg>`,
          ),
        )
        .join("");
      const measured = await onPage(language, texts.join(""), body, () =>
        Array.from(document.querySelectorAll("text"), (text) => text.getComputedTextLength()),
      );
      const computed = texts.flatMap((text) =>
        ([400, 600] as const).map((weight) => textWidth(text, { language, weight })),
      );
      expect(measured).toHaveLength(computed.length);
      measured.forEach((width, index) => {
        expect(width / (computed[index] ?? 0)).toBeGreaterThan(0.96);
        expect(width / (computed[index] ?? 0)).toBeLessThan(1.005);
      });
    },
  );

  it.each(["zh", "en"] as const)(
    "keeps all text in %s inside its figure and apart",
    async (language) => {
      const svgs: string[] = [];
      for (const id of chartIds) {
        for (const width of [744, 468, 346] as const) {
          const chart = await renderChart({ id, language, width, points: twoVariants() });
          if (chart.status === "drawn") svgs.push(forPage(chart.svg));
        }
      }
      expect(svgs).toHaveLength(3 * chartIds.length);
      const faults = await onPage(
        language,
        svgs.join("").replaceAll(/<[^>]*>/g, ""),
        svgs.join("<hr>"),
        () => {
          const found: string[] = [];
          for (const svg of document.querySelectorAll("svg")) {
            const frame = svg.getBoundingClientRect();
            const boxes = Array.from(svg.querySelectorAll("text"), (text) => ({
              text: text.textContent,
              // Ink is lower than the line box that getBoundingClientRect gives.
              box: text.getBoundingClientRect(),
            }));
            boxes.forEach(({ text, box }, index) => {
              if (box.left < frame.left - 1 || box.right > frame.right + 1)
                found.push(`outside: ${text}`);
              for (const other of boxes.slice(index + 1)) {
                const across =
                  Math.min(box.right, other.box.right) - Math.max(box.left, other.box.left);
                const down =
                  Math.min(box.bottom, other.box.bottom) - Math.max(box.top, other.box.top);
                if (across > 0.5 && down > 3.5) found.push(`${text} meets ${other.text}`);
              }
            });
          }
          return found;
        },
      );
      expect(faults).toEqual([]);
    },
  );
});
