// The right word for a mistyped one.

/**
 * The candidate nearest to `word`, when it is near enough to be what was meant.
 *
 * Edits are counted without regard to case, `-` or `_`; up to a third of the longer word may differ.
 *
 * @example nearest("concurency", ["concurrency", "rate"]) // "concurrency"
 */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const [best] = byNearness(word, candidates);
  return best !== undefined && best.share <= 1 / 3 ? best.candidate : undefined;
}

/** The `count` candidates nearest to `word`, nearest first, however far. */
export function nearestFew(
  word: string,
  candidates: readonly string[],
  count = 3,
): readonly string[] {
  return byNearness(word, candidates)
    .slice(0, count)
    .map(({ candidate }) => candidate);
}

function byNearness(
  word: string,
  candidates: readonly string[],
): { readonly candidate: string; readonly share: number }[] {
  // Beyond this nobody mistyped a word.
  const plain = (text: string): string => text.slice(0, 80).toLowerCase().replaceAll(/[-_ ]/g, "");
  const typed = plain(word);
  return candidates
    .map((candidate) => {
      const meant = plain(candidate);
      const longer = Math.max(typed.length, meant.length, 1);
      return { candidate, share: editDistance(typed, meant) / longer };
    })
    .sort((left, right) => left.share - right.share);
}

/**
 * How many letters must be added, taken out, changed or swapped with the next: optimal string
 * alignment distance (Damerau 1964, restricted).
 */
export function editDistance(from: string, to: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= to.length; column += 1) {
      const same = from[row - 1] === to[column - 1];
      const swapped =
        row > 1 &&
        column > 1 &&
        from[row - 1] === to[column - 2] &&
        from[row - 2] === to[column - 1];
      current.push(
        Math.min(
          (last[column] ?? Infinity) + 1,
          (current[column - 1] ?? Infinity) + 1,
          (last[column - 1] ?? Infinity) + (same ? 0 : 1),
          swapped ? (beforeLast[column - 2] ?? Infinity) + 1 : Infinity,
        ),
      );
    }
    beforeLast = last;
    last = current;
  }
  return last[to.length] ?? 0;
}
