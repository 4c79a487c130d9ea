// A small trial against a simulated server: requests of any length, and every record and the summary
// in one answer.
import { type DriveDeps, type DriveInput, drive } from "../bench/drive.ts";
import type { DriveSummary, RequestRecord } from "../bench/request-record.ts";
import type { PreparedRequest, RequestSource } from "../workload/requests.ts";

export interface SmallTrial {
  readonly url: string;
  readonly model?: string;
  readonly concurrency: number;
  readonly warmupRequests?: number;
  readonly measured?: DriveInput["measured"];
  /** Output tokens of the i-th request. */
  readonly outputTokens?: (index: number) => number;
}

/** Input for `drive`, with limits that no good server comes near. */
export function smallTrial(
  {
    url,
    model = "sim",
    concurrency,
    warmupRequests = 0,
    measured,
    outputTokens = () => 4,
  }: SmallTrial,
  others: Partial<Omit<DriveInput, "endpoint" | "load">> = {},
): DriveInput {
  const request = (index: number): PreparedRequest => ({
    body: Buffer.from(
      JSON.stringify({ model, prompt: `p${index}`, max_tokens: outputTokens(index), stream: true }),
    ),
    inputTokens: 8,
    outputTokens: outputTokens(index),
    promptDigest: index.toString(16).padStart(16, "0"),
  });
  const source: RequestSource = { turns: 1, total: undefined, request, onMore: () => undefined };
  return {
    endpoint: { baseUrl: url, model, headers: {} },
    path: "/v1/completions",
    load: { kind: "concurrency", concurrency },
    warmupRequests,
    measured: measured ?? { kind: "count", requests: 4 },
    window: "handover",
    source,
    seed: "small trial",
    limits: {
      requestMs: 30_000,
      stallMs: 30_000,
      failureShare: 1,
      failureCount: undefined,
      trialMs: undefined,
    },
    signal: new AbortController().signal,
    ...others,
  };
}

/** Drives to the end, in the order in which the records came. */
export async function driveToEnd(
  input: DriveInput,
  deps?: DriveDeps,
): Promise<{ readonly records: readonly RequestRecord[]; readonly summary: DriveSummary }> {
  const records: RequestRecord[] = [];
  const driving = drive(input, deps);
  for (;;) {
    const next = await driving.next();
    if (next.done === true) return { records, summary: next.value };
    records.push(next.value);
  }
}
