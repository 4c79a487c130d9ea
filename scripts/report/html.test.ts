import { readFileSync } from "node:fs";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import type { Language } from "../experiment/experiment.ts";
import type { DrawChart } from "./cell-context.ts";
import { readDictionary } from "./dictionary.ts";
import { hostile, syntheticMaterial } from "./fixtures/synthetic-run.ts";
import { renderHtml } from "./html.ts";
import { htmlText } from "./html-text.ts";
import { renderMarkdown } from "./markdown.ts";
import { makeDocument } from "./notebook.ts";
import { readNotebook } from "./notebook-source.ts";
import { buildRecordData, type RecordData } from "./record-data.ts";
import { printCount } from "./record-numbers.ts";
import { templatesFolder } from "./render-record.ts";
import { numberCell } from "./results-table.ts";

const dictionary = readDictionary(join(templatesFolder, "dictionary.json"));
const notebook = readNotebook(
  readFileSync(join(templatesFolder, "test-record.md"), "utf8"),
  "test-record.md",
);
const material = syntheticMaterial();
const hostileMaterial = {
  ...material,
  experiment: {
    ...material.experiment,
    title: { zh: hostile, en: hostile },
    stated: { ...material.experiment.stated, operator: hostile },
  },
};
const drawChart: DrawChart = ({ id }) =>
  Promise.resolve({
    status: "drawn",
    svg: '<svg xmlns="http://www.w3.org/2000/svg" width="7" height="4"><path fill="#0072b2"/></svg>',
    finding: id,
    note: "Note.",
    omitted: [],
  });

async function pageOf(
  data: RecordData,
  language: Language,
  templates = templatesFolder,
): Promise<string> {
  const document = await makeDocument(notebook, data, { language, dictionary, drawChart });
  return renderHtml(document, {
    templates,
    dictionary,
    embedFonts: () => Promise.resolve({ css: "/* fonts */" }),
    other: { language: language === "zh" ? "en" : "zh", href: "record.other.html" },
  });
}

async function markdownOf(data: RecordData, language: Language): Promise<string> {
  const document = await makeDocument(notebook, data, { language, dictionary, drawChart });
  return renderMarkdown(document, {
    dictionary,
    figurePath: ({ name }) => `figures/${name}.svg`,
  });
}

const data = buildRecordData(hostileMaterial);
const pages: Record<Language, string> = { zh: "", en: "" };

beforeAll(async () => {
  pages.zh = await pageOf(data, "zh");
  pages.en = await pageOf(data, "en");
});

describe("the page", () => {
  it("has the same bytes for the same data", async () => {
    expect(await pageOf(buildRecordData(hostileMaterial), "zh")).toBe(pages.zh);
  });

  it("forbids every request and asks for none", () => {
    for (const page of Object.values(pages)) {
      expect(page).toContain("default-src &#x27;none&#x27;");
      expect(page).not.toMatch(/<(?:img|link|iframe|object|embed|base|form)\b/);
      expect(page).not.toMatch(/ on[a-z]+=/);
      expect(page.match(/<script\b/g)).toHaveLength(1);
      expect(page.match(/<style\b/g)).toHaveLength(1);
    }
  });

  it("runs nothing that data holds: it is text, and nothing but text", () => {
    for (const page of Object.values(pages)) {
      expect(page).not.toContain("<script>alert");
      expect(page).toContain("&lt;script&gt;alert(1)&lt;/script&gt;");
      expect(page).not.toContain("\u202e");
      expect(page).not.toContain("\u001b");
      expect(page).not.toMatch(/href="javascript:/);
    }
  });

  it("lets no title out of its place in the print style", () => {
    const style = pages.en.slice(pages.en.indexOf("<style>"), pages.en.indexOf("</style>"));
    const box = /@top-left\{content:("(?:[^"\\]|\\.)*")/.exec(style)?.[1] ?? "";
    expect(box).toContain("alert");
    expect(box).not.toMatch(/[<>]/);
  });

  it("gives every anchor once, and every link within the page leads to one", () => {
    for (const page of Object.values(pages)) {
      const ids = Array.from(page.matchAll(/ id="([^"]+)"/g), ([, id]) => id ?? "");
      expect(new Set(ids).size).toBe(ids.length);
      const targets = Array.from(page.matchAll(/ href="#([^"]*)"/g), ([, id]) => id ?? "");
      expect(targets.length).toBeGreaterThan(40);
      expect(targets.filter((target) => !ids.includes(target))).toEqual([]);
    }
  });

  it("has an anchor for every number of every point's results", () => {
    for (const point of data.points) {
      for (const key of ["qps", "output_tps", "ttft.mean", "ttft.p90", "decode_tps", "tpot.p50"]) {
        expect(pages.en).toContain(` id="${point.numbers[key]?.id ?? "missing"}"`);
      }
    }
  });

  it("prints no number in a results table that the record's data does not hold", () => {
    const known = new Set(
      data.points.flatMap(({ numbers }) =>
        Object.values(numbers).flatMap(({ text, plusMinus, interval }) => [
          text ?? "–",
          ...(plusMinus === undefined ? [] : [`±${plusMinus}`]),
          ...(interval === undefined ? [] : [`[${interval.low}, ${interval.high}]`]),
        ]),
      ),
    );
    for (const page of Object.values(pages)) {
      const printed = Array.from(
        page.matchAll(/<span class="(?:v|i[^"]*|h)">([^<]+)<\/span>/g),
        ([, text]) => (text ?? "").replaceAll("&lt;", "<").replaceAll("\u2060", "").trim(),
      );
      expect(printed.length).toBeGreaterThan(200);
      expect(printed.filter((text) => !known.has(text))).toEqual([]);
    }
  });

  it("has a row for a variant of which nothing was measured, and says so", async () => {
    const half = buildRecordData({
      ...material,
      measured: material.measured.filter(({ point }) => point.startsWith("fp32")),
    });
    const page = await pageOf(half, "en");
    const cover = page.slice(page.indexOf('<table class="hl">'), page.indexOf("</table>"));
    expect(cover.match(/Not measured/g)?.length).toBeGreaterThan(1);
    expect(page).toContain("not measured");
    expect(page).toContain("no point that may be quoted");
  });

  it("letters notes past z", () => {
    const letters = new Map(
      Array.from({ length: 27 }, (_, index) => [
        `note ${index}`,
        index < 26 ? String.fromCharCode(97 + index) : "aa",
      ]),
    );
    const number = {
      ...printCount("a/c1", "requests_measured", 1, { zh: "", en: "" }, { zh: "", en: "" }),
      remarks: [
        { zh: "新", en: "new" },
        { zh: "旧", en: "note 1" },
      ],
    };
    const cell = numberCell(number, letters, {
      data,
      language: "en",
      dictionary,
      drawChart,
      path: "",
      number: () => "",
      shown: new Set(),
    });
    expect(cell.content).toMatchObject([{ footnote: "b,ab" }]);
  });

  it("lists the defaults that were filled in, folded", async () => {
    const filled = buildRecordData({
      ...material,
      experimentDefaults: [
        { path: "measure.rounds", value: "3" },
        { path: "measure.window", value: "handover", reason: "<b>the usual one</b>" },
      ],
    });
    const page = await pageOf(filled, "en");
    expect(page).toMatch(/<summary>Defaults that were filled in<span class="s">items: 2/);
    expect(page).toContain("<code>measure.rounds</code>");
    expect(page).toContain("&lt;b&gt;the usual one&lt;/b&gt;");
    expect(pages.en).not.toContain("Defaults that were filled in");
  });

  it("keeps the row of an invalid point, struck, with its reason beneath", () => {
    expect(pages.en.match(/<tr class="bad">/g)?.length).toBeGreaterThan(1);
    expect(pages.en).toMatch(/<tr class="why">.*9 different prompts among 24 requests/);
  });

  it("says on hover how many requests and rounds a number rests on", () => {
    expect(pages.en).toMatch(/id="fp32-c1-ttft" title="36 requests, 3 rounds"/);
    expect(pages.zh).toMatch(/id="fp32-c1-ttft" title="36 个请求，3 轮"/);
  });

  it("dresses charts in the colours of the theme, once for each width", () => {
    expect(pages.en.match(/<svg class="wid" /g)).toHaveLength(5);
    expect(pages.en.match(/<svg class="nar" /g)).toHaveLength(5);
    expect(pages.en).toContain('fill="var(--variant-1, #0072b2)"');
  });

  it("refuses a template that asks for something it was not given", async () => {
    const templates = await mkdtemp(join(tmpdir(), "benchbook-templates-"));
    await cp(templatesFolder, templates, { recursive: true });
    const path = join(templates, "partials", "figure.hbs");
    await writeFile(path, (await readFile(path, "utf8")).replace("{{finding}}", "{{findings}}"));
    await expect(pageOf(data, "en", templates)).rejects.toThrow('"findings" not defined');
    await rm(templates, { recursive: true });
  });

  it("asks the fonts for the characters that it sets, by face", () => {
    const text = htmlText(
      "<h2>甲</h2><p>乙<code>丙</code></p><style>丁</style><svg><text>戊</text></svg>",
    );
    expect(text).toEqual({ regular: "乙戊甲", semibold: "戊甲", mono: "丙" });
  });

  it("renders a run of one round, and one of which most was not measured", async () => {
    const one = await pageOf(buildRecordData(syntheticMaterial({ rounds: 1 })), "zh");
    expect(one).toContain("没有置信区间");
    const little = buildRecordData({ ...material, measured: material.measured.slice(0, 1) });
    expect(await pageOf(little, "en")).toContain("5 not measured");
  });
});

describe("the Markdown", () => {
  it("has tables whose rows all have the cells of their head", async () => {
    for (const language of ["zh", "en"] as const) {
      const text = (await markdownOf(data, language)).replaceAll(
        /^(`{3,})[^\n]*\n[\s\S]*?^\1$/gm,
        "",
      );
      const tables = text
        .trim()
        .split("\n\n")
        .filter((block) => block.startsWith("| "));
      expect(tables.length).toBeGreaterThan(12);
      for (const table of tables) {
        const cells = table.split("\n").map((line) => line.match(/(?<!\\)\|/g)?.length);
        expect(new Set(cells).size, table).toBe(1);
        expect(table.split("\n")[1]).toMatch(/^\|(?:-{3}:?\|)+$/);
      }
    }
  });

  it("escapes what data holds", async () => {
    const text = await markdownOf(data, "en");
    const body = text.slice(text.indexOf("\n---\n"));
    const outside = body.replaceAll(/^(`{3,})[^\n]*\n[\s\S]*?^\1$/gm, "");
    expect(outside).not.toMatch(/(?<!\\)<script/);
    expect(outside).not.toMatch(/(?<!\\)\[x(?<!\\)\]\(javascript/);
    expect(text).not.toContain("\u202e");
  });

  it("begins with front matter and names its figures", async () => {
    const text = await markdownOf(buildRecordData(material), "zh");
    expect(text).toMatch(/^---\ntitle: "Tiny Qwen3：FP32 与 Q8"\nrecord: "bb-e94050ae90a4"\n/);
    expect(text).toContain("](figures/throughput-interactivity.svg)");
    expect(await markdownOf(buildRecordData(material), "zh")).toBe(text);
  });
});
