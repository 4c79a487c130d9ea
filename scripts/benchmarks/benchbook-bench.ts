// One measurement by benchbook itself, as a user attaches it to a running server, and what it told.
import { join } from "node:path";
import type { RequestSample } from "../stats/samples.ts";
import { Store } from "../store/store.ts";
import type { TestProject } from "../testing/command.ts";
import { vllmCpu } from "../testing/vllm-server.ts";
import { type ClientLoad, type Latencies, outputRange, type Told } from "./compare-clients.ts";

/**
 * The experiment of one measurement: `window: fixed` sends like other tools do, all at once within
 * the limit of concurrency, no warm-up, no filler.
 */
function comparedExperiment(url: string, load: ClientLoad, seed: number): string {
  const { low, high } = outputRange(load);
  const output = low === high ? String(low) : `{ uniform: [${low}, ${high}] }`;
  return `experiment: compare
engines: { server: { kind: external, url: "${url}" } }
variants: { served: { model: tiny-qwen3, tokenizer: "${vllmCpu.model}", engine: server } }
workloads: { one: { input: ${load.inputTokens}, output: ${output}, cache: cold } }
loads: { concurrency: [${load.concurrency}] }
measure: { rounds: 1, requests: ${load.requests}, percentiles: [50], window: fixed, seed: ${seed} }
report: { languages: [en], formats: [md] }
`;
}

/** Runs it once against a server. @throws Error with the program's words, or when a request failed */
export async function runBenchbook(
  url: string,
  load: ClientLoad,
  seed: number,
  project: TestProject,
): Promise<Told> {
  const path = project.experiment("compare", comparedExperiment(url, load, seed));
  const { stdout, stderr } = await project.run("run", path, "--json");
  const store = Store.open(join(project.root, "data/benchbook.db"), { readonly: true });
  try {
    const run = store.resolveRun("latest");
    const requests = store.samplesOf(run).flatMap((trial) => trial.requests);
    const completed = requests.filter(({ status }) => status === "completed");
    if (completed.length !== load.requests || requests.length !== load.requests) {
      throw new Error(
        `benchbook completed ${completed.length} of ${load.requests} requests\n${stdout}\n${stderr}`,
      );
    }
    const told = new Map(
      store
        .query("SELECT metric, value FROM metric WHERE run = ?", [run])
        .rows.map((row) => [row[0], row[1]]),
    );
    const latencies = (statistic: "p50" | "mean"): Latencies => {
      const of = (metric: string): number => {
        const value = told.get(`${metric}.${statistic}`);
        if (typeof value === "number") return value;
        throw new Error(`benchbook told no ${metric}.${statistic}\n${stdout}\n${stderr}`);
      };
      return { ttftMs: of("ttft"), tpotMs: of("tpot"), itlMs: of("itl") };
    };
    const sum = (valueOf: (request: RequestSample) => number): number =>
      requests.reduce((total, request) => total + valueOf(request), 0);
    return {
      medians: latencies("p50"),
      means: latencies("mean"),
      requests: requests.length,
      inputTokens: sum(({ inputTokens }) => inputTokens ?? 0),
      outputTokens: sum(({ outputTokens }) => outputTokens ?? 0),
      outputChunks: sum(({ chunksAtMs }) => chunksAtMs.length),
    };
  } finally {
    store.close();
  }
}
