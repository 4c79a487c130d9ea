import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { DatasetSpec, Workload } from "../experiment/experiment.ts";
import { readDataset } from "./dataset.ts";
import { makeRequestSource } from "./prompts.ts";
import type { PromptRecipe } from "./recipe.ts";
import { batchedSource } from "./request-batch.ts";
import { requestMaker } from "./request-maker.ts";
import type { PromptTokenizer } from "./tokenizer.ts";

const folder = mkdtempSync(join(tmpdir(), "benchbook-dataset-"));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

let files = 0;
/** Writes a file and gives its name in the folder. */
function written(text: string): string {
  files += 1;
  const name = `d${files}.jsonl`;
  writeFileSync(join(folder, name), text);
  return name;
}

const lines = (...entries: readonly unknown[]): string =>
  entries.map((entry) => `${JSON.stringify(entry)}\n`).join("");

const read = (text: string) => {
  const name = written(text);
  return readDataset(join(folder, name), name);
};

const dialogue = (...values: readonly string[]) => ({
  id: "x",
  conversations: values.map((value, place) => ({ from: place % 2 === 0 ? "human" : "gpt", value })),
});

describe("a dataset file", () => {
  it("is JSONL of prompts, messages and conversations, with output lengths where it says", async () => {
    const entries = await read(
      `\uFEFF${lines({ prompt: "one", output_tokens: 7 })}\n${lines(
        {
          messages: [
            { role: "system", content: "s" },
            { role: "user", content: "u" },
          ],
          max_tokens: 9,
        },
        dialogue("a", "b"),
      )}`,
    );
    expect(entries).toEqual([
      { kind: "prompt", line: 1, messages: [{ role: "user", content: "one" }], outputTokens: 7 },
      {
        kind: "messages",
        line: 3,
        messages: [
          { role: "system", content: "s" },
          { role: "user", content: "u" },
        ],
        outputTokens: 9,
      },
      {
        kind: "conversation",
        line: 4,
        messages: [
          { role: "user", content: "a" },
          { role: "assistant", content: "b" },
        ],
        outputTokens: undefined,
      },
    ]);
  });

  it("is one JSON array too, however it is laid out and wherever it is cut into reads", async () => {
    // Longer than one read of the file; brackets and quotes inside texts are no structure.
    const long = `]}"\\ ${"é[{".repeat(300_000)}`;
    const all = [dialogue("a", "b"), dialogue(long), dialogue("c"), { prompt: 'q"]' }];
    for (const text of [JSON.stringify(all), JSON.stringify(all, undefined, 2)]) {
      const entries = await read(text);
      expect(entries.map(({ messages }) => messages[0]?.content)).toEqual(["a", long, "c", 'q"]']);
    }
    const pretty = await read(JSON.stringify([{ prompt: "a" }, { prompt: "b" }], undefined, 2));
    expect(pretty.map(({ line }) => line)).toEqual([2, 5]);
  });

  it("is refused with file and line, and told what it should be", async () => {
    await expect(read(`${lines({ prompt: "a" })}{"prompt": \n`)).rejects.toThrow(
      /not JSON[\s\S]*d\d+\.jsonl:2[\s\S]*JSONL/,
    );
    await expect(read(lines({ text: "a", id: 1 }))).rejects.toThrow(
      /none of prompt, messages and conversations; it has text, id[\s\S]*:1/,
    );
    await expect(read(lines({ messages: [{ role: "user", content: [{}] }] }))).rejects.toThrow(
      /messages\.0\.content/,
    );
    await expect(read(lines({ conversations: [{ from: "martian", value: "" }] }))).rejects.toThrow(
      /"martian"[\s\S]*human/,
    );
    await expect(read("prompt,output\na,1\n")).rejects.toThrow(/not JSON/);
    await expect(read("\n")).rejects.toThrow(/no entry/);
    await expect(read('[{"prompt": "a"}, {"prom')).rejects.toThrow(/not JSON/);
    await expect(readDataset(join(folder, "none"), "none")).rejects.toThrow(/no dataset none/);
    await expect(readDataset(folder, "here")).rejects.toThrow(/here is a folder/);
  });

  it("tells the first mistakes and counts the others", async () => {
    const broken = Array.from({ length: 20 }, () => ({ text: "a" }));
    const error: unknown = await read(lines({ prompt: "a" }, ...broken)).catch(
      (thrown: unknown) => thrown,
    );
    expect(String(error)).toMatch(/15 more entries are wrong/);
  });
});

/** A token a word, and two for each message. */
const tokenizer = (): PromptTokenizer => ({
  source: "model folder",
  path: undefined,
  words: [],
  wordsAddUp: true,
  count: (prompt) =>
    typeof prompt === "string"
      ? prompt.split(" ").length
      : prompt.reduce((sum, { content }) => sum + content.split(" ").length + 2, 0),
  countAnswer: () => undefined,
});

function recipe(
  text: string,
  change: Partial<Workload> = {},
  input: Partial<DatasetSpec> = {},
): PromptRecipe {
  const dataset = {
    kind: "dataset",
    path: written(text),
    longestTokens: undefined,
    repeat: false,
    ...input,
  } as const;
  return {
    workload: {
      name: "d",
      input: dataset,
      output: { kind: "exact", tokens: 5 },
      cache: { kind: "cold" },
      endpoint: "completions",
      turns: 1,
      ...change,
    },
    model: "m",
    seed: "a",
    runSeed: "1",
    projectRoot: folder,
  };
}

interface SentBody {
  readonly prompt?: string;
  readonly messages?: readonly { readonly role: string; readonly content: string }[];
  readonly max_tokens: number;
}

interface SentPrompt extends SentBody {
  readonly inputTokens: number;
}

async function bodiesOf(made: PromptRecipe) {
  const source = await makeRequestSource(made, tokenizer());
  const bodies: SentPrompt[] = [];
  for (let index = 0; index < (source.total ?? 20); index += 1) {
    const request = source.request(index);
    if (request === undefined) break;
    bodies.push({
      ...(JSON.parse(request.body.toString("utf8")) as SentBody),
      inputTokens: request.inputTokens,
    });
  }
  return { source, bodies };
}

const prompts = lines(
  ...Array.from({ length: 10 }, (_, index) => ({
    prompt: Array(index + 1)
      .fill(`p${index}`)
      .join(" "),
  })),
);

describe("prompts of a dataset", () => {
  it("are each sent once, with the tokens they have, in an order that the seed decides", async () => {
    const made = recipe(prompts);
    const { source, bodies } = await bodiesOf(made);
    expect(source.total).toBe(10);
    const sent = bodies.map(({ prompt }) => prompt ?? "");
    expect(new Set(sent).size).toBe(10);
    expect(bodies.map(({ inputTokens }) => inputTokens)).toEqual(
      sent.map((text) => text.split(" ").length),
    );
    expect((await bodiesOf(made)).bodies).toEqual(bodies);
    const other = (await bodiesOf({ ...made, seed: "b" })).bodies.map(({ prompt }) => prompt);
    expect(other).not.toEqual(sent);
    expect([...other].sort()).toEqual([...sent].sort());
  });

  it("are sent again where the workload says so, each pass in an order of its own", async () => {
    const { source, bodies } = await bodiesOf(recipe(prompts, {}, { repeat: true }));
    expect(source.total).toBeUndefined();
    const sent = bodies.map(({ prompt }) => prompt);
    expect([...sent.slice(10)].sort()).toEqual([...sent.slice(0, 10)].sort());
    expect(sent.slice(10)).not.toEqual(sent.slice(0, 10));
    const maker = await requestMaker(recipe(prompts, {}, { repeat: true }), tokenizer(), {
      folder,
    });
    expect((await maker.make(0, 10)).total).toBeUndefined();
    expect(maker.notes()).toEqual([]);
    await maker.make(10, 5);
    expect(maker.notes().join()).toMatch(/10 prompts .* 2 times over: .* prefix cache/);
  });

  it("are asked for the output that the entry says, else the workload's", async () => {
    const { bodies } = await bodiesOf(
      recipe(lines({ prompt: "a", output_tokens: 3 }, { prompt: "b" })),
    );
    const outputs = bodies.map((body) => `${body.prompt ?? ""}${body.max_tokens}`);
    expect(outputs.sort()).toEqual(["a3", "b5"]);
  });

  it("are left out where they are too long, and that is said", async () => {
    const made = recipe(prompts, {}, { longestTokens: 8 });
    const maker = await requestMaker({ ...made, longestTokens: 12 }, tokenizer(), { folder });
    const batch = await maker.make(0, 100);
    // 8 + 5 is above 12, so 7 is the longest; three are longer.
    expect([batch.count, batch.total]).toEqual([7, 7]);
    const notes = maker.notes().join("\n");
    expect(notes).toMatch(/2 of the 10 entries of d\d+\.jsonl .* longer than 8 tokens/);
    expect(notes).toMatch(
      /1 of the 10 .* beyond the 12 tokens that the engine takes \(the first on line 8\)/,
    );
    const none = recipe(prompts.split("\n").slice(5).join("\n"), {}, { longestTokens: 2 });
    await expect(makeRequestSource(none, tokenizer())).rejects.toThrow(/no entry .* longer than 2/);
  });

  it("go through the chat template as they were recorded, without a last answer", async () => {
    const messages = ["system", "user", "assistant", "user", "assistant"].map((role) => ({
      role,
      content: `${role} says`,
    }));
    const { bodies } = await bodiesOf(recipe(lines({ messages }), { endpoint: "chat" }));
    expect(bodies[0]?.messages).toEqual(messages.slice(0, 4));
    expect(bodies[0]?.inputTokens).toBe(4 * (2 + 2));
    await expect(makeRequestSource(recipe(lines({ messages })), tokenizer())).rejects.toThrow(
      /4 messages can't be sent to completions[\s\S]*:1[\s\S]*endpoint: chat/,
    );
  });

  it("of ShareGPT are the first message of the user, through either endpoint", async () => {
    const text = JSON.stringify([dialogue("a b", "c", "d"), { id: "empty", conversations: [] }]);
    const plain = await bodiesOf(recipe(text));
    expect(plain.bodies.map(({ prompt }) => prompt)).toEqual(["a b"]);
    const chat = await bodiesOf(recipe(text, { endpoint: "chat" }));
    expect(chat.bodies[0]?.messages).toEqual([{ role: "user", content: "a b" }]);
  });
});

describe("conversations of a dataset", () => {
  it("are cut to the turns asked for, or left out, with recorded answers in between", async () => {
    const text = lines(
      dialogue("a", "A", "b", "B", "c", "C"),
      dialogue("d"),
      {
        conversations: [{ from: "gpt", value: "first" }, ...dialogue("x", "X", "y").conversations],
      },
      dialogue("e", "E", "f"),
    );
    const made = recipe(text, { endpoint: "chat", turns: 2 });
    const maker = await requestMaker(made, tokenizer(), { folder });
    const batch = await maker.make(0, 100);
    expect([batch.count, batch.total, batch.turns]).toEqual([4, 4, 2]);
    const source = batchedSource();
    source.add(batch);
    const sent = [0, 1, 2, 3].map((index) => {
      const request = source.request(index);
      const { messages } = JSON.parse(String(request?.body)) as { messages: { content: string }[] };
      expect(request?.inputTokens).toBe(3 * messages.length);
      return messages.map(({ content }) => content).join("");
    });
    expect([sent.slice(0, 2), sent.slice(2)].sort()).toEqual([
      ["a", "aAb"],
      ["e", "eEf"],
    ]);
    const notes = maker.notes().join("\n");
    expect(notes).toMatch(/fewer than 2 turns/);
    expect(notes).toMatch(/begins with an answer/);
    expect(notes).toMatch(/1 conversations were cut to their first 2 turns/);
  });
});
