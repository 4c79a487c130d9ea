import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Point } from "../experiment/plan.ts";
import { checkTraces } from "./check-traces.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "traces-"));
  const lines = [10, 900, 20].map((tokens, second) =>
    JSON.stringify({ at_s: second, input_tokens: tokens, output_tokens: 5 }),
  );
  await writeFile(join(folder, "t.jsonl"), lines.join("\n"));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

const pointOf = (path: string, changes: Partial<Point> = {}): Point => ({
  name: "a/t",
  variant: "a",
  workload: "w",
  load: { kind: "trace", name: "t", path, speed: 1 },
  warmupRequests: 0,
  measured: { kind: "all" },
  ...changes,
});

describe("checkTraces", () => {
  it("knows the longest request of a trace that can be replayed", async () => {
    expect(await checkTraces([pointOf("t.jsonl")], folder)).toEqual({
      problems: [],
      longestRequestTokens: 905,
    });
  });

  it("says when a trace has fewer requests than are asked for", async () => {
    const measured = { kind: "count", requests: 3 } as const;
    const { problems } = await checkTraces(
      [pointOf("t.jsonl", { measured }), pointOf("t.jsonl", { measured, warmupRequests: 1 })],
      folder,
    );
    expect(problems).toEqual([
      {
        what: "point a/t: t.jsonl has 3 requests, and 4 are asked for",
        where: "measure",
        mend: "take warmup and requests out of measure: then the whole trace is measured",
      },
    ]);
  });

  it("says once that a trace is not there, and nothing of other loads", async () => {
    const { problems, longestRequestTokens } = await checkTraces(
      [
        pointOf("none.jsonl"),
        pointOf("none.jsonl"),
        pointOf("", { load: { kind: "concurrency", concurrency: 1 } }),
      ],
      folder,
    );
    expect(problems.map(({ what }) => what)).toEqual([
      expect.stringMatching(/^there is no trace .*none\.jsonl$/),
    ]);
    expect(longestRequestTokens).toBeUndefined();
  });
});
