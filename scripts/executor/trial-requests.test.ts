import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { makePlan, type Point } from "../experiment/plan.ts";
import { readExperiment } from "../experiment/read-experiment.ts";
import { batchedSource } from "../workload/request-batch.ts";
import type { PromptTokenizer } from "../workload/tokenizer.ts";
import { requestsOfTrial } from "./trial-requests.ts";

const folder = mkdtempSync(join(tmpdir(), "benchbook-trial-requests-"));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** A server that counts words, and so has nothing to compare. */
const tokenizer: PromptTokenizer = {
  source: "server",
  path: undefined,
  words: Array.from({ length: 50 }, (_, index) => `w${index}`),
  wordsAddUp: true,
  count: (prompt) => (typeof prompt === "string" ? prompt.trim().split(" ").length : 0),
  countAnswer: () => undefined,
};

const text = `variants: { a: { model: m }, b: { model: n } }
workloads: { w: { input: 32, output: 200 } }
loads: { concurrency: [4] }
`;
const readBytes = () => Promise.resolve(Buffer.from(text));
const { experiment } = await readExperiment("x.yaml", { env: {}, readBytes });
const plan = makePlan(experiment);

/** Planned output tokens of the first six requests of a variant's first trial. */
async function outputsOf(
  variant: string,
  { promptSalt = "", change = {} }: { promptSalt?: string; change?: Partial<Point> } = {},
): Promise<readonly (number | undefined)[]> {
  const point = plan.points.find((one) => one.variant === variant);
  const trial = plan.rounds[0]?.starts.find((start) => start.variant === variant)?.trials[0];
  const [workload] = experiment.workloads;
  if (point === undefined || trial === undefined || workload === undefined)
    throw new Error("the plan has no such trial");
  const { maker, batch } = await requestsOfTrial(trial, {
    experiment,
    point: { ...point, ...change },
    workload,
    engine: {
      endpoint: { baseUrl: "http://127.0.0.1:9", model: "m", headers: {} },
      facts: { maxModelLen: undefined },
    },
    tokenizer,
    promptSalt,
    projectRoot: folder,
    folder,
    promptThreads: undefined,
  });
  const source = batchedSource();
  source.add(batch);
  await maker.close();
  return [0, 1, 2, 3, 4, 5].map((index) => source.request(index)?.outputTokens);
}

describe("the requests of a trial", () => {
  it("ask for parts of the first answers, alike for compared variants and whatever the salt", async () => {
    const outputs = await outputsOf("a");
    expect(outputs.slice(4)).toEqual([200, 200]);
    const first = outputs.slice(0, 4).map((tokens = 0) => tokens);
    expect(Math.min(...first)).toBeGreaterThanOrEqual(1);
    expect(Math.min(...first)).toBeLessThan(200);
    expect(await outputsOf("b", { promptSalt: "another run" })).toEqual(outputs);
  });

  it("ask for whole answers in a plan that was stored before there was another way", async () => {
    expect(await outputsOf("a", { change: { firstWave: undefined } })).toEqual(
      Array<number>(6).fill(200),
    );
  });
});
