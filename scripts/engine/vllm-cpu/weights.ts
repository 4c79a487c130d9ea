// Seeded random weights of a small Qwen3 as a safetensors file: the same bytes everywhere, so that a
// record can name their digest. They say nothing about language.
import { seededRandom } from "../../experiment/random.ts";

/** What decides the shapes, as config.json spells it. */
export interface Qwen3Shape {
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads: number;
  readonly head_dim: number;
  readonly vocab_size: number;
}

interface Tensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** ones: a norm; random: uniform with variance 1 / fan-in. */
  readonly fill: "ones" | "random" | "embedding";
}

/**
 * The bytes of model.safetensors in bfloat16, embeddings tied to the output.
 * @param isSpoken whether a token may come in an answer. The others have a row of zeros in the
 * embedding, which never wins against random rows: so every token of an answer can be text.
 */
export function qwen3Weights(
  shape: Qwen3Shape,
  isSpoken: (token: number) => boolean,
  seed = "tiny-qwen3",
): Buffer {
  const tensors = tensorsOf(shape);
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
  let end = 0;
  for (const { name, shape: dimensions } of tensors) {
    const begin = end;
    end += 2 * sizeOf(dimensions);
    header[name] = { dtype: "BF16", shape: dimensions, data_offsets: [begin, end] };
  }
  const json = Buffer.from(JSON.stringify(header));
  // Readers want the numbers to begin at a multiple of 8 bytes; blanks fill up to it.
  const headerBytes = Math.ceil(json.length / 8) * 8;
  const file = Buffer.alloc(8 + headerBytes + end, 0x20);
  file.writeBigUInt64LE(BigInt(headerBytes), 0);
  json.copy(file, 8);

  let at = 8 + headerBytes;
  const put = (value: number): void => {
    file.writeUInt16LE(bfloat16(value), at);
    at += 2;
  };
  for (const { name, shape: dimensions, fill } of tensors) {
    const random = seededRandom(`${seed}/${name}`);
    const columns = dimensions.at(-1) ?? 1;
    // Uniform on [-a, a] has the variance a^2 / 3.
    const reach = Math.sqrt(fill === "embedding" ? 3 : 3 / columns);
    for (let row = 0; row < sizeOf(dimensions) / columns; row += 1) {
      const silent = fill === "embedding" && !isSpoken(row);
      for (let column = 0; column < columns; column += 1) {
        const drawn = (2 * random() - 1) * reach;
        put(fill === "ones" ? 1 : silent ? 0 : drawn);
      }
    }
  }
  return file;
}

function tensorsOf(shape: Qwen3Shape): readonly Tensor[] {
  const { hidden_size: hidden, intermediate_size: inner, head_dim: head } = shape;
  const queries = shape.num_attention_heads * head;
  const keys = shape.num_key_value_heads * head;
  const norm = (name: string, size: number): Tensor => ({ name, shape: [size], fill: "ones" });
  const linear = (name: string, out: number, input: number): Tensor => ({
    name,
    shape: [out, input],
    fill: "random",
  });
  const layers = Array.from({ length: shape.num_hidden_layers }, (_, index) => {
    const layer = `model.layers.${index}`;
    return [
      norm(`${layer}.input_layernorm.weight`, hidden),
      linear(`${layer}.self_attn.q_proj.weight`, queries, hidden),
      linear(`${layer}.self_attn.k_proj.weight`, keys, hidden),
      linear(`${layer}.self_attn.v_proj.weight`, keys, hidden),
      linear(`${layer}.self_attn.o_proj.weight`, hidden, queries),
      norm(`${layer}.self_attn.q_norm.weight`, head),
      norm(`${layer}.self_attn.k_norm.weight`, head),
      norm(`${layer}.post_attention_layernorm.weight`, hidden),
      linear(`${layer}.mlp.gate_proj.weight`, inner, hidden),
      linear(`${layer}.mlp.up_proj.weight`, inner, hidden),
      linear(`${layer}.mlp.down_proj.weight`, hidden, inner),
    ];
  });
  return [
    { name: "model.embed_tokens.weight", shape: [shape.vocab_size, hidden], fill: "embedding" },
    ...layers.flat(),
    norm("model.norm.weight", hidden),
  ];
}

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** The upper half of the 32-bit float: bfloat16, rounded towards zero. */
function bfloat16(value: number): number {
  float[0] = value;
  return (bits[0] ?? 0) >>> 16;
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}
