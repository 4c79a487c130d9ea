import { describe, expect, it } from "vitest";
import { findRun, newRunId } from "./run-id.ts";

describe("a run's id", () => {
  it("is UTC time, experiment and four hex digits", () => {
    const at = Date.parse("2025-12-19T18:39:40.987+08:00");
    // 0x3fa2 = 16290; the middle of its share of [0, 1).
    expect(newRunId("quickstart", at, () => 16290.5 / 65536)).toBe(
      "20251219T103940Z-quickstart-3fa2",
    );
    expect(newRunId("chat", at, () => 0)).toBe("20251219T103940Z-chat-0000");
  });
});

describe("finding a run", () => {
  const runs = [
    "20251218T103940Z-quickstart-0a0a",
    "20251219T103940Z-quickstart-3fa2",
    "20251219T113940Z-chat-77aa",
  ];

  it("takes the whole id, a beginning, an end, or latest", () => {
    expect(findRun("20251218T103940Z-quickstart-0a0a", runs)).toBe(runs[0]);
    expect(findRun("20251218", runs)).toBe(runs[0]);
    expect(findRun("3fa2", runs)).toBe(runs[1]);
    expect(findRun("latest", runs)).toBe(runs[2]);
  });

  it("takes an exact id that is also the beginning of another", () => {
    expect(findRun("a", ["a", "ab"])).toBe("a");
  });

  it("refuses what fits several, and names them", () => {
    expect(() => findRun("20251219", runs)).toThrow(/fits 2 runs: .*3fa2, .*77aa/);
    expect(() => findRun("", runs)).toThrow(/no run named ""/);
  });

  it("names the nearest of what fits none", () => {
    expect(() => findRun("20251219T113940Z-chat-77ab", runs)).toThrow(
      /no run named "20251219T113940Z-chat-77ab"\n {2}mend 20251219T113940Z-chat-77aa/,
    );
  });

  it("says how to make the first run when there is none", () => {
    expect(() => findRun("latest", [])).toThrow(/there is no run yet\n {2}mend `benchbook run/);
  });
});
