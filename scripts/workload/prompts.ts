// From a workload to the requests of a trial: prompts made up to an exact length, taken from a
// dataset or shaped after a trace; the same seed gives the same requests.
import { createHash } from "node:crypto";
import type { LengthSpec, Workload } from "../experiment/experiment.ts";
import { nowMs } from "../units.ts";
import { datasetComposer } from "./dataset-prompts.ts";
import type { ComposedPrompt, Composer, CountPrompts, PromptRecipe } from "./recipe.ts";
import { type PackedRequests, packRequests } from "./request-batch.ts";
import type { PreparedRequest, RequestSource } from "./requests.ts";
import { syntheticComposer } from "./synthetic.ts";
import type { PromptContent, PromptTokenizer } from "./tokenizer.ts";

/**
 * The composer of a trial.
 * @param countPrompts for prompts that are not made up; else one after another
 * @throws UserError when a prompt of the asked length can't be made, or the dataset can't be read
 */
export function promptComposer(
  recipe: PromptRecipe,
  tokenizer: PromptTokenizer,
  countPrompts?: CountPrompts,
): Promise<Composer> {
  const {
    workload: { input },
    trace,
  } = recipe;
  return trace === undefined && input.kind === "dataset"
    ? datasetComposer(recipe, input, countPrompts ?? countHere(tokenizer), tokenizer)
    : syntheticComposer(recipe, tokenizer);
}

/** Counts in this thread; a server is asked a few at a time. */
export function countHere(tokenizer: PromptTokenizer): CountPrompts {
  const atOnce = tokenizer.source === "server" ? 8 : 1;
  return async (prompts) => {
    const breath = breathing();
    const counts: number[] = [];
    for (let from = 0; from < prompts.length; from += atOnce) {
      const some = prompts.slice(from, from + atOnce);
      counts.push(...(await Promise.all(some.map(async (prompt) => tokenizer.count(prompt)))));
      await breath();
    }
    return counts;
  };
}

/** Making prompts is pure computing: whoever shares the thread gets a turn now and then. */
function breathing(everyMs = 10): () => Promise<void> {
  let lastMs = nowMs();
  return async () => {
    if (nowMs() - lastMs < everyMs) return;
    await new Promise(setImmediate);
    lastMs = nowMs();
  };
}

/**
 * The requests of a trial made in this thread, each when it is asked for: for single prompts.
 * @throws UserError when a prompt of the asked length can't be made; so does `request`
 */
export async function makeRequestSource(
  recipe: PromptRecipe,
  tokenizer: PromptTokenizer,
): Promise<RequestSource> {
  const composer = await promptComposer(recipe, tokenizer);
  const total = await composer.reach(Number.POSITIVE_INFINITY);
  const made: PreparedRequest[] = [];
  return {
    turns: composer.turns,
    total,
    request(index) {
      if (total !== undefined && index >= total) return undefined;
      made[index] ??= prepareRequest(recipe, composer.compose(index, true));
      return made[index];
    },
    // All are there as soon as they are asked for.
    onMore: () => undefined,
  };
}

/** Requests of one part of a batch, packed. */
export interface ComposedRequests {
  readonly packed: PackedRequests;
  /** Whether the prompt that was counted as a whole disagreed with the sum, and so all were. */
  readonly countedWhole: boolean;
}

/** Parts of a batch end at multiples of this: of each part one prompt is counted as a whole. */
const partLength = 128;

/** The parts of the requests [from, to); the same part gives the same requests in any thread. */
export function partsOf(from: number, to: number): readonly RequestRange[] {
  const parts: RequestRange[] = [];
  for (let start = from; start < to; ) {
    const end = Math.min(to, (Math.floor(start / partLength) + 1) * partLength);
    parts.push({ from: start, to: end });
    start = end;
  }
  return parts;
}

export interface RequestRange {
  readonly from: number;
  readonly to: number;
}

/**
 * Makes the requests of one part. One prompt of it is counted as a whole; where that is another
 * prompt than the sum of its words gave, all of the part are.
 */
export async function composeRequests(
  recipe: PromptRecipe,
  composer: Composer,
  { from, to }: RequestRange,
): Promise<ComposedRequests> {
  // Every turn of a conversation has its share of the parts.
  const sample = from + (Math.floor(from / partLength) % Math.min(composer.turns, to - from));
  const countedWhole =
    composer.provesBySample &&
    digestOf(composer.compose(sample, true).content) !==
      digestOf(composer.compose(sample, false).content);
  const breath = breathing();
  const requests: PreparedRequest[] = [];
  for (let index = from; index < to; index += 1) {
    requests.push(prepareRequest(recipe, composer.compose(index, countedWhole)));
    await breath();
  }
  return { packed: packRequests(from, requests), countedWhole };
}

/** The request that a prompt becomes. */
function prepareRequest(
  { model }: Pick<PromptRecipe, "model">,
  { content, inputTokens, outputTokens }: ComposedPrompt,
): PreparedRequest {
  const body = {
    model,
    ...(typeof content === "string"
      ? { prompt: content }
      : { messages: content, max_completion_tokens: outputTokens }),
    max_tokens: outputTokens,
    // vLLM and SGLang then answer with exactly this many; what they say in `usage` is recorded.
    min_tokens: outputTokens,
    ignore_eos: true,
    temperature: 0,
    stream: true,
    stream_options: { include_usage: true },
  };
  return {
    body: Buffer.from(JSON.stringify(body)),
    inputTokens,
    outputTokens,
    promptDigest: digestOf(content),
  };
}

/** First 16 hex of the sha256 of a prompt; of one message, of its text alone. */
function digestOf(content: PromptContent): string {
  const text =
    typeof content === "string"
      ? content
      : content.length === 1
        ? (content[0]?.content ?? "")
        : JSON.stringify(content);
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}

/**
 * The longest request a workload can ask for: input + output, tokens, over all turns of a
 * conversation; undefined when open-ended.
 */
export function longestRequestTokens({ input, output, turns }: Workload): number | undefined {
  if (input.kind === "dataset") return undefined;
  const longest = (spec: LengthSpec): number | undefined =>
    spec.kind === "exact" ? spec.tokens : spec.kind === "uniform" ? spec.max : undefined;
  const inputTokens = longest(input);
  const outputTokens = longest(output);
  return inputTokens === undefined || outputTokens === undefined
    ? undefined
    : turns * (inputTokens + outputTokens);
}
