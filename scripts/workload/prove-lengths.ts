// Before a trial, a few of its prompts are counted by the server that will get them: a tokenizer that
// is not the served model's would give every request another length than the record says.
import { z } from "zod";
import { UserError } from "../errors.ts";
import { batchedSource } from "./request-batch.ts";
import type { RequestBatch, RequestSource } from "./requests.ts";
import { seededOrder } from "./seeded-order.ts";
import { type Ask, type PromptContent, serverCount } from "./tokenizer.ts";

export interface LengthProof {
  /** Prompts that the server counts as the tokenizer does. */
  readonly checked: number;
}

/** Seeded ones, beside the first and the last. */
const moreChecked = 3;

const sentBody = z.union([
  z.object({ prompt: z.string() }).transform(({ prompt }): PromptContent => prompt),
  z
    .object({ messages: z.array(z.object({ role: z.string(), content: z.string() })) })
    .transform(({ messages }): PromptContent => messages),
]);

/**
 * Asks the server for the length of the first prompt, the last and a few between.
 *
 * @param requests a batch, or a source and how many of its requests are there
 * @param ask as for `findTokenizer`
 * @returns undefined when the server has no call that counts such prompts
 * @throws UserError with both counts where they differ
 */
export async function proveLengths(
  requests: RequestBatch | { readonly source: RequestSource; readonly count: number },
  ask: Ask,
  seed = "proof",
): Promise<LengthProof | undefined> {
  const { source, from, count, close } = opened(requests);
  try {
    const between = Array.from({ length: Math.max(0, count - 2) }, (_, place) => from + place + 1);
    const chosen = [
      ...new Set([from, ...seededOrder(between, seed).slice(0, moreChecked), from + count - 1]),
    ];
    let checked = 0;
    for (const index of chosen) {
      const request = source.request(index);
      if (request === undefined) continue;
      const content = sentBody.parse(JSON.parse(request.body.toString("utf8")));
      const counted = await serverCount(ask, content);
      if (counted === undefined) return undefined;
      if (counted !== request.inputTokens) {
        throw new UserError({
          what: `the server counts ${counted} tokens where the tokenizer here counts ${request.inputTokens} (request ${index})`,
          mend: "is it the tokenizer of the served model, with the same chat template? give the right folder as `tokenizer:` of the variant, or none, and the server is asked",
        });
      }
      checked += 1;
    }
    return { checked };
  } finally {
    close();
  }
}

function opened(
  requests: RequestBatch | { readonly source: RequestSource; readonly count: number },
): {
  readonly source: RequestSource;
  readonly from: number;
  readonly count: number;
  readonly close: () => void;
} {
  if ("source" in requests) return { ...requests, from: 0, close: () => undefined };
  const source = batchedSource();
  source.add(requests);
  return { source, from: requests.from, count: requests.count, close: source.close };
}
