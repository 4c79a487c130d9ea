import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { UserError } from "../errors.ts";
import { syntheticMaterial } from "./fixtures/synthetic-run.ts";
import { buildRecordData } from "./record-data.ts";
import { renderRecord } from "./render-record.ts";

const data = buildRecordData(syntheticMaterial());
let folder = "";

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "benchbook-record-"));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe("renderRecord", () => {
  it("writes each language in each format, figures beside the Markdown, twice the same bytes", async () => {
    const render = async (name: string): Promise<ReadonlyMap<string, string>> => {
      const outDir = join(folder, name);
      const paths = await renderRecord(data, {
        languages: ["zh", "en"],
        formats: ["html", "md"],
        outDir,
      });
      expect(paths).toEqual(
        ["record.zh.html", "record.zh.md", "record.en.html", "record.en.md"].map((file) =>
          join(outDir, file),
        ),
      );
      const names = await readdir(outDir, { recursive: true });
      const files = names.filter((file) => /\.(?:html|md|svg)$/.test(file)).sort();
      return new Map(
        await Promise.all(
          files.map(async (file) => [file, await readFile(join(outDir, file), "utf8")] as const),
        ),
      );
    };
    const first = await render("first");
    expect([...first.keys()].filter((file) => file.startsWith("figures"))).toHaveLength(8);
    expect(first.get("record.zh.html")).toContain("@font-face");
    expect(first.get("record.zh.md")).toContain("](figures/round-strip.zh.svg)");
    const second = await render("second");
    for (const [file, text] of first) expect(second.get(file) === text, file).toBe(true);
  });

  it("tells that pdf is not made, and makes the rest", async () => {
    const notices: string[] = [];
    const paths = await renderRecord(data, {
      languages: ["en"],
      formats: ["md", "pdf"],
      outDir: join(folder, "pdf"),
      notice: (text) => notices.push(text),
    });
    expect(paths).toEqual([join(folder, "pdf", "record.en.md")]);
    expect(notices).toHaveLength(1);
  });

  it("says which notebook and which folder it cannot use", async () => {
    const options = { languages: ["en"], formats: ["md"], outDir: join(folder, "none") } as const;
    const missing = renderRecord(data, { ...options, notebookPath: join(folder, "no.md") });
    await expect(missing).rejects.toThrow("the notebook cannot be read");
    const notebookPath = join(folder, "one.md");
    await writeFile(notebookPath, "## One\n");
    const blocked = renderRecord(data, {
      ...options,
      notebookPath,
      outDir: join(notebookPath, "sub"),
    });
    await expect(blocked).rejects.toThrow(UserError);
  });
});
