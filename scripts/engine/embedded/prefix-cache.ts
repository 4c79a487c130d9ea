// Knows which blocks of tokens have their keys and values kept from one request to the next, so that
// a prompt which begins like an earlier one is not computed again. A block is found by a chain of
// hashes: its own covers its tokens and, through its parent's, every token before them.
import { hash } from "node:crypto";

/** A full block that is kept. */
export interface KeptBlock {
  /** Names the block's tokens and all before them. */
  readonly hash: string;
  /** Where its keys and values lie: 0 to numBlocks - 1, no other kept block's. */
  readonly place: number;
}

/** Blocks are held by the sequences that use them; those that nobody holds go first when room is needed. */
export interface PrefixCache {
  /**
   * The kept blocks at the beginning of a prompt, in order; the caller holds them from now on. At
   * least one token is left to be computed, since its logits are wanted: of a prompt of L tokens
   * that was seen before, floor((L - 1) / blockSize) blocks are found.
   */
  match(prompt: readonly number[]): readonly KeptBlock[];
  /**
   * Keeps one more full block of a sequence and holds it for the caller.
   * @param parent the block before it; undefined for the first
   * @param write puts its keys and values in a place; not called where the block is kept already
   * @returns undefined when every place is held: the block is not kept
   */
  keep(
    parent: KeptBlock | undefined,
    tokens: readonly number[],
    write: (place: number) => void,
  ): KeptBlock | undefined;
  /** Ends one holder's use of the blocks of one sequence, given in their order. */
  release(blocks: readonly KeptBlock[]): void;
  /** Empties the cache. False, and nothing happens, while anybody holds a block. */
  reset(): boolean;
  /** Blocks that are kept, and how many of them are held. */
  counts(): { readonly kept: number; readonly held: number };
}

/** An empty cache of at most `numBlocks` blocks of `blockSize` tokens. */
export function startPrefixCache(options: {
  readonly blockSize: number;
  readonly numBlocks: number;
}): PrefixCache {
  const { blockSize, numBlocks } = options;
  const kept = new Map<string, KeptBlock>();
  // By place: which block lies there, and how often it is held.
  const blocks: KeptBlock[] = [];
  const holders = new Int32Array(numBlocks);
  let held = 0;
  const idle = startQueue(numBlocks);

  function hold(block: KeptBlock): KeptBlock {
    const before = holders[block.place] ?? 0;
    if (before === 0) {
      idle.remove(block.place);
      held += 1;
    }
    holders[block.place] = before + 1;
    return block;
  }

  /** A place for one more block; undefined where all are held. */
  function makeRoom(): number | undefined {
    // As long as there are fewer than numBlocks, none was ever dropped: they fill the places in order.
    if (kept.size < numBlocks) return kept.size;
    const place = idle.first();
    const dropped = place === undefined ? undefined : blocks[place];
    if (dropped !== undefined) kept.delete(dropped.hash);
    return place;
  }

  return {
    match(prompt) {
      const found: KeptBlock[] = [];
      for (let end = blockSize; end < prompt.length; end += blockSize) {
        const block = kept.get(hashOf(found.at(-1)?.hash, prompt.slice(end - blockSize, end)));
        if (block === undefined) break;
        found.push(hold(block));
      }
      return found;
    },

    keep(parent, tokens, write) {
      const name = hashOf(parent?.hash, tokens);
      const same = kept.get(name);
      if (same !== undefined) return hold(same);
      const place = makeRoom();
      if (place === undefined) return undefined;
      write(place);
      const block = { hash: name, place };
      kept.set(name, block);
      blocks[place] = block;
      return hold(block);
    },

    release(released) {
      // The last block first: a block without its parent could not be found, so it must go before it.
      for (const { place } of released.toReversed()) {
        const left = (holders[place] ?? 0) - 1;
        holders[place] = left;
        if (left > 0) continue;
        held -= 1;
        idle.append(place);
      }
    },

    reset() {
      if (held > 0) return false;
      kept.clear();
      idle.clear();
      return true;
    },

    counts: () => ({ kept: kept.size, held }),
  };
}

/**
 * Places in the order in which they were appended, each at most once; any of them can be removed. A
 * list in two arrays: a Set would do, but leaves garbage at every turn.
 */
function startQueue(length: number) {
  const end = length;
  // What is in no queue is its own neighbour.
  const next = Int32Array.from({ length: length + 1 }, (_, place) => place);
  const previous = Int32Array.from(next);

  function link(before: number, after: number): void {
    next[before] = after;
    previous[after] = before;
  }

  return {
    first(): number | undefined {
      const place = next[end] ?? end;
      return place === end ? undefined : place;
    },
    /** A place that is not in the queue. */
    append(place: number): void {
      link(previous[end] ?? end, place);
      link(place, end);
    },
    /** Nothing happens where it is not in the queue. */
    remove(place: number): void {
      link(previous[place] ?? end, next[place] ?? end);
      link(place, place);
    },
    clear(): void {
      for (let place = 0; place <= end; place += 1) link(place, place);
    },
  };
}

/** Two different beginnings with one hash are not to be expected in the life of any engine (SHA-256). */
function hashOf(parent: string | undefined, tokens: readonly number[]): string {
  return hash("sha256", `${parent ?? ""} ${tokens.join(" ")}`, "base64");
}
