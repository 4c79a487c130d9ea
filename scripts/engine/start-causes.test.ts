import { describe, expect, it } from "vitest";
import { diagnoseStart } from "./vllm-log.ts";

/** What is printed, what it means, and a part of how to mend it. */
const cases: readonly (readonly [printed: string, what: string, mend: string])[] = [
  [
    "vllm serve: error: unrecognized arguments: --no-such 3",
    "the engine does not know the argument --no-such 3",
    "`args`",
  ],
  [
    "serve: error: argument --dtype: invalid choice: 'fp8' (choose from 'auto', 'half')",
    "'fp8' is no choice for the argument --dtype",
    "one of 'auto', 'half'",
  ],
  [
    "serve: error: argument --port: invalid int value: 'x'",
    "the engine refuses the argument --port: invalid int value: 'x'",
    "correct its value",
  ],
  [
    "ValueError: Free memory on device cuda:0 (30.5/79.25 GiB) on startup is less than desired GPU memory utilization (0.9, 71.33 GiB). Decrease GPU memory utilization or reduce GPU memory used by other processes.",
    "30.5 of 79.25 GiB are free on cuda:0, less than the 71.33 GiB that gpu-memory-utilization 0.9 asks for",
    "gpu-memory-utilization to 0.38",
  ],
  [
    "ValueError: The model's max seq len (131072) is larger than the maximum number of tokens that can be stored in KV cache (23968).",
    "the KV cache holds 23968 tokens, less than one request of 131072 (max-model-len)",
    "at most 23968",
  ],
  [
    "ValueError: To serve at least one request with the models's max seq len (131072), (16.00 GiB KV cache is needed, which is larger than the available KV cache memory (5.83 GiB). Based on the available memory, the estimated maximum model length is 47744.",
    "one request of 131072 tokens (max-model-len) needs 16.00 GiB of KV cache, and 5.83 GiB are there",
    "at most 47744",
  ],
  [
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.95 GiB. GPU 0 has a total capacity of 22.09 GiB of which 758.44 MiB is free.",
    "GPU 0 is out of memory: 1.95 GiB more were asked for, 758.44 MiB of 22.09 GiB are free",
    "max-num-seqs",
  ],
  ["RuntimeError: CUDA error: out of memory", "the GPU is out of memory", "max-model-len"],
  [
    "RuntimeError: CUDA out of memory occurred when warming up sampler with 1024 dummy requests. Please try lowering `max_num_seqs`",
    "the GPU is out of memory for the sampler of 1024 requests",
    "max-num-seqs",
  ],
  [
    "huggingface_hub.errors.GatedRepoError: 401 Client Error.\nOSError: You are trying to access a gated repo.",
    "the hub gives the model only to those who accepted its terms",
    "HF_TOKEN",
  ],
  [
    "Access to model meta-llama/Llama-3.1-8B is restricted. You must have access to it",
    "the hub gives the model meta-llama/Llama-3.1-8B only to those who accepted its terms",
    "HF_TOKEN",
  ],
  [
    "huggingface_hub.errors.HFValidationError: Repo id must be in the form 'repo_name' or 'namespace/repo_name': '/models/x'. Use `repo_type` argument if needed.",
    "there is no model folder /models/x",
    "`model`",
  ],
  [
    "ValueError: Invalid repository ID or local directory specified: './m'.",
    "there is no model folder ./m",
    "`model`",
  ],
  [
    "OSError: acme/none is not a local folder and is not a valid model identifier listed on the hub",
    "the hub has no model acme/none or shows it only to some",
    "HF_TOKEN",
  ],
  [
    "OSError: We couldn't connect to 'https://hub.example' to load the files",
    "the model is not on this host, and the hub can't be reached",
    "HF_ENDPOINT",
  ],
  [
    "RuntimeError: Cannot find any model weights with `/models/x`",
    "/models/x holds no weights that the engine can load",
    "download",
  ],
  [
    "ValueError: The repository for /m contains custom code which must be executed to correctly load the model.",
    "the model brings code of its own, which the engine runs only when told to",
    "trust-remote-code: true",
  ],
  [
    "OSError: Can't load tokenizer for '/m'. If you were trying to load it from the hub",
    "the tokenizer of /m can't be loaded",
    "tokenizer.json",
  ],
  [
    "ValueError: Model architectures ['NewForCausalLM'] are not supported for now. Supported architectures: dict_keys([])",
    "this version of the engine does not support the architecture NewForCausalLM",
    "newer version",
  ],
  [
    "ValueError: The checkpoint you are trying to load has model type `new` but Transformers does not recognize this architecture.",
    "the installed transformers does not know the model type new",
    "transformers",
  ],
  [
    "  Value error, User-specified max_model_len (99999) is greater than the derived max_model_len (max_position_embeddings=40960 or model_max_length=None in model's config.json).",
    "max-model-len 99999 is more than the 40960 tokens of the model's config.json",
    "at most 40960",
  ],
  [
    "ValueError: max_num_batched_tokens (100) must be greater than or equal to max_num_seqs (256).",
    "max-num-batched-tokens 100 is less than max-num-seqs 256",
    "at least 256",
  ],
  [
    "ValueError: Bfloat16 is only supported on GPUs with compute capability of at least 8.0. Your Tesla T4 GPU has compute capability 7.5.",
    "bfloat16 needs compute capability 8.0; this card (Tesla T4) has 7.5",
    "dtype: half",
  ],
  [
    "ValueError: The quantization method fp8 is not supported for the current GPU. Minimum capability: 89. Current capability: 75.",
    "fp8 needs a GPU of compute capability 8.9; this one has 7.5",
    "another precision",
  ],
  [
    "ValueError: torch.bfloat16 is not supported for quantization method awq. Supported dtypes: [torch.float16]",
    "quantization awq does not work with dtype bfloat16",
    "float16",
  ],
  [
    "ValueError: Unknown quantization method: nvfp9. Must be one of ['awq']",
    "this version of the engine does not know the quantization nvfp9",
    "newer version",
  ],
  [
    "ValueError: Quantization method specified in the model config (fp8) does not match the quantization method specified in the `quantization` argument (awq).",
    "the checkpoint is quantized with fp8, the argument says awq",
    "`quantization`",
  ],
  [
    "torch.AcceleratorError: CUDA error: no kernel image is available for execution on the device",
    "this build of the engine has no kernels for this GPU",
    "compute_cap",
  ],
  [
    "RuntimeError: The NVIDIA driver on your system is too old (found version 12040).",
    "the NVIDIA driver (CUDA 12.4) is older than the CUDA that the engine was built with",
    "driver",
  ],
  ["RuntimeError: No CUDA GPUs are available", "the engine finds no GPU", "nvidia-smi"],
  [
    "ValueError: World size (8) is larger than the number of available GPUs (4) in this node.",
    "the engine wants 8 GPUs, and 4 are visible",
    "tensor-parallel-size",
  ],
  [
    "ValueError: Total number of attention heads (40) must be divisible by tensor parallel size (3).",
    "the model's 40 attention heads can't be spread over 3 GPUs alike",
    "divides 40",
  ],
  [
    "torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:3356, unhandled system error",
    "the GPUs can't talk to each other (NCCL)",
    "NCCL_DEBUG",
  ],
  [
    "RuntimeError: peer access is not supported between these two devices",
    "the GPUs can't talk to each other (NCCL)",
    "NCCL_P2P_DISABLE",
  ],
  [
    "ERROR:    [Errno 98] error while attempting to bind on address ('0.0.0.0', 8000): address already in use",
    "port 8000 is taken",
    "`port: auto`",
  ],
  ["OSError: [Errno 98] Address already in use", "port of the engine is taken", "`port: auto`"],
  [
    "OSError: [Errno 28] No space left on device: '/cache/x'",
    "the disk is full (/cache/x)",
    "df -h",
  ],
  [
    "Out of memory: Killed process 99 (vllm)",
    "a process of the engine was killed because the host ran out of memory",
    "memory limit",
  ],
  [
    "run.sh: line 104:   599 Killed                  vllm serve m",
    "a process of the engine was killed, most likely because the host ran out of memory",
    "dmesg",
  ],
  ["/usr/bin/python3: No module named vllm", "the engine's Python has no module vllm", "`venv`"],
  [
    "ModuleNotFoundError: No module named 'pyarrow'",
    "the engine's Python has no module pyarrow",
    "pip install pyarrow",
  ],
  [
    "ImportError: /x/_C.abi3.so: undefined symbol: _ZN3c104cuda",
    "PyTorch and the engine's compiled parts do not belong together",
    "PyTorch",
  ],
  ["Fatal Python error: Segmentation fault", "the engine crashed: Segmentation fault", "Xid"],
];

describe("why an engine did not start", () => {
  it.each(cases)("%s", (printed, what, mend) => {
    const log = `INFO 01-01 00:00:00 [a.py:1] Starting\n${printed}\n(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above.`;
    const diagnosis = diagnoseStart(log);
    expect(diagnosis?.what).toBe(what);
    expect(diagnosis?.mend).toContain(mend);
  });

  it("is the last exception that stands for itself where the cause is not known", () => {
    const log = [
      "(EngineCore pid=9) ERROR 01-01 00:00:00 [core.py:1] Traceback (most recent call last):",
      "(EngineCore pid=9) ERROR 01-01 00:00:00 [core.py:1] KeyError: 'rope_scaling'",
      "(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above.",
    ].join("\n");
    expect(diagnoseStart(log)).toEqual({
      what: "the engine failed with KeyError: 'rope_scaling'",
      mend: "its log holds the whole story",
    });
  });

  it("is not what was warned of, what came before the server answered, or what a request threw", () => {
    const log = [
      "WARNING 01-01 00:00:00 [a.py:1] This can cause errors like `OSError: [Errno 24] Too many open files`",
      "DEBUG 01-01 00:00:00 [a.py:1] TPU platform is not available because: No module named 'libtpu'",
      "RuntimeError: CUDA error: out of memory",
      "INFO:     Application startup complete.",
      "(APIServer pid=1) ERROR 01-01 00:00:00 [serving.py:1] ValueError: bad request",
    ].join("\n");
    expect(diagnoseStart(log)).toBeUndefined();
    expect(diagnoseStart("")).toBeUndefined();
  });
});
