import { describe, expect, it } from "vitest";
import { UserError } from "../errors.ts";
import { readNotebook } from "./notebook-source.ts";

const lines = (...all: string[]): string => all.join("\n");

function mistakesOf(text: string): UserError["parts"] {
  try {
    readNotebook(text, "notes.md");
  } catch (error) {
    if (error instanceof UserError) return error.parts;
    throw error;
  }
  return [];
}

describe("readNotebook", () => {
  it("splits prose, cells and code, each with its line and language", () => {
    const { pieces, settings } = readNotebook(
      lines(
        "---",
        "sections: 0",
        "---",
        "Hello",
        "",
        ":::zh",
        "你好",
        ":::",
        "```table",
        "results",
        "columns: [qps]",
        "```",
        "```bash",
        "ls",
        "```",
      ),
      "notes.md",
    );
    expect(settings).toEqual({ sections: 0 });
    expect(pieces).toEqual([
      { kind: "prose", text: "Hello\n", line: 4, language: undefined },
      { kind: "prose", text: "你好", line: 7, language: "zh" },
      {
        kind: "cell",
        cell: "table",
        name: "results",
        options: { columns: ["qps"] },
        line: 9,
        language: undefined,
      },
      { kind: "code", text: "ls", line: 13, language: undefined },
    ]);
  });

  it("names the line and the nearest cell for one that is not known", () => {
    expect(mistakesOf(lines("# A", "", "```tabel", "results", "```"))).toEqual([
      { what: "unknown cell tabel", where: "notes.md:3", mend: "write table" },
    ]);
  });

  it("says what comes later is not known yet", () => {
    expect(mistakesOf(lines("```sql as=slowest", "select 1", "```"))[0]?.what).toBe(
      "unknown cell sql",
    );
  });

  it("finds every mistake at once", () => {
    const parts = mistakesOf(lines(":::fr", ":::", "```chrat", "x", "```", "```env", "```"));
    expect(parts.map(({ where }) => where)).toEqual([
      "notes.md:1",
      "notes.md:2",
      "notes.md:3",
      "notes.md:6",
    ]);
  });

  it("names the line of broken options", () => {
    const [first] = mistakesOf(lines("```table", "results", "columns: [qps", "```"));
    expect(first?.where).toMatch(/^notes\.md:[34]$/);
    expect(first?.what).toContain("YAML");
    expect(mistakesOf(lines("```table", "results", "- qps", "```"))[0]?.what).toBe(
      "options are not a mapping",
    );
  });

  it("refuses fences, blocks and front matter that are never closed", () => {
    expect(mistakesOf("```table\nresults")[0]?.where).toBe("notes.md:1");
    expect(mistakesOf("text\n:::en\nmore")[0]?.where).toBe("notes.md:2");
    expect(mistakesOf("---\nsections: 0")[0]?.where).toBe("notes.md:1");
    expect(mistakesOf(":::en\n:::zh\n:::")[0]?.what).toContain("inside the :::en block of line 1");
  });

  it("keeps fences of other marks and lengths together", () => {
    const { pieces } = readNotebook(lines("````md", "```table", "x", "```", "````"), "notes.md");
    expect(pieces).toEqual([
      { kind: "code", text: "```table\nx\n```", line: 1, language: undefined },
    ]);
  });
});
