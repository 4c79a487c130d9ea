import { describe, expect, it } from "vitest";
import { packRecords, unpackRecords } from "./record-batch.ts";
import type { RequestRecord } from "./request-record.ts";

const record = (index: number, chunks: readonly number[]): RequestRecord => ({
  index,
  phase: "measured",
  status: "completed",
  dueAtMs: 0,
  sentAtMs: 0.5,
  headersAtMs: undefined,
  chunksAtMs: Float64Array.from(chunks),
  coalescedChunks: 0,
  endedAtMs: 9,
  usage: { promptTokens: 1, completionTokens: undefined, cachedTokens: undefined },
  finishReason: "stop",
  plannedInputTokens: 1,
  plannedOutputTokens: 2,
  promptDigest: "00",
});

describe("a batch of records", () => {
  it("gives back the records that were packed, also after a trip between threads", () => {
    const failed: RequestRecord = { ...record(2, []), status: "failed", cause: "reset" };
    const records = [record(0, [1, 2.5]), record(1, [3]), failed];
    const batch = packRecords(records);
    const sent = structuredClone(batch, { transfer: [batch.chunksAtMs.buffer] });
    expect(unpackRecords(sent)).toEqual(records);
    expect(batch.chunksAtMs).toHaveLength(0);
  });
});
