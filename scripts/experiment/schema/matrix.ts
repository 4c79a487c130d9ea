// What is measured: variants, workloads and loads, whose product is the matrix of points.
import { z } from "zod";
import { precisions } from "../experiment.ts";
import { writtenDefaults } from "./defaults.ts";
import { engineArguments, engineEnvironment } from "./engine.ts";
import {
  choice,
  count,
  keysWritten,
  localText,
  numberAbove,
  oneOrMany,
  says,
  slug,
  text,
  tokens,
} from "./leaves.ts";

export const variantSchema = z
  .strictObject({
    title: localText("How the record calls it.", "FP8").optional(),
    model: text(
      "A model folder relative to the project, a hub id, or the name by which a running server knows the model.",
      "Qwen/Qwen3-14B-FP8",
    ),
    revision: text("Revision of the hub's model.", "main").optional(),
    tokenizer: text(
      "Folder or tokenizer.json of the tokenizer, when it is not in the model's folder.",
      "data/models/tiny-qwen3",
    ).optional(),
    precision: choice(
      precisions,
      "Precision that is claimed of the weights, auto unless written (fp32 on the embedded engine); what the checkpoint says is recorded beside it.",
    ).optional(),
    engine: slug(
      "A name under `engines`, or a kind that needs no settings: embedded, vllm.",
      "embedded",
    ).optional(),
    args: engineArguments("Laid over the engine's arguments.").optional(),
    env: engineEnvironment("Laid over the engine's environment.").optional(),
  })
  .meta(
    says("a map with model", "One model at one precision with its engine.", [
      { model: "data/models/tiny-qwen3", engine: "embedded" },
    ]),
  );

const normalLength = z.strictObject({
  mean: tokens("Mean.", 1000),
  cv: numberAbove(0, 2, "Coefficient of variation: standard deviation divided by mean.", 0.3),
});

const uniformLength = z.strictObject({
  uniform: z
    .tuple([tokens("Shortest.", 500), tokens("Longest.", 1500)])
    .refine(([shortest, longest]) => shortest <= longest, {
      error: "the shortest is above the longest",
      params: { mend: "swap the two" },
    })
    .meta(
      says("a list of two, shortest and longest", "Every length between the two is as likely.", [
        [500, 1500],
      ]),
    ),
});

const dataset = z.strictObject({
  dataset: text("JSONL file of prompts, relative to the project.", "data/prompts.jsonl"),
});

const input = z
  .union([tokens("Exact.", 10000), normalLength, uniformLength, dataset])
  .meta(
    says(
      "tokens from 1 on, { mean, cv }, { uniform: [a, b] } or { dataset: file }",
      "Tokens of each prompt, exact.",
      [10000, { mean: 1000, cv: 0.3 }, { uniform: [500, 1500] }, { dataset: "data/prompts.jsonl" }],
      writtenDefaults.input,
    ),
  );

const output = z
  .union([tokens("Exact.", 800), normalLength, uniformLength])
  .meta(
    says(
      "tokens from 1 on, { mean, cv } or { uniform: [a, b] }",
      "Tokens of each answer, forced.",
      [800, { mean: 200, cv: 0.3 }, { uniform: [100, 300] }],
      writtenDefaults.output,
    ),
  );

/** The short form of `{ shared: 2000 }`; the first group holds the tokens. */
export const sharedPattern = /^\s*shared\s*:?\s*([1-9]\d{0,6})\s*$/;

const cache = z
  .union([
    z.enum(["cold", "warm"]),
    z.string().regex(sharedPattern),
    z.strictObject({ shared: tokens("Tokens that all prompts begin with.", 2000) }),
  ])
  .meta(
    says(
      "cold, warm or { shared: tokens }",
      "cold: every prompt is unique from its first token; shared: all begin with the same tokens; warm: all are the same, which makes no valid record.",
      ["cold", { shared: 2000 }],
      writtenDefaults.cache,
    ),
  );

export const workloadSchema = z
  .strictObject({
    input: input.optional(),
    output: output.optional(),
    cache: cache.optional(),
    endpoint: choice(
      ["completions", "chat"],
      "Which of the server's two endpoints is asked.",
      writtenDefaults.endpoint,
    ).optional(),
  })
  .meta(
    says("a map with input and output", "What each request looks like.", [
      { input: 512, output: 128 },
    ]),
  );

export const loadsSchema = z
  .strictObject({
    concurrency: oneOrMany(count([1, 100_000], "Requests in flight.", 16))
      .meta(
        says(
          "one or a list of whole numbers from 1 to 100000",
          "Requests in flight, held at this number.",
          [[1, 4, 16]],
          writtenDefaults.concurrency,
        ),
      )
      .optional(),
    rate: oneOrMany(numberAbove(0, 1_000_000, "Requests per second.", 2.5))
      .meta(
        says(
          "one or a list of requests per second, each above 0",
          "Requests that arrive per second, whether or not earlier ones were answered.",
          [[1, 2, 4]],
        ),
      )
      .optional(),
    arrivals: choice(
      ["constant", "poisson", "gamma"],
      "How requests of a rate arrive; poisson unless written.",
    ).optional(),
    trace: oneOrMany(text("A trace.", "data/chat.jsonl"))
      .meta(
        says(
          "one or a list of files",
          "JSONL files with arrival times and lengths, relative to the project.",
          ["data/chat.jsonl"],
        ),
      )
      .optional(),
  })
  .superRefine(
    keysWritten(
      ["concurrency", "rate", "trace"],
      { least: 1 },
      "write concurrency: [1, 4, 16], or rate: [1, 2, 4], or trace: data/chat.jsonl",
    ),
  )
  .superRefine(({ arrivals, rate }, context) => {
    if (arrivals === undefined || rate !== undefined) return;
    context.addIssue({
      code: "custom",
      path: ["arrivals"],
      message: "arrivals says how requests of a rate arrive, and no rate is written",
      params: { mend: "write rate: [1, 2, 4] beside it, or take arrivals out" },
      input: arrivals,
    });
  })
  .meta(
    says(
      "a map with concurrency, rate or trace",
      "Loads under which every variant and workload is measured.",
      [{ concurrency: [1, 4, 16] }],
    ),
  );
