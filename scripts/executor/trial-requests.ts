// The requests of one trial: who makes them, how many are there before it begins, and when those of a
// trace are due.
import { join } from "node:path";
import type { EngineEndpoint, EngineFacts } from "../engine/engine.ts";
import { probeJson } from "../engine/http.ts";
import type { Experiment, Workload } from "../experiment/experiment.ts";
import type { Point, Trial } from "../experiment/plan.ts";
import { replayTimes } from "../workload/arrivals.ts";
import type { PromptThreads } from "../workload/prompt-threads.ts";
import { type LengthProof, proveLengths } from "../workload/prove-lengths.ts";
import { requestMaker } from "../workload/request-maker.ts";
import type { RequestBatch, RequestMaker } from "../workload/requests.ts";
import type { Ask, PromptTokenizer } from "../workload/tokenizer.ts";
import { readTrace } from "../workload/trace.ts";

export interface TrialRequests {
  readonly maker: RequestMaker;
  /** Those that are made before the trial. */
  readonly batch: RequestBatch;
  /** Prompts that the server counted too; undefined: it counts none, or made the lengths itself. */
  readonly proof: LengthProof | undefined;
  /** When each request of a trace is due; undefined for other loads. */
  readonly traceAtMs: Float64Array | undefined;
}

export interface TrialRequestsContext {
  readonly experiment: Experiment;
  readonly point: Point;
  readonly workload: Workload;
  readonly engine: {
    readonly endpoint: EngineEndpoint;
    readonly facts: Pick<EngineFacts, "maxModelLen">;
  };
  readonly tokenizer: PromptTokenizer;
  /** Tells its prompts from those that a living engine has seen before; empty for a fresh one. */
  readonly promptSalt: string;
  readonly projectRoot: string;
  /** Where requests go that are too large for memory. */
  readonly folder: string;
  readonly promptThreads: PromptThreads | undefined;
}

/**
 * Makes the requests of a trial up to about what it will need.
 * @throws UserError when a prompt of the asked length can't be made, a file can't be read, or the
 * server counts otherwise
 */
export async function requestsOfTrial(
  trial: Trial,
  context: TrialRequestsContext,
): Promise<TrialRequests> {
  const { experiment, point, workload, engine, tokenizer, promptSalt, projectRoot } = context;
  const { load } = trial;
  const trace =
    load.kind === "trace" ? (await readTrace(join(projectRoot, load.path))).requests : undefined;
  const maker = await requestMaker(
    {
      workload,
      model: engine.endpoint.model,
      seed: `${trial.seed}${promptSalt}`,
      runSeed: String(experiment.measure.seed),
      projectRoot,
      longestTokens: engine.facts.maxModelLen,
      trace,
      // Seeded without the salt: compared variants are cut alike, whatever servers they share.
      firstWave:
        point.firstWave === "cut" && load.kind === "concurrency"
          ? { requests: load.concurrency, seed: trial.seed }
          : undefined,
    },
    tokenizer,
    { folder: context.folder, threads: context.promptThreads },
  );
  try {
    const count = trace?.length ?? requestsAhead(point);
    const batch = await maker.make(0, Math.ceil(count * workload.turns));
    // Whose lengths are the server's own has nothing to compare.
    const proof =
      tokenizer.source === "server"
        ? undefined
        : await proveLengths(batch, askTokenize(engine.endpoint), trial.seed);
    const traceAtMs =
      load.kind === "trace" && trace !== undefined ? replayTimes(trace, load.speed) : undefined;
    // All are made, but for a few fillers: nothing but the load is to hold memory.
    if (point.measured.kind === "count") await context.promptThreads?.rest();
    return { maker, batch, proof, traceAtMs };
  } catch (error) {
    await maker.close();
    throw error;
  }
}

/** Asks a server how many tokens a prompt is, under the name that it knows the model by. */
export function askTokenize({ baseUrl, headers, model }: EngineEndpoint): Ask {
  return (body) => probeJson(`${baseUrl}/tokenize`, { headers, body: { ...body, model } });
}

/** Warm-up, cohort and about as many fillers as will be needed; more are made as the load goes on. */
function requestsAhead({ load, warmupRequests, measured }: Point): number {
  const durationS = measured.kind === "duration" ? measured.durationMs / 1000 : undefined;
  const count = measured.kind === "count" ? measured.requests : undefined;
  switch (load.kind) {
    case "concurrency":
      return warmupRequests + (count ?? 4 * load.concurrency) + 2 * load.concurrency;
    case "rate":
      return (
        warmupRequests +
        (count ?? (durationS ?? 0) * load.requestRatePerS) +
        fillerS * load.requestRatePerS
      );
    case "ramp":
      return (
        warmupRequests +
        ((load.fromPerS + load.toPerS) / 2) * (durationS ?? 0) +
        fillerS * load.toPerS
      );
    case "trace":
      return warmupRequests + (count ?? 0);
  }
}

/** Arrivals that follow an open loop's window until its last request has ended, as made ahead. */
const fillerS = 10;
