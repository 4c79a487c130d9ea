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

  it("goes on from copies of another sequence's keys and values as if it had read them itself", async () => {
    const tokens = prompt(11, 200);
    const expected = await alone(model, 301, tokens, 40);

    // Copies from a prompt that was read in parts, and from a row of a batch of two.
    await model.read(302, tokens.slice(0, 100));
    await model.read(303, prompt(12, 150));
    await model.read(302, tokens.slice(100, 150));
    await model.step(
      [150, 151].map((place, row) => ({ sequence: 302 + row, token: tokens[place] ?? 0 })),
    );
    // 4 layers of keys and values, 2 heads of 32 floats each.
    expect(model.tokenFloats).toBe(512);
    let start = 0;
    const copies = [64, 64, 23].map((length) => {
      const copy = new Float32Array(length * 512);
      model.copy(302, start, copy);
      start += length;
      return copy;
    });
    model.forget(302);
    model.forget(303);

    model.adopt(304, copies);
    expect(await alone(model, 304, tokens.slice(151), 40)).toEqual(expected);
  });

  it("refuses to copy places that it has not filled", async () => {
    await model.read(305, prompt(13, 10));
    const eleven = new Float32Array(11 * model.tokenFloats);
    expect(() => {
      model.copy(305, 0, eleven);
    }).toThrow("place 11 of 10 is empty");
    expect(() => {
      model.copy(306, 0, eleven);
    }).toThrow("never read");
    model.forget(305);
  });

  it("refuses to step a sequence that it has not read", async () => {
    await expect(model.step([{ sequence: 999, token: 1 }])).rejects.toThrow("never read");
  });

  it("loads the quantized weights too", async () => {
    const quantized = await loadModel({ folder, precision: "q8", threads: 1 });
    expect(await alone(quantized, 1, prompt(1, 20), 5)).toHaveLength(5);
  });
});
