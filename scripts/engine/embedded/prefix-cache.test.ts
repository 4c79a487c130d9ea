import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type KeptBlock, startPrefixCache } from "./prefix-cache.ts";

/** 0, 1, 2, ... */
function count(length: number): readonly number[] {
  return Array.from({ length }, (_, place) => place);
}

/** A cache, and the tokens of the block in each place. */
function start(options: { readonly blockSize: number; readonly numBlocks: number }) {
  return { ...startPrefixCache(options), places: new Map<number, string>() };
}

/** What a sequence does: takes what is there, and puts the rest of its full blocks in. */
function use(
  cache: ReturnType<typeof start>,
  tokens: readonly number[],
  blockSize: number,
): { readonly found: number; readonly blocks: readonly KeptBlock[] } {
  const blocks = [...cache.match(tokens)];
  const found = blocks.length;
  for (let start = found * blockSize; start + blockSize <= tokens.length; start += blockSize) {
    const own = tokens.slice(start, start + blockSize);
    const block = cache.keep(blocks.at(-1), own, (place) => {
      cache.places.set(place, own.join(","));
    });
    if (block === undefined) break;
    blocks.push(block);
  }
  return { found, blocks };
}

/** The same, and lets go at once; the number of blocks found. */
function pass(
  cache: ReturnType<typeof start>,
  tokens: readonly number[],
  blockSize: number,
): number {
  const { found, blocks } = use(cache, tokens, blockSize);
  cache.release(blocks);
  return found;
}

describe("the prefix cache", () => {
  it.each([
    // floor((L - 1) / 16)
    [1, 0],
    [16, 0],
    [17, 1],
    [32, 1],
    [33, 2],
    [256, 15],
    [1000, 62],
  ])("finds of a prompt of %i tokens that it has seen %i blocks of 16", (length, blocks) => {
    const cache = start({ blockSize: 16, numBlocks: 100 });
    expect(pass(cache, count(length), 16)).toBe(0);
    expect(pass(cache, count(length), 16)).toBe(blocks);
  });

  it.each([
    // floor(k / 16)
    [15, 0],
    [16, 1],
    [31, 1],
    [100, 6],
  ])("finds of %i shared tokens %i blocks of 16", (shared, blocks) => {
    const cache = start({ blockSize: 16, numBlocks: 100 });
    pass(cache, [...count(shared), ...count(200).map((token) => token + 1000)], 16);
    const other = [...count(shared), ...count(200).map((token) => token + 2000)];
    expect(pass(cache, other, 16)).toBe(blocks);
  });

  it("finds a block only behind the blocks that came before it", () => {
    const cache = start({ blockSize: 2, numBlocks: 10 });
    pass(cache, [1, 2, 3, 4, 5], 2);
    expect(pass(cache, [3, 4, 9], 2)).toBe(0);
    expect(pass(cache, [9, 9, 3, 4, 9], 2)).toBe(0);
  });

  it("does not write a block again that it has", () => {
    const cache = start({ blockSize: 2, numBlocks: 10 });
    const written: number[] = [];
    const keep = (): KeptBlock | undefined =>
      cache.keep(undefined, [1, 2], (place) => written.push(place));
    const first = keep();
    expect(keep()).toBe(first);
    expect(written).toEqual([0]);
    expect(cache.counts()).toEqual({ kept: 1, held: 1 });
  });

  it("drops what was not used for the longest time, the end of a prompt before its beginning", () => {
    const cache = start({ blockSize: 1, numBlocks: 4 });
    pass(cache, [1, 2], 1);
    pass(cache, [3, 4], 1);
    pass(cache, [1, 9], 1); // 1 is fresh again, and 9 took the place of 2
    expect(pass(cache, [1, 2, 0], 1)).toBe(1); // drops 4 for 2, then 3 for 0
    expect(cache.counts()).toEqual({ kept: 4, held: 0 });
    expect(cache.match([3, 4])).toEqual([]);
  });

  it("never drops what is held: then the next block is not kept", () => {
    const cache = start({ blockSize: 1, numBlocks: 3 });
    const held = use(cache, [1, 2, 3], 1);
    expect(held.blocks).toHaveLength(3);
    expect(use(cache, [4, 5], 1).blocks).toEqual([]);
    cache.release(held.blocks);
    expect(cache.match([1, 2, 3, 0])).toHaveLength(3);
  });

  it("is not emptied while a block is held", () => {
    const cache = start({ blockSize: 1, numBlocks: 3 });
    const { blocks } = use(cache, [1, 2], 1);
    expect(cache.reset()).toBe(false);
    expect(cache.counts()).toEqual({ kept: 2, held: 2 });
    cache.release(blocks);
    expect(cache.reset()).toBe(true);
    expect(cache.counts()).toEqual({ kept: 0, held: 0 });
    expect(pass(cache, [1, 2], 1)).toBe(0);
  });

  it("gives a prompt only what belongs to its own tokens, and never keeps too much, whoever comes and goes", () => {
    const blockSize = 2;
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 12 }),
        fc.array(
          fc.record({
            // Few tokens, so that prompts often begin alike.
            tokens: fc.array(fc.integer({ min: 0, max: 1 }), { minLength: 1, maxLength: 12 }),
            // How many later prompts come while this one still holds its blocks.
            stays: fc.integer({ min: 0, max: 3 }),
          }),
          { maxLength: 40 },
        ),
        (numBlocks, visits) => {
          const cache = start({ blockSize, numBlocks });
          let present: { until: number; blocks: readonly KeptBlock[] }[] = [];
          for (const [turn, { tokens, stays }] of visits.entries()) {
            for (const { blocks } of present.filter(({ until }) => until < turn)) {
              cache.release(blocks);
            }
            present = present.filter(({ until }) => until >= turn);
            const { found, blocks } = use(cache, tokens, blockSize);
            expect(found * blockSize).toBeLessThan(tokens.length);
            for (const [index, { place }] of blocks.entries()) {
              const own = tokens.slice(index * blockSize, (index + 1) * blockSize).join(",");
              expect(cache.places.get(place)).toBe(own);
            }
            present.push({ until: turn + stays, blocks });
            const held = new Set(present.flatMap((one) => one.blocks));
            expect(cache.counts().held).toBe(held.size);
            expect(cache.counts().kept).toBeLessThanOrEqual(numBlocks);
            expect(Math.max(0, ...cache.places.keys())).toBeLessThan(numBlocks);
          }
          for (const { blocks } of present) cache.release(blocks);
          expect(cache.counts().held).toBe(0);
          expect(cache.reset()).toBe(true);
        },
      ),
    );
  });
});
