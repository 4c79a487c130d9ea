import { describe, expect, it } from "vitest";
import { editDistance, nearest, nearestFew } from "./nearest.ts";

describe("editDistance", () => {
  // kitten -> sitten -> sittin -> sitting; a swap of neighbours is one edit.
  it.each([
    ["kitten", "sitting", 3],
    ["", "abc", 3],
    ["abc", "abc", 0],
    ["ab", "ba", 1],
    ["rounds", "ruonds", 1],
  ])("%s -> %s", (from, to, edits) => {
    expect(editDistance(from, to)).toBe(edits);
    expect(editDistance(to, from)).toBe(edits);
  });
});

describe("nearest", () => {
  it("sees past case, dashes and underscores", () => {
    expect(nearest("Per_GPU_Hour", ["per-gpu-hour", "currency"])).toBe("per-gpu-hour");
  });

  it("offers nothing where nothing is near", () => {
    expect(nearest("zebra", ["rounds", "repeats"])).toBeUndefined();
    expect(nearest("", ["rounds"])).toBeUndefined();
    expect(nearest("x", [])).toBeUndefined();
  });

  it("orders the few by nearness", () => {
    expect(nearestFew("fp8/c5", ["q8/c40", "fp8/c4", "fp8/c400"], 2)).toEqual([
      "fp8/c4",
      "fp8/c400",
    ]);
  });
});
