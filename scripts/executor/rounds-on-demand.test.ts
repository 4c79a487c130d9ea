// Rounds on demand over a store and engines that are made up: what each round gives is chosen here.
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { RequestRecord } from "../bench/request-record.ts";
import type { RunningEngine } from "../engine/engine.ts";
import { makePlan, missingRounds, type Plan, type Trial } from "../experiment/plan.ts";
import { readExperiment } from "../experiment/read-experiment.ts";
import { Store } from "../store/store.ts";
import { createTestProject, type TestProject } from "../testing/command.ts";
import {
  caseAt,
  caseFacts,
  caseHeader,
  caseLeg,
  caseRecord,
  caseSummary,
} from "../testing/store-case.ts";
import type { LocalExecutor } from "./local.ts";
import { measure } from "./measure.ts";
import { decideWhatWasCutOff, roundsOnDemand } from "./rounds-on-demand.ts";

const run = "20251219T103940Z-demand-3fa2";

let project: TestProject;
let store: Store;
beforeEach(() => {
  project = createTestProject();
  store = Store.open(join(project.root, "benchbook.db"));
});
afterEach(() => {
  store.close();
  project.remove();
});

/** TTFT of a trial; undefined: it fails. */
type TtftMs = (trial: Trial) => number | undefined;

const quiet: TtftMs = ({ round }) => 100 + 0.1 * (round % 2);
/** cv 8 %: six rounds are not enough for 2 %, as t(.9875, 5) x 8.2 % / sqrt 6 = 10.6 %. */
const loud: TtftMs = ({ round }) => 100 + 15 * (round % 2);

async function planOf(measured = "rounds: { until: 2%, min: 4, max: 6 }"): Promise<Plan> {
  const path = project.experiment(
    "demand",
    [
      "engines: { e: { kind: embedded } }",
      "variants:",
      "  a: { model: data/models/tiny-qwen3, precision: fp32, engine: e }",
      "  b: { model: data/models/tiny-qwen3, precision: q8, engine: e }",
      "workloads: { w: { input: 16, output: 3 } }",
      "loads: { concurrency: [1] }",
      `measure: { ${measured}, requests: 2, warmup: 0, percentiles: [50], seed: 1 }`,
    ].join("\n"),
  );
  const plan = makePlan((await readExperiment(path)).experiment);
  store.createRun({ ...caseHeader(run), plan, resolved: plan.experiment });
  return plan;
}

interface Leg {
  readonly said: readonly string[];
  /** Rounds up to which trials were expected, as it was told. */
  readonly expected: readonly number[];
  /** Variants whose engine was let go early. */
  readonly released: readonly string[];
}

/** Measures what the run still lacks; `only` cuts it short, as a kill does. */
async function leg(
  plan: Plan,
  ttftMs: TtftMs,
  {
    only = () => true,
    neverReady = "",
    decides = true,
  }: {
    readonly only?: (trial: Trial) => boolean;
    readonly neverReady?: string;
    readonly decides?: boolean;
  } = {},
): Promise<Leg> {
  const number = store.beginLeg(run, caseLeg);
  const said: string[] = [];
  const expected: number[] = [];
  const released = new Set<string>();
  const progress = {
    say: (line: string) => {
      said.push(line);
    },
    expectRounds: (lastRound: number) => {
      expected.push(lastRound);
    },
    trialBegan: () => undefined,
    trialMoved: () => undefined,
    trialEnded: () => undefined,
    close: () => undefined,
  };
  const executor: LocalExecutor = {
    async *runStart({ variant, trials }) {
      yield { kind: "launching", at: caseAt, restart: false };
      await Promise.resolve();
      if (variant === neverReady) {
        yield { kind: "ended", at: caseAt, reason: "never_ready", detail: "no memory" };
        return;
      }
      yield { kind: "ready", at: caseAt, engine, reused: false };
      for (const trial of trials) {
        yield {
          kind: "trial-began",
          trial,
          at: caseAt,
          warmupRequests: 0,
          measured: { kind: "count", requests: 2 },
          cacheReset: undefined,
        };
        const value = ttftMs(trial);
        for (const record of recordsOf(value ?? 1))
          yield { kind: "request", trial, record, countedOutputTokens: undefined };
        yield {
          kind: "trial-ended",
          trial,
          status: value === undefined ? "failed" : "measured",
          reason: value === undefined ? "too many requests failed" : undefined,
          summary: caseSummary,
          watches: { engine: undefined, gpus: undefined },
        };
      }
      yield { kind: "ended", at: caseAt, reason: "stopped", detail: undefined };
    },
    release: (variant) => {
      released.add(variant);
      return Promise.resolve(undefined);
    },
    close: () => Promise.resolve(new Map()),
  };
  await measure(
    {
      run,
      leg: number,
      rounds: missingRounds(plan, store.missingTrials(run).filter(only)),
      roundsInAll: plan.roundCount,
      onDemand: decides ? roundsOnDemand({ store, run, plan }, number, progress) : undefined,
      logFolder: project.root,
      signal: new AbortController().signal,
    },
    executor,
    store,
    progress,
  );
  return { said, expected, released: [...released] };
}

const engine: RunningEngine = {
  endpoint: { baseUrl: "http://127.0.0.1:1", model: "tiny", headers: {} },
  facts: caseFacts,
  startupMs: 1,
  pid: undefined,
  logPath: undefined,
  exited: new Promise(() => undefined),
  interpreter: undefined,
  readFacts: () => Promise.resolve(caseFacts),
  resetPrefixCache: () => Promise.resolve("done"),
  stop: () => Promise.resolve([]),
};

/** Two requests of one stream, three tokens each. */
function recordsOf(ttftMs: number): readonly RequestRecord[] {
  return [0, 1].map((index) => {
    const sentAtMs = index * 1000;
    const firstAtMs = sentAtMs + ttftMs;
    return caseRecord(
      index,
      "measured",
      { dueAtMs: sentAtMs, sentAtMs, endedAtMs: firstAtMs + 20 },
      [firstAtMs, firstAtMs + 10, firstAtMs + 20],
    );
  });
}

const roundsOf = (variant: string): readonly number[] =>
  store
    .attemptsOf(run)
    .filter((attempt) => attempt.variant === variant)
    .map(({ round }) => round);
const ends = (): readonly string[] =>
  store
    .roundsEndsOf(run)
    .map(({ variant, round, outcome, leg: number }) =>
      [variant ?? "all", round, outcome, `leg ${number}`].join(" "),
    );
const trialsInAll = (): readonly (number | undefined)[] => {
  const [summary] = store.listRuns();
  return [summary?.trialsMeasured, summary?.trialsPlanned];
};

describe("rounds on demand", () => {
  it("end at the least where there is little spread, and that is a stored fact", async () => {
    const plan = await planOf();
    const { said, expected } = await leg(plan, quiet);
    expect(roundsOf("a")).toEqual([1, 2, 3, 4]);
    expect(roundsOf("b")).toEqual([1, 2, 3, 4]);
    expect(ends()).toEqual(["all 4 reached leg 1"]);
    const [end] = store.roundsEndsOf(run);
    expect(end).toMatchObject({ target: 0.02, trialsSpared: 4 });
    expect(end?.spreads).toHaveLength(8);
    expect(end?.spreads.every(({ share, reached }) => reached && (share ?? 1) < 0.02)).toBe(true);
    expect(store.missingTrials(run)).toEqual([]);
    expect(trialsInAll()).toEqual([8, 8]);
    expect(expected).toEqual([6, 4, 4, 4]);
    expect(said.at(-1)).toMatch(
      /^round 4 of 4 to 6: widest half-width 0\.\d+ % of the mean \(\S+ \S+\), at most 2 % was asked for: target reached, no more rounds$/,
    );
  });

  it("go on to the most while one point has much, whole, and say that the target was not reached", async () => {
    const plan = await planOf();
    const { said, expected } = await leg(plan, (trial) =>
      trial.variant === "b" ? loud(trial) : quiet(trial),
    );
    expect(roundsOf("a")).toEqual([1, 2, 3, 4, 5, 6]);
    expect(ends()).toEqual(["all 6 max leg 1"]);
    expect(expected).toEqual([6, 6, 6, 6, 6, 6]);
    expect(said.find((line) => line.startsWith("round 4"))).toContain("likely 2 more rounds");
    expect(said.at(-1)).toContain("target not reached, and no more rounds are allowed");
  });

  it("decide after a kill between two rounds without starting anything", async () => {
    const plan = await planOf();
    await leg(plan, quiet, { only: ({ round }) => round <= 4, decides: false });
    expect(ends()).toEqual([]);
    decideWhatWasCutOff({ store, run, plan });
    expect(ends()).toEqual(["all 4 reached leg 1"]);
    expect(store.missingTrials(run)).toEqual([]);
    decideWhatWasCutOff({ store, run, plan });
    expect(ends()).toHaveLength(1);
  });

  it("go on after a kill within a round as if there had been none", async () => {
    const plan = await planOf();
    const inThird = ({ round, variant }: Trial): boolean =>
      round < 3 || (round === 3 && variant === plan.rounds[2]?.starts[0]?.variant);
    await leg(plan, quiet, { only: inThird, decides: false });
    decideWhatWasCutOff({ store, run, plan });
    expect(ends()).toEqual([]);
    await leg(plan, quiet);
    expect(roundsOf("a")).toEqual([1, 2, 3, 4]);
    expect(roundsOf("b")).toEqual([1, 2, 3, 4]);
    expect(ends()).toEqual(["all 4 reached leg 2"]);
  });

  it("wait for a value in place of a failed one, and decide again when it is filled in", async () => {
    const plan = await planOf();
    const failing: TtftMs = (trial) =>
      trial.variant === "b" && trial.round === 2 ? undefined : quiet(trial);
    await leg(plan, failing);
    expect(ends()).toEqual(["all 5 reached leg 1"]);
    expect(store.missingTrials(run).map(({ variant, round }) => `${variant}${round}`)).toContain(
      "b2",
    );
    expect(trialsInAll()).toEqual([9, 10]);
    await leg(plan, quiet);
    expect(ends()).toEqual(["all 5 reached leg 1", "all 5 reached leg 2"]);
    expect(roundsOf("a")).toEqual([1, 2, 3, 4, 5]);
    expect(store.missingTrials(run)).toEqual([]);
    expect(trialsInAll()).toEqual([10, 10]);
  });

  it("don't wait for a variant that was given up, and take it in when it is resumed", async () => {
    const plan = await planOf();
    await leg(plan, quiet, { neverReady: "b" });
    expect(ends()).toEqual(["all 4 reached leg 1"]);
    expect(trialsInAll()).toEqual([4, 8]);
    await leg(plan, quiet);
    expect(roundsOf("b")).toEqual([1, 2, 3, 4]);
    expect(roundsOf("a")).toEqual([1, 2, 3, 4]);
    expect(store.missingTrials(run)).toEqual([]);
  });

  it("end for each variant on its own where all its rounds come in one go", async () => {
    const plan = await planOf("order: grouped, rounds: { until: 2%, min: 4, max: 6 }");
    const { released } = await leg(plan, (trial) =>
      trial.variant === "b" ? loud(trial) : quiet(trial),
    );
    expect(roundsOf("a")).toEqual([1, 2, 3, 4]);
    expect(roundsOf("b")).toEqual([1, 2, 3, 4, 5, 6]);
    expect(ends().toSorted()).toEqual(["a 4 reached leg 1", "b 6 max leg 1"]);
    expect(store.missingTrials(run)).toEqual([]);
    expect(trialsInAll()).toEqual([10, 10]);
    // Kept or not: none that waits for a round that does not come.
    expect(released).toEqual(["a"]);
  });

  it("are not on demand where their number is fixed", async () => {
    const plan = await planOf("rounds: 2");
    expect(
      roundsOnDemand({ store, run, plan }, 1, {
        say: () => undefined,
        expectRounds: () => undefined,
      }),
    ).toBeUndefined();
  });
});
