import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { makePlan } from "../experiment/plan.ts";
import { readExperiment } from "../experiment/read-experiment.ts";
import { checkDatasets } from "./check-datasets.ts";

const root = mkdtempSync(join(tmpdir(), "benchbook-datasets-"));
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

const prompts = (count: number): string =>
  Array.from({ length: count }, (_, index) => `{"prompt":"p${index}"}\n`).join("");

async function problemsOf(input: string, text: string, endpoint = "completions") {
  writeFileSync(join(root, "d.jsonl"), text);
  const path = join(root, "x.yaml");
  writeFileSync(
    path,
    `variants: { tiny: { model: data/models/tiny-qwen3, engine: embedded } }
workloads: { w: { input: ${input}, endpoint: ${endpoint} } }
loads: { concurrency: [1, 4] }
measure: { requests: 20, warmup: 8 }
`,
  );
  const { experiment } = await readExperiment(path);
  return checkDatasets(makePlan(experiment), root);
}

describe("datasets of a plan", () => {
  it("have enough entries for the largest trial, or that is said", async () => {
    // 8 before, 20 measured, and while the last one ends three other streams go on.
    expect(await problemsOf("{ dataset: d.jsonl }", prompts(31))).toEqual([]);
    const [problem] = await problemsOf("{ dataset: d.jsonl }", prompts(30));
    expect(problem?.what).toBe("a trial of tiny/c4 sends at least 31 requests, d.jsonl has 30");
    expect(problem?.where).toBe("workloads.w.input");
    expect(problem?.mend).toMatch(/repeat: true/);
    expect(await problemsOf("{ dataset: d.jsonl, repeat: true }", prompts(3))).toEqual([]);
  });

  it("are there and can be read, or file and line are told", async () => {
    const [absent] = await problemsOf("{ dataset: e.jsonl }", "");
    expect(absent?.what).toBe("there is no dataset e.jsonl");
    const [broken] = await problemsOf("{ dataset: d.jsonl }", `${prompts(1)}{"text":"a"}\n`);
    expect(broken?.where).toBe("d.jsonl:2");
    const messages = JSON.stringify({
      messages: [
        { role: "system", content: "s" },
        { role: "user", content: "u" },
      ],
    });
    const [chat] = await problemsOf("{ dataset: d.jsonl }", `${messages}\n`);
    expect(chat?.mend).toMatch(/endpoint: chat/);
    expect(await problemsOf("{ dataset: d.jsonl, repeat: true }", `${messages}\n`, "chat")).toEqual(
      [],
    );
  });
});
