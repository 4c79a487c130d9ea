// From a recipe to batches of requests that any thread can send: made here or by several threads,
// whichever is faster, and kept on disk where they are large.
import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { type FileHandle, mkdtemp, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { nowMs } from "../units.ts";
import type { PromptThreads } from "./prompt-threads.ts";
import {
  type ComposedRequests,
  composeRequests,
  countHere,
  partsOf,
  promptComposer,
} from "./prompts.ts";
import type { CountPrompts, PromptRecipe } from "./recipe.ts";
import { batchOf, type PackedRequests } from "./request-batch.ts";
import type { RequestBatch, RequestMaker } from "./requests.ts";
import type { PromptTokenizer } from "./tokenizer.ts";

export interface RequestMakerOptions {
  /** Where batches go that are too large for memory; made when one is. */
  readonly folder: string;
  /** The largest batch that stays in memory, bytes of its bodies. */
  readonly mostBytes?: number;
  /** Make and count in these where that pays; the caller closes them. undefined: all is made here. */
  readonly threads?: PromptThreads | undefined;
}

/** 256 MiB: about 4,000 prompts of 10,000 tokens. */
const usualMostBytes = 256 * 1024 * 1024;

/** Work left before threads are asked; those that must load the tokenizer first need more to pay. */
const threadsPayMs = { ready: 200, cold: 4000 };

/** Characters of prompts to count before threads are asked, a second's work or two; and in one job. */
const threadsPayCharacters = { ready: 1_000_000, cold: 10_000_000 };
const jobCharacters = 250_000;

/**
 * Makes the requests of a trial, in the thread that does not measure. The requests are the same
 * whoever makes them.
 *
 * @throws UserError when a prompt of the asked length can't be made, or the dataset can't be read
 */
export async function requestMaker(
  recipe: PromptRecipe,
  tokenizer: PromptTokenizer,
  { folder, mostBytes = usualMostBytes, threads }: RequestMakerOptions,
): Promise<RequestMaker> {
  const composer = await promptComposer(recipe, tokenizer, counterOf(tokenizer, threads));
  const isDataset = recipe.trace === undefined && recipe.workload.input.kind === "dataset";
  const made: { readonly from: number; readonly digests: Uint8Array }[] = [];
  let countedWhole = 0;
  let ownFolder: string | undefined;

  /** Requests [from, to) in order, part by part. */
  async function* composed(from: number, to: number): AsyncGenerator<ComposedRequests> {
    const parts = partsOf(from, to);
    const startedMs = nowMs();
    for (const [place, part] of parts.entries()) {
      const perPartMs = place === 0 ? 0 : (nowMs() - startedMs) / place;
      const path = threadsTokenizer(perPartMs * (parts.length - place));
      if (threads !== undefined && path !== undefined) {
        const jobs = parts.slice(place).map((range) => () => threads.compose(recipe, range, path));
        yield* inOrder(jobs, 2 * threads.count);
        return;
      }
      yield await composeRequests(recipe, composer, part);
    }
  }

  /** The tokenizer that threads need, where they are faster than what is left to do here. */
  function threadsTokenizer(leftMs: number): string | undefined {
    // A dataset's prompts are counted by now; what is left is no work.
    if (threads === undefined || tokenizer.path === undefined || isDataset) return undefined;
    const readiness = threads.isReady(tokenizer.path) ? "ready" : "cold";
    return leftMs > threadsPayMs[readiness] ? tokenizer.path : undefined;
  }

  async function* packs(from: number, to: number): AsyncGenerator<PackedRequests> {
    for await (const part of composed(from, to)) {
      if (part.countedWhole) countedWhole += part.packed.lengths.length;
      yield part.packed;
    }
  }

  return {
    async make(from, count) {
      const total = await composer.reach(from + count);
      const to = Math.max(from, Math.min(from + count, total ?? Number.POSITIVE_INFINITY));
      const { bodies, taken } = await collect(packs(from, to), mostBytes, async () => {
        ownFolder ??= await mkdtemp(join(ensured(folder), "requests-"));
        return join(ownFolder, `${from}.bin`);
      });
      const batch = batchOf(from, taken, { turns: composer.turns, total, bodies });
      made.push({ from, digests: new Uint8Array(batch.digests) });
      return batch;
    },
    digest() {
      const hash = createHash("sha256");
      const inOrder = made.toSorted((left, right) => left.from - right.from);
      for (const { digests } of inOrder) hash.update(digests);
      return hash.digest("hex");
    },
    notes() {
      return [
        ...composer.notes(),
        ...(countedWhole === 0
          ? []
          : [
              `a prompt counted otherwise than the sum of its words: it and those made with it, ${countedWhole} in all, were each encoded as a whole to prove their length`,
            ]),
      ];
    },
    async close() {
      if (ownFolder !== undefined) await rm(ownFolder, { recursive: true, force: true });
      ownFolder = undefined;
    },
  };
}

function ensured(folder: string): string {
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** Answers in the order of the jobs, so many of which are under way at once. */
async function* inOrder<Answer>(
  jobs: readonly (() => Promise<Answer>)[],
  atOnce: number,
): AsyncGenerator<Answer> {
  const running: Promise<Answer>[] = [];
  for (const job of jobs) {
    const answer = job();
    // Whoever waits for its turn gets its failure.
    answer.catch(() => undefined);
    running.push(answer);
    if (running.length < atOnce) continue;
    const first = running.shift();
    if (first !== undefined) yield await first;
  }
  for (const answer of running) yield await answer;
}

/** Packed requests in memory, or from a limit on in a file. */
async function collect(
  packs: AsyncIterable<PackedRequests>,
  mostBytes: number,
  newFile: () => Promise<string>,
): Promise<{
  readonly bodies: RequestBatch["bodies"];
  readonly taken: readonly Omit<PackedRequests, "from" | "bodies">[];
}> {
  const taken: Omit<PackedRequests, "from" | "bodies">[] = [];
  let held: Uint8Array[] = [];
  let bytes = 0;
  let file: { readonly path: string; readonly handle: FileHandle } | undefined;
  try {
    for await (const { bodies, lengths, tokens, digests } of packs) {
      taken.push({ lengths, tokens, digests });
      held.push(bodies);
      bytes += bodies.length;
      if (file === undefined && bytes > mostBytes) {
        const path = await newFile();
        file = { path, handle: await open(path, "wx", 0o600) };
      }
      if (file === undefined) continue;
      for (const part of held) await file.handle.writeFile(part);
      held = [];
    }
  } finally {
    await file?.handle.close();
  }
  if (file !== undefined) return { bodies: { kind: "file", path: file.path }, taken };
  const shared = new SharedArrayBuffer(bytes);
  const target = new Uint8Array(shared);
  let end = 0;
  for (const part of held) {
    target.set(part, end);
    end += part.length;
  }
  return { bodies: { kind: "memory", bytes: shared }, taken };
}

/** Counts in threads where there is much to count. */
function counterOf(tokenizer: PromptTokenizer, threads: PromptThreads | undefined): CountPrompts {
  const here = countHere(tokenizer);
  const { path } = tokenizer;
  if (threads === undefined || path === undefined) return here;
  return async (prompts) => {
    const jobs = slicesOf(
      prompts.map((prompt) => ({ prompt, characters: JSON.stringify(prompt).length })),
    );
    const readiness = threads.isReady(path) ? "ready" : "cold";
    if (jobs.characters < threadsPayCharacters[readiness]) return here(prompts);
    const counts = await Promise.all(jobs.slices.map((slice) => threads.countTokens(slice, path)));
    return counts.flat();
  };
}

function slicesOf<Prompt>(
  prompts: readonly { readonly prompt: Prompt; readonly characters: number }[],
): { readonly slices: readonly (readonly Prompt[])[]; readonly characters: number } {
  const slices: Prompt[][] = [];
  let inAll = 0;
  let inSlice = jobCharacters;
  for (const { prompt, characters } of prompts) {
    if (inSlice >= jobCharacters) {
      slices.push([]);
      inSlice = 0;
    }
    slices.at(-1)?.push(prompt);
    inSlice += characters;
    inAll += characters;
  }
  return { slices, characters: inAll };
}
