// Rows of requests to the samples that stats/ computes from, in pages of columns: some 200 bytes a
// request and two a chunk, where an object for each row with a buffer of its own takes five times
// that. A trial of 100,000 requests of 100 tokens then takes 40 MB.
import type { RequestSample } from "../stats/samples.ts";
import {
  chunksOf,
  gapsOf,
  type PackedTimes,
  type SampleRow,
  tokenSourceOf,
} from "./request-row.ts";

/** Rows that wait to be packed together: few enough to die young. */
const rowsPerPage = 512;

/**
 * The samples of rows, in their order. Takes the rows one by one and keeps none of them; chunk times
 * stay packed and are unpacked each time they are asked for.
 */
export function packSamples(rows: Iterable<SampleRow>): readonly RequestSample[] {
  const samples: RequestSample[] = [];
  let waiting: SampleRow[] = [];
  const pack = (): void => {
    const page = pageOf(waiting);
    for (const place of waiting.keys()) samples.push(new PackedSample(page, place));
    waiting = [];
  };
  for (const row of rows) {
    waiting.push(row);
    if (waiting.length === rowsPerPage) pack();
  }
  pack();
  return samples;
}

/** A column for each value of its rows; NaN, which no stored number is, stands for undefined. */
type Page = ReturnType<typeof pageOf>;

function pageOf(rows: readonly SampleRow[]) {
  const numbers = (valueOf: (row: SampleRow) => number | null): Float64Array => {
    const column = new Float64Array(rows.length);
    // Not `from`, which is ten times as slow.
    for (const [place, row] of rows.entries()) column[place] = valueOf(row) ?? Number.NaN;
    return column;
  };
  const starts = new Uint32Array(rows.length + 1);
  for (const [place, row] of rows.entries())
    starts[place + 1] = (starts[place] ?? 0) + row.chunk_times.length;
  return {
    index: numbers((row) => row.request_index),
    phase: Uint8Array.from(rows, (row) => phases.indexOf(row.phase)),
    status: Uint8Array.from(rows, (row) => statuses.indexOf(row.status)),
    dueAtMs: numbers((row) => row.due_at_ms),
    sentAtMs: numbers((row) => row.sent_at_ms),
    firstAtMs: numbers((row) => row.first_at_ms),
    lastAtMs: numbers((row) => row.last_at_ms),
    endedAtMs: numbers((row) => row.ended_at_ms),
    outputChunks: numbers((row) => row.output_chunks),
    coalescedChunks: numbers((row) => row.coalesced_chunks),
    inputTokens: numbers((row) => row.usage_prompt_tokens ?? row.counted_input_tokens),
    outputTokens: numbers((row) => row.usage_completion_tokens ?? row.counted_output_tokens),
    cachedTokens: numbers((row) => row.usage_cached_tokens),
    tokenSource: Uint8Array.from(rows, (row) => sources.indexOf(tokenSourceOf(row))),
    plannedInputTokens: numbers((row) => row.planned_input_tokens),
    plannedOutputTokens: numbers((row) => row.planned_output_tokens),
    promptDigest: rows.map((row) => row.prompt_digest),
    /** The packed chunk times of all rows, and where those of each begin. */
    chunkTimes: Buffer.concat(rows.map((row) => row.chunk_times)),
    starts,
  };
}

const phases = ["warmup", "measured", "filler"] as const;
const statuses = [
  "completed",
  "rejected",
  "truncated",
  "timedOut",
  "failed",
  "cancelled",
] as const satisfies readonly RequestSample["status"][];
const sources = ["usage", "tokenizer", "none"] as const;

/** A row of a page, read where it lies. A class, because getters of its own would cost each sample a kilobyte. */
class PackedSample implements RequestSample {
  readonly #page: Page;
  readonly #place: number;

  constructor(page: Page, place: number) {
    this.#page = page;
    this.#place = place;
  }

  get index(): number {
    return numberAt(this.#page.index, this.#place);
  }
  get phase(): RequestSample["phase"] {
    return wordAt(phases, this.#page.phase, this.#place);
  }
  get status(): RequestSample["status"] {
    return wordAt(statuses, this.#page.status, this.#place);
  }
  get dueAtMs(): number {
    return numberAt(this.#page.dueAtMs, this.#place);
  }
  get sentAtMs(): number | undefined {
    return optionalAt(this.#page.sentAtMs, this.#place);
  }
  get firstAtMs(): number | undefined {
    return optionalAt(this.#page.firstAtMs, this.#place);
  }
  get lastAtMs(): number | undefined {
    return optionalAt(this.#page.lastAtMs, this.#place);
  }
  get endedAtMs(): number {
    return numberAt(this.#page.endedAtMs, this.#place);
  }
  get outputChunks(): number {
    return numberAt(this.#page.outputChunks, this.#place);
  }
  get coalescedChunks(): number {
    return numberAt(this.#page.coalescedChunks, this.#place);
  }
  get inputTokens(): number | undefined {
    return optionalAt(this.#page.inputTokens, this.#place);
  }
  get outputTokens(): number | undefined {
    return optionalAt(this.#page.outputTokens, this.#place);
  }
  get cachedTokens(): number | undefined {
    return optionalAt(this.#page.cachedTokens, this.#place);
  }
  get tokenSource(): RequestSample["tokenSource"] {
    return wordAt(sources, this.#page.tokenSource, this.#place);
  }
  get plannedInputTokens(): number {
    return numberAt(this.#page.plannedInputTokens, this.#place);
  }
  get plannedOutputTokens(): number {
    return numberAt(this.#page.plannedOutputTokens, this.#place);
  }
  get promptDigest(): string {
    return this.#page.promptDigest[this.#place] ?? "";
  }
  get chunksAtMs(): Float64Array {
    return chunksOf(this.#packedTimes());
  }
  gapsUs(into: Float64Array): void {
    gapsOf(this.#packedTimes(), into);
  }

  #packedTimes(): PackedTimes {
    const { chunkTimes, starts } = this.#page;
    return {
      chunk_times: chunkTimes.subarray(starts[this.#place], starts[this.#place + 1]),
      output_chunks: this.outputChunks,
      first_at_ms: this.firstAtMs ?? null,
      last_at_ms: this.lastAtMs ?? null,
    };
  }
}

function optionalAt(column: Float64Array, place: number): number | undefined {
  const value = column[place];
  return Number.isNaN(value) ? undefined : value;
}

function numberAt(column: Float64Array, place: number): number {
  const value = optionalAt(column, place);
  if (value === undefined) throw new Error(`a sample at ${place} lacks a number`);
  return value;
}

function wordAt<Word>(words: readonly Word[], codes: Uint8Array, place: number): Word {
  const word = words[codes[place] ?? words.length];
  if (word === undefined) throw new Error(`a sample at ${place} lacks a word`);
  return word;
}
