import { describe, expect, it } from "vitest";
import { createSchedule, type ScheduleOptions } from "./schedule.ts";

const everySecond: ScheduleOptions = {
  load: { kind: "rate", requestRatePerS: 1, arrivals: { kind: "constant" } },
  seed: "s",
  window: "handover",
  warmupRequests: 2,
  measured: { kind: "count", requests: 3 },
};

const firstOf = (options: ScheduleOptions, arrivals: number): readonly string[] => {
  const schedule = createSchedule(options);
  return Array.from({ length: arrivals }, () => {
    const next = schedule.next();
    return next === undefined ? "none" : `${next.number} ${next.dueAtMs} ${next.phase}`;
  });
};

describe("createSchedule", () => {
  it("goes from warm-up to measured to filler by number", () => {
    expect(firstOf(everySecond, 7)).toEqual([
      "0 0 warmup",
      "1 1000 warmup",
      "2 2000 measured",
      "3 3000 measured",
      "4 4000 measured",
      "5 5000 filler",
      "6 6000 filler",
    ]);
  });

  it("measures what is due within a duration from the first measured arrival on", () => {
    const measured = { kind: "duration", durationMs: 2000 } as const;
    expect(firstOf({ ...everySecond, measured }, 5).slice(2)).toEqual([
      "2 2000 measured",
      "3 3000 measured",
      "4 4000 filler",
    ]);
  });

  it("ends with the measured ones in a fixed window", () => {
    expect(firstOf({ ...everySecond, window: "fixed" }, 6).slice(4)).toEqual([
      "4 4000 measured",
      "none",
    ]);
  });

  it("measures a whole ramp, from the last arrival before it on", () => {
    const options: ScheduleOptions = {
      ...everySecond,
      // 1 + 3 over 2 s: 4 arrivals expected; the rate at its end is 3 per second.
      load: {
        kind: "ramp",
        name: "r",
        fromPerS: 1,
        toPerS: 3,
        durationMs: 2000,
        arrivals: { kind: "constant" },
      },
      measured: { kind: "duration", durationMs: 2000 },
    };
    const schedule = createSchedule(options);
    const arrivals = Array.from({ length: 7 }, () => schedule.next());
    expect(arrivals.map((arrival) => arrival?.phase)).toEqual([
      ...Array<string>(2).fill("warmup"),
      ...Array<string>(3).fill("measured"),
      ...Array<string>(2).fill("filler"),
    ]);
    // Begins at 1000 ms. n = t + t^2 / 2: t = sqrt(1 + 2n) - 1 for n = 1, 2, 3; n = 4 at its end, 2 s.
    const dueS = arrivals.map((arrival) => (arrival?.dueAtMs ?? Number.NaN) / 1000);
    [0, 1, Math.sqrt(3), Math.sqrt(5), Math.sqrt(7), 3, 3 + 1 / 3].forEach((expected, index) => {
      expect(dueS[index]).toBeCloseTo(expected, 9);
    });
    expect(schedule.measuredTotal).toBe(3);
  });

  it("replays a trace to its end, all of it or as many as are asked for", () => {
    const trace: ScheduleOptions = {
      ...everySecond,
      load: { kind: "trace", name: "t", path: "t.jsonl", speed: 1 },
      traceAtMs: Float64Array.of(0, 5, 5, 9),
      warmupRequests: 1,
      measured: { kind: "all" },
    };
    expect(firstOf(trace, 5)).toEqual([
      "0 0 warmup",
      "1 5 measured",
      "2 5 measured",
      "3 9 measured",
      "none",
    ]);
    expect(firstOf({ ...trace, measured: { kind: "count", requests: 2 } }, 4)[3]).toBe(
      "3 9 filler",
    );
  });

  it("knows the phase of any time up to its latest arrival", () => {
    const schedule = createSchedule(everySecond);
    for (let index = 0; index < 6; index += 1) schedule.next();
    expect([0, 1999, 2000, 4999, 5000].map((atMs) => schedule.phaseAt(atMs))).toEqual([
      "warmup",
      "warmup",
      "measured",
      "measured",
      "filler",
    ]);
    expect(schedule.measuredTotal).toBe(3);
  });
});
