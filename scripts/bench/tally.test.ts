import { describe, expect, it } from "vitest";
import { createTally, newTrialMemory } from "./tally.ts";

describe("createTally", () => {
  it("counts for all that share its memory", () => {
    const memory = newTrialMemory();
    const [one, other] = [createTally(memory), createTally(memory)];
    expect(one.add("completed")).toBe(1);
    expect(other.add("completed", 4)).toBe(5);
    expect(one.read("completed")).toBe(5);
    expect(one.change("measuredTotal", 0, 7)).toBe(true);
    expect(other.change("measuredTotal", 0, 9)).toBe(false);
    expect(other.read("measuredTotal")).toBe(7);
  });

  it("keeps the first of a time, to the microsecond, and none until it is set", () => {
    const memory = newTrialMemory();
    const [one, other] = [createTally(memory), createTally(memory)];
    expect(one.timeOf("opened")).toBeUndefined();
    expect(other.setTime("opened", 0)).toBe(0);
    expect(one.setTime("opened", 3)).toBe(0);
    expect(one.setTime("firstMeasured", 1234.5678)).toBe(1234.568);
  });

  it("keeps the first end, and its reason, for all", () => {
    const memory = newTrialMemory();
    const [one, other] = [createTally(memory), createTally(memory)];
    expect(one.outcome).toBeUndefined();
    expect(one.end({ kind: "aborted", reason: "服务端无响应" })).toBe(true);
    expect(other.end({ kind: "complete" })).toBe(false);
    expect(other.outcome).toEqual({ kind: "aborted", reason: "服务端无响应" });
  });

  it("cuts a reason that is too long between characters", () => {
    const tally = createTally();
    tally.end({ kind: "aborted", reason: "啊".repeat(3000) });
    const { outcome } = tally;
    // 4096 bytes hold 1365 characters of three bytes.
    expect(outcome).toEqual({ kind: "aborted", reason: "啊".repeat(1365) });
  });
});
