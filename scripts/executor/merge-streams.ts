// Several streams of events as one, in order of arrival.

/**
 * Yields what the streams yield until all have ended. When one fails, what arrived before is handed
 * on first, then its error is thrown. `onLeave` is called when the reader stops early, and must make
 * the streams end.
 */
export async function* mergeStreams<Event>(
  streams: readonly AsyncIterable<Event>[],
  onLeave: () => void,
): AsyncGenerator<Event, void, undefined> {
  const queue: Event[] = [];
  let wake = (): void => undefined;
  let isOpen = true;
  const over = (async (): Promise<void> => {
    const ends = await Promise.allSettled(
      streams.map(async (stream) => {
        try {
          for await (const event of stream) {
            queue.push(event);
            wake();
          }
        } catch (error) {
          // The others would go on for ever.
          onLeave();
          throw error;
        }
      }),
    );
    isOpen = false;
    wake();
    for (const end of ends) if (end.status === "rejected") throw end.reason;
  })();
  // Its failure is thrown below, once what arrived before it has been handed on.
  over.catch(() => undefined);
  const stillOpen = (): boolean => isOpen;
  try {
    while (stillOpen() || queue.length > 0) {
      const event = queue.shift();
      if (event !== undefined) yield event;
      else {
        await new Promise<void>((resolve) => {
          wake = resolve;
          if (!stillOpen() || queue.length > 0) resolve();
        });
      }
    }
    await over;
  } finally {
    if (stillOpen()) {
      onLeave();
      await over.catch(() => undefined);
    }
  }
}
