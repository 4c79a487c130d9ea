import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { qwen3Weights } from "./weights.ts";

const shape = {
  hidden_size: 4,
  intermediate_size: 8,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  head_dim: 2,
  vocab_size: 3,
};

const header = z.record(
  z.string(),
  z.object({ dtype: z.string(), shape: z.array(z.int()), data_offsets: z.array(z.int()) }),
);

/** Reads the file as its format is documented: length, JSON, numbers. */
function read(file: Buffer) {
  const headerBytes = Number(file.readBigUInt64LE(0));
  const parts = z
    .record(z.string(), z.unknown())
    .parse(JSON.parse(file.subarray(8, 8 + headerBytes).toString()));
  const tensors = Object.entries(parts).filter(([name]) => name !== "__metadata__");
  const data = file.subarray(8 + headerBytes);
  return { headerBytes, tensors: header.parse(Object.fromEntries(tensors)), data };
}

/** A bfloat16 is the upper half of a float. */
function valuesOf(data: Buffer, [begin = 0, end = 0]: readonly number[]): number[] {
  const values: number[] = [];
  for (let at = begin; at < end; at += 2) {
    const wide = Buffer.alloc(4);
    wide.writeUInt16LE(data.readUInt16LE(at), 2);
    values.push(wide.readFloatLE(0));
  }
  return values;
}

describe("the weights of the tiny model", () => {
  it("are a safetensors file whose tensors lie end to end", () => {
    const { headerBytes, tensors, data } = read(qwen3Weights(shape, () => true));
    expect(headerBytes % 8).toBe(0);
    let at = 0;
    for (const { dtype, shape: dimensions, data_offsets } of Object.values(tensors)) {
      expect(dtype).toBe("BF16");
      expect(data_offsets[0]).toBe(at);
      at += 2 * dimensions.reduce((a, b) => a * b, 1);
      expect(data_offsets[1]).toBe(at);
    }
    expect(data.length).toBe(at);
    expect(tensors["model.layers.0.self_attn.o_proj.weight"]?.shape).toEqual([4, 4]);
    expect(tensors["lm_head.weight"]).toBeUndefined();
  });

  it("never let a silent token win: its row of the embedding is zero", () => {
    const { tensors, data } = read(qwen3Weights(shape, (token) => token !== 1));
    const rows = valuesOf(data, tensors["model.embed_tokens.weight"]?.data_offsets ?? []);
    expect(rows.slice(4, 8)).toEqual([0, 0, 0, 0]);
    expect(rows.slice(0, 4).every((value) => value !== 0 && Math.abs(value) <= 3 ** 0.5)).toBe(
      true,
    );
    expect(valuesOf(data, tensors["model.norm.weight"]?.data_offsets ?? [])).toEqual([1, 1, 1, 1]);
  });

  it("are the same bytes each time, and others for another seed", () => {
    const digest = (seed?: string): string =>
      createHash("sha256")
        .update(qwen3Weights(shape, () => true, seed))
        .digest("hex");
    expect(digest()).toBe(digest());
    expect(digest("another")).not.toBe(digest());
  });
});
