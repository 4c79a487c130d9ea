import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { compareCells } from "./comparison.ts";
import { neededRounds, tInterval } from "./intervals.ts";
import { welchRatio } from "./ratios.ts";

const bf16 = [2.41, 2.47, 2.44];
const fp32 = [3.31, 3.18, 3.26];
const rounds = (values: readonly number[]): readonly { round: number; value: number }[] =>
  values.map((value, index) => ({ round: index + 1, value }));

describe("the example in docs/statistics.md", () => {
  it.each(["statistics.md", "statistics.zh.md"])("is what the code gives: %s", (page) => {
    const text = readFileSync(join(import.meta.dirname, "../../docs", page), "utf8");
    const t = tInterval(bf16);
    const [cell] = compareCells(
      [{ point: "c4", metric: "ttft.mean", a: rounds(fp32), b: rounds(bf16) }],
      {
        paired: true,
      },
    ).cells;
    const welch = welchRatio(fp32, bf16);
    if (welch.kind !== "ratio") throw new Error("two sides of three rounds have a ratio");
    const said = [
      `${t?.mean.toFixed(2)} ± ${t?.half.toFixed(2)} s`,
      `${cell?.ratio?.toFixed(2)} [${cell?.low?.toFixed(2)}, ${cell?.high?.toFixed(2)}]`,
      `p = ${cell?.p?.toFixed(4)}`,
      (8 * (cell?.p ?? 0)).toFixed(3),
      `[${welch.low.toFixed(2)}, ${welch.high.toFixed(2)}]`,
    ];
    for (const one of said) expect(text).toContain(one);
    expect(cell?.outcome).toBe("differs");
    expect(neededRounds(0.0123, 0.02)).toBe(4);
  });
});
