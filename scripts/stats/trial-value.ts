// A trial's value of a metric, or the reason why it has none: what every metric of a trial is made
// from, and how it says that it can't be.
import type { AbsenceReason } from "./absence.ts";
import type { Absence, RequestSample, TrialSamples } from "./samples.ts";
import type { Window } from "./window.ts";

/** A trial's value of one metric with the requests behind it, or why it has none. */
export type TrialValue =
  | { readonly kind: "value"; readonly value: number; readonly requests: number }
  | { readonly kind: "absent"; readonly absence: Absence };

/** What every metric of a trial is made from. */
export interface Cohort {
  readonly trial: TrialSamples;
  readonly window: Window | undefined;
  readonly measured: readonly RequestSample[];
  readonly completed: readonly RequestSample[];
}

/** A rate over the window; a trial in which nothing completed has none. */
export function inWindow(
  { completed, window }: Cohort,
  rate: (window: Window) => TrialValue,
): TrialValue {
  if (completed.length === 0) return absent({ kind: "no_completed_request" });
  return window === undefined ? notDefined("no_window") : rate(window);
}

export function valueOf(value: number, requests: number): TrialValue {
  return { kind: "value", value, requests };
}

export function absent(absence: Absence): TrialValue {
  return { kind: "absent", absence };
}

export function notDefined(why: AbsenceReason): TrialValue {
  return absent({ kind: "not_defined", why });
}

export function notCollected(why: AbsenceReason): TrialValue {
  return absent({ kind: "not_collected", why });
}

export function isNumber(value: number | undefined): value is number {
  return value !== undefined;
}
