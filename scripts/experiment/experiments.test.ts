// The experiments that ship with benchbook.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { makePlan } from "./plan.ts";
import { planSummary } from "./plan-summary.ts";
import { readExperiment } from "./read-experiment.ts";

const folder = join(import.meta.dirname, "../../experiments");
const files = readdirSync(folder).filter((name) => name.endsWith(".yaml"));

describe("experiments/", () => {
  it.each(files)("%s can be read and planned, and names its schema for editors", async (name) => {
    const { experiment, source } = await readExperiment(join(folder, name), { env: {} });
    expect(planSummary(makePlan(experiment)).trials.length).toBeGreaterThan(0);
    expect(`${experiment.name}.yaml`).toBe(name);
    expect(source.split("\n")[0]).toBe(
      "# yaml-language-server: $schema=../data/experiment.schema.json",
    );
  });

  it("quickstart compares two precisions at three loads over at least three rounds, in few requests", async () => {
    const { experiment } = await readExperiment(join(folder, "quickstart.yaml"), { env: {} });
    const plan = makePlan(experiment);
    expect(experiment.variants.map(({ precision }) => precision)).toEqual(["fp32", "q8"]);
    expect(plan.points).toHaveLength(6);
    expect(plan.roundCount).toBeGreaterThanOrEqual(3);
    expect(planSummary(plan).requests).toBeLessThan(2000);
    expect(planSummary(plan).notes.filter((note) => note.includes("too few"))).toEqual([]);
  });

  it("the README's example is the smallest experiment, and runs", async () => {
    const readme = readFileSync(join(folder, "README.md"), "utf8");
    const [, example = ""] = /```yaml\n([^]*?)```/.exec(readme) ?? [];
    const { experiment } = await readExperiment("hello.yaml", {
      readBytes: () => Promise.resolve(Buffer.from(example)),
    });
    expect(makePlan(experiment).points).toHaveLength(3);
  });
});
