// How rounds on demand ended, as it is read back, and what of a plan is then no longer asked for.
import type { Database } from "better-sqlite3";
import type { Plan, Trial } from "../experiment/plan.ts";
import type { GatingSpread } from "../stats/stopping.ts";
import { parseStored } from "./stored-json.ts";

/** The decision, after a whole round, to measure no more rounds. */
export interface RoundsEnd {
  readonly leg: number;
  /** Whose rounds ended; undefined: those of all variants, which take turns. */
  readonly variant: string | undefined;
  /** ISO 8601 with offset. */
  readonly at: string;
  /** The last round. */
  readonly round: number;
  readonly outcome: "reached" | "max";
  /** Half-width over mean that was asked for, 0..1. */
  readonly target: number;
  /** Trials of the plan that are not needed. */
  readonly trialsSpared: number;
  /** What the decision rests on. */
  readonly spreads: readonly GatingSpread[];
}

/** All of a run's, in the order they were decided. */
export function readRoundsEnds(db: Database, run: string): readonly RoundsEnd[] {
  interface Row {
    readonly leg: number;
    readonly variant: string | null;
    readonly at: string;
    readonly round: number;
    readonly outcome: RoundsEnd["outcome"];
    readonly target: number;
    readonly trials_spared: number;
    readonly spreads_json: string;
  }
  return db
    .prepare<[string], Row>("SELECT * FROM rounds_end_row WHERE run = ? ORDER BY id")
    .all(run)
    .map(({ variant, trials_spared, spreads_json, leg, at, round, outcome, target }) => ({
      leg,
      variant: variant ?? undefined,
      at,
      round,
      outcome,
      target,
      trialsSpared: trials_spared,
      spreads: parseStored(spreads_json) as readonly GatingSpread[],
    }));
}

/** The end that counts for a variant; undefined: its rounds have not ended, or are fixed. */
export function roundsEndOf(ends: readonly RoundsEnd[], variant: string): RoundsEnd | undefined {
  return ends.findLast((end) => end.variant === undefined || end.variant === variant);
}

/** The trials of a plan, in its order, without those of rounds after the last. */
export function trialsAskedFor(plan: Plan, ends: readonly RoundsEnd[]): readonly Trial[] {
  const lastRounds = new Map(
    plan.experiment.variants.map(({ name }) => [name, roundsEndOf(ends, name)?.round]),
  );
  return plan.rounds
    .flatMap(({ starts }) => starts.flatMap(({ trials }) => trials))
    .filter(({ variant, round }) => round <= (lastRounds.get(variant) ?? plan.roundCount));
}
