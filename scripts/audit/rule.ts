// What a rule is: data with one pure check, which answers for each place it looked at with a finding,
// a pass, or why it could not look. Saying nothing is not an answer.
import type { EnvironmentSnapshot, FieldValue } from "../environment/snapshot.ts";
import type { Experiment, LocalText, Variant } from "../experiment/experiment.ts";
import type { Plan } from "../experiment/plan.ts";
import type { PointEstimates } from "../stats/point-estimates.ts";
import type { TrialSamples } from "../stats/samples.ts";
import type { LegCalibration } from "../store/calibrations.ts";
import type { StoredAttempt, StoredLeg, StoredSnapshot, StoredStart } from "../store/stored-run.ts";
import { formatNumber } from "../units.ts";
import type { Finding, Severity } from "./finding.ts";

/** A run, as far as the rules look at it. */
export interface AuditInput {
  readonly experiment: Experiment;
  readonly plan: Pick<Plan, "points" | "rounds">;
  /** Points with at least one measured trial. */
  readonly measured: readonly MeasuredPoint[];
  /** Every attempt at a trial, failed ones too. */
  readonly attempts: readonly Attempt[];
  /** Every life of an engine. */
  readonly starts: readonly Start[];
  /** Uninterrupted stretches of the run, in order. */
  readonly legs: readonly Pick<StoredLeg, "leg" | "startedAt" | "end">[];
  /** What the instrument's error was known to be in each stretch; empty: it was not calibrated. */
  readonly calibrations: readonly Pick<LegCalibration, "leg" | "calibration">[];
  /** Every snapshot, of all stretches, in the order taken. */
  readonly snapshots: readonly StoredSnapshot[];
  /** Full snapshots before and after the run, which fields are read from; undefined: not taken. */
  readonly before: EnvironmentSnapshot | undefined;
  readonly after: EnvironmentSnapshot | undefined;
}

export interface MeasuredPoint {
  readonly estimates: PointEstimates;
  /** The trials that the estimates were made from. */
  readonly samples: readonly TrialSamples[];
}

export type Attempt = Pick<
  StoredAttempt,
  | "trial"
  | "point"
  | "round"
  | "repeat"
  | "attempt"
  | "start"
  | "leg"
  | "status"
  | "reason"
  | "summary"
>;

export type Start = Pick<StoredStart, "start" | "variant" | "round" | "ready" | "end">;

/** What a check says of one place. */
export type Outcome =
  | { readonly kind: "pass"; readonly where: string }
  | { readonly kind: "not_checked"; readonly where: string; readonly why: LocalText }
  | { readonly kind: "found"; readonly finding: Omit<Finding, "rule" | "waived"> };

export interface Rule {
  readonly id: string;
  /** The gravest that it can find. */
  readonly severity: Severity;
  readonly name: LocalText;
  /** What has to be so. */
  readonly text: LocalText;
  /** What has to be collected for it. */
  readonly needs: LocalText;
  /** At least one outcome. */
  readonly check: (input: AuditInput) => readonly Outcome[];
}

export function pass(where: string): Outcome {
  return { kind: "pass", where };
}

export function notChecked(where: string, zh: string, en: string): Outcome {
  return { kind: "not_checked", where, why: { zh, en } };
}

export function found(finding: Omit<Finding, "rule" | "waived">): Outcome {
  return { kind: "found", finding };
}

/** The outcomes; a pass of the whole run where there are none. */
export function orPass(outcomes: readonly Outcome[], where = "run"): readonly Outcome[] {
  return outcomes.length === 0 ? [pass(where)] : outcomes;
}

/** One answer per measured point, or why there is none. */
export function eachPoint(
  input: AuditInput,
  check: (point: MeasuredPoint) => readonly Outcome[],
): readonly Outcome[] {
  if (input.measured.length === 0) {
    return [notChecked("run", "没有测得任何测点", "no point was measured")];
  }
  return input.measured.flatMap((point) => orPass(check(point), point.estimates.point));
}

/** The variants that the plan measures: of the others a run says nothing. */
export function plannedVariants({ experiment, plan }: AuditInput): readonly Variant[] {
  const planned = new Set(plan.points.map(({ variant }) => variant));
  return experiment.variants.filter(({ name }) => planned.has(name));
}

/** Whether a field says something of the run, and not of a variant that the plan leaves out. */
export function concernsPlan(input: AuditInput, field: string): boolean {
  const isOf = ({ name }: Variant): boolean =>
    field.startsWith(`model.${name}.`) || field.startsWith(`engine.${name}.`);
  return plannedVariants(input).some(isOf) || !input.experiment.variants.some(isOf);
}

/** One answer per planned variant, or why there is none. */
export function eachVariant(
  input: AuditInput,
  check: (variant: Variant, starts: ReadyStarts) => readonly Outcome[],
): readonly Outcome[] {
  const variants = plannedVariants(input);
  if (variants.length === 0) return [notChecked("run", "计划中没有测点", "the plan has no point")];
  return variants.flatMap((variant) => {
    const [first, ...later] = readyStarts(input, variant.name);
    if (first !== undefined) return orPass(check(variant, [first, ...later]), variant.name);
    return input.starts.some(({ variant: of }) => of === variant.name)
      ? [notChecked(variant.name, "引擎没有就绪过", "its engine never became ready")]
      : [notChecked(variant.name, "引擎没有启动过", "its engine was not started")];
  });
}

export interface ReadyStart {
  readonly start: number;
  readonly facts: NonNullable<StoredStart["ready"]>["facts"];
}

/** The starts of a variant whose engine became ready, at least once. */
export type ReadyStarts = readonly [ReadyStart, ...ReadyStart[]];

/** Starts of a variant whose engine became ready, in order. */
export function readyStarts(input: AuditInput, variant: string): readonly ReadyStart[] {
  return input.starts.flatMap(({ start, variant: of, ready }) =>
    of === variant && ready !== undefined ? [{ start, facts: ready.facts }] : [],
  );
}

/** Whether benchbook started the variant's engine: only then is everything about it ours to disclose. */
export function isLaunched(variant: Variant): boolean {
  return variant.engine.kind !== "external";
}

/** A field of the snapshot before the run, else of the one after; undefined: no such field. */
export function fieldOf(input: AuditInput, id: string): FieldValue | undefined {
  for (const snapshot of [input.before, input.after]) {
    const field = snapshot?.fields.find((one) => one.id === id);
    if (field !== undefined) return field.value;
  }
  return undefined;
}

/** The field's number; undefined where it has none. */
export function numberField(input: AuditInput, id: string): number | undefined {
  const field = fieldOf(input, id);
  return field?.state === "value" && typeof field.value === "number" ? field.value : undefined;
}

/** The field's value as text; undefined where it has none. */
export function textField(input: AuditInput, id: string): string | undefined {
  const field = fieldOf(input, id);
  return field?.state === "value" ? String(field.value) : undefined;
}

/** Whether a rule about this field is satisfied: it has a value, or does not apply. */
export function isKnown(input: AuditInput, id: string): boolean {
  const state = fieldOf(input, id)?.state;
  return state === "value" || state === "not_applicable" || state === "redacted";
}

/** A setting of a resolved configuration by the last part of its key; undefined: not disclosed. */
export function settingOf(
  config: ReadyStart["facts"]["config"],
  ...names: readonly string[]
): string | number | boolean | null | undefined {
  for (const [key, value] of Object.entries(config ?? {})) {
    if (names.some((name) => key === name || key.endsWith(`.${name}`))) return value;
  }
  return undefined;
}

/** A share 0..1 in print, per language: "94.2%" and "94.2 %". */
export function shareText(share: number, decimals = 1): LocalText {
  const text = formatNumber(share * 100, decimals);
  return { zh: `${text}%`, en: `${text} %` };
}
