import { existsSync } from "node:fs";
import { mkdir, mkdtemp, open, rm, truncate, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { digestOfFiles, sha256Of, wholeUpToBytes } from "./digest.ts";
import { declaredModelFields, probeModel } from "./model.ts";
import { parseModelConfig } from "./model-config.ts";
import { real } from "./outside.ts";
import { recorder } from "./probe.ts";
import { reasons } from "./reasons.ts";
import type { FieldValue } from "./snapshot.ts";
import type { EngineUnderTest } from "./subject.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "benchbook-model-"));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const subject: EngineUnderTest = {
  variant: "v",
  kind: "vllm",
  model: "org/name",
  modelFolder: undefined,
  tokenizerPath: undefined,
  precision: "fp8",
  url: undefined,
  interpreter: undefined,
  facts: undefined,
};

async function probe(parts: Partial<EngineUnderTest>): Promise<Map<string, FieldValue>> {
  const record = recorder(real, 5000, (text) => text);
  const { fields } = await probeModel(real, record, { ...subject, ...parts }, 5000);
  expect(fields.map(({ id }) => id)).toEqual(declaredModelFields("v").map(({ id }) => id));
  return new Map(fields.map(({ id, value }) => [id.slice("model.v.".length), value]));
}

async function write(path: string, text: string): Promise<string> {
  const whole = join(folder, path);
  await mkdir(join(whole, ".."), { recursive: true });
  await writeFile(whole, text);
  return whole;
}

describe("a model folder", () => {
  const commit = "0123456789abcdef0123456789abcdef01234567";

  it("of the hub's cache gives its facts, its revision and its digests", async () => {
    const root = `models--org--name/snapshots/${commit}`;
    await write(
      `${root}/config.json`,
      JSON.stringify({
        architectures: ["TestForCausalLM"],
        num_hidden_layers: 2,
        hidden_size: 64,
        num_attention_heads: 4,
        num_key_value_heads: 1,
        vocab_size: 100,
        max_position_embeddings: 512,
        torch_dtype: "bfloat16",
        quantization_config: {
          quant_method: "fp8",
          activation_scheme: "dynamic",
          weight_block_size: [128, 128],
        },
      }),
    );
    await write(`${root}/model-00001-of-00002.safetensors`, "one");
    await write(`${root}/model-00002-of-00002.safetensors`, "two");
    await write(`${root}/training_args.bin`, "no weights");
    await write(`${root}/tokenizer.json`, "{}");
    await write(
      `${root}/tokenizer_config.json`,
      JSON.stringify({ chat_template: "{{ messages }}" }),
    );
    await write(`${root}/generation_config.json`, `{"top_k": 20, "temperature": 0.6}`);

    const fields = await probe({ modelFolder: join(folder, root) });
    const value = (name: string): unknown => {
      const field = fields.get(name);
      return field?.state === "value" ? field.value : field?.state;
    };
    expect(value("id")).toBe("org/name");
    expect(value("revision")).toBe(commit);
    expect(value("architecture")).toBe("TestForCausalLM");
    expect(value("layers")).toBe(2);
    expect(value("kv_heads")).toBe(1);
    expect(value("head_dim")).toBe(16); // 64 / 4
    expect(value("dtype")).toBe("bfloat16");
    expect(value("precision_claimed")).toBe("fp8");
    expect(value("quantization")).toBe(
      "fp8 (activation_scheme=dynamic, weight_block_size=[128,128])",
    );
    expect(value("weights_bytes")).toBe(6);
    // sha256 of "one" and of "two" by coreutils' sha256sum.
    const list =
      `{"name":"model-00001-of-00002.safetensors","bytes":3,"sha256":"7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"}\n` +
      `{"name":"model-00002-of-00002.safetensors","bytes":3,"sha256":"3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3"}\n`;
    expect(value("weights_digest")).toBe(`sha256:${sha256Of(list)}`);
    expect(value("chat_template_digest")).toBe(`sha256:${sha256Of("{{ messages }}")}`);
    expect(value("tokenizer_digest")).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(value("generation_config")).toBe(`{"temperature":0.6,"top_k":20}`);
    expect(value("parameters")).toBe("not_collected");
  });

  it("that was downloaded to a place of its own still knows its revision", async () => {
    await write("local/config.json", "{}");
    await write("local/.cache/huggingface/download/config.json.metadata", `${commit}\netag\n1.5\n`);
    const fields = await probe({ modelFolder: join(folder, "local") });
    expect(fields.get("revision")).toEqual({ state: "value", value: commit });
  });

  it("that comes from nowhere says why it has no revision, and what else it lacks", async () => {
    await write("bare/readme.md", "nothing here");
    const fields = await probe({ modelFolder: join(folder, "bare") });
    expect(fields.get("revision")).toEqual({ state: "not_applicable", reason: reasons.noRevision });
    expect(fields.get("layers")).toEqual({ state: "not_collected", reason: reasons.noConfigJson });
    expect(fields.get("weights_digest")).toEqual({
      state: "not_collected",
      reason: reasons.noWeights,
    });
    expect(fields.get("tokenizer_digest")).toEqual({
      state: "not_collected",
      reason: reasons.noTokenizer,
    });
    expect(fields.get("chat_template_digest")?.state).toBe("not_applicable");
  });

  it("that is not there, or whose config.json is broken, gives states and does not throw", async () => {
    const gone = await probe({ modelFolder: join(folder, "gone") });
    expect(gone.get("weights_digest")).toEqual({
      state: "not_collected",
      reason: reasons.fileMissing,
    });
    await write("broken/config.json", "{ not json");
    const broken = await probe({ modelFolder: join(folder, "broken") });
    expect(broken.get("layers")).toEqual({
      state: "not_collected",
      reason: reasons.fileUnexpected,
    });
  });

  it("with the files of several precisions counts those that the variant loads", async () => {
    await write("onnx/config.json", "{}");
    await write("onnx/onnx/model.onnx", "full");
    await write("onnx/onnx/model_quantized.onnx", "q8");
    const bytes = async (weightFiles?: readonly string[]): Promise<unknown> => {
      const fields = await probe({
        kind: "embedded",
        weightFiles,
        modelFolder: join(folder, "onnx"),
      });
      return fields.get("weights_bytes");
    };
    expect(await bytes(["onnx/model.onnx"])).toEqual({ state: "value", value: 4, unit: "B" });
    expect(await bytes(["onnx/model_quantized.onnx"])).toEqual({
      state: "value",
      value: 2,
      unit: "B",
    });
    expect(await bytes()).toEqual({ state: "value", value: 6, unit: "B" });
  });
});

it("a model that is only a name on a server says so in every field but name and precision", async () => {
  const fields = await probe({ kind: "external", model: "chat", url: "http://10.0.0.1:8000" });
  for (const [name, value] of fields)
    if (name === "id" || name === "precision_claimed") expect(value.state).toBe("value");
    else expect(value).toEqual({ state: "not_collected", reason: reasons.noModelFolder });
});

it("a tokenizer of its own place is digested from there", async () => {
  const tokenizerPath = await write("tokenizers/tokenizer.json", "{}");
  const [byFile, byFolder] = [
    await probe({ tokenizerPath }),
    await probe({ tokenizerPath: join(folder, "tokenizers") }),
  ];
  expect(byFile.get("tokenizer_digest")?.state).toBe("value");
  expect(byFile.get("tokenizer_digest")).toEqual(byFolder.get("tokenizer_digest"));
});

describe("digests", () => {
  it("of a large file say that it was sampled, and see a change of its end", async () => {
    const path = await write("large/model.safetensors", "");
    const bytes = wholeUpToBytes + 1;
    await truncate(path, bytes);
    const digest = async (mtimeMs: number): Promise<string> =>
      (await digestOfFiles([{ name: "m", file: { path, bytes, mtimeMs } }])).digest;
    const before = await digest(1);
    expect(before).toMatch(/^sha256-sampled:[0-9a-f]{64}$/);
    const handle = await open(path, "r+");
    await handle.write("x", bytes - 1);
    await handle.close();
    expect(await digest(2)).not.toBe(before);
  });

  it("are not made twice of a file that did not change", async () => {
    const path = await write("cached/a.bin", "first");
    const file = { path, bytes: 5, mtimeMs: 1 };
    const { digest } = await digestOfFiles([{ name: "a", file }]);
    await writeFile(path, "other");
    await utimes(path, 1, 1);
    expect((await digestOfFiles([{ name: "a", file }])).digest).toBe(digest);
    expect((await digestOfFiles([{ name: "a", file: { ...file, mtimeMs: 2 } }])).digest).not.toBe(
      digest,
    );
  });

  it("do not depend on the order in which the files were listed", async () => {
    const a = { name: "a", file: { path: await write("order/a", "1"), bytes: 1, mtimeMs: 1 } };
    const b = { name: "b", file: { path: await write("order/b", "2"), bytes: 1, mtimeMs: 1 } };
    expect(await digestOfFiles([a, b])).toEqual(await digestOfFiles([b, a]));
  });
});

describe("config.json", () => {
  it("of a multimodal model keeps its language model's facts under text_config", () => {
    const config = parseModelConfig(
      JSON.stringify({
        architectures: ["XForVision"],
        text_config: { num_hidden_layers: 3, head_dim: 8, dtype: "float16" },
      }),
      undefined,
    );
    expect(config).toMatchObject({
      architecture: "XForVision",
      layers: 3,
      headDim: 8,
      dtype: "float16",
    });
  });

  it("leaves quantization to hf_quant_config.json where ModelOpt wrote one", () => {
    const quant = {
      producer: { name: "modelopt" },
      quantization: { quant_algo: "NVFP4", group_size: 16, kv_cache_quant_algo: "FP8" },
    };
    expect(parseModelConfig("{}", JSON.stringify(quant))?.quantization).toBe(
      "NVFP4 (group_size=16, kv_cache_quant_algo=FP8)",
    );
  });

  it("with values of another kind than expected lacks those alone", () => {
    const config = parseModelConfig(`{"num_hidden_layers": "many", "hidden_size": 8}`, "[]");
    expect(config).toMatchObject({ layers: undefined, hiddenSize: 8, quantization: undefined });
  });
});

const tiny = fileURLToPath(new URL("../../data/models/tiny-qwen3", import.meta.url));
describe("the model that comes with benchbook", () => {
  it.skipIf(!existsSync(join(tiny, "config.json")))(
    "has every fact, skipped where data/models/tiny-qwen3 is absent",
    async () => {
      const fields = await probe({ weightFiles: ["onnx/model.onnx"], modelFolder: tiny });
      for (const name of [
        "architecture",
        "layers",
        "heads",
        "kv_heads",
        "head_dim",
        "vocab_size",
        "max_positions",
        "dtype",
        "weights_digest",
        "weights_bytes",
        "tokenizer_digest",
        "chat_template_digest",
      ])
        expect(fields.get(name), name).toMatchObject({ state: "value" });
      const q8 = await probe({ weightFiles: ["onnx/model_quantized.onnx"], modelFolder: tiny });
      expect(q8.get("weights_digest")).not.toEqual(fields.get("weights_digest"));
      expect(q8.get("tokenizer_digest")).toEqual(fields.get("tokenizer_digest"));
    },
  );
});
