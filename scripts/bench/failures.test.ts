import { describe, expect, it } from "vitest";
import { failuresAllowed, restAfterFailuresMs } from "./failures.ts";

const share = (failureShare: number) => ({ failureShare, failureCount: undefined });

describe("failuresAllowed", () => {
  it("forgives one failure early on, whatever the share", () => {
    expect(failuresAllowed(share(0.01), { expected: 2, finished: 1 })).toBe(1);
  });
  it("counts over at least 20 requests and those expected soon, as long as more are to come", () => {
    expect(failuresAllowed(share(0.5), { expected: 8, finished: 4 })).toBe(10);
    expect(failuresAllowed(share(0.5), { expected: 80, finished: 4 })).toBe(40);
    expect(failuresAllowed(share(0.5), { expected: 8, finished: 400 })).toBe(200);
    expect(failuresAllowed(share(0.5), { expected: 80, finished: 4, isLast: true })).toBe(2);
  });
  it("forgives nothing when a limit is 0", () => {
    expect(failuresAllowed(share(0), { expected: 8, finished: 400 })).toBe(0);
    expect(
      failuresAllowed({ failureShare: 1, failureCount: 0 }, { expected: 8, finished: 400 }),
    ).toBe(0);
  });
  it("takes the smaller of share and count", () => {
    const both = { failureShare: 0.5, failureCount: 20 };
    expect(failuresAllowed(both, { expected: 0, finished: 30 })).toBe(15);
    expect(failuresAllowed(both, { expected: 0, finished: 300 })).toBe(20);
  });
});

describe("restAfterFailuresMs", () => {
  it("doubles from 50 ms up to a second, and starts again after a success", () => {
    expect([0, 1, 2, 3, 4, 5, 6, 60].map(restAfterFailuresMs)).toEqual([
      0, 50, 100, 200, 400, 800, 1000, 1000,
    ]);
  });
});
