// Calls to an engine outside the timed path: readiness, model lists, tokenize. A failure is an
// answer too, since "not there" is what most probes want to learn.
import { request } from "undici";
import { messageOf } from "../errors.ts";

export type Answer =
  | { readonly kind: "answer"; readonly status: number; readonly text: string }
  | { readonly kind: "unreachable"; readonly why: string };

/** One GET, or POST where `body` is given (sent as JSON); never throws. */
export async function probe(
  url: string,
  options: {
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: unknown;
    readonly timeoutMs?: number;
  } = {},
): Promise<Answer> {
  const timeoutMs = options.timeoutMs ?? 10_000;
  try {
    const response = await request(url, {
      method: options.body === undefined ? "GET" : "POST",
      headers: {
        ...(options.body === undefined ? {} : { "content-type": "application/json" }),
        ...options.headers,
      },
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
      signal: AbortSignal.timeout(timeoutMs),
    });
    return { kind: "answer", status: response.statusCode, text: await response.body.text() };
  } catch (error) {
    return { kind: "unreachable", why: messageOf(error) };
  }
}

/** The JSON of a 200 answer; undefined for everything else. */
export async function probeJson(
  url: string,
  options: Parameters<typeof probe>[1] = {},
): Promise<unknown> {
  const answer = await probe(url, options);
  if (answer.kind !== "answer" || answer.status !== 200) return undefined;
  try {
    return JSON.parse(answer.text) as unknown;
  } catch {
    return undefined;
  }
}
