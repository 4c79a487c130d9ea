// Runs the client's code hot before it measures: against a paced server in the same thread, so that
// the engine under test sees nothing of it.
import { createPacedServer } from "../engine/paced/paced-server.ts";
import { nowMs } from "../units.ts";
import { openClient } from "./client.ts";

const requests = 64;
const streams = 32;
const outputTokens = 32;

/** Sends some small requests to nobody and forgets what came. Takes about a tenth of a second. */
export async function warmUpClient(): Promise<void> {
  const server = await createPacedServer({ pace: "uniform", ttftMs: 0, gapMs: 0 });
  const zeroMs = nowMs();
  const client = await openClient({
    endpoint: { baseUrl: server.url, model: "paced", headers: {} },
    path: "/v1/completions",
    limits: { requestMs: 10_000, stallMs: 10_000 },
    sinceZero: () => nowMs() - zeroMs,
    redact: (text) => text,
    connections: streams,
    mostConnections: streams,
  });
  try {
    let sent = 0;
    const stream = (): Promise<void> =>
      new Promise((resolve) => {
        const next = (): void => {
          if (sent === requests) {
            resolve();
            return;
          }
          const index = sent;
          sent += 1;
          client.send(
            { index, phase: "warmup", dueAtMs: nowMs() - zeroMs, prepared: preparedOf(index) },
            // Not within the call: the client has to finish with the last one first.
            () => void setImmediate(next),
          );
        };
        next();
      });
    await Promise.all(Array.from({ length: streams }, stream));
  } finally {
    await client.close();
    await server.close();
  }
}

function preparedOf(index: number): {
  readonly body: Buffer;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly promptDigest: string;
} {
  const body = {
    model: "paced",
    prompt: `warm up ${index}`,
    max_tokens: outputTokens,
    stream: true,
    stream_options: { include_usage: true },
  };
  return {
    body: Buffer.from(JSON.stringify(body)),
    inputTokens: 3,
    outputTokens,
    promptDigest: index.toString(16).padStart(16, "0"),
  };
}
