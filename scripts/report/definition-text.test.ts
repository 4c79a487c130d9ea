import stringWidth from "string-width";
import { describe, expect, it } from "vitest";
import { definitionsJson, describeDefinitions } from "./definition-text.ts";
import { syntheticMaterial } from "./fixtures/synthetic-run.ts";
import { definitionsOf, sharedFormulas } from "./record-definitions.ts";

const material = syntheticMaterial();
const points = definitionsOf(material);

describe("definitions in a terminal", () => {
  it("fit into 80 columns in both languages", () => {
    expect(points).toHaveLength(6);
    for (const language of ["zh", "en"] as const) {
      const lines = describeDefinitions(points.slice(0, 2), language).split("\n");
      expect(lines.filter((line) => stringWidth(line) > 80)).toEqual([]);
    }
  });

  it("begin with ours, and give each tool with its difference under it", () => {
    const lines = describeDefinitions(points.slice(0, 1), "en").split("\n");
    expect(lines[0]).toMatch(/^fp32\/c1 {2}\(3 trials, \d+ completed requests\)$/);
    expect(lines[2]).toMatch(/^ms +TTFT +TTFT p99 +TPOT +ITL +ITL p99 +E2E$/);
    expect(lines[3]).toMatch(/^benchbook( +[\d.,]+){6}$/);
    const guidellm = lines.findIndex((line) => line.startsWith("GuideLLM "));
    expect(lines[guidellm + 1]).toMatch(/^ +[+−\d.% ]+$/);
  });

  it("leave nothing out in JSON: numbers, formulas, sources", () => {
    const json = JSON.parse(
      JSON.stringify(
        definitionsJson(
          "r",
          material.measured.flatMap(({ point, definitions }) =>
            definitions === undefined ? [] : [{ point, definitions }],
          ),
        ),
      ),
    ) as {
      readonly tools: readonly { readonly tool: string; readonly sources: readonly unknown[] }[];
      readonly points: readonly {
        readonly figures: readonly {
          readonly tool: string;
          readonly value: number | null;
          readonly text: unknown;
        }[];
      }[];
    };
    expect(json.tools.every(({ sources }) => sources.length > 0)).toBe(true);
    expect(json.points).toHaveLength(6);
    for (const { figures } of json.points) {
      expect(figures.length).toBeGreaterThan(80);
      expect(figures.every(({ tool, text }) => (tool === "benchbook") === (text === null))).toBe(
        true,
      );
    }
  });
});

describe("the formulas", () => {
  it("stand once each, with every tool that prints the figure", () => {
    const ttft = sharedFormulas().filter(({ figure }) => figure === "ttft.mean");
    expect(ttft.map(({ tools }) => tools)).toContainEqual([
      "aiperf",
      "guidellm",
      "guidellm_2025",
      "mlperf",
      "record_fp8",
      "record_fp4",
    ]);
    expect(new Set(ttft.map(({ text }) => text.en)).size).toBe(ttft.length);
  });
});
