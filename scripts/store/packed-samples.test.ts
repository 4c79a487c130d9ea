import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import type { RequestRecord } from "../bench/request-record.ts";
import { caseRecord, caseRecords } from "../testing/store-case.ts";
import { packSamples } from "./packed-samples.ts";
import { type CountedTokens, type RequestRow, toRequestRow } from "./request-row.ts";

const unused = { promptTokens: undefined, completionTokens: undefined, cachedTokens: undefined };
const counted: CountedTokens = { inputTokens: 31, outputTokens: 4, source: "tokenizer" };

/** One that never got a socket, one that the tokenizer counted, and the usual ones. */
const records: readonly RequestRecord[] = [
  ...caseRecords,
  {
    ...caseRecord(5, "measured", { dueAtMs: 9.25, sentAtMs: 9.25, endedAtMs: 12.5 }, []),
    sentAtMs: undefined,
    headersAtMs: undefined,
    usage: unused,
    finishReason: undefined,
    status: "failed",
    cause: "ECONNREFUSED",
  },
  {
    ...caseRecord(6, "measured", { dueAtMs: 70, sentAtMs: 71, endedAtMs: 99 }, [80, 91.0004]),
    usage: unused,
  },
];

function* rowsOf(count: number): Generator<RequestRow> {
  for (let index = 0; index < count; index += 1) {
    const record = records[index % records.length];
    if (record === undefined) throw new Error("there are records");
    yield toRequestRow(1, { ...record, index }, record.index === 6 ? counted : undefined);
  }
}

describe("packed samples", () => {
  it("say of each request what its record says, over more requests than a page has", () => {
    const samples = packSamples(rowsOf(600));
    expect(samples).toHaveLength(600);
    for (const [index, sample] of samples.entries()) {
      const record = records[index % records.length];
      if (record === undefined) throw new Error("there are records");
      const { usage, chunksAtMs, ...rest } = record;
      const own = record.index === 6 ? counted : undefined;
      const same = ["phase", "status", "dueAtMs", "sentAtMs", "endedAtMs", "promptDigest"] as const;
      const planned = ["coalescedChunks", "plannedInputTokens", "plannedOutputTokens"] as const;
      for (const key of [...same, ...planned]) expect(sample[key]).toBe(rest[key]);
      expect(sample.index).toBe(index);
      expect(sample.firstAtMs).toBe(chunksAtMs[0]);
      expect(sample.lastAtMs).toBe(chunksAtMs.at(-1));
      expect(sample.outputChunks).toBe(chunksAtMs.length);
      expect(sample.inputTokens).toBe(usage.promptTokens ?? own?.inputTokens);
      expect(sample.outputTokens).toBe(usage.completionTokens ?? own?.outputTokens);
      expect(sample.cachedTokens).toBe(usage.cachedTokens);
      expect(sample.tokenSource).toBe(
        usage.completionTokens !== undefined ? "usage" : own === undefined ? "none" : "tokenizer",
      );
      expect(sample.chunksAtMs).toEqual(chunksAtMs);
    }
  });

  it("are none of no rows", () => {
    expect(packSamples([])).toEqual([]);
  });

  it("take a quarter of a kilobyte a request and two bytes a chunk, not an object for each row", () => {
    const chunks = Array.from({ length: 100 }, (_, chunk) => 10 + 20 * chunk);
    const record = caseRecord(0, "measured", { dueAtMs: 0, sentAtMs: 1, endedAtMs: 2000 }, chunks);
    const count = 5000;
    function* rows(): Generator<RequestRow> {
      for (let index = 0; index < count; index += 1)
        yield toRequestRow(1, { ...record, index, promptDigest: `${10 ** 15 + index}` }, undefined);
    }
    packSamples(rows());
    const before = bytesInUse();
    const samples = packSamples(rows());
    const bytesEach = (bytesInUse() - before) / count;
    expect(samples).toHaveLength(count);
    // A row as SQLite gives it, with its sample, takes 1,600.
    expect(bytesEach).toBeLessThan(250 + 2 * chunks.length);
  });
});

/** Of living objects and the buffers beside them. */
function bytesInUse(): number {
  setFlagsFromString("--expose-gc");
  runInNewContext("globalThis.gc?.()");
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
