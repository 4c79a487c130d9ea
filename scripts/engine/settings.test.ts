import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { undisclosedSettings } from "./engine.ts";
import { readKeywords } from "./python-literal.ts";
import { flatten, readCacheInfo, readSettings } from "./settings.ts";

const nothing = { ...undisclosedSettings, maxModelLen: undefined, maxNumSeqs: undefined };

describe("settings under one name each", () => {
  it("are undefined where nothing was said", () => {
    expect(readSettings([])).toEqual(nothing);
    expect(
      readSettings([{}, { dtype: "auto", attention_backend: null, block_size: null }]),
    ).toEqual(nothing);
  });

  it("come from vLLM's nested configuration", () => {
    const config = flatten({
      vllm_config: {
        model_config: {
          dtype: "torch.bfloat16",
          quantization: null,
          enforce_eager: false,
          max_model_len: 16384,
        },
        cache_config: {
          block_size: 16,
          cache_dtype: "fp8",
          gpu_memory_utilization: 0.92,
          enable_prefix_caching: true,
          num_gpu_blocks: 100,
        },
        parallel_config: {
          tensor_parallel_size: 8,
          pipeline_parallel_size: 1,
          data_parallel_size: 2,
        },
        scheduler_config: {
          max_num_seqs: 256,
          max_num_batched_tokens: 8192,
          enable_chunked_prefill: true,
        },
        attention_config: { backend: "AttentionBackendEnum.FLASHINFER" },
        compilation_config: { cudagraph_mode: [2, 1] },
        speculative_config: { method: "eagle3", num_speculative_tokens: 3, model: "/draft" },
        load_config: { load_format: "auto" },
      },
    });
    expect(readSettings([config])).toEqual({
      dtype: "bfloat16",
      quantization: "none",
      kvCacheDtype: "fp8",
      attentionBackend: "FLASHINFER",
      cudaGraphs: "full_and_piecewise",
      enforceEager: false,
      chunkedPrefill: true,
      prefixCaching: true,
      blockSize: 16,
      kvCacheTokens: 1600,
      maxNumBatchedTokens: 8192,
      tensorParallel: 8,
      pipelineParallel: 1,
      dataParallel: 2,
      gpuMemoryUtilization: 0.92,
      speculative: "eagle3, 3 tokens",
      loadFormat: "auto",
      maxModelLen: 16384,
      maxNumSeqs: 256,
    });
  });

  it("come from the line of a vLLM log, whatever the version calls them", () => {
    const line = readKeywords(
      "model='m', speculative_config=SpeculativeConfig(draft_model='/d', num_spec_tokens=16), dtype=torch.float16, max_seq_len=4096, load_format=LoadFormat.AUTO, tensor_parallel_size=1, quantization=awq, enforce_eager=True, kv_cache_dtype=auto, use_prefix=1",
    );
    expect(readSettings([flatten(line)])).toMatchObject({
      dtype: "float16",
      quantization: "awq",
      cudaGraphs: "none",
      enforceEager: true,
      speculative: "draft model, 16 tokens",
      maxModelLen: 4096,
      kvCacheDtype: "auto",
    });
    const older = { "compilation_config.use_cudagraph": true, enforce_eager: false };
    expect(readSettings([older]).cudaGraphs).toBe("piecewise");
  });

  it("come from SGLang's arguments, of which some say the opposite", () => {
    const said = {
      dtype: "auto",
      tp_size: 4,
      dp_size: 1,
      mem_fraction_static: 0.88,
      chunked_prefill_size: -1,
      disable_radix_cache: true,
      disable_cuda_graph: true,
      attention_backend: "fa3",
      page_size: 64,
      max_total_num_tokens: 201681,
      max_running_requests: 2049,
      speculative_algorithm: "EAGLE",
      speculative_num_draft_tokens: 4,
      context_length: 32768,
    };
    expect(readSettings([said])).toMatchObject({
      dtype: undefined,
      tensorParallel: 4,
      gpuMemoryUtilization: 0.88,
      chunkedPrefill: false,
      prefixCaching: false,
      cudaGraphs: "none",
      attentionBackend: "FLASH_ATTN",
      blockSize: 64,
      kvCacheTokens: 201681,
      maxNumSeqs: 2049,
      maxModelLen: 32768,
      speculative: "eagle, 4 tokens",
    });
  });

  it("take what was found at the start before what was configured", () => {
    const settings = readSettings([
      { attention_backend: "Flash Attention", num_gpu_blocks: 1498 },
      { attention_backend: "FLASHINFER", block_size: 16 },
    ]);
    // 1498 blocks of 16 tokens.
    expect(settings).toMatchObject({ attentionBackend: "FLASH_ATTN", kvCacheTokens: 23968 });
  });

  it("add up the caches of data-parallel ranks on a /metrics page", () => {
    const page = [0, 1]
      .map(
        (rank) =>
          `vllm:cache_config_info{block_size="16",cache_dtype="auto",enable_prefix_caching="False",engine="${rank}",num_gpu_blocks="7281"} 1.0`,
      )
      .join("\n");
    expect(readSettings([readCacheInfo(page)])).toMatchObject({
      blockSize: 16,
      prefixCaching: false,
      // 2 x 7281 x 16
      kvCacheTokens: 232992,
    });
    expect(readCacheInfo("vllm:num_requests_running 1\n")).toEqual({});
  });

  it("are found on a real page of vLLM 0.32.0", () => {
    const page = readFileSync(
      new URL("../testing/vllm-0.32.0/metrics-before.txt", import.meta.url),
      "utf8",
    );
    expect(readSettings([readCacheInfo(page)])).toMatchObject({
      blockSize: 128,
      kvCacheTokens: 524288,
      kvCacheDtype: "auto",
      prefixCaching: true,
      gpuMemoryUtilization: 0.92,
    });
  });
});
