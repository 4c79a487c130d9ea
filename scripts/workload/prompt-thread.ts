// Program of a thread that makes and counts prompts; `prompt-threads.ts` starts it.
import { parentPort } from "node:worker_threads";
import { UserError } from "../errors.ts";
import type { PromptJob, PromptReply } from "./prompt-threads.ts";
import { composeRequests, promptComposer } from "./prompts.ts";
import type { Composer, PromptRecipe } from "./recipe.ts";
import { type LocalTokenizer, localTokenizer } from "./tokenizer.ts";

interface Maker {
  readonly recipe: PromptRecipe;
  readonly composer: Composer;
}

const tokenizers = new Map<string, Promise<LocalTokenizer>>();
const makers = new Map<number, Promise<Maker>>();

/** A maker serves one trial; those of earlier ones are forgotten. */
const mostMakers = 4;

function tokenizerOf(path: string): Promise<LocalTokenizer> {
  const known = tokenizers.get(path) ?? localTokenizer(path);
  tokenizers.set(path, known);
  return known;
}

async function newMaker(recipe: PromptRecipe, tokenizer: string): Promise<Maker> {
  return { recipe, composer: await promptComposer(recipe, await tokenizerOf(tokenizer)) };
}

function makerOf(job: Extract<PromptJob, { kind: "compose" }>): Promise<Maker> {
  const { maker, recipe, tokenizer } = job;
  if (recipe !== undefined) makers.set(maker, newMaker(recipe, tokenizer));
  for (const oldest of [...makers.keys()].slice(0, -mostMakers)) makers.delete(oldest);
  const found = makers.get(maker);
  if (found === undefined) throw new Error(`the thread knows no recipe ${maker}`);
  return found;
}

async function answer(job: PromptJob): Promise<PromptReply> {
  if (job.kind === "count") {
    const tokenizer = await tokenizerOf(job.tokenizer);
    return { kind: "counted", counts: job.prompts.map((prompt) => tokenizer.count(prompt)) };
  }
  const { recipe, composer } = await makerOf(job);
  return { kind: "composed", ...(await composeRequests(recipe, composer, job.range)) };
}

const port = parentPort;
if (port === null) throw new Error("this program is started as a thread");

async function serve(job: PromptJob): Promise<void> {
  const reply = await answer(job).catch((error: unknown): PromptReply => {
    // Anything else is a bug, and ends the thread with its stack.
    if (error instanceof UserError) return { kind: "mistake", parts: error.parts };
    throw error;
  });
  const moved =
    reply.kind === "composed"
      ? [
          reply.packed.bodies.buffer,
          reply.packed.lengths.buffer,
          reply.packed.tokens.buffer,
          reply.packed.digests.buffer,
        ]
      : [];
  port?.postMessage(reply, moved);
}

port.on("message", (job: PromptJob) => {
  void serve(job);
});
