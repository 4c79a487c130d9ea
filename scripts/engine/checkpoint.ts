// What a model's files say of its weights: the quantization in config.json, in the forms that the
// tools of the field write it, to the precisions that are a true claim of it.
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { parseModelConfig } from "../environment/model-config.ts";
import { messageOf } from "../errors.ts";
import type { Precision, Variant } from "../experiment/experiment.ts";
import { findModelFolder } from "./model-folder.ts";

export interface Quantization {
  /** As the checkpoint calls it: "fp8", "compressed-tensors", "modelopt". */
  readonly method: string;
  /** What may be claimed of it; undefined: its settings do not tell. */
  readonly precisions: readonly Precision[] | undefined;
}

export interface Checkpoint {
  readonly folder: string;
  /** undefined: the weights are not quantized. */
  readonly quantization: Quantization | undefined;
  /** Longest context without stretching; undefined: not stated, or stretched by RoPE scaling. */
  readonly maxPositions: number | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The checkpoint of a variant where its files are on this host: its folder, or what the caches of
 * Hugging Face and ModelScope hold. undefined: the files are not here.
 */
export function findCheckpoint(
  { model, revision }: Pick<Variant, "model" | "revision">,
  projectRoot: string,
  env: Environment = process.env,
): Checkpoint | { readonly problem: string } | undefined {
  const folder =
    findModelFolder(model, projectRoot) ??
    huggingFaceSnapshot(model, revision, env) ??
    modelScopeFolder(model, env);
  return folder === undefined ? undefined : readCheckpoint(folder);
}

/** What the files in a model's folder say, or why they say nothing. */
function readCheckpoint(folder: string): Checkpoint | { readonly problem: string } {
  const path = join(folder, "config.json");
  if (!existsSync(path)) return { problem: `the model folder ${folder} holds no config.json` };
  try {
    const text = readFileSync(path, "utf8");
    const config = configShape.parse(JSON.parse(text));
    const modelOpt = join(folder, "hf_quant_config.json");
    const settings =
      config.quantization_config ??
      config.text_config?.quantization_config ??
      (existsSync(modelOpt)
        ? modelOptShape.parse(JSON.parse(readFileSync(modelOpt, "utf8"))).quantization
        : undefined);
    const stretched = [config, config.text_config].some(
      (part) =>
        (part?.rope_scaling ?? undefined) !== undefined || isStretched(part?.rope_parameters),
    );
    return {
      folder,
      quantization: settings === undefined ? undefined : quantizationOf(settings),
      maxPositions: stretched ? undefined : parseModelConfig(text, undefined)?.maxPositions,
    };
  } catch (error) {
    return { problem: `${path} can't be read: ${messageOf(error)}` };
  }
}

const settingsShape = z.looseObject({
  quant_method: z.string().optional().catch(undefined),
  quant_algo: z.string().optional().catch(undefined),
  format: z.string().optional().catch(undefined),
  bits: z.number().optional().catch(undefined),
  w_bit: z.number().optional().catch(undefined),
  load_in_4bit: z.boolean().optional().catch(undefined),
  load_in_8bit: z.boolean().optional().catch(undefined),
  config_groups: z
    .record(
      z.string(),
      z.looseObject({
        weights: z
          .looseObject({
            num_bits: z.number().optional().catch(undefined),
            type: z.string().optional().catch(undefined),
            group_size: z.number().nullish().catch(undefined),
          })
          .nullish(),
      }),
    )
    .optional()
    .catch(undefined),
});
type QuantizationSettings = z.infer<typeof settingsShape>;

const partShape = z.looseObject({
  quantization_config: settingsShape.nullish().transform((value) => value ?? undefined),
  rope_scaling: z.unknown().optional(),
  rope_parameters: z.unknown().optional(),
});
const configShape = partShape.extend({ text_config: partShape.optional().catch(undefined) });
const modelOptShape = z.looseObject({ quantization: settingsShape.optional().catch(undefined) });

/** `rope_parameters` stands in every newer config; a type of its own means that it stretches. */
function isStretched(parameters: unknown): boolean {
  const type = z.looseObject({ rope_type: z.string() }).safeParse(parameters).data?.rope_type;
  return type !== undefined && type !== "default";
}

/** What a quantization config means. */
export function quantizationOf(settings: QuantizationSettings): Quantization {
  const method = settings.quant_method ?? settings.quant_algo ?? "unnamed";
  return { method, precisions: precisionsOf(method.toLowerCase(), settings) };
}

function precisionsOf(
  method: string,
  settings: QuantizationSettings,
): readonly Precision[] | undefined {
  const bits = settings.bits ?? settings.w_bit;
  switch (method) {
    case "fp8":
    case "fbgemm_fp8":
    case "mxfp4":
      return method === "mxfp4" ? ["mxfp4"] : ["fp8"];
    case "awq":
    case "gptq":
      return [method, ...(integers(bits ?? (method === "awq" ? 4 : undefined)) ?? [])];
    case "auto-round":
      return integers(bits);
    case "bitsandbytes":
      return integers(settings.load_in_4bit === true ? 4 : settings.load_in_8bit === true ? 8 : 0);
    case "compressed-tensors":
      return compressedTensors(settings);
    default:
      return /^(modelopt|nvfp4|fp8|w4a)/.test(method)
        ? modelOptPrecisions(settings.quant_algo ?? method)
        : undefined;
  }
}

function integers(bits: number | undefined): readonly Precision[] | undefined {
  if (bits === 4) return ["int4", "q4"];
  return bits === 8 ? ["int8", "q8"] : undefined;
}

/** The weights decide: bits and type of all groups alike, by the format where 4-bit floats differ. */
function compressedTensors({
  format = "",
  config_groups: groups = {},
}: QuantizationSettings): readonly Precision[] | undefined {
  const kinds = new Set(
    Object.values(groups).flatMap(({ weights }) =>
      weights?.num_bits === undefined ? [] : [`${weights.type ?? "int"}${weights.num_bits}`],
    ),
  );
  const [kind] = kinds;
  if (kinds.size !== 1 || kind === undefined) return undefined;
  if (kind === "float8") return ["fp8"];
  if (kind === "float4") return format.startsWith("mxfp4") ? ["mxfp4"] : ["nvfp4"];
  return integers(kind === "int4" ? 4 : kind === "int8" ? 8 : undefined);
}

function modelOptPrecisions(algorithm: string): readonly Precision[] | undefined {
  const name = algorithm.toLowerCase();
  if (name.includes("nvfp4") || name === "modelopt_fp4") return ["nvfp4"];
  if (/^(modelopt_)?fp8/.test(name)) return ["fp8"];
  return undefined;
}

function huggingFaceSnapshot(
  model: string,
  revision: string | undefined,
  env: Environment,
): string | undefined {
  const repository = join(huggingFaceHub(env), `models--${model.replaceAll("/", "--")}`);
  const reference = join(repository, "refs", revision ?? "main");
  const commit = existsSync(reference) ? readFileSync(reference, "utf8").trim() : revision;
  if (commit === undefined) return undefined;
  const folder = join(repository, "snapshots", commit);
  return existsSync(join(folder, "config.json")) ? folder : undefined;
}

function huggingFaceHub(env: Environment): string {
  return env["HF_HUB_CACHE"] ?? join(huggingFaceHome(env), "hub");
}

/** The folder that Hugging Face's tools keep their downloads in. */
export function huggingFaceHome(env: Environment): string {
  return env["HF_HOME"] ?? join(env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "huggingface");
}

/** The folder that ModelScope's tools keep their downloads in. */
export function modelScopeCache(env: Environment): string {
  return env["MODELSCOPE_CACHE"] ?? join(homedir(), ".cache", "modelscope", "hub");
}

function modelScopeFolder(model: string, env: Environment): string | undefined {
  // It writes the dots of a name as three underscores; where the names begin differs by release.
  const name = model.replaceAll(".", "___");
  return ["", "models", "hub", "hub/models"]
    .map((above) => join(modelScopeCache(env), above, name))
    .find((folder) => existsSync(join(folder, "config.json")));
}
