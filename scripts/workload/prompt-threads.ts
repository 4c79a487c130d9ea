// Threads that make and count prompts beside the main thread: each loads a tokenizer once and lives
// until it is told to rest.
import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { packageRoot } from "../engine/model-folder.ts";
import { UserError, type UserErrorParts } from "../errors.ts";
import type { ComposedRequests, RequestRange } from "./prompts.ts";
import type { PromptRecipe } from "./recipe.ts";
import type { PromptContent } from "./tokenizer.ts";

/** What a thread is asked to do. */
export type PromptJob =
  | {
      readonly kind: "compose";
      readonly tokenizer: string;
      /** Names the recipe, which is sent to each thread once: it may hold a long trace. */
      readonly maker: number;
      readonly recipe: PromptRecipe | undefined;
      readonly range: RequestRange;
    }
  | {
      readonly kind: "count";
      readonly tokenizer: string;
      readonly prompts: readonly PromptContent[];
    };

/** What it answers. */
export type PromptReply =
  | ({ readonly kind: "composed" } & ComposedRequests)
  | { readonly kind: "counted"; readonly counts: readonly number[] }
  | { readonly kind: "mistake"; readonly parts: readonly UserErrorParts[] };

export interface PromptThreads {
  readonly count: number;
  /** Whether all threads have loaded a tokenizer, which takes them seconds. */
  isReady(tokenizer: string): boolean;
  /** Has all threads load a tokenizer: while an engine starts it costs nothing. */
  prepare(tokenizer: string): Promise<void>;
  /** Requests of a recipe without a dataset. */
  compose(recipe: PromptRecipe, range: RequestRange, tokenizer: string): Promise<ComposedRequests>;
  /** Tokens of each prompt. */
  countTokens(prompts: readonly PromptContent[], tokenizer: string): Promise<readonly number[]>;
  /** Ends idle threads, whose tokenizers take a hundred MB each; the next job starts them again. */
  rest(): Promise<void>;
  /** Ends the threads; what they were doing is not answered any more. */
  close(): Promise<void>;
}

/** Source and build alike start the built program: Node 20 runs no TypeScript. */
const program = join(packageRoot, "dist/workload/prompt-thread.js");

interface Waiting {
  readonly job: PromptJob;
  readonly recipe: PromptRecipe | undefined;
  readonly done: (reply: PromptReply) => void;
  readonly failed: (error: unknown) => void;
}

interface Thread {
  readonly worker: Worker;
  /** Makers whose recipe it has. */
  readonly makers: Set<number>;
  /** Tokenizers that it has loaded. */
  readonly tokenizers: Set<string>;
  busyWith: Waiting | undefined;
}

/**
 * Threads for a whole run. They start with the first jobs, and none keeps the process alive.
 * @param options.count as many as there are cores unless said
 */
export function promptThreads({
  count = availableParallelism(),
}: {
  readonly count?: number;
} = {}): PromptThreads {
  const threads: Thread[] = [];
  const queue: Waiting[] = [];
  const makers = new WeakMap<PromptRecipe, number>();
  let nextMaker = 1;
  let isClosed = false;

  const startThread = (): Thread => {
    if (!existsSync(program)) throw new Error(`${program} is missing: npm run build makes it`);
    const worker = new Worker(program, { execArgv: [], stdin: false });
    const thread: Thread = {
      worker,
      makers: new Set(),
      tokenizers: new Set(),
      busyWith: undefined,
    };
    const lose = (error: unknown): void => {
      const place = threads.indexOf(thread);
      if (place >= 0) threads.splice(place, 1);
      thread.busyWith?.failed(error);
      thread.busyWith = undefined;
      serve();
    };
    worker.on("message", (reply: PromptReply) => {
      const waiting = thread.busyWith;
      thread.busyWith = undefined;
      worker.unref();
      if (waiting !== undefined && reply.kind !== "mistake")
        thread.tokenizers.add(waiting.job.tokenizer);
      waiting?.done(reply);
      serve();
    });
    worker.on("error", lose);
    worker.on("exit", () => {
      lose(new Error("a thread that makes prompts ended"));
    });
    worker.unref();
    threads.push(thread);
    return thread;
  };

  const serve = (): void => {
    while (queue.length > 0 && !isClosed) {
      const idle = threads.find(({ busyWith }) => busyWith === undefined);
      if (idle === undefined && threads.length >= count) return;
      const waiting = queue.shift();
      if (waiting === undefined) return;
      let thread: Thread;
      try {
        thread = idle ?? startThread();
      } catch (error) {
        waiting.failed(error);
        continue;
      }
      thread.busyWith = waiting;
      // A run waits for its prompts.
      thread.worker.ref();
      thread.worker.postMessage(forThread(thread, waiting));
    }
  };

  const ask = (job: PromptJob, recipe?: PromptRecipe): Promise<PromptReply> =>
    new Promise((done, failed) => {
      if (isClosed) {
        failed(new Error("the threads that make prompts are closed"));
        return;
      }
      queue.push({ job, recipe, done, failed });
      serve();
    });

  return {
    count,
    isReady: (tokenizer) =>
      threads.length === count && threads.every(({ tokenizers }) => tokenizers.has(tokenizer)),
    async prepare(tokenizer) {
      // As many at once as there are threads: each gets one.
      const jobs = Array.from({ length: count }, () =>
        ask({ kind: "count", tokenizer, prompts: [] }),
      );
      for (const reply of await Promise.all(jobs))
        if (reply.kind !== "counted") throw failureOf(reply);
    },
    async compose(recipe, range, tokenizer) {
      let maker = makers.get(recipe);
      if (maker === undefined) {
        maker = nextMaker;
        nextMaker += 1;
        makers.set(recipe, maker);
      }
      const job = { kind: "compose", tokenizer, maker, recipe: undefined, range } as const;
      const reply = await ask(job, recipe);
      if (reply.kind === "composed") return reply;
      throw failureOf(reply);
    },
    async countTokens(prompts, tokenizer) {
      const reply = await ask({ kind: "count", tokenizer, prompts });
      if (reply.kind === "counted") return reply.counts;
      throw failureOf(reply);
    },
    async rest() {
      const idle = threads.filter(({ busyWith }) => busyWith === undefined);
      for (const thread of idle) threads.splice(threads.indexOf(thread), 1);
      await Promise.all(idle.map(({ worker }) => worker.terminate()));
    },
    async close() {
      isClosed = true;
      const error = new Error("the threads that make prompts were closed");
      for (const waiting of queue.splice(0)) waiting.failed(error);
      await Promise.all(threads.splice(0).map(({ worker }) => worker.terminate()));
    },
  };
}

function forThread({ makers }: Thread, { job, recipe }: Waiting): PromptJob {
  if (job.kind !== "compose" || makers.has(job.maker)) return job;
  makers.add(job.maker);
  return { ...job, recipe };
}

function failureOf(reply: PromptReply): Error {
  return reply.kind === "mistake"
    ? new UserError(reply.parts)
    : new Error(`a thread answered with what was not asked for: ${reply.kind}`);
}
