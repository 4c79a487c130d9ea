import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Precision, VllmEngine } from "../experiment/experiment.ts";
import { type Checkpoint, quantizationOf } from "./checkpoint.ts";
import { containerRun, hostWithin, imageReference, saysGone } from "./container.ts";
import {
  type Serving,
  serveArguments,
  type VllmVariant,
  vllmCommand,
  vllmEnvironment,
} from "./vllm-command.ts";
import { precisionProblem } from "./vllm-precision.ts";

const plain: VllmEngine = {
  kind: "vllm",
  name: "vllm",
  port: 8000,
  args: {},
  env: {},
  readyMs: 1000,
  prefix: [],
};

function variantOf(
  engine: Partial<VllmEngine>,
  { precision = "auto", model = "Qwen/Qwen3-14B" }: { precision?: Precision; model?: string } = {},
): VllmVariant {
  return { name: "v", model, precision, engine: { ...plain, ...engine } };
}

const serving: Serving = {
  model: "Qwen/Qwen3-14B",
  isFolder: false,
  tokenizer: undefined,
  host: "127.0.0.1",
  port: 8000,
  checkpoint: undefined,
};

const outside = {
  projectRoot: "/home/p",
  near: (path: string) => path.replace(/^\/home\/p\//, ""),
  defaultVenv: undefined,
  interpreterOf: (program: string) => (program === "vllm" ? "/usr/bin/python3" : undefined),
};

const base = [
  ...["Qwen/Qwen3-14B", "--served-model-name", "Qwen/Qwen3-14B"],
  ...["--host", "127.0.0.1", "--port", "8000", "--enable-prompt-tokens-details"],
];

/** Of the user that the images run as. */
const home = "/root";

describe("the command line of vLLM", () => {
  it.each([
    [
      "a virtual environment runs its vllm by its interpreter",
      { venv: "/opt/v" },
      ["/opt/v/bin/python", "/opt/v/bin/vllm", "serve"],
      ["/opt/v/bin/python"],
      "/opt/v/bin",
    ],
    [
      "one in the project is typed as in the project's folder",
      { venv: ".vllm" },
      [".vllm/bin/python", ".vllm/bin/vllm", "serve"],
      ["/home/p/.vllm/bin/python"],
      "/home/p/.vllm/bin",
    ],
    [
      "an interpreter runs vLLM's module",
      { python: "/usr/bin/python3" },
      ["/usr/bin/python3", "-m", "vllm.entrypoints.cli.main", "serve"],
      ["/usr/bin/python3"],
      "/usr/bin",
    ],
    [
      "a command stands as it is written",
      { command: ["uv", "run", "vllm", "serve"] },
      ["uv", "run", "vllm", "serve"],
      undefined,
      undefined,
    ],
    [
      "without a program it is vllm on PATH",
      {},
      ["vllm", "serve"],
      ["/usr/bin/python3"],
      undefined,
    ],
    [
      "a prefix stands before it",
      { venv: "/opt/v", prefix: ["taskset", "-c", "0-7"] },
      ["taskset", "-c", "0-7", "/opt/v/bin/python", "/opt/v/bin/vllm", "serve"],
      ["/opt/v/bin/python"],
      "/opt/v/bin",
    ],
  ])("%s", (_name, engine, start, interpreter, binFolder) => {
    expect(vllmCommand(variantOf(engine), serving, outside)).toEqual({
      argv: [...start, ...base],
      interpreter,
      binFolder,
    });
  });

  it("takes VLLM_VENV only where the experiment names no program", () => {
    const withVenv = { ...outside, defaultVenv: "/opt/v" };
    expect(vllmCommand(variantOf({}), serving, withVenv).argv[0]).toBe("/opt/v/bin/python");
    const named = variantOf({ command: ["vllm", "serve"] });
    expect(vllmCommand(named, serving, withVenv).argv[0]).toBe("vllm");
  });

  it("writes true as a bare flag, false as its negation, and a value that begins with a dash as one word", () => {
    const args = {
      "enforce-eager": true,
      "enable-prefix-caching": false,
      "disable-log-stats": false,
      seed: -1,
      "max-num-seqs": 256,
    };
    expect(serveArguments(variantOf({ args }), serving).slice(base.length)).toEqual([
      ...["--enforce-eager", "--no-enable-prefix-caching", "--seed=-1", "--max-num-seqs", "256"],
    ]);
  });

  it("adds a revision for a hub id and none for a folder", () => {
    const variant = { ...variantOf({}), revision: "abc" };
    expect(serveArguments(variant, serving).join(" ")).toContain("--revision abc");
    expect(serveArguments(variant, { ...serving, isFolder: true })).not.toContain("--revision");
  });

  it("holds every argument of the experiment once, and none that we would add beside it", () => {
    const key = fc.constantFrom(
      ...["dtype", "host", "served_model_name", "enable-prompt-tokens-details", "kv-cache-dtype"],
      ...["max_num_seqs", "tokenizer", "quantization"],
    );
    const value = fc.oneof(
      fc.constant(true),
      fc.integer({ min: 0 }),
      fc.stringMatching(/^[a-z0-9]+$/),
    );
    fc.assert(
      fc.property(
        fc.dictionary(key, value),
        fc.constantFrom<Precision>("bf16", "fp8", "nvfp4", "auto"),
        (args, precision) => {
          const words = serveArguments(variantOf({ args }, { precision }), serving);
          for (const [name, written] of Object.entries(args)) {
            const place = words.indexOf(`--${name}`);
            expect(place).toBeGreaterThan(0);
            if (written !== true) expect(words[place + 1]).toBe(String(written));
          }
          const options = words
            .filter((word) => word.startsWith("--"))
            .map((word) => word.replaceAll("_", "-"));
          expect(new Set(options).size).toBe(options.length);
        },
      ),
    );
  });

  it("sets what opens the calls we need, unless the experiment says otherwise", () => {
    expect(vllmEnvironment({ env: { VLLM_SERVER_DEV_MODE: "0", A: "1" } })).toEqual({
      VLLM_SERVER_DEV_MODE: "0",
      VLLM_NO_USAGE_STATS: "1",
      DO_NOT_TRACK: "1",
      A: "1",
    });
  });
});

/** The quantization configs of well-known checkpoints, shortened to what decides. */
const configs = {
  none: undefined,
  // Qwen/Qwen3-14B-FP8
  fp8: { quant_method: "fp8", activation_scheme: "dynamic" },
  // What llm-compressor writes for FP8, for W8A8 of integers, for W4A16 and for NVFP4.
  "fp8 by llm-compressor": {
    quant_method: "compressed-tensors",
    format: "float-quantized",
    config_groups: { group_0: { weights: { num_bits: 8, type: "float" } } },
  },
  w8a8: {
    quant_method: "compressed-tensors",
    format: "int-quantized",
    config_groups: { group_0: { weights: { num_bits: 8, type: "int" } } },
  },
  w4a16: {
    quant_method: "compressed-tensors",
    format: "pack-quantized",
    config_groups: { group_0: { weights: { num_bits: 4, type: "int" } } },
  },
  "nvfp4 by llm-compressor": {
    quant_method: "compressed-tensors",
    format: "nvfp4-pack-quantized",
    config_groups: { group_0: { weights: { num_bits: 4, type: "float", group_size: 16 } } },
  },
  "nvfp4 by ModelOpt": { quant_method: "modelopt", quant_algo: "NVFP4" },
  "fp8 by ModelOpt": { quant_method: "modelopt", quant_algo: "FP8" },
  awq: { quant_method: "awq", bits: 4 },
  gptq: { quant_method: "gptq", bits: 8 },
  mxfp4: { quant_method: "mxfp4" },
  unknown: { quant_method: "quark" },
} as const;

function checkpointOf(name: keyof typeof configs): Checkpoint {
  const settings = configs[name];
  return {
    folder: "/m",
    maxPositions: undefined,
    quantization: settings === undefined ? undefined : quantizationOf(settings),
  };
}

describe("a claimed precision", () => {
  it.each<[Precision, keyof typeof configs | "not here", string, readonly string[]]>([
    ["bf16", "none", "m", ["--dtype", "bfloat16"]],
    ["fp16", "none", "m", ["--dtype", "float16"]],
    ["fp32", "not here", "m", ["--dtype", "float32"]],
    ["fp8", "none", "m", ["--quantization", "fp8"]],
    ["fp8", "fp8", "m", []],
    ["fp8", "fp8 by llm-compressor", "m", []],
    ["fp8", "fp8 by ModelOpt", "m", []],
    ["fp8", "not here", "Qwen/Qwen3-14B-FP8", []],
    ["fp8", "not here", "Qwen/Qwen3-14B", ["--quantization", "fp8"]],
    ["nvfp4", "nvfp4 by llm-compressor", "m", []],
    ["nvfp4", "nvfp4 by ModelOpt", "m", []],
    ["nvfp4", "not here", "m", []],
    ["awq", "awq", "m", []],
    ["int4", "awq", "m", []],
    ["gptq", "gptq", "m", []],
    ["int8", "w8a8", "m", []],
    ["int4", "w4a16", "m", []],
    ["mxfp4", "mxfp4", "m", []],
    ["int4", "unknown", "m", []],
    ["auto", "fp8", "m", []],
  ])("%s of a checkpoint %s (%s) adds %j and is no mistake", (precision, config, model, added) => {
    const checkpoint = config === "not here" ? undefined : checkpointOf(config);
    const variant = variantOf({}, { precision, model });
    const words = serveArguments(variant, { ...serving, checkpoint });
    expect(words.slice(7, -1)).toEqual(added);
    expect(precisionProblem(variant, {}, checkpoint)).toBeUndefined();
  });

  it.each<[Precision, keyof typeof configs, string]>([
    ["nvfp4", "fp8", "the checkpoint m says fp8 (fp8)"],
    ["nvfp4", "none", "the checkpoint m is not quantized"],
    ["fp8", "nvfp4 by llm-compressor", "the checkpoint m says nvfp4 (compressed-tensors)"],
    ["bf16", "fp8", "the checkpoint m says fp8 (fp8)"],
    ["bf16", "unknown", "the checkpoint m says that it is quantized (quark)"],
    ["awq", "gptq", "the checkpoint m says gptq (gptq)"],
    ["int4", "w8a8", "the checkpoint m says int8 (compressed-tensors)"],
  ])("%s over a checkpoint %s is a mistake", (precision, config, says) => {
    const problem = precisionProblem({ precision, model: "m" }, {}, checkpointOf(config));
    expect(problem?.what).toBe(`the precision is claimed to be ${precision}, but ${says}`);
  });

  it("that an argument contradicts is a mistake", () => {
    const claim = { precision: "bf16", model: "m" } as const;
    expect(precisionProblem(claim, { dtype: "half" }, undefined)?.what).toContain(
      "args.dtype is half",
    );
    expect(precisionProblem(claim, { quantization: "fp8" }, undefined)?.what).toContain("fp8");
    expect(precisionProblem(claim, { dtype: "bfloat16" }, undefined)).toBeUndefined();
    const online = { precision: "int4", model: "m" } as const;
    expect(
      precisionProblem(online, { quantization: "bitsandbytes" }, checkpointOf("none")),
    ).toBeUndefined();
  });
});

describe("a container", () => {
  const run = {
    name: "benchbook-1",
    port: 8000,
    folders: ["/data/qwen3"],
    variables: ["VLLM_SERVER_DEV_MODE"],
    entrypoint: "vllm",
    serve: ["serve", "/models/qwen3"],
  };
  const gpuHost = {
    env: { HF_HOME: "/cache", HF_TOKEN: "hf_notarealtoken" },
    exists: (path: string) => ["/dev/nvidiactl", "/cache"].includes(path),
  };

  it("of docker has our name, all GPUs, the model read-only, and variables by name alone", () => {
    const { argv, interpreter, release } = containerRun({ image: "vllm:v1" }, run, gpuHost);
    expect(argv).toEqual([
      ...["docker", "run", "--rm", "--name", "benchbook-1", "--gpus", "all", "--ipc=host"],
      ...["-p", "127.0.0.1:8000:8000", "-v", "/data/qwen3:/models/qwen3:ro"],
      ...[
        "-v",
        `/cache:${home}/.cache/huggingface`,
        "-e",
        "HF_TOKEN",
        "-e",
        "VLLM_SERVER_DEV_MODE",
      ],
      ...["--entrypoint", "vllm", "vllm:v1", "serve", "/models/qwen3"],
    ]);
    expect(argv.join(" ")).not.toContain("notarealtoken");
    expect(interpreter).toEqual(["docker", "exec", "benchbook-1", "python3"]);
    expect(release.firm).toEqual(["docker", "rm", "-f", "benchbook-1"]);
  });

  it("of podman names the GPUs its way, and what args say of them stands alone", () => {
    const podman = { image: "vllm:v1", runtime: "podman" } as const;
    expect(containerRun(podman, run, gpuHost).argv).toContain("nvidia.com/gpu=all");
    const args = ["--gpus", '"device=0"', "--shm-size", "8g"];
    const { argv } = containerRun({ image: "vllm:v1", args }, run, gpuHost);
    expect(argv).not.toContain("all");
    expect(argv).not.toContain("--ipc=host");
    expect(argv).toEqual(expect.arrayContaining(args));
  });

  it("serves on the loopback interface where it has the network of this host", () => {
    expect(hostWithin({ image: "vllm:v1" })).toBe("0.0.0.0");
    expect(hostWithin({ image: "vllm:v1", args: ["--network", "bridge"] })).toBe("0.0.0.0");
    for (const args of [["--network", "host"], ["--net=host"]])
      expect(hostWithin({ image: "vllm:v1", args })).toBe("127.0.0.1");
  });

  it("that ends by itself is no failure of the command that removes it", () => {
    const said = [
      "Error response from daemon: No such container: benchbook-1",
      "Error response from daemon: removal of container benchbook-1 is already in progress",
      'Error: no container with name or ID "benchbook-1" found: no such container',
    ];
    for (const stderr of said) expect(saysGone(stderr)).toBe(true);
    expect(saysGone("Error response from daemon: permission denied")).toBe(false);
  });

  it("is pinned by its digest", () => {
    const digest = `sha256:${"a".repeat(64)}`;
    expect(imageReference({ image: "localhost:5000/vllm:v1", digest })).toBe(
      `localhost:5000/vllm@${digest}`,
    );
    expect(imageReference({ image: "localhost:5000/vllm" })).toBe("localhost:5000/vllm");
  });
});
