// What is under test, as the one who captures the environment knows it before any engine says so.

import type { EngineFacts } from "../engine/engine.ts";
import type { EngineSpec, Precision } from "../experiment/experiment.ts";

/** One variant's engine and model. */
export interface EngineUnderTest {
  /** The variant's name, a slug; part of the field ids. */
  readonly variant: string;
  readonly kind: EngineSpec["kind"];
  /** As written in the experiment. */
  readonly model: string;
  /** Absolute; undefined for a model that is only a name on a server. */
  readonly modelFolder: string | undefined;
  /** Absolute path of a folder or a tokenizer.json; undefined: the model's folder. */
  readonly tokenizerPath: string | undefined;
  /** What the experiment claims. */
  readonly precision: Precision;
  /** The revision that the experiment asks for; undefined: none. */
  readonly revision?: string | undefined;
  /** Where it answers; undefined for an engine that is launched on this host. */
  readonly url: string | undefined;
  /** Names of the weight files that this variant loads, within the model folder; undefined: all of them. */
  readonly weightFiles?: readonly string[] | undefined;
  /** Words that run the engine's own Python; undefined: it has none, or does not run. */
  readonly interpreter: readonly string[] | undefined;
  /** What the running engine said; undefined: it is not running. */
  readonly facts: EngineFacts | undefined;
}
