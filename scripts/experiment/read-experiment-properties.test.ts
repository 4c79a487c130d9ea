// What holds for every experiment and for every text.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { UserError } from "../errors.ts";
import {
  type Arrivals,
  type DatasetSpec,
  type EngineSpec,
  type Experiment,
  type LengthSpec,
  type LocalText,
  precisions,
  type Variant,
} from "./experiment.ts";
import { makePlan } from "./plan.ts";
import { readExperiment } from "./read-experiment.ts";

const read = (source: string) =>
  readExperiment("x.yaml", {
    env: {},
    readBytes: (path) =>
      path === "x.yaml"
        ? Promise.resolve(Buffer.from(source))
        : Promise.reject(Object.assign(new Error(path), { code: "ENOENT" })),
  });

// Any valid experiment

const slug = fc.stringMatching(/^[a-z][a-z0-9]{0,5}(-[a-z0-9]{1,4})?$/);
// What a text may be: not blank, no reference to the environment, nothing that looks like a key.
const text = fc
  .string({ unit: "grapheme", minLength: 1, maxLength: 20 })
  .filter(
    (value) =>
      /\S/.test(value) &&
      !/\$\{|sk-|hf_|:\/\/|bearer|basic/i.test(value) &&
      Buffer.from(value).toString() === value,
  );
const count = (min: number, max: number) => fc.integer({ min, max });
const durationMs = count(1, 10_000_000);
const settings = fc.dictionary(
  fc.stringMatching(/^[a-z]{2,8}-(len|seqs|x)$/),
  fc.oneof(count(0, 10_000), fc.boolean(), slug),
  { maxKeys: 3 },
);
const environment = fc.dictionary(fc.stringMatching(/^[A-Z]{2,6}_X$/), text, { maxKeys: 2 });
/** Without the keys whose value was drawn as undefined. */
const optional = <Value>(value: fc.Arbitrary<Value>) => fc.option(value, { nil: undefined });
const present = <Value extends object>(value: Value): Value =>
  Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as Value;

const localText: fc.Arbitrary<LocalText> = fc.record({ zh: text, en: text });
const launched = {
  port: fc.oneof(fc.constant("auto" as const), count(1, 65535)),
  args: settings,
  env: environment,
  readyMs: durationMs,
};
const engine: fc.Arbitrary<EngineSpec> = fc.oneof(
  fc.record({ kind: fc.constant("embedded" as const), name: slug, ...launched }),
  fc.record({
    kind: fc.constant("vllm" as const),
    name: slug,
    ...launched,
    prefix: fc.constant(["nice", "-n", "5"]),
    venv: text,
  }),
  fc.record({
    kind: fc.constant("external" as const),
    name: slug,
    url: count(1, 65535).map((port) => `http://127.0.0.1:${port}`),
    key: fc.constant({ env: "API_KEY" }),
    headers: fc.constant({ "x-route": "a" }),
  }),
);
const variant: fc.Arbitrary<Variant> = fc
  .record({
    name: slug,
    title: optional(localText),
    model: text,
    revision: optional(text),
    tokenizer: optional(text),
    precision: fc.constantFrom(...precisions),
    engine,
  })
  .map((drawn) => present(drawn) as Variant);
const length: fc.Arbitrary<LengthSpec> = fc.oneof(
  fc.record({ kind: fc.constant("exact" as const), tokens: count(1, 5000) }),
  fc.record({
    kind: fc.constant("normal" as const),
    mean: count(1, 5000),
    cv: fc.constantFrom(0.1, 0.5, 2),
  }),
  fc
    .tuple(count(1, 5000), count(0, 5000))
    .map(([min, more]) => ({ kind: "uniform" as const, min, max: min + more })),
);
const arrivals: fc.Arbitrary<Arrivals> = fc.oneof(
  fc.constantFrom({ kind: "constant" as const }, { kind: "poisson" as const }),
  fc.record({ kind: fc.constant("gamma" as const), shape: fc.constantFrom(0.25, 1, 4) }),
  fc.record({ kind: fc.constant("burst" as const), size: count(2, 50) }),
);
const byName = {
  selector: ({ name }: { readonly name: string }) => name,
  minLength: 1,
  maxLength: 4,
};
const experiment: fc.Arbitrary<Experiment> = fc.record({
  version: fc.constant(1 as const),
  name: slug,
  title: localText,
  variants: fc.uniqueArray(variant, byName),
  workloads: fc.uniqueArray(
    fc.oneof(
      fc.record({
        name: slug,
        input: length,
        output: length,
        cache: fc.constantFrom({ kind: "cold" as const }, { kind: "warm" as const }),
        endpoint: fc.constantFrom("completions" as const, "chat" as const),
        turns: count(1, 5),
      }),
      fc.record({
        name: slug,
        input: fc.record({
          kind: fc.constant("dataset" as const),
          path: text,
          longestTokens: fc.option(count(1, 9000), { nil: undefined }),
          repeat: fc.boolean(),
        }),
        output: length,
        cache: fc.constant({ kind: "cold" as const }),
        endpoint: fc.constant("chat" as const),
        turns: count(1, 5),
      }),
    ),
    byName,
  ),
  loads: fc
    .record({
      concurrencies: fc.uniqueArray(count(1, 1000), { minLength: 1, maxLength: 4 }),
      rates: fc.uniqueArray(count(1, 1000), { maxLength: 3 }),
      arrivals,
    })
    .map(({ concurrencies, rates, arrivals: drawn }) => [
      ...concurrencies.map((concurrency) => ({ kind: "concurrency" as const, concurrency })),
      ...rates.map((quarter) => ({
        kind: "rate" as const,
        requestRatePerS: quarter / 4,
        arrivals: drawn,
      })),
    ]),
  only: fc.constantFrom([], ["*"]),
  exclude: fc.constant([]),
  measure: fc.record({
    rounds: fc.oneof(
      fc.record({ kind: fc.constant("fixed" as const), count: count(1, 20) }),
      fc.constant({ kind: "until" as const, target: 0.02, min: 3, max: 9 }),
    ),
    repeats: count(1, 3),
    requests: fc.oneof(
      fc.constant({ kind: "auto" as const }),
      fc.record({ kind: fc.constant("count" as const), count: count(1, 1000) }),
      fc.record({ kind: fc.constant("duration" as const), durationMs }),
    ),
    warmup: fc.oneof(fc.constant("auto" as const), count(0, 100)),
    percentiles: fc
      .uniqueArray(count(1, 99), { minLength: 1, maxLength: 4 })
      .map((values) => values.sort((left, right) => left - right)),
    window: fc.constantFrom("handover" as const, "fixed" as const),
    order: fc.constantFrom("interleaved" as const, "grouped" as const),
    keep: fc.boolean(),
    seed: fc.maxSafeNat(),
  }),
  slo: fc.constantFrom([], [{ metric: "ttft" as const, percentile: 99.9, limitMs: 250 }]),
  limits: fc.record({
    requestMs: durationMs,
    stallMs: durationMs,
    failureShare: fc.constantFrom(0, 0.01, 0.5, 1),
    failureCount: optional(count(0, 100)),
    trialMs: optional(durationMs),
  }),
  client: fc.record({
    threads: fc.oneof(fc.constant("auto" as const), count(1, 64)),
    poll: fc.boolean(),
    calibrate: fc.boolean(),
  }),
  telemetry: fc.record({ gpuMs: durationMs, engineMs: durationMs }),
  environment: fc.oneof(
    fc.constant({ kind: "local" as const }),
    fc.record({ kind: fc.constant("from" as const), path: text }),
    fc.record({
      kind: fc.constant("probe" as const),
      command: fc.array(text, { minLength: 1, maxLength: 3 }),
    }),
  ),
  stated: fc
    .record({
      site: optional(text),
      operator: optional(text),
      price: optional(fc.constant({ perGpuHour: 2.1, currency: "USD" })),
      other: fc.dictionary(slug, text, { maxKeys: 2 }),
    })
    .map((drawn) => present(drawn) as Experiment["stated"]),
  waive: fc.array(fc.record({ rule: fc.constant("E25"), reason: text, by: text }), {
    maxLength: 2,
  }),
  report: fc.record({
    languages: fc.constantFrom(["zh" as const], ["en" as const, "zh" as const]),
    formats: fc.constantFrom(["html" as const], ["md" as const, "pdf" as const]),
    notebook: text,
  }),
});

function writtenRates(loads: Experiment["loads"]): object {
  const rates = loads.filter((load) => load.kind === "rate");
  const [first] = rates;
  if (first === undefined) return {};
  const { arrivals: drawn } = first;
  const written =
    drawn.kind === "gamma"
      ? { gamma: drawn.shape }
      : drawn.kind === "burst"
        ? { burst: drawn.size }
        : drawn.kind;
  return { rate: rates.map(({ requestRatePerS }) => requestRatePerS), arrivals: written };
}

/** The experiment as a person would write it, nothing left to a default. */
function written(complete: Experiment): unknown {
  const {
    name,
    variants,
    workloads,
    loads,
    measure,
    slo,
    limits,
    telemetry,
    stated,
    environment: where,
    ...rest
  } = complete;
  const engineName = (index: number): string => `e${index}`;
  const writtenLength = (spec: LengthSpec | DatasetSpec): unknown => {
    if (spec.kind === "exact") return spec.tokens;
    if (spec.kind === "normal") return { mean: spec.mean, cv: spec.cv };
    if (spec.kind === "uniform") return { uniform: [spec.min, spec.max] };
    const { path, longestTokens, repeat } = spec;
    return present({ dataset: path, longest: longestTokens, repeat });
  };
  const { rounds, requests } = measure;
  const { price, ...said } = stated;
  return {
    ...rest,
    experiment: name,
    engines: Object.fromEntries(
      variants.map(({ engine: spec }, index): [string, object] => {
        const fields = { ...spec, name: undefined };
        if (fields.kind === "external") return [engineName(index), present(fields)];
        const { readyMs, ...others } = fields;
        return [engineName(index), present({ ...others, ready: `${readyMs} ms` })];
      }),
    ),
    variants: Object.fromEntries(
      variants.map(({ name: key, ...variantFields }, index) => [
        key,
        { ...variantFields, engine: engineName(index) },
      ]),
    ),
    workloads: Object.fromEntries(
      workloads.map(({ name: key, input, output, cache, endpoint, turns }) => [
        key,
        {
          input: writtenLength(input),
          output: writtenLength(output),
          cache: cache.kind,
          endpoint,
          turns,
        },
      ]),
    ),
    loads: {
      concurrency: loads.flatMap((load) => (load.kind === "concurrency" ? [load.concurrency] : [])),
      ...writtenRates(loads),
    },
    measure: {
      ...measure,
      rounds:
        rounds.kind === "fixed"
          ? rounds.count
          : { until: `${rounds.target * 100}%`, min: rounds.min, max: rounds.max },
      requests:
        requests.kind === "auto"
          ? "auto"
          : requests.kind === "count"
            ? requests.count
            : { duration: `${requests.durationMs} ms` },
    },
    slo: Object.fromEntries(
      slo.map(({ metric, percentile, limitMs }) => [
        metric,
        { [`p${percentile}`]: `${limitMs} ms` },
      ]),
    ),
    limits: {
      request: `${limits.requestMs} ms`,
      stall: `${limits.stallMs} ms`,
      failures: present({
        share: `${limits.failureShare * 100}%`,
        count: limits.failureCount,
      }),
      ...(limits.trialMs === undefined ? {} : { trial: `${limits.trialMs} ms` }),
    },
    telemetry: { gpu: `${telemetry.gpuMs} ms`, engine: `${telemetry.engineMs} ms` },
    environment:
      where.kind === "local"
        ? {}
        : where.kind === "from"
          ? { from: where.path }
          : { probe: where.command },
    stated: {
      ...said,
      ...(price === undefined
        ? {}
        : { price: { "per-gpu-hour": price.perGpuHour, currency: price.currency } }),
    },
  };
}

/** Names of engines follow the variant's place, as `written` gives them. */
function withWrittenNames(complete: Experiment): Experiment {
  const variants = complete.variants.map((one, index) => ({
    ...one,
    engine: { ...one.engine, name: `e${index}` },
  }));
  return { ...complete, variants };
}

describe("every experiment", () => {
  it("written as YAML reads back as it was, with nothing left to defaults but what is not there", async () => {
    await fc.assert(
      fc.asyncProperty(experiment, async (drawn) => {
        const { experiment: back, defaults } = await read(stringify(written(drawn)));
        expect(back).toEqual(withWrittenNames(drawn));
        expect(defaults).toEqual([]);
      }),
      { numRuns: 200 },
    );
  });

  it("has a plan in which each point is measured once a round and repeat, under ids of its own", () => {
    fc.assert(
      fc.property(experiment, (drawn) => {
        const { points, rounds, roundCount } = makePlan(drawn);
        const trials = rounds.flatMap(({ starts }) => starts.flatMap((start) => start.trials));
        expect(trials).toHaveLength(points.length * roundCount * drawn.measure.repeats);
        expect(new Set(trials.map(({ id }) => id)).size).toBe(trials.length);
        const visits = new Set(
          trials.map(({ point, round, repeat }) => `${point} ${round} ${repeat}`),
        );
        expect(visits.size).toBe(trials.length);
      }),
      { numRuns: 100 },
    );
  });
});

describe("every text", () => {
  const readsOrExplains = async (source: string): Promise<void> => {
    try {
      await read(source);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      expect(error.parts.length).toBeGreaterThan(0);
      for (const { what, mend, where } of error.parts) {
        expect(what).not.toBe("");
        expect(mend).not.toBe("");
        expect(where).toMatch(/^x\.yaml:\d+:\d+/);
      }
    }
  };

  it("reads, or is told what is wrong with it", async () => {
    await fc.assert(fc.asyncProperty(fc.string({ unit: "binary" }), readsOrExplains), {
      numRuns: 500,
    });
  });

  it("made of YAML's own signs too", async () => {
    const sign = fc.oneof(
      fc.stringMatching(/^[-{}[\]:,?&*!|>'"%@`#\n ~<$a1\t]$/),
      fc.constantFrom("variants", "model", "extends", "${", "---\n", "\n  "),
    );
    const signs = fc.array(sign, { maxLength: 40 }).map((drawn) => drawn.join(""));
    await fc.assert(fc.asyncProperty(signs, readsOrExplains), { numRuns: 400 });
  });

  it("with any value under any key too", async () => {
    const key = fc.constantFrom(
      "version",
      "experiment",
      "title",
      "engines",
      "variants",
      "workloads",
      "loads",
      "only",
      "exclude",
      "measure",
      "slo",
      "limits",
      "telemetry",
      "environment",
      "stated",
      "waive",
      "report",
      "extends",
    );
    const inner = fc.oneof(
      key,
      fc.constantFrom(
        "kind",
        "url",
        "key",
        "env",
        "model",
        "engine",
        "input",
        "cache",
        "rounds",
        "ttft",
        "concurrency",
        "rate",
        "ramp",
        "arrivals",
        "trace",
        "percentiles",
      ),
      fc.string({ maxLength: 5 }),
    );
    const { value } = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.oneof(
          fc.string({ maxLength: 8 }),
          fc.double(),
          fc.boolean(),
          fc.constant(null),
          fc.constantFrom("vllm", "external", "auto", "2 s", "1%"),
        ),
        fc.array(tie("value"), { maxLength: 3 }),
        fc.dictionary(inner, tie("value"), { maxKeys: 4 }),
      ),
    }));
    const documents = fc.dictionary(key, value, { maxKeys: 6 });
    await fc.assert(
      fc.asyncProperty(documents, (document) => readsOrExplains(stringify(document))),
      { numRuns: 400 },
    );
  });
});
