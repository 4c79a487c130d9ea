// From a run and what was computed of it to findings and verdicts: applies every rule, the waivers,
// and says of each point and of the run whether its figures may be used.
import type { Waiver } from "../experiment/experiment.ts";
import {
  type AuditResult,
  type Finding,
  type NotChecked,
  severityOrder,
  type Verdict,
} from "./finding.ts";
import type { AuditInput, Rule } from "./rule.ts";
import { rules, waiverRule } from "./rules.ts";

/**
 * Audits a run.
 *
 * A point is invalid with a block finding, qualified with a fail finding, else valid; findings about
 * its variant, the environment and the run hold for it too. A waived finding stays and decides
 * nothing. The run is valid when all its points are, invalid when all are invalid or there is none,
 * else qualified: a figure of a valid point stays usable beside an invalid one.
 */
export function auditRun(input: AuditInput, ruleSet: readonly Rule[] = rules): AuditResult {
  const outcomes = ruleSet.map((rule) => ({ rule, outcomes: rule.check(input) }));
  const plain = outcomes.flatMap(({ rule, outcomes: ofRule }) =>
    ofRule.flatMap((outcome): readonly Finding[] =>
      outcome.kind === "found" ? [{ rule: rule.id, ...outcome.finding }] : [],
    ),
  );
  const { waive } = input.experiment;
  const findings = [
    ...plain.map((finding) => waived(finding, waive)),
    ...unusedWaivers(waive, plain, ruleSet),
  ].sort(byGravity);
  const notChecked = outcomes.flatMap(({ rule, outcomes: ofRule }) =>
    ofRule.flatMap((outcome): readonly NotChecked[] =>
      outcome.kind === "not_checked"
        ? [{ rule: rule.id, where: outcome.where, why: outcome.why }]
        : [],
    ),
  );
  const checked = outcomes
    .filter(({ outcomes: ofRule }) => ofRule.some(({ kind }) => kind !== "not_checked"))
    .map(({ rule }) => rule.id);

  const points = input.plan.points.map(({ name, variant }) => {
    const own = findings.filter(({ where }) => holdsFor(where, name, variant));
    return {
      point: name,
      verdict: verdictOf(own),
      findings: own.filter((one) => concerns(one, name, variant)),
    };
  });
  return {
    verdict: runVerdict(points.map(({ verdict }) => verdict)),
    points,
    findings,
    notChecked,
    checked: [...checked, waiverRule.id],
  };
}

/** What is found of the run, the environment or a variant is found of each of its points. */
function holdsFor(where: string, point: string, variant: string): boolean {
  return where === point || where === variant || where === "run" || where === "environment";
}

/** Beside a point stand its own findings, its variant's, and those of the whole that decide. */
function concerns(
  { where, severity, waived: by }: Finding,
  point: string,
  variant: string,
): boolean {
  if (where === point || where === variant) return true;
  return by === undefined && (severity === "block" || severity === "fail");
}

function verdictOf(findings: readonly Finding[]): Verdict {
  const deciding = findings.filter((finding) => finding.waived === undefined);
  if (deciding.some(({ severity }) => severity === "block")) return "invalid";
  return deciding.some(({ severity }) => severity === "fail") ? "qualified" : "valid";
}

function runVerdict(points: readonly Verdict[]): Verdict {
  if (points.every((verdict) => verdict === "invalid")) return "invalid";
  return points.every((verdict) => verdict === "valid") ? "valid" : "qualified";
}

function waived(finding: Finding, waivers: readonly Waiver[]): Finding {
  const waiver = waivers.find(({ rule }) => rule === finding.rule);
  return waiver === undefined
    ? finding
    : { ...finding, waived: { reason: waiver.reason, by: waiver.by } };
}

/** A waiver that meets no finding hides nothing today and might tomorrow: it is told. */
function unusedWaivers(
  waivers: readonly Waiver[],
  findings: readonly Finding[],
  ruleSet: readonly Rule[],
): readonly Finding[] {
  const unused = waivers.filter(({ rule }) => !findings.some((finding) => finding.rule === rule));
  // A waiver of this very rule meets what is told of the others.
  const others = unused.filter(({ rule }) => rule !== waiverRule.id);
  return others.length === 0
    ? unused.map((waiver) => unusedWaiver(waiver, ruleSet))
    : others.map((waiver) => waived(unusedWaiver(waiver, ruleSet), waivers));
}

function unusedWaiver({ rule, reason, by }: Waiver, ruleSet: readonly Rule[]): Finding {
  const isKnown = rule === waiverRule.id || ruleSet.some(({ id }) => id === rule);
  return {
    rule: waiverRule.id,
    severity: waiverRule.severity,
    where: "run",
    seen: isKnown
      ? { zh: `豁免了 ${rule}，但该规则没有发现`, en: `${rule} is waived and found nothing` }
      : { zh: `豁免 ${rule}，而没有这条规则`, en: `${rule} is waived and is no rule` },
    expected: { zh: "豁免对应一个发现", en: "a waiver that meets a finding" },
    mend: {
      zh: "从实验文件的 waive 中删去",
      en: "take it out of waive in the experiment file",
    },
    evidence: { waivedRule: rule, reason, by },
  };
}

function byGravity(a: Finding, b: Finding): number {
  return severityOrder.indexOf(a.severity) - severityOrder.indexOf(b.severity);
}
