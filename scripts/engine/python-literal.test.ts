import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readKeywords, readPythonValue } from "./python-literal.ts";

describe("a Python value that was printed", () => {
  it.each([
    ["None", null],
    ["True", true],
    ["-1.5e-3", -0.0015],
    ["'it''s'", "it"],
    [`"it's"`, "it's"],
    ["'a\\'b\\n'", "a'b\n"],
    ["[1, 2, (3,), ]", [1, 2, [3]]],
    ["{'a': {'b': [True, None]}, 4: 'x'}", { a: { b: [true, null] }, "4": "x" }],
    ["{'x', 'y'}", ["x", "y"]],
    ["{}", {}],
    ["torch.bfloat16", "torch.bfloat16"],
    ["<CUDAGraphMode.FULL_AND_PIECEWISE: (2, 1)>", "FULL_AND_PIECEWISE"],
    ["<ConfigFormat.AUTO: 'auto'>", "AUTO"],
    ["<function f at 0x7f>", "<function f at 0x7f>"],
    ["Path('/m')", "/m"],
    ["SpeculativeConfig(method='ngram', n=5, draft=None)", { method: "ngram", n: 5, draft: null }],
  ])("%s", (text, value) => {
    expect(readPythonValue(text)).toEqual(value);
  });

  it("is read as far as it goes where the log cut it", () => {
    expect(readPythonValue("{'a': 1, 'b': {'c': [1, 2")).toEqual({ a: 1, b: { c: [1, 2] } });
    expect(readPythonValue("{'a': 'cut in the mid")).toEqual({ a: "cut in the mid" });
    expect(readPythonValue("")).toBeUndefined();
  });

  it("takes unquoted texts, objects within objects and missing spaces among keywords", () => {
    expect(
      readKeywords(
        "model='/m', download_dir=/a/b, url=tcp://h:1, x=O(backend='auto', p=P(q=[1])),c={'k':1}",
      ),
    ).toEqual({
      model: "/m",
      download_dir: "/a/b",
      url: "tcp://h:1",
      x: { backend: "auto", p: { q: [1] } },
      c: { k: 1 },
    });
  });

  it("reads back whatever JSON prints, and never hangs or throws on anything else", () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: true }), (value) => {
        const text = JSON.stringify(value);
        fc.pre(!text.includes("\\u") && !text.includes("\\b") && !text.includes("\\f"));
        fc.pre(!text.includes("__proto__") && !text.includes("-0"));
        expect(readPythonValue(text)).toEqual(JSON.parse(text));
      }),
    );
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(...Array.from("a1'\"=,:(){}[]<>\\ .")) }),
        (text) => {
          readPythonValue(text);
          readKeywords(text);
        },
      ),
    );
  });
});
