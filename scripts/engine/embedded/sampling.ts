// Turns logits into one token. Every random choice comes from a seed, so the same seed on the same
// logits gives the same tokens.

export interface SamplingSettings {
  /** 0 is greedy: always the largest logit, the first of equals. */
  readonly temperature: number;
  /** Draw only from the smallest set of tokens whose probabilities reach this, 0..1; 1 is all. */
  readonly topP: number;
  readonly seed: number;
}

/** Below this a temperature counts as 0: the division would leave nothing but the largest anyway. */
const greedyBelow = 1e-5;

/** A chooser with a random stream of its own; -Infinity marks a token that may not be chosen. */
export function startSampling(settings: SamplingSettings): (logits: Float32Array) => number {
  if (settings.temperature < greedyBelow) return largest;
  const random = randomFrom(settings.seed);
  return (logits) => draw(logits, settings, random());
}

// Plain loops from here on: they run over the whole vocabulary for every token of every stream.

function largest(logits: Float32Array): number {
  let best = 0;
  let bestLogit = Number.NEGATIVE_INFINITY;
  for (let token = 0; token < logits.length; token += 1) {
    const logit = logits[token] ?? Number.NEGATIVE_INFINITY;
    if (logit > bestLogit) {
      best = token;
      bestLogit = logit;
    }
  }
  return best;
}

/** The token at `point` (0..1) of the cumulated probabilities. */
function draw(logits: Float32Array, settings: SamplingSettings, point: number): number {
  const best = largest(logits);
  const top = logits[best] ?? 0;
  const weights = new Float64Array(logits.length);
  let total = 0;
  for (let token = 0; token < logits.length; token += 1) {
    const weight = Math.exp(((logits[token] ?? 0) - top) / settings.temperature);
    weights[token] = weight;
    total += weight;
  }
  if (settings.topP < 1) total = keepNucleus(weights, settings.topP * total);
  let rest = point * total;
  for (let token = 0; token < weights.length; token += 1) {
    rest -= weights[token] ?? 0;
    if (rest < 0) return token;
  }
  // Rounding can leave a crumb: the likeliest token takes it.
  return best;
}

/** Clears all but the likeliest tokens that together reach `enough`; the weight that is left. */
function keepNucleus(weights: Float64Array, enough: number): number {
  const order = Array.from(weights.keys()).sort(
    (left, right) => (weights[right] ?? 0) - (weights[left] ?? 0),
  );
  let kept = 0;
  for (const token of order) {
    if (kept >= enough) weights[token] = 0;
    else kept += weights[token] ?? 0;
  }
  return kept;
}

/**
 * Uniform numbers in [0, 1), the same for the same seed (mulberry32, 2^32 states; seeds beyond
 * 32 bits are folded).
 */
export function randomFrom(seed: number): () => number {
  let state = (seed ^ Math.floor(seed / 2 ** 32)) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
