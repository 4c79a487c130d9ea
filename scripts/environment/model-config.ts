// A model's config.json to the facts a record names. Multimodal models keep them under text_config;
// quantization stands in config.json or, as ModelOpt writes it, in hf_quant_config.json.

import canonicalize from "canonicalize";
import { z } from "zod";

const count = z.number().int().positive().optional().catch(undefined);
const text = z.string().min(1).optional().catch(undefined);
const anything = z.record(z.string(), z.unknown()).optional().catch(undefined);

const configShape = z.object({
  architectures: z.array(z.string()).optional().catch(undefined),
  num_hidden_layers: count,
  hidden_size: count,
  num_attention_heads: count,
  num_key_value_heads: count,
  head_dim: count,
  vocab_size: count,
  max_position_embeddings: count,
  torch_dtype: text,
  dtype: text,
  quantization_config: anything,
});

/** undefined: the files do not say. */
export interface ModelConfig {
  readonly architecture: string | undefined;
  readonly layers: number | undefined;
  readonly hiddenSize: number | undefined;
  readonly heads: number | undefined;
  readonly kvHeads: number | undefined;
  readonly headDim: number | undefined;
  /** Whether `headDim` is hidden size over heads rather than stated. */
  readonly headDimDerived: boolean;
  readonly vocabSize: number | undefined;
  readonly maxPositions: number | undefined;
  readonly dtype: string | undefined;
  /** "fp8 (activation_scheme=dynamic, ...)"; undefined: the files name none. */
  readonly quantization: string | undefined;
}

/**
 * Parses config.json and, where there is one, hf_quant_config.json; undefined where config.json is no
 * JSON object.
 */
export function parseModelConfig(
  configJson: string,
  quantConfigJson: string | undefined,
): ModelConfig | undefined {
  const whole = objectOf(configJson);
  if (whole === undefined) return undefined;
  const top = configShape.parse(whole);
  const inner = configShape.safeParse(whole["text_config"]).data;
  const own = <K extends keyof typeof top>(key: K): (typeof top)[K] | undefined =>
    top[key] ?? inner?.[key];

  const heads = own("num_attention_heads");
  const hiddenSize = own("hidden_size");
  const stated = own("head_dim");
  const derived =
    stated === undefined &&
    heads !== undefined &&
    hiddenSize !== undefined &&
    hiddenSize % heads === 0
      ? hiddenSize / heads
      : undefined;
  const modelOpt = objectOf(quantConfigJson ?? "")?.["quantization"];
  const quantization = own("quantization_config") ?? anything.parse(modelOpt);
  return {
    architecture: own("architectures")?.[0],
    layers: own("num_hidden_layers"),
    hiddenSize,
    heads,
    kvHeads: own("num_key_value_heads"),
    headDim: stated ?? derived,
    headDimDerived: derived !== undefined,
    vocabSize: own("vocab_size"),
    maxPositions: own("max_position_embeddings"),
    dtype: own("dtype") ?? own("torch_dtype"),
    quantization: quantization === undefined ? undefined : describeQuantization(quantization),
  };
}

/** The method, and every setting beside it that is short enough to read; canonical, so it compares. */
function describeQuantization(settings: Readonly<Record<string, unknown>>): string | undefined {
  const method = settings["quant_method"] ?? settings["quant_algo"];
  const rest = Object.entries(settings)
    .filter(([key, value]) => !key.startsWith("quant_") && value !== null)
    .map(([key, value]) => ({
      key,
      value: typeof value === "string" ? value : canonicalize(value),
    }))
    .filter((setting) => setting.value !== undefined && setting.value.length <= 40)
    .map(({ key, value }) => `${key}=${value ?? ""}`)
    .sort();
  const name = typeof method === "string" && method !== "" ? method : "unnamed method";
  if (rest.length === 0) return typeof method === "string" ? name : undefined;
  return `${name} (${rest.join(", ")})`;
}

function objectOf(json: string): Readonly<Record<string, unknown>> | undefined {
  try {
    return z.record(z.string(), z.unknown()).safeParse(JSON.parse(json)).data;
  } catch {
    return undefined;
  }
}

const templates = z.union([
  z.string().min(1),
  z.array(z.object({ name: z.string(), template: z.string() })).nonempty(),
]);

/** The chat template(s) within tokenizer_config.json or chat_template.json, as one text. */
export function chatTemplateOf(json: string): string | undefined {
  const template = templates.safeParse(objectOf(json)?.["chat_template"]).data;
  return typeof template === "object" ? canonicalize(template) : template;
}

/** A JSON object as canonical JSON on one line; undefined where the text is none or it is empty. */
export function canonicalObject(json: string): string | undefined {
  const object = objectOf(json);
  return object === undefined || Object.keys(object).length === 0
    ? undefined
    : canonicalize(object);
}
