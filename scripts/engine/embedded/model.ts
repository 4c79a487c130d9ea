// Turns tokens into logits: an ONNX decoder stepped by hand, many sequences in one batch.
// It keeps each sequence's keys and values, and packs them anew when the batch changes; a sequence
// gets the same logits alone and in any batch, up to float rounding.
import { basename, dirname, resolve } from "node:path";
import { AutoModelForCausalLM, env, LogLevel, Tensor } from "@huggingface/transformers";

/** The files of a model folder that hold the weights: `onnx/model.onnx`, `onnx/model_quantized.onnx`. */
export type Precision = "fp32" | "q8";

/** What a scheduler steps. Sequences are known by a number that the caller chooses. */
export interface SteppedModel {
  /** Floats that the keys and values of one token are. */
  readonly tokenFloats: number;
  /**
   * Reads tokens of one sequence after those it has read before, and gives the logits of what
   * would follow, one per vocabulary entry. A long prompt may come in several calls.
   */
  read(sequence: number, tokens: readonly number[]): Promise<Float32Array>;
  /** Appends one token to each sequence, all in one batch; logits in the order given. */
  step(batch: readonly SequenceStep[]): Promise<readonly Float32Array[]>;
  /** Begins a sequence with copies taken from others instead of reading its first tokens. */
  adopt(sequence: number, stretches: readonly KeyValues[]): void;
  /**
   * Copies a sequence's keys and values from place `start` on, as many places as `target` has room
   * for. Not while a call that names it is under way.
   */
  copy(sequence: number, start: number, target: KeyValues): void;
  /** Frees a sequence's keys and values. Not while a call that names it is under way. */
  forget(sequence: number): void;
}

/** Keys and values of a stretch of tokens, of all layers, in the model's own order. */
type KeyValues = Float32Array;

interface SequenceStep {
  readonly sequence: number;
  readonly token: number;
}

interface CacheShape {
  readonly heads: number;
  readonly headSize: number;
}

/** The keys or the values of one layer: rows x heads x capacity x headSize. */
interface CacheTensor extends CacheShape {
  readonly data: Float32Array;
}

/** Sequences side by side. A row fills its first places; those beyond its length are never looked at. */
interface Packed {
  readonly sequences: readonly number[];
  readonly lengths: readonly number[];
  /** Places of every row in memory, at least the longest row. */
  readonly capacity: number;
  /** By the name under which they go into the model: `past_key_values.N.key` and `.value`. */
  readonly cache: ReadonlyMap<string, CacheTensor>;
}

/** Rows get room for so many more tokens whenever they are packed. */
const roomTokens = 32;

/**
 * Loads the weights of a model folder, never from the network.
 *
 * @throws whatever the runtime says of a file that is missing or broken
 */
export async function loadModel(options: {
  readonly folder: string;
  readonly precision: Precision;
  readonly threads: number;
}): Promise<SteppedModel> {
  const folder = resolve(options.folder);
  env.allowRemoteModels = false;
  env.localModelPath = dirname(folder);
  env.logLevel = LogLevel.NONE;
  const model = await AutoModelForCausalLM.from_pretrained(basename(folder), {
    dtype: options.precision,
    device: "cpu",
    session_options: { intraOpNumThreads: options.threads, interOpNumThreads: 1 },
  });
  const forward: Forward = async (inputs) => tensorsOf(await model.forward(inputs));
  // The first pass is slower than all others, shows the shapes, and one that fails had better fail now.
  const outputs = await forward(inputsOf([0], 0));
  return steppedModel(forward, appended(undefined, outputs, 1));
}

/** One pass through the network: tensors in and out by name. */
type Forward = (inputs: Readonly<Record<string, unknown>>) => Promise<ReadonlyMap<string, Tensor>>;

function steppedModel(forward: Forward, layout: ReadonlyMap<string, CacheShape>): SteppedModel {
  // Sequences that have been read but not stepped yet, each a batch of one.
  const single = new Map<number, Packed>();
  let batch: Packed = { sequences: [], lengths: [], capacity: 0, cache: new Map() };

  return {
    tokenFloats: floatsPerPlace(layout),

    async read(sequence, tokens) {
      const past = single.get(sequence);
      const start = past?.capacity ?? 0;
      const length = start + tokens.length;
      const outputs = await forward({
        ...inputsOf(tokens, start),
        ...(past === undefined ? {} : { past_key_values: pastTensors(past) }),
      });
      const read = {
        sequences: [sequence],
        lengths: [length],
        capacity: length,
        cache: appended(past, outputs, length),
      };
      single.set(sequence, read);
      return lastLogits(outputs, 0);
    },

    async step(steps) {
      const sequences = steps.map(({ sequence }) => sequence);
      const fits = batch.lengths.every((length) => length < batch.capacity);
      const past =
        fits && isSame(sequences, batch.sequences)
          ? batch
          : pack(sequences, [batch, ...single.values()]);
      for (const sequence of sequences) single.delete(sequence);
      const outputs = await forward({
        input_ids: int64(
          steps.map(({ token }) => token),
          [steps.length, 1],
        ),
        attention_mask: attentionMask(past),
        position_ids: int64(past.lengths, [steps.length, 1]),
        past_key_values: pastTensors(past),
      });
      write(outputs, past);
      batch = { ...past, lengths: past.lengths.map((length) => length + 1) };
      return steps.map((_, row) => lastLogits(outputs, row));
    },

    adopt(sequence, stretches) {
      const cache = joined(stretches, layout);
      single.set(sequence, { sequences: [sequence], ...cache, lengths: [cache.capacity] });
    },

    copy(sequence, start, target) {
      copyStretch(findRow(sequence, [batch, ...single.values()]), start, target);
    },

    forget(sequence) {
      // A row of the batch is left behind at the next packing.
      single.delete(sequence);
    },
  };
}

function isSame(left: readonly number[], right: readonly number[]): boolean {
  return left.length === right.length && left.every((value, place) => value === right[place]);
}

/** Copies each sequence's row into a new batch with room to grow, wherever it lies now. */
function pack(sequences: readonly number[], sources: readonly Packed[]): Packed {
  const rows = sequences.map((sequence) => findRow(sequence, sources));
  const capacity = Math.max(...rows.map(({ length }) => length)) + roomTokens;
  const cache = new Map<string, CacheTensor>();
  for (const [name, { heads, headSize }] of rows[0]?.source.cache ?? []) {
    const data = new Float32Array(rows.length * heads * capacity * headSize);
    for (const [target, { source, row, length }] of rows.entries()) {
      const from = source.cache.get(name)?.data ?? data;
      for (let head = 0; head < heads; head += 1) {
        const begin = (row * heads + head) * source.capacity * headSize;
        const kept = from.subarray(begin, begin + length * headSize);
        data.set(kept, (target * heads + head) * capacity * headSize);
      }
    }
    cache.set(name, { heads, headSize, data });
  }
  return { sequences, lengths: rows.map(({ length }) => length), capacity, cache };
}

interface Row {
  readonly source: Packed;
  readonly row: number;
  /** Places that are filled. */
  readonly length: number;
}

function findRow(sequence: number, sources: readonly Packed[]): Row {
  const source = sources.find((packed) => packed.sequences.includes(sequence));
  if (source === undefined) throw new Error(`sequence ${sequence} was never read`);
  const row = source.sequences.indexOf(sequence);
  return { source, row, length: source.lengths[row] ?? 0 };
}

/** One stretch holds tensor after tensor, and in each head after head its places. */
function copyStretch({ source, row, length: filled }: Row, start: number, target: KeyValues): void {
  const length = target.length / floatsPerPlace(source.cache);
  if (start + length > filled) throw new Error(`place ${start + length} of ${filled} is empty`);
  let at = 0;
  for (const { heads, headSize, data } of source.cache.values()) {
    for (let head = row * heads; head < (row + 1) * heads; head += 1) {
      const begin = (head * source.capacity + start) * headSize;
      target.set(data.subarray(begin, begin + length * headSize), at);
      at += length * headSize;
    }
  }
}

/** Stretches in a row of exactly their places. */
function joined(
  stretches: readonly KeyValues[],
  layout: ReadonlyMap<string, CacheShape>,
): Pick<Packed, "capacity" | "cache"> {
  const lengths = stretches.map(({ length }) => length / floatsPerPlace(layout));
  const capacity = lengths.reduce((sum, length) => sum + length, 0);
  const cache = new Map<string, CacheTensor>();
  // Where the head that comes next begins, in floats of one place.
  let before = 0;
  for (const [name, { heads, headSize }] of layout) {
    const data = new Float32Array(heads * capacity * headSize);
    let target = 0;
    for (let head = 0; head < heads; head += 1) {
      for (const [index, stretch] of stretches.entries()) {
        const length = lengths[index] ?? 0;
        data.set(stretch.subarray(before * length, (before + headSize) * length), target);
        target += length * headSize;
      }
      before += headSize;
    }
    cache.set(name, { heads, headSize, data });
  }
  return { capacity, cache };
}

function floatsPerPlace(layout: ReadonlyMap<string, CacheShape>): number {
  return [...layout.values()].reduce((sum, { heads, headSize }) => sum + heads * headSize, 0);
}

/** One row's keys and values, old and new in one piece of exactly `length` places. */
function appended(
  past: Packed | undefined,
  outputs: ReadonlyMap<string, Tensor>,
  length: number,
): ReadonlyMap<string, CacheTensor> {
  const cache = new Map<string, CacheTensor>();
  for (const [name, output] of presentOf(outputs)) {
    const [, heads = 0, places = 0, headSize = 0] = output.dims;
    const made = floatsOf(output);
    if (past === undefined && places === length) {
      // The whole row, and no other pass will write into it.
      cache.set(name, { heads, headSize, data: made });
      continue;
    }
    const data = new Float32Array(heads * length * headSize);
    const before = past?.cache.get(name)?.data;
    const start = past?.capacity ?? 0;
    for (let head = 0; head < heads; head += 1) {
      const target = head * length * headSize;
      if (before !== undefined) {
        data.set(before.subarray(head * start * headSize, (head + 1) * start * headSize), target);
      }
      const end = (head + 1) * places * headSize;
      data.set(made.subarray(end - (length - start) * headSize, end), target + start * headSize);
    }
    cache.set(name, { heads, headSize, data });
  }
  return cache;
}

/** Writes the newest place of each row behind the row's last. */
function write(outputs: ReadonlyMap<string, Tensor>, { lengths, capacity, cache }: Packed): void {
  for (const [name, output] of presentOf(outputs)) {
    const [, heads = 0, places = 0, headSize = 0] = output.dims;
    const made = floatsOf(output);
    const data = cache.get(name)?.data;
    for (const [row, length] of lengths.entries()) {
      for (let head = row * heads; head < (row + 1) * heads; head += 1) {
        const end = (head + 1) * places * headSize;
        data?.set(made.subarray(end - headSize, end), (head * capacity + length) * headSize);
      }
    }
  }
}

/** One sequence's next tokens, after `start` that were read before. */
function inputsOf(tokens: readonly number[], start: number): Readonly<Record<string, Tensor>> {
  const length = start + tokens.length;
  return {
    input_ids: int64(tokens, [1, tokens.length]),
    attention_mask: new Tensor("int64", new BigInt64Array(length).fill(1n), [1, length]),
    position_ids: int64(
      tokens.map((_, place) => start + place),
      [1, tokens.length],
    ),
  };
}

function int64(values: readonly number[], dims: readonly number[]): Tensor {
  return new Tensor("int64", BigInt64Array.from(values, BigInt), [...dims]);
}

/** 1 for each place that a row may look at: its own past, and the new token after the last place. */
function attentionMask({ lengths, capacity }: Packed): Tensor {
  const width = capacity + 1;
  const mask = new BigInt64Array(lengths.length * width);
  for (const [row, length] of lengths.entries()) {
    mask.fill(1n, row * width, row * width + length);
    mask[row * width + capacity] = 1n;
  }
  return new Tensor("int64", mask, [lengths.length, width]);
}

function pastTensors({ sequences, capacity, cache }: Packed): Readonly<Record<string, Tensor>> {
  const tensors: Record<string, Tensor> = {};
  for (const [name, { heads, headSize, data }] of cache) {
    tensors[name] = new Tensor("float32", data, [sequences.length, heads, capacity, headSize]);
  }
  return tensors;
}

function tensorsOf(outputs: unknown): ReadonlyMap<string, Tensor> {
  if (typeof outputs !== "object" || outputs === null) throw new Error("the model gave no outputs");
  const tensors = new Map<string, Tensor>();
  for (const [name, value] of Object.entries(outputs)) {
    if (value instanceof Tensor) tensors.set(name, value);
  }
  return tensors;
}

/**
 * The outputs `present.N.key` and `.value` by the names under which they go in again. Their last
 * places are the new ones: all there is in our own model's graph, behind all old ones in a graph
 * as exporters write it.
 */
function presentOf(outputs: ReadonlyMap<string, Tensor>): readonly (readonly [string, Tensor])[] {
  return [...outputs]
    .filter(([name]) => name.startsWith("present."))
    .map(([name, tensor]) => [name.replace("present.", "past_key_values."), tensor]);
}

function lastLogits(outputs: ReadonlyMap<string, Tensor>, row: number): Float32Array {
  const logits = outputs.get("logits");
  const [, places = 0, vocabulary = 0] = logits?.dims ?? [];
  const end = (row + 1) * places * vocabulary;
  return floatsOf(logits).subarray(end - vocabulary, end);
}

function floatsOf(tensor: Tensor | undefined): Float32Array {
  const data: unknown = tensor?.data;
  if (!(data instanceof Float32Array)) throw new Error("the model gave no float32 tensor");
  return data;
}
