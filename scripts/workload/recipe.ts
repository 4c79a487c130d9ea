// What decides the prompts of a trial, and what composes them from it: of words or of a dataset.
import type { Workload } from "../experiment/experiment.ts";
import type { FirstWave } from "./first-wave.ts";
import type { PromptContent } from "./tokenizer.ts";
import type { TraceRequest } from "./trace.ts";

/** What decides the requests of a trial; can be sent to another thread. */
export interface PromptRecipe {
  readonly workload: Workload;
  /** Name of the model in the request. */
  readonly model: string;
  /** Hex; of workload, load, round and repeat, not of the variant. */
  readonly seed: string;
  /** The same for the whole run: what a shared prefix is made from. */
  readonly runSeed: string;
  /** Datasets are relative to it. */
  readonly projectRoot: string;
  /** Input and output tokens that the engine can take; recorded prompts beyond it are left out. undefined: not known. */
  readonly longestTokens?: number | undefined;
  /** Request i has the lengths and shared blocks of the i-th one here, instead of the workload's. */
  readonly trace?: readonly TraceRequest[] | undefined;
  /** Requests that ask for a part of their answer; undefined: none. Of words and single turns only. */
  readonly firstWave?: FirstWave | undefined;
}

/** A prompt before it is a request. */
export interface ComposedPrompt {
  readonly content: PromptContent;
  /** Of the whole prompt, as the server counts it. */
  readonly inputTokens: number;
  readonly outputTokens: number;
}

/** Composes the prompts of a trial. */
export interface Composer {
  /** Request i is turn i % turns of conversation floor(i / turns). */
  readonly turns: number;
  /**
   * Looks for at least `count` requests, where they must be looked for.
   * @returns requests that will ever be there; undefined: as many as are asked for, or not known yet
   */
  reach(count: number): Promise<number | undefined>;
  /**
   * The i-th prompt, of those reached.
   * @param whole count it as a whole, instead of adding up what was proven of its words
   */
  compose(index: number, whole: boolean): ComposedPrompt;
  /** Whether lengths are sums, of which some must be counted as a whole to prove the method. */
  readonly provesBySample: boolean;
  /** What the record should say of the prompts. */
  notes(): readonly string[];
}

/** Counts prompts, several at once where that pays; in their order. */
export type CountPrompts = (prompts: readonly PromptContent[]) => Promise<readonly number[]>;
