// What people are told of a plan before it runs: how much of each point, in what order, how long open
// loops take, and what the results will not say.
import { formatDuration, formatNumber } from "../units.ts";
import type { Load } from "./experiment.ts";
import { percentileFloor } from "./percentile-floor.ts";
import {
  firstRatePerS,
  type Plan,
  type Point,
  type Round,
  roundsForSure,
  type Trial,
} from "./plan.ts";

export interface PlanSummary {
  readonly title: string;
  readonly rows: readonly {
    readonly point: string;
    /** "24 (8 before)": measured, and warm-up before them. */
    readonly requestsPerTrial: string;
    /** At most, where rounds are on demand. */
    readonly trials: number;
    /** Warm-up and measured, over all trials. */
    readonly requests: string;
  }[];
  /** One line a round: its starts in order, each with its loads. */
  readonly order: readonly string[];
  readonly starts: number;
  /** Every trial, in order. */
  readonly trials: readonly Trial[];
  /**
   * Warm-up and measured, over all trials; of rates and ramps what is expected. Without what a whole
   * trace has, or a closed loop sends in a fixed time.
   */
  readonly requests: number;
  /** Rounds of each point; `least` below `most`: on demand, and what is counted above is the most. */
  readonly rounds: { readonly least: number; readonly most: number };
  readonly notes: readonly string[];
}

/** What `benchbook plan` shows of a plan. */
export function planSummary(plan: Plan): PlanSummary {
  const { experiment, points, rounds, roundCount } = plan;
  const trialsPerPoint = roundCount * experiment.measure.repeats;
  const rows = points.map((point) => {
    const { name, warmupRequests, measured } = point;
    const before = warmupRequests === 0 ? "" : ` (${warmupRequests} before)`;
    return {
      point: name,
      requestsPerTrial: `${describeMeasured(measured)}${before}`,
      trials: trialsPerPoint,
      requests: describeRequests(point, trialsPerPoint),
    };
  });
  const requests = points.reduce((sum, point) => {
    const expected = expectedRequests(point) ?? point.warmupRequests;
    return sum + Math.round(expected * trialsPerPoint);
  }, 0);
  const starts = rounds.flatMap((round) => round.starts);
  return {
    title: experiment.title.en,
    rows,
    order: rounds.map(describeRound),
    starts: starts.length,
    trials: starts.flatMap(({ trials }) => trials),
    requests,
    rounds: { least: roundsForSure(experiment.measure), most: roundCount },
    notes: planNotes(plan),
  };
}

function describeMeasured(measured: Point["measured"]): string {
  switch (measured.kind) {
    case "count":
      return String(measured.requests);
    case "duration":
      return formatDuration(measured.durationMs);
    case "all":
      return "whole trace";
  }
}

function describeRequests(point: Point, trials: number): string {
  const expected = expectedRequests(point);
  if (expected !== undefined)
    return `${point.measured.kind === "count" ? "" : "about "}${formatNumber(expected * trials, 0)}`;
  return point.measured.kind === "all" ? "as many as it has" : "as many as fit";
}

/** Warm-up and measured requests of a trial; undefined: only the trial will tell. */
function expectedRequests({ load, warmupRequests, measured }: Point): number | undefined {
  if (measured.kind === "count") return warmupRequests + measured.requests;
  const ratePerS = meanRatePerS(load);
  if (measured.kind === "all" || ratePerS === undefined) return undefined;
  return warmupRequests + (ratePerS * measured.durationMs) / 1000;
}

/** Arrivals per second over the window of a rate or ramp; undefined: the load has no rate. */
function meanRatePerS(load: Load): number | undefined {
  if (load.kind === "rate") return load.requestRatePerS;
  return load.kind === "ramp" ? (load.fromPerS + load.toPerS) / 2 : undefined;
}

/** How long the requests of a trial of a rate or ramp arrive; undefined where no rate says it. */
function arrivalsMs({ load, warmupRequests, measured }: Point): number | undefined {
  const ratePerS = meanRatePerS(load);
  if (ratePerS === undefined || (load.kind !== "rate" && load.kind !== "ramp")) return undefined;
  const beforeMs = (warmupRequests / firstRatePerS(load)) * 1000;
  if (measured.kind === "duration") return beforeMs + measured.durationMs;
  return measured.kind === "count" ? beforeMs + (measured.requests / ratePerS) * 1000 : undefined;
}

function describeRound({ round, starts }: Round): string {
  const described = starts.map(({ variant, trials }) => {
    const loads = trials.map(({ point }) => point.slice(variant.length + 1));
    return `${variant}: ${loads.join(" ")}`;
  });
  return `round ${round}  ${described.join(" | ")}`;
}

function planNotes({ experiment, points, roundCount }: Plan): readonly string[] {
  const { measure, workloads } = experiment;
  const notes: string[] = [];
  if (measure.rounds.kind === "until") {
    const { target, min, max } = measure.rounds;
    notes.push(
      `rounds on demand: ${min} to ${max}; after each whole round they end once the half-width of output token/s, mean TTFT, p90 TTFT and mean TPOT, t(.9875) s / sqrt R, is at most ${Number((target * 100).toPrecision(6))} % of the mean at every point${measure.order === "grouped" ? " of the variant" : ""}`,
    );
  }
  if (roundCount === 1)
    notes.push("one round measures no spread between rounds: no confidence intervals");
  if (measure.keep)
    notes.push("one engine life for all rounds: the spread between restarts is not measured");
  if (measure.window === "handover" && points.some(({ load }) => load.kind === "concurrency")) {
    notes.push(
      "filler requests hold the load while the last measured ones end: about one more a stream",
    );
  }
  const cut = points.filter(({ firstWave }) => firstWave === "cut");
  if (cut.length > 0) {
    const where = cut.length === points.length ? "" : `: ${cut.map(({ name }) => name).join(", ")}`;
    notes.push(
      `the first answer of every stream is cut to a random part, so that streams of equal answers run apart${where}`,
    );
  }
  notes.push(...openLoopNotes(points, roundCount * measure.repeats));
  const trials = roundsForSure(measure) * measure.repeats;
  for (const percentile of measure.percentiles) {
    const needed = percentileFloor(percentile);
    const short = points.filter(
      ({ measured }) => measured.kind === "count" && measured.requests * trials < needed,
    );
    if (short.length === 0) continue;
    notes.push(
      `p${percentile} needs ${needed} requests over all rounds; too few at ${short.map(({ name }) => name).join(", ")}`,
    );
  }
  for (const { name, cache } of workloads) {
    if (cache.kind === "warm")
      notes.push(`workload ${name} sends identical prompts: no point of it can be called valid`);
  }
  return notes;
}

function openLoopNotes(points: readonly Point[], trialsPerPoint: number): readonly string[] {
  const notes: string[] = [];
  const durationsMs = points.map(arrivalsMs).filter((ms) => ms !== undefined);
  if (durationsMs.length > 0) {
    const allMs = durationsMs.reduce((sum, ms) => sum + ms, 0) * trialsPerPoint;
    notes.push(
      `requests arrive for ${formatDuration(Math.round(allMs / 1000) * 1000)} in all under rates and ramps; starts and last answers come on top`,
    );
  }
  const ramps = points.filter(({ load }) => load.kind === "ramp").map(({ name }) => name);
  if (ramps.length > 0)
    notes.push(`a ramp is measured as a whole and gives no steady values: ${ramps.join(", ")}`);
  return notes;
}
