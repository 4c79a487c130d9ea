// What an experiment file means once it was read.
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Experiment } from "./experiment.ts";
import { readExperiment } from "./read-experiment.ts";

const minimal = `experiment: hello
variants:
  tiny:
    model: data/models/tiny-qwen3
    engine: embedded
`;

/** Reads texts as if they were files in experiments/. */
async function read(
  text: string,
  { env = {}, others = {} }: { env?: Record<string, string>; others?: Record<string, string> } = {},
) {
  const files = new Map([["experiments/x.yaml", text], ...Object.entries(others)]);
  const readBytes = (path: string) => {
    const found = files.get(path);
    if (found !== undefined) return Promise.resolve(Buffer.from(found));
    return Promise.reject(Object.assign(new Error(path), { code: "ENOENT" }));
  };
  return readExperiment("experiments/x.yaml", { env, readBytes });
}

async function experimentOf(rest: string, env: Record<string, string> = {}): Promise<Experiment> {
  return (await read(minimal + rest, { env })).experiment;
}

describe("the smallest experiment", () => {
  it("is five lines and complete", async () => {
    const { experiment } = await read(minimal);
    expect(minimal.trim().split("\n")).toHaveLength(5);
    expect(experiment).toEqual({
      version: 1,
      name: "hello",
      title: { zh: "hello", en: "hello" },
      variants: [
        {
          name: "tiny",
          model: "data/models/tiny-qwen3",
          precision: "fp32",
          engine: {
            kind: "embedded",
            name: "embedded",
            port: "auto",
            args: {},
            env: {},
            readyMs: 120_000,
          },
        },
      ],
      workloads: [
        {
          name: "512-128",
          input: { kind: "exact", tokens: 512 },
          output: { kind: "exact", tokens: 128 },
          cache: { kind: "cold" },
          endpoint: "completions",
          turns: 1,
        },
      ],
      loads: [1, 4, 16].map((concurrency) => ({ kind: "concurrency", concurrency })),
      only: [],
      exclude: [],
      measure: {
        rounds: { kind: "fixed", count: 3 },
        repeats: 1,
        requests: { kind: "auto" },
        warmup: "auto",
        percentiles: [50, 90],
        window: "handover",
        order: "interleaved",
        keep: false,
        seed: 1,
      },
      slo: [],
      limits: {
        requestMs: 600_000,
        stallMs: 60_000,
        failureShare: 0.01,
        failureCount: undefined,
        trialMs: undefined,
      },
      client: { threads: "auto", poll: false, calibrate: true },
      telemetry: { gpuMs: 1000, engineMs: 1000 },
      environment: { kind: "local" },
      stated: { other: {} },
      waive: [],
      report: { languages: ["zh", "en"], formats: ["html", "md"], notebook: "test-record" },
    } satisfies Experiment);
  });

  it("lists every default that was filled in, with the reason where one was derived", async () => {
    const { defaults } = await read(minimal);
    const paths = defaults.map(({ path }) => path);
    expect(new Set(paths).size).toBe(paths.length);
    expect(defaults).toContainEqual({ path: "measure.rounds", value: "3" });
    expect(defaults).toContainEqual({ path: "limits.stall", value: "60 s" });
    expect(defaults).toContainEqual({
      path: "title",
      value: "hello",
      reason: "the experiment's name",
    });
    expect(defaults).toContainEqual({ path: "loads", value: "{ concurrency: [1, 4, 16] }" });
    expect(paths).not.toContain("experiment");
  });

  it("lists no default for what is written", async () => {
    const { defaults } = await read(`${minimal}measure: { rounds: 3, seed: 1 }\n`);
    const paths = defaults.map(({ path }) => path);
    expect(paths).not.toContain("measure.rounds");
    expect(paths).not.toContain("measure.seed");
    expect(paths).toContain("measure.repeats");
  });

  it("needs neither a name nor an engine", async () => {
    const { experiment, defaults } = await read("variants: { tiny: { model: m } }");
    expect(experiment.name).toBe("x");
    expect(experiment.variants[0]?.engine.kind).toBe("embedded");
    expect(defaults).toContainEqual({ path: "experiment", value: "x", reason: "the file's name" });
  });
});

describe("titles", () => {
  it("may be one text for both languages, or one for each", async () => {
    expect((await experimentOf("title: FP8\n")).title).toEqual({ zh: "FP8", en: "FP8" });
    expect((await experimentOf("title: { zh: 测试, en: Test }\n")).title).toEqual({
      zh: "测试",
      en: "Test",
    });
  });

  it("may be in one language, which then stands for both", async () => {
    const { experiment, defaults } = await read(`${minimal}title: { zh: 测试 }\n`);
    expect(experiment.title).toEqual({ zh: "测试", en: "测试" });
    expect(defaults.find(({ path }) => path === "title.en")?.reason).toBe(
      "only the Chinese text is written",
    );
  });
});

describe("engines", () => {
  it("keep the arguments of the variant over their own", async () => {
    const { experiment } = await read(`
engines:
  v: { kind: vllm, venv: /opt/v, args: { max-num-seqs: 8, dtype: auto }, env: { A: 1, B: x }, ready: 90 s }
variants:
  a: { model: m, engine: v, precision: fp8, args: { max-num-seqs: 16, enforce-eager: true }, env: { B: y } }
  b: { model: m, engine: v }
`);
    expect(experiment.variants[0]?.engine).toEqual({
      kind: "vllm",
      name: "v",
      port: "auto",
      args: { "max-num-seqs": 16, dtype: "auto", "enforce-eager": true },
      env: { A: "1", B: "y" },
      readyMs: 90_000,
      prefix: [],
      venv: "/opt/v",
    });
    expect(experiment.variants[1]?.engine).toMatchObject({
      args: { "max-num-seqs": 8, dtype: "auto" },
    });
  });

  it("name the variable that holds the key, and take the URL with or without /v1", async () => {
    const { experiment } = await read(`
engines: { s: { kind: external, url: "http://127.0.0.1:8000/v1/", key: { env: API_KEY } } }
variants: { a: { model: m, engine: s, tokenizer: /models/m } }
`);
    expect(experiment.variants[0]).toEqual({
      name: "a",
      model: "m",
      tokenizer: "/models/m",
      precision: "auto",
      engine: {
        kind: "external",
        name: "s",
        url: "http://127.0.0.1:8000",
        key: { env: "API_KEY" },
        headers: {},
      },
    });
  });

  it("name the variable of a secret header, and the paths of a gateway", async () => {
    const { experiment, source } = await read(`
engines:
  s:
    kind: external
    url: https://gateway.example/openai
    headers: { x-route: team-a, api-key: { env: GATEWAY_KEY } }
    paths: { chat: "/chat/completions?api-version=2024-10-21" }
variants: { a: { model: m, engine: s } }
`);
    expect(experiment.variants[0]?.engine).toEqual({
      kind: "external",
      name: "s",
      url: "https://gateway.example/openai",
      headers: { "x-route": "team-a", "api-key": { env: "GATEWAY_KEY" } },
      paths: { chat: "/chat/completions?api-version=2024-10-21" },
    });
    expect(source).toContain("GATEWAY_KEY");
  });

  it("are the only one defined where a variant names none", async () => {
    const { experiment } = await read(
      "engines: { v: { kind: vllm } }\nvariants: { a: { model: m } }",
    );
    expect(experiment.variants[0]?.engine).toMatchObject({
      kind: "vllm",
      name: "v",
      readyMs: 900_000,
    });
  });
});

describe("quantities", () => {
  it("lengths are a number, a spread, a range or a dataset", async () => {
    const { workloads } = await experimentOf(`workloads:
  a: { input: 10000, output: 800 }
  b: { input: { mean: 1000, cv: 0.3 }, output: { uniform: [100, 300] }, endpoint: chat }
  c: { input: { dataset: prompts.jsonl } }
  d: { input: { dataset: chat.json, longest: 4096, repeat: true }, endpoint: chat, turns: 3 }
`);
    expect(workloads.map(({ name, input, output }) => [name, input, output])).toEqual([
      ["a", { kind: "exact", tokens: 10000 }, { kind: "exact", tokens: 800 }],
      ["b", { kind: "normal", mean: 1000, cv: 0.3 }, { kind: "uniform", min: 100, max: 300 }],
      [
        "c",
        { kind: "dataset", path: "prompts.jsonl", longestTokens: undefined, repeat: false },
        { kind: "exact", tokens: 128 },
      ],
      [
        "d",
        { kind: "dataset", path: "chat.json", longestTokens: 4096, repeat: true },
        { kind: "exact", tokens: 128 },
      ],
    ]);
    expect(workloads.map(({ turns }) => turns)).toEqual([1, 1, 1, 3]);
    expect(workloads[1]?.endpoint).toBe("chat");
  });

  it.each([
    ["cold", { kind: "cold" }],
    ["warm", { kind: "warm" }],
    ["{ shared: 200 }", { kind: "shared", tokens: 200 }],
    ['"shared: 200"', { kind: "shared", tokens: 200 }],
    ["shared 200", { kind: "shared", tokens: 200 }],
  ])("cache: %s", async (written, meant) => {
    const { workloads } = await experimentOf(`workloads: { w: { cache: ${written} } }\n`);
    expect(workloads[0]?.cache).toEqual(meant);
  });

  it("loads are concurrencies, rates, ramps and traces, one or many", async () => {
    const { loads } = await experimentOf(
      `loads:
  concurrency: 8
  rate: [0.5, 2]
  arrivals: constant
  ramp: { from: 0.5, to: 20, duration: 2 min }
  trace: [data/Chat 1.jsonl, { file: data/Chat 1.jsonl, speed: 2 }]
`,
    );
    const arrivals = { kind: "constant" };
    expect(loads).toEqual([
      { kind: "concurrency", concurrency: 8 },
      { kind: "rate", requestRatePerS: 0.5, arrivals },
      { kind: "rate", requestRatePerS: 2, arrivals },
      {
        kind: "ramp",
        name: "ramp-0.5-20-120s",
        fromPerS: 0.5,
        toPerS: 20,
        durationMs: 120_000,
        arrivals,
      },
      { kind: "trace", name: "chat-1", path: "data/Chat 1.jsonl", speed: 1 },
      { kind: "trace", name: "chat-1-x2", path: "data/Chat 1.jsonl", speed: 2 },
    ]);
  });

  it.each([
    ["poisson", { kind: "poisson" }],
    ["constant", { kind: "constant" }],
    ["gamma", { kind: "gamma", shape: 0.5 }],
    ["{ gamma: 4 }", { kind: "gamma", shape: 4 }],
    ["{ burst: 8 }", { kind: "burst", size: 8 }],
  ])("arrivals: %s", async (written, meant) => {
    const { loads } = await experimentOf(`loads: { rate: 1, arrivals: ${written} }\n`);
    expect(loads).toEqual([{ kind: "rate", requestRatePerS: 1, arrivals: meant }]);
  });

  it("arrivals not written are Poisson, and a gamma without a shape names the one that it has", async () => {
    const plain = await read(`${minimal}loads: { rate: 1 }\n`);
    expect(plain.defaults).toContainEqual({ path: "loads.arrivals", value: "poisson" });
    const bare = await read(`${minimal}loads: { rate: 1, arrivals: gamma }\n`);
    expect(bare.defaults).toContainEqual({ path: "loads.arrivals.gamma", value: "0.5" });
  });

  it("rounds are a number, or go on until a target is reached", async () => {
    expect((await experimentOf("measure: { rounds: 5 }\n")).measure.rounds).toEqual({
      kind: "fixed",
      count: 5,
    });
    const until = await experimentOf("measure: { rounds: { until: 2%, max: 8 } }\n");
    expect(until.measure.rounds).toEqual({ kind: "until", target: 0.02, min: 4, max: 8 });
  });

  it.each([
    ["requests: auto", { kind: "auto" }],
    ["requests: 200", { kind: "count", count: 200 }],
    ["requests: { duration: 2 min }", { kind: "duration", durationMs: 120_000 }],
    ["duration: 120 s", { kind: "duration", durationMs: 120_000 }],
  ])("measure: %s", async (written, meant) => {
    expect((await experimentOf(`measure: { ${written} }\n`)).measure.requests).toEqual(meant);
  });

  it("percentiles are sorted, each once", async () => {
    const { measure } = await experimentOf("measure: { percentiles: [99, 50, 99.9, 50] }\n");
    expect(measure.percentiles).toEqual([50, 99, 99.9]);
  });

  it("an SLO without a percentile means p90", async () => {
    const { slo } = await experimentOf("slo: { tpot: 50 ms, ttft: { p99: 3 s, p50: 1 s } }\n");
    expect(slo).toEqual([
      { metric: "ttft", percentile: 99, limitMs: 3000 },
      { metric: "ttft", percentile: 50, limitMs: 1000 },
      { metric: "tpot", percentile: 90, limitMs: 50 },
    ]);
  });

  it("limits and telemetry carry their units", async () => {
    const { limits, telemetry } = await experimentOf(
      "limits: { request: 2 min, stall: 500 ms, failures: 0% }\ntelemetry: { gpu: 250ms }\n",
    );
    expect(limits).toEqual({ requestMs: 120_000, stallMs: 500, failureShare: 0 });
    expect(telemetry).toEqual({ gpuMs: 250, engineMs: 1000 });
  });

  it.each([
    ["2%", { failureShare: 0.02, failureCount: undefined }],
    ["20", { failureShare: 1, failureCount: 20 }],
    ["{ share: 2%, count: 20 }", { failureShare: 0.02, failureCount: 20 }],
    ["{ count: 0 }", { failureShare: 1, failureCount: 0 }],
  ])("failures: %s", async (written, meant) => {
    const { limits } = await experimentOf(`limits: { failures: ${written} }\n`);
    expect(limits).toMatchObject(meant);
  });

  it("a trial has a limit where one is written, and the client its threads", async () => {
    const { limits, client } = await experimentOf(
      "limits: { trial: 30 min }\nclient: { threads: 4, poll: true, calibrate: false }\n",
    );
    expect(limits.trialMs).toBe(1_800_000);
    expect(client).toEqual({ threads: 4, poll: true, calibrate: false });
  });

  it("what the user states and waives is kept", async () => {
    const { stated, waive, environment } = await experimentOf(`stated:
  site: 某云 华东二区
  price: { per-gpu-hour: 2.1, currency: USD }
  other: { 散热: 液冷 }
waive:
  - { rule: E25, reason: pinned, by: 测试组 }
  - { rule: S1, reason: resumed at night, by: 测试组 }
environment: { probe: [ssh, gpu-node-7] }
`);
    expect(stated).toEqual({
      site: "某云 华东二区",
      price: { perGpuHour: 2.1, currency: "USD" },
      other: { 散热: "液冷" },
    });
    expect(waive).toEqual([
      { rule: "E25", reason: "pinned", by: "测试组" },
      { rule: "S1", reason: "resumed at night", by: "测试组" },
    ]);
    expect(environment).toEqual({ kind: "probe", command: ["ssh", "gpu-node-7"] });
  });

  it("variants keep the order of the file, also where names are numbers", async () => {
    const { experiment } = await read(
      "variants: { b: { model: m }, '10': { model: m }, 2: { model: m } }",
    );
    expect(experiment.variants.map(({ name }) => name)).toEqual(["b", "10", "2"]);
  });
});

describe("${NAME}", () => {
  it("reads the environment, with a default where one is given", async () => {
    const { experiment } = await read(
      "variants:\n  a:\n    model: ${MODEL}/x\n    revision: '${REVISION:-main}'\n    engine: embedded\n",
      { env: { MODEL: "org" } },
    );
    expect(experiment.variants[0]).toMatchObject({ model: "org/x", revision: "main" });
  });

  it("is a number where no quotes say that it is a text", async () => {
    const { measure } = await experimentOf("measure:\n  rounds: ${ROUNDS:-3}\n  keep: ${KEEP}\n", {
      ROUNDS: "7",
      KEEP: "true",
    });
    expect(measure).toMatchObject({ rounds: { kind: "fixed", count: 7 }, keep: true });
  });

  it("stays as it is after another $", async () => {
    expect((await experimentOf("title: cost in $${NAME}\n")).title.en).toBe("cost in ${NAME}");
  });
});

describe("extends", () => {
  const base = `${minimal}title: Base
loads: { concurrency: [1, 4] }
measure: { rounds: 5, seed: 7 }
`;

  it("merges maps and replaces lists", async () => {
    const { experiment, extended } = await read(
      "extends: base.yaml\nloads: { concurrency: [2] }\nmeasure: { seed: 8 }",
      {
        others: { "experiments/base.yaml": base },
      },
    );
    expect(experiment.name).toBe("hello");
    expect(experiment.loads).toEqual([{ kind: "concurrency", concurrency: 2 }]);
    expect(experiment.measure).toMatchObject({ rounds: { kind: "fixed", count: 5 }, seed: 8 });
    expect(extended.map(({ source }) => source)).toEqual([base]);
  });

  it("takes a key away with an empty value", async () => {
    const { experiment } = await read(
      "extends: base.yaml\nvariants: { tiny: , other: { model: m } }\nloads:\n",
      {
        others: { "experiments/base.yaml": base },
      },
    );
    expect(experiment.variants.map(({ name }) => name)).toEqual(["other"]);
    expect(experiment.loads).toHaveLength(3);
  });

  it("goes through several files, each relative to the one before", async () => {
    const { experiment } = await read("extends: sub/a.yaml\nexperiment: top", {
      others: {
        "experiments/sub/a.yaml": "extends: ../base.yaml\nmeasure: { rounds: 2 }",
        "experiments/base.yaml": base,
      },
    });
    expect(experiment).toMatchObject({ name: "top", measure: { rounds: { count: 2 }, seed: 7 } });
  });
});

describe("files", () => {
  it("are read from disk, and kept as they were written", async () => {
    const folder = mkdtempSync(join(tmpdir(), "benchbook-experiment-"));
    const path = join(folder, "x.yaml");
    writeFileSync(path, `\uFEFF# comment\r\n${minimal}`);
    const { experiment, path: absolute, source } = await readExperiment(path, { env: {} });
    expect(experiment.name).toBe("hello");
    expect(absolute).toBe(path);
    expect(source).toBe(`\uFEFF# comment\r\n${minimal}`);
  });

  it("YAML anchors mean what they name", async () => {
    const { experiment } = await read(
      "variants:\n  a: &a { model: m, engine: embedded }\n  b: *a\n",
    );
    expect(experiment.variants.map(({ model }) => model)).toEqual(["m", "m"]);
  });
});
