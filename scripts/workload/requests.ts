// What a load takes its requests from, and the form in which they travel to the threads that send them.

/** One request, ready to send. */
export interface PreparedRequest {
  /** The JSON body, UTF-8. */
  readonly body: Buffer;
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** First 16 hex of the sha256 of the prompt. */
  readonly promptDigest: string;
}

/** Gives the requests of a trial, in any thread. */
export interface RequestSource {
  /** Request i is turn i % turns of conversation floor(i / turns); 1: requests of their own. */
  readonly turns: number;
  /**
   * The i-th request of a trial, from 0; the same i gives the same request. undefined: it is not
   * made yet; `onMore` tells when to ask again.
   */
  request(index: number): PreparedRequest | undefined;
  /** Calls back, once per batch, when later requests were made. */
  onMore(listener: () => void): void;
  /** Requests that will ever be there (a dataset or trace that ends); undefined: as many as are asked for. */
  readonly total: number | undefined;
}

/**
 * Requests [from, from + count) in memory or a file that every thread can read; goes through
 * `postMessage` without a copy of the bodies.
 */
export interface RequestBatch {
  readonly from: number;
  readonly count: number;
  readonly turns: number;
  readonly total: number | undefined;
  /** The bodies one after another: shared memory, or a file where they are large. */
  readonly bodies:
    | { readonly kind: "memory"; readonly bytes: SharedArrayBuffer }
    | { readonly kind: "file"; readonly path: string };
  /** float64 [count + 1]: where each body begins, bytes; the last entry is the end. */
  readonly offsets: SharedArrayBuffer;
  /** uint32 [count, 2]: input and output tokens. */
  readonly tokens: SharedArrayBuffer;
  /** uint8 [count, 8]: the prompts' digests. */
  readonly digests: SharedArrayBuffer;
}

/** Makes the requests of a trial, in the thread that does not measure. */
export interface RequestMaker {
  /**
   * Makes requests [from, from + count), fewer where `total` ends them.
   * @throws UserError when a prompt of the asked length can't be made
   */
  make(from: number, count: number): Promise<RequestBatch>;
  /** sha256 over the prompts' digests made so far, in order: 64 hex. */
  digest(): string;
  /** What the record should say of the prompts, in English sentences: entries of a dataset left out, and why. */
  notes(): readonly string[];
  /** Removes what was written to disk. */
  close(): Promise<void>;
}
