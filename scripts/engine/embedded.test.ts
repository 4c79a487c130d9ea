import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { EmbeddedEngine, EngineArguments } from "../experiment/experiment.ts";
import { embedded } from "./embedded.ts";
import type { VariantOf } from "./engine.ts";

function variant(args: EngineArguments): VariantOf<EmbeddedEngine> {
  return {
    name: "v",
    model: "data/models/tiny-qwen3",
    precision: "fp32",
    engine: {
      kind: "embedded",
      name: "e",
      port: "auto",
      args,
      env: {},
      readyMs: 60_000,
    },
  };
}

const demand = { longestRequestTokens: 100, largestConcurrency: 1 };

describe("the arguments of the embedded engine", () => {
  it("are taken as an experiment writes them", async () => {
    const args = {
      "max-num-seqs": 4,
      "max-model-len": 128,
      "max-num-batched-tokens": 64,
      "enable-prefix-caching": false,
      "block-size": 32,
      "num-blocks": 4,
      threads: 1,
    };
    expect(await embedded.check(variant(args), demand, { projectRoot: "." })).toEqual([]);
  });

  it.each<[EngineArguments, string, string]>([
    [
      { "enable-prefix-caching": "yes" },
      "enable-prefix-caching must be true or false, got yes",
      "enable-prefix-caching: false",
    ],
    [{ "block-size": 0 }, "block-size must be a whole number from 1, got 0", "block-size: 16"],
    [{ "max-num-seqs": true }, "max-num-seqs must be a whole number", "max-num-seqs: 16"],
    [{ "gpu-memory-utilization": 0.9 }, 'no argument "gpu-memory-utilization"', "block-size"],
    [{ toString: 1 }, 'no argument "toString"', "block-size"],
    [
      { "num-blocks": 7, "max-model-len": 128 },
      "num-blocks 7 of 16 tokens hold less than one request of 128",
      "num-blocks: 8",
    ],
  ])("%o are refused before anything starts", async (args, what, mend) => {
    const problems = await embedded.check(variant(args), demand, { projectRoot: "." });
    expect(problems).toHaveLength(1);
    expect(problems[0]?.what).toContain(what);
    expect(problems[0]?.mend).toContain(mend);
  });
});

describe("a started embedded engine", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "benchbook-embedded-"));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  it.each([
    [true, [0, 32, 0]],
    [false, [0, 0, 0]],
  ])("with enable-prefix-caching %s says so, and forgets on demand", async (caching, cached) => {
    const args = { "max-model-len": 256, "max-num-seqs": 2, "enable-prefix-caching": caching };
    const engine = await embedded.start(variant(args), {
      projectRoot: ".",
      logPath: join(folder, "engine.log"),
      signal: new AbortController().signal,
    });
    try {
      expect(engine.facts.argv?.slice(-1)).toEqual([
        caching ? "--enable-prefix-caching" : "--no-enable-prefix-caching",
      ]);
      expect(engine.facts.nonDefaultArgs).toEqual(args);
      expect(engine.facts).toMatchObject({ maxModelLen: 256, maxNumSeqs: 2 });
      expect(engine.facts.settings).toEqual({
        dtype: "float32",
        quantization: "none",
        kvCacheDtype: "float32",
        attentionBackend: "onnxruntime-cpu",
        cudaGraphs: "none",
        enforceEager: undefined,
        chunkedPrefill: true,
        prefixCaching: caching,
        blockSize: 16,
        kvCacheTokens: 512,
        maxNumBatchedTokens: 2048,
        tensorParallel: 1,
        pipelineParallel: 1,
        dataParallel: 1,
        gpuMemoryUtilization: undefined,
        speculative: "none",
        loadFormat: "onnx",
      });
      const ask = async (): Promise<unknown> => {
        const response = await fetch(`${engine.endpoint.baseUrl}/v1/completions`, {
          method: "POST",
          body: JSON.stringify({
            prompt: Array.from({ length: 40 }, (_, place) => 500 + place),
            max_tokens: 1,
          }),
        });
        return response.json();
      };
      const answers = [await ask(), await ask()];
      expect(await engine.resetPrefixCache()).toBe("done");
      answers.push(await ask());
      expect(answers).toMatchObject(
        cached.map((tokens) => ({ usage: { prompt_tokens_details: { cached_tokens: tokens } } })),
      );
    } finally {
      expect(await engine.stop()).toEqual([]);
    }
  });
});
