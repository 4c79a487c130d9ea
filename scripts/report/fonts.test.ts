import { describe, expect, it } from "vitest";
import { embedFonts } from "./fonts.ts";

const han = Array.from({ length: 400 }, (_, index) =>
  String.fromCodePoint(0x4e00 + index * 7),
).join("");

describe("embedFonts", () => {
  it("gives the same bytes for the same characters in any order", async () => {
    const first = await embedFonts({ regular: `实测并发 abc ${han}` }, "zh");
    const second = await embedFonts({ regular: `${han}cba 发并测实` }, "zh");
    expect(second.css).toBe(first.css);
  });

  it("embeds everything as data, and asks the network for nothing", async () => {
    const { css } = await embedFonts({ regular: "token/s 输出吞吐" }, "zh");
    const sources = [...css.matchAll(/url\(([^)]{0,40})/g)].map((match) => match[1]);
    expect(sources).toHaveLength(5);
    for (const source of sources) expect(source).toMatch(/^data:font\/woff;base64,d09GR/);
  });

  it("enlarges the Latin sans in Chinese only, and leaves it the marks it must not set", async () => {
    const zh = await embedFonts({ regular: "时延 12 ms" }, "zh");
    const en = await embedFonts({ regular: "latency 12 ms" }, "en");
    const sansRules = zh.css.split("\n").filter((rule) => rule.includes('"BB Sans"'));
    expect(sansRules).toHaveLength(2);
    for (const rule of sansRules) {
      expect(rule).toContain("size-adjust:107%");
      expect(rule).toContain("unicode-range:U+0020-00B6,U+00B8-2013,U+2020-2025,U+2027-2E7F");
    }
    expect(en.css).not.toContain("size-adjust");
  });

  it("leaves the Han faces out of a document without Han", async () => {
    const { css } = await embedFonts({ regular: "no such characters → here ≤ 5 %" }, "en");
    expect(css).not.toContain("BB Han");
  });

  it("embeds a Han character that stands only in code", async () => {
    const { css } = await embedFonts(
      { regular: "plain", semibold: "plain", mono: "echo 中" },
      "en",
    );
    expect(css).toContain('font-family:"BB Han";font-style:normal;font-weight:400');
    expect(css).not.toContain('font-family:"BB Han";font-style:normal;font-weight:600');
  });

  it("reports a character that no face has, once, and no control or joiner", async () => {
    const { missing } = await embedFonts({ regular: "ok 🙂🙂 ก\n\t\u200d\ufe0f 中 − ≥" }, "zh");
    expect(missing).toEqual(["ก", "🙂"]);
  });

  it("grows with the text, so that it holds what the document needs and no more", async () => {
    const small = await embedFonts({ regular: "中" }, "zh");
    const large = await embedFonts({ regular: han }, "zh");
    expect(large.css.length).toBeGreaterThan(small.css.length + 50_000);
    expect(small.css.length).toBeLessThan(90_000);
  });
});
