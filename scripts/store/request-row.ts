// A request as the client saw it to a row of `request_row`, and back to the record it was; and the
// parts of a row that a sample is made of.
import type { RequestPhase, RequestRecord, RequestStatus } from "../bench/request-record.ts";
import type { RequestSample } from "../stats/samples.ts";
import { decodeChunkTimes, decodeGaps, encodeChunkTimes } from "./chunk-times.ts";

/** Tokens of a request where the server's usage lacks them. */
export interface CountedTokens {
  readonly inputTokens?: number | undefined;
  readonly outputTokens?: number | undefined;
  /** Only `tokenizer` says something that the record's usage does not. */
  readonly source: RequestSample["tokenSource"];
}

/** Keys are the table's columns. */
export interface RequestRow {
  readonly attempt_id: number;
  readonly request_index: number;
  readonly phase: RequestPhase;
  readonly status: RequestStatus;
  readonly due_at_ms: number;
  readonly sent_at_ms: number | null;
  readonly headers_at_ms: number | null;
  readonly first_at_ms: number | null;
  readonly last_at_ms: number | null;
  readonly ended_at_ms: number;
  readonly output_chunks: number;
  readonly coalesced_chunks: number;
  readonly usage_prompt_tokens: number | null;
  readonly usage_completion_tokens: number | null;
  readonly usage_cached_tokens: number | null;
  readonly counted_input_tokens: number | null;
  readonly counted_output_tokens: number | null;
  readonly planned_input_tokens: number;
  readonly planned_output_tokens: number;
  readonly finish_reason: string | null;
  readonly http_status: number | null;
  readonly detail: string | null;
  readonly prompt_digest: string;
  readonly chunk_times: Buffer;
}

/** Copies everything out of `record`, whose arrays may be reused by the client afterwards. */
export function toRequestRow(
  attemptId: number,
  record: RequestRecord,
  tokens: CountedTokens | undefined,
): RequestRow {
  const counted = tokens?.source === "tokenizer" ? tokens : undefined;
  return {
    attempt_id: attemptId,
    request_index: record.index,
    phase: record.phase,
    status: record.status,
    due_at_ms: record.dueAtMs,
    sent_at_ms: record.sentAtMs ?? null,
    headers_at_ms: record.headersAtMs ?? null,
    first_at_ms: record.chunksAtMs.at(0) ?? null,
    last_at_ms: record.chunksAtMs.at(-1) ?? null,
    ended_at_ms: record.endedAtMs,
    output_chunks: record.chunksAtMs.length,
    coalesced_chunks: record.coalescedChunks,
    usage_prompt_tokens: record.usage.promptTokens ?? null,
    usage_completion_tokens: record.usage.completionTokens ?? null,
    usage_cached_tokens: record.usage.cachedTokens ?? null,
    counted_input_tokens: counted?.inputTokens ?? null,
    counted_output_tokens: counted?.outputTokens ?? null,
    planned_input_tokens: record.plannedInputTokens,
    planned_output_tokens: record.plannedOutputTokens,
    finish_reason: record.finishReason ?? null,
    http_status: record.status === "rejected" ? record.httpStatus : null,
    detail: detailOf(record),
    prompt_digest: record.promptDigest,
    chunk_times: encodeChunkTimes(record.chunksAtMs),
  };
}

function detailOf(record: RequestRecord): string | null {
  if (record.status === "completed") return null;
  return record.status === "rejected" ? record.body : record.cause;
}

/** The record as it was appended; its chunk times to 0.5 microseconds, first and last exactly. */
export function toRequestRecord(row: RequestRow): RequestRecord {
  const base = {
    index: row.request_index,
    phase: row.phase,
    dueAtMs: row.due_at_ms,
    sentAtMs: row.sent_at_ms ?? undefined,
    headersAtMs: row.headers_at_ms ?? undefined,
    chunksAtMs: chunksOf(row),
    coalescedChunks: row.coalesced_chunks,
    endedAtMs: row.ended_at_ms,
    usage: {
      promptTokens: row.usage_prompt_tokens ?? undefined,
      completionTokens: row.usage_completion_tokens ?? undefined,
      cachedTokens: row.usage_cached_tokens ?? undefined,
    },
    finishReason: row.finish_reason ?? undefined,
    plannedInputTokens: row.planned_input_tokens,
    plannedOutputTokens: row.planned_output_tokens,
    promptDigest: row.prompt_digest,
  };
  const { status } = row;
  const detail = row.detail ?? "";
  if (status === "completed") return { ...base, status };
  if (status === "rejected") {
    if (row.http_status === null) throw new Error("a rejected request lacks its HTTP status");
    return { ...base, status, httpStatus: row.http_status, body: detail };
  }
  return { ...base, status, cause: detail };
}

/** What a sample needs of a row. */
export const sampleColumns = [
  "request_index",
  "phase",
  "status",
  "due_at_ms",
  "sent_at_ms",
  "first_at_ms",
  "last_at_ms",
  "ended_at_ms",
  "output_chunks",
  "coalesced_chunks",
  "usage_prompt_tokens",
  "usage_completion_tokens",
  "usage_cached_tokens",
  "counted_input_tokens",
  "counted_output_tokens",
  "planned_input_tokens",
  "planned_output_tokens",
  "prompt_digest",
  "chunk_times",
] as const satisfies readonly (keyof RequestRow)[];

export type SampleRow = Pick<RequestRow, (typeof sampleColumns)[number]>;

/** Who counted the tokens of an answer. */
export function tokenSourceOf(row: SampleRow): RequestSample["tokenSource"] {
  if (row.usage_completion_tokens !== null) return "usage";
  return row.counted_output_tokens === null ? "none" : "tokenizer";
}

/** The packed chunk times of a row, and what must be known to unpack them. */
export type PackedTimes = Pick<
  RequestRow,
  "chunk_times" | "output_chunks" | "first_at_ms" | "last_at_ms"
>;

/** The packed times, with the exact first and last put back, so that a gap never contradicts them. */
export function chunksOf(row: PackedTimes): Float64Array {
  const times = decodeChunkTimes(row.chunk_times, row.output_chunks);
  if (row.first_at_ms !== null) times[0] = row.first_at_ms;
  if (row.last_at_ms !== null) times[times.length - 1] = row.last_at_ms;
  return times;
}

/** The gaps of `chunksOf`: whole microseconds but for the first and the last. */
export function gapsOf(row: PackedTimes, gapsUs: Float64Array): void {
  const { chunk_times, output_chunks: chunks, first_at_ms, last_at_ms } = row;
  const lastUs = decodeGaps(chunk_times, gapsUs, chunks);
  if (chunks < 2 || first_at_ms === null || last_at_ms === null) return;
  const firstUs = gapsUs[0] ?? 0;
  gapsUs[1] = (gapsUs[1] ?? 0) + (firstUs - first_at_ms * 1000);
  gapsUs[chunks - 1] = (gapsUs[chunks - 1] ?? 0) + (last_at_ms * 1000 - lastUs);
}
