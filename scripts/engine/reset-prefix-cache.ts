// Asks a server to forget the prompts that it has seen, by vLLM's /reset_prefix_cache (which the
// embedded engine serves too), and says how that ended.
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { nowMs } from "../units.ts";
import type { CacheReset, EngineEndpoint } from "./engine.ts";
import { probe } from "./http.ts";

/** As vLLM 0.32.0 answers. Older ones answer 200 without a body and don't say whether they did it. */
const resetAnswer = z.object({ success: z.boolean() });

/**
 * Empties the prefix cache. A server refuses while requests hold blocks, and those that a client
 * cancelled may do so for a moment longer: a refusal is asked again until `withinMs` are over.
 * @returns "not_offered" where the server has no such call; never throws
 */
export async function resetPrefixCache(
  { baseUrl, headers }: Pick<EngineEndpoint, "baseUrl" | "headers">,
  { withinMs = 2000, everyMs = 50 } = {},
): Promise<CacheReset> {
  const untilMs = nowMs() + withinMs;
  for (;;) {
    const answer = await probe(`${baseUrl}/reset_prefix_cache`, { headers, body: {} });
    if (answer.kind === "unreachable") return "failed";
    if (answer.status === 404 || answer.status === 405) return "not_offered";
    if (answer.status < 200 || answer.status > 299) return "failed";
    const said = resetAnswer.safeParse(jsonOf(answer.text));
    if (!said.success || said.data.success) return "done";
    if (nowMs() >= untilMs) return "failed";
    await delay(everyMs);
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
