import { describe, expect, it } from "vitest";
import { twoVariants, value } from "../testing/chart-points.ts";
import { drawRoundStrip } from "./chart-rounds.ts";
import { syntheticMaterial } from "./fixtures/synthetic-run.ts";
import { buildRecordData } from "./record-data.ts";

describe("the round strip", () => {
  const input = { language: "en", width: 744 } as const;

  it("names a round that the audit found unlike the others, and only that one", () => {
    const five = value(100, 2);
    const [one] = twoVariants();
    if (one === undefined) throw new Error("there is a point");
    const perRound = [98, 101, 140, 99, 100].map((of, index) => ({ round: index + 1, value: of }));
    const output_tps = { ...five, perRound, outlying: [3] };
    const result = drawRoundStrip({
      ...input,
      points: [{ ...one, metrics: { ...one.metrics, output_tps } }],
    });
    if (result.status !== "drawn") throw new Error(result.reason);
    const names = result.drawing.texts
      .map(({ text }) => text)
      .filter((text) => text.startsWith("round"));
    expect(names).toEqual(["round 3"]);
    expect(result.drawing.note).toContain("A named round is unlike the others (S9)");
    const plain = drawRoundStrip({ ...input, points: twoVariants() });
    expect(plain.status === "drawn" ? plain.drawing.note : "S9").not.toContain("S9");
  });

  it("has the rounds from the findings, of the point or of all points together", () => {
    const material = syntheticMaterial();
    const finding = {
      rule: "S9",
      severity: "warn",
      where: "run",
      seen: { zh: "", en: "" },
      expected: { zh: "", en: "" },
      mend: { zh: "", en: "" },
      evidence: { round: 2, metrics: "ttft.mean tpot.mean" },
    } as const;
    const { charts } = buildRecordData({
      ...material,
      audit: { ...material.audit, findings: [...material.audit.findings, finding] },
    });
    const [first] = charts;
    expect(first?.metrics["ttft.mean"]?.outlying).toEqual([2]);
    expect(first?.metrics["output_tps"]?.outlying).toBeUndefined();
  });
});
