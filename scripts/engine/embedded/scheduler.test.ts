// The scheduler on a model that only writes down what it is asked.
import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { SteppedModel } from "./model.ts";
import { type Scheduler, type SchedulerLimits, startScheduler } from "./scheduler.ts";

const limits: SchedulerLimits = { maxNumSeqs: 2, maxNumBatchedTokens: 100 };

/** A model whose calls are lines: "read 1 x3" (sequence 1, three tokens), "step 1,2", "forget 1". */
function notedModel(failAt?: string): { readonly model: SteppedModel; readonly calls: string[] } {
  const calls: string[] = [];
  const note = async (call: string): Promise<void> => {
    calls.push(call);
    await nextTurn();
    if (call === failAt) throw new Error("out of memory");
  };
  return {
    calls,
    model: {
      async read(sequence, tokens) {
        await note(`read ${sequence} x${tokens.length}`);
        return new Float32Array(1);
      },
      async step(batch) {
        await note(`step ${batch.map(({ sequence }) => sequence).join(",")}`);
        return batch.map(() => new Float32Array(1));
      },
      forget(sequence) {
        calls.push(`forget ${sequence}`);
      },
    },
  };
}

interface Watched {
  readonly tokens: () => number;
  readonly ended: Promise<string>;
  readonly cancel: () => void;
}

/** An answer of `length` tokens to a prompt of `promptLength`; `ended` tells how it ended. */
function ask(
  scheduler: Scheduler,
  options: { promptLength?: number; length: number; onToken?: (made: number) => void },
): Watched {
  let made = 0;
  let resolve: (end: string) => void = () => undefined;
  const ended = new Promise<string>((settle) => {
    resolve = settle;
  });
  const cancel = scheduler.submit({
    promptTokens: Array.from({ length: options.promptLength ?? 3 }, () => 7),
    advance() {
      made += 1;
      options.onToken?.(made);
      if (made < options.length) return { token: made, finishReason: undefined };
      resolve("length");
      return { token: made, finishReason: "length" };
    },
    fail(error) {
      resolve(error.message);
    },
  });
  return { tokens: () => made, ended, cancel };
}

async function idle(scheduler: Scheduler): Promise<void> {
  for (let turn = 0; turn < 1000; turn += 1) {
    const { running, waiting } = scheduler.counts();
    if (running + waiting === 0) {
      await nextTurn();
      await nextTurn();
      return;
    }
    await nextTurn();
  }
  throw new Error("the scheduler did not come to rest in 1000 turns");
}

describe("the scheduler", () => {
  it("advances running sequences together, one token a step, and admits the next in order", async () => {
    const { model, calls } = notedModel();
    const scheduler = startScheduler({ model, limits });
    const answers = [2, 3, 2].map((length) => ask(scheduler, { length }));
    expect(await Promise.all(answers.map(({ ended }) => ended))).toEqual([
      "length",
      "length",
      "length",
    ]);
    await idle(scheduler);
    expect(calls).toEqual([
      "read 1 x3",
      "read 2 x3",
      "step 1,2", // 1 has its two tokens and leaves
      "forget 1",
      "read 3 x3", // 3 takes its place at once, and 2 still advances in the same iteration
      "step 2",
      "forget 2",
      "step 3",
      "forget 3",
    ]);
  });

  it("never runs more than max-num-seqs, and the rest wait", async () => {
    const { model } = notedModel();
    const scheduler = startScheduler({ model, limits });
    const seen: number[] = [];
    const answers = Array.from({ length: 7 }, () =>
      ask(scheduler, { length: 4, onToken: () => seen.push(scheduler.counts().running) }),
    );
    expect(scheduler.counts()).toMatchObject({ running: 0, waiting: 7 });
    await Promise.all(answers.map(({ ended }) => ended));
    expect(Math.max(...seen)).toBe(2);
    expect(scheduler.counts()).toMatchObject({
      running: 0,
      waiting: 0,
      cachedTokens: 0,
      promptTokens: 21,
      generationTokens: 28,
      finished: { stop: 0, length: 7, abort: 0, error: 0 },
    });
  });

  it("reads a long prompt in parts, so that running sequences go on meanwhile", async () => {
    const { model, calls } = notedModel();
    const scheduler = startScheduler({ model, limits: { maxNumSeqs: 2, maxNumBatchedTokens: 10 } });
    const first = ask(scheduler, { promptLength: 2, length: 4 });
    const second = ask(scheduler, { promptLength: 20, length: 1 });
    await Promise.all([first.ended, second.ended]);
    expect(calls.slice(0, 6)).toEqual([
      "read 1 x2",
      "read 2 x8", // 10 less the two of the first
      "read 2 x9", // 10 less the one that the first advances by
      "step 1",
      "read 2 x3",
      "step 1",
    ]);
  });

  it("frees the place of a cancelled sequence for the next", async () => {
    const { model, calls } = notedModel();
    const scheduler = startScheduler({ model, limits: { ...limits, maxNumSeqs: 1 } });
    const first: Watched = ask(scheduler, {
      length: 1000,
      onToken: (made) => {
        if (made === 3) first.cancel();
      },
    });
    const second = ask(scheduler, { length: 1 });
    const third = ask(scheduler, { length: 1 });
    third.cancel();
    expect(await second.ended).toBe("length");
    await idle(scheduler);
    expect(first.tokens()).toBe(3);
    expect(third.tokens()).toBe(0);
    expect(calls).toContain("forget 1");
    expect(calls.some((call) => call.startsWith("read 3"))).toBe(false);
    expect(scheduler.counts()).toMatchObject({ running: 0, finished: { length: 1, abort: 2 } });
  });

  it("does not hand a token to a sequence that was cancelled while the model was busy", async () => {
    const { model, calls } = notedModel();
    const scheduler = startScheduler({ model, limits });
    const answer = ask(scheduler, { length: 5 });
    while (!calls.includes("read 1 x3")) await nextTurn();
    answer.cancel();
    await idle(scheduler);
    expect(answer.tokens()).toBe(0);
    expect(calls).toEqual(["read 1 x3", "forget 1"]);
  });

  it("tells every sequence of the engine's death, running, waiting or later, and stays dead", async () => {
    const { model } = notedModel("step 1,2");
    const told: string[] = [];
    const scheduler = startScheduler({
      model,
      limits,
      onFailure: ({ message }) => told.push(message),
    });
    const answers = [5, 5, 5].map((length) => ask(scheduler, { length }));
    expect(await Promise.all(answers.map(({ ended }) => ended))).toEqual(
      Array.from({ length: 3 }, () => "out of memory"),
    );
    expect(told).toEqual(["out of memory"]);
    expect(scheduler.failure()?.message).toBe("out of memory");
    expect(await ask(scheduler, { length: 1 }).ended).toBe("out of memory");
    expect(scheduler.counts()).toMatchObject({ running: 0, waiting: 0, finished: { error: 3 } });
  });

  it("ends only the sequence whose own step throws", async () => {
    const { model } = notedModel();
    const scheduler = startScheduler({ model, limits });
    const broken = ask(scheduler, {
      length: 5,
      onToken: (made) => {
        if (made === 2) throw new Error("the client's stop string broke");
      },
    });
    const sound = ask(scheduler, { length: 5 });
    expect(await broken.ended).toBe("the client's stop string broke");
    expect(await sound.ended).toBe("length");
    expect(scheduler.failure()).toBeUndefined();
  });
});
