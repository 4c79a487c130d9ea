// From events to a loop: whoever puts something in is never held up by whoever takes it out.

export interface Queue<Item> extends AsyncIterable<Item, undefined> {
  readonly put: (item: Item) => void;
  /** No more will come; what is in it is still handed out. */
  readonly close: () => void;
}

/** An empty queue. */
export function createQueue<Item>(): Queue<Item> {
  let items: Item[] = [];
  let isClosed = false;
  let wake: () => void = () => undefined;
  return {
    put(item) {
      items.push(item);
      wake();
    },
    close() {
      isClosed = true;
      wake();
    },
    async *[Symbol.asyncIterator]() {
      for (;;) {
        const batch = items;
        items = [];
        yield* batch;
        if (items.length > 0) continue;
        if (isClosed) return undefined;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
}
