// Decides between rounds whether another one is needed, from what the store holds alone: a run that
// was killed between two rounds decides again when it is resumed, and comes to the same.
import type { Experiment, RoundsSpec } from "../experiment/experiment.ts";
import type { Plan, Round } from "../experiment/plan.ts";
import type { Progress } from "../report/progress.ts";
import { formatShare } from "../stats/interval-note.ts";
import {
  decideRounds,
  type GatingMetric,
  type GatingValues,
  gatingMetrics,
  type RoundsDecision,
  type StoppingRule,
  widestOf,
} from "../stats/stopping.ts";
import { trialMetrics } from "../stats/trial-metrics.ts";
import type { RoundsEnd } from "../store/rounds-ends.ts";
import type { Store } from "../store/store.ts";
import type { StoredAttempt, StoredRun } from "../store/stored-run.ts";
import { isoWithOffset } from "../units.ts";

/** A round stays whole while one of its points needs it, so that variants stay interleaved and paired. */
export interface RoundsOnDemand {
  /**
   * Whether a round of the plan is not needed any more. Called before each of them, in order.
   *
   * @param givenUp variants whose engine never becomes ready: nobody waits for their points
   */
  isOver(planned: Round, givenUp: ReadonlySet<string>): boolean;
  /** After the last round of the plan: says whether the target was reached. */
  finish(givenUp: ReadonlySet<string>): void;
}

interface RunUnderRule {
  readonly store: Store;
  readonly run: string;
  readonly plan: Plan;
}

/** @returns undefined where the number of rounds is fixed */
export function roundsOnDemand(
  { store, run, plan }: RunUnderRule,
  leg: number,
  progress: Pick<Progress, "say" | "expectRounds">,
): RoundsOnDemand | undefined {
  const rule = ruleOf(plan.experiment.measure.rounds);
  if (rule === undefined) return undefined;
  const gating = gatingReader(store, plan);
  /** Scopes of this leg, and whether their rounds ended. */
  const scopes = new Map<string | undefined, boolean>();

  const decide = (scope: Scope, round: number, givenUp: ReadonlySet<string>): boolean => {
    const values = gating(store.attemptsOf(run), scope, round).filter(
      ({ variant }) => !givenUp.has(variant),
    );
    if (values.length === 0) return false;
    const decision = decideRounds(rule, round, values);
    progress.say(describeDecision(rule, decision, scope));
    progress.expectRounds(
      decision.likelyRounds ?? rule.max,
      plan.points.flatMap(({ name, variant }) => (isWithin(scope, variant) ? name : [])),
    );
    if (decision.outcome === "go-on") return false;
    store.appendRoundsEnd(run, roundsEnd(plan, scope, decision, { leg, rule }));
    scopes.set(scope, true);
    return true;
  };
  const finish = (givenUp: ReadonlySet<string>): void => {
    for (const [scope, ended] of scopes) if (!ended) decide(scope, plan.roundCount, givenUp);
  };
  return {
    isOver: (planned, givenUp) => {
      const scope = scopeOf(plan, planned);
      if (scopes.get(scope) === true) return true;
      // Another variant's turn: the one before had all its rounds.
      if (!scopes.has(scope)) finish(givenUp);
      scopes.set(scope, false);
      const began = roundsBegun(store.readRun(run), scope);
      if (planned.round === 1 || began.has(planned.round)) return false;
      return decide(scope, planned.round - 1, givenUp);
    },
    finish,
  };
}

/**
 * Makes up for a decision that a kill cut off: where all trials of the rounds so far are measured,
 * nothing needs to run for it.
 */
export function decideWhatWasCutOff({ store, run, plan }: RunUnderRule): void {
  const rule = ruleOf(plan.experiment.measure.rounds);
  if (rule === undefined) return;
  const stored = store.readRun(run);
  const leg = stored.legs.at(-1)?.leg;
  if (leg === undefined) return;
  const gating = gatingReader(store, plan);
  const measured = new Set(
    stored.attempts.filter(({ counts }) => counts).map(({ trial }) => trial),
  );
  for (const scope of new Set(plan.rounds.map((round) => scopeOf(plan, round)))) {
    if (stored.roundsEnds.some(({ variant }) => variant === scope)) continue;
    const round = Math.max(0, ...roundsBegun(stored, scope));
    const isWhole = plan.rounds.every(
      (planned) =>
        planned.round > round ||
        planned.starts.every(
          ({ variant, trials }) =>
            !isWithin(scope, variant) || trials.every(({ id }) => measured.has(id)),
        ),
    );
    if (round === 0 || !isWhole) continue;
    const decision = decideRounds(rule, round, gating(stored.attempts, scope, round));
    if (decision.outcome !== "go-on")
      store.appendRoundsEnd(run, roundsEnd(plan, scope, decision, { leg, rule }));
  }
}

function ruleOf(rounds: RoundsSpec): StoppingRule | undefined {
  return rounds.kind === "until" ? rounds : undefined;
}

/** The variant whose rounds come in one go; undefined: all variants take turns in each round. */
type Scope = string | undefined;

function scopeOf({ experiment }: Plan, { starts }: Round): Scope {
  return experiment.measure.order === "grouped" ? starts[0]?.variant : undefined;
}

function isWithin(scope: Scope, variant: string): boolean {
  return scope === undefined || scope === variant;
}

function roundsBegun(
  { attempts, starts }: Pick<StoredRun, "attempts" | "starts">,
  scope: Scope,
): ReadonlySet<number> {
  return new Set(
    [...attempts, ...starts].flatMap(({ variant, round }) =>
      isWithin(scope, variant) ? [round] : [],
    ),
  );
}

type GatingReader = (
  attempts: readonly StoredAttempt[],
  scope: Scope,
  round: number,
) => readonly (GatingValues & { readonly variant: string })[];

/** Reads the values that decide; each attempt's samples are read once. */
function gatingReader(store: Store, { experiment, points }: Plan): GatingReader {
  const known = new Map<string, ReadonlyMap<GatingMetric, number>>();
  const valuesOf = (attempt: StoredAttempt): ReadonlyMap<GatingMetric, number> => {
    const key = `${attempt.trial} ${attempt.attempt}`;
    const read = known.get(key) ?? readValues(store, attempt);
    known.set(key, read);
    return read;
  };
  return (attempts, scope, round) =>
    points
      .filter(({ variant }) => isWithin(scope, variant))
      .flatMap(({ name: point, variant }) => {
        const own = attempts.filter(
          (attempt) => attempt.counts && attempt.point === point && attempt.round <= round,
        );
        // What the record's intervals take as one value: the mean over a start, or over a round.
        const unit = isOneProcess(experiment, variant) ? "round" : "start";
        return gatingMetrics.map((metric) => {
          const units = new Map<number, number[]>();
          for (const attempt of own) {
            const value = valuesOf(attempt).get(metric);
            if (value === undefined) continue;
            units.set(attempt[unit], [...(units.get(attempt[unit]) ?? []), value]);
          }
          return { point, variant, metric, values: [...units.values()].map(meanOf) };
        });
      });
}

function readValues(store: Store, attempt: StoredAttempt): ReadonlyMap<GatingMetric, number> {
  // The 90th percentile decides whether or not the record prints it.
  const { values } = trialMetrics(store.samplesOfAttempt(attempt), { percentiles: [90], slo: [] });
  return new Map(
    gatingMetrics.flatMap((metric) => {
      const value = values.get(metric);
      return value?.kind === "value" ? [[metric, value.value]] : [];
    }),
  );
}

function isOneProcess({ variants, measure }: Experiment, name: string): boolean {
  return measure.keep || variants.find((one) => one.name === name)?.engine.kind === "external";
}

function roundsEnd(
  plan: Plan,
  variant: Scope,
  { round, outcome, spreads }: RoundsDecision,
  { leg, rule }: { readonly leg: number; readonly rule: StoppingRule },
): RoundsEnd {
  return {
    leg,
    variant,
    at: isoWithOffset(Date.now()),
    round,
    outcome: outcome === "reached" ? "reached" : "max",
    target: rule.target,
    trialsSpared: plan.rounds
      .filter((planned) => planned.round > round && scopeOf(plan, planned) === variant)
      .reduce(
        (sum, { starts }) => sum + starts.reduce((count, { trials }) => count + trials.length, 0),
        0,
      ),
    spreads,
  };
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** @example "round 4 of 4 to 12: widest half-width 3.1 % of the mean (fp32/c4 ttft.p90), 2 % is asked for: likely 3 more rounds" */
function describeDecision(
  rule: StoppingRule,
  { round, outcome, spreads, likelyRounds }: RoundsDecision,
  variant: string | undefined,
): string {
  const whose = variant === undefined ? "" : `${variant}: `;
  const target = formatShare(rule.target);
  const widest = widestOf(spreads);
  const seen =
    widest?.share === undefined
      ? "no spread is known yet"
      : `widest half-width ${formatShare(widest.share, 2)} of the mean (${widest.point} ${widest.metric})`;
  const begin = `${whose}round ${round} of ${rule.min} to ${rule.max}: ${seen}`;
  switch (outcome) {
    case "reached":
      return `${begin}, at most ${target} was asked for: target reached, no more rounds`;
    case "max":
      return `${begin}, ${target} was asked for: target not reached, and no more rounds are allowed`;
    case "go-on": {
      const more = (likelyRounds ?? rule.max) - round;
      const likely = likelyRounds === undefined ? "at most" : "likely";
      return `${begin}, ${target} is asked for: ${likely} ${more} more ${more === 1 ? "round" : "rounds"}`;
    }
  }
}
