// What is measured: variants, workloads and loads, whose product is the matrix of points.
import { z } from "zod";
import { precisions } from "../experiment.ts";
import { writtenDefaults } from "./defaults.ts";
import { engineArguments, engineEnvironment } from "./engine.ts";
import {
  choice,
  count,
  duration,
  flag,
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
  dataset: text(
    "JSONL file of prompts, messages or ShareGPT conversations, relative to the project.",
    "data/prompts.jsonl",
  ),
  longest: tokens(
    "Prompts above so many tokens are left out, which the record says.",
    8192,
  ).optional(),
  repeat: flag(
    "Whether prompts are sent again once all were; what is sent again hits the prefix cache.",
    writtenDefaults.repeat,
  ).optional(),
});

const input = z
  .union([tokens("Exact.", 10000), normalLength, uniformLength, dataset])
  .meta(
    says(
      "tokens from 1 on, { mean, cv }, { uniform: [a, b] } or { dataset: file }",
      "Tokens of each prompt, exact; of a conversation, what each turn adds. Or recorded prompts.",
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
    turns: count(
      [1, 1000],
      "Turns of each conversation, 1 for requests of their own. A turn carries all earlier ones with answers of the planned (dataset: recorded) length in between.",
      4,
      writtenDefaults.turns,
    ).optional(),
  })
  .superRefine(({ input: written, cache: policy, endpoint, turns = 1 }, context) => {
    if (typeof written !== "object" || !("dataset" in written)) return;
    if (policy !== undefined && policy !== "cold") {
      context.addIssue({
        code: "custom",
        path: ["cache"],
        message:
          "the prompts of a dataset share what they were recorded with, and nothing is added",
        params: { mend: "write cache: cold, or take cache out" },
        input: policy,
      });
    }
    if (turns > 1 && endpoint !== "chat") {
      context.addIssue({
        code: "custom",
        path: ["turns"],
        message: "recorded conversations are sent as messages, which completions do not take",
        params: { mend: "write endpoint: chat beside turns" },
        input: turns,
      });
    }
  })
  .meta(
    says("a map with input and output", "What each request looks like.", [
      { input: 512, output: 128 },
    ]),
  );

const arrivals = z
  .union([
    z.enum(["constant", "poisson", "gamma"]),
    z.strictObject({
      gamma: numberAbove(
        0,
        1000,
        "Shape of the gamma distribution of the gaps: below 1 burstier than poisson, above 1 steadier.",
        writtenDefaults.gammaShape,
      ),
    }),
    z.strictObject({
      burst: count([2, 100_000], "Requests that arrive at the same instant.", 8),
    }),
  ])
  .meta(
    says(
      "constant, poisson, gamma, { gamma: shape } or { burst: size }",
      `How the requests of a rate or ramp arrive; poisson unless written. constant: at even distances; gamma: of shape ${writtenDefaults.gammaShape} unless written; burst: so many at once, at even distances.`,
      ["poisson", { gamma: writtenDefaults.gammaShape }, { burst: 8 }],
      writtenDefaults.arrivals,
    ),
  );

const perSecond = (description: string, example: number) =>
  numberAbove(0, 1_000_000, description, example);

const ramp = z
  .strictObject({
    from: perSecond("Requests per second at its begin.", 1),
    to: perSecond("Requests per second at its end.", 20),
    duration: duration("From its begin to its end.", "120 s"),
  })
  .meta(
    says(
      "{ from: 1, to: 20, duration: 120 s }",
      "A rate that changes evenly from one to the other; its results are of the whole ramp, and not steady values.",
      [{ from: 1, to: 20, duration: "120 s" }],
    ),
  );

const traceFile = text("A trace.", "data/chat.jsonl");

const trace = z
  .union([
    traceFile,
    z.strictObject({
      file: traceFile,
      speed: numberAbove(0, 1000, "2 replays it in half its time.", 2),
    }),
  ])
  .meta(
    says(
      "a file, or { file, speed }",
      "A trace, at the speed at which it was recorded unless written.",
      ["data/chat.jsonl", { file: "data/chat.jsonl", speed: 2 }],
    ),
  );

const loadKinds = ["concurrency", "rate", "ramp", "trace"];

export const loadsSchema = z
  .strictObject({
    concurrency: oneOrMany(count([1, 100_000], "Requests in flight.", 16))
      .meta(
        says(
          "one or a list of whole numbers from 1 to 100000",
          "Requests in flight, held at this number. All loads of a variant are measured in one life of its engine; with `order: grouped` in the order in which they are written, so that the list is a series of steps.",
          [[1, 4, 16]],
          writtenDefaults.concurrency,
        ),
      )
      .optional(),
    rate: oneOrMany(perSecond("Requests per second.", 2.5))
      .meta(
        says(
          "one or a list of requests per second, each above 0",
          "Requests that arrive per second, whether or not earlier ones were answered.",
          [[1, 2, 4]],
        ),
      )
      .optional(),
    ramp: oneOrMany(ramp)
      .meta(
        says(
          "{ from: 1, to: 20, duration: 120 s }, or a list of them",
          "Requests that arrive at a rate that changes evenly from one to the other.",
          [{ from: 1, to: 20, duration: "120 s" }],
        ),
      )
      .optional(),
    arrivals: arrivals.optional(),
    trace: oneOrMany(trace)
      .meta(
        says(
          "one or a list of files, or of { file, speed }",
          "Recorded arrivals and lengths to replay, relative to the project: our JSONL, the JSONL of the Mooncake trace or the CSV of the Azure LLM inference trace.",
          ["data/chat.jsonl", { file: "data/chat.jsonl", speed: 2 }],
        ),
      )
      .optional(),
  })
  .superRefine(
    keysWritten(
      loadKinds,
      { least: 1 },
      "write concurrency: [1, 4, 16], or rate: [1, 2, 4], or trace: data/chat.jsonl",
    ),
  )
  .superRefine(({ arrivals: written, rate, ramp: ramps }, context) => {
    if (written === undefined || rate !== undefined || ramps !== undefined) return;
    context.addIssue({
      code: "custom",
      path: ["arrivals"],
      message: "arrivals says how requests of a rate or ramp arrive, and none is written",
      params: { mend: "write rate: [1, 2, 4] beside it, or take arrivals out" },
      input: written,
    });
  })
  .meta(
    says(
      "a map with concurrency, rate, ramp or trace",
      "Loads under which every variant and workload is measured.",
      [{ concurrency: [1, 4, 16] }],
    ),
  );
