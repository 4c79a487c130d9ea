// Turns many waiting answers into steps of one model. Every iteration each running sequence
// advances by one token, new ones are read within the token budget (less what the prefix cache has
// of them), and the rest wait in order.
import { setImmediate as nextTurn } from "node:timers/promises";
import { messageOf } from "../../errors.ts";
import type { FinishReason } from "./generation.ts";
import type { SteppedModel } from "./model.ts";
import { type KeptBlock, startPrefixCache } from "./prefix-cache.ts";

export interface SchedulerLimits {
  /** Sequences that run at the same time. */
  readonly maxNumSeqs: number;
  /** Tokens that go through the model in one iteration; at least maxNumSeqs. */
  readonly maxNumBatchedTokens: number;
  /** Tokens of one block of keys and values. */
  readonly blockSize: number;
  /** Blocks in all, held or kept for later; at least what the longest sequence needs. */
  readonly numBlocks: number;
}

/** What the prefix cache had to do with one prompt, in tokens of it. */
export interface PrefixUse {
  /** Found, so not computed. */
  readonly cachedTokens: number;
  /** Computed and put in for later prompts. */
  readonly createdTokens: number;
}

/** An answer to be made. */
interface Job {
  /** At least one. */
  readonly promptTokens: readonly number[];
  /** The longest that the answer can get; room for it is set aside. */
  readonly maxTokens: number;
  /** Chooses the next token, hands it on, and says whether the answer ends with it. */
  advance(
    logits: Float32Array,
    prefix: PrefixUse,
  ): {
    readonly token: number;
    readonly finishReason: FinishReason | undefined;
  };
  /** The answer will not go on: the engine failed, or `advance` threw. Called at most once. */
  fail(error: Error): void;
}

/** Gauges and counters since the start, by the field's names. */
export interface SchedulerCounts {
  readonly running: number;
  readonly waiting: number;
  /** Blocks that running sequences hold; one that several share counts once. */
  readonly usedBlocks: number;
  /** Tokens of prompts that are read, whether computed or found in the prefix cache. */
  readonly promptTokens: number;
  /** Those of them that were found. */
  readonly cachedPromptTokens: number;
  /** Prompt tokens that the prefix cache was asked for; 0 where there is none. */
  readonly prefixCacheQueries: number;
  /** Those of them that it had. */
  readonly prefixCacheHits: number;
  readonly generationTokens: number;
  readonly finished: Readonly<Record<FinishReason | "abort" | "error", number>>;
}

export interface Scheduler {
  /** Puts an answer at the end of the queue; the returned function cancels it and frees its place. */
  submit(job: Job): () => void;
  counts(): SchedulerCounts;
  /** Empties the prefix cache. False, and nothing happens, while sequences run. */
  resetPrefixCache(): boolean;
  /** What ended the engine; undefined while it lives. */
  failure(): Error | undefined;
}

interface Sequence {
  readonly id: number;
  readonly job: Job;
  /** The prompt, and the answer as it grows. */
  readonly tokens: number[];
  /** The first of `tokens`, so many, have their keys and values: the next one goes into the model. */
  computed: number;
  /** Its blocks in the prefix cache, from the first on. */
  readonly blocks: KeptBlock[];
  /** undefined until the prompt is begun. */
  prefix: PrefixUse | undefined;
}

/** Starts idle; the loop runs while there is work. A model that throws ends the engine for good. */
export function startScheduler(options: {
  readonly model: SteppedModel;
  readonly limits: SchedulerLimits;
  /** Whether prompts are looked up in a prefix cache, and kept there. */
  readonly prefixCaching: boolean;
  /** Told once, when the engine ends. */
  readonly onFailure?: (error: Error) => void;
}): Scheduler {
  const { model, limits, prefixCaching, onFailure } = options;
  const { blockSize, numBlocks } = limits;
  const cache = prefixCaching ? startPrefixCache({ blockSize, numBlocks }) : undefined;
  // All of it at once, so that what is kept stays in one piece; the system gives it as it is filled.
  const blockFloats = blockSize * model.tokenFloats;
  const memory = new Float32Array(cache === undefined ? 0 : numBlocks * blockFloats);
  const waiting: Sequence[] = [];
  const running = new Set<Sequence>();
  // Done or cancelled, but the model may be busy with them: forgotten between two calls.
  const leaving: Sequence[] = [];
  const finished = { stop: 0, length: 0, abort: 0, error: 0 };
  let promptTokens = 0;
  let cachedPromptTokens = 0;
  let prefixCacheQueries = 0;
  let prefixCacheHits = 0;
  let generationTokens = 0;
  let submitted = 0;
  let isLooping = false;
  let failure: Error | undefined;

  async function loop(): Promise<void> {
    isLooping = true;
    try {
      while (running.size + waiting.length + leaving.length > 0) {
        // Sockets are read and written here: chunks go out as they are made.
        await nextTurn();
        await iterate();
      }
    } catch (cause) {
      end(cause instanceof Error ? cause : new Error(messageOf(cause)));
    }
    isLooping = false;
  }

  async function iterate(): Promise<void> {
    for (const sequence of leaving.splice(0)) model.forget(sequence.id);
    admit();
    const writing = [...running].filter(isWriting);
    const reading = [...running].filter((sequence) => !isWriting(sequence));

    let budget = limits.maxNumBatchedTokens - writing.length;
    for (const sequence of reading) {
      if (budget <= 0) break;
      if (running.has(sequence)) budget -= await read(sequence, budget);
    }

    const batch = writing.flatMap((sequence) => {
      const token = sequence.tokens[sequence.computed];
      return token !== undefined && running.has(sequence) ? [{ sequence, token }] : [];
    });
    if (batch.length === 0) return;
    const logits = await model.step(
      batch.map(({ sequence, token }) => ({ sequence: sequence.id, token })),
    );
    for (const [row, { sequence }] of batch.entries()) advance(sequence, 1, logits[row]);
  }

  /** In order, as long as the longest answers of all that run would fit side by side. */
  function admit(): void {
    let free = numBlocks;
    for (const sequence of running) free -= blocksAtMost(sequence);
    while (running.size < limits.maxNumSeqs) {
      const [next] = waiting;
      if (next === undefined || (running.size > 0 && blocksAtMost(next) > free)) break;
      waiting.shift();
      running.add(next);
      free -= blocksAtMost(next);
    }
  }

  function blocksAtMost({ job }: Sequence): number {
    return Math.ceil((job.promptTokens.length + job.maxTokens) / blockSize);
  }

  /** Reads as much of a prompt as the budget allows; the last part yields the first token. */
  async function read(sequence: Sequence, budget: number): Promise<number> {
    if (sequence.prefix === undefined) begin(sequence);
    const prompt = sequence.job.promptTokens;
    const part = prompt.slice(sequence.computed, sequence.computed + budget);
    const logits = await model.read(sequence.id, part);
    advance(sequence, part.length, logits);
    return part.length;
  }

  /**
   * What the prefix cache holds of a prompt counts as read. It is asked when the prompt's turn has
   * come, not earlier: so of several that arrive together and begin alike only the first is computed.
   */
  function begin(sequence: Sequence): void {
    const { promptTokens: prompt } = sequence.job;
    const found = cache?.match(prompt) ?? [];
    const cachedTokens = found.length * blockSize;
    if (cache !== undefined) {
      prefixCacheQueries += prompt.length;
      prefixCacheHits += cachedTokens;
    }
    if (found.length > 0) {
      model.adopt(
        sequence.id,
        found.map(({ place }) => memoryAt(place)),
      );
    }
    sequence.blocks.push(...found);
    sequence.computed = cachedTokens;
    const whole = cache === undefined ? 0 : prompt.length - (prompt.length % blockSize);
    sequence.prefix = { cachedTokens, createdTokens: whole - cachedTokens };
  }

  /** The model has read `count` more tokens; after the last of the prompt, each time the next is made. */
  function advance(sequence: Sequence, count: number, logits: Float32Array | undefined): void {
    // Its client may have gone while the model was busy.
    if (!running.has(sequence)) return;
    if (logits === undefined) throw new Error("the model gave fewer rows than it was asked for");
    const { job, tokens, prefix } = sequence;
    sequence.computed += count;
    keepBlocks(sequence);
    if (!isWriting(sequence) || prefix === undefined) return;
    if (tokens.length === job.promptTokens.length) {
      promptTokens += tokens.length;
      cachedPromptTokens += prefix.cachedTokens;
    }
    try {
      const { token, finishReason } = job.advance(logits, prefix);
      tokens.push(token);
      generationTokens += 1;
      if (finishReason !== undefined) leave(sequence, finishReason);
    } catch (cause) {
      leave(sequence, "error");
      job.fail(cause instanceof Error ? cause : new Error(messageOf(cause)));
    }
  }

  /** Full blocks go into the prefix cache as soon as they are computed, those of answers too. */
  function keepBlocks({ id, tokens, computed, blocks }: Sequence): void {
    if (cache === undefined) return;
    for (let start = blocks.length * blockSize; start + blockSize <= computed; start += blockSize) {
      const block = cache.keep(blocks.at(-1), tokens.slice(start, start + blockSize), (place) => {
        model.copy(id, start, memoryAt(place));
      });
      if (block === undefined) return;
      blocks.push(block);
    }
  }

  function memoryAt(place: number): Float32Array {
    return memory.subarray(place * blockFloats, (place + 1) * blockFloats);
  }

  /** Those in the cache, each once, and what running sequences have beside them. */
  function usedBlocks(): number {
    let used = cache?.counts().held ?? 0;
    for (const { computed, blocks } of running) {
      used += Math.ceil(computed / blockSize) - blocks.length;
    }
    return used;
  }

  function leave(sequence: Sequence, reason: keyof typeof finished): void {
    running.delete(sequence);
    leaving.push(sequence);
    cache?.release(sequence.blocks);
    finished[reason] += 1;
  }

  function cancel(sequence: Sequence): void {
    if (running.has(sequence)) {
      leave(sequence, "abort");
      return;
    }
    const place = waiting.indexOf(sequence);
    if (place === -1) return;
    waiting.splice(place, 1);
    finished.abort += 1;
  }

  function end(error: Error): void {
    failure = error;
    onFailure?.(error);
    for (const { blocks } of running) cache?.release(blocks);
    const left = [...running, ...waiting.splice(0)];
    running.clear();
    leaving.length = 0;
    finished.error += left.length;
    for (const { job } of left) job.fail(error);
  }

  return {
    submit(job) {
      if (failure !== undefined) {
        job.fail(failure);
        return () => undefined;
      }
      submitted += 1;
      const sequence: Sequence = {
        id: submitted,
        job,
        tokens: [...job.promptTokens],
        computed: 0,
        blocks: [],
        prefix: undefined,
      };
      waiting.push(sequence);
      if (!isLooping) void loop();
      return () => {
        cancel(sequence);
      };
    },
    counts: () => ({
      running: running.size,
      waiting: waiting.length,
      usedBlocks: usedBlocks(),
      promptTokens,
      cachedPromptTokens,
      prefixCacheQueries,
      prefixCacheHits,
      generationTokens,
      finished: { ...finished },
    }),
    resetPrefixCache: () => running.size === 0 && (cache?.reset() ?? true),
    failure: () => failure,
  };
}

/** Its prompt is read: it makes its answer. */
function isWriting({ computed, job }: Sequence): boolean {
  return computed >= job.promptTokens.length;
}
