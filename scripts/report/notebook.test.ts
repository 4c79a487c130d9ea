import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { UserError } from "../errors.ts";
import type { Language } from "../experiment/experiment.ts";
import type { DrawChart } from "./cell-context.ts";
import { readDictionary } from "./dictionary.ts";
import { plainText, type RecordDocument } from "./document.ts";
import { syntheticMaterial } from "./fixtures/synthetic-run.ts";
import { makeDocument } from "./notebook.ts";
import { readNotebook } from "./notebook-source.ts";
import { buildRecordData } from "./record-data.ts";
import { templatesFolder } from "./render-record.ts";

const dictionary = readDictionary(join(templatesFolder, "dictionary.json"));
const data = buildRecordData(syntheticMaterial());
const drawChart: DrawChart = ({ id }) =>
  Promise.resolve({ status: "drawn", svg: "<svg />", finding: id, note: "Note.", omitted: [] });

function documentOf(text: string, language: Language = "en"): Promise<RecordDocument> {
  return makeDocument(readNotebook(text, "notes.md"), data, { language, dictionary, drawChart });
}

async function mistakeOf(text: string): Promise<UserError["parts"][number] | undefined> {
  try {
    await documentOf(text);
  } catch (error) {
    if (error instanceof UserError) return error.parts[0];
    throw error;
  }
  return undefined;
}

describe("makeDocument", () => {
  it("yields the golden document of a small notebook", async () => {
    const { blocks } = await documentOf(
      [
        '## {{section "results"}}',
        "",
        'At {{point "fp32/c4"}} the first token takes {{value "ttft" point="fp32/c4"}}.',
        "",
        "```table",
        "results",
        "variants: [q8]",
        "columns: [concurrency, ttft, verdict]",
        "reasons: true",
        "```",
      ].join("\n"),
    );
    await expect(`${JSON.stringify(blocks, undefined, 2)}\n`).toMatchFileSnapshot(
      "fixtures/document.en.json",
    );
  });

  it("numbers sections from where the front matter says, parts within them, tables through all", async () => {
    const { blocks } = await documentOf(
      ["---", "sections: 0", "---", "## A", "### A1", "## B", "### B1", "### B2"].join("\n"),
    );
    expect(
      blocks.map((block) => (block.kind === "heading" ? [block.number, block.id] : [])),
    ).toEqual([
      ["0", "s0"],
      ["0.1", "s0-1"],
      ["1", "s1"],
      ["1.1", "s1-1"],
      ["1.2", "s1-2"],
    ]);
  });

  it("takes the blocks of its language and those of both", async () => {
    const text = "both\n\n:::zh\n中文\n:::\n\n:::en\nEnglish\n:::\n";
    const words = async (language: Language): Promise<readonly string[]> =>
      (await documentOf(text, language)).blocks.map((block) =>
        block.kind === "paragraph" ? plainText(block.content) : block.kind,
      );
    expect(await words("zh")).toEqual(["both", "中文"]);
    expect(await words("en")).toEqual(["both", "English"]);
  });

  it("spaces Han from a number put into it", async () => {
    const { blocks } = await documentOf('为{{fact "rounds"}}轮', "zh");
    const [block] = blocks;
    expect(block?.kind === "paragraph" ? plainText(block.content) : "").toBe("为 3 轮");
  });
});

describe("mistakes in a notebook", () => {
  it("names line and nearest point, metric, column, option, fact and chart", async () => {
    expect(await mistakeOf('a\n\nb {{value "ttft" point="fp23/c4"}}')).toEqual({
      what: 'unknown point "fp23/c4"',
      where: "notes.md:3",
      mend: "write fp32/c4",
    });
    expect(await mistakeOf('{{value "tfft" point="fp32/c4"}}')).toMatchObject({
      what: 'no metric "tfft"',
      where: "notes.md:1",
    });
    expect(await mistakeOf("x\n\n```table\nresults\ncolumns: [qqps]\n```")).toEqual({
      what: 'unknown column "qqps"',
      where: "notes.md:3",
      mend: "write qps",
    });
    expect(await mistakeOf("```table\nresults\ncolums: [qps]\n```")).toMatchObject({
      what: 'unknown option "colums"',
      mend: "write columns",
    });
    expect(await mistakeOf('{{fact "verdict"}}')).toMatchObject({ mend: "write verdicts" });
    expect(await mistakeOf("```chart\nround-stripe\n```")).toMatchObject({
      what: 'unknown chart "round-stripe"',
      mend: "write round-strip",
    });
    expect(await mistakeOf("```table\nresults\nvariants: [q9]\n```")).toMatchObject({
      mend: "use one of fp32, q8",
    });
  });

  it("names an unknown helper and a template that does not close, with the line", async () => {
    expect(await mistakeOf('one\ntwo {{valeu "ttft"}}')).toMatchObject({
      what: "the notebook uses valeu, which is neither a helper nor a value",
      where: "notes.md:2",
      mend: "write value",
    });
    expect(await mistakeOf("one\n\n{{#if has.measured}}\nnever closed")).toMatchObject({
      where: expect.stringMatching(/^notes\.md:\d+$/) as string,
    });
  });

  it("asks of which point a value is", async () => {
    expect(await mistakeOf('{{value "ttft"}}')).toMatchObject({
      mend: 'write {{value "ttft" point="fp32/c1"}}',
    });
  });

  it("refuses settings that it does not have", async () => {
    expect(await mistakeOf("---\ncover-chrat: x\n---\n")).toMatchObject({
      mend: "write cover-chart",
    });
    expect(await mistakeOf("---\ncover-headline: [ttft]\n---\n")).toMatchObject({
      mend: "write output_tps at highest, or ttft.p50 at lowest",
    });
  });
});

describe("hostile templates", () => {
  it("reaches neither prototypes nor helpers that are not on the list", async () => {
    for (const text of [
      "{{constructor}}",
      "{{has.constructor}}",
      "{{#each variants}}{{constructor.name}}{{/each}}",
      "{{__proto__}}",
      '{{lookup has "measured"}}',
      '{{log "x"}}',
      "{{#with has}}x{{/with}}",
    ]) {
      expect(await mistakeOf(text), text).toBeDefined();
    }
  });

  it("reads no markup in what a helper gives, and no image anywhere", async () => {
    const { blocks } = await documentOf(
      '{{fact "variants"}} ![x](http://127.0.0.1/x.png) <b>raw</b>',
    );
    const [block] = blocks;
    expect(block?.kind === "paragraph" ? block.content.map(({ kind }) => kind) : []).not.toContain(
      "image",
    );
    expect(block?.kind === "paragraph" ? plainText(block.content) : "").toContain("<b>raw</b>");
  });
});
