import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readSettings } from "./settings.ts";
import { diagnoseStart, readStartLog } from "./vllm-log.ts";

const ours = readFileSync(
  new URL("../testing/vllm-0.32.0/serve-killed.log", import.meta.url),
  "utf8",
);

/** Logs of other people's servers beside this checkout, where they are. */
const others = join(import.meta.dirname, "../../../shared/fixtures/04-server-logs");

describe("the log of a start of vLLM 0.32.0", () => {
  it("is read whole", () => {
    const facts = readStartLog(ours);
    expect(facts).toMatchObject({
      engine: "vLLM",
      version: "0.32.0",
      generation: "V1",
      nonDefaultArgs: {
        dtype: "float32",
        enforce_eager: true,
        max_num_seqs: 256,
        served_model_name: '["tiny-qwen3"]',
      },
      kvCacheTokens: 524288,
      maxConcurrency: 32,
      startedUp: true,
    });
    expect(facts.config).toMatchObject({
      "vllm_config.speculative_config": null,
      "vllm_config.dtype": "torch.float32",
      "vllm_config.max_seq_len": 16384,
      "vllm_config.structured_outputs_config.backend": "auto",
      "vllm_config.compilation_config.cudagraph_mode": "NONE",
      "vllm_config.kernel_config.ir_op_priority.rms_norm": '["native"]',
    });
  });

  it("tells that a worker was killed later, not what bad requests were answered", () => {
    expect(diagnoseStart(ours)?.what).toBe("a worker of the engine ended without saying why");
  });
});

describe("a log, however it was written", () => {
  const found = "INFO 06-18 09:27:30 [kv_cache_utils.py:1733] GPU KV cache size: 464,656 tokens";

  it.each([
    ["bare", found],
    ["of a process", `(EngineCore_DP0 pid=203) ${found}`],
    ["of Ray's workers", `(RayWorkerWrapper pid=325, ip=192.168.0.1) ${found} [repeated 3x]`],
    ["with colours", `\u001b[1;36m(EngineCore pid=203)\u001b[0;0m ${found}\u001b[0m`],
    ["with colours that lost their escape", `[36m(EngineCore pid=203)[0m ${found}`],
    ["over a progress bar", `Loading:  50%|     | 1/2\rLoading: 100%|##| 2/2\r${found}\r\n`],
    ["as JSON", JSON.stringify({ level: "INFO", message: "GPU KV cache size: 464,656 tokens" })],
    ["as a container's JSON", JSON.stringify({ log: `${found}\n`, stream: "stderr" })],
    ["of docker compose", `vllm-1  | ${found}`],
    ["of an older version", found.replace("[kv_cache_utils.py:1733]", "kv_cache_utils.py:1733]")],
  ])("%s, says the same", (_, log) => {
    expect(readStartLog(`first\n${log}\nlast`).kvCacheTokens).toBe(464656);
  });

  it("says of workers the smallest cache, and of data-parallel ranks the sum", () => {
    const line = (process: string, tokens: string): string =>
      `(${process} pid=1) INFO 04-14 14:23:49 [kv_cache_utils.py:578] GPU KV cache size: ${tokens} tokens`;
    const workers = [line("Worker_TP0", "9,168"), line("Worker_TP1", "9,072")].join("\n");
    expect(readStartLog(workers).kvCacheTokens).toBe(9072);
    const ranks = [line("EngineCore_DP0", "1,000"), line("EngineCore_DP1", "1,500")].join("\n");
    expect(readStartLog(ranks).kvCacheTokens).toBe(2500);
  });

  it("says it in blocks, whose size follows from the concurrency", () => {
    const { found: said, kvCacheBlocks } = readStartLog(
      "INFO 01-09 06:24:22 gpu_executor.py:76] # GPU blocks: 23460, # CPU blocks: 9362\nINFO 01-09 06:24:22 gpu_executor.py:80] Maximum concurrency for 4096 tokens per request: 91.64x",
    );
    expect(kvCacheBlocks).toBe(23460);
    // 91.64 x 4096 / 23460 = 16.00; 23460 x 16 = 375360.
    expect(readSettings([said])).toMatchObject({ blockSize: 16, kvCacheTokens: 375360 });
  });

  it.each([
    ["Using FLASH_ATTN attention backend out of potential backends: ['FLASH_ATTN'].", "FLASH_ATTN"],
    ["Using Flash Attention backend on V1 engine.", "FLASH_ATTN"],
    ["Using FlashAttention backend.", "FLASH_ATTN"],
    ["Using XFormers backend.", "XFORMERS"],
    ["Using AttentionBackendEnum.FLASHINFER backend.", "FLASHINFER"],
    ["Using Pallas V1 backend.", "PALLAS"],
    ["Using HND KV cache layout for CPU_ATTN backend.", "CPU_ATTN"],
    ["Using aiter_attn as multimodal attention backend.", undefined],
    ["Using 'MARLIN' NvFp4 MoE backend out of potential backends: ['MARLIN'].", undefined],
  ])("%s names the attention backend or does not", (line, backend) => {
    const { found: said } = readStartLog(`INFO 01-01 00:00:00 [cuda.py:1] ${line}`);
    expect(readSettings([said]).attentionBackend).toBe(backend);
  });

  it("tells which CUDA graphs were captured, how many sizes, and whether compiling was needed", () => {
    const graphs = (kind: string): string =>
      `Capturing CUDA graphs (${kind}):   0%|          | 0/67 [00:00<?, ?it/s]\rCapturing CUDA graphs (${kind}): 100%|##########| 67/67`;
    const log = `${graphs("mixed prefill-decode, PIECEWISE")}\n${graphs("decode, FULL")}`;
    expect(readStartLog(log)).toMatchObject({
      cudaGraphSizes: 67,
      found: { "compilation_config.cudagraph_mode": "full_and_piecewise" },
      compileCache: undefined,
    });
    expect(readStartLog("torch.compile takes 82.62 s in total").compileCache).toBe("cold");
    expect(
      readStartLog("Directly load the compiled graph(s) for dynamic shape from the cache, took 1 s")
        .compileCache,
    ).toBe("warm");
  });

  it("tells what loading took", () => {
    // 56.93 x 1073741824 = 61128122040.3 bytes.
    expect(readStartLog("Model loading took 56.93 GiB memory and 18.1 seconds")).toMatchObject({
      modelMemoryBytes: 61128122040,
      weightsLoadS: 18.1,
    });
    expect(readStartLog("Loading model weights took 13.4976 GB").weightsLoadS).toBeUndefined();
  });

  it("puts together a configuration that a terminal wrapped", () => {
    const log =
      "INFO 05-09 02:41:55 [core.py:59] Initializing a V1 LLM engine (v0.8.5) with config: model='/app/models/Llama-4-M\naverick', dtype=torch.bfl\noat16, max_seq_len=4096\nINFO 05-09 02:41:56 [x.py:1] next, seed=7";
    expect(readStartLog(log).config).toEqual({
      "vllm_config.model": "/app/models/Llama-4-Maverick",
      "vllm_config.dtype": "torch.bfloat16",
      "vllm_config.max_seq_len": 4096,
    });
  });

  it("of whatever text never throws", () => {
    const pieces = [
      "(EngineCore pid=1) ",
      "INFO 01-01 00:00:00 [a.py:1] ",
      "non-default args: {'a': ",
      "with config: model=",
      "# GPU blocks: ",
      "\r",
      "\n",
      "{",
      "'",
      "server_args=ServerArgs(",
      "9,",
      "\u001b[0m",
    ];
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.constantFrom(...pieces), fc.string())), (parts) => {
        readStartLog(parts.join(""));
        diagnoseStart(parts.join(""));
      }),
    );
  });
});

/** File, version, tokens of the KV cache, attention backend, beginning of the diagnosis. */
const table: readonly (readonly [
  file: string,
  version: string | undefined,
  kvCacheTokens: number | undefined,
  attentionBackend: string | undefined,
  what: string | undefined,
])[] = [
  ["apollo-amd-llama_server.log", undefined, undefined, undefined, undefined],
  [
    "apollo-amd-vllm_results.log",
    "0.14.0rc1.dev2+g7d9f6663a.d20260121",
    1856,
    "TRITON_ATTN",
    undefined,
  ],
  [
    "apollo-amd-vllm_server.log",
    undefined,
    undefined,
    undefined,
    "the library libtorch_hip.so is not installed, or is none that fi",
  ],
  [
    "autoscientists-vllm.log",
    "0.26.1rc1.dev156+g0eec856cc.d20260731",
    151216,
    "FLASH_ATTN",
    undefined,
  ],
  ["captainjay-vllm_server.log", "0.8.3", 127664, "FLASH_ATTN", undefined],
  [
    "djangodevreng-dgxspark-kat-coder-kat-coder-v2.5-bf16-server-crash.log",
    "0.26.0",
    undefined,
    "FLASHINFER",
    "the engine failed with ValueError: Following weights were not in",
  ],
  [
    "djangodevreng-dgxspark-nemotron-3-nemotron-3-nano-30b-a3b-nvfp4-server-crash.log",
    "0.26.0",
    undefined,
    "FLASHINFER",
    "this build of the engine has no kernels for this GPU",
  ],
  ["energyllm-vllm_profiler.log", "0.11.0", 157584, "FLASH_ATTN", undefined],
  ["energyllm-vllm_server.log", "0.11.0", 157584, "FLASH_ATTN", undefined],
  [
    "er0080-vllm_serve_no_kv_cache_memory_v0.25.1.log",
    "0.25.1",
    undefined,
    "CPU_ATTN",
    "no memory is left for the KV cache once the model is loaded",
  ],
  [
    "er0080-vllm_serve_unrecognized_argument_v0.25.1.log",
    undefined,
    undefined,
    undefined,
    "the engine does not know the argument --no-such-flag 3",
  ],
  ["inferencex-sglang-mi355x-server.log", undefined, 8615408, "aiter", undefined],
  [
    "issues/sglang-4161.log",
    undefined,
    201681,
    "FLASHINFER",
    "the engine crashed: Segmentation fault",
  ],
  [
    "issues/sglang-4547.log",
    undefined,
    undefined,
    undefined,
    "GPU 1 is out of memory: 1.99 GiB more were asked for, 1.37 GiB o",
  ],
  [
    "issues/sglang-5212.log",
    undefined,
    undefined,
    undefined,
    "GPU 5 is out of memory: 3.43 GiB more were asked for, 2.64 GiB o",
  ],
  [
    "issues/sglang-5576.log",
    undefined,
    undefined,
    "FLASHINFER",
    "GPU 0 is out of memory: 114.00 MiB more were asked for, 54.38 Mi",
  ],
  [
    "issues/sglang-7495.log",
    undefined,
    undefined,
    undefined,
    "the engine failed with AssertionError: Unknown cases: sf.dtype=t",
  ],
  [
    "issues/sglang-7847.log",
    undefined,
    undefined,
    undefined,
    "the engine crashed: Segmentation fault",
  ],
  [
    "issues/vllm-10034.log",
    "0.6.1.dev238+ge2c6e0a82",
    undefined,
    "XFORMERS",
    "GPU 1 is out of memory: 1.95 GiB more were asked for, 758.44 MiB",
  ],
  [
    "issues/vllm-10478.log",
    "0.6.4.post2.dev22+g47826cac",
    116496,
    "TORCH_SDPA",
    "a worker of the engine ended without saying why",
  ],
  [
    "issues/vllm-10517.log",
    "0.5.4",
    undefined,
    undefined,
    "the KV cache holds 23968 tokens, less than one request of 131072",
  ],
  ["issues/vllm-11899.log", "0.6.5", 375360, "XFORMERS", undefined],
  ["issues/vllm-12153.log", undefined, undefined, undefined, undefined],
  ["issues/vllm-15018.log", "0.7.4.dev442+gfd8e055f", 10000, "ROCM_FLASH", undefined],
  [
    "issues/vllm-15199.log",
    "0.8.1",
    undefined,
    undefined,
    "the engine failed with ray.exceptions.RayChannelTimeoutError: Sy",
  ],
  [
    "issues/vllm-15394.log",
    "0.8.1",
    3581232,
    "FLASH_ATTN",
    "the engine failed with AssertionError",
  ],
  [
    "issues/vllm-16141-2.log",
    "0.8.3",
    undefined,
    "FLASH_ATTN",
    "no memory is left for the KV cache once the model is loaded",
  ],
  ["issues/vllm-16141-3.log", "0.8.3", 338976, "FLASH_ATTN", undefined],
  ["issues/vllm-16141.log", "0.8.3", 314272, "FLASH_ATTN", undefined],
  [
    "issues/vllm-16259.log",
    "0.8.3",
    132400,
    "FLASH_ATTN",
    "the engine's Python has no module pyarrow",
  ],
  ["issues/vllm-16348-2.log", undefined, 502304, undefined, undefined],
  ["issues/vllm-16348-3.log", undefined, 502304, undefined, undefined],
  ["issues/vllm-16348.log", undefined, 553520, undefined, undefined],
  [
    "issues/vllm-16570.log",
    undefined,
    9072,
    undefined,
    "GPU 1 is out of memory: 298.00 MiB more were asked for, 65.38 Mi",
  ],
  [
    "issues/vllm-16668.log",
    "0.8.5.dev22+g1575c1701",
    147888,
    "FLASH_ATTN",
    "the engine failed with RuntimeError: The expanded size of the te",
  ],
  [
    "issues/vllm-16692.log",
    "0.8.4",
    304704,
    "FLASHMLA",
    "the engine failed with ray.exceptions.RayChannelTimeoutError: Sy",
  ],
  [
    "issues/vllm-17875.log",
    "0.8.5.dev274+g166d0ef40",
    3276512,
    "TRITON_ATTN",
    "the engine's Python has no module cupy",
  ],
  [
    "issues/vllm-19490.log",
    "0.9.1rc2.dev5+g6cd4ae8ac",
    104960,
    "PALLAS",
    "the accelerator is out of memory",
  ],
  ["issues/vllm-20015.log", undefined, undefined, undefined, undefined],
  ["issues/vllm-20069.log", "0.9.0.1", 1044208, "ROCM_FLASH", undefined],
  ["issues/vllm-2019.log", undefined, undefined, undefined, undefined],
  ["issues/vllm-2621.log", undefined, undefined, undefined, undefined],
  ["issues/vllm-4760.log", "0.4.1", 66960, "FLASH_ATTN", undefined],
  ["issues/vllm-5827.log", "0.5.0.post1", 446608, undefined, undefined],
  ["issues/vllm-5906.log", "0.5.0.post1", undefined, "XFORMERS", undefined],
  ["issues/vllm-6473-2.log", "0.5.2", 39312, "OPENVINO", undefined],
  [
    "issues/vllm-6473.log",
    "0.5.2",
    undefined,
    "OPENVINO",
    "the engine failed with ValueError: `use_cache` was set to `True`",
  ],
  ["issues/vllm-6768-2.log", "0.5.2", 365424, "XFORMERS", undefined],
  ["issues/vllm-6768.log", undefined, undefined, undefined, undefined],
  ["issues/vllm-7332.log", undefined, undefined, undefined, undefined],
  [
    "issues/vllm-7992.log",
    "0.5.5",
    1800912,
    "XFORMERS",
    "GPU 0 is out of memory: 3.44 GiB more were asked for, 3.14 GiB o",
  ],
  [
    "issues/vllm-8881.log",
    "0.6.1.post2",
    undefined,
    "XFORMERS",
    "the engine failed with AssertionError",
  ],
  ["jayashan-vllm_server.log", "0.8.5.post1", 32832, "FLASH_ATTN", undefined],
  ["kolyangg-mlops-vllm.head900k.log", "0.10.2", 94784, "FLASH_ATTN", undefined],
  ["kolyangg-mlops-vllm.tail60k.log", undefined, undefined, undefined, undefined],
  ["nnamdi-mlops-vllm.head900k.log", "0.22.1", 464656, "FLASH_ATTN", undefined],
  ["nnamdi-mlops-vllm.tail120k.log", undefined, undefined, undefined, undefined],
  ["production-stack-vllm_server.log", "0.9.0.1", 1028832, "FLASH_ATTN", undefined],
  ["sostrowsk-dgx-spark-vllm-int4-long.log", "0.25.1", 1001532, "FLASHINFER", undefined],
  ["sostrowsk-dgx-spark-vllm-run1-oom.log", "0.25.1", undefined, "FLASH_ATTN", undefined],
  ["sostrowsk-dgx-spark-vllm-versuch1.log", "0.25.1", undefined, undefined, undefined],
  ["sostrowsk-dgx-spark-vllm.log", "0.25.1", 94135, "FLASH_ATTN", undefined],
  ["tw10519-router-vllm.log", "0.13.0+faa43dbf.nv26.01", 282624, "TRITON_ATTN", undefined],
];

describe.skipIf(!existsSync(others))(
  "logs of other people's servers (skipped where ../shared/fixtures is not beside the checkout)",
  () => {
    it("are all in the table", () => {
      const files = readdirSync(others, { recursive: true })
        .map(String)
        .filter((file) => file.endsWith(".log"));
      expect(table.map(([file]) => file).sort()).toEqual(files.sort());
    });

    it.each(table)("%s", (file, version, kvCacheTokens, attentionBackend, what) => {
      const log = readFileSync(join(others, file), "utf8");
      const { found, config = {}, nonDefaultArgs = {}, args = {}, ...facts } = readStartLog(log);
      const settings = readSettings([found, config, nonDefaultArgs, args]);
      expect({
        version: facts.version,
        kvCacheTokens: settings.kvCacheTokens,
        attentionBackend: settings.attentionBackend,
      }).toEqual({ version, kvCacheTokens, attentionBackend });
      const diagnosis = diagnoseStart(log);
      if (what === undefined) expect(diagnosis).toBeUndefined();
      else {
        expect(diagnosis?.what.startsWith(what)).toBe(true);
        expect(diagnosis?.mend).toMatch(/\w{3}/);
      }
    });
  },
);
