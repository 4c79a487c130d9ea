import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { UserError } from "../errors.ts";
import type { Language } from "../experiment/experiment.ts";
import { readDictionary } from "./dictionary.ts";
import { type Block, plainText, type Table } from "./document.ts";
import { syntheticMaterial } from "./fixtures/synthetic-run.ts";
import { makeDocument } from "./notebook.ts";
import { readNotebook } from "./notebook-source.ts";
import { buildRecordData } from "./record-data.ts";
import { templatesFolder } from "./render-record.ts";

const dictionary = readDictionary(join(templatesFolder, "dictionary.json"));
const data = buildRecordData(syntheticMaterial());
const single = buildRecordData(syntheticMaterial({ rounds: 1 }));

async function blocksOf(
  options: readonly string[] = [],
  language: Language = "en",
  from = data,
): Promise<readonly Block[]> {
  const text = ["```compare", "variants", ...options, "```"].join("\n");
  const { blocks } = await makeDocument(readNotebook(text, "notes.md"), from, {
    language,
    dictionary,
    drawChart: () => Promise.resolve({ status: "empty", reason: "" }),
  });
  return blocks;
}

function tableOf(blocks: readonly Block[]): Table {
  const table = blocks.find((block) => block.kind === "table");
  if (table === undefined) throw new Error("no table");
  return table;
}

const textOf = (table: Table): readonly (readonly string[])[] =>
  table.bodies.flat().map(({ cells }) => cells.map(({ content }) => plainText(content)));
const notesOf = (table: Table): string =>
  table.notes.map(plainText).join(" ").replaceAll("\u00a0", " ");

describe("the compare cell", () => {
  it("prints both values, ratio, interval, corrected p, rounds and outcome of each cell", async () => {
    const [row] = textOf(tableOf(await blocksOf()));
    expect(row?.[0]).toBe("q8, concurrency 1");
    expect(row?.slice(1, 4)).toEqual(["Output throughput", "139.4", "193.7"]);
    // The means of three rounds each: 193.7 / 139.4 = 1.39.
    expect(row?.[4]).toMatch(/^1\.39 \[1\.\d\d, 1\.\d\d\]$/);
    expect(row?.slice(6)).toEqual(["3", "differs"]);
  });

  it("corrects over as many tests as the table has", async () => {
    const table = tableOf(await blocksOf());
    const tested = textOf(table).filter((row) => row[5] !== "–").length;
    expect(tested).toBe(8);
    expect(notesOf(table)).toContain(`after Holm over ${tested} tests`);
    const fewer = tableOf(await blocksOf(["metrics: [ttft]"]));
    expect(notesOf(fewer)).toContain("after Holm over 2 tests");
  });

  it("says rounds, method and margin, and which points had no part", async () => {
    const notes = notesOf(tableOf(await blocksOf(["margin: 3%"])));
    expect(notes).toContain("±3.0 % (declared)");
    expect(notes).toContain("Values of one round are pairs");
    expect(notes).toContain("Student t over 3 rounds");
    expect(notes).toMatch(/without a partner at the same load: fp32\/c8, q8\/c8\./);
  });

  it("tells the outcome of the whole before the table, unless no gating metric is asked for", async () => {
    const [first] = await blocksOf([], "zh");
    expect(first?.kind === "paragraph" && plainText(first.content)).toContain("总体结论");
    expect((await blocksOf(["metrics: [qps]"])).map(({ kind }) => kind)).toEqual(["table"]);
  });

  it("calls one round not testable, with the reason", async () => {
    const rows = textOf(tableOf(await blocksOf([], "zh", single)));
    expect(rows[0]?.[5]).toBe("–");
    expect(rows[0]?.[7]).toBe("不可检验（一侧只有一轮）");
  });

  it.each([
    ["base: fp23", "write fp32"],
    ["margin: 3", "write margin: 3%"],
    ["metrics: [tttft]", "write ttft"],
    ["mragin: 3%", "write margin"],
  ])("refuses %s", async (option, mend) => {
    const error = await blocksOf([option]).catch((reason: unknown) => reason);
    expect(error instanceof UserError ? error.parts[0] : error).toMatchObject({
      where: "notes.md:1",
      mend: expect.stringContaining(mend) as unknown,
    });
  });
});
