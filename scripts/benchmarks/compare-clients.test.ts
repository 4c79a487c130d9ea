import { describe, expect, it } from "vitest";
import {
  compareClients,
  compareWithServer,
  describeComparison,
  type Measured,
  outputRange,
  type Pair,
} from "./compare-clients.ts";

const told = (ttftMs: number): Measured => ({
  medians: { ttftMs, tpotMs: 10, itlMs: 10 },
  means: { ttftMs: ttftMs + 5, tpotMs: 10, itlMs: 10 },
  serverMeans: { ttftMs: ttftMs + 2, tpotMs: 9, itlMs: 9 },
  requests: 40,
  inputTokens: 40 * 512,
  outputTokens: 40 * 64,
  outputChunks: 40 * 64,
});

const pair = (benchbookMs: number, vllmBenchMs: number): Pair => ({
  first: "benchbook",
  benchbook: told(benchbookMs),
  vllmBench: told(vllmBenchMs),
});

describe("compareClients", () => {
  it("gives the geometric mean of the pairs' ratios with a t interval of their logarithms", () => {
    // Ratios 0.98 and 1.02: logs -0.0202027 and 0.0198026, mean -0.0002000, sd 0.0282880;
    // t(0.975, 1) = 12.7062; half = 12.7062 x 0.0282880 / sqrt 2 = 0.254163.
    const [ttft] = compareClients(4, [pair(98, 100), pair(102, 100)]);
    expect(ttft?.ratio).toBeCloseTo(Math.exp(-0.0002), 6);
    expect(ttft?.low).toBeCloseTo(Math.exp(-0.0002 - 0.254163), 4);
    expect(ttft?.high).toBeCloseTo(Math.exp(-0.0002 + 0.254163), 4);
    expect(ttft).toMatchObject({ metric: "ttft", benchbookMs: 100, vllmBenchMs: 100 });
  });

  it("says where the interval lies against the band of 5 %", () => {
    const against = (...pairs: Pair[]) => compareClients(1, pairs)[0]?.against;
    expect(against(pair(100, 100), pair(100.1, 100), pair(99.9, 100))).toBe("inside");
    expect(against(pair(104, 100), pair(106, 100), pair(105, 100))).toBe("meets");
    expect(against(pair(120, 100), pair(121, 100), pair(122, 100))).toBe("apart");
  });

  it("gives nothing for one pair, whose spread was not measured", () => {
    expect(compareClients(1, [pair(100, 100)])).toEqual([]);
  });

  it("is told in tables with a line for each metric and client", () => {
    const pairs = [pair(100, 100), pair(101, 100)];
    const text = describeComparison(compareClients(4, pairs), compareWithServer(4, pairs));
    const lines = text.trimEnd().split("\n");
    expect(lines).toHaveLength(4 + 1 + 7);
    expect(lines[1]).toMatch(/^4 +TTFT +100\.50 +100\.00 +1\.005 +\[0\.943, 1\.071\] +meets$/);
    expect(lines[6]).toMatch(/^4 +TTFT +benchbook +102\.50 +3\.00$/);
  });
});

describe("compareWithServer", () => {
  it("gives each client's mean minus the server's, as medians over the pairs", () => {
    const rows = compareWithServer(1, [pair(100, 90), pair(104, 92), pair(102, 94)]);
    expect(rows).toHaveLength(6);
    expect(rows[0]).toEqual({
      concurrency: 1,
      metric: "ttft",
      client: "benchbook",
      serverMs: 104,
      excessMs: 3,
    });
    expect(rows[1]).toMatchObject({ client: "vllmBench", serverMs: 94 });
  });
});

describe("outputRange", () => {
  it("rounds outwards, as vllm bench does, and never below one token", () => {
    const load = { concurrency: 1, requests: 1, inputTokens: 8, outputTokens: 10 };
    expect(outputRange({ ...load, outputSpread: 0 })).toEqual({ low: 10, high: 10 });
    expect(outputRange({ ...load, outputSpread: 0.25 })).toEqual({ low: 7, high: 13 });
    expect(outputRange({ ...load, outputTokens: 1, outputSpread: 0.5 })).toEqual({
      low: 1,
      high: 2,
    });
  });
});
