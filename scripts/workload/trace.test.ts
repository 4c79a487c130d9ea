import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { UserError, type UserErrorParts } from "../errors.ts";
import { parseTrace, readTrace } from "./trace.ts";

const linesOf = (text: string): readonly string[] => text.split("\n");
const parse = (text: string) => parseTrace(linesOf(text), "data/t.jsonl");
const complaintOf = async (text: string): Promise<UserErrorParts | undefined> => {
  const error: unknown = await parse(text).catch((thrown: unknown) => thrown);
  if (!(error instanceof UserError)) throw new Error("it was let through");
  return error.parts[0];
};
const plain = { prefixIds: [], blockTokens: 512 };

describe("parseTrace", () => {
  it("reads seconds and milliseconds by the key's name, from the first arrival on", async () => {
    const { format, requests } = await parse(
      '{"at_s": 10.5, "input_tokens": 100, "output_tokens": 20}\n\n{"at_ms": 10750, "input_tokens": 7, "output_tokens": 1}\n',
    );
    expect(format).toBe("lines");
    expect(requests).toEqual([
      { atMs: 0, inputTokens: 100, outputTokens: 20, ...plain },
      { atMs: 250, inputTokens: 7, outputTokens: 1, ...plain },
    ]);
  });

  it("reads what prompts share, as names or numbers", async () => {
    const { requests } = await parse(
      '{"at_s": 0, "input_tokens": 900, "output_tokens": 2, "prefix_ids": ["system"], "prefix_block_tokens": 800}\n{"at_s": 1, "input_tokens": 900, "output_tokens": 2, "prefix_ids": [0, 3]}',
    );
    expect(requests.map(({ prefixIds, blockTokens }) => [prefixIds, blockTokens])).toEqual([
      [["system"], 800],
      [["0", "3"], 512],
    ]);
  });

  it("reads the Mooncake trace: milliseconds and blocks of 512 tokens", async () => {
    const { format, requests } = await parse(
      '{"timestamp": 27482, "input_length": 600, "output_length": 52, "hash_ids": [46, 47]}\n{"timestamp": 30535, "input_length": 1100, "output_length": 26, "hash_ids": [46, 47, 2366]}',
    );
    expect(format).toBe("mooncake");
    expect(requests).toEqual([
      { atMs: 0, inputTokens: 600, outputTokens: 52, prefixIds: ["46", "47"], blockTokens: 512 },
      {
        atMs: 3053,
        inputTokens: 1100,
        outputTokens: 26,
        prefixIds: ["46", "47", "2366"],
        blockTokens: 512,
      },
    ]);
  });

  it("reads the Azure trace to the tenth of a microsecond, across midnight, with other columns", async () => {
    const { format, requests } = await parseTrace(
      linesOf(
        "TIMESTAMP,NumImages,ContextTokens,GeneratedTokens\r\n2023-11-16 23:59:59.6805900,0,374,44\r\n2023-11-17 00:00:00.0000001,2,396,109",
      ),
      "t.csv",
    );
    expect(format).toBe("azure");
    expect(requests.map(({ inputTokens, outputTokens }) => [inputTokens, outputTokens])).toEqual([
      [374, 44],
      [396, 109],
    ]);
    // 0.3194101 s; a double holds milliseconds since 1970 to about 0.0002.
    expect(requests[1]?.atMs).toBeCloseTo(319.4101, 3);
  });

  it("reads time stamps with an offset", async () => {
    const { requests } = await parseTrace(
      [
        "TIMESTAMP,ContextTokens,GeneratedTokens",
        "2024-05-10 00:00:00.009930+00:00,2162,5",
        "2024-05-10 00:00:00.5+00:00,9,5",
      ],
      "t.csv",
    );
    expect(requests[1]?.atMs).toBeCloseTo(490.07, 3);
  });

  it("puts requests in order of arrival; those of one instant stay as they stand", async () => {
    const { requests } = await parse(
      ["5", "3", "5", "3"]
        .map((at, index) => `{"at_s": ${at}, "input_tokens": ${index + 1}, "output_tokens": 1}`)
        .join("\n"),
    );
    expect(requests.map(({ atMs, inputTokens }) => [atMs, inputTokens])).toEqual([
      [0, 2],
      [0, 4],
      [2000, 1],
      [2000, 3],
    ]);
  });

  const good = '{"at_s": 0, "input_tokens": 1, "output_tokens": 1}';
  it.each([
    ["", "data/t.jsonl", "the trace has no request"],
    ["hello", "data/t.jsonl:1", 'this is no line of a trace: "hello"'],
    [`${good}\n\n{"at_s": 1,`, "data/t.jsonl:3", "this is no JSON"],
    [`${good}\n[1]`, "data/t.jsonl:2", "this is no object"],
    [`${good}\n{"at_s": 1, "input_tokens": 3}`, "data/t.jsonl:2", "output_tokens is missing"],
    [`{"input_tokens": 3, "output_tokens": 1}`, "data/t.jsonl:1", "at_ms is missing"],
    [`{"at_s": "1", "input_tokens": 3}`, "data/t.jsonl:1", 'at_s must be a number, got "1"'],
    [
      `{"at_s": 1, "input_tokens": 0, "output_tokens": 1}`,
      "data/t.jsonl:1",
      "input_tokens must be a whole number from 1 on, got 0",
    ],
    [
      `{"timestamp": 1, "input_length": 5, "output_length": 1, "hash_ids": 7}`,
      "data/t.jsonl:1",
      "hash_ids must be a list of numbers or texts, got 7",
    ],
    [
      "TIMESTAMP,ContextTokens,GeneratedTokens\nyesterday,1,1",
      "data/t.jsonl:2",
      'TIMESTAMP must be a time, got "yesterday"',
    ],
    [
      "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.68,1",
      "data/t.jsonl:2",
      "GeneratedTokens must be a number",
    ],
  ])("says where %j is wrong", async (text, where, what) => {
    const complaint = await complaintOf(text);
    expect(complaint?.what).toContain(what);
    expect(complaint?.where).toBe(where);
    expect(complaint?.mend).toMatch(/./);
  });
});

describe("readTrace", () => {
  it("reads a file, and says when there is none", async () => {
    const folder = await mkdtemp(join(tmpdir(), "trace-"));
    try {
      const path = join(folder, "t.jsonl");
      await writeFile(path, '\uFEFF{"at_s": 4, "input_tokens": 1, "output_tokens": 1}\r\n');
      expect((await readTrace(path)).requests).toHaveLength(1);
      await expect(readTrace(join(folder, "none.jsonl"))).rejects.toThrow("there is no trace");
      await expect(readTrace(folder)).rejects.toThrow("can't be read");
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
