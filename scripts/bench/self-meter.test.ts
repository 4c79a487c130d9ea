import { describe, expect, it } from "vitest";
import type { ClientReading } from "./request-record.ts";
import { mergeReadings, startSelfMeter, threadCpu } from "./self-meter.ts";

describe("startSelfMeter", () => {
  it("tells a busy thread's share of a core and a blocked loop's delay", async () => {
    const meter = startSelfMeter();
    const untilMs = performance.now() + 60;
    // The histogram begins with its timer's first turn.
    await new Promise((resolve) => setTimeout(resolve, 15));
    while (performance.now() < untilMs);
    await new Promise((resolve) => setTimeout(resolve, 15));
    const reading = meter.stop();
    expect(reading.threads).toBe(1);
    expect(reading.cpuShare).toBeGreaterThan(0.05);
    expect(reading.cpuShare).toBeLessThan(1.2);
    expect(reading.eventLoopDelayMaxMs).toBeGreaterThan(10);
  });

  it("takes the kernel's counts before and after", () => {
    const counts = [
      { usedMs: 100, waitMs: 10 },
      { usedMs: 100, waitMs: 10 },
    ];
    const reading = startSelfMeter(() => counts.shift() ?? threadCpu()).stop();
    expect(reading).toMatchObject({ cpuShare: 0, cpuWaitShare: 0 });
  });

  it("says nothing of waiting where the host does not tell", () => {
    const reading = startSelfMeter(() => ({ usedMs: 1, waitMs: undefined })).stop();
    expect(reading).not.toHaveProperty("cpuWaitShare");
  });
});

describe("mergeReadings", () => {
  it("is the busiest thread's, with the pauses of all", () => {
    const one: ClientReading = {
      threads: 1,
      cpuShare: 0.2,
      cpuWaitShare: 0.01,
      eventLoopDelayP99Ms: 3,
      eventLoopDelayMaxMs: 4,
      gcPauseTotalMs: 1,
    };
    const other = { ...one, cpuShare: 0.1, eventLoopDelayMaxMs: 9, gcPauseTotalMs: 2.5 };
    expect(mergeReadings([one, other])).toEqual({
      threads: 2,
      cpuShare: 0.2,
      cpuWaitShare: 0.01,
      eventLoopDelayP99Ms: 3,
      eventLoopDelayMaxMs: 9,
      gcPauseTotalMs: 3.5,
    });
  });
});
