// What the environment snapshot needs to know of the engines, from the experiment.

import type { EngineFacts } from "../engine/engine.ts";
import { weightFilesOf } from "../engine/engines.ts";
import { findModelFolder } from "../engine/model-folder.ts";
import type { EngineUnderTest } from "../environment/subject.ts";
import type { Experiment } from "../experiment/experiment.ts";
import { tokenizerPath } from "../workload/tokenizer.ts";

/** One entry a variant. @param running the engine as it is now; undefined: none runs */
export function enginesUnderTest(
  { variants }: Pick<Experiment, "variants">,
  projectRoot: string,
  running?: {
    readonly facts: EngineFacts | undefined;
    readonly interpreter: readonly string[] | undefined;
  },
): readonly EngineUnderTest[] {
  return variants.map((variant) => ({
    variant: variant.name,
    kind: variant.engine.kind,
    model: variant.model,
    modelFolder: findModelFolder(variant.model, projectRoot),
    tokenizerPath: tokenizerPath(variant, projectRoot),
    precision: variant.precision,
    revision: variant.revision,
    url: variant.engine.kind === "external" ? variant.engine.url : undefined,
    weightFiles: weightFilesOf(variant),
    interpreter: running?.interpreter,
    facts: running?.facts,
  }));
}
