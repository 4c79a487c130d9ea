// From what a person wrote, already known to be valid, to the complete experiment: every default
// filled in and listed, every quantity in one unit.
import type {
  Arrivals,
  CachePolicy,
  EngineSpec,
  Experiment,
  ExternalEngine,
  LengthSpec,
  Limits,
  Load,
  LocalText,
  Measure,
  ReadExperiment,
  RequestsSpec,
  RoundsSpec,
  SloLimit,
  Stated,
  Variant,
  Workload,
} from "./experiment.ts";
import { inline } from "./mistakes.ts";
import { durationMs, shareOf } from "./quantity.ts";
import { writtenDefaults } from "./schema/defaults.ts";
import { sharedPattern } from "./schema/matrix.ts";
import type {
  WrittenEngine,
  WrittenExperiment,
  WrittenVariant,
  WrittenWorkload,
} from "./schema.ts";
import { rampName, slugOfFile, traceName } from "./slug.ts";

type FilledDefault = ReadExperiment["defaults"][number];

/** What is written at `path`, or else `standsFor`, which is then listed as a default. */
type Fill = <Value>(
  path: string,
  written: Value | undefined,
  standsFor: Value,
  reason?: string,
) => Value;

/** Names of variants, workloads and engines as they stand in the file: plain data loses the order of "2" and "10". */
export type NamesInOrder = (section: "engines" | "variants" | "workloads") => readonly string[];

/**
 * Completes an experiment.
 *
 * @param fileName gives the experiment its name where it has none
 */
export function completeExperiment(
  written: WrittenExperiment,
  { fileName, namesOf }: { readonly fileName: string; readonly namesOf: NamesInOrder },
): Pick<ReadExperiment, "experiment" | "defaults"> {
  const defaults: FilledDefault[] = [];
  const fill: Fill = (path, value, standsFor, reason) => {
    if (value !== undefined) return value;
    defaults.push({ path, value: inline(standsFor), ...(reason === undefined ? {} : { reason }) });
    return standsFor;
  };

  fill("version", written.version, 1);
  const name = fill(
    "experiment",
    written.experiment,
    slugOfFile(fileName) ?? "experiment",
    "the file's name",
  );
  const title = localText(
    "title",
    fill("title", written.title, name, "the experiment's name"),
    fill,
  );
  const engines = completeEngines(written, namesOf("engines"), fill);
  const variants = namesOf("variants").flatMap((key) => {
    const variant = written.variants[key];
    return variant === undefined ? [] : [completeVariant(key, variant, engines, fill)];
  });
  const workloads = completeWorkloads(written.workloads, namesOf("workloads"), fill);
  const loads = completeLoads(written.loads, fill);
  const { telemetry, report } = writtenDefaults;
  const experiment: Experiment = {
    version: 1,
    name,
    title,
    variants,
    workloads,
    loads,
    only: listOf(written.only ?? []),
    exclude: listOf(written.exclude ?? []),
    measure: completeMeasure(written.measure ?? {}, fill),
    slo: completeSlo(written.slo ?? {}, fill),
    limits: completeLimits(written.limits ?? {}, fill),
    client: {
      threads: fill("client.threads", written.client?.threads, writtenDefaults.client.threads),
      poll: fill("client.poll", written.client?.poll, writtenDefaults.client.poll),
      calibrate: fill(
        "client.calibrate",
        written.client?.calibrate,
        writtenDefaults.client.calibrate,
      ),
    },
    telemetry: {
      gpuMs: durationMs(fill("telemetry.gpu", written.telemetry?.gpu, telemetry.gpu)),
      engineMs: durationMs(fill("telemetry.engine", written.telemetry?.engine, telemetry.engine)),
    },
    environment: completeEnvironment(
      fill("environment", written.environment, {}, "read on this machine"),
    ),
    stated: completeStated(written.stated ?? {}),
    waive: written.waive ?? [],
    report: {
      languages: fill("report.languages", written.report?.languages, [...report.languages]),
      formats: fill("report.formats", written.report?.formats, [...report.formats]),
      notebook: fill("report.notebook", written.report?.notebook, report.notebook),
    },
  };
  return { experiment, defaults };
}

function localText(
  path: string,
  written: NonNullable<WrittenExperiment["title"]>,
  fill: Fill,
): LocalText {
  if (typeof written === "string") return { zh: written, en: written };
  const { zh, en } = written;
  return {
    zh: fill(`${path}.zh`, zh, en ?? "", "only the English text is written"),
    en: fill(`${path}.en`, en, zh ?? "", "only the Chinese text is written"),
  };
}

// Engines and variants

function completeEngines(
  { engines = {}, variants }: WrittenExperiment,
  names: readonly string[],
  fill: Fill,
): ReadonlyMap<string, EngineSpec> {
  const complete = new Map<string, EngineSpec>();
  for (const name of names) {
    const engine = engines[name];
    if (engine !== undefined) complete.set(name, completeEngine(name, engine, fill));
  }
  // A variant may name a kind without defining it; without any engine it is the one that is here.
  const named = Object.values(variants).map(
    ({ engine }) => engine ?? (names.length === 0 ? "embedded" : undefined),
  );
  for (const kind of ["embedded", "vllm"] as const) {
    if (complete.has(kind) || !named.includes(kind)) continue;
    fill(
      `engines.${kind}`,
      undefined,
      { kind },
      `variants name the engine ${kind}, which is not defined`,
    );
    complete.set(kind, completeEngine(kind, { kind }, fill));
  }
  return complete;
}

function completeEngine(name: string, written: WrittenEngine, fill: Fill): EngineSpec {
  if (written.kind === "external") {
    return {
      kind: "external",
      name,
      url: written.url.replace(/\/+$/, "").replace(/\/v1$/, ""),
      ...(written.key === undefined ? {} : { key: written.key }),
      headers: written.headers ?? {},
      ...(written.paths === undefined ? {} : { paths: completePaths(written.paths) }),
    };
  }
  const path = `engines.${name}`;
  const launched = {
    name,
    port: fill(`${path}.port`, written.port, writtenDefaults.port),
    args: written.args ?? {},
    env: asTexts(written.env),
    readyMs: durationMs(fill(`${path}.ready`, written.ready, writtenDefaults.ready[written.kind])),
  };
  if (written.kind === "embedded") return { kind: "embedded", ...launched };
  const { venv, python, command, container, prefix = [] } = written;
  return {
    kind: "vllm",
    ...launched,
    prefix,
    ...(venv === undefined ? {} : { venv }),
    ...(python === undefined ? {} : { python }),
    ...(command === undefined ? {} : { command }),
    ...(container === undefined
      ? {}
      : {
          container: {
            image: container.image,
            ...(container.digest === undefined ? {} : { digest: container.digest }),
            ...(container.runtime === undefined ? {} : { runtime: container.runtime }),
            ...(container.args === undefined ? {} : { args: container.args }),
          },
        }),
  };
}

function completePaths({
  completions,
  chat,
}: NonNullable<Extract<WrittenEngine, { kind: "external" }>["paths"]>): NonNullable<
  ExternalEngine["paths"]
> {
  return {
    ...(completions === undefined ? {} : { completions }),
    ...(chat === undefined ? {} : { chat }),
  };
}

function completeVariant(
  name: string,
  written: WrittenVariant,
  engines: ReadonlyMap<string, EngineSpec>,
  fill: Fill,
): Variant {
  const path = `variants.${name}`;
  const [only = "embedded"] = engines.keys();
  const engineName = fill(`${path}.engine`, written.engine, only, "the only engine");
  const engine = engines.get(engineName);
  if (engine === undefined)
    throw new Error(`${path} names the engine ${engineName}, which was let through`);
  const { title, model, revision, tokenizer } = written;
  return {
    name,
    ...(title === undefined ? {} : { title: localText(`${path}.title`, title, fill) }),
    model,
    ...(revision === undefined ? {} : { revision }),
    ...(tokenizer === undefined ? {} : { tokenizer }),
    precision: fill(
      `${path}.precision`,
      written.precision,
      writtenDefaults.precision[engine.kind],
      engine.kind === "embedded" ? "the embedded engine's full precision" : "no claim",
    ),
    engine:
      engine.kind === "external"
        ? engine
        : {
            ...engine,
            args: { ...engine.args, ...written.args },
            env: { ...engine.env, ...asTexts(written.env) },
          },
  };
}

/** YAML reads `CUDA_VISIBLE_DEVICES: 0` as a number; an environment holds texts. */
function asTexts(
  map: Readonly<Record<string, string | number | boolean>> = {},
): Record<string, string> {
  return Object.fromEntries(Object.entries(map).map(([key, value]) => [key, String(value)]));
}

// Workloads and loads

function completeWorkloads(
  written: WrittenExperiment["workloads"],
  names: readonly string[],
  fill: Fill,
): readonly Workload[] {
  if (written === undefined) {
    const { input, output, cache, endpoint, turns } = writtenDefaults;
    const name = `${input}-${output}`;
    fill(
      `workloads.${name}`,
      undefined,
      { input, output, cache, endpoint, turns },
      "no workload is written",
    );
    return [completeWorkload(name, { input, output, cache, endpoint, turns }, fill)];
  }
  return names.flatMap((name) => {
    const workload = written[name];
    return workload === undefined ? [] : [completeWorkload(name, workload, fill)];
  });
}

function completeWorkload(name: string, written: WrittenWorkload, fill: Fill): Workload {
  const path = `workloads.${name}`;
  const input = fill(`${path}.input`, written.input, writtenDefaults.input);
  return {
    name,
    input:
      typeof input === "object" && "dataset" in input
        ? {
            kind: "dataset",
            path: input.dataset,
            longestTokens: input.longest,
            repeat: fill(`${path}.input.repeat`, input.repeat, writtenDefaults.repeat),
          }
        : lengthOf(input),
    output: lengthOf(fill(`${path}.output`, written.output, writtenDefaults.output)),
    cache: cacheOf(fill(`${path}.cache`, written.cache, writtenDefaults.cache)),
    endpoint: fill(`${path}.endpoint`, written.endpoint, writtenDefaults.endpoint),
    turns: fill(`${path}.turns`, written.turns, writtenDefaults.turns),
  };
}

function lengthOf(written: NonNullable<WrittenWorkload["output"]>): LengthSpec {
  if (typeof written === "number") return { kind: "exact", tokens: written };
  if ("mean" in written) return { kind: "normal", ...written };
  const [min, max] = written.uniform;
  return { kind: "uniform", min, max };
}

function cacheOf(written: NonNullable<WrittenWorkload["cache"]>): CachePolicy {
  if (typeof written === "object") return { kind: "shared", tokens: written.shared };
  if (written === "cold" || written === "warm") return { kind: written };
  return { kind: "shared", tokens: Number(sharedPattern.exec(written)?.[1]) };
}

function completeLoads(written: WrittenExperiment["loads"], fill: Fill): readonly Load[] {
  const { concurrency, rate, ramp, trace } = fill("loads", written, {
    concurrency: [...writtenDefaults.concurrency],
  });
  const arrivals =
    rate === undefined && ramp === undefined
      ? arrivalsOf(writtenDefaults.arrivals, fill)
      : arrivalsOf(fill("loads.arrivals", written?.arrivals, writtenDefaults.arrivals), fill);
  return [
    ...listOf(concurrency ?? []).map(
      (streams): Load => ({ kind: "concurrency", concurrency: streams }),
    ),
    ...listOf(rate ?? []).map(
      (requestRatePerS): Load => ({ kind: "rate", requestRatePerS, arrivals }),
    ),
    ...listOf(ramp ?? []).map(
      (one): Load => ({
        kind: "ramp",
        name: rampName(one),
        fromPerS: one.from,
        toPerS: one.to,
        durationMs: durationMs(one.duration),
        arrivals,
      }),
    ),
    ...listOf(trace ?? []).map((one): Load => {
      const { file, speed } =
        typeof one === "string" ? { file: one, speed: writtenDefaults.speed } : one;
      return { kind: "trace", name: traceName(file, speed), path: file, speed };
    }),
  ];
}

function arrivalsOf(
  written: NonNullable<NonNullable<WrittenExperiment["loads"]>["arrivals"]>,
  fill: Fill,
): Arrivals {
  if (typeof written === "object")
    return "gamma" in written
      ? { kind: "gamma", shape: written.gamma }
      : { kind: "burst", size: written.burst };
  if (written !== "gamma") return { kind: written };
  return {
    kind: "gamma",
    shape: fill("loads.arrivals.gamma", undefined, writtenDefaults.gammaShape),
  };
}

function listOf<Item>(written: Item | readonly Item[]): readonly Item[] {
  // Array.isArray does not narrow a readonly array away from Item.
  return Array.isArray(written) ? (written as readonly Item[]) : [written as Item];
}

// Measuring and disclosing

function completeMeasure(written: NonNullable<WrittenExperiment["measure"]>, fill: Fill): Measure {
  const requests =
    written.duration === undefined ? written.requests : { duration: written.duration };
  const percentiles = fill("measure.percentiles", written.percentiles, [
    ...writtenDefaults.percentiles,
  ]);
  return {
    rounds: roundsOf(fill("measure.rounds", written.rounds, writtenDefaults.rounds), fill),
    repeats: fill("measure.repeats", written.repeats, writtenDefaults.repeats),
    requests: requestsOf(
      fill(
        "measure.requests",
        requests,
        writtenDefaults.requests,
        "enough for the percentiles asked for",
      ),
    ),
    warmup: fill(
      "measure.warmup",
      written.warmup,
      writtenDefaults.warmup,
      written.window === "fixed" ? "none in a fixed window" : "two for each concurrent stream",
    ),
    percentiles: [...new Set(percentiles)].sort((left, right) => left - right),
    window: fill("measure.window", written.window, writtenDefaults.window),
    order: fill("measure.order", written.order, writtenDefaults.order),
    keep: fill("measure.keep", written.keep, writtenDefaults.keep),
    seed: fill("measure.seed", written.seed, writtenDefaults.seed),
  };
}

function roundsOf(
  written: NonNullable<NonNullable<WrittenExperiment["measure"]>["rounds"]>,
  fill: Fill,
): RoundsSpec {
  if (typeof written === "number") return { kind: "fixed", count: written };
  return {
    kind: "until",
    target: shareOf(written.until),
    min: fill("measure.rounds.min", written.min, writtenDefaults.until.min),
    max: fill("measure.rounds.max", written.max, writtenDefaults.until.max),
  };
}

function requestsOf(
  written: NonNullable<NonNullable<WrittenExperiment["measure"]>["requests"]>,
): RequestsSpec {
  if (written === "auto") return { kind: "auto" };
  if (typeof written === "number") return { kind: "count", count: written };
  return { kind: "duration", durationMs: durationMs(written.duration) };
}

function completeLimits(written: NonNullable<WrittenExperiment["limits"]>, fill: Fill): Limits {
  const { limits } = writtenDefaults;
  const failures = fill("limits.failures", written.failures, limits.failures);
  const { share, count } =
    typeof failures === "object"
      ? failures
      : typeof failures === "number"
        ? { share: undefined, count: failures }
        : { share: failures, count: undefined };
  return {
    requestMs: durationMs(fill("limits.request", written.request, limits.request)),
    stallMs: durationMs(fill("limits.stall", written.stall, limits.stall)),
    // Where only a number is written, no share ends a trial.
    failureShare: share === undefined ? 1 : shareOf(share),
    failureCount: count,
    trialMs: written.trial === undefined ? undefined : durationMs(written.trial),
  };
}

function completeSlo(
  written: NonNullable<WrittenExperiment["slo"]>,
  fill: Fill,
): readonly SloLimit[] {
  return (["ttft", "tpot", "e2e"] as const).flatMap((metric): SloLimit[] => {
    const limit = written[metric];
    if (limit === undefined) return [];
    if (typeof limit === "object") {
      return Object.entries(limit).map(([percentile, duration]) => ({
        metric,
        percentile: Number(percentile.slice(1)),
        limitMs: durationMs(duration),
      }));
    }
    const percentile = fill(`slo.${metric}.percentile`, undefined, writtenDefaults.sloPercentile);
    return [{ metric, percentile, limitMs: durationMs(limit) }];
  });
}

function completeEnvironment({
  from,
  probe,
}: NonNullable<WrittenExperiment["environment"]>): Experiment["environment"] {
  if (from !== undefined) return { kind: "from", path: from };
  return probe === undefined ? { kind: "local" } : { kind: "probe", command: probe };
}

function completeStated(written: NonNullable<WrittenExperiment["stated"]>): Stated {
  const { site, node, operator, ticket, price, other = {} } = written;
  return {
    ...(site === undefined ? {} : { site }),
    ...(node === undefined ? {} : { node }),
    ...(operator === undefined ? {} : { operator }),
    ...(ticket === undefined ? {} : { ticket }),
    ...(price === undefined
      ? {}
      : { price: { perGpuHour: price["per-gpu-hour"], currency: price.currency } }),
    other,
  };
}
