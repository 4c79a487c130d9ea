import { describe, expect, it } from "vitest";
import { createBatchingServer, createVirtualTime } from "./batching-server.ts";

const stepTime = {
  fixedMs: 10,
  perSequenceMs: 1,
  perContextTokenMs: 0.1,
  perPrefillTokenMs: 0.5,
};

/** Puts requests on an idle server at 0; gives when each had its first and its last token. */
function serve(
  requests: readonly { readonly inputTokens: number; readonly outputTokens: number }[],
  limits: { readonly maxSequences: number; readonly maxStepTokens: number },
): readonly (readonly [number, number])[] {
  const time = createVirtualTime();
  const server = createBatchingServer(time, { ...limits, stepTime, jitter: 0, random: () => 0.5 });
  const firsts: number[] = [];
  const lasts: number[] = [];
  for (const [index, request] of requests.entries()) {
    server.submit({
      ...request,
      onFirstToken: () => {
        firsts[index] = time.now();
      },
      onLastToken: () => {
        lasts[index] = time.now();
      },
    });
  }
  time.runUntil(() => false);
  expect([server.running, server.waiting]).toEqual([0, 0]);
  return requests.map((_, index) => [firsts[index] ?? 0, lasts[index] ?? 0]);
}

describe("the batching server", () => {
  it("takes for each step what batch, context and prefill cost", () => {
    // Prefill of 20: 10 + 1 + 20 x 0.5 = 21. Then context 21: 10 + 1 + 2.1 = 13.1, 22: 13.2.
    const [only] = serve([{ inputTokens: 20, outputTokens: 3 }], {
      maxSequences: 4,
      maxStepTokens: 100,
    });
    expect(only?.[0]).toBeCloseTo(21, 9);
    expect(only?.[1]).toBeCloseTo(21 + 13.1 + 13.2, 9);
  });

  it("cuts prefill into the tokens that a step has, first come, first served", () => {
    // Step 1: 20 of the first, 10 of the second: 10 + 2 + 15 = 27. Step 2: one token of the first
    // (context 21), the other 10 of the second: 10 + 2 + 2.1 + 5 = 19.1.
    const served = serve(
      [
        { inputTokens: 20, outputTokens: 2 },
        { inputTokens: 20, outputTokens: 1 },
      ],
      { maxSequences: 4, maxStepTokens: 30 },
    );
    expect(served[0]?.[0]).toBeCloseTo(27, 9);
    expect(served[0]?.[1]).toBeCloseTo(46.1, 9);
    expect(served[1]).toEqual([served[0]?.[1], served[0]?.[1]]);
  });

  it("lets wait who has no place in the batch", () => {
    // One place: each takes one step of 10 + 1 + 2 = 13.
    const served = serve(
      Array.from({ length: 3 }, () => ({ inputTokens: 4, outputTokens: 1 })),
      { maxSequences: 1, maxStepTokens: 100 },
    );
    expect(served.map(([firstMs]) => firstMs)).toEqual([13, 26, 39]);
  });
});

describe("virtual time", () => {
  it("acts in order of time, equal times in order of asking, and not on what was taken back", () => {
    const time = createVirtualTime();
    const seen: string[] = [];
    const note = (name: string) => () => {
      seen.push(`${name} at ${time.now()}`);
    };
    time.after(5, note("b"));
    time.after(5, note("c"));
    time.after(1, note("a"));
    const takeBack = time.after(3, note("never"));
    takeBack();
    time.runUntil(() => false);
    expect(seen).toEqual(["a at 1", "b at 5", "c at 5"]);
  });
});
