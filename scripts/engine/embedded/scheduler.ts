// Turns many waiting answers into steps of one model. Every iteration each running sequence
// advances by one token, new ones are read within the token budget, and the rest wait in order.
import { setImmediate as nextTurn } from "node:timers/promises";
import { messageOf } from "../../errors.ts";
import type { FinishReason } from "./generation.ts";
import type { SteppedModel } from "./model.ts";

export interface SchedulerLimits {
  /** Sequences that run at the same time. */
  readonly maxNumSeqs: number;
  /** Tokens that go through the model in one iteration; at least maxNumSeqs. */
  readonly maxNumBatchedTokens: number;
}

/** An answer to be made. */
interface Job {
  /** At least one. */
  readonly promptTokens: readonly number[];
  /** Chooses the next token, hands it on, and says whether the answer ends with it. */
  advance(logits: Float32Array): {
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
  /** Tokens whose keys and values are held. */
  readonly cachedTokens: number;
  readonly promptTokens: number;
  readonly generationTokens: number;
  readonly finished: Readonly<Record<FinishReason | "abort" | "error", number>>;
}

export interface Scheduler {
  /** Puts an answer at the end of the queue; the returned function cancels it and frees its place. */
  submit(job: Job): () => void;
  counts(): SchedulerCounts;
  /** What ended the engine; undefined while it lives. */
  failure(): Error | undefined;
}

interface Sequence {
  readonly id: number;
  readonly job: Job;
  /** Prompt tokens that the model has read. */
  read: number;
  /** Tokens of the answer so far. */
  made: number;
  /** The token that the model has still to be given; undefined while the prompt is being read. */
  last: number | undefined;
}

/** Starts idle; the loop runs while there is work. A model that throws ends the engine for good. */
export function startScheduler(options: {
  readonly model: SteppedModel;
  readonly limits: SchedulerLimits;
  /** Told once, when the engine ends. */
  readonly onFailure?: (error: Error) => void;
}): Scheduler {
  const { model, limits, onFailure } = options;
  const waiting: Sequence[] = [];
  const running = new Set<Sequence>();
  // Done or cancelled, but the model may be busy with them: forgotten between two calls.
  const leaving: Sequence[] = [];
  const finished = { stop: 0, length: 0, abort: 0, error: 0 };
  let promptTokens = 0;
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
    // A prefix cache comes in here: what it holds of a new sequence counts as read.
    while (running.size < limits.maxNumSeqs) {
      const next = waiting.shift();
      if (next === undefined) break;
      running.add(next);
    }
    const writing = [...running].filter(({ last }) => last !== undefined);
    const reading = [...running].filter(({ last }) => last === undefined);

    let budget = limits.maxNumBatchedTokens - writing.length;
    for (const sequence of reading) {
      if (budget <= 0) break;
      if (running.has(sequence)) budget -= await read(sequence, budget);
    }

    const batch = writing.flatMap((sequence) =>
      sequence.last !== undefined && running.has(sequence)
        ? [{ sequence, token: sequence.last }]
        : [],
    );
    if (batch.length === 0) return;
    const logits = await model.step(
      batch.map(({ sequence, token }) => ({ sequence: sequence.id, token })),
    );
    for (const [row, { sequence }] of batch.entries()) advance(sequence, logits[row]);
  }

  /** Reads as much of a prompt as the budget allows; the last part yields the first token. */
  async function read(sequence: Sequence, budget: number): Promise<number> {
    const prompt = sequence.job.promptTokens;
    const part = prompt.slice(sequence.read, sequence.read + budget);
    const logits = await model.read(sequence.id, part);
    sequence.read += part.length;
    if (sequence.read === prompt.length && running.has(sequence)) {
      promptTokens += prompt.length;
      advance(sequence, logits);
    }
    return part.length;
  }

  function advance(sequence: Sequence, logits: Float32Array | undefined): void {
    // Its client may have gone while the model was busy.
    if (!running.has(sequence)) return;
    if (logits === undefined) throw new Error("the model gave fewer rows than it was asked for");
    try {
      const { token, finishReason } = sequence.job.advance(logits);
      sequence.last = token;
      sequence.made += 1;
      generationTokens += 1;
      if (finishReason !== undefined) leave(sequence, finishReason);
    } catch (cause) {
      leave(sequence, "error");
      sequence.job.fail(cause instanceof Error ? cause : new Error(messageOf(cause)));
    }
  }

  function leave(sequence: Sequence, reason: keyof typeof finished): void {
    running.delete(sequence);
    leaving.push(sequence);
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
      const sequence: Sequence = { id: submitted, job, read: 0, made: 0, last: undefined };
      waiting.push(sequence);
      if (!isLooping) void loop();
      return () => {
        cancel(sequence);
      };
    },
    counts: () => ({
      running: running.size,
      waiting: waiting.length,
      cachedTokens: [...running].reduce(
        (sum, { read, made }) => sum + read + Math.max(0, made - 1),
        0,
      ),
      promptTokens,
      generationTokens,
      finished: { ...finished },
    }),
    failure: () => failure,
  };
}
