import { describe, expect, it } from "vitest";
import { reading } from "../stats/fixtures/trials.ts";
import type { TrialSamples } from "../stats/samples.ts";
import { findingsOf, passes, whyNot } from "./fixtures/ask-rule.ts";
import { healthy, pointName, samplesOf, withSamples } from "./fixtures/run.ts";
import type { AuditInput } from "./rule.ts";

// A trial of the healthy run: 170 prompts of 100 tokens and answers of 5: 17,000 and 850.
const counting = (prompt: number, generation: number, round = 2): AuditInput =>
  withSamples(
    [1, 2, 3].map((one) => ({
      ...samplesOf(one),
      engine: [
        reading(0, { promptTokensTotal: 500, generationTokensTotal: 20 }),
        reading(200_000, {
          promptTokensTotal: 500 + (one === round ? prompt : 17_000),
          generationTokensTotal: 20 + (one === round ? generation : 850),
        }),
      ],
    })),
  );
const trialsWith = (change: (samples: TrialSamples) => TrialSamples): AuditInput =>
  withSamples([1, 2, 3].map((round) => change(samplesOf(round))));

describe("S6, client and server count the same", () => {
  it("passes equal counts, and what a reading may have missed", () => {
    expect(passes("S6", healthy)).toBe(true);
    expect(passes("S6", counting(17_000, 850))).toBe(true);
    // 0.5 % of 17,000 are 85.
    expect(passes("S6", counting(17_085, 850))).toBe(true);
  });

  it("fails tokens of somebody else, with the counts of the round", () => {
    expect(findingsOf("S6", counting(20_400, 850))).toMatchObject([
      {
        severity: "fail",
        where: pointName,
        seen: {
          zh: "第 2 轮引擎计入 20,400 个输入 token，客户端 usage 合计 17,000 个：多 20.0%",
          en: "in round 2 the engine counted 20,400 prompt tokens, the client's usage adds up to 17,000: 20.0 % more",
        },
        evidence: { round: 2, tokens: "prompt", server: 20_400, clientLow: 17_000, off: 0.2 },
      },
    ]);
  });

  it("warns of a small excess and of tokens that the engine did not count", () => {
    expect(findingsOf("S6", counting(17_000, 857))).toMatchObject([
      { severity: "warn", evidence: { tokens: "generation", server: 857 } },
    ]);
    expect(findingsOf("S6", counting(8500, 850))).toMatchObject([
      {
        severity: "warn",
        seen: {
          en: "in round 2 the engine counted 8,500 prompt tokens, the client's usage adds up to 17,000: 50.0 % less",
        },
        evidence: { off: -0.5 },
      },
    ]);
  });

  it("takes requests that were cut off for a bound", () => {
    // 10 fillers of 105 tokens at most: the client knows of 16,000 to 17,000.
    const cut = (prompt: number): AuditInput =>
      trialsWith((samples) => ({
        ...samples,
        requests: samples.requests.map((one) =>
          one.phase === "filler" ? { ...one, status: "cancelled", tokenSource: "none" } : one,
        ),
        engine: [
          reading(0, { promptTokensTotal: 0, generationTokensTotal: 0 }),
          reading(200_000, { promptTokensTotal: prompt, generationTokensTotal: 820 }),
        ],
      }));
    expect(passes("S6", cut(16_000))).toBe(true);
    expect(passes("S6", cut(17_000))).toBe(true);
    expect(findingsOf("S6", cut(18_700))).toMatchObject([
      {
        severity: "fail",
        seen: {
          en: "in round 1 the engine counted 18,700 prompt tokens, the client's usage adds up to 16,000 to 17,000: 10.0 % more",
        },
      },
    ]);
  });

  it.each<[string, (samples: TrialSamples) => TrialSamples, string]>([
    ["without counters", (samples) => ({ ...samples, engine: [] }), "no counters of tokens"],
    [
      "of an engine that was started again",
      (samples) => ({
        ...samples,
        engine: [900, 0].map((tokens, index) =>
          reading(index * 200_000, { promptTokensTotal: tokens, generationTokensTotal: tokens }),
        ),
      }),
      "started again",
    ],
    [
      "that do not cover the trial",
      (samples) => ({
        ...samples,
        engine: [1000, 2000].map((atMs) =>
          reading(atMs, { promptTokensTotal: atMs, generationTokensTotal: atMs }),
        ),
      }),
      "no reading of the engine before the first request",
    ],
    [
      "without usage",
      (samples) => ({
        ...samples,
        requests: samples.requests.map((one) => ({ ...one, tokenSource: "tokenizer" })),
      }),
      "see S5",
    ],
  ])("is not checked on readings %s", (_, change, why) => {
    expect(whyNot("S6", trialsWith(change))[0]).toContain(why);
  });
});
