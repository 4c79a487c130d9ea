import { describe, expect, it } from "vitest";
import { makePlan } from "../experiment/plan.ts";
import { readExperiment } from "../experiment/read-experiment.ts";
import { createTestProject } from "../testing/command.ts";
import { checkKeptEngines } from "./kept-engines.ts";

/** Two variants on vLLM; `a` and `b` are what is written for each engine beside its kind. */
async function problems({
  measure = "{ rounds: 2, keep: true }",
  a = "",
  b = "",
}: {
  readonly measure?: string;
  readonly a?: string;
  readonly b?: string;
}): Promise<readonly string[]> {
  const project = createTestProject();
  const path = project.experiment(
    "kept",
    [
      `engines: { ea: { kind: vllm, ${a} }, eb: { kind: vllm, ${b} } }`,
      "variants: { a: { model: m, precision: fp8, engine: ea }, b: { model: m, precision: bf16, engine: eb } }",
      "workloads: { w: { input: 16, output: 2 } }",
      "loads: { concurrency: [1] }",
      `measure: ${measure}`,
    ].join("\n"),
  );
  try {
    const plan = makePlan((await readExperiment(path)).experiment);
    return checkKeptEngines(plan, plan.experiment.variants).map(({ what }) => what);
  } finally {
    project.remove();
  }
}

describe("engines of two variants that are kept between rounds", () => {
  it("are refused where both would take the same GPUs", async () => {
    const [told] = await problems({});
    expect(told).toContain("the engines of a and b would hold the same memory at once");
  });

  it("are fine where they never live side by side", async () => {
    expect(await problems({ measure: "{ rounds: 2 }" })).toEqual([]);
    expect(await problems({ measure: "{ rounds: 1, keep: true }" })).toEqual([]);
    expect(await problems({ measure: "{ rounds: 2, keep: true, order: grouped }" })).toEqual([]);
  });

  it("are fine on devices of their own, however these are given", async () => {
    const own = (device: string) => `env: { CUDA_VISIBLE_DEVICES: "${device}" }`;
    expect(await problems({ a: own("0,1"), b: own("2,3") })).toEqual([]);
    expect(await problems({ a: own("0,1"), b: own("1,2") })).toHaveLength(1);
    expect(await problems({ a: own("0") })).toHaveLength(1);
    const prefix = 'prefix: [env, "HIP_VISIBLE_DEVICES=4"]';
    expect(await problems({ a: own("0"), b: prefix })).toEqual([]);
    const gpus = (device: string) =>
      `container: { image: "vllm:1", args: [--gpus, '"device=${device}"'] }`;
    expect(await problems({ a: gpus("0"), b: gpus("1") })).toEqual([]);
  });

  it("are fine where their shares of memory fit together", async () => {
    const share = (value: number) => `args: { gpu-memory-utilization: ${value} }`;
    expect(await problems({ a: share(0.5), b: share(0.5) })).toEqual([]);
    // Without a word vLLM takes 0.9.
    expect(await problems({ a: share(0.5) })).toHaveLength(1);
  });
});
