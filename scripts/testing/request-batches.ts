// Requests in the form in which they travel to client threads, without a tokenizer: small ones whose
// number is their digest, which the paced server logs them by.
import { batchOf, packRequests } from "../workload/request-batch.ts";
import type { RequestBatch } from "../workload/requests.ts";

export interface SmallBatch {
  readonly from: number;
  readonly count: number;
  /** Output tokens of the i-th request. */
  readonly outputTokens?: (index: number) => number;
  readonly total?: number | undefined;
}

/** What a small request is known by: its number in hex, 16 digits. */
function smallId(index: number): string {
  return index.toString(16).padStart(16, "0");
}

export function smallBatch({
  from,
  count,
  outputTokens = () => 4,
  total,
}: SmallBatch): RequestBatch {
  const requests = Array.from({ length: count }, (_, place) => {
    const index = from + place;
    const body = {
      model: "paced",
      prompt: `p${index}`,
      request_id: smallId(index),
      max_tokens: outputTokens(index),
      stream: true,
      stream_options: { include_usage: true },
    };
    return {
      body: Buffer.from(JSON.stringify(body)),
      inputTokens: 1,
      outputTokens: outputTokens(index),
      promptDigest: smallId(index),
    };
  });
  const pack = packRequests(from, requests);
  const bytes = new SharedArrayBuffer(pack.bodies.length);
  new Uint8Array(bytes).set(pack.bodies);
  return batchOf(from, [pack], { turns: 1, total, bodies: { kind: "memory", bytes } });
}
