// Why an engine did not start: what vLLM, SGLang, PyTorch and the hub print, put in plain words with a
// way to mend it. One entry a cause, the most telling first.

/** What happened, and what to do about it. */
export interface StartDiagnosis {
  readonly what: string;
  readonly mend: string;
}

export interface Cause {
  readonly pattern: RegExp;
  /** `said` are the groups of the pattern, "" for one that did not take part. */
  readonly tell: (said: readonly string[]) => StartDiagnosis;
}

const lessMemory =
  "lower max-model-len, max-num-seqs or gpu-memory-utilization, take a smaller precision, or spread it over more GPUs with tensor-parallel-size";
const moreCache =
  "raise gpu-memory-utilization, or spread the model over more GPUs with tensor-parallel-size";
const fetchModel =
  "download it beforehand and give its folder as `model`, or let this host reach the hub (HF_ENDPOINT, HTTPS_PROXY, VLLM_USE_MODELSCOPE=1)";
const otherPrecision =
  "take a variant of another precision or quantization, or a card that supports it";

/** Told by errors, the most telling first. */
export const causes: readonly Cause[] = [
  // What the command line says.
  {
    pattern: /error: unrecognized arguments?: (.+)/,
    tell: ([words = ""]) => ({
      what: `the engine does not know the argument ${words.trim()}`,
      mend: "correct it in `args` or take it out; `vllm serve --help=all` lists what this version knows",
    }),
  },
  {
    pattern: /error: argument ([^\s:]+): invalid choice: (.+?) \(choose from (.+)\)/,
    tell: ([argument = "", value = "", choices = ""]) => ({
      what: `${value} is no choice for the argument ${argument}`,
      mend: `one of ${choices}`,
    }),
  },
  {
    pattern: /error: argument ([^\s:]+): (.+)/,
    tell: ([argument = "", why = ""]) => ({
      what: `the engine refuses the argument ${argument}: ${why}`,
      mend: "correct its value in `args`",
    }),
  },
  {
    pattern: /error: (the following arguments are required|ambiguous option): (.+)/,
    tell: ([why = "", which = ""]) => ({
      what: `the engine refuses its command line: ${why}: ${which}`,
      mend: "complete `args`",
    }),
  },

  // Memory of the GPU.
  {
    pattern:
      /Free memory on device (\S*) ?\(([\d.]+)\/([\d.]+) GiB\) on startup is less than desired GPU memory utilization \(([\d.]+), ([\d.]+) GiB\)/,
    tell: ([device = "", free = "", total = "", share = "", wanted = ""]) => ({
      what: `${free} of ${total} GiB are free on ${device === "" ? "the GPU" : device}, less than the ${wanted} GiB that gpu-memory-utilization ${share} asks for`,
      mend: `end what else runs on the GPU (nvidia-smi shows it), or lower gpu-memory-utilization to ${shareOf(free, total)}`,
    }),
  },
  {
    pattern: /Error in memory profiling/,
    tell: () => ({
      what: "another process took or freed GPU memory while the engine measured it",
      mend: "let nothing else start or end on this GPU in the meantime, then try again",
    }),
  },
  {
    pattern: /No available memory for the cache blocks/,
    tell: () => ({
      what: "no memory is left for the KV cache once the model is loaded",
      mend: `${moreCache}; on a CPU set VLLM_CPU_KVCACHE_SPACE`,
    }),
  },
  {
    pattern:
      /max seq len \(?(\d+)\)? is larger than the maximum number of tokens that can be stored in KV cache \((\d+)\)/,
    tell: ([longest = "", holds = ""]) => ({
      what: `the KV cache holds ${holds} tokens, less than one request of ${longest} (max-model-len)`,
      mend: `lower max-model-len to at most ${holds}, or ${moreCache}`,
    }),
  },
  {
    pattern:
      /max seq len \((\d+)\), \(?([\d.]+ \w+) KV cache is needed, which is larger than the available KV cache memory \(([\d.]+ \w+)\)(?:.*?estimated maximum model length is (\d+))?/,
    tell: ([longest = "", needed = "", there = "", fits = ""]) => ({
      what: `one request of ${longest} tokens (max-model-len) needs ${needed} of KV cache, and ${there} are there`,
      mend: `lower max-model-len${fits === "" ? "" : ` to at most ${fits}`}, or ${moreCache}`,
    }),
  },
  {
    pattern:
      /(?:CUDA|HIP) out of memory\. Tried to allocate ([\d.]+ \w+)\. GPU (\d+) has a total capacity of ([\d.]+ \w+) of which ([\d.]+ \w+) is free/,
    tell: ([asked = "", gpu = "", total = "", free = ""]) => ({
      what: `GPU ${gpu} is out of memory: ${asked} more were asked for, ${free} of ${total} are free`,
      mend: `end what else runs on the GPU (nvidia-smi shows it); ${lessMemory}`,
    }),
  },
  {
    pattern: /out of memory occurred when warming up sampler with (\d+) dummy requests/,
    tell: ([requests = ""]) => ({
      what: `the GPU is out of memory for the sampler of ${requests} requests`,
      mend: "lower max-num-seqs or gpu-memory-utilization",
    }),
  },
  {
    pattern:
      /(?:CUDA|HIP) out of memory|(?:CUDA|HIP) error: out of memory|(?:torch\.(?:cuda\.)?|^)OutOfMemoryError|CUDA_ERROR_OUT_OF_MEMORY/,
    tell: () => ({ what: "the GPU is out of memory", mend: lessMemory }),
  },
  {
    pattern: /Ran out of memory in memory space/,
    tell: () => ({ what: "the accelerator is out of memory", mend: lessMemory }),
  },

  // The model.
  {
    pattern:
      /(?:Access to model (\S+) is restricted|GatedRepoError|You are trying to access a gated repo)/,
    tell: ([model = ""]) => ({
      what: `the hub gives the model ${named(model)}only to those who accepted its terms`,
      mend: "accept them on the model's page, then export HF_TOKEN in this shell; or give a local folder",
    }),
  },
  {
    pattern:
      /(?:Repo id must (?:be in the form|use alphanumeric).*?: '([^']+)'|Invalid repository ID or local directory specified: '([^']+)')/,
    tell: ([path = "", other = ""]) => ({
      what: `there is no model folder ${path === "" ? other : path}`,
      mend: "correct `model`: a folder with config.json, or an id as owner/name",
    }),
  },
  {
    pattern:
      /(?:LocalEntryNotFoundError|OfflineModeIsEnabled|outgoing traffic has been disabled|We couldn't connect to |Failed to resolve '|Temporary failure in name resolution|Max retries exceeded with url)/,
    tell: () => ({
      what: "the model is not on this host, and the hub can't be reached",
      mend: fetchModel,
    }),
  },
  {
    pattern:
      /(?:Repository Not Found for url: (\S+?)\.?$|(\S+) is not a local folder and is not a valid model identifier|RepositoryNotFoundError)/,
    tell: ([url = "", model = ""]) => ({
      what: `the hub has no model ${named(model === "" ? modelOfUrl(url) : model)}or shows it only to some`,
      mend: "correct `model`; export HF_TOKEN in this shell where it is private",
    }),
  },
  {
    pattern: /(?:RevisionNotFoundError|Invalid rev id: (\S+)|(\S+) is not a valid git identifier)/,
    tell: ([first = "", second = ""]) => ({
      what: `the model has no revision ${first === "" ? second : first}`.trimEnd(),
      mend: "correct `revision`",
    }),
  },
  {
    pattern: /Cannot find any model weights with `([^`]+)`/,
    tell: ([model = ""]) => ({
      what: `${model} holds no weights that the engine can load`,
      mend: "finish the download, or correct `model` and load-format",
    }),
  },
  {
    pattern: /(\S+) does not appear to have a file named (\S+)/,
    tell: ([model = "", file = ""]) => ({
      what: `${model} has no ${file.replace(/\.$/, "")}`,
      mend: "give a model folder that is complete",
    }),
  },
  {
    pattern:
      /(?:requires you to execute the \w+ file in that repo|contains custom code which must be executed|Please (?:pass|set) the (?:argument|option) `?trust_remote_code=True)/,
    tell: () => ({
      what: "the model brings code of its own, which the engine runs only when told to",
      mend: "read that code, then write `trust-remote-code: true` in `args`",
    }),
  },
  {
    pattern:
      /(?:Can't load tokenizer for '([^']+)'|Unable to load vocabulary from file|Couldn't instantiate the backend tokenizer)/,
    tell: ([model = ""]) => ({
      what: `the tokenizer ${model === "" ? "" : `of ${model} `}can't be loaded`,
      mend: "put tokenizer.json and tokenizer_config.json in the model's folder, or name another folder with `tokenizer` in `args`",
    }),
  },
  {
    pattern:
      /Model architectures \[([^\]]*)\] (?:are not supported for now|failed to be inspected)/,
    tell: ([architectures = ""]) => ({
      what: `this version of the engine does not support the architecture ${architectures.replaceAll("'", "")}`,
      mend: "take a newer version of the engine, or another model",
    }),
  },
  {
    pattern: /model type `?(\S+?)`? but Transformers does not recognize this architecture/,
    tell: ([type = ""]) => ({
      what: `the installed transformers does not know the model type ${type}`,
      mend: "update transformers, or take a newer version of the engine",
    }),
  },
  {
    pattern:
      /User-specified max_model_len \((\d+)\) is greater than the derived max_model_len \([^=)]*=?(\d+)/,
    tell: ([asked = "", most = ""]) => ({
      what: `max-model-len ${asked} is more than the ${most} tokens of the model's config.json`,
      mend: `lower max-model-len to at most ${most}, or configure rope scaling`,
    }),
  },
  {
    pattern:
      /max_num_batched_tokens \((\d+)\) (?:is smaller than|must be greater than or equal to) (max_model_len|max_num_seqs) \((\d+)\)/,
    tell: ([batched = "", than = "", least = ""]) => ({
      what: `max-num-batched-tokens ${batched} is less than ${than.replaceAll("_", "-")} ${least}`,
      mend: `raise max-num-batched-tokens to at least ${least}`,
    }),
  },

  // What the device can do.
  {
    pattern:
      /Bfloat16 is only supported on GPUs with compute capability of at least ([\d.]+)\. Your (.+?) GPU has compute capability (\d+\.\d+)/,
    tell: ([least = "", card = "", has = ""]) => ({
      what: `bfloat16 needs compute capability ${least}; this card (${card}) has ${has}`,
      mend: "write `dtype: half` in `args`",
    }),
  },
  {
    pattern:
      /[Qq]uantization method (\S+) is not supported for the current GPU\. Minimum capability: (\d+)\. Current capability: (\d+)/,
    tell: ([method = "", least = "", has = ""]) => ({
      what: `${method} needs a GPU of compute capability ${capability(least)}; this one has ${capability(has)}`,
      mend: otherPrecision,
    }),
  },
  {
    pattern: /torch\.(\w+) is not supported for quantization method (\S+)\. Supported dtypes: (.+)/,
    tell: ([dtype = "", method = "", supported = ""]) => ({
      what: `quantization ${method} does not work with dtype ${dtype}`,
      mend: `write one of ${supported.replaceAll("torch.", "")} as \`dtype\` in \`args\``,
    }),
  },
  {
    pattern:
      /(?:(\w+) quantization is currently not supported (?:in|on|for) (\S+)|(?:fp8e4nv|fp8e4b8|type fp8\w*) (?:data type )?(?:is )?not supported (?:on|in) this (?:CUDA )?arch)/,
    tell: ([method = "", device = ""]) => ({
      what:
        method === ""
          ? "this device has no FP8"
          : `quantization ${method} does not run on ${device.replace(/[.,]$/, "")}`,
      mend: otherPrecision,
    }),
  },
  {
    pattern:
      /(?:Unknown quantization method: (\S+?)\.?(?:\s|$)|Quantization method specified in the model config \((\S+)\) does not match the quantization method specified in the `quantization` argument \((\S+)\))/,
    tell: ([unknown = "", checkpoint = "", argument = ""]) =>
      unknown === ""
        ? {
            what: `the checkpoint is quantized with ${checkpoint}, the argument says ${argument}`,
            mend: "take `quantization` out of `args`: the engine reads it from the checkpoint",
          }
        : {
            what: `this version of the engine does not know the quantization ${unknown}`,
            mend: "take a newer version of the engine, or another checkpoint",
          },
  },
  {
    pattern: /no kernel image is available for execution on the device/,
    tell: () => ({
      what: "this build of the engine has no kernels for this GPU",
      mend: "install a build for its compute capability (nvidia-smi --query-gpu=compute_cap), usually a newer one",
    }),
  },
  {
    pattern:
      /(?:provided PTX was compiled with an unsupported toolchain|NVIDIA driver on your system is too old(?: \(found version (\d+)\))?|CUDA driver version is insufficient for CUDA runtime version)/,
    tell: ([found = ""]) => ({
      what: `the NVIDIA driver ${found === "" ? "" : `(CUDA ${cudaVersion(found)}) `}is older than the CUDA that the engine was built with`,
      mend: "update the driver, or install a build of the engine for an older CUDA",
    }),
  },
  {
    pattern: /Error 802: system not yet initialized/,
    tell: () => ({
      what: "the NVLink fabric of this host is not initialized",
      mend: "start nvidia-fabricmanager in the version of the driver",
    }),
  },
  {
    pattern:
      /(?:No CUDA GPUs are available|Found no NVIDIA driver on your system|Failed to infer device type|Device string must not be empty|libcuda\.so\.1: cannot open|NVMLError_\w+|no CUDA-capable device is detected)/,
    tell: () => ({
      what: "the engine finds no GPU",
      mend: "check nvidia-smi and CUDA_VISIBLE_DEVICES on this host; in a container pass the GPUs through; without a GPU take a CPU build",
    }),
  },
  {
    pattern:
      /(?:Tensor parallel size \((\d+)\) cannot be larger than the number of available GPUs \((\d+)\)|World size \((\d+)\) is larger than the number of available GPUs \((\d+)\)|number of required GPUs exceeds the total number of available GPUs|invalid device ordinal)/,
    tell: ([tensor = "", there = "", world = "", these = ""]) => ({
      what: `the engine wants ${tensor || world || "more"} GPUs, and ${there || these || "fewer"} are visible`,
      mend: "lower tensor-parallel-size, or make more of them visible with CUDA_VISIBLE_DEVICES",
    }),
  },
  {
    pattern: /attention heads \((\d+)\) must be divisible by tensor parallel size \((\d+)\)/,
    tell: ([heads = "", size = ""]) => ({
      what: `the model's ${heads} attention heads can't be spread over ${size} GPUs alike`,
      mend: `take a tensor-parallel-size that divides ${heads}`,
    }),
  },
  {
    pattern:
      /(?:peer access is not supported between these two devices|NCCL error|ncclUnhandledCudaError|ncclSystemError|ncclInternalError|ncclInvalidUsage|ncclRemoteError)/,
    tell: () => ({
      what: "the GPUs can't talk to each other (NCCL)",
      mend: "start with NCCL_DEBUG=INFO to see why; NCCL_P2P_DISABLE=1 where peer access is refused; in a container --ipc=host or a larger --shm-size",
    }),
  },

  // The host.
  {
    pattern:
      /(?:\('?([\d.:a-f]*)'?, (\d+)\)\)?:? \[?.*?address already in use|Port (\d+) is already in use|address already in use|EADDRINUSE)/i,
    tell: ([, port = "", other = ""]) => ({
      what: `port ${port || other || "of the engine"} is taken`,
      mend: "end the program that holds it (ss -ltnp shows it), or write `port: auto`",
    }),
  },
  {
    pattern: /No space left on device(?:.*?'([^']+)')?/,
    tell: ([place = ""]) => ({
      what: `the disk is full${place === "" ? "" : ` (${place})`}`,
      mend: "free space where the model, its cache and /tmp lie (df -h shows it); in a container raise --shm-size",
    }),
  },
  {
    pattern: /(?:Bus error|Unexpected bus error encountered in worker)/,
    tell: () => ({
      what: "shared memory is too small",
      mend: "in a container start with --ipc=host or a larger --shm-size",
    }),
  },
  {
    pattern: /PermissionError: .*?'([^']+)'/,
    tell: ([path = ""]) => ({
      what: `the engine may not write or read ${path}`,
      mend: "give it the right to, or point HF_HOME and VLLM_CACHE_ROOT elsewhere",
    }),
  },
  {
    pattern: /Too many open files/,
    tell: () => ({ what: "too many files are open", mend: "raise the limit: ulimit -n 65535" }),
  },
  {
    pattern: /(?:oom-kill|Out of memory: Killed process)/,
    tell: () => ({
      what: "a process of the engine was killed because the host ran out of memory",
      mend: "load fewer models at once, or raise the memory limit of the container",
    }),
  },

  // The installation.
  {
    pattern: /(?:ModuleNotFoundError: |: )No module named '?([\w.]+)'?$/,
    tell: ([module = ""]) => ({
      what: `the engine's Python has no module ${module}`,
      mend: /^vllm\b/.test(module)
        ? "name the environment that has vLLM with `venv` or `python`"
        : `install it there: pip install ${module.split(".")[0] ?? module}`,
    }),
  },
  {
    pattern: /undefined symbol: (\S+)/,
    tell: () => ({
      what: "PyTorch and the engine's compiled parts do not belong together",
      mend: "install the version of PyTorch that this version of the engine asks for",
    }),
  },
];

/** Causes that are also told by warnings: what comes after them is only their consequence. */
export const warnedCauses: readonly Cause[] = [
  {
    pattern: /(lib[\w+-]+\.so[.\d]*): cannot open shared object file/,
    tell: ([library = ""]) => ({
      what: `the library ${library} is not installed, or is none that fits`,
      mend: "install a build of PyTorch and of the engine that belong together",
    }),
  },
];

/** What is left where nothing was thrown. */
export const traces: readonly Cause[] = [
  {
    pattern: /Fatal Python error: (.+)/,
    tell: ([how = ""]) => ({
      what: `the engine crashed: ${how}`,
      mend: "look for a GPU error (dmesg | grep Xid); another version of the engine or of the driver may not crash",
    }),
  },
  {
    pattern: /^(?:\[\d+\]\+?\s+)?Killed\b|line \d+:\s+\d+ Killed\b/,
    tell: () => ({
      what: "a process of the engine was killed, most likely because the host ran out of memory",
      mend: "dmesg tells whether it was; load fewer models at once, or raise the memory limit of the container",
    }),
  },
  {
    pattern: /(?:died unexpectedly|worker died|Got fatal signal from worker)/,
    tell: () => ({
      what: "a worker of the engine ended without saying why",
      mend: "dmesg tells whether the host ran out of memory or a GPU failed (Xid)",
    }),
  },
];

/** "Qwen/Qwen3-14B " or nothing, to stand in a sentence. */
function named(model: string): string {
  return model === "" ? "" : `${model.replaceAll(/^['"]|['".]+$/g, "")} `;
}

/** "https://hub/api/models/owner/name" -> "owner/name". */
function modelOfUrl(url: string): string {
  const path = url.replace(/^https?:\/\/[^/]+\//, "").replace(/^api\/models\//, "");
  return path.split("/").slice(0, 2).join("/");
}

/** What may be asked for of a GPU on which so much is free, rounded down: "0.41". */
function shareOf(free: string, total: string): string {
  return (Math.floor((Number(free) / Number(total)) * 100) / 100).toFixed(2);
}

/** "89" -> "8.9". */
function capability(digits: string): string {
  return /^\d{2,3}$/.test(digits) ? `${digits.slice(0, -1)}.${digits.slice(-1)}` : digits;
}

/** PyTorch prints "12040" for CUDA 12.4. */
function cudaVersion(found: string): string {
  const version = Number(found);
  return `${Math.floor(version / 1000)}.${Math.floor((version % 1000) / 10)}`;
}
