import { describe, expect, it } from "vitest";
import { failuresAllowed, restAfterFailuresMs } from "./failures.ts";

describe("failuresAllowed", () => {
  it("forgives one failure early on, whatever the share", () => {
    expect(failuresAllowed({ failureShare: 0.01, concurrency: 1, finished: 1 })).toBe(1);
  });
  it("counts over at least 20 requests and two per slot", () => {
    expect(failuresAllowed({ failureShare: 0.5, concurrency: 4, finished: 4 })).toBe(10);
    expect(failuresAllowed({ failureShare: 0.5, concurrency: 40, finished: 4 })).toBe(40);
    expect(failuresAllowed({ failureShare: 0.5, concurrency: 4, finished: 400 })).toBe(200);
  });
  it("forgives nothing when the limit is 0", () => {
    expect(failuresAllowed({ failureShare: 0, concurrency: 4, finished: 400 })).toBe(0);
  });
});

describe("restAfterFailuresMs", () => {
  it("doubles from 50 ms up to a second, and starts again after a success", () => {
    expect([0, 1, 2, 3, 4, 5, 6, 60].map(restAfterFailuresMs)).toEqual([
      0, 50, 100, 200, 400, 800, 1000, 1000,
    ]);
  });
});
