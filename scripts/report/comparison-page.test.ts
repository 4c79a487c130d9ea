import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { UserError } from "../errors.ts";
import type { ComparedSides } from "../review/compare.ts";
import { compareCells } from "../stats/comparison.ts";
import { twoVariants } from "../testing/chart-points.ts";
import { comparisonPage, writeComparisonPage } from "./comparison-page.ts";

const folder = mkdtempSync(join(tmpdir(), "benchbook-page-"));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const embedFonts = () => Promise.resolve({ css: "" });
const metrics = ["output_tps", "qps", "ttft.mean", "ttft.p90", "tpot.mean"];
const points = twoVariants().map((point) => {
  const slug = point.variant === "q8" ? "a" : "b";
  const variantLabel = slug === "a" ? "20260102-<b>" : "20260101";
  return { ...point, variant: slug, variantLabel, name: `${slug}/c${point.plannedConcurrency}` };
});

function sidesOf(change: Partial<ComparedSides> = {}): ComparedSides {
  const cells = [1, 4, 8].flatMap((load) =>
    metrics.flatMap((metric) => {
      const [a, b] = ["a", "b"].map(
        (slug) => points.find(({ name }) => name === `${slug}/c${load}`)?.metrics[metric]?.perRound,
      );
      return a === undefined || b === undefined ? [] : [{ point: `c${load}`, metric, a, b }];
    }),
  );
  return {
    a: "20260102-<b>",
    b: "20260101",
    comparable: true,
    obstacles: [],
    notCompared: [{ point: "c64", why: "only in 20260101" }],
    comparison: compareCells(cells, { paired: false }),
    oneProcess: true,
    values: {
      points,
      labels: { a: "20260102-<b>", b: "20260101" },
      paired: false,
      metrics,
      requests: { least: 36, most: 120 },
    },
    ...change,
  };
}

describe("the page of a comparison", () => {
  it("is one offline file, the same bytes for the same sides, with nothing unescaped", async () => {
    const options = { language: "en", margin: undefined, embedFonts } as const;
    const [first, second] = [
      await comparisonPage(sidesOf(), options),
      await comparisonPage(sidesOf(), options),
    ];
    expect(first).toBe(second);
    expect(first).toContain("default-src &#x27;none&#x27;");
    expect(first.replaceAll("http://www.w3.org/2000/svg", "")).not.toMatch(/https?:\/\//);
    expect(first).not.toContain("<b>2026");
    expect(first).not.toContain("20260102-<b>");
  });

  it("draws and tabulates one family: figure and table count the same tests", async () => {
    const html = await comparisonPage(sidesOf(), { language: "en", margin: undefined, embedFonts });
    // Three loads, four metrics of which there are values.
    expect(html.match(/after Holm over 12 tests/g)).toHaveLength(2);
    expect(html).toContain('<svg class="wid"');
    expect(html).toMatch(/Requests per point and side: 36–120/);
    expect(html).toContain("restarts are not in these intervals");
    expect(html).toContain("only in 20260101");
  });

  it("names what stands against a comparison, and gives no ratio", async () => {
    const html = await comparisonPage(
      sidesOf({
        comparable: false,
        obstacles: [{ field: "gpu.0.name", a: "H100", b: "H200" }],
        comparison: undefined,
      }),
      { language: "zh", margin: undefined, embedFonts },
    );
    expect(html).toContain("不可比");
    expect(html).toMatch(/gpu\.0\.name[\s\S]*H100[\s\S]*H200/);
    expect(html).toContain("只有这次运行有");
    expect(html).not.toContain("<svg class=");
  });

  it("is written where it was asked for, or says why not", async () => {
    const path = join(folder, "compare.html");
    await writeComparisonPage(sidesOf(), { language: "zh", margin: 0.05, embedFonts, path });
    expect(readFileSync(path, "utf8")).toContain('lang="zh-Hans"');
    const nowhere = join(folder, "none", "compare.html");
    const error = await writeComparisonPage(sidesOf(), {
      ...{ language: "en", margin: undefined, embedFonts },
      path: nowhere,
    }).catch((reason: unknown) => reason);
    expect(error instanceof UserError ? error.parts[0] : error).toMatchObject({ where: nowhere });
  });
});
