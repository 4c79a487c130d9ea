import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { makePlan } from "../experiment/plan.ts";
import { planSummary } from "../experiment/plan-summary.ts";
import { readExperiment } from "../experiment/read-experiment.ts";
import { createTestProject, type TestProject, tinyExperiment } from "../testing/command.ts";
import { describePlan } from "./terminal.ts";

let project: TestProject;
beforeEach(() => {
  project = createTestProject();
});
afterEach(() => {
  project.remove();
});

async function planned(rounds: string, estimatedS: number | undefined): Promise<string> {
  project.experiment(
    "tiny",
    tinyExperiment({ measure: `{ rounds: ${rounds}, requests: 6, percentiles: [50] }` }),
  );
  const { experiment } = await readExperiment(join(project.root, "experiments/tiny.yaml"));
  return describePlan({ ...planSummary(makePlan(experiment)), estimatedS, missing: [] });
}

describe("what `benchbook plan` shows", () => {
  it("is a range where rounds are on demand, with the rule that ends them", async () => {
    const text = await planned("{ until: 2%, min: 4, max: 12 }", 120);
    expect(text).toContain("4 to 12 starts, 8 to 24 trials");
    // 120 s are those of 12 rounds; 4 / 12 of them.
    expect(text).toContain(
      "Expected time: about 40 s (4 rounds) to 2 min (12 rounds), as in earlier runs",
    );
    expect(text).toContain(
      "rounds on demand: 4 to 12; after each whole round they end once the half-width of output token/s, mean TTFT, p90 TTFT and mean TPOT, t(.9875) s / sqrt R, is at most 2 % of the mean at every point",
    );
    expect(await planned("{ until: 2%, min: 4, max: 12 }", undefined)).toContain("not known yet");
  });

  it("is a number where they are fixed", async () => {
    const text = await planned("3", 30);
    expect(text).toContain("3 starts, 6 trials");
    expect(text).toContain("Expected time: about 30 s, as in earlier runs");
    expect(text).not.toContain("on demand");
  });
});
