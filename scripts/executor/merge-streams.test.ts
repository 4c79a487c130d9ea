import { describe, expect, it } from "vitest";
import { mergeStreams } from "./merge-streams.ts";

/** A stream whose items come when the test says so. */
function controlled<Item>(): {
  readonly stream: AsyncIterable<Item>;
  readonly put: (item: Item) => void;
  readonly end: () => void;
  readonly fail: (error: Error) => void;
} {
  const steps: (() => IteratorResult<Item, undefined>)[] = [];
  let wake = (): void => undefined;
  const add = (step: () => IteratorResult<Item, undefined>): void => {
    steps.push(step);
    wake();
  };
  return {
    stream: {
      [Symbol.asyncIterator]: () => ({
        async next() {
          for (;;) {
            const step = steps.shift();
            if (step !== undefined) return step();
            await new Promise<void>((resolve) => {
              wake = resolve;
            });
          }
        },
      }),
    },
    put: (value) => {
      add(() => ({ done: false, value }));
    },
    end: () => {
      add(() => ({ done: true, value: undefined }));
    },
    fail: (error) => {
      add(() => {
        throw error;
      });
    },
  };
}

const never = (): never => {
  throw new Error("nobody left");
};

async function all<Item>(stream: AsyncIterable<Item>): Promise<readonly Item[]> {
  const items: Item[] = [];
  for await (const item of stream) items.push(item);
  return items;
}

describe("several streams as one", () => {
  it("hand on everything in order of arrival, until the last has ended", async () => {
    const a = controlled<string>();
    const b = controlled<string>();
    const merged = all(mergeStreams([a.stream, b.stream], never));
    a.put("a1");
    a.put("a2");
    a.end();
    await Promise.resolve();
    b.put("b1");
    b.end();
    expect((await merged).toSorted()).toEqual(["a1", "a2", "b1"]);
  });

  it("throw the failure of one, after what arrived before it, and make the others end", async () => {
    const a = controlled<string>();
    const b = controlled<string>();
    const seen: string[] = [];
    const merged = (async () => {
      for await (const item of mergeStreams([a.stream, b.stream], b.end)) seen.push(item);
    })();
    a.put("a1");
    a.fail(new Error("broken"));
    await expect(merged).rejects.toThrow("broken");
    expect(seen).toEqual(["a1"]);
  });

  it("make the streams end when the reader leaves early, and wait for it", async () => {
    const a = controlled<string>();
    let left = 0;
    a.put("a1");
    for await (const item of mergeStreams([a.stream], () => {
      left += 1;
      a.end();
    })) {
      expect(item).toBe("a1");
      break;
    }
    expect(left).toBe(1);
  });
});
