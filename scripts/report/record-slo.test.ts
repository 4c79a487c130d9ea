import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Estimate } from "../stats/samples.ts";
import { readDictionary } from "./dictionary.ts";
import { syntheticMaterial } from "./fixtures/synthetic-run.ts";
import { renderMarkdown } from "./markdown.ts";
import { makeDocument } from "./notebook.ts";
import { readNotebook } from "./notebook-source.ts";
import { buildRecordData } from "./record-data.ts";
import type { RecordMaterial } from "./record-material.ts";
import { sloLines, sloOf } from "./record-slo.ts";
import { templatesFolder } from "./render-record.ts";

const material = syntheticMaterial();
// TTFT p90 <= 200 ms and TPOT p90 <= 30 ms, at concurrency 1, 4 and 8 of fp32 and q8.

/** The run with these intervals of TTFT p90 at fp32's loads, and everything else well within its limit. */
function withTtft(
  ends: readonly (readonly [number, number] | number | undefined)[],
  change: Partial<RecordMaterial> = {},
): RecordMaterial {
  const own = material.measured.filter(({ point }) => point.startsWith("fp32/"));
  return {
    ...material,
    points: material.points.filter(({ variant }) => variant === "fp32"),
    measured: own.map((point, index) => {
      const end = ends[index];
      const set = (key: string, value: Partial<Estimate>) =>
        [...point.estimates].flatMap(([name, estimate]): [string, Estimate][] =>
          name === key ? [[key, { ...estimate, ...value }]] : [],
        );
      const ttft =
        typeof end === "object"
          ? { value: (end[0] + end[1]) / 2, low: end[0], high: end[1] }
          : { value: end, low: undefined, high: undefined };
      return {
        ...point,
        estimates: new Map([
          ...point.estimates,
          ...set("ttft.p90", ttft),
          ...set("tpot.p90", { value: 10, low: 9, high: 11 }),
        ]),
      };
    }),
    ...change,
  };
}

const answerOf = (given: RecordMaterial): string | undefined => sloOf(given)?.series[0]?.answer.en;

describe("sloOf", () => {
  it("gives the last load that meets the SLO and the first that does not", () => {
    const given = withTtft([
      [40, 60],
      [100, 150],
      [300, 320],
    ]);
    expect(answerOf(given)).toBe(
      "the highest load that meets it lies between concurrency 4 (met) and 8 (not met: TTFT p90)",
    );
    expect(sloOf(given)?.series[0]?.answer.zh).toBe(
      "达标的最高负载在并发 4（达标）与 8（未达标：TTFT p90）之间",
    );
    expect(sloLines(sloOf(given))).toEqual([
      "SLO (TTFT p90 ≤ 200 ms, TPOT p90 ≤ 30 ms), fp32: the highest load that meets it lies between concurrency 4 (met) and 8 (not met: TTFT p90)",
    ]);
  });

  it("names what is undecided, at least, below, and what is not monotone", () => {
    const good = [40, 60] as const;
    const open = [190, 210] as const;
    const bad = [300, 320] as const;
    expect(answerOf(withTtft([good, open, bad]))).toContain("; undecided between: 4");
    expect(answerOf(withTtft([good, good, open]))).toBe(
      "at least concurrency 4: no load that was tested misses it; undecided above: 8",
    );
    expect(answerOf(withTtft([bad, bad, bad]))).toBe(
      "below concurrency 1: the lowest load that was tested misses it (TTFT p90)",
    );
    expect(answerOf(withTtft([open, bad, bad]))).toBe(
      "below concurrency 4 (not met: TTFT p90); undecided below: 1",
    );
    expect(answerOf(withTtft([open, open, open]))).toBe(
      "undecided: no load that was tested is sure to meet or to miss it",
    );
    expect(answerOf(withTtft([good, bad, good]))).toContain(
      "; not monotone: met again at 8, which does not count",
    );
  });

  it("says where a verdict rests on the value alone", () => {
    expect(answerOf(withTtft([50, 120, 300]))).toContain(
      "; some verdicts are by the value alone, without an interval",
    );
  });

  it("leaves out invalid points and those that were not measured, and says which", () => {
    const given = withTtft([
      [40, 60],
      [100, 150],
    ]);
    const [, , last] = given.points;
    const told = sloOf({
      ...given,
      measured: given.measured.slice(0, 2),
      audit: {
        ...given.audit,
        points: given.audit.points.map((one) =>
          one.point === "fp32/c1" ? { ...one, verdict: "invalid" } : one,
        ),
      },
    });
    expect(told?.leftOut).toEqual([
      { point: "fp32/c1", why: "invalid" },
      { point: last?.name, why: "not_measured" },
    ]);
    expect(Object.keys(told?.verdicts ?? {})).toEqual(["fp32/c4"]);
  });

  it("has one series per variant, and none of loads that are no one load", () => {
    expect(sloOf(material)?.series.map(({ variant }) => variant)).toEqual(["fp32", "q8"]);
    const traced = {
      ...material,
      points: material.points.map((point) => ({
        ...point,
        load: { kind: "trace", name: "day", path: "day.csv", speed: 1 } as const,
      })),
    };
    expect(sloOf(traced)?.series).toEqual([]);
    expect(sloOf(traced)?.leftOut[0]).toEqual({ point: "fp32/c1", why: "unordered" });
  });

  it("is nothing without an SLO", () => {
    expect(sloOf({ ...material, experiment: { ...material.experiment, slo: [] } })).toBeUndefined();
    expect(sloLines(undefined)).toEqual([]);
  });
});

describe("the slo cell", () => {
  const dictionary = readDictionary(join(templatesFolder, "dictionary.json"));
  const notebook = readNotebook("## Results\n\n```table\nslo\n```\n", "test.md");
  const render = async (given: RecordMaterial, language: "zh" | "en"): Promise<string> =>
    renderMarkdown(
      await makeDocument(notebook, buildRecordData(given), {
        language,
        dictionary,
        drawChart: () => Promise.resolve({ status: "empty", reason: "none" }),
      }),
      { dictionary, figurePath: () => "" },
    );

  it("shows each load's figures with their verdicts, share, goodput and the answer", async () => {
    const given = withTtft([
      [40, 60],
      [100, 150],
      [300, 320],
    ]);
    const text = await render(given, "en");
    expect(text).toMatch(/TTFT p90 ≤ 200\sms/);
    expect(text).toMatch(/not met/);
    expect(text).toContain("Goodput");
    expect(text).toContain("lies between concurrency 4 (met) and 8 (not met: TTFT p90).");
    expect(await render(given, "zh")).toContain("达标的最高负载在");
  });

  it("is nothing without an SLO", async () => {
    const none = { ...material, experiment: { ...material.experiment, slo: [] } };
    expect(await render(none, "en")).not.toContain("SLO");
  });
});
