// Every mistake is told: where, what was seen, and what to write instead.
import { chmodSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { UserError, type UserErrorParts } from "../errors.ts";
import { readExperiment } from "./read-experiment.ts";

/** The mistakes of a text, as if it were the file x.yaml. */
async function mistakesIn(
  text: string | Uint8Array,
  { env = {}, others = {} }: { env?: Record<string, string>; others?: Record<string, string> } = {},
): Promise<readonly UserErrorParts[]> {
  const files = new Map<string, string | Uint8Array>([["x.yaml", text], ...Object.entries(others)]);
  const readBytes = (path: string) => {
    const found = files.get(path);
    if (found !== undefined) return Promise.resolve(Buffer.from(found));
    return Promise.reject(Object.assign(new Error(path), { code: "ENOENT" }));
  };
  return partsOf(readExperiment("x.yaml", { env, readBytes }));
}

async function partsOf(reading: Promise<unknown>): Promise<readonly UserErrorParts[]> {
  const error = await reading.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(UserError);
  return error instanceof UserError ? error.parts : [];
}

/** The one mistake of a valid experiment with `rest` below it. */
async function mistakeIn(rest: string, env: Record<string, string> = {}): Promise<UserErrorParts> {
  const parts = await mistakesIn(
    `experiment: x\nvariants: { a: { model: m, engine: embedded } }\n${rest}`,
    { env },
  );
  expect(parts).toHaveLength(1);
  return parts[0] ?? { what: "", mend: "" };
}

describe("all mistakes at once", () => {
  it("in the order of the file, each with line and column", async () => {
    const parts = await mistakesIn(`experiment: Chat Test
titel: x
variants:
  fp8: { model: m, precision: fp9, engine: vlm }
workloads:
  w: { input: 0, output: -3 }
loads: { concurrency: [0, 4] }
limits: { request: 30 }
`);
    expect(parts).toEqual([
      {
        what: 'experiment must be a name of a-z, 0-9 and single dashes, at most 64 characters, got "Chat Test"',
        where: "x.yaml:1:13 experiment",
        mend: "write chat-test",
      },
      {
        what: 'there is no key "titel"',
        where: "x.yaml:2:1 titel",
        mend: 'did you mean title? write title: "Qwen3-14B, FP8 against NVFP4"',
      },
      {
        what: expect.stringContaining('got "fp9"') as string,
        where: "x.yaml:4:31 variants.fp8.precision",
        mend: "did you mean fp8?",
      },
      {
        what: 'there is no engine "vlm"',
        where: "x.yaml:4:44 variants.fp8.engine",
        mend: "did you mean vllm?",
      },
      {
        what: "workloads.w.input must be tokens from 1 on, { mean, cv }, { uniform: [a, b] } or { dataset: file }, got 0",
        where: "x.yaml:6:15 workloads.w.input",
        mend: "write input: 10000",
      },
      {
        what: "workloads.w.output must be tokens from 1 on, { mean, cv } or { uniform: [a, b] }, got -3",
        where: "x.yaml:6:26 workloads.w.output",
        mend: "write output: 800",
      },
      {
        what: "loads.concurrency.0 must be a whole number from 1 to 100000, got 0",
        where: "x.yaml:7:24 loads.concurrency.0",
        mend: "write 16",
      },
      {
        what: "limits.request must be a duration with its unit, got 30",
        where: "x.yaml:8:20 limits.request",
        mend: 'write "30 s" for 30 seconds, or "30 ms" for milliseconds',
      },
    ]);
  });

  it("syntax that can be read past is told with the rest", async () => {
    const parts = await mistakesIn(
      "variants:\n  fp8: { model: a }\n  fp8: { model: b }\nrounds: 3\n",
    );
    expect(parts.map(({ where }) => where)).toEqual(["x.yaml:3:3", "x.yaml:4:1 rounds"]);
    expect(parts[0]?.what).toBe("this key is written twice in the same map");
  });
});

describe("keys", () => {
  it.each([
    ["measure: { round: 3 }", "did you mean rounds? write rounds: 5"],
    [
      "loads: { concurency: [3] , rate: 2 }",
      "did you mean concurrency? write concurrency: [1, 4, 16]",
    ],
    ["rounds: 3", "it belongs under measure: write measure: { rounds: 5 }"],
    ["concurrency: [1, 2]", "it belongs under loads: write loads: { concurrency: [1, 4, 16] }"],
    ["report: { slo: 3 }", "slo belongs at the top of the file: write it without indentation"],
    [
      "stated: { cooling: x }",
      "here are site, node, operator, ticket, price, other; anything else goes under other: { label: text }",
    ],
    ["<<: x", expect.stringMatching(/^here are version, extends, experiment/)],
  ])("%s", async (text, mend) => {
    expect((await mistakeIn(text)).mend).toEqual(mend);
  });

  it("a missing one is asked for where it belongs", async () => {
    expect(await mistakesIn("variants:\n  a: { engine: embedded }\n")).toEqual([
      {
        what: "variants.a.model is missing",
        where: "x.yaml:2:3 variants.a.model",
        mend: "write model: Qwen/Qwen3-14B-FP8",
      },
    ]);
    expect((await mistakeIn("waive:\n  - { rule: E1, reason: r }")).where).toBe(
      "x.yaml:4:5 waive.0.by",
    );
  });

  it("without variants there is nothing to measure", async () => {
    const [missing] = await mistakesIn("experiment: x\n");
    expect(missing).toMatchObject({ what: "variants is missing", where: "x.yaml:1:1 variants" });
    const [empty] = await mistakesIn("variants: {}\n");
    expect(empty?.what).toBe("variants: there must be at least one variant");
  });
});

describe("impossible values", () => {
  it.each([
    ["loads: { concurrency: -1 }", "loads.concurrency must be", "write concurrency: [1, 4, 16]"],
    ["loads: { concurrency: [1.5] }", "got 1.5", "write 16"],
    ["loads: { concurrency: [4, 1, 4] }", "4 is in this list twice", "keep one of the two"],
    ["loads: { concurrency: [] }", "got an empty list", "write concurrency: [1, 4, 16]"],
    ["loads: { rate: 0 }", "loads.rate must be", "write rate: [1, 2, 4]"],
    [
      "loads: {}",
      "none of concurrency, rate, ramp, trace is written",
      "write concurrency: [1, 4, 16], or rate: [1, 2, 4], or trace: data/chat.jsonl",
    ],
    [
      "loads: { concurrency: 1, arrivals: poisson }",
      "arrivals says how requests of a rate or ramp arrive, and none is written",
      "write rate: [1, 2, 4] beside it, or take arrivals out",
    ],
    [
      "loads: { rate: 1, arrivals: posson }",
      'must be constant, poisson, gamma, { gamma: shape } or { burst: size }, got "posson"',
      "did you mean poisson?",
    ],
    [
      "loads: { rate: 1, arrivals: { burst: 1 } }",
      "loads.arrivals.burst must be",
      "write burst: 8",
    ],
    [
      "loads: { ramp: { from: 1, to: 20 } }",
      "loads.ramp.duration is missing",
      "write duration: 120 s",
    ],
    [
      "loads: { ramp: { from: 0, to: 20, duration: 120 s } }",
      "loads.ramp.from must be a number above 0",
      "write from: 1",
    ],
    [
      "loads: { ramp: [{ from: 1, to: 2, duration: 2 min }, { from: 1, to: 2, duration: 120 s }] }",
      "points under this ramp would be called ramp-1-2-120s, as others are",
      "take one of the two out",
    ],
    [
      "loads: { trace: [a/x.jsonl, b/x.jsonl] }",
      "would be called x, as others are",
      "give the file another name",
    ],
    [
      "loads: { trace: [{ file: a/x.jsonl, speed: 2 }, { file: b/x.jsonl, speed: 2 }] }",
      "would be called x-x2, as others are",
      "give the file another name",
    ],
    ["limits: { failures: 101% }", "a share must be from 0% to 100%", "write another value"],
    ["limits: { failures: {} }", "no limit is written", "write { share: 1%, count: 20 }"],
    [
      "limits: { trial: 30 }",
      "limits.trial must be",
      'write "30 s" for 30 seconds, or "30 ms" for milliseconds',
    ],
    [
      "client: { threads: 0 }",
      "client.threads must be auto, or threads from 1 to 64, got 0",
      "write threads: auto",
    ],
    [
      "workloads: { w: { input: { dataset: a.jsonl }, cache: warm } }",
      "nothing is added",
      "write cache: cold, or take cache out",
    ],
    [
      "workloads: { w: { input: { dataset: a.jsonl }, turns: 2 } }",
      "completions do not take",
      "write endpoint: chat beside turns",
    ],
    ["workloads: { w: { turns: 0 } }", "workloads.w.turns must be", "write turns: 4"],
    [
      "workloads: { w: { input: { dataset: a.jsonl, longest: 0 } } }",
      "got 0",
      "write longest: 8192",
    ],
    [
      "workloads: { w: { input: { datset: a.jsonl } } }",
      "{ dataset: file }, got { datset: a.jsonl }",
      "write input: 10000",
    ],
    [
      "measure: { percentiles: [0, 50] }",
      "must be a percentile above 0 and below 100, got 0",
      "write 90",
    ],
    ["measure: { percentiles: [100] }", "got 100", "write 90"],
    ["measure: { rounds: 0 }", "measure.rounds must be", "write rounds: 5"],
    [
      "measure: { rounds: { until: 2%, min: 9, max: 5 } }",
      "min is above max",
      "write { until: 2%, min: 4, max: 12 }",
    ],
    [
      "measure: { rounds: { until: 0.02 } }",
      "must be a share in percent, got 0.02",
      'write "2%" for 0.02 of all, or "0.02%"',
    ],
    [
      "measure: { requests: 3, duration: 3 s }",
      "duration and requests can't both be written",
      "keep one of the two",
    ],
    ["measure: { keep: yes }", 'must be true or false, got "yes"', "write true"],
    ["measure: { seed: '7' }", 'got "7"', "write 7, without quotes"],
    [
      "measure: { window: handover window }",
      "must be one of handover, fixed",
      "write window: handover",
    ],
    [
      "measure: fast",
      'measure must be a map, got "fast"',
      "write measure: { rounds: 5, percentiles: [50, 90, 99] }",
    ],
    ["limits: { stall: 10 minutes }", "must be a duration", 'write "10 min"'],
    ["limits: { stall: 0 s }", "a duration must be above 0", "write another value"],
    ["limits: { failures: 0.01 }", "must be a share", 'write "1%" for 0.01 of all, or "0.01%"'],
    ["limits: { failures: 120% }", "a share must be from 0% to 100%", "write another value"],
    [
      "slo: { ttft: 2 }",
      "must be a duration with its unit, or { p99: duration }, got 2",
      'write "2 s" for 2 seconds, or "2 ms" for milliseconds',
    ],
    ["slo: { ttft: { 90: 2 s } }", '"90" must be a percentile such as p90 or p99.9', "write p90"],
    [
      "slo: { ttft: { p0: 2 s } }",
      '"p0" must be a percentile',
      "write a percentile such as p90 or p99.9",
    ],
    ["workloads: { w: { input: [1, 2] } }", "got [1, 2]", "write input: 10000"],
    [
      "workloads: { w: { input: { mean: 3 } } }",
      "workloads.w.input.cv is missing",
      "write cv: 0.3",
    ],
    [
      "workloads: { w: { output: { uniform: [9, 3] } } }",
      "the shortest is above the longest",
      "swap the two",
    ],
    [
      "workloads: { w: { cache: hot } }",
      'must be cold, warm or { shared: tokens }, got "hot"',
      "write cache: cold",
    ],
    [
      "workloads: { w: { input: 50, cache: { shared: 50 } } }",
      "all prompts share 50 tokens, but have only 50",
      "share at most 49, or write cache: warm when all prompts are to be the same",
    ],
    ["workloads: { W_1: {} }", '"W_1" must be a name', "write w-1; a title takes any text"],
    [
      "waive: [{ rule: 25, reason: r, by: b }]",
      "must be a rule such as E25, R3 or S1, got 25",
      "write rule: E25",
    ],
    ["stated: { price: { per-gpu-hour: 2, currency: usd } }", 'got "usd"', "write currency: USD"],
    ["report: { languages: [zh, fr] }", 'must be one of zh, en, got "fr"', "write zh"],
    ["report: { formats: [html, html] }", "html is in this list twice", "keep one of the two"],
    [
      "environment: { from: e.json, probe: [ssh] }",
      "probe and from can't both be written",
      "keep one of the two",
    ],
    ["version: 2", "this benchbook reads version 1", "write version: 1, or use a newer benchbook"],
    [
      "measure: { seed: }",
      "measure.seed must be a whole number from 0 to 9007199254740991, got nothing",
      "write seed: 20251219",
    ],
    ["measure: { seed: .nan }", "got NaN", "write seed: 20251219"],
  ])("%s", async (text, what, mend) => {
    const mistake = await mistakeIn(text);
    expect(mistake.what).toContain(what);
    expect(mistake.mend).toBe(mend);
    expect(mistake.where).toMatch(/^x\.yaml:3:\d+ \S+$/);
  });

  it("a pattern that matches no point shows the points that were meant", async () => {
    expect(await mistakeIn("exclude: [a/c5]")).toEqual({
      what: 'no point matches "a/c5"',
      where: "x.yaml:3:11 exclude.0",
      mend: "did you mean a/c1 or a/c4 or a/c16?",
    });
    expect((await mistakeIn("only: a")).mend).toBe("write a/*");
  });
});

describe("engines and variants that contradict each other", () => {
  const withEngines = async (engines: string, variants: string) =>
    mistakesIn(`engines:\n${engines}\nvariants:\n${variants}\n`);

  it("names that are one once written as slugs", async () => {
    const parts = await mistakesIn("variants: { fp8: { model: a }, FP8: { model: b } }");
    expect(parts).toMatchObject([
      { what: "variants fp8 and FP8 have the same name, fp8", where: "x.yaml:1:32 variants.FP8" },
    ]);
  });

  it("an unknown kind", async () => {
    const [mistake] = await withEngines("  v: { kind: vlm }", "  a: { model: m, engine: v }");
    expect(mistake).toMatchObject({
      what: 'engines.v.kind must be one of embedded, vllm, external, got "vlm"',
      mend: "did you mean vllm?",
    });
    const [missing] = await withEngines("  v: { venv: /x }", "  a: { model: m, engine: v }");
    expect(missing).toMatchObject({
      what: "engines.v.kind is missing",
      mend: "write kind: embedded",
    });
  });

  it("a key of another kind of engine", async () => {
    const [mistake] = await withEngines(
      "  v: { kind: embedded, venv: /x }",
      "  a: { model: m, engine: v }",
    );
    expect(mistake).toMatchObject({
      what: 'there is no key "venv" in engines.v',
      where: "x.yaml:2:24 engines.v.venv",
    });
  });

  it("two ways to start vLLM", async () => {
    const [mistake] = await withEngines(
      "  v: { kind: vllm, venv: /x, python: /y }",
      "  a: { model: m, engine: v }",
    );
    expect(mistake?.mend).toBe("keep one of venv, python, command, container");
  });

  it("a variant that names none of several engines", async () => {
    const [mistake] = await withEngines(
      "  v: { kind: vllm }\n  e: { kind: embedded }",
      "  a: { model: m }",
    );
    expect(mistake).toMatchObject({
      what: "variants.a names no engine, and 2 are defined",
      mend: "write engine: v",
    });
  });

  it("an external engine without its URL", async () => {
    const [mistake] = await mistakesIn("variants: { a: { model: m, engine: external } }");
    expect(mistake?.what).toBe("an external engine needs the URL of its server");
  });

  it("arguments for a server that runs already", async () => {
    const [mistake] = await withEngines(
      "  s: { kind: external, url: 'http://h:1' }",
      "  a: { model: m, engine: s, args: { max-num-seqs: 3 } }",
    );
    expect(mistake).toMatchObject({ where: "x.yaml:4:29 variants.a.args" });
  });

  it("requests longer than the engine is told to allow", async () => {
    const parts = await mistakesIn(`engines: { v: { kind: vllm, args: { max-model-len: 10240 } } }
variants: { a: { model: m, engine: v }, b: { model: m, engine: v, args: { max-model-len: 16384 } } }
workloads: { w: { input: 10000, output: 800 } }
`);
    expect(parts).toEqual([
      {
        what: "w needs 10000 + 800 = 10800 tokens, variants.a allows 10240 (max-model-len)",
        where: "x.yaml:3:14 workloads.w",
        mend: "shorten the input to 9440, or raise max-model-len to 10800",
      },
    ]);
  });

  it("arguments with their dashes", async () => {
    const [mistake] = await withEngines(
      "  v: { kind: vllm, args: { --dtype: auto } }",
      "  a: { model: m }",
    );
    expect(mistake?.mend).toBe("write dtype");
  });
});

describe("secrets", () => {
  const secret = "sk-abcdef0123456789";

  it.each([
    [
      "a key where its variable's name belongs",
      `engines: { s: { kind: external, url: "http://h:1", key: ${secret} } }`,
    ],
    [
      "a key as the name of a variable",
      `engines: { s: { kind: external, url: "http://h:1", key: { env: ${secret} } } }`,
    ],
    [
      "a header",
      `engines: { s: { kind: external, url: "http://h:1", headers: { Authorization: ${secret} } } }`,
    ],
    [
      "a header of any value",
      'engines: { s: { kind: external, url: "http://h:1", headers: { x-api-key: abcdef0123456789 } } }',
    ],
    [
      "a header's variable that is no name",
      `engines: { s: { kind: external, url: "http://h:1", headers: { x-api-key: { env: ${secret} } } } }`,
    ],
    [
      "an engine's environment",
      "engines: { s: { kind: vllm, env: { HF_TOKEN: abcdef0123456789 } } }",
    ],
    [
      "an engine's arguments",
      "engines: { s: { kind: vllm, args: { api-key: abcdef0123456789 } } }",
    ],
    ["a URL", 'engines: { s: { kind: external, url: "http://user:abcdef0123456789@h:1" } }'],
    ["anywhere, by its look", `title: ${secret}\nengines: { s: { kind: vllm } }`],
    [
      "from the environment",
      'engines: { s: { kind: external, url: "http://h:1", key: "${MY_KEY}" } }',
    ],
  ])("%s is refused and never shown", async (_, engines) => {
    const parts = await mistakesIn(`${engines}\nvariants: { a: { model: m, engine: s } }\n`, {
      env: { MY_KEY: secret },
    });
    expect(parts).toHaveLength(1);
    expect(JSON.stringify(parts)).not.toContain("abcdef0123456789");
    expect(JSON.stringify(parts)).toMatch(/not shown/);
  });

  it("are named by their variable", async () => {
    const [mistake] = await mistakesIn(
      `engines: { s: { kind: external, url: "http://h:1", key: ${secret} } }\nvariants: { a: { model: m, engine: s } }`,
    );
    expect(mistake?.mend).toContain("key: { env: API_KEY }");
  });

  it("tokenizers and token counts are none", async () => {
    const parts = await mistakesIn(
      "engines: { s: { kind: vllm, env: { TOKENIZERS_PARALLELISM: x }, args: { max-num-batched-tokens: 8192, tokenizer: t } } }\nvariants: { a: { model: m } }\nrounds: 3",
    );
    expect(parts.map(({ where }) => where)).toEqual(["x.yaml:3:1 rounds"]);
  });
});

describe("the environment", () => {
  it("a name that is not set and has no default", async () => {
    expect(await mistakeIn("title: ${SITE} test", { SITE: "" })).toEqual({
      what: "the environment variable SITE is not set",
      where: "x.yaml:3:8 title",
      mend: "set it, or write ${SITE:-default}",
    });
  });

  it("a reference that is none", async () => {
    expect((await mistakeIn("title: ${SI TE}")).what).toBe("${SI TE} is no reference");
  });
});

describe("broken YAML", () => {
  it.each([
    ["an open bracket", "variants: [1\n", "not closed"],
    ["an open quote", "experiment: 'x\n", "a quote, bracket or colon is missing"],
    ["a tab", "variants:\n\ta: 1\n", "a tab is used for indentation"],
    ["two keys on a line", "cache: shared: 2000\n", "two `key:` on one line"],
    ["a reserved character", "experiment: @x\n", "a value can't begin with this character"],
    [
      "a reference in braces",
      "stated: { site: ${SITE} }\n",
      "${NAME} inside { } or [ ] needs quotes",
    ],
    ["a tag", "experiment: !secret x\n", "a value begins with !"],
    [
      "an anchor that is not there",
      "experiment: *x\nvariants: { a: { model: m } }\n",
      "*x names no &x above it",
    ],
    ["an anchor that holds itself", "variants: &v { a: *v }\n", "*v holds itself"],
    ["a map as a key", "? { a: 1 }\n: 2\n", "a key must be a plain name"],
    [
      "a key that JavaScript keeps for itself",
      "__proto__: { a: 1 }\nvariants: { a: { model: m } }\n",
      "a key must be a plain name",
    ],
    ["a list", "- a\n- b\n", "an experiment is a map of keys, got a list"],
    ["a text", "hello\n", 'an experiment is a map of keys, got the text "hello"'],
    ["nothing", "", "the file is empty"],
    ["comments alone", "# nothing\n", "the file is empty"],
    ["two documents", "variants: { a: { model: m } }\n---\nb: 1\n", "2 documents are in this file"],
    ["brackets without end", "[".repeat(20_000), "nested too deep"],
    ["aliases that unfold into aliases", bomb(), "more than 50000 values"],
  ])("%s", async (_, text, what) => {
    const parts = await mistakesIn(text);
    const told = parts.find((part) => part.what.includes(what));
    expect(told, JSON.stringify(parts)).toBeDefined();
    expect(told?.where).toMatch(/^x\.yaml:\d+:\d+/);
  });

  it("is told once a line, and all of it", async () => {
    const parts = await mistakesIn("a: { s: ${X} }\nb: { t: ${Y} }\n");
    expect(parts.map(({ where }) => where?.replace(/:\d+$/, ""))).toEqual(["x.yaml:1", "x.yaml:2"]);
  });
});

/** Each level holds the one below ten times: 10^6 values from 60 bytes a line. */
function bomb(): string {
  const levels = Array.from({ length: 6 }, (_, level) => {
    const item = level === 0 ? "1" : `*l${level - 1}`;
    return `l${level}: &l${level} [${Array.from({ length: 10 }, () => item).join(", ")}]`;
  });
  return `${levels.join("\n")}\n`;
}

describe("extends", () => {
  it("a mistake points into the file that it was written in", async () => {
    const parts = await mistakesIn("extends: base.yaml\nmeasure: { keep: 3 }\n", {
      others: { "base.yaml": "variants: { a: { model: m } }\nmeasure:\n  rounds: 0\n" },
    });
    expect(parts.map(({ where }) => where)).toEqual([
      "x.yaml:2:18 measure.keep",
      "base.yaml:3:11 measure.rounds",
    ]);
  });

  it("a circle is refused", async () => {
    const [mistake] = await mistakesIn("extends: a.yaml\n", {
      others: { "a.yaml": "extends: x.yaml\n" },
    });
    expect(mistake).toMatchObject({
      what: "extends goes in a circle: x.yaml -> a.yaml -> x.yaml",
      where: "a.yaml:1:10 extends",
    });
  });

  it("a file that is not there is told where it is named", async () => {
    expect(await mistakesIn("extends: nowhere.yaml\n")).toMatchObject([
      { what: "there is no file nowhere.yaml", where: "x.yaml:1:10 extends" },
    ]);
  });

  it("must be one name", async () => {
    expect((await mistakeIn("extends: [a.yaml]")).what).toBe(
      "extends must be a text, got [a.yaml]",
    );
  });
});

describe("files that can't be read", () => {
  const folder = mkdtempSync(join(tmpdir(), "benchbook-mistakes-"));
  writeFileSync(join(folder, "quickstart.yaml"), "variants: {}\n");

  it("one that is not there: the nearest name", async () => {
    const [mistake] = await partsOf(readExperiment(join(folder, "quikstart.yml")));
    expect(mistake?.mend).toBe(`did you mean ${join(folder, "quickstart.yaml")}?`);
  });

  it("a folder", async () => {
    const [mistake] = await partsOf(readExperiment(folder));
    expect(mistake?.what).toBe(`${folder} is a folder`);
  });

  // The superuser may read everything.
  it.skipIf(process.getuid?.() === 0)("one without permission", async () => {
    const path = join(folder, "closed.yaml");
    writeFileSync(path, "variants: {}\n");
    chmodSync(path, 0);
    const [mistake] = await partsOf(readExperiment(path));
    expect(mistake?.what).toContain("permission denied");
  });

  it("one that is no text, or far too long", async () => {
    expect((await mistakesIn(Uint8Array.of(0xff, 0xfe, 0x00)))[0]?.what).toBe(
      "x.yaml is not a text in UTF-8",
    );
    const path = join(folder, "weights.yaml");
    writeFileSync(path, Buffer.alloc(2_000_000));
    const [mistake] = await partsOf(readExperiment(path));
    expect(mistake?.what).toContain("2000000 bytes are too many for an experiment");
  });
});
