// What differs between two experiments, and what of them may be compared.
import { describe, expect, it } from "vitest";
import { differencesOf } from "./difference.ts";
import { makePlan } from "./plan.ts";
import { readExperiment } from "./read-experiment.ts";

async function between(a: string, b: string) {
  const read = async (text: string) =>
    (
      await readExperiment("x.yaml", {
        env: {},
        readBytes: () => Promise.resolve(Buffer.from(text)),
      })
    ).experiment;
  return differencesOf(makePlan(await read(a)), makePlan(await read(b)));
}

const base = "variants: { fp8: { model: a }, q8: { model: b } }\nloads: { concurrency: [1, 4] }\n";

describe("differencesOf", () => {
  it("finds none between an experiment and itself, and all its trials the same", async () => {
    expect(await between(base, base)).toEqual({
      differences: [],
      comparable: true,
      comparablePoints: ["fp8/c1", "fp8/c4", "q8/c1", "q8/c4"],
      notComparablePoints: [],
      sameTrials: 12,
    });
  });

  it("another model is what is compared", async () => {
    const told = await between(
      base,
      base.replace("model: a", "model: a, args: { max-num-seqs: 4 }"),
    );
    expect(told.differences).toEqual([
      { path: "variants.fp8.engine.args.max-num-seqs", a: undefined, b: "4", effect: "subject" },
    ]);
    expect(told.comparable).toBe(true);
    expect(told.sameTrials).toBe(6);
  });

  it("other requests are not comparable", async () => {
    const told = await between(base, `${base}workloads: { 512-128: { output: 64 } }`);
    expect(told.differences).toEqual([
      { path: "workloads.512-128.output.tokens", a: "128", b: "64", effect: "protocol" },
    ]);
    expect(told.comparable).toBe(false);
    expect(told.comparablePoints).toEqual([]);
    expect(told.sameTrials).toBe(0);
  });

  it("another window is not comparable", async () => {
    const told = await between(base, `${base}measure: { window: fixed }`);
    expect(told.differences).toEqual([
      { path: "measure.window", a: "handover", b: "fixed", effect: "protocol" },
    ]);
    expect(told.comparable).toBe(false);
  });

  it("another first wave is not comparable, though no experiment says it", async () => {
    const readBytes = () => Promise.resolve(Buffer.from(base));
    const plan = makePlan((await readExperiment("x.yaml", { env: {}, readBytes })).experiment);
    const old = {
      ...plan,
      points: plan.points.map((point) => ({ ...point, firstWave: undefined })),
    };
    const told = differencesOf(old, plan);
    expect(told.differences).toEqual([
      { path: "points.fp8/c4.firstWave", a: "whole", b: "cut", effect: "protocol" },
      { path: "points.q8/c4.firstWave", a: "whole", b: "cut", effect: "protocol" },
    ]);
    expect(told.comparablePoints).toEqual(["fp8/c1", "q8/c1"]);
    expect(told.notComparablePoints).toEqual(["fp8/c4", "q8/c4"]);
  });

  it("more rounds, other prompts and other loads change only the extent", async () => {
    const told = await between(
      base,
      base.replace("[1, 4]", "[4, 8]") + "measure: { rounds: 5, seed: 2 }",
    );
    expect(told.differences.map(({ path, effect }) => [path, effect])).toEqual([
      ["loads.c1", "extent"],
      ["loads.c8", "extent"],
      ["measure.rounds.count", "extent"],
      ["measure.seed", "extent"],
    ]);
    expect(told.comparablePoints).toEqual(["fp8/c4", "q8/c4"]);
  });

  it("titles, statements and rendering change nothing measured", async () => {
    const told = await between(
      base,
      `${base}title: Other\nstated: { site: x }\nreport: { formats: [md] }`,
    );
    expect(told.differences.map(({ path, effect }) => [path, effect])).toEqual([
      ["title.zh", "disclosure"],
      ["title.en", "disclosure"],
      ["report.formats", "disclosure"],
      ["stated.site", "disclosure"],
    ]);
    expect(told.sameTrials).toBe(12);
  });

  it("without a common point nothing is comparable", async () => {
    expect((await between(base, "variants: { other: { model: a } }")).comparable).toBe(false);
  });
});
