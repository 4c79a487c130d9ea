// The experiment file as a person writes it. Its parts are in schema/; `complete.ts` makes the
// complete experiment from it, `json-schema.ts` what editors read.
import { z } from "zod";
import { writtenDefaults } from "./schema/defaults.ts";
import { environmentSchema, reportSchema, statedSchema, waiveSchema } from "./schema/disclosure.ts";
import { engineSchema } from "./schema/engine.ts";
import { localText, named, refuseEmpty, says, slug, text } from "./schema/leaves.ts";
import { loadsSchema, variantSchema, workloadSchema } from "./schema/matrix.ts";
import {
  clientSchema,
  limitsSchema,
  measureSchema,
  sloSchema,
  telemetrySchema,
} from "./schema/measure.ts";

const pattern = z
  .string()
  .regex(/^[a-z0-9*./-]+$/)
  .meta(
    says("a pattern over point names such as fp8/c40", "A pattern; * stands for anything.", [
      "fp8/*",
    ]),
  );

const patterns = (description: string, example: string) =>
  z
    .union([pattern, z.array(pattern)])
    .meta(says("one or a list of patterns such as fp8/c40 or */c200", description, [[example]]))
    .optional();

export const experimentSchema = z
  .strictObject({
    version: z
      .int()
      .min(1)
      .max(1_000_000)
      .refine((version) => version === 1, {
        error: "this benchbook reads version 1",
        params: { mend: "write version: 1, or use a newer benchbook" },
      })
      .meta(says("1", "Version of this form; 1 is the newest.", [1], writtenDefaults.version))
      .optional(),
    extends: text(
      "Experiment file that this one is laid over, relative to this file: maps merge, lists replace, an empty value takes a key away.",
      "quickstart.yaml",
    ).optional(),
    experiment: slug(
      "Name of the experiment, part of every run's id; the file's name unless written.",
      "qwen3-14b-fp8-nvfp4",
    ).optional(),
    title: localText(
      "Title of the record, as a text or as { zh: ..., en: ... }; the experiment's name unless written.",
      "Qwen3-14B, FP8 against NVFP4",
    ).optional(),
    engines: named(engineSchema)
      .meta(
        says("a map of engines by name", "How models are served; variants name one.", [
          { server: { kind: "external", url: "http://127.0.0.1:8000" } },
        ]),
      )
      .optional(),
    variants: named(variantSchema)
      .superRefine(
        refuseEmpty(
          "there must be at least one variant",
          "write variants: { tiny: { model: data/models/tiny-qwen3, engine: embedded } }",
        ),
      )
      .meta(
        says(
          "a map of variants by name",
          "What is compared: each one model at one precision with its engine.",
          [{ tiny: { model: "data/models/tiny-qwen3", engine: "embedded" } }],
        ),
      ),
    workloads: named(workloadSchema)
      .superRefine(
        refuseEmpty(
          "there must be at least one workload",
          "write workloads: { 10k-800: { input: 10000, output: 800 } }, or take the key out for the default",
        ),
      )
      .meta(
        says("a map of workloads by name", "What requests look like.", [
          { "10k-800": { input: 10000, output: 800 } },
        ]),
      )
      .optional(),
    loads: loadsSchema.optional(),
    only: patterns("Points to measure; all unless written.", "fp8/*"),
    exclude: patterns("Points to leave out.", "nvfp4/c200"),
    measure: measureSchema.optional(),
    slo: sloSchema.optional(),
    limits: limitsSchema.optional(),
    client: clientSchema.optional(),
    telemetry: telemetrySchema.optional(),
    environment: environmentSchema.optional(),
    stated: statedSchema.optional(),
    waive: waiveSchema.optional(),
    report: reportSchema.optional(),
  })
  .meta({
    title: "benchbook experiment",
    description: "What is to be measured; a test record is made from it.",
  });

export type WrittenExperiment = z.infer<typeof experimentSchema>;
export type WrittenEngine = NonNullable<WrittenExperiment["engines"]>[string];
export type WrittenVariant = WrittenExperiment["variants"][string];
export type WrittenWorkload = NonNullable<WrittenExperiment["workloads"]>[string];
