// The scheduler on a model that only writes down what it is asked.
import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { SteppedModel } from "./model.ts";
import {
  type PrefixUse,
  type Scheduler,
  type SchedulerLimits,
  startScheduler,
} from "./scheduler.ts";

const limits: SchedulerLimits = {
  maxNumSeqs: 2,
  maxNumBatchedTokens: 100,
  blockSize: 4,
  numBlocks: 1000,
};

/**
 * A model whose calls are lines: "read 1 x3" (sequence 1, three tokens), "step 1,2", "forget 1",
 * "copy 1 0-4" (places 0 to 3), "adopt 2 x1" (one block).
 */
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
      tokenFloats: 1,
      async read(sequence, tokens) {
        await note(`read ${sequence} x${tokens.length}`);
        return new Float32Array(1);
      },
      async step(batch) {
        await note(`step ${batch.map(({ sequence }) => sequence).join(",")}`);
        return batch.map(() => new Float32Array(1));
      },
      adopt(sequence, stretches) {
        calls.push(`adopt ${sequence} x${stretches.length}`);
      },
      copy(sequence, start, target) {
        calls.push(`copy ${sequence} ${start}-${start + target.length}`);
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
  options: {
    promptLength?: number;
    /** Instead of so many times the token 7. */
    prompt?: readonly number[];
    length: number;
    onToken?: (made: number, prefix: PrefixUse) => void;
  },
): Watched {
  let made = 0;
  let resolve: (end: string) => void = () => undefined;
  const ended = new Promise<string>((settle) => {
    resolve = settle;
  });
  const cancel = scheduler.submit({
    promptTokens: options.prompt ?? Array.from({ length: options.promptLength ?? 3 }, () => 7),
    maxTokens: options.length,
    advance(_, prefix) {
      made += 1;
      options.onToken?.(made, prefix);
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
    const scheduler = startScheduler({ model, limits, prefixCaching: false });
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
    const scheduler = startScheduler({ model, limits, prefixCaching: false });
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
      usedBlocks: 0,
      promptTokens: 21,
      generationTokens: 28,
      finished: { stop: 0, length: 7, abort: 0, error: 0 },
    });
  });

  it("reads a long prompt in parts, so that running sequences go on meanwhile", async () => {
    const { model, calls } = notedModel();
    const scheduler = startScheduler({
      model,
      limits: { ...limits, maxNumBatchedTokens: 10 },
      prefixCaching: false,
    });
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
    const scheduler = startScheduler({
      model,
      limits: { ...limits, maxNumSeqs: 1 },
      prefixCaching: false,
    });
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
    const scheduler = startScheduler({ model, limits, prefixCaching: false });
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
      prefixCaching: true,
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
    const scheduler = startScheduler({ model, limits, prefixCaching: false });
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

describe("the scheduler's prefix cache", () => {
  /** Runs to the end and gives the use of the cache that each answer was told, in order. */
  async function uses(
    scheduler: Scheduler,
    asked: readonly { readonly prompt: readonly number[]; readonly length: number }[],
  ): Promise<readonly (PrefixUse | undefined)[]> {
    const told: (PrefixUse | undefined)[] = asked.map(() => undefined);
    const answers = asked.map((options, place) =>
      ask(scheduler, {
        ...options,
        onToken: (_, prefix) => {
          told[place] = prefix;
        },
      }),
    );
    await Promise.all(answers.map(({ ended }) => ended));
    await idle(scheduler);
    return told;
  }

  it("reads only what it has not, and at least one token, also of prompts that come together", async () => {
    const { model, calls } = notedModel();
    const scheduler = startScheduler({ model, limits, prefixCaching: true });
    const prompt = [1, 2, 3, 4, 5, 6, 7, 8];
    const told = await uses(scheduler, [
      { prompt, length: 1 },
      { prompt, length: 1 },
      { prompt: [...prompt, 9], length: 1 },
    ]);
    expect(calls).toEqual([
      "read 1 x8",
      "copy 1 0-4",
      "copy 1 4-8",
      "adopt 2 x1", // floor((8 - 1) / 4) = 1 block of 4: the second holds the last token
      "read 2 x4",
      "forget 1",
      "forget 2",
      "adopt 3 x2",
      "read 3 x1",
      "forget 3",
    ]);
    expect(told).toEqual([
      { cachedTokens: 0, createdTokens: 8 },
      { cachedTokens: 4, createdTokens: 4 },
      { cachedTokens: 8, createdTokens: 0 },
    ]);
    expect(scheduler.counts()).toMatchObject({
      prefixCacheQueries: 25,
      prefixCacheHits: 12,
      promptTokens: 25,
      cachedPromptTokens: 12,
      usedBlocks: 0,
    });
  });

  it("keeps blocks of the answer too, all but its last token", async () => {
    const { model } = notedModel();
    const scheduler = startScheduler({ model, limits, prefixCaching: true });
    // The tokens that `ask` makes are 1, 2, 3, ...; the last of them never goes into the model.
    await uses(scheduler, [{ prompt: [9, 9], length: 7 }]);
    const told = await uses(scheduler, [{ prompt: [9, 9, 1, 2, 3, 4, 5, 6, 7, 8], length: 1 }]);
    expect(told[0]?.cachedTokens).toBe(8);
  });

  it("does not spend the token budget on what it has", async () => {
    const { model, calls } = notedModel();
    const scheduler = startScheduler({
      model,
      limits: { ...limits, maxNumBatchedTokens: 10 },
      prefixCaching: true,
    });
    const prompt = Array.from({ length: 22 }, (_, place) => place);
    await uses(scheduler, [{ prompt, length: 1 }]);
    calls.length = 0;
    await uses(scheduler, [{ prompt, length: 1 }]);
    expect(calls).toEqual(["adopt 2 x5", "read 2 x2", "forget 2"]);
  });

  it("knows nothing and counts nothing when it is off", async () => {
    const { model, calls } = notedModel();
    const scheduler = startScheduler({ model, limits, prefixCaching: false });
    const prompt = [1, 2, 3, 4, 5];
    const told = await uses(scheduler, [
      { prompt, length: 1 },
      { prompt, length: 1 },
    ]);
    expect(told).toEqual([
      { cachedTokens: 0, createdTokens: 0 },
      { cachedTokens: 0, createdTokens: 0 },
    ]);
    expect(calls.filter((call) => /adopt|copy/.test(call))).toEqual([]);
    expect(scheduler.counts()).toMatchObject({ prefixCacheQueries: 0, prefixCacheHits: 0 });
    expect(scheduler.resetPrefixCache()).toBe(true);
  });

  it("is emptied only when nothing runs, and hits nothing after that", async () => {
    const { model } = notedModel();
    const scheduler = startScheduler({ model, limits, prefixCaching: true });
    const prompt = [1, 2, 3, 4, 5];
    const refused: boolean[] = [];
    const answer = ask(scheduler, {
      prompt,
      length: 3,
      onToken: () => refused.push(scheduler.resetPrefixCache()),
    });
    await answer.ended;
    expect(refused).toEqual([false, false, false]);
    expect(scheduler.resetPrefixCache()).toBe(true);
    const told = await uses(scheduler, [{ prompt, length: 1 }]);
    expect(told[0]?.cachedTokens).toBe(0);
  });

  it("lets go of the blocks of a cancelled answer, in mid-prompt and in mid-answer", async () => {
    const { model, calls } = notedModel();
    const scheduler = startScheduler({
      model,
      limits: { ...limits, maxNumBatchedTokens: 8 },
      prefixCaching: true,
    });
    const prompt = Array.from({ length: 20 }, (_, place) => place);
    const reading = ask(scheduler, { prompt, length: 5 });
    while (!calls.includes("copy 1 4-8")) await nextTurn();
    expect(scheduler.counts().usedBlocks).toBe(2);
    reading.cancel();
    expect(scheduler.counts().usedBlocks).toBe(0);
    const writing: Watched = ask(scheduler, {
      prompt,
      length: 100,
      onToken: (made) => {
        if (made === 3) writing.cancel();
      },
    });
    while (writing.tokens() < 3) await nextTurn();
    await idle(scheduler);
    expect(scheduler.counts()).toMatchObject({ running: 0, usedBlocks: 0, finished: { abort: 2 } });
    expect(scheduler.resetPrefixCache()).toBe(true);
  });

  it("lets a request wait until its longest answer fits beside those that run", async () => {
    const { model } = notedModel();
    // 12 tokens are 3 blocks: two such requests fill 6 of 8, and a third must wait.
    const scheduler = startScheduler({
      model,
      limits: { maxNumSeqs: 10, maxNumBatchedTokens: 100, blockSize: 4, numBlocks: 8 },
      prefixCaching: true,
    });
    const seen: { running: number; usedBlocks: number }[] = [];
    const answers = Array.from({ length: 5 }, (_, place) =>
      ask(scheduler, {
        prompt: [place, 1, 2, 3, 4, 5],
        length: 6,
        onToken: () => seen.push(scheduler.counts()),
      }),
    );
    await Promise.all(answers.map(({ ended }) => ended));
    expect(Math.max(...seen.map(({ running }) => running))).toBe(2);
    // Of 6 + 6 tokens 11 go into the model: 3 blocks each.
    expect(Math.max(...seen.map(({ usedBlocks }) => usedBlocks))).toBe(6);
  });

  it("counts a block that two sequences share once", async () => {
    const { model } = notedModel();
    const scheduler = startScheduler({ model, limits, prefixCaching: true });
    const seen: number[] = [];
    const answers = [20, 21].map((last) =>
      ask(scheduler, {
        prompt: [1, 2, 3, 4, 5, 6, 7, 8, last],
        length: 2,
        onToken: () => seen.push(scheduler.counts().usedBlocks),
      }),
    );
    await Promise.all(answers.map(({ ended }) => ended));
    // 1 2 3 4 and 5 6 7 8 once, and the block of each last token.
    expect(Math.max(...seen)).toBe(4);
  });
});
