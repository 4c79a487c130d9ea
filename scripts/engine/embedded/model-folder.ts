// Turns a folder on disk into the facts of the model in it, and says early and plainly what is
// missing, before the runtime does so in its own words.
import { access, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { z } from "zod";
import { messageOf, UserError } from "../../errors.ts";
import type { Precision } from "./model.ts";

export interface ModelFolder {
  /** Absolute. */
  readonly path: string;
  /** "qwen3". */
  readonly modelType: string;
  /** The longest text, prompt and answer together, that the model was made for; in tokens. */
  readonly maxPositionEmbeddings: number;
  readonly vocabularySize: number;
  /** Tokens with which the model itself ends an answer; may be empty. */
  readonly endTokens: readonly number[];
}

/** Which file holds the weights at a precision. */
export const weightFiles: Readonly<Record<Precision, string>> = {
  fp32: "onnx/model.onnx",
  q8: "onnx/model_quantized.onnx",
};

const tokenIds = z.union([z.int(), z.array(z.int())]).nullish();

const modelConfig = z.object({
  model_type: z.string(),
  max_position_embeddings: z.int().positive(),
  vocab_size: z.int().positive(),
  eos_token_id: tokenIds,
});

const generationConfig = z.object({ eos_token_id: tokenIds });

/**
 * Reads what must be known of a model before it is loaded.
 *
 * @throws UserError when the folder or one of its files is missing, or config.json is not of a text model
 */
export async function readModelFolder(path: string, precision: Precision): Promise<ModelFolder> {
  const folder = resolve(path);
  for (const file of [
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    weightFiles[precision],
  ]) {
    await assertReadable(folder, file);
  }
  const config = await readJson(join(folder, "config.json"), modelConfig);
  const generationFile = join(folder, "generation_config.json");
  const generation = (await isReadable(generationFile))
    ? await readJson(generationFile, generationConfig)
    : undefined;
  return {
    path: folder,
    modelType: config.model_type,
    maxPositionEmbeddings: config.max_position_embeddings,
    vocabularySize: config.vocab_size,
    endTokens: [generation?.eos_token_id ?? config.eos_token_id ?? []].flat(),
  };
}

async function assertReadable(folder: string, file: string): Promise<void> {
  if (await isReadable(join(folder, file))) return;
  const what = (await isReadable(folder))
    ? `the model folder has no ${file}`
    : "the model folder does not exist or cannot be read";
  throw new UserError({
    what,
    where: folder,
    mend: `a folder with ${Object.values(weightFiles).join(" or ")}, config.json and tokenizer.json, for example data/models/tiny-qwen3`,
  });
}

async function isReadable(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Reads and checks one JSON file of the folder. @throws UserError when it is not what it should be */
export async function readJson<Shape>(path: string, shape: z.ZodType<Shape>): Promise<Shape> {
  try {
    const content: unknown = JSON.parse(await readFile(path, "utf8"));
    return shape.parse(content);
  } catch (cause) {
    const detail = cause instanceof z.ZodError ? z.prettifyError(cause) : messageOf(cause);
    throw new UserError(
      {
        what: `a file of the model is broken: ${detail.replaceAll("\n", " ")}`,
        where: path,
        mend: "an unbroken copy of the model folder",
      },
      { cause },
    );
  }
}
