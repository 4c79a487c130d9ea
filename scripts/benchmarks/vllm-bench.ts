// One measurement by `vllm bench serve`, vLLM's own client, and what it told: the other instrument
// of the comparison, run as its documentation says.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { vllmCpu, vllmEnvironment } from "../testing/vllm-server.ts";
import { type ClientLoad, outputRange, type Told } from "./compare-clients.ts";

const resultSchema = z.object({
  completed: z.number(),
  failed: z.number(),
  input_lens: z.array(z.number()),
  output_lens: z.array(z.number()),
  itls: z.array(z.array(z.number())),
  median_ttft_ms: z.number(),
  median_tpot_ms: z.number(),
  median_itl_ms: z.number(),
  mean_ttft_ms: z.number(),
  mean_tpot_ms: z.number(),
  mean_itl_ms: z.number(),
});

/**
 * The words of the command. What benchbook sends, it is told to send too: temperature 0, no end before the
 * last token asked for. No warm-up and no test request: they would repeat the first prompt, which
 * the prefix cache would then serve.
 */
export function vllmBenchCommand(url: string, load: ClientLoad, seed: number): readonly string[] {
  return [
    ...["vllm", "bench", "serve", "--backend", "openai", "--base-url", url],
    ...["--model", "tiny-qwen3", "--tokenizer", vllmCpu.model, "--dataset-name", "random"],
    ...["--random-input-len", String(load.inputTokens)],
    ...["--random-output-len", String(load.outputTokens), "--ignore-eos", "--temperature", "0"],
    ...["--random-range-ratio", JSON.stringify({ input: 0, output: load.outputSpread })],
    ...["--extra-body", JSON.stringify({ min_tokens: outputRange(load).low })],
    ...["--num-prompts", String(load.requests), "--max-concurrency", String(load.concurrency)],
    ...["--num-warmups", "0", "--seed", String(seed), "--disable-tqdm"],
  ];
}

/** Runs it once against a server. @throws Error with its last words, or when a request failed */
export async function runVllmBench(url: string, load: ClientLoad, seed: number): Promise<Told> {
  const folder = mkdtempSync(join(tmpdir(), "benchbook-vllm-bench-"));
  try {
    const [, ...words] = vllmBenchCommand(url, load, seed);
    const saving = ["--save-result", "--save-detailed", "--result-dir", folder];
    await execute([...words, ...saving, "--result-filename", "result.json"]);
    const text = readFileSync(join(folder, "result.json"), "utf8");
    const result = resultSchema.parse(JSON.parse(text));
    if (result.failed > 0 || result.completed !== load.requests)
      throw new Error(`vllm bench completed ${result.completed} of ${load.requests} requests`);
    return {
      medians: {
        ttftMs: result.median_ttft_ms,
        tpotMs: result.median_tpot_ms,
        itlMs: result.median_itl_ms,
      },
      means: {
        ttftMs: result.mean_ttft_ms,
        tpotMs: result.mean_tpot_ms,
        itlMs: result.mean_itl_ms,
      },
      requests: result.completed,
      inputTokens: sum(result.input_lens),
      outputTokens: sum(result.output_lens),
      // It counts every chunk with a choice, also one without text.
      outputChunks: sum(result.itls.map((gaps) => gaps.length + 1)),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function execute(words: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(vllmCpu.command, words, {
      env: vllmEnvironment,
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
      else reject(new Error(`vllm bench ended with ${code}:\n${output.slice(-3000)}`));
    });
  });
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
