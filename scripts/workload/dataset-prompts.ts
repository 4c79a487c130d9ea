// From the entries of a dataset to prompts: which are sent, in which order, how long each is for this
// model; what can't be sent is left out and told.
import { statSync } from "node:fs";
import { resolve } from "node:path";
import { UserError } from "../errors.ts";
import type { DatasetSpec, Workload } from "../experiment/experiment.ts";
import { seededRandom } from "../experiment/random.ts";
import { type DatasetEntry, readDataset } from "./dataset.ts";
import type { Composer, CountPrompts, PromptRecipe } from "./recipe.ts";
import { seededOrder } from "./seeded-order.ts";
import { lengthOf } from "./synthetic.ts";
import type { PromptContent, PromptTokenizer } from "./tokenizer.ts";

/** One entry as the requests that are sent of it: as many as the workload has turns. */
interface Conversation {
  readonly turns: readonly { readonly content: PromptContent; readonly inputTokens: number }[];
  readonly entry: number;
}

/** What was read and counted for one tokenizer, kept from trial to trial. */
interface CountedDataset {
  readonly key: string;
  readonly entries: readonly DatasetEntry[];
  /** Tokens of each turn's prompt, by entry. */
  readonly counts: Map<number, readonly number[]>;
}

const counted = new WeakMap<PromptTokenizer, CountedDataset>();

/**
 * Composes the prompts of a dataset, in an order that the seed decides, each once unless the
 * workload repeats them. Entries are counted as far as they are needed.
 *
 * - `prompt`: a text for completions, a user's message for chat.
 * - `messages`: sent as they are up to the last that is no answer; of several turns, turn k is
 *   everything up to the k-th message of the user.
 * - `conversations` (ShareGPT): the first message of the user; of several turns likewise, with the
 *   recorded answers in between.
 * Completions take one text: an entry that has more is a mistake, since joining messages without the
 * model's template would be another prompt.
 *
 * Every trial draws from the same entries. Where an engine serves several trials and offers no reset
 * of its prefix cache, a later one meets prompts that it has seen; its counters tell how many hit.
 *
 * @throws UserError when the file can't be read, or nothing in it can be sent; `reach` does too
 */
export async function datasetComposer(
  recipe: PromptRecipe,
  input: DatasetSpec,
  countPrompts: CountPrompts,
  tokenizer: PromptTokenizer,
): Promise<Composer> {
  const { workload, seed } = recipe;
  const { turns } = workload;
  const { entries, counts } = await openDataset(recipe, input, tokenizer);
  const order = seededOrder([...entries.keys()], `${seed}/order`);
  const usable: Conversation[] = [];
  const leftOut = new Map<string, { count: number; readonly line: number }>();
  let cut = 0;
  let passes = 1;
  let next = 0;

  const outputTokensOf = (entry: number, turn: number): number =>
    entries[entry]?.outputTokens ??
    lengthOf(workload.output, seededRandom(`${seed}/length/${entry}/${turn}`));

  const leaveOut = (entry: number, reason: string): void => {
    const told = leftOut.get(reason);
    if (told === undefined) leftOut.set(reason, { count: 1, line: entries[entry]?.line ?? 0 });
    else told.count += 1;
  };

  const tooLong = (entry: number, tokens: readonly number[]): string | undefined => {
    for (const [turn, inputTokens] of tokens.entries()) {
      const { longestTokens } = input;
      if (longestTokens !== undefined && inputTokens > longestTokens)
        return `longer than ${longestTokens} tokens`;
      const most = recipe.longestTokens;
      if (most !== undefined && inputTokens + outputTokensOf(entry, turn) > most)
        return `input and output beyond the ${most} tokens that the engine takes`;
    }
    return undefined;
  };

  const lookAt = async (some: readonly number[]): Promise<void> => {
    const candidates: { entry: number; contents: readonly PromptContent[] }[] = [];
    for (const entry of some) {
      const read = entries[entry];
      if (read === undefined) continue;
      const contents = contentsOf(read, workload, input.path);
      if (typeof contents === "string") leaveOut(entry, contents);
      else candidates.push({ entry, contents });
    }
    const uncounted = candidates.filter(({ entry }) => !counts.has(entry));
    const tokens = await countPrompts(uncounted.flatMap(({ contents }) => contents));
    for (const [place, { entry }] of uncounted.entries())
      counts.set(entry, tokens.slice(place * turns, (place + 1) * turns));
    for (const { entry, contents } of candidates) {
      const known = counts.get(entry) ?? [];
      const reason = tooLong(entry, known);
      if (reason !== undefined) {
        leaveOut(entry, reason);
        continue;
      }
      if (turns > 1 && userTurns(entries[entry]) > turns) cut += 1;
      usable.push({
        entry,
        turns: contents.map((content, turn) => ({ content, inputTokens: known[turn] ?? 0 })),
      });
    }
  };

  const notes = (): readonly string[] => [
    ...[...leftOut].map(
      ([reason, { count, line }]) =>
        `${count} of the ${next} entries of ${input.path} that were looked at were left out: ${reason} (the first on line ${line})`,
    ),
    ...(passes < 2
      ? []
      : [
          `the ${usable.length * turns} prompts of ${input.path} were sent ${passes} times over: what was sent again can hit the prefix cache`,
        ]),
    ...(cut === 0 ? [] : [`${cut} conversations were cut to their first ${turns} turns`]),
  ];

  /** Every pass over the entries has an order of its own. */
  let passOrder: { readonly pass: number; readonly order: readonly Conversation[] } | undefined;
  const conversationAt = (place: number): Conversation | undefined => {
    const pass = Math.floor(place / usable.length);
    passes = Math.max(passes, pass + 1);
    if (pass === 0) return usable[place];
    if (passOrder?.pass !== pass)
      passOrder = { pass, order: seededOrder(usable, `${seed}/order/${pass}`) };
    return passOrder.order[place % usable.length];
  };

  return {
    turns,
    async reach(count) {
      const wanted = Math.ceil(count / turns);
      while (usable.length < wanted && next < order.length) {
        const some = order.slice(next, next + Math.max(wanted - usable.length, 64));
        next += some.length;
        await lookAt(some);
      }
      if (next < order.length) return undefined;
      if (usable.length === 0) {
        throw new UserError({
          what: `no entry of the dataset can be sent: ${[...leftOut.keys()].join("; ")}`,
          where: input.path,
          mend: "choose another dataset, fewer turns or a higher limit",
        });
      }
      return input.repeat ? undefined : usable.length * turns;
    },
    compose(index) {
      const conversation = conversationAt(Math.floor(index / turns));
      const turn = conversation?.turns[index % turns];
      if (conversation === undefined || turn === undefined)
        throw new Error(`the dataset has no request ${index}`);
      return { ...turn, outputTokens: outputTokensOf(conversation.entry, index % turns) };
    },
    // Every prompt was counted as a whole.
    provesBySample: false,
    notes,
  };
}

async function openDataset(
  { workload, projectRoot }: PromptRecipe,
  { path }: DatasetSpec,
  tokenizer: PromptTokenizer,
): Promise<CountedDataset> {
  const file = resolve(projectRoot, path);
  const stat = statSync(file, { throwIfNoEntry: false });
  const key = [file, stat?.mtimeMs, stat?.size, workload.turns, workload.endpoint].join("\n");
  const known = counted.get(tokenizer);
  if (known?.key === key) return known;
  const opened = { key, entries: await readDataset(file, path), counts: new Map() };
  counted.set(tokenizer, opened);
  return opened;
}

/**
 * How many conversations of a dataset a workload can send, before any is counted.
 * @throws UserError when the file can't be read, or an entry can't be sent as the workload says
 */
export async function sendableEntries(
  workload: Workload,
  { path }: DatasetSpec,
  projectRoot: string,
): Promise<number> {
  const entries = await readDataset(resolve(projectRoot, path), path);
  return entries.filter((entry) => typeof contentsOf(entry, workload, path) !== "string").length;
}

/** The prompt of each turn; else why the entry is left out. */
function contentsOf(
  entry: DatasetEntry,
  { turns, endpoint }: Workload,
  path: string,
): readonly PromptContent[] | string {
  const { kind, messages } = entry;
  const ends = userEnds(messages);
  const [first] = ends;
  if (first === undefined) return "no message of a user";
  if (messages.find(({ role }) => role !== "system")?.role === "assistant" && kind !== "messages")
    return "begins with an answer";
  if (ends.length < turns) return `fewer than ${turns} turns`;
  const wholeEnd = messages.findLastIndex(({ role }) => role !== "assistant") + 1;
  const chosen = turns > 1 ? ends.slice(0, turns) : [kind === "messages" ? wholeEnd : first];
  const prompts = chosen.map((end) => messages.slice(0, end));
  if (endpoint === "chat") return prompts;
  return prompts.map((prompt) => {
    const [only] = prompt;
    if (prompt.length === 1 && only?.role === "user") return only.content;
    throw new UserError({
      what: `a prompt of ${prompt.length} messages can't be sent to completions, which takes one text`,
      where: `${path}:${entry.line}`,
      mend: "write endpoint: chat, and the model's template is laid around them",
    });
  });
}

function userTurns(entry: DatasetEntry | undefined): number {
  return entry === undefined ? 0 : userEnds(entry.messages).length;
}

/** Where each turn of the user ends: behind its last message before an answer, or at the end. */
function userEnds(messages: readonly { readonly role: string }[]): readonly number[] {
  return messages.flatMap(({ role }, place) =>
    role === "user" && messages[place + 1]?.role !== "user" ? [place + 1] : [],
  );
}
