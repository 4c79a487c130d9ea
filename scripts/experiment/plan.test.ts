// What is measured, how much of it, and in which order.
import { describe, expect, it } from "vitest";
import { UserError } from "../errors.ts";
import type { Experiment } from "./experiment.ts";
import { allPoints, makePlan, missingRounds, type Trial } from "./plan.ts";
import { planSummary } from "./plan-summary.ts";
import { readExperiment } from "./read-experiment.ts";

async function experimentOf(text: string): Promise<Experiment> {
  const readBytes = () => Promise.resolve(Buffer.from(text));
  return (await readExperiment("x.yaml", { env: {}, readBytes })).experiment;
}

/** Two variants, one workload, three concurrencies. */
const matrix = (rest = "") =>
  experimentOf(`variants: { fp8: { model: a }, q8: { model: b } }
loads: { concurrency: [1, 4, 16] }
${rest}`);

function trialsOf(plan: {
  readonly rounds: ReturnType<typeof makePlan>["rounds"];
}): readonly Trial[] {
  return plan.rounds.flatMap(({ starts }) => starts.flatMap(({ trials }) => trials));
}

describe("points", () => {
  it("are variants x workloads x loads, in the order of the file", async () => {
    expect(makePlan(await matrix()).points.map(({ name }) => name)).toEqual([
      "fp8/c1",
      "fp8/c4",
      "fp8/c16",
      "q8/c1",
      "q8/c4",
      "q8/c16",
    ]);
  });

  it("carry the workload in their name where there are several", async () => {
    const experiment = await experimentOf(
      "variants: { a: { model: m } }\nworkloads: { short: {}, long: { input: 2000 } }\nloads: { concurrency: 2, rate: [2.5] }",
    );
    expect(allPoints(experiment).map(({ name }) => name)).toEqual([
      "a/short/c2",
      "a/short/r2.5",
      "a/long/c2",
      "a/long/r2.5",
    ]);
  });

  it("are kept by only, and left out by exclude", async () => {
    const plan = makePlan(await matrix("only: ['*/c1', q8/*]\nexclude: q8/c16"));
    expect(plan.points.map(({ name }) => name)).toEqual(["fp8/c1", "q8/c1", "q8/c4"]);
    expect(trialsOf(plan)).toHaveLength(9);
  });

  it("may be narrowed once more when the plan is made", async () => {
    const plan = makePlan(await matrix(), { only: ["fp8/*"], rounds: 2 });
    expect(plan.points.map(({ name }) => name)).toEqual(["fp8/c1", "fp8/c4", "fp8/c16"]);
    expect(plan.rounds.map(({ starts }) => starts.map(({ variant }) => variant))).toEqual([
      ["fp8"],
      ["fp8"],
    ]);
    expect(plan.experiment.measure.rounds).toEqual({ kind: "fixed", count: 2 });
  });

  it("that no pattern matches are refused, with the nearest names", async () => {
    const experiment = await matrix();
    expect(() => makePlan(experiment, { only: ["fp8/c5", "q9/*"] })).toThrow(UserError);
    expect(() => makePlan(experiment, { only: ["fp8/c5"] })).toThrow(
      /no point matches "fp8\/c5"[^]*--only[^]*fp8\/c1 or fp8\/c4/,
    );
    expect(() => makePlan(experiment, { only: ["fp8"] })).toThrow(/write fp8\/\*/);
    expect(() => makePlan({ ...experiment, exclude: ["*"] })).toThrow(/leave none of the 6 points/);
    expect(() => makePlan(experiment, { rounds: 0 })).toThrow(/rounds must be a whole number/);
  });

  it("match a pattern as text: a dot is a dot", async () => {
    const experiment = await experimentOf(
      "variants: { a: { model: m } }\nloads: { rate: [2.5, 245] }",
    );
    expect(makePlan(experiment, { only: ["a/r2.5"] }).points).toHaveLength(1);
  });
});

describe("how much is measured", () => {
  const amounts = async (rest: string) =>
    makePlan(await matrix(rest))
      .points.slice(0, 3)
      .map(({ warmupRequests, measured }) => [
        warmupRequests,
        measured.kind === "count"
          ? measured.requests
          : measured.kind === "duration" && measured.durationMs,
      ]);

  it("three requests a stream, and enough for p90 over all rounds", async () => {
    // 36 / 3 rounds = 12; 3 x 16 = 48. Warm-up 2c.
    expect(await amounts("measure: { rounds: 3 }")).toEqual([
      [2, 12],
      [8, 12],
      [32, 48],
    ]);
  });

  it("more where a percentile needs more, divided among rounds and repeats", async () => {
    // 368 / (5 x 2) = 36.8 -> 37.
    expect(await amounts("measure: { rounds: 5, repeats: 2, percentiles: [50, 99] }")).toEqual([
      [2, 37],
      [8, 37],
      [32, 48],
    ]);
  });

  it("what the fewest rounds need, where rounds may end early", async () => {
    // 36 / 4 = 9.
    expect(await amounts("measure: { rounds: { until: 2%, min: 4, max: 12 } }")).toEqual([
      [2, 9],
      [8, 12],
      [32, 48],
    ]);
  });

  it("ten requests a stream where lengths vary", async () => {
    expect(await amounts("workloads: { w: { output: { uniform: [10, 90] } } }")).toEqual([
      [2, 12],
      [8, 40],
      [32, 160],
    ]);
  });

  it("no warm-up in a fixed window, unless stated", async () => {
    expect(await amounts("measure: { window: fixed }")).toEqual([
      [0, 12],
      [0, 12],
      [0, 48],
    ]);
    expect(await amounts("measure: { window: fixed, warmup: 5 }")).toEqual([
      [5, 12],
      [5, 12],
      [5, 48],
    ]);
  });

  it("what is stated, as requests or as a duration", async () => {
    expect(await amounts("measure: { requests: 7, warmup: 0 }")).toEqual([
      [0, 7],
      [0, 7],
      [0, 7],
    ]);
    expect(await amounts("measure: { duration: 2 min }")).toEqual([
      [2, 120_000],
      [8, 120_000],
      [32, 120_000],
    ]);
  });

  it("a minute of arrivals at a rate, after ten seconds of them", async () => {
    const { points } = makePlan(
      await experimentOf("variants: { a: { model: m } }\nloads: { rate: 2.5 }"),
    );
    expect(points).toMatchObject([
      { warmupRequests: 25, measured: { kind: "count", requests: 150 } },
    ]);
  });

  it("a whole ramp after ten seconds of its first rate, and a whole trace after nothing", async () => {
    const rest =
      "loads: { ramp: { from: 0.5, to: 20, duration: 120 s }, trace: { file: Chat.jsonl, speed: 2 } }";
    const { points } = makePlan(
      await experimentOf(`variants: { a: { model: m } }\n${rest}\nmeasure: { requests: 7 }`),
    );
    expect(points).toMatchObject([
      {
        name: "a/ramp-0.5-20-120s",
        warmupRequests: 5,
        measured: { kind: "duration", durationMs: 120_000 },
      },
      { name: "a/chat-x2", warmupRequests: 0, measured: { kind: "count", requests: 7 } },
    ]);
    const whole = makePlan(
      await experimentOf("variants: { a: { model: m } }\nloads: { trace: chat.jsonl }"),
    );
    expect(whole.points).toMatchObject([{ warmupRequests: 0, measured: { kind: "all" } }]);
  });
});

describe("the first wave", () => {
  const fixed = "variants: { a: { model: m } }\nloads: { concurrency: [1, 2, 40] }\n";
  const cutPoints = async (text: string) =>
    makePlan(await experimentOf(text))
      .points.filter(({ firstWave }) => firstWave === "cut")
      .map(({ name }) => name);

  it("is cut in a closed loop of two streams or more whose answers have one length", async () => {
    expect(await cutPoints(fixed)).toEqual(["a/c2", "a/c40"]);
    expect(
      await cutPoints(`${fixed}workloads: { w: { input: { uniform: [8, 64] }, output: 64 } }`),
    ).toEqual(["a/c2", "a/c40"]);
  });

  it("is whole where answers vary, are recorded, or follow each other in a conversation", async () => {
    for (const workload of [
      "{ output: { uniform: [8, 64] } }",
      "{ input: { dataset: d.jsonl }, output: 64 }",
      "{ endpoint: chat, turns: 3 }",
    ])
      expect(await cutPoints(`${fixed}workloads: { w: ${workload} }`)).toEqual([]);
  });

  it("is whole in a fixed window, in open loops, and where some of it would be measured", async () => {
    expect(await cutPoints(`${fixed}measure: { window: fixed, warmup: 80 }`)).toEqual([]);
    expect(await cutPoints(fixed.replace("concurrency: [1, 2, 40]", "rate: [4]"))).toEqual([]);
    expect(await cutPoints(`${fixed}measure: { warmup: 39 }`)).toEqual(["a/c2"]);
  });

  it("is told where a plan is shown, with the points that it concerns", async () => {
    const notes = planSummary(makePlan(await experimentOf(fixed))).notes.join("\n");
    expect(notes).toContain("run apart: a/c2, a/c40");
  });
});

describe("order", () => {
  const orderOf = (experiment: Experiment) =>
    makePlan(experiment).rounds.map(({ round, starts }) => [
      round,
      ...starts.map(
        ({ variant, trials }) =>
          `${variant}: ${trials.map(({ point }) => point.split("/")[1] ?? "").join(" ")}`,
      ),
    ]);

  it("interleaved: each round starts every variant once, and visits its points once", async () => {
    const plan = makePlan(await matrix("measure: { rounds: 4 }"));
    expect(plan.rounds.map(({ round }) => round)).toEqual([1, 2, 3, 4]);
    for (const { starts } of plan.rounds) {
      expect(starts.map(({ variant }) => variant).sort()).toEqual(["fp8", "q8"]);
      for (const { variant, trials } of starts) {
        expect(trials.map(({ point }) => point).sort()).toEqual([
          `${variant}/c1`,
          `${variant}/c16`,
          `${variant}/c4`,
        ]);
      }
    }
  });

  it("interleaved: variants and loads change places between rounds, variants see the same loads", async () => {
    const plan = makePlan(await matrix("measure: { rounds: 12 }"));
    const firsts = new Set(plan.rounds.map(({ starts }) => starts[0]?.variant));
    expect([...firsts].sort()).toEqual(["fp8", "q8"]);
    const orders = plan.rounds.map(({ starts }) =>
      starts.map(({ trials }) => trials.map(({ point }) => point.split("/")[1]).join(" ")),
    );
    for (const [one, other] of orders) expect(one).toBe(other);
    expect(new Set(orders.map(([one]) => one)).size).toBeGreaterThan(2);
  });

  it("repeats the same for the same seed, and not for another", async () => {
    const [seven, again, eight] = await Promise.all(
      [7, 7, 8].map((seed) => matrix(`measure: { seed: ${seed}, rounds: 8 }`)),
    );
    expect(orderOf(seven ?? (await matrix()))).toEqual(orderOf(again ?? (await matrix())));
    expect(orderOf(seven ?? (await matrix()))).not.toEqual(orderOf(eight ?? (await matrix())));
  });

  it("grouped: all rounds of a variant first, loads as written", async () => {
    const plan = makePlan(await matrix("measure: { order: grouped, rounds: 2 }"));
    const variants = plan.rounds.flatMap(({ starts }) => starts.map(({ variant }) => variant));
    expect(plan.rounds.map(({ round }) => round)).toEqual([1, 2, 1, 2]);
    expect(plan.roundCount).toBe(2);
    expect(variants[0]).toBe(variants[1]);
    expect(variants[2]).toBe(variants[3]);
    expect(new Set(variants).size).toBe(2);
    const [first] = plan.rounds;
    expect(first?.starts[0]?.trials.map(({ point }) => point.split("/")[1])).toEqual([
      "c1",
      "c4",
      "c16",
    ]);
  });

  it("repeats visit all points once before any of them again", async () => {
    const plan = makePlan(await matrix("measure: { repeats: 2, rounds: 1 }"));
    const trials = plan.rounds[0]?.starts[0]?.trials ?? [];
    expect(trials.map(({ repeat }) => repeat)).toEqual([1, 1, 1, 2, 2, 2]);
  });

  it("plans the most rounds where they may end early", async () => {
    const plan = makePlan(await matrix("measure: { rounds: { until: 2%, max: 6 } }"));
    expect(plan.rounds).toHaveLength(6);
    expect(planSummary(plan).notes[0]).toMatch(
      /^rounds on demand: 4 to 6; .* at most 2 % of the mean/,
    );
  });
});

describe("trial ids", () => {
  const idsOf = (experiment: Experiment) =>
    trialsOf(makePlan(experiment))
      .map(({ id }) => id)
      .sort();

  it("are 16 hex digits, each once", async () => {
    const ids = idsOf(await matrix("measure: { repeats: 2 }"));
    expect(new Set(ids).size).toBe(2 * 3 * 3 * 2);
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{16}$/);
  });

  it("do not depend on names, titles, notes, ports or rendering", async () => {
    const plain = await experimentOf(
      "variants: { a: { model: m, engine: e } }\nengines: { e: { kind: vllm, args: { x: 1, y: 2 } } }\nworkloads: { w: { input: 100 } }",
    );
    const dressed = await experimentOf(`experiment: other
title: Something else
variants: { b: { title: B, model: m, engine: f } }
engines: { f: { kind: vllm, args: { y: 2, x: 1 }, port: 8123, ready: 1 min } }
workloads: { v: { input: 100 } }
stated: { site: here }
slo: { ttft: 2 s }
report: { languages: [en] }
`);
    expect(idsOf(dressed)).toEqual(idsOf(plain));
  });

  it.each([
    "variants: { fp8: { model: a2 }, q8: { model: b2 } }",
    "measure: { seed: 2 }",
    "measure: { requests: 50 }",
    "measure: { window: fixed }",
    "workloads: { w: { input: 513 } }",
    "workloads: { w: { cache: warm } }",
    "limits: { request: 1 min }",
  ])("change with what decides the measurement: %s", async (change) => {
    const base = "loads: { concurrency: [1, 4, 16] }\n";
    const variants = "variants: { fp8: { model: a }, q8: { model: b } }\n";
    const before = new Set(idsOf(await experimentOf(base + variants)));
    const after = idsOf(
      await experimentOf(base + (change.startsWith("variants") ? "" : variants) + change),
    );
    expect(after.filter((id) => before.has(id))).toEqual([]);
  });

  it("of more rounds hold those of fewer, where the requests are the same", async () => {
    const five = new Set(idsOf(await matrix("measure: { rounds: 5, requests: 20 }")));
    const three = idsOf(await matrix("measure: { rounds: 3, requests: 20 }"));
    expect(three.every((id) => five.has(id))).toBe(true);
  });

  it("keep apart variants of the same content, which an A/A test compares", async () => {
    const ids = idsOf(
      await experimentOf(
        "variants: { a: { model: m }, b: { model: m } }\nworkloads: { v: {}, w: {} }",
      ),
    );
    expect(new Set(ids).size).toBe(ids.length);
  });
});

describe("seeds", () => {
  it("are the same for all variants, and differ in load, round and repeat", async () => {
    const trials = trialsOf(makePlan(await matrix("measure: { repeats: 2 }")));
    const byVariant = (variant: string) =>
      new Set(trials.filter((trial) => trial.variant === variant).map(({ seed }) => seed));
    expect(byVariant("fp8")).toEqual(byVariant("q8"));
    expect(byVariant("fp8").size).toBe(3 * 3 * 2);
  });
});

describe("missingRounds", () => {
  it("keeps what is missing, in the order of the plan, without empty starts and rounds", async () => {
    const plan = makePlan(await matrix());
    const missing = trialsOf(plan).filter(({ point, round }) => point === "q8/c4" && round > 1);
    const rounds = missingRounds(plan, missing);
    expect(rounds.map(({ round, starts }) => [round, starts.length])).toEqual([
      [2, 1],
      [3, 1],
    ]);
    expect(trialsOf({ rounds })).toEqual(missing);
    expect(missingRounds(plan, [])).toEqual([]);
    expect(missingRounds(plan, trialsOf(plan))).toEqual(plan.rounds);
  });
});

describe("planSummary", () => {
  it("counts trials and requests", async () => {
    const summary = planSummary(makePlan(await matrix()));
    // (2 + 12) x 3, (8 + 12) x 3, (32 + 48) x 3, each for two variants.
    expect(summary.rows.slice(0, 3)).toEqual([
      { point: "fp8/c1", requestsPerTrial: "12 (2 before)", trials: 3, requests: "42" },
      { point: "fp8/c4", requestsPerTrial: "12 (8 before)", trials: 3, requests: "60" },
      { point: "fp8/c16", requestsPerTrial: "48 (32 before)", trials: 3, requests: "240" },
    ]);
    expect(summary.requests).toBe(684);
    expect(summary.starts).toBe(6);
    expect(summary.trials).toHaveLength(18);
    expect(summary.order).toHaveLength(3);
    expect(summary.order[0]).toMatch(
      /^round 1 {2}(fp8|q8): (c\d+ ){3}\| (fp8|q8): c\d+ c\d+ c\d+$/,
    );
  });

  it("says what the plan can't show", async () => {
    const { notes } = planSummary(
      makePlan(
        await matrix(
          "measure: { rounds: 1, requests: 20, keep: true }\nworkloads: { w: { cache: warm } }",
        ),
      ),
    );
    expect(notes).toEqual([
      "one round measures no spread between rounds: no confidence intervals",
      "one engine life for all rounds: the spread between restarts is not measured",
      expect.stringContaining("filler requests"),
      expect.stringContaining("run apart: fp8/c4, fp8/c16, q8/c4, q8/c16"),
      "p90 needs 36 requests over all rounds; too few at fp8/c1, fp8/c4, fp8/c16, q8/c1, q8/c4, q8/c16",
      "workload w sends identical prompts: no point of it can be called valid",
    ]);
  });
});

describe("what people are told of open loops", () => {
  it("how many requests are expected, how long they arrive, and what a ramp does not give", async () => {
    const { rows, notes } = planSummary(
      makePlan(
        await experimentOf(
          "variants: { a: { model: m } }\nloads: { rate: 2.5, ramp: { from: 1, to: 20, duration: 120 s }, trace: chat.jsonl }",
        ),
      ),
    );
    expect(rows.map(({ requestsPerTrial, requests }) => [requestsPerTrial, requests])).toEqual([
      ["150 (25 before)", "525"],
      // 10 before, and 10.5 a second for 120 s; three rounds.
      ["2 min (10 before)", "about 3,810"],
      ["whole trace", "as many as it has"],
    ]);
    // (10 + 60) s at the rate and (10 + 120) s of the ramp, three rounds: 600 s.
    expect(notes).toContain(
      "requests arrive for 10 min in all under rates and ramps; starts and last answers come on top",
    );
    expect(notes).toContain(
      "a ramp is measured as a whole and gives no steady values: a/ramp-1-20-120s",
    );
    expect(notes.filter((note) => note.startsWith("filler"))).toEqual([]);
  });
});
