import { describe, expect, it } from "vitest";
import { reading } from "../stats/fixtures/trials.ts";
import type { RequestSample, TrialSamples } from "../stats/samples.ts";
import { findingsOf, outcomesOf, passes, whyNot } from "./fixtures/ask-rule.ts";
import {
  attempt,
  config,
  experiment,
  healthy,
  pointName,
  samplesOf,
  settings,
  spoiled,
  startSaying,
  withSamples,
} from "./fixtures/run.ts";
import type { AuditInput } from "./rule.ts";

const workload = experiment.workloads[0];
if (workload === undefined) throw new Error("the experiment has a workload");
const under = (changes: Partial<typeof workload>, input: AuditInput): AuditInput => ({
  ...input,
  experiment: { ...input.experiment, workloads: [{ ...workload, ...changes }] },
});
const shared = (tokens: number) => ({ cache: { kind: "shared", tokens } }) as const;
const chat = { endpoint: "chat" } as const;

const saying = (facts: Parameters<typeof startSaying>[1], input = healthy): AuditInput => ({
  ...input,
  starts: [1, 2, 3].map((round) => startSaying(round, facts)),
});
const trialsWith = (change: (samples: TrialSamples) => TrialSamples): AuditInput =>
  withSamples([1, 2, 3].map((round) => change(samplesOf(round))));

/** Every request of 100 tokens found this many of them in the cache, by its usage. */
const cached = (tokens: number | undefined): AuditInput =>
  spoiled((request) => ({ ...request, cachedTokens: tokens }));

type Counts = Partial<TrialSamples["engine"][number]>;

/** Usage tells nothing; the counters grew by as much over each trial. */
const counted = (after: Counts, usage?: number): AuditInput =>
  trialsWith((samples) => ({
    ...samples,
    requests: samples.requests.map((one) => ({ ...one, cachedTokens: usage })),
    engine: [
      reading(0, { prefixQueriesTotal: 0, prefixHitsTotal: 0, promptTokensRemoteTotal: 0 }),
      reading(200_000, { promptTokensRemoteTotal: 0, ...after }),
    ],
  }));
const lookups = (hits: number) => ({ prefixQueriesTotal: 17_000, prefixHitsTotal: hits });

describe("E3, prompts", () => {
  it("blocks repeated prompts, with how many are different", () => {
    const twins = spoiled((request) => ({ ...request, promptDigest: `p${request.index % 100}` }));
    expect(findingsOf("E3", twins)).toMatchObject([
      { severity: "block", evidence: { start: 1, requests: 170, unique: 100 } },
    ]);
  });

  it("blocks a prompt that the same engine saw in an earlier round, and not one that a fresh engine sees", () => {
    const sameEveryRound = (engineOf: (round: number) => number): AuditInput =>
      trialsWith((samples) => ({
        ...samples,
        start: engineOf(samples.round),
        requests: samples.requests.map((one) => ({ ...one, promptDigest: `p${one.index}` })),
      }));
    const oneEngine = sameEveryRound(() => 1);
    expect(findingsOf("E3", oneEngine)).toMatchObject([
      { evidence: { requests: 510, unique: 170 } },
    ]);
    const fresh = sameEveryRound((round) => round);
    expect(passes("E3", fresh)).toBe(true);
  });
});

describe("E3, a cold cache", () => {
  it("expects a hit rate of 0, by usage", () => {
    expect(findingsOf("E3", cached(50))).toMatchObject([
      {
        severity: "block",
        where: pointName,
        seen: { en: "prefix cache hit rate 50.00 % (round 1, by usage: 7000 of 14000 tokens)" },
        expected: { en: "0.00 %, give or take 1 point" },
        evidence: { hitRate: 0.5, expected: 0, source: "usage", round: 1 },
      },
    ]);
    expect(passes("E3", cached(1))).toBe(true);
    expect(passes("E3", cached(0))).toBe(true);
  });

  it("expects a hit rate of 0, by the engine's counters", () => {
    // 1700 of 17,000 tokens: 10 %.
    expect(findingsOf("E3", counted(lookups(1700)))).toMatchObject([
      {
        severity: "block",
        evidence: { hitRate: 0.1, expected: 0, source: "counters", cachedTokens: 1700 },
      },
    ]);
    expect(passes("E3", counted(lookups(0)))).toBe(true);
  });

  it("does not know the rate of an engine that reports none, unless it says it has no cache", () => {
    expect(whyNot("E3", cached(undefined))[0]).toContain("hit rate unknown");
    const off = saying({ settings: { ...settings, prefixCaching: false } }, cached(undefined));
    expect(passes("E3", off)).toBe(true);
    const lost = { ...healthy, experiment: { ...experiment, workloads: [] } };
    expect(whyNot("E3", lost)).toEqual(["the experiment has no such workload"]);
  });

  const failedReset = (starts: (round: number) => number): AuditInput => ({
    ...trialsWith((samples) => ({
      ...samples,
      start: starts(samples.round),
      cacheReset: samples.round === 2 ? "failed" : "done",
    })),
    attempts: [1, 2, 3].map((round) => attempt(round, { start: starts(round) })),
  });

  it("warns of a cache that could not be emptied on an engine that lives on", () => {
    expect(
      findingsOf(
        "E3",
        failedReset(() => 1),
      ),
    ).toMatchObject([
      {
        severity: "warn",
        where: pointName,
        seen: {
          en: "the prefix cache could not be emptied before the trial of round 2, and the engine had served requests before",
        },
        evidence: { round: 2, start: 1 },
      },
    ]);
  });

  it("does not mind it on an engine that was started for the trial, nor where none is offered", () => {
    expect(
      passes(
        "E3",
        failedReset((round) => round),
      ),
    ).toBe(true);
    const notOffered = trialsWith((samples) => ({ ...samples, cacheReset: "not_offered" }));
    expect(passes("E3", notOffered)).toBe(true);
  });

  it("warns of it on an engine that was only attached to", () => {
    const [variant] = experiment.variants;
    if (variant === undefined) throw new Error("the experiment has a variant");
    const input = failedReset((round) => round);
    const attached: AuditInput = {
      ...input,
      experiment: {
        ...experiment,
        variants: [
          {
            ...variant,
            engine: { kind: "external", name: "server", url: "http://server:8000", headers: {} },
          },
        ],
      },
    };
    expect(findingsOf("E3", attached)).toMatchObject([{ severity: "warn" }]);
  });
});

describe("E3, a shared prefix", () => {
  it("expects whole blocks of it, and shows the arithmetic", () => {
    // 40 shared tokens in blocks of 16: floor(40 / 16) x 16 = 32 of 100.
    expect(passes("E3", under(shared(40), cached(32)))).toBe(true);
    expect(findingsOf("E3", under(shared(40), cached(0)))).toMatchObject([
      {
        expected: { en: "32.00 %, give or take 1 point; floor(40 / 16) x 16 / 100" },
        evidence: { hitRate: 0, expected: 0.32, sharedTokens: 40, blockSize: 16 },
      },
    ]);
    expect(findingsOf("E3", under(shared(40), cached(48)))).toMatchObject([
      { evidence: { hitRate: 0.48, expected: 0.32 } },
    ]);
  });

  it("takes the block size from the settings, else from the configuration", () => {
    const blocks = (size: number | undefined, configured: number | null): AuditInput =>
      saying(
        {
          settings: { ...settings, blockSize: size },
          config: {
            ...config,
            "vllm_config.cache_config.block_size": configured,
            block_size: configured,
          },
        },
        under(shared(40), cached(32)),
      );
    expect(passes("E3", blocks(16, 8))).toBe(true);
    expect(passes("E3", blocks(undefined, 16))).toBe(true);
    // Blocks of 32 hold 32 of 40 tokens too, blocks of 40 all of them, blocks of 128 none.
    expect(findingsOf("E3", blocks(40, null))).toMatchObject([{ evidence: { expected: 0.4 } }]);
    expect(findingsOf("E3", blocks(128, null))).toMatchObject([{ evidence: { expected: 0 } }]);
    expect(whyNot("E3", blocks(undefined, null))[0]).toContain("block size");
  });

  it("never expects the last token of a prompt, which is always computed", () => {
    // All 100 tokens are shared but one: floor(99 / 16) x 16 = 96.
    expect(passes("E3", under(shared(100), cached(96)))).toBe(true);
  });

  it("allows for a first token that the tokenizer adds", () => {
    // 31 shared tokens fill one block of 16; with a BOS token before them, two.
    expect(passes("E3", under(shared(31), cached(16)))).toBe(true);
    expect(passes("E3", under(shared(31), cached(32)))).toBe(true);
  });

  it("allows by the counters for the first wave, which found nothing, and for no more", () => {
    // Sent before the first output at 200 ms: one request, since they start 500 ms apart. 169 of 170
    // may find 32 of 100 tokens: 5408 to 5440 of 17,000 (31.81 % to 32 %), and a point on either side.
    expect(passes("E3", under(shared(40), counted(lookups(5440))))).toBe(true);
    expect(passes("E3", under(shared(40), counted(lookups(5300))))).toBe(true);
    expect(findingsOf("E3", under(shared(40), counted(lookups(5200))))).toMatchObject([
      { evidence: { source: "counters" } },
    ]);
    expect(findingsOf("E3", under(shared(40), counted(lookups(5650))))).toHaveLength(1);
  });

  it("allows for a first wave in each of several caches", () => {
    const two = (hits: number): AuditInput =>
      saying(
        { settings: { ...settings, dataParallel: 20 } },
        under(shared(40), counted(lookups(hits))),
      );
    // 20 of 170 may find nothing: 4800 of 17,000 at least, less a point: 4630.
    expect(passes("E3", two(4650))).toBe(true);
    expect(findingsOf("E3", two(4600))).toHaveLength(1);
  });
});

describe("E3, prompts that share parts of their own", () => {
  const half = cached(50);
  const trace = { kind: "trace", name: "t", path: "t.jsonl", speed: 1 } as const;
  const turns = half.experiment.workloads.map((workload) => ({ ...workload, turns: 3 }));
  it.each([
    [
      "a trace",
      {
        ...half,
        plan: { ...half.plan, points: half.plan.points.map((one) => ({ ...one, load: trace })) },
      },
    ],
    ["conversations", { ...half, experiment: { ...half.experiment, workloads: turns } }],
  ])("holds %s to no hit rate", (_, input) => {
    expect(findingsOf("E3", half)).toHaveLength(1);
    expect(findingsOf("E3", input)).toEqual([]);
    expect(whyNot("E3", input)[0]).toMatch(/there is no rate that they should have$/);
  });
});

describe("E3, chat", () => {
  const long = (tokens: number): AuditInput =>
    spoiled((request) => ({
      ...request,
      inputTokens: 10_000,
      plannedInputTokens: 10_000,
      cachedTokens: tokens,
    }));

  it("allows for a chat template of usual length, and for no more", () => {
    // 256 tokens in blocks of 16 of 10,000: up to 2.56 %, and a point.
    expect(findingsOf("E3", under(chat, long(256)))).toEqual([]);
    expect(findingsOf("E3", under(chat, long(350)))).toEqual([]);
    expect(findingsOf("E3", under(chat, long(400)))).toMatchObject([
      {
        expected: { en: "0.00 % to 2.56 %, give or take 1 point" },
        evidence: { hitRate: 0.04, expected: 0.0256 },
      },
    ]);
  });

  it("says that it held the rate to bounds only", () => {
    expect(whyNot("E3", under(chat, long(0)))).toEqual([
      "the chat template's tokens are not counted, so the hit rate was only held to 0.0 % to 2.6 % (prompts were checked and are unique)",
    ]);
  });

  it("is checked where a template could not move the rate", () => {
    const longer = spoiled((request) => ({ ...request, inputTokens: 100_000, cachedTokens: 16 }));
    expect(passes("E3", under(chat, longer))).toBe(true);
  });

  it("adds the template to a shared prefix, and expects at least the prefix", () => {
    // 5000 shared: floor(5000 / 16) x 16 = 4992; with the template up to floor(5256 / 16) x 16 = 5248.
    const both = { ...chat, ...shared(5000) };
    expect(findingsOf("E3", under(both, long(4992)))).toEqual([]);
    expect(findingsOf("E3", under(both, long(5248)))).toEqual([]);
    expect(findingsOf("E3", under(both, long(4800)))).toMatchObject([
      { evidence: { hitRate: 0.48, expected: 0.4992 } },
    ]);
    expect(findingsOf("E3", under(both, long(5400)))).toMatchObject([
      { evidence: { expected: 0.5248 } },
    ]);
  });
});

describe("E3, a warm cache", () => {
  it("qualifies it, with the hit rate", () => {
    const warm = { cache: { kind: "warm" } } as const;
    expect(findingsOf("E3", under(warm, cached(96)))).toMatchObject([
      {
        severity: "fail",
        seen: {
          en: "declared warm: prompts are identical and prefill comes mostly from the cache, hit rate 96.00 %",
        },
        evidence: { cache: "warm", hitRate: 0.96 },
      },
    ]);
    expect(findingsOf("E3", under(warm, cached(undefined)))[0]?.evidence).toEqual({
      cache: "warm",
    });
  });
});

describe("E3, two sources", () => {
  it("warns where usage and counters disagree by more than half a point", () => {
    // Usage: nothing of 17,000 tokens. Counters: 100 of them, 0.59 %.
    expect(findingsOf("E3", counted(lookups(100), 0))).toMatchObject([
      {
        severity: "warn",
        seen: { en: "hit rate in round 1: 0.00 % by usage, 0.59 % by the engine's counters" },
        evidence: { usage: 0, counters: 100 / 17_000 },
      },
    ]);
    expect(passes("E3", counted(lookups(80), 0))).toBe(true);
  });

  it("finds both wrong: the rate and the disagreement", () => {
    expect(findingsOf("E3", counted(lookups(8500), 0)).map(({ severity }) => severity)).toEqual([
      "block",
      "warn",
    ]);
  });

  it("counts a remote cache's hits where usage does", () => {
    const remote = counted({ ...lookups(0), promptTokensRemoteTotal: 8500 }, 50);
    expect(findingsOf("E3", remote).map(({ severity }) => severity)).toEqual(["block"]);
  });

  it("bounds what a cut-off request found by what the others did", () => {
    const cut = (request: RequestSample): RequestSample =>
      request.phase === "filler"
        ? { ...request, status: "cancelled", cachedTokens: undefined, inputTokens: undefined }
        : { ...request, cachedTokens: 32 };
    const input = trialsWith((samples) => ({
      ...samples,
      requests: samples.requests.map(cut),
      engine: [
        reading(0, { ...lookups(0), prefixQueriesTotal: 0 }),
        reading(200_000, lookups(5440)),
      ],
    }));
    expect(outcomesOf("E3", under(shared(40), input)).map(({ kind }) => kind)).toEqual(["pass"]);
  });
});
