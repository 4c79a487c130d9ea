import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { CellContext } from "./cell-context.ts";
import { renderCell } from "./cells.ts";
import { readDictionary } from "./dictionary.ts";
import { type Block, plainText, type Table } from "./document.ts";
import { syntheticMaterial } from "./fixtures/synthetic-run.ts";
import { buildRecordData } from "./record-data.ts";
import { templatesFolder } from "./render-record.ts";

const material = syntheticMaterial();
const context: CellContext = {
  data: buildRecordData(material),
  language: "en",
  dictionary: readDictionary(join(templatesFolder, "dictionary.json")),
  drawChart: () => Promise.reject(new Error("there is no chart in this cell")),
  path: "test.md",
  number: () => "Table 1",
  shown: new Set(),
};
const cell = (options: Readonly<Record<string, unknown>> = {}) => ({
  kind: "cell" as const,
  cell: "table" as const,
  name: "tool-definitions",
  options,
  line: 1,
  language: undefined,
});

function tablesOf(blocks: readonly Block[]): readonly Table[] {
  return blocks.flatMap((block) =>
    block.kind === "table" ? [block] : block.kind === "folded" ? tablesOf(block.blocks) : [],
  );
}

describe("the cell of tool definitions", () => {
  it("folds two tables for each point, and the formulas and tools once", async () => {
    const blocks = await renderCell(cell(), context);
    expect(blocks.map(({ kind }) => kind)).toEqual([
      "paragraph",
      ...Array.from({ length: 8 }, () => "folded"),
    ]);
    expect(tablesOf(blocks)).toHaveLength(6 * 2 + 2);
  });

  it("has ours first, with the figure that the record prints", async () => {
    const tables = tablesOf(await renderCell(cell({ points: ["fp32/c4"] }), context));
    const [first] = tables[0]?.bodies ?? [];
    expect(first?.[0]?.cells.map(({ content }) => plainText(content))[0]).toBe("benchbook");
    const ours = Number(plainText(first?.[0]?.cells[1]?.content ?? []).replaceAll(",", ""));
    const estimate = material.measured
      .find(({ point }) => point === "fp32/c4")
      ?.estimates.get("ttft.mean")?.value;
    expect(ours).toBeCloseTo(estimate ?? -1, 1);
  });

  it("says so where nothing was measured, and refuses what it does not know", async () => {
    const empty = { ...context, data: { ...context.data, definitions: [] } };
    expect((await renderCell(cell(), empty)).map(({ kind }) => kind)).toEqual(["paragraph"]);
    await expect(renderCell(cell({ pionts: [] }), context)).rejects.toThrow("unknown option");
  });
});
