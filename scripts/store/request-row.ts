// A request as the client saw it to a row of `request_row`, and back: as the record it was, and as
// the sample that stats/ computes from.
import type { RequestPhase, RequestRecord, RequestStatus } from "../bench/request-record.ts";
import type { RequestSample } from "../stats/samples.ts";
import { decodeChunkTimes, encodeChunkTimes } from "./chunk-times.ts";

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

/**
 * The sample of a request. Its chunk times stay packed (two bytes a token in place of eight, so that
 * a long run fits in memory) and are unpacked each time they are asked for.
 */
export function toRequestSample(row: RequestRow): RequestSample {
  const { chunk_times, output_chunks, first_at_ms, last_at_ms } = row;
  return {
    index: row.request_index,
    phase: row.phase,
    status: row.status,
    dueAtMs: row.due_at_ms,
    sentAtMs: row.sent_at_ms ?? undefined,
    firstAtMs: row.first_at_ms ?? undefined,
    lastAtMs: row.last_at_ms ?? undefined,
    endedAtMs: row.ended_at_ms,
    outputChunks: row.output_chunks,
    coalescedChunks: row.coalesced_chunks,
    inputTokens: row.usage_prompt_tokens ?? row.counted_input_tokens ?? undefined,
    outputTokens: row.usage_completion_tokens ?? row.counted_output_tokens ?? undefined,
    cachedTokens: row.usage_cached_tokens ?? undefined,
    tokenSource: tokenSourceOf(row),
    plannedInputTokens: row.planned_input_tokens,
    plannedOutputTokens: row.planned_output_tokens,
    promptDigest: row.prompt_digest,
    get chunksAtMs() {
      return chunksOf({ chunk_times, output_chunks, first_at_ms, last_at_ms });
    },
  };
}

function tokenSourceOf(row: RequestRow): RequestSample["tokenSource"] {
  if (row.usage_completion_tokens !== null) return "usage";
  return row.counted_output_tokens === null ? "none" : "tokenizer";
}

/** The packed times, with the exact first and last put back, so that a gap never contradicts them. */
function chunksOf(
  row: Pick<RequestRow, "chunk_times" | "output_chunks" | "first_at_ms" | "last_at_ms">,
): Float64Array {
  const times = decodeChunkTimes(row.chunk_times, row.output_chunks);
  if (row.first_at_ms !== null) times[0] = row.first_at_ms;
  if (row.last_at_ms !== null) times[times.length - 1] = row.last_at_ms;
  return times;
}
