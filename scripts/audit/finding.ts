// What a check said: data with its evidence, in both languages, and never only a sentence.

/** From the gravest: block: cannot be called valid; fail: qualified; warn and info decide nothing. */
export const severityOrder = ["block", "fail", "warn", "info"] as const;
export type Severity = (typeof severityOrder)[number];
export type Verdict = "valid" | "qualified" | "invalid";

export interface Finding {
  /** "E2". */
  readonly rule: string;
  readonly severity: Severity;
  /** A point's name, a variant's name (it holds for all its points), "run", or "environment". */
  readonly where: string;
  /** What was seen and what was expected, with numbers and units. */
  readonly seen: { readonly zh: string; readonly en: string };
  readonly expected: { readonly zh: string; readonly en: string };
  readonly mend: { readonly zh: string; readonly en: string };
  /** The numbers themselves, for machines. */
  readonly evidence: Readonly<Record<string, string | number | boolean>>;
  readonly waived?: { readonly reason: string; readonly by: string };
}

/** A rule whose input was not there. Not a pass. */
export interface NotChecked {
  readonly rule: string;
  readonly where: string;
  readonly why: { readonly zh: string; readonly en: string };
}

export interface AuditResult {
  readonly verdict: Verdict;
  readonly points: readonly {
    readonly point: string;
    readonly verdict: Verdict;
    readonly findings: readonly Finding[];
  }[];
  readonly findings: readonly Finding[];
  readonly notChecked: readonly NotChecked[];
  /** Ids of rules that were checked. */
  readonly checked: readonly string[];
}
