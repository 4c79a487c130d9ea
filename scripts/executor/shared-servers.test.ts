import { describe, expect, it } from "vitest";
import { makePlan } from "../experiment/plan.ts";
import { readExperiment } from "../experiment/read-experiment.ts";
import { createTestProject } from "../testing/command.ts";
import { sharedServerNotes } from "./shared-servers.ts";

async function notes(engine: string, cache: string): Promise<readonly string[]> {
  const project = createTestProject();
  const path = project.experiment(
    "shared",
    [
      `engines: { e: ${engine} }`,
      "variants: { a: { model: m, engine: e, precision: fp8 }, b: { model: n, engine: e, precision: fp8 } }",
      `workloads: { w: { input: 64, output: 2, cache: ${cache} } }`,
      "loads: { concurrency: [1] }",
      "measure: { rounds: 1 }",
    ].join("\n"),
  );
  try {
    return sharedServerNotes(makePlan((await readExperiment(path)).experiment));
  } finally {
    project.remove();
  }
}

describe("a server that somebody else started", () => {
  it("is named once before its cache is emptied", async () => {
    const told = await notes('{ kind: external, url: "http://gpu-7:8000" }', "cold");
    expect(told).toHaveLength(1);
    expect(told[0]).toContain("the server at http://gpu-7:8000 is asked to empty its prefix cache");
  });

  it("is not named where nothing asks for that, nor is an engine of our own", async () => {
    expect(await notes('{ kind: external, url: "http://gpu-7:8000" }', "warm")).toEqual([]);
    expect(await notes("{ kind: embedded }", "cold")).toEqual([]);
  });
});
