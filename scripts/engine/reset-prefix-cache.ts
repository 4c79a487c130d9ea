// Asks a server to forget the prompts that it has seen, by vLLM's /reset_prefix_cache (which the
// embedded engine serves too) or SGLang's /flush_cache, and says how that ended.
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { nowMs } from "../units.ts";
import type { CacheReset, EngineEndpoint } from "./engine.ts";
import { probe } from "./http.ts";

/** As vLLM 0.32.0 answers. Older ones answer 200 without a body and don't say whether they did it. */
const resetAnswer = z.object({ success: z.boolean() });

interface ResetCall {
  readonly path: string;
  /** Not now: requests hold blocks. */
  readonly refuses: (status: number, text: string) => boolean;
}

/** Which server's call is made. */
export type ResetDialect = "vLLM" | "SGLang";

const calls: Readonly<Record<ResetDialect, ResetCall>> = {
  vLLM: {
    path: "/reset_prefix_cache",
    refuses: (_status, text) => resetAnswer.safeParse(jsonOf(text)).data?.success === false,
  },
  SGLang: { path: "/flush_cache", refuses: (status) => status === 400 },
};

/**
 * Empties the prefix cache. A server refuses while requests hold blocks, and those that a client
 * cancelled may do so for a moment longer: a refusal is asked again until `withinMs` are over.
 * @returns "not_offered" where the server has no such call; never throws
 */
export async function resetPrefixCache(
  { baseUrl, headers }: Pick<EngineEndpoint, "baseUrl" | "headers">,
  {
    dialect = "vLLM",
    withinMs = 2000,
    everyMs = 50,
  }: {
    readonly dialect?: ResetDialect;
    readonly withinMs?: number;
    readonly everyMs?: number;
  } = {},
): Promise<CacheReset> {
  const { path, refuses } = calls[dialect];
  const untilMs = nowMs() + withinMs;
  for (;;) {
    const answer = await probe(`${baseUrl}${path}`, { headers, body: {} });
    if (answer.kind === "unreachable") return "failed";
    const { status, text } = answer;
    if (status === 404 || status === 405) return "not_offered";
    if (!refuses(status, text)) return status >= 200 && status <= 299 ? "done" : "failed";
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
