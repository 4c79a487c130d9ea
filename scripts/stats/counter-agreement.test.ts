import { describe, expect, it } from "vitest";
import { counterAgreement, hitRateAgreement } from "./counter-agreement.ts";
import { reading, stream, trial } from "./fixtures/trials.ts";
import type { RequestSample, TrialSamples } from "./samples.ts";

type Counts = Partial<TrialSamples["engine"][number]>;

// Ten completed requests of 100 prompt tokens and 5 output tokens, warm-up among them: 1000 and 50.
const ten = Array.from({ length: 10 }, (_, index) =>
  stream(100 * index, index < 2 ? { phase: "warmup" } : {}),
);
/** Cut off with some output: up to 100 more prompt tokens and 5 more output tokens. */
const cutOff: RequestSample = stream(1000, {
  phase: "filler",
  status: "cancelled",
  inputTokens: undefined,
  outputTokens: undefined,
  cachedTokens: undefined,
  tokenSource: "none",
});

const during = (requests: readonly RequestSample[], before: Counts, after: Counts) =>
  trial(requests, { engine: [reading(0, before), reading(2000, after)] });
const counting = (requests: readonly RequestSample[], prompt: number, generation: number) =>
  during(
    requests,
    { promptTokensTotal: 7000, generationTokensTotal: 300 },
    { promptTokensTotal: 7000 + prompt, generationTokensTotal: 300 + generation },
  );

describe("tokens that client and server counted", () => {
  it("agree where they are the same, warm-up included", () => {
    expect(counterAgreement(counting(ten, 1000, 50))).toEqual([
      {
        kind: "compared",
        tokens: "prompt",
        client: { low: 1000, high: 1000 },
        server: 1000,
        off: 0,
      },
      { kind: "compared", tokens: "generation", client: { low: 50, high: 50 }, server: 50, off: 0 },
    ]);
  });

  it.each([
    [1000, 50, 0, 0],
    [1100, 55, 0, 0],
    // 1320 is a fifth above 1100; 44 is 12 % below 50.
    [1320, 44, 0.2, -0.12],
  ])("are bounded by what a cancelled request may have taken: %d and %d", (...numbers) => {
    const [prompt, generation, promptOff, generationOff] = numbers;
    const [ofPrompt, ofGeneration] = counterAgreement(
      counting([...ten, cutOff], prompt, generation),
    );
    expect(ofPrompt).toMatchObject({ client: { low: 1000, high: 1100 } });
    expect(ofGeneration).toMatchObject({ client: { low: 50, high: 55 } });
    expect(ofPrompt?.kind === "compared" && ofPrompt.off).toBeCloseTo(promptOff, 12);
    expect(ofGeneration?.kind === "compared" && ofGeneration.off).toBeCloseTo(generationOff, 12);
  });

  it("leave out requests that never reached a socket", () => {
    const unsent: RequestSample = { ...cutOff, sentAtMs: undefined, status: "failed" };
    expect(counterAgreement(counting([...ten, unsent], 1000, 50))).toMatchObject([
      { client: { high: 1000 } },
      { client: { high: 50 } },
    ]);
  });

  it.each<[string, TrialSamples, string]>([
    ["no counters", during(ten, {}, {}), "no_counter"],
    ["one reading", trial(ten, { engine: [reading(0, { promptTokensTotal: 1 })] }), "no_counter"],
    ["an engine that restarted", counting(ten, -5, -5), "counter_reset"],
    [
      "a first reading that came late",
      trial(ten, {
        engine: [10, 2000].map((atMs) =>
          reading(atMs, { promptTokensTotal: atMs, generationTokensTotal: atMs }),
        ),
      }),
      "not_covered",
    ],
    [
      "no reading after the last request",
      trial(ten, {
        engine: [0, 500].map((atMs) =>
          reading(atMs, { promptTokensTotal: atMs, generationTokensTotal: atMs }),
        ),
      }),
      "not_covered",
    ],
    [
      "tokens that the local tokenizer counted",
      counting([...ten.slice(1), stream(0, { tokenSource: "tokenizer" })], 1000, 50),
      "no_usage",
    ],
  ])("are not compared with %s", (_, samples, why) => {
    expect(counterAgreement(samples)).toEqual([
      { kind: "unknown", tokens: "prompt", why },
      { kind: "unknown", tokens: "generation", why },
    ]);
  });
});

describe("the hit rate that both sides tell", () => {
  const rates = (requests: readonly RequestSample[], after: Counts) =>
    hitRateAgreement(
      during(
        requests,
        {
          prefixHitsTotal: 0,
          prefixQueriesTotal: 0,
          promptTokensRemoteTotal: 0,
          promptTokensCachedTotal: 0,
          promptTokensTotal: 0,
        },
        after,
      ),
    );
  // The first found nothing, the others 32 of 100 tokens each: 288 of 1000.
  const sharing = ten.map((request, index) => ({ ...request, cachedTokens: index === 0 ? 0 : 32 }));

  it("is exact where all requests completed", () => {
    expect(rates(sharing, { prefixHitsTotal: 288, prefixQueriesTotal: 1000 })).toEqual({
      usage: { low: 0.288, high: 0.288 },
      counters: 0.288,
    });
  });

  it("is bounded where one was cut off, which may have found nothing or 32", () => {
    expect(rates([...sharing, cutOff], { prefixHitsTotal: 320, prefixQueriesTotal: 1100 })).toEqual(
      {
        usage: { low: 288 / 1100, high: 320 / 1100 },
        counters: 320 / 1100,
      },
    );
  });

  it("counts the hits of a remote cache, as usage does", () => {
    const counts = { prefixHitsTotal: 88, prefixQueriesTotal: 1000, promptTokensRemoteTotal: 200 };
    expect(rates(sharing, counts)?.counters).toBe(0.288);
  });

  it("comes from cached tokens where look-ups are not counted", () => {
    const engine = [
      reading(0, { promptTokensCachedTotal: 0, promptTokensTotal: 0 }),
      reading(2000, { promptTokensCachedTotal: 288, promptTokensTotal: 1000 }),
    ];
    expect(hitRateAgreement(trial(sharing, { engine }))?.counters).toBe(0.288);
  });

  it("is not compared where a side is silent", () => {
    const counts = { prefixHitsTotal: 288, prefixQueriesTotal: 1000 };
    const silent = ten.map((request) => ({ ...request, cachedTokens: undefined }));
    expect(rates(silent, counts)).toBeUndefined();
    expect(rates([cutOff], counts)).toBeUndefined();
    expect(hitRateAgreement(trial(sharing))).toBeUndefined();
    expect(hitRateAgreement(during(sharing, {}, {}))).toBeUndefined();
  });
});
