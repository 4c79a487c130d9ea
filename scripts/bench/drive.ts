// One trial: puts the load of a point on an engine and yields a record for every request, as they
// end. Whoever reads the records can't hold up the load.
import type { EngineEndpoint } from "../engine/engine.ts";
import { isoWithOffset, nowMs } from "../units.ts";
import { type Client, createClient } from "./client.ts";
import { type LoadInput, runClosedLoop } from "./closed-loop.ts";
import { createCohort } from "./cohort.ts";
import { openConnections } from "./connections.ts";
import { type PreparedAhead, prepareAhead } from "./prepare-ahead.ts";
import type { DriveSummary, RequestRecord } from "./request-record.ts";

export interface DriveInput extends LoadInput {
  readonly endpoint: EngineEndpoint;
  /** Where the requests go, below the endpoint's base URL. */
  readonly path: string;
  /** The trial's zero as a `nowMs()` value, to share it with other readings; else when the load begins. */
  readonly zeroMs?: number;
}

export interface DriveDeps {
  /** Monotonic milliseconds. */
  readonly clock?: () => number;
  /** Takes secrets out of what a server said, before it is kept. */
  readonly redact?: (text: string) => string;
}

/**
 * Drives one trial and yields every request's record in the order in which they ended, cancelled
 * ones too; returns how it went. In a closed loop `dueAtMs` is when the request's slot became free;
 * for the first wave, when the load began.
 *
 * A server's failures are records. More of them than `limits.failureShare` allows (see
 * `failuresAllowed`), or the signal, end the trial as `aborted`: what is in flight is cancelled and
 * yielded. A consumer that stops reading early ends it as well; no request or connection is left.
 *
 * @throws what `source` or `onProgress` throws, after everything in flight was cancelled and yielded
 */
export async function* drive(
  input: DriveInput,
  { clock = nowMs, redact = (text) => text }: DriveDeps = {},
): AsyncGenerator<RequestRecord, DriveSummary, undefined> {
  const { endpoint, path, limits, load } = input;
  const cohort = createCohort(input);
  const connections = await openConnections(endpoint.baseUrl, { count: load.concurrency });
  const readerLeft = new AbortController();
  const signal = AbortSignal.any([input.signal, readerLeft.signal]);
  let client: Client | undefined;
  let requests: PreparedAhead | undefined;
  try {
    requests = prepareAhead(input.source, { depth: load.concurrency, total: cohort.total });
    const zeroMs = input.zeroMs ?? clock();
    const clockGapMs = Date.now() - clock();
    // The wall clock now, not at the process's start: the two may have drifted apart since.
    const zeroEpochMs = Date.now() - (clock() - zeroMs);
    const sinceZero = (): number => clock() - zeroMs;
    const { dispatcher } = connections;
    client = createClient({ dispatcher, endpoint, path, limits, sinceZero, redact });

    const records = createQueue<RequestRecord>();
    const ended = runClosedLoop({
      input: { ...input, signal },
      cohort,
      requests,
      client,
      sinceZero,
      onRecord: records.put,
    });
    ended.then(records.close, records.close);
    yield* records;

    const { outcome, endedAtMs, reading } = await ended;
    return {
      zeroAt: isoWithOffset(zeroEpochMs),
      endedAtMs,
      clockDriftMs: Date.now() - clock() - clockGapMs,
      outcome,
      client: reading,
    };
  } finally {
    readerLeft.abort("its records are no longer read");
    requests?.stop();
    client?.close();
    await connections.close();
  }
}

interface Queue<Item> extends AsyncIterable<Item, undefined> {
  readonly put: (item: Item) => void;
  /** No more will come; what is in it is still handed out. */
  readonly close: () => void;
}

/** From events to a loop: never holds up the one who puts. */
function createQueue<Item>(): Queue<Item> {
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
