import { describe, expect, it } from "vitest";
import { counterGrowth, growthRatio } from "./counters.ts";
import { reading } from "./fixtures/trials.ts";

const readings = (...values: readonly (number | undefined)[]) =>
  values.map((promptTokensTotal, index) => reading(index, { promptTokensTotal }));

describe("the growth of a counter", () => {
  it.each([
    { name: "from first to last", values: [1000, 1200, 1500], growth: { kind: "grown", by: 500 } },
    { name: "nothing", values: [7, 7], growth: { kind: "grown", by: 0 } },
    {
      name: "past readings that failed",
      values: [undefined, 5, undefined, 9],
      growth: { kind: "grown", by: 4 },
    },
    { name: "one reading", values: [5, undefined], growth: { kind: "unread" } },
    { name: "no reading", values: [], growth: { kind: "unread" } },
    { name: "an engine that restarted", values: [1000, 40, 300], growth: { kind: "reset" } },
    {
      name: "an engine that restarted and counted beyond where it was",
      values: [1000, 40, 3000],
      growth: { kind: "reset" },
    },
  ])("$name", ({ values, growth }) => {
    expect(counterGrowth(readings(...values), "promptTokensTotal")).toEqual(growth);
  });

  it("is set against that of another counter", () => {
    const both = (part: readonly number[], whole: readonly number[]) =>
      growthRatio(
        whole.map((prefixQueriesTotal, index) =>
          reading(index, { prefixQueriesTotal, prefixHitsTotal: part[index] }),
        ),
        "prefixHitsTotal",
        "prefixQueriesTotal",
      );
    expect(both([10, 40], [100, 200])).toEqual({ kind: "ratio", part: 30, whole: 100 });
    expect(both([10, 10], [100, 100])).toEqual({ kind: "still" });
    expect(both([10, 0], [100, 200])).toEqual({ kind: "reset" });
    expect(both([], [100, 200])).toEqual({ kind: "unread" });
  });
});
