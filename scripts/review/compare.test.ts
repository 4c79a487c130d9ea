import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { AuditResult, Finding } from "../audit/finding.ts";
import { comparisonJson, describeComparison } from "../report/comparison-text.ts";
import { Store } from "../store/store.ts";
import { appendCase, caseEstimate, caseHeader, caseSnapshot } from "../testing/store-case.ts";
import { compareRuns, compareVariants } from "./compare.ts";

const margin = { margin: 0.05 };
let folder: string;
let store: Store;

/** A run whose every round of both variants has this TTFT. */
function addRun(
  run: string,
  ttfts: { readonly fp32: readonly number[]; readonly q8: readonly number[] },
  change: {
    readonly gpu?: string;
    readonly definitions?: string;
    readonly output?: number;
    readonly firstWave?: "cut";
  } = {},
): void {
  const header = caseHeader(run);
  const { output } = change;
  const experiment = {
    ...header.plan.experiment,
    workloads: header.plan.experiment.workloads.map((workload) =>
      output === undefined
        ? workload
        : { ...workload, output: { kind: "exact" as const, tokens: output } },
    ),
  };
  const points = header.plan.points.map((point) =>
    change.firstWave === undefined ? point : { ...point, firstWave: change.firstWave },
  );
  store.createRun({
    ...header,
    plan: { ...header.plan, experiment, points },
    resolved: experiment,
  });
  const leg = store.beginLeg(run, {
    startedAt: header.createdAt,
    pid: 1,
    host: "bench-1",
    argv: [],
    tool: header.tool,
  });
  store.appendSnapshot(
    run,
    { leg, scope: "run-before" },
    {
      ...caseSnapshot,
      fields: caseSnapshot.fields.map((field) =>
        field.id === "gpu.0.name" && change.gpu !== undefined
          ? { ...field, value: { state: "value", value: change.gpu } }
          : field,
      ),
    },
  );
  store.appendEstimates(run, {
    definitionVersion: change.definitions ?? "1",
    rows: (["fp32", "q8"] as const).map((variant) => ({
      point: `${variant}/c2`,
      estimate: {
        ...caseEstimate,
        metric: "ttft.mean",
        perRound: ttfts[variant].map((value, index) => ({ round: index + 1, value })),
      },
    })),
  });
}

const blocking: Finding = {
  rule: "E2",
  severity: "block",
  where: "q8/c2",
  seen: { zh: "实测并发 1.2", en: "achieved 1.2" },
  expected: { zh: "不低于 1.9", en: "at least 1.9" },
  mend: { zh: "查看排队", en: "look at the queue" },
  evidence: {},
};

const slow = [100, 101, 99.5, 100.4];
const fast = [80, 80.9, 79.5, 80.3];

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "benchbook-compare-"));
  store = Store.open(join(folder, "store.db"));
  addRun("one", { fp32: slow, q8: fast });
  addRun("again", { fp32: [100.2, 100.8, 99.8, 100.1], q8: fast });
  addRun("other-card", { fp32: slow, q8: fast }, { gpu: "another card" });
  addRun("other-definitions", { fp32: slow, q8: fast }, { definitions: "2" });
  addRun("other-workload", { fp32: slow, q8: fast }, { output: 99 });
  addRun("other-first-wave", { fp32: slow, q8: fast }, { firstWave: "cut" });
  addRun("single", { fp32: [100], q8: [80] });
  appendCase(store, "no-results");
});

afterAll(() => {
  store.close();
  rmSync(folder, { recursive: true });
});

describe("two runs", () => {
  it("that measured the same are equivalent", () => {
    const sides = compareRuns(store, { a: "one", b: "again" }, margin);
    expect(sides).toMatchObject({ comparable: true, obstacles: [] });
    expect(sides.comparison?.outcome).toBe("equivalent");
    expect(sides.comparison?.cells.map(({ point }) => point)).toEqual(["fp32/c2", "q8/c2"]);
  });

  it("do not compare a point that is invalid in one of them, and say by which rule", () => {
    const audit: AuditResult = {
      verdict: "qualified",
      points: [
        { point: "fp32/c2", verdict: "valid", findings: [] },
        { point: "q8/c2", verdict: "invalid", findings: [blocking] },
      ],
      findings: [blocking],
      notChecked: [],
      checked: ["E2"],
    };
    addRun("blocked", { fp32: slow, q8: fast });
    store.appendAudit("blocked", audit);
    const runs = compareRuns(store, { a: "one", b: "blocked" }, margin);
    expect(runs.comparison?.cells.map(({ point }) => point)).toEqual(["fp32/c2"]);
    expect(runs.notCompared).toEqual([{ point: "q8/c2", why: "invalid on a side: E2" }]);
    expect(describeComparison(runs, "zh")).toContain("q8/c2（有一侧无效：E2）");
    const within = compareVariants(store, { run: "blocked", a: "q8", b: "fp32" }, margin);
    expect(within.comparison?.cells).toEqual([]);
    expect(within.notCompared).toEqual([{ point: "c2", why: "invalid on a side: E2" }]);
  });

  it("on different cards are not comparable, and the field is named with both values", () => {
    const sides = compareRuns(store, { a: "one", b: "other-card" }, margin);
    expect(sides.comparison).toBeUndefined();
    expect(sides.obstacles).toEqual([
      expect.objectContaining({ field: "gpu.0.name", b: "another card" }),
    ]);
    expect(describeComparison(sides, "en")).toMatch(/Not comparable[\s\S]*gpu\.0\.name/);
    expect(describeComparison(sides, "zh")).toMatch(/不可比[\s\S]*gpu\.0\.name/);
    expect(comparisonJson(sides)).toMatchObject({ outcome: "not_comparable", rows: [] });
  });

  it("of different definitions or workloads are not comparable", () => {
    const definitions = compareRuns(store, { a: "one", b: "other-definitions" }, margin);
    expect(definitions.obstacles).toMatchObject([{ a: "1", b: "2" }]);
    const workload = compareRuns(store, { a: "one", b: "other-workload" }, margin);
    expect(workload.comparable).toBe(false);
    expect(workload.obstacles.map(({ field }) => field).join()).toContain("workloads.chat");
  });

  it("of which one cut its first answers are not comparable, and it says so", () => {
    const sides = compareRuns(store, { a: "one", b: "other-first-wave" }, margin);
    expect(sides.comparable).toBe(false);
    expect(sides.obstacles).toContainEqual({
      field: "points.fp32/c2.firstWave",
      a: "whole",
      b: "cut",
    });
    expect(sides.notCompared).toContainEqual({
      point: "fp32/c2",
      why: "the first answers were cut in one of the two only",
    });
    const same = compareRuns(store, { a: "other-first-wave", b: "other-first-wave" }, margin);
    expect(same.comparable).toBe(true);
  });

  it("with one round on a side give a ratio that is not testable", () => {
    const sides = compareRuns(store, { a: "one", b: "single" }, margin);
    expect(sides.comparison?.outcome).toBe("not_testable");
    expect(describeComparison(sides, "en")).toMatch(/not testable \(one round on a side\)/);
  });

  it("of which one has no results are refused", () => {
    expect(() => compareRuns(store, { a: "one", b: "no-results" }, margin)).toThrow(
      /no-results has no results to compare/,
    );
  });
});

describe("two variants of one run", () => {
  it("are compared in pairs of rounds", () => {
    const sides = compareVariants(store, { run: "one", a: "q8", b: "fp32" }, margin);
    const [cell] = sides.comparison?.cells ?? [];
    expect(cell).toMatchObject({ point: "c2", outcome: "differs", method: "paired t of logs" });
    expect(cell?.ratio).toBeCloseTo(0.8, 2);
    expect(describeComparison(sides, "zh")).toMatch(/有差异/);
  });

  it("are refused when one is not in the run, and the run's are named", () => {
    expect(() => compareVariants(store, { run: "one", a: "q8", b: "fp8" }, margin)).toThrow(
      /no variant fp8/,
    );
  });
});
