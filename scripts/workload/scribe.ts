// Writes texts of words as bytes: ten thousand small strings put together cost several times what
// their bytes do.

export interface Scribe {
  /** Adds `count` words that `random` chooses, each with a space before it. */
  readonly pick: (count: number, random: () => number) => void;
  /** Adds a text of ASCII characters. */
  readonly write: (text: string) => void;
  /** What was written since the last time. */
  readonly take: () => string;
}

/** @param words of ASCII letters */
export function createScribe(words: readonly string[]): Scribe {
  const spaced = words.map((word) => ` ${word}`);
  const bytes = Buffer.from(spaced.join(""), "latin1");
  const starts = new Uint32Array(words.length + 1);
  for (const [index, word] of spaced.entries())
    starts[index + 1] = (starts[index] ?? 0) + word.length;
  const longest = spaced.reduce((most, { length }) => Math.max(most, length), 1);

  let page = Buffer.alloc(64 * 1024);
  let end = 0;
  const makeRoom = (length: number): void => {
    if (end + length <= page.length) return;
    const larger = Buffer.alloc(Math.max(2 * page.length, end + length));
    page.copy(larger, 0, 0, end);
    page = larger;
  };

  return {
    pick(count, random) {
      makeRoom(count * longest);
      for (let written = 0; written < count; written += 1) {
        const word = Math.floor(random() * words.length);
        const stop = starts[word + 1] ?? 0;
        for (let at = starts[word] ?? 0; at < stop; at += 1) {
          page[end] = bytes[at] ?? 0;
          end += 1;
        }
      }
    },
    write(text) {
      makeRoom(text.length);
      end += page.write(text, end, "latin1");
    },
    take() {
      const text = page.toString("latin1", 0, end);
      end = 0;
      return text;
    },
  };
}
