// Records on their way from a client thread to the main one: the chunk times of a whole batch in one
// array that changes hands without a copy.
import type { RequestRecord } from "./request-record.ts";

type WithoutTimes<Row> = Row extends RequestRecord ? Omit<Row, "chunksAtMs"> : never;

export interface RecordBatch {
  readonly rows: readonly (WithoutTimes<RequestRecord> & { readonly chunks: number })[];
  /** Chunk times, record after record. */
  readonly chunksAtMs: Float64Array<ArrayBuffer>;
}

/** A batch of records; hand `chunksAtMs.buffer` over with it. */
export function packRecords(records: readonly RequestRecord[]): RecordBatch {
  const total = records.reduce((sum, { chunksAtMs }) => sum + chunksAtMs.length, 0);
  const all = new Float64Array(total);
  let used = 0;
  const rows = records.map(({ chunksAtMs, ...row }) => {
    all.set(chunksAtMs, used);
    used += chunksAtMs.length;
    return { ...row, chunks: chunksAtMs.length };
  });
  return { rows, chunksAtMs: all };
}

/** The records of a batch, in its order; their times are views into the batch's array. */
export function unpackRecords({ rows, chunksAtMs }: RecordBatch): readonly RequestRecord[] {
  let used = 0;
  return rows.map(({ chunks, ...row }) => {
    used += chunks;
    return { ...row, chunksAtMs: chunksAtMs.subarray(used - chunks, used) };
  });
}
