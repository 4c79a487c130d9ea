// How much of its answer each request of a closed loop's first wave asks for. Streams that begin at
// once with answers of one length end at once and go on in lockstep; these begin apart.
import { seededRandom } from "../experiment/random.ts";

/** A first wave whose answers are cut. */
export interface FirstWave {
  /** The requests of a trial from 0 on that belong to it: one for each stream. */
  readonly requests: number;
  /** The same for all variants that are compared. */
  readonly seed: string;
}

/**
 * A part of an answer for each request of the wave, uniform in (0, 1] and independent of each other,
 * as users are: parts that are spread evenly meet more rarely than users do, and TTFT comes out lower.
 */
export function firstWaveParts({ requests, seed }: FirstWave): readonly number[] {
  const random = seededRandom(`${seed}/first wave`);
  return Array.from({ length: requests }, () => 1 - random());
}

/** A part of an answer, in whole tokens; at least one. */
export function partOfAnswer(outputTokens: number, part: number): number {
  return Math.max(1, Math.ceil(outputTokens * part));
}
