// From the measured requests of a trial to the clock points that the clients of other tools would have
// seen: what their formulas are made of. The fillers and the warm-up of ours are nobody's requests.
import type { LocalText } from "../experiment/experiment.ts";
import { GapPool } from "./inter-token.ts";
import type { RequestSample, TrialSamples } from "./samples.ts";
import { isNumber } from "./trial-value.ts";
import { isOpenLoop } from "./window.ts";

/**
 * A request with what only some tools look at. The store does not keep these marks: without them
 * every output chunk counts as text, and the first and last chunk with a choice as the first and last
 * output chunk.
 */
export interface MarkedRequest extends RequestSample {
  /** How many of the first output chunks are reasoning, not text. */
  readonly reasoningChunks?: number;
  /** First and last chunk that holds a choice, output in it or not: a role chunk, a finish reason. */
  readonly firstChoiceAtMs?: number;
  readonly lastChoiceAtMs?: number;
}

export type MarkedTrial = Omit<TrialSamples, "requests"> & {
  readonly requests: readonly MarkedRequest[];
};

/** A request that was sent and was not cancelled by us. */
export interface SeenRequest extends MarkedRequest {
  readonly sentAtMs: number;
}

/** A completed request with output. */
export interface Answer extends SeenRequest {
  readonly firstAtMs: number;
  readonly lastAtMs: number;
}

/** What a tool would have made its figures of, had the measured requests been its whole run. */
export interface ToolCohort {
  readonly isOpenLoop: boolean;
  /** In order of dispatch; failed ones too. */
  readonly sent: readonly SeenRequest[];
  readonly completed: readonly SeenRequest[];
  /** The completed ones that have output. */
  readonly answers: readonly Answer[];
  /** Gaps between their output chunks, pooled; made when first asked for. */
  readonly gaps: () => GapPool;
}

/** Values of which a tool prints the mean or a percentile. */
export interface Sample {
  readonly values: readonly number[];
  /** One per value; absent: all alike. */
  readonly weights?: readonly number[];
}

export type Formula = { readonly text: LocalText } & (
  | { readonly kind: "sample"; readonly of: (cohort: ToolCohort) => Sample }
  /** A sample of gaps, of which there are many. */
  | { readonly kind: "gaps"; readonly of: (cohort: ToolCohort) => GapPool }
  | { readonly kind: "number"; readonly of: (cohort: ToolCohort) => number | undefined }
);

/** The cohort of a trial. */
export function toolCohort(trial: MarkedTrial): ToolCohort {
  const sent = trial.requests.filter(isSeen);
  const completed = sent.filter(({ status }) => status === "completed");
  const answers = completed.filter(isAnswer);
  let gaps: GapPool | undefined;
  return {
    isOpenLoop: isOpenLoop(trial),
    sent,
    completed,
    answers,
    gaps: () => (gaps ??= poolOf(answers)),
  };
}

/** The gaps between the chunks of streams, pooled. */
export function poolOf(streams: Iterable<Parameters<GapPool["add"]>[0]>): GapPool {
  const pool = new GapPool();
  for (const one of streams) pool.add(one);
  return pool;
}

function isSeen(request: MarkedRequest): request is SeenRequest {
  return (
    request.phase === "measured" && request.status !== "cancelled" && request.sentAtMs !== undefined
  );
}

function isAnswer(request: SeenRequest): request is Answer {
  return request.firstAtMs !== undefined && request.lastAtMs !== undefined;
}

/** Output tokens; 0 for a request without output whose usage says nothing, undefined: not counted. */
export function tokensOf({ outputTokens, outputChunks }: RequestSample): number | undefined {
  return outputTokens ?? (outputChunks === 0 ? 0 : undefined);
}

/**
 * A request as a client sees it that reads `content` and no reasoning.
 *
 * @returns undefined: it has no text. Its tokens: those of the request, by the share of its chunks
 * that are text.
 */
export function textOf(
  request: Answer,
):
  | { readonly firstAtMs: number; readonly tokens: number | undefined; readonly chunks: number }
  | undefined {
  const reasoning = request.reasoningChunks ?? 0;
  const firstAtMs = reasoning === 0 ? request.firstAtMs : request.chunksAtMs[reasoning];
  if (firstAtMs === undefined) return undefined;
  const chunks = request.outputChunks - reasoning;
  const { outputTokens } = request;
  const tokens =
    outputTokens === undefined ? undefined : (outputTokens * chunks) / request.outputChunks;
  return { firstAtMs, tokens, chunks };
}

/**
 * Seconds from the first dispatch of the requests to the last of `ends`.
 *
 * @returns undefined when there is no request, or no time passed
 */
export function spanS<Request extends SeenRequest>(
  requests: readonly Request[],
  endAtMs: (request: Request) => number = ({ endedAtMs }) => endedAtMs,
): number | undefined {
  let fromMs = Number.POSITIVE_INFINITY;
  let toMs = Number.NEGATIVE_INFINITY;
  for (const request of requests) {
    fromMs = Math.min(fromMs, request.sentAtMs);
    toMs = Math.max(toMs, endAtMs(request));
  }
  return toMs > fromMs ? (toMs - fromMs) / 1000 : undefined;
}

/** Sum of a count over requests; undefined when one of them has none. */
export function totalOf(
  requests: readonly SeenRequest[],
  count: (request: SeenRequest) => number | undefined,
): number | undefined {
  const counts = requests.map(count);
  const known = counts.filter(isNumber);
  return known.length < counts.length ? undefined : known.reduce((a, b) => a + b, 0);
}

/** One value per request; a request of which it is undefined has none. */
export function each<Request>(
  requests: readonly Request[],
  of: (request: Request) => number | undefined,
): Sample {
  return { values: requests.flatMap((request) => of(request) ?? []) };
}

/** A quotient; undefined where a part of it is, or where nothing divides. */
export function per(above: number | undefined, below: number | undefined): number | undefined {
  return above === undefined || below === undefined || below <= 0 ? undefined : above / below;
}

/** Arithmetic mean; undefined without a value. */
export function meanOf(values: readonly number[]): number | undefined {
  return per(
    values.reduce((a, b) => a + b, 0),
    values.length,
  );
}

/** First to last output chunk, ms. */
export function streamMs({ firstAtMs, lastAtMs }: Answer): number {
  return lastAtMs - firstAtMs;
}

/** Dispatch to first output chunk, ms. */
export function waitMs({ firstAtMs, sentAtMs }: Answer): number {
  return firstAtMs - sentAtMs;
}

/** Dispatch to the end of the stream, ms. */
export function openMs({ endedAtMs, sentAtMs }: SeenRequest): number {
  return endedAtMs - sentAtMs;
}

/** (end of the stream - first output chunk) / (n - 1), ms; undefined for n < 2. */
export function tpotToEndMs({
  endedAtMs,
  firstAtMs,
  outputTokens = 0,
}: Answer): number | undefined {
  return per(endedAtMs - firstAtMs, outputTokens - 1);
}

/** (mean E2E - mean TTFT) / (mean n - 1), ms. */
export function tpotOfMeansMs({ answers }: ToolCohort): number | undefined {
  const tokens = per(totalOf(answers, tokensOf), answers.length);
  return per(meanOf(answers.map(streamMs)), tokens === undefined ? undefined : tokens - 1);
}
