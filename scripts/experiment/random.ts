// Random choices that a seed repeats: the order of a plan.
import { createHash } from "node:crypto";

/**
 * Uniform numbers in [0, 1), the same for the same seed text: xoshiro128** (Blackman and Vigna,
 * 2018), its state filled from the sha256 of the text.
 */
export function seededRandom(seed: string): () => number {
  const digest = createHash("sha256").update(seed).digest();
  const rotate = (value: number, bits: number): number => (value << bits) | (value >>> (32 - bits));
  let a = digest.readUInt32LE(0);
  let b = digest.readUInt32LE(4);
  let c = digest.readUInt32LE(8);
  let d = digest.readUInt32LE(12);
  return () => {
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotate(d, 11);
    return result / 2 ** 32;
  };
}

/** The items in an order that the seed decides; every order is as likely (Fisher-Yates). */
export function shuffled<Item>(items: readonly Item[], random: () => number): Item[] {
  const rest = [...items];
  const order: Item[] = [];
  while (rest.length > 0) order.push(...rest.splice(Math.floor(random() * rest.length), 1));
  return order;
}
