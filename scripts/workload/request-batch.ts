// Requests on their way to the threads that send them: packed one after another, into memory that
// all threads share or a file that all can read, and taken out again without a copy.
import { closeSync, openSync, read, readSync } from "node:fs";
import type { PreparedRequest, RequestBatch, RequestSource } from "./requests.ts";

/** Some requests, packed; goes to another thread without a copy. */
export interface PackedRequests {
  readonly from: number;
  readonly bodies: Uint8Array<ArrayBuffer>;
  /** Bytes of each body. */
  readonly lengths: Uint32Array<ArrayBuffer>;
  /** Input and output tokens of each. */
  readonly tokens: Uint32Array<ArrayBuffer>;
  /** Eight bytes of each. */
  readonly digests: Uint8Array<ArrayBuffer>;
}

const digestBytes = 8;

/** Packs requests that follow one another, the first of which is number `from`. */
export function packRequests(from: number, requests: readonly PreparedRequest[]): PackedRequests {
  const lengths = Uint32Array.from(requests, ({ body }) => body.length);
  const bodies = new Uint8Array(lengths.reduce((sum, length) => sum + length, 0));
  const tokens = new Uint32Array(2 * requests.length);
  const digests = new Uint8Array(digestBytes * requests.length);
  let end = 0;
  for (const [index, { body, inputTokens, outputTokens, promptDigest }] of requests.entries()) {
    bodies.set(body, end);
    end += body.length;
    tokens[2 * index] = inputTokens;
    tokens[2 * index + 1] = outputTokens;
    digests.set(Buffer.from(promptDigest, "hex"), digestBytes * index);
  }
  return { from, bodies, lengths, tokens, digests };
}

/** The batch of packed requests that follow one another; `bodies`: where they were put already. */
export function batchOf(
  from: number,
  packs: readonly Omit<PackedRequests, "from" | "bodies">[],
  { turns, total, bodies }: Pick<RequestBatch, "turns" | "total" | "bodies">,
): RequestBatch {
  const count = packs.reduce((sum, { lengths }) => sum + lengths.length, 0);
  const offsets = new Float64Array(new SharedArrayBuffer(8 * (count + 1)));
  const tokens = new Uint32Array(new SharedArrayBuffer(8 * count));
  const digests = new Uint8Array(new SharedArrayBuffer(digestBytes * count));
  let place = 0;
  let end = 0;
  for (const pack of packs) {
    tokens.set(pack.tokens, 2 * place);
    digests.set(pack.digests, digestBytes * place);
    for (const length of pack.lengths) {
      end += length;
      place += 1;
      offsets[place] = end;
    }
  }
  return {
    from,
    count,
    turns,
    total,
    bodies,
    offsets: offsets.buffer,
    tokens: tokens.buffer,
    digests: digests.buffer,
  };
}

export interface BatchedSource extends RequestSource {
  /** Batches may come in any order; what they hold must not overlap. */
  readonly add: (batch: RequestBatch) => void;
  /** Closes the files of batches; they are not read any more. */
  readonly close: () => void;
}

/**
 * A source that hands out what was added, in any thread. Bodies of a batch in memory are views of it.
 * Bodies in a file are read in blocks, the next block while the last one is being sent; one that is
 * asked for out of order is read at once, which takes tens of microseconds.
 */
export function batchedSource(): BatchedSource {
  const batches: OpenBatch[] = [];
  const listeners: (() => void)[] = [];
  let newest: RequestBatch | undefined;
  /** Where the last one was found: requests are asked for in order. */
  let latest: OpenBatch | undefined;

  const holderOf = (index: number): OpenBatch | undefined => {
    if (latest !== undefined && holds(latest, index)) return latest;
    const found = batches.find((batch) => holds(batch, index));
    latest = found ?? latest;
    return found;
  };

  return {
    get turns() {
      return newest?.turns ?? 1;
    },
    get total() {
      return newest?.total;
    },
    request(index) {
      const batch = holderOf(index);
      return batch === undefined ? undefined : requestOf(batch, index - batch.from);
    },
    onMore(listener) {
      listeners.push(listener);
    },
    add(batch) {
      batches.push(openBatch(batch));
      newest = batch;
      for (const listener of listeners) listener();
    },
    close() {
      for (const { bodies } of batches) bodies.close();
    },
  };
}

interface OpenBatch {
  readonly from: number;
  readonly count: number;
  readonly offsets: Float64Array;
  readonly tokens: Uint32Array;
  readonly digests: Uint8Array;
  readonly bodies: Bodies;
}

/** The bytes from one place to another; a view, or a buffer of their own. */
interface Bodies {
  read(index: number): Buffer;
  close(): void;
}

function holds({ from, count }: OpenBatch, index: number): boolean {
  return index >= from && index < from + count;
}

function openBatch({ from, count, bodies, offsets, tokens, digests }: RequestBatch): OpenBatch {
  const places = new Float64Array(offsets);
  return {
    from,
    count,
    offsets: places,
    tokens: new Uint32Array(tokens),
    digests: new Uint8Array(digests),
    bodies:
      bodies.kind === "memory"
        ? bodiesInMemory(bodies.bytes, places)
        : bodiesInFile(bodies.path, places),
  };
}

function requestOf({ tokens, digests, bodies }: OpenBatch, place: number): PreparedRequest {
  const digest = digests.subarray(digestBytes * place, digestBytes * (place + 1));
  return {
    body: bodies.read(place),
    inputTokens: tokens[2 * place] ?? 0,
    outputTokens: tokens[2 * place + 1] ?? 0,
    promptDigest: Buffer.from(digest).toString("hex"),
  };
}

function bodiesInMemory(bytes: SharedArrayBuffer, offsets: Float64Array): Bodies {
  return {
    read: (place) => {
      const start = offsets[place] ?? 0;
      return Buffer.from(bytes, start, (offsets[place + 1] ?? start) - start);
    },
    close: () => undefined,
  };
}

/** Bytes that are read at once; a longer body is a block of its own. */
const blockBytes = 4 * 1024 * 1024;

/** Blocks kept: the one that is being sent, the next, and one for stragglers. */
const keptBlocks = 3;

interface Block {
  readonly first: number;
  /** Behind its last body. */
  readonly end: number;
  /** undefined: it is being read. */
  bytes: Buffer | undefined;
}

function bodiesInFile(path: string, offsets: Float64Array): Bodies {
  // Open from here on: the file may be removed while it is being read.
  const file = openSync(path, "r");
  let isClosed = false;
  let reading = 0;
  const closeWhenDone = (): void => {
    if (isClosed && reading === 0) closeSync(file);
  };
  let blocks: Block[] = [];
  const startOf = (place: number): number => offsets[place] ?? 0;
  const count = offsets.length - 1;

  const load = (first: number): void => {
    if (isClosed || first >= count || blocks.some((block) => block.first === first)) return;
    let end = first + 1;
    while (end < count && startOf(end + 1) - startOf(first) <= blockBytes) end += 1;
    const block: Block = { first, end, bytes: undefined };
    blocks = [...blocks, block].slice(-keptBlocks);
    const bytes = Buffer.allocUnsafeSlow(startOf(end) - startOf(first));
    reading += 1;
    read(file, bytes, 0, bytes.length, startOf(first), (error, bytesRead) => {
      reading -= 1;
      closeWhenDone();
      // Whoever needs a body of it reads that itself, and meets the error.
      if (error === null && bytesRead === bytes.length) block.bytes = bytes;
      else blocks = blocks.filter((other) => other !== block);
    });
  };

  load(0);
  return {
    read(place) {
      const block = blocks.find(({ first, end }) => place >= first && place < end);
      load(block?.end ?? place);
      const start = startOf(place);
      const length = startOf(place + 1) - start;
      if (block?.bytes !== undefined) {
        const within = start - startOf(block.first);
        return block.bytes.subarray(within, within + length);
      }
      const body = Buffer.allocUnsafeSlow(length);
      const got = readSync(file, body, 0, length, start);
      if (got !== length) throw new Error(`the batch in ${path} ends within a request`);
      return body;
    },
    close() {
      if (isClosed) return;
      isClosed = true;
      closeWhenDone();
    },
  };
}
