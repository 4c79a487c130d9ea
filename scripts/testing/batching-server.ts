// A continuous-batching server in virtual time: a queue, a limit of the batch, steps whose time grows
// with batch, context and prefill. No clock runs, so a load can be driven for hours in a second, and
// what a window protocol tells can be held to what the server does in the long run.

/** What happens at which virtual time, ms; the same order for the same calls. */
export interface VirtualTime {
  readonly now: () => number;
  /** Calls back after so many ms; gives a function that takes this back. */
  after(durationMs: number, act: () => void): () => void;
  /** Acts in order of time until this says that it is over, or nothing is left to happen. */
  runUntil(isOver: () => boolean): void;
}

export interface BatchingServerOptions {
  /** Most requests in a batch (vLLM's max_num_seqs). */
  readonly maxSequences: number;
  /** Most tokens of a step, one for each decoding request and the rest for prefill (max_num_batched_tokens). */
  readonly maxStepTokens: number;
  readonly stepTime: StepTime;
  /** Random part of a step's time: uniform within -+ this share, 0..1. */
  readonly jitter: number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/** Time of a step: the sum of these, ms. */
interface StepTime {
  readonly fixedMs: number;
  /** For each request in the batch. */
  readonly perSequenceMs: number;
  /** For each token of context that a decoding request attends to. */
  readonly perContextTokenMs: number;
  readonly perPrefillTokenMs: number;
}

interface BatchedRequest {
  readonly inputTokens: number;
  /** At least one. */
  readonly outputTokens: number;
  /** Each called once, at the end of the step that made the token. */
  readonly onFirstToken: () => void;
  readonly onLastToken: () => void;
}

export interface BatchingServer {
  /** Puts a request at the end of the queue. */
  submit(request: BatchedRequest): void;
  readonly running: number;
  readonly waiting: number;
}

interface Sequence {
  readonly request: BatchedRequest;
  prefillLeft: number;
}

/** An idle server. Admission is first come, first served, prefill is cut into the steps' budget. */
export function createBatchingServer(
  time: VirtualTime,
  { maxSequences, maxStepTokens, stepTime, jitter, random }: BatchingServerOptions,
): BatchingServer {
  const queue = createQueue<Sequence>();
  let prefilling: Sequence[] = [];
  /** Keyed by the step in which their last token is made. */
  const decoding = createHeap<Sequence>();
  let contextTokens = 0;
  let stepNumber = 0;
  let isStepping = false;

  const startStep = (): void => {
    let budget = Math.max(0, maxStepTokens - decoding.size);
    let prefillTokens = 0;
    const firsts: Sequence[] = [];
    const unfinished: Sequence[] = [];
    const prefill = (sequence: Sequence): void => {
      const tokens = Math.min(budget, sequence.prefillLeft);
      budget -= tokens;
      prefillTokens += tokens;
      sequence.prefillLeft -= tokens;
      (sequence.prefillLeft === 0 ? firsts : unfinished).push(sequence);
    };
    for (const sequence of prefilling) prefill(sequence);
    while (budget > 0 && decoding.size + firsts.length + unfinished.length < maxSequences) {
      const next = queue.take();
      if (next === undefined) break;
      prefill(next);
    }
    const batch = decoding.size + firsts.length + unfinished.length;
    isStepping = batch > 0;
    if (!isStepping) return;
    prefilling = unfinished;
    const meanMs =
      stepTime.fixedMs +
      stepTime.perSequenceMs * batch +
      stepTime.perContextTokenMs * contextTokens +
      stepTime.perPrefillTokenMs * prefillTokens;
    time.after(meanMs * (1 + jitter * (2 * random() - 1)), () => {
      endStep(firsts);
    });
  };

  const endStep = (firsts: readonly Sequence[]): void => {
    stepNumber += 1;
    contextTokens += decoding.size;
    const lasts: Sequence[] = [];
    while (decoding.leastKey === stepNumber) {
      const { request } = keep(lasts, decoding.takeLeast());
      contextTokens -= request.inputTokens + request.outputTokens;
    }
    for (const sequence of firsts) {
      const { inputTokens, outputTokens } = sequence.request;
      if (outputTokens === 1) lasts.push(sequence);
      else {
        decoding.put(stepNumber + outputTokens - 1, sequence);
        contextTokens += inputTokens + 1;
      }
    }
    for (const { request } of firsts) request.onFirstToken();
    for (const { request } of lasts) request.onLastToken();
    startStep();
  };

  return {
    submit(request) {
      queue.put({ request, prefillLeft: Math.max(1, request.inputTokens) });
      if (isStepping) return;
      isStepping = true;
      // Requests of the same instant share the first step.
      time.after(0, startStep);
    },
    get running() {
      return decoding.size + prefilling.length;
    },
    get waiting() {
      return queue.size;
    },
  };
}

function keep<Item>(into: Item[], item: Item): Item {
  into.push(item);
  return item;
}

/** A time that stands at 0 until it is run. */
export function createVirtualTime(): VirtualTime {
  const events = createHeap<{ act: (() => void) | undefined }>();
  let nowMs = 0;
  return {
    now: () => nowMs,
    after(durationMs, act) {
      const event: { act: (() => void) | undefined } = { act };
      events.put(nowMs + Math.max(0, durationMs), event);
      return () => {
        event.act = undefined;
      };
    },
    runUntil(isOver) {
      while (!isOver()) {
        const atMs = events.leastKey;
        if (atMs === undefined) return;
        const { act } = events.takeLeast();
        if (act === undefined) continue;
        nowMs = atMs;
        act();
      }
    },
  };
}

interface Heap<Item> {
  readonly size: number;
  /** undefined: it is empty. */
  readonly leastKey: number | undefined;
  put(key: number, item: Item): void;
  /** Of equal keys the one that was put first. @throws Error when it is empty */
  takeLeast(): Item;
}

interface HeapEntry<Item> {
  readonly key: number;
  readonly order: number;
  readonly item: Item;
}

/** A binary heap. */
function createHeap<Item>(): Heap<Item> {
  const entries: HeapEntry<Item>[] = [];
  let puts = 0;
  const isBefore = (a: HeapEntry<Item>, b: HeapEntry<Item>): boolean =>
    a.key < b.key || (a.key === b.key && a.order < b.order);

  const rise = (entry: HeapEntry<Item>): void => {
    let place = entries.length;
    while (place > 0) {
      const above = entries[(place - 1) >> 1];
      if (above === undefined || !isBefore(entry, above)) break;
      entries[place] = above;
      place = (place - 1) >> 1;
    }
    entries[place] = entry;
  };
  /** Puts `entry` in the place that the least one left. */
  const sink = (entry: HeapEntry<Item>): void => {
    let place = 0;
    for (;;) {
      const left = entries[2 * place + 1];
      if (left === undefined) break;
      const right = entries[2 * place + 2];
      const isRight = right !== undefined && isBefore(right, left);
      const below = isRight ? right : left;
      if (!isBefore(below, entry)) break;
      entries[place] = below;
      place = 2 * place + (isRight ? 2 : 1);
    }
    entries[place] = entry;
  };

  return {
    get size() {
      return entries.length;
    },
    get leastKey() {
      return entries[0]?.key;
    },
    put(key, item) {
      puts += 1;
      rise({ key, order: puts, item });
    },
    takeLeast() {
      const least = entries[0];
      const last = entries.pop();
      if (least === undefined || last === undefined) throw new Error("the heap is empty");
      if (entries.length > 0) sink(last);
      return least.item;
    },
  };
}

interface Queue<Item> {
  readonly size: number;
  put(item: Item): void;
  take(): Item | undefined;
}

/** First in, first out, without moving what waits. */
function createQueue<Item>(): Queue<Item> {
  let items: Item[] = [];
  let next = 0;
  return {
    get size() {
      return items.length - next;
    },
    put(item) {
      items.push(item);
    },
    take() {
      const item = items[next];
      if (item === undefined) return undefined;
      next += 1;
      if (next > 1000 && next * 2 > items.length) {
        items = items.slice(next);
        next = 0;
      }
      return item;
    },
  };
}
