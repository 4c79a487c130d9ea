// When the requests of an open loop are due: constant, Poisson, gamma and burst arrivals at a rate or
// over a ramp, and those of a trace. Pure: the same load and seed give the same times in every thread.
import type { Arrivals, Load } from "../experiment/experiment.ts";
import { seededRandom } from "../experiment/random.ts";

/** Loads whose requests arrive whether or not earlier ones were answered. */
export type OpenLoad = Exclude<Load, { readonly kind: "concurrency" }>;

export interface ArrivalOptions {
  /** Of two loads with the same seed requests are due at the same times. */
  readonly seed: string;
  /** Arrivals at a ramp's first rate before it begins. */
  readonly leadIn?: number;
  /** Of a trace: its arrivals, already at the load's speed (`replayTimes`). */
  readonly traceAtMs?: Float64Array;
}

/**
 * When each request is due, ascending, ms from the load's begin. Without end for a rate, and for a
 * ramp, which stays at its last rate; a trace ends.
 */
export function* arrivalTimes(
  load: OpenLoad,
  { seed, leadIn = 0, traceAtMs = new Float64Array(0) }: ArrivalOptions,
): Generator<number, void, undefined> {
  if (load.kind === "trace") yield* traceAtMs;
  else if (load.kind === "rate") {
    const msPerArrival = 1000 / load.requestRatePerS;
    for (const place of unitArrivals(load.arrivals, seed)) yield place * msPerArrival;
  } else {
    const rampAtMs = rampTimes(load);
    let before = 0;
    let count = 0;
    for (const place of unitArrivals(load.arrivals, seed)) {
      if (count < leadIn) before = place;
      count += 1;
      yield (before / load.fromPerS) * 1000 + (count <= leadIn ? 0 : rampAtMs(place - before));
    }
  }
}

/** When the requests of a trace are due at a speed: 2 halves the distances. */
export function replayTimes(
  requests: readonly { readonly atMs: number }[],
  speed: number,
): Float64Array {
  return Float64Array.from(requests, ({ atMs }) => atMs / speed);
}

/**
 * When, from a ramp's begin, so many arrivals are to be expected: the inverse of the integrated
 * rate f t + (g - f) t^2 / 2D, and the last rate g after it. Arrivals at a mean of one per unit, put
 * through it, arrive at the ramp's rate (time change of a renewal process).
 */
function rampTimes({
  fromPerS,
  toPerS,
  durationMs,
}: Extract<Load, { kind: "ramp" }>): (expected: number) => number {
  const growth = (toPerS - fromPerS) / (durationMs / 1000);
  const expectedAtEnd = ((fromPerS + toPerS) / 2) * (durationMs / 1000);
  return (expected) => {
    if (expected > expectedAtEnd) return durationMs + ((expected - expectedAtEnd) / toPerS) * 1000;
    // 2n / (f + sqrt(f^2 + 2 growth n)): the root without a difference of like numbers.
    const root = Math.sqrt(Math.max(0, fromPerS ** 2 + 2 * growth * expected));
    return ((2 * expected) / (fromPerS + root)) * 1000;
  };
}

/** Places on a line with a mean distance of 1, ascending without end. */
function* unitArrivals(arrivals: Arrivals, seed: string): Generator<number, never, undefined> {
  const random = seededRandom(`${seed}/arrivals`);
  switch (arrivals.kind) {
    case "constant":
      for (let index = 0; ; index += 1) yield index;
    case "burst":
      for (let index = 0; ; index += 1) yield index - (index % arrivals.size);
    case "poisson":
      for (let place = 0; ; ) yield (place += exponential(random));
    case "gamma":
      for (let place = 0; ; ) yield (place += gamma(arrivals.shape, random) / arrivals.shape);
  }
}

/** Mean 1. */
function exponential(random: () => number): number {
  // random() is below 1, so the logarithm is finite.
  return -Math.log1p(-random());
}

/**
 * Mean `shape`, scale 1. Marsaglia and Tsang, "A simple method for generating gamma variables", ACM
 * TOMS 26 (2000); for a shape below 1 by their boost: gamma(shape + 1) u^(1 / shape).
 */
function gamma(shape: number, random: () => number): number {
  if (shape < 1) return gamma(shape + 1, random) * (1 - random()) ** (1 / shape);
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = normal(random);
    const v = (1 + c * x) ** 3;
    if (v <= 0) continue;
    const u = 1 - random();
    if (Math.log(u) < x ** 2 / 2 + d - d * v + d * Math.log(v)) return d * v;
  }
}

/** Standard normal: Box and Muller (1958). */
function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
