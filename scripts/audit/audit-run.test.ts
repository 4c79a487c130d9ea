import { describe, expect, it } from "vitest";
import type { Variant, Waiver } from "../experiment/experiment.ts";
import { auditRun } from "./audit-run.ts";
import type { Severity } from "./finding.ts";
import {
  around,
  experiment,
  healthy,
  onMachine,
  pointName,
  start,
  withSamples,
} from "./fixtures/run.ts";
import { type AuditInput, found, pass, type Rule } from "./rule.ts";
import { ruleCatalogue, rules } from "./rules.ts";

/** A rule that finds what it is told to. */
function rule(id: string, severity: Severity, where: string): Rule {
  const text = { zh: "文", en: "text" };
  return {
    id,
    severity,
    name: text,
    text,
    needs: text,
    check: () => [found({ severity, where, seen: text, expected: text, mend: text, evidence: {} })],
  };
}

const [point] = healthy.plan.points;
if (point === undefined) throw new Error("the plan has a point");

/** Two points of one variant and one of another. */
const threePoints: AuditInput = {
  ...healthy,
  plan: {
    ...healthy.plan,
    points: [point, { ...point, name: "fp32/c1" }, { ...point, name: "q8/c10", variant: "q8" }],
  },
};

const verdictsOf = (input: AuditInput, ...ruleSet: Rule[]): readonly string[] => {
  const result = auditRun(input, ruleSet);
  return [result.verdict, ...result.points.map(({ verdict }) => verdict)];
};

describe("an audit", () => {
  it("finds nothing in a run with nothing wrong, and says what it could not check", () => {
    const result = auditRun(healthy);
    expect(result.findings).toEqual([]);
    expect(result.verdict).toBe("valid");
    expect(result.points).toEqual([{ point: pointName, verdict: "valid", findings: [] }]);
    const unchecked = result.notChecked.map(({ rule: id }) => id);
    // On another host: GPUs and governor. Not asked for: calibration. Of three rounds: trend, outliers.
    expect(new Set(unchecked)).toEqual(
      new Set([
        "E1",
        "E7",
        "E8",
        "E10",
        "E11",
        "E12",
        "E16",
        "E17",
        "E22",
        "E24",
        "E27",
        "E29",
        "S7",
        "S9",
      ]),
    );
    expect(result.checked).toContain("E2");
    expect(result.checked).toContain("E19");
    expect(result.checked).not.toContain("E1");
  });

  it("warns of nothing but the shared host when the same run shares a host without a GPU", () => {
    const result = auditRun(onMachine({ "client.engine_relation": "same host" }));
    expect(result.findings.map(({ rule: id, severity }) => [id, severity])).toEqual([
      ["E25", "warn"],
    ]);
    expect(result.verdict).toBe("valid");
    expect(result.notChecked.map(({ rule: id }) => id)).toEqual(["E29", "S7", "S9"]);
  });

  it("gives every rule an answer for every input, however empty", () => {
    const empty: AuditInput = {
      ...withSamples([]),
      attempts: [],
      starts: [],
      legs: [],
      ...around(undefined, undefined),
      plan: { points: [], rounds: [] },
    };
    for (const input of [healthy, empty, { ...empty, plan: healthy.plan }]) {
      for (const one of rules) expect(one.check(input), one.id).not.toEqual([]);
    }
    expect(auditRun(empty).verdict).toBe("invalid");
  });
});

describe("verdicts", () => {
  it("of a point follow its gravest finding", () => {
    expect(verdictsOf(healthy, rule("E2", "block", pointName))).toEqual(["invalid", "invalid"]);
    expect(verdictsOf(healthy, rule("E2", "fail", pointName))).toEqual(["qualified", "qualified"]);
    expect(verdictsOf(healthy, rule("E2", "warn", pointName))).toEqual(["valid", "valid"]);
    expect(verdictsOf(healthy, rule("E2", "info", pointName))).toEqual(["valid", "valid"]);
  });

  it("of a run with valid and invalid points is qualified", () => {
    expect(verdictsOf(threePoints, rule("E2", "block", "fp32/c1"))).toEqual([
      "qualified",
      "valid",
      "invalid",
      "valid",
    ]);
  });

  it("take a variant's finding for all its points and a finding of the whole for all points", () => {
    expect(verdictsOf(threePoints, rule("E5", "block", "fp32"))).toEqual([
      "qualified",
      "invalid",
      "invalid",
      "valid",
    ]);
    expect(verdictsOf(threePoints, rule("E4", "block", "environment"))).toEqual([
      "invalid",
      "invalid",
      "invalid",
      "invalid",
    ]);
    expect(verdictsOf(threePoints, rule("E20", "fail", "run"))).toEqual([
      "qualified",
      "qualified",
      "qualified",
      "qualified",
    ]);
  });

  it("name beside a point what decides about it, and not every warning of the whole", () => {
    const ruleSet = [
      rule("E4", "fail", "run"),
      rule("E25", "warn", "environment"),
      rule("E23", "warn", pointName),
    ];
    const [first] = auditRun(healthy, ruleSet).points;
    expect(first?.findings.map(({ rule: id }) => id)).toEqual(["E4", "E23"]);
  });

  it("list findings from the gravest", () => {
    const ruleSet = [
      rule("E28", "info", "run"),
      rule("E2", "block", pointName),
      rule("E25", "warn", "run"),
    ];
    expect(auditRun(healthy, ruleSet).findings.map(({ rule: id }) => id)).toEqual([
      "E2",
      "E25",
      "E28",
    ]);
  });
});

describe("waivers", () => {
  const waiving = (...waive: Waiver[]): AuditInput => ({
    ...healthy,
    experiment: { ...experiment, waive },
  });
  const waiver: Waiver = { rule: "E2", reason: "known cap", by: "test team" };

  it("keep the finding in print and take its decision away", () => {
    const result = auditRun(waiving(waiver), [rule("E2", "block", pointName)]);
    expect(result.findings).toMatchObject([
      { rule: "E2", severity: "block", waived: { reason: "known cap", by: "test team" } },
    ]);
    expect(result.verdict).toBe("valid");
    expect(result.points[0]?.findings).toHaveLength(1);
  });

  it("for a rule that found nothing are told", () => {
    const passing: Rule = { ...rule("E2", "block", "run"), check: () => [pass("run")] };
    expect(auditRun(waiving(waiver), [passing]).findings).toMatchObject([
      {
        rule: "S4",
        severity: "info",
        where: "run",
        seen: { en: "E2 is waived and found nothing" },
      },
    ]);
    expect(auditRun(waiving({ ...waiver, rule: "E99" }), [passing]).findings[0]?.seen.en).toContain(
      "is no rule",
    );
  });
});

describe("a waiver of the rule about waivers", () => {
  const passing: Rule = { ...rule("E2", "block", "run"), check: () => [pass("run")] };
  const findingsWith = (...waive: Waiver[]) =>
    auditRun({ ...healthy, experiment: { ...experiment, waive } }, [passing]).findings;
  const s4: Waiver = { rule: "S4", reason: "kept for the next run", by: "test team" };

  it("meets what is told of the others", () => {
    expect(findingsWith({ rule: "E2", reason: "known cap", by: "test team" }, s4)).toMatchObject([
      { rule: "S4", evidence: { waivedRule: "E2" }, waived: { reason: "kept for the next run" } },
    ]);
  });

  it("is told itself when it meets nothing", () => {
    const [found_, ...others] = findingsWith(s4);
    expect(found_?.seen.en).toBe("S4 is waived and found nothing");
    expect(found_?.waived).toBeUndefined();
    expect(others).toEqual([]);
  });
});

describe("a run of a part of its experiment", () => {
  const [fp32] = experiment.variants;
  if (fp32 === undefined) throw new Error("the experiment has a variant");
  const q8: Variant = {
    ...fp32,
    name: "q8",
    engine: {
      kind: "vllm",
      name: "vllm",
      port: "auto",
      args: { "tensor-parallel-size": 2 },
      env: {},
      readyMs: 1,
      prefix: [],
      container: { image: "vllm:latest" },
    },
  };

  it("says nothing of a variant that it leaves out", () => {
    const fields = (digest: string) => ({
      "model.q8.weights_digest": digest,
      "model.q8.license": "TBD",
    });
    const part: AuditInput = {
      ...onMachine(fields("sha256:aa"), fields("sha256:bb")),
      experiment: { ...experiment, variants: [fp32, q8] },
    };
    const result = auditRun(part);
    expect(result.findings).toEqual([]);
    expect(result.notChecked.filter(({ where }) => where === "q8")).toEqual([]);
    expect(result.verdict).toBe("valid");
  });

  it("says of a variant whose engine was not started that it was not checked", () => {
    const planned: AuditInput = {
      ...healthy,
      experiment: { ...experiment, variants: [fp32, { ...fp32, name: "q8" }] },
      plan: {
        ...healthy.plan,
        points: [point, { ...point, name: "q8/c10", variant: "q8" }],
      },
    };
    const whys = (input: AuditInput): readonly (readonly [string, string])[] =>
      auditRun(input)
        .notChecked.filter(({ where }) => where === "q8")
        .map(({ rule: id, why }) => [id, why.en]);
    const rulesOverVariants = ["E4", "E5", "E6", "E9", "E13", "E14"];
    expect(whys(planned)).toEqual(
      rulesOverVariants.map((id) => [id, "its engine was not started"]),
    );
    const never = start(9, {
      variant: "q8",
      ready: undefined,
      end: { at: "2026-03-01T10:10:00.000+08:00", reason: "never_ready" },
    });
    expect(whys({ ...planned, starts: [...planned.starts, never] })).toEqual(
      rulesOverVariants.map((id) => [id, "its engine never became ready"]),
    );
  });
});

describe("the catalogue of rules", () => {
  it("holds E1 to E29 and the rules of the run's story, each once and in both languages", () => {
    const expected = [
      ...Array.from({ length: 29 }, (_, i) => `E${i + 1}`),
      "S1",
      "S2",
      "S3",
      "S4",
      "S5",
      "S6",
      "S7",
      "S8",
      "S9",
    ];
    expect(ruleCatalogue.map(({ id }) => id)).toEqual(expected);
    for (const entry of ruleCatalogue) {
      for (const text of [entry.name, entry.text, entry.needs]) {
        expect(text.zh).toMatch(/[一-鿿]|NUMA|GPU/);
        expect(text.en).not.toMatch(/[一-鿿]/);
      }
    }
  });
});
