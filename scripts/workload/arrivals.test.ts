import { describe, expect, it } from "vitest";
import type { Arrivals } from "../experiment/experiment.ts";
import { arrivalTimes, type OpenLoad, replayTimes } from "./arrivals.ts";

const rate = (arrivals: Arrivals, requestRatePerS = 20): OpenLoad => ({
  kind: "rate",
  requestRatePerS,
  arrivals,
});
const ramp = (arrivals: Arrivals, fromPerS = 1, toPerS = 20, durationMs = 120_000): OpenLoad => ({
  kind: "ramp",
  name: "ramp",
  fromPerS,
  toPerS,
  durationMs,
  arrivals,
});
function take(times: Iterable<number>, count: number): readonly number[] {
  const taken: number[] = [];
  for (const time of times) {
    taken.push(time);
    if (taken.length === count) break;
  }
  return taken;
}
const first = (load: OpenLoad, count: number, seed = "seed"): readonly number[] =>
  take(arrivalTimes(load, { seed }), count);
const gapsOf = (times: readonly number[]): readonly number[] =>
  times.map((time, index) => time - (times[index - 1] ?? 0));
const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
const cv = (values: readonly number[]): number => {
  const center = mean(values);
  return Math.sqrt(mean(values.map((value) => (value - center) ** 2))) / center;
};

/** Largest distance between the sample's distribution and `cdf`. */
function kolmogorovDistance(values: readonly number[], cdf: (x: number) => number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return Math.max(
    ...sorted.map((value, index) =>
      Math.max(cdf(value) - index / sorted.length, (index + 1) / sorted.length - cdf(value)),
    ),
  );
}
/** Beyond this distance a right generator comes in 1 % of samples (Kolmogorov's distribution). */
const criticalDistance = (n: number): number => 1.628 / Math.sqrt(n);

/** By its series, for x from 0 to 4. */
function erf(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 1; n < 100; n += 1) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

const count = 20_000;

describe("arrivalTimes of a rate", () => {
  it("are at even distances when constant, from the load's begin on", () => {
    expect(first(rate({ kind: "constant" }), 4)).toEqual([0, 50, 100, 150]);
  });

  it("come so many at once, at even distances, in bursts", () => {
    // 20 a second, 4 at once: every 200 ms.
    expect(first(rate({ kind: "burst", size: 4 }), 9)).toEqual([
      0, 0, 0, 0, 200, 200, 200, 200, 400,
    ]);
  });

  it("have exponential gaps when Poisson", () => {
    const gaps = gapsOf(first(rate({ kind: "poisson" }), count));
    expect(kolmogorovDistance(gaps, (ms) => 1 - Math.exp(-ms / 50))).toBeLessThan(
      criticalDistance(count),
    );
    // The standard error of the mean is 1 / sqrt(n) of it: 0.7 %; of the cv about as much.
    expect(mean(gaps) / 50).toBeCloseTo(1, 1.5);
    expect(cv(gaps)).toBeCloseTo(1, 1.5);
  });

  it("have counts per second whose variance is their mean when Poisson", () => {
    const counts = new Map<number, number>();
    for (const ms of first(rate({ kind: "poisson" }), count)) {
      const second = Math.floor(ms / 1000);
      counts.set(second, (counts.get(second) ?? 0) + 1);
    }
    const seconds = Math.max(...counts.keys());
    const perSecond = Array.from({ length: seconds }, (_, second) => counts.get(second) ?? 0);
    const center = mean(perSecond);
    const dispersion = mean(perSecond.map((value) => (value - center) ** 2)) / center;
    expect(center).toBeCloseTo(20, 0);
    // Its standard error over 1000 seconds is sqrt(2 / 1000) = 0.045.
    expect(Math.abs(dispersion - 1)).toBeLessThan(0.12);
  });

  it.each([
    // Of unit scale: erf(sqrt x) for a shape of 1/2; 1 - e^-x (1 + x + x^2/2 + x^3/6) for 4.
    [0.5, (x: number) => erf(Math.sqrt(Math.min(x, 16)))],
    [1, (x: number) => 1 - Math.exp(-x)],
    [4, (x: number) => 1 - Math.exp(-x) * (1 + x + x ** 2 / 2 + x ** 3 / 6)],
  ] as const)("have gamma gaps of shape %d", (shape, cdf) => {
    const gaps = gapsOf(first(rate({ kind: "gamma", shape }), count));
    // Mean 50 ms: scale 50 / shape.
    const distance = kolmogorovDistance(gaps, (ms) => cdf((ms * shape) / 50));
    expect(distance).toBeLessThan(criticalDistance(count));
    expect(Math.abs(mean(gaps) / 50 - 1)).toBeLessThan(0.03);
    expect(cv(gaps) * Math.sqrt(shape)).toBeCloseTo(1, 1);
  });

  it("are the same for the same seed, and others for another", () => {
    const load = rate({ kind: "gamma", shape: 0.5 });
    expect(first(load, 100)).toEqual(first(load, 100));
    expect(first(load, 100)).not.toEqual(first(load, 100, "other"));
  });

  it("keep their pattern from rate to rate: only the scale changes", () => {
    const slow = first(rate({ kind: "poisson" }, 1), 50);
    const quick = first(rate({ kind: "poisson" }, 8), 50);
    slow.forEach((ms, index) => {
      expect(quick[index]).toBeCloseTo(ms / 8, 9);
    });
  });
});

describe("arrivalTimes of a ramp", () => {
  // From 1 to 20 a second over 120 s: t + 19 t^2 / 240 arrivals are expected until t, 1260 in all.
  const expectedUntil = (seconds: number): number => seconds + (19 * seconds ** 2) / 240;

  it("follow the integrated rate to within one when constant", () => {
    const times = first(ramp({ kind: "constant" }), 1260);
    times.forEach((ms, index) => {
      expect(expectedUntil(ms / 1000)).toBeCloseTo(index, 6);
    });
    expect(times.at(-1)).toBeLessThan(120_000);
  });

  it("stay at the last rate afterwards", () => {
    const [last = 0, next = 0] = first(ramp({ kind: "constant" }), 1300).slice(-2);
    expect(next - last).toBeCloseTo(50, 6);
  });

  it("are Poisson with that rate: exponential in the integrated rate, and as many in every part", () => {
    const times = first(ramp({ kind: "poisson" }, 10, 200), 12_600).filter((ms) => ms < 120_000);
    const until = (ms: number): number => 10 * expectedUntil(ms / 1000);
    const gaps = gapsOf(times.map(until));
    expect(kolmogorovDistance(gaps, (x) => 1 - Math.exp(-x))).toBeLessThan(
      criticalDistance(gaps.length),
    );
    const parts = Array.from({ length: 10 }, (_, part) => {
      const [from, to] = [part * 12_000, (part + 1) * 12_000];
      const expected = until(to) - until(from);
      const seen = times.filter((ms) => ms >= from && ms < to).length;
      return (seen - expected) ** 2 / expected;
    });
    // 99 % quantile of chi-square with 10 degrees of freedom.
    expect(parts.reduce((sum, part) => sum + part, 0)).toBeLessThan(23.21);
  });

  it("also go down", () => {
    const times = first(ramp({ kind: "constant" }, 20, 1), 1261);
    // Mirrored: the count that is left after t is the one that had come by 120 - t.
    times.slice(0, 1260).forEach((ms, index) => {
      expect(1260 - expectedUntil(120 - ms / 1000)).toBeCloseTo(index, 6);
    });
    expect(times.at(-1)).toBeCloseTo(120_000, 3);
  });

  it("have a lead-in at the first rate", () => {
    const times = arrivalTimes(ramp({ kind: "constant" }), { seed: "s", leadIn: 3 });
    const [a, b, c, d = 0] = take(times, 4);
    expect([a, b, c]).toEqual([0, 1000, 2000]);
    expect(expectedUntil((d - 2000) / 1000)).toBeCloseTo(1, 9);
  });
});

describe("arrivalTimes of a trace", () => {
  it("are its own, and end with it", () => {
    const traceAtMs = replayTimes([{ atMs: 0 }, { atMs: 100 }, { atMs: 100 }, { atMs: 350 }], 2);
    const load = { kind: "trace", name: "t", path: "t", speed: 2 } as const;
    expect([...arrivalTimes(load, { seed: "s", traceAtMs })]).toEqual([0, 50, 50, 175]);
  });
});
