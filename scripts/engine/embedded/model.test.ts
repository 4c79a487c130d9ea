// The real tiny model: what a sequence gets must not depend on who shares its batch.
import { beforeAll, describe, expect, it } from "vitest";
import { loadModel, type SteppedModel } from "./model.ts";
import { randomFrom, startSampling } from "./sampling.ts";

const folder = "data/models/tiny-qwen3";
const greedy = startSampling({ temperature: 0, topP: 1, seed: 0 });

function prompt(seed: number, length: number): readonly number[] {
  const random = randomFrom(seed);
  return Array.from({ length }, () => 300 + Math.floor(random() * 1700));
}

/** Greedy continuation of one prompt alone. */
async function alone(
  model: SteppedModel,
  sequence: number,
  tokens: readonly number[],
  length: number,
): Promise<readonly number[]> {
  let token = greedy(await model.read(sequence, tokens));
  const made = [token];
  while (made.length < length) {
    const [logits = new Float32Array()] = await model.step([{ sequence, token }]);
    token = greedy(logits);
    made.push(token);
  }
  model.forget(sequence);
  return made;
}

describe("the model", () => {
  let model: SteppedModel;
  beforeAll(async () => {
    model = await loadModel({ folder, precision: "fp32", threads: 1 });
  });

  it("gives a sequence the same tokens alone and in a batch that others join and leave", async () => {
    const length = 60;
    const prompts = [prompt(1, 5), prompt(2, 200), prompt(3, 61), prompt(4, 130)];
    const expected: (readonly number[])[] = [];
    for (const [place, tokens] of prompts.entries()) {
      expected.push(await alone(model, 100 + place, tokens, length));
    }
    expect(new Set(expected.flat()).size).toBeGreaterThan(50);

    // Sequence n joins at step 10 n and leaves when it has its tokens.
    const made = prompts.map((): number[] => []);
    for (let step = 0; made.some((tokens) => tokens.length < length); step += 1) {
      const batch = made.flatMap((tokens, sequence) => {
        const token = tokens.at(-1);
        return token === undefined || tokens.length >= length ? [] : [{ sequence, token }];
      });
      if (batch.length > 0) {
        const rows = await model.step(batch);
        for (const [row, { sequence }] of batch.entries()) {
          made[sequence]?.push(greedy(rows[row] ?? new Float32Array()));
        }
      }
      if (step % 10 === 0) {
        const joining = prompts[step / 10];
        if (joining !== undefined)
          made[step / 10]?.push(greedy(await model.read(step / 10, joining)));
      }
    }
    expect(made).toEqual(expected);
  });

  it("reads a prompt in parts as it does in one piece", async () => {
    const tokens = prompt(9, 300);
    const whole = Array.from(await model.read(201, tokens));
    await model.read(202, tokens.slice(0, 128));
    await model.read(202, tokens.slice(128, 129));
    const parts = Array.from(await model.read(202, tokens.slice(129)));
    const largest = Math.max(...whole.map((logit, token) => Math.abs(logit - (parts[token] ?? 0))));
    expect(whole.length).toBe(2048);
    expect(largest).toBeLessThan(1e-3);
  });

  it("refuses to step a sequence that it has not read", async () => {
    await expect(model.step([{ sequence: 999, token: 1 }])).rejects.toThrow("never read");
  });

  it("loads the quantized weights too", async () => {
    const quantized = await loadModel({ folder, precision: "q8", threads: 1 });
    expect(await alone(quantized, 1, prompt(1, 20), 5)).toHaveLength(5);
  });
});
