// Points for tests of charts: plain numbers in, everything else filled in as a run would have it.

import type { ChartPoint, ChartValue } from "../report/chart-data.ts";

/** A value with a symmetric interval and three rounds around it; no interval and one round without `half`. */
export function value(mean: number, half?: number): ChartValue {
  const rounds = half === undefined ? [mean] : [mean - half / 2, mean, mean + half / 2];
  return {
    value: mean,
    low: half === undefined ? undefined : mean - half,
    high: half === undefined ? undefined : mean + half,
    halfWidth: half,
    perRound: rounds.map((of, index) => ({ round: index + 1, value: of })),
  };
}

export interface PointOptions {
  readonly place?: number;
  readonly achieved?: number | undefined;
  readonly verdict?: ChartPoint["verdict"];
}

/** A point of a closed loop; its achieved concurrency is the planned one unless given. */
export function point(
  variant: string,
  planned: number,
  metrics: ChartPoint["metrics"],
  options: PointOptions = {},
): ChartPoint {
  const { place = 0, verdict = "valid" } = options;
  const achieved = "achieved" in options ? options.achieved : planned;
  return {
    variant,
    variantLabel: variant,
    colorIndex: place,
    name: `${variant}/c${planned}`,
    plannedConcurrency: planned,
    achievedConcurrency:
      achieved === undefined ? undefined : { value: achieved, low: undefined, high: undefined },
    verdict,
    metrics,
  };
}

/** Two variants at 1, 4 and 8 in flight, all metrics of all charts, q8 clearly ahead. */
export function twoVariants(): readonly ChartPoint[] {
  const loads = [1, 4, 8];
  return [
    ...loads.map((load) =>
      point("fp32", load, metricsAt(60 * load ** 0.5, 10 * load, 20 * load ** 0.4)),
    ),
    ...loads.map((load) =>
      point("q8", load, metricsAt(80 * load ** 0.5, 8 * load, 14 * load ** 0.4), { place: 1 }),
    ),
  ];
}

function metricsAt(outputTps: number, ttftMs: number, tpotMs: number): ChartPoint["metrics"] {
  return {
    output_tps: value(outputTps, outputTps * 0.02),
    "ttft.mean": value(ttftMs, ttftMs * 0.03),
    "ttft.p50": value(ttftMs * 0.9, ttftMs * 0.03),
    "ttft.p90": value(ttftMs * 1.5, ttftMs * 0.1),
    "tpot.mean": value(tpotMs, tpotMs * 0.01),
    decode_tps: value(1000 / tpotMs, 10 / tpotMs),
  };
}
