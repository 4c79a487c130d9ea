import { describe, expect, it } from "vitest";
import { between, setText, softBreak, visible, withUnit } from "./typography.ts";

describe("setText", () => {
  it("puts one space between Han and Latin or digits in Chinese, and only there", () => {
    expect(setText("并发40时TTFT升高", "zh")).toBe("并发 40 时 TTFT 升高");
    expect(setText("（FP8）与“Q8”", "zh")).toBe("（FP8）与“Q8”");
    expect(setText("rate of 40 requests", "en")).toBe("rate of 40 requests");
  });

  it("closes the percent sign up in Chinese and sets it apart in English", () => {
    expect(setText("上限 1 %，实测3.1%", "zh")).toBe("上限 1%，实测 3.1%");
    expect(setText("limit 1%, seen 3.1 %", "en")).toBe("limit 1\u00a0%, seen 3.1\u00a0%");
  });

  it("keeps a number and its unit on one line", () => {
    expect(setText("within 20 ms, 3 rounds", "en")).toBe("within 20\u00a0ms, 3 rounds");
    expect(setText("共 5 min", "zh")).toBe("共 5\u00a0min");
  });

  it("leaves text alone that was set before", () => {
    for (const text of ["并发40时为3.1 %", "20 ms 内完成100个请求"]) {
      expect(setText(setText(text, "zh"), "zh")).toBe(setText(text, "zh"));
    }
  });
});

describe("joints", () => {
  it("spaces Han from Latin where two pieces meet", () => {
    expect(between("并发", "40", "zh")).toBe(" ");
    expect(between("3.1%", "的", "zh")).toBe(" ");
    expect(between("并发 ", "40", "zh")).toBe("");
    expect(between("并发", "40", "en")).toBe("");
  });

  it("drops a line break between Han and keeps it as a space elsewhere", () => {
    expect(softBreak("一行。", "下一行")).toBe("");
    expect(softBreak("one", "two")).toBe(" ");
  });

  it("puts value and unit together", () => {
    expect(withUnit("3.1", "%", "zh")).toBe("3.1%");
    expect(withUnit("3.1", "%", "en")).toBe("3.1\u00a0%");
    expect(withUnit("3", "", "en")).toBe("3");
  });
});

describe("visible", () => {
  it("shows marks that turn the reading direction, drops colours, keeps line breaks", () => {
    expect(visible("a\u202eb\u001b[31mred\u001b[0m\r\nc\td\u0000")).toBe(
      "a[U+202E]bred\nc\td[U+0000]",
    );
  });

  it("lets no text pass for a slot of the notebook", () => {
    expect(visible("\ue0000\ue001")).toBe("[U+E000]0[U+E001]");
  });
});
