// Sends requests over a wire and gives back their records: one time stamp per read, memory that is
// used again, and one sweep over all requests in flight in place of two timers for each.
import type { EngineEndpoint } from "../engine/engine.ts";
import { EventShapes } from "./event-shapes.ts";
import { Flight, type FlightLimits, type FlightMemory, type OutgoingRequest } from "./flight.ts";
import type { RequestRecord } from "./request-record.ts";
import { openWire } from "./wire.ts";

export interface ClientOptions {
  readonly endpoint: EngineEndpoint;
  /** Below the base URL; a query may follow. */
  readonly path: string;
  readonly limits: FlightLimits;
  /** Opened before the first request, so that none of the first wave waits for a handshake. */
  readonly connections: number;
  /** The most that will ever be open; requests beyond them wait. undefined: as many as they need. */
  readonly mostConnections?: number;
  /** Milliseconds since the trial's zero; asked from the first request on. */
  readonly sinceZero: () => number;
  /** Takes secrets out of what a server said, before it is kept. */
  readonly redact: (text: string) => string;
}

export interface Client {
  /**
   * Hands a request to a connection; `onEnd` is called once, with its record, also when it fails.
   * It may be called before `send` returns.
   */
  send(request: OutgoingRequest, onEnd: (record: RequestRecord) => void): void;
  /** Ends all that are in flight as cancelled, for this reason. */
  cancelAll(cause: string): void;
  readonly inFlight: number;
  /** Connections that were open before the first request; fewer than asked for: refused or slow. */
  readonly openedConnections: number;
  /** Cancels what is in flight; resolves when no connection is left. */
  close(): Promise<void>;
}

/**
 * A client for one trial; resolves when its connections are open, or failed to open. A server that is
 * not there is met again, and recorded, by the requests.
 *
 * @throws UserError when the address or a header is none that HTTP allows
 */
export async function openClient(options: ClientOptions): Promise<Client> {
  const { endpoint, path, limits, connections, sinceZero } = options;
  const wire = await openWire({
    baseUrl: endpoint.baseUrl,
    path,
    headers: {
      ...endpoint.headers,
      "content-type": "application/json",
      accept: "text/event-stream",
      "accept-encoding": "identity",
    },
    connections,
    mostConnections: options.mostConnections ?? Infinity,
    stamp: sinceZero,
  });
  const flights = new Set<Flight>();
  const shapes = new EventShapes();
  const memory = createMemory();
  const redact = redactHeaders(endpoint.headers, options.redact);

  const sweep = sweepInSlices(
    flights,
    (flight) => {
      flight.checkLimits();
    },
    Math.min(100, Math.max(5, Math.min(limits.requestMs, limits.stallMs) / 10)),
  );

  const cancelAll = (cause: string): void => {
    for (const flight of [...flights]) flight.cancel(cause);
  };

  return {
    send(request, onEnd) {
      const flight = new Flight(request, {
        limits,
        sinceZero,
        read: wire.lastRead,
        shapes,
        memory,
        redact,
        onEnd(record) {
          flights.delete(flight);
          onEnd(record);
        },
      });
      flights.add(flight);
      flight.abandon = wire.send(request.prepared.body, flight);
    },
    cancelAll,
    get inFlight() {
      return flights.size;
    },
    openedConnections: wire.opened,
    async close() {
      clearInterval(sweep);
      cancelAll("the client was closed");
      await wire.close();
    },
  };
}

/** Slices of a sweep: all requests at once would hold up events of a thousand streams by a third of a millisecond. */
const slices = 16;

/** Looks at every item once in `everyMs`, a few at a time; items may come and go meanwhile. */
function sweepInSlices<Item>(
  items: ReadonlySet<Item>,
  look: (item: Item) => void,
  everyMs: number,
): NodeJS.Timeout {
  const sliceMs = Math.max(1, everyMs / slices);
  let rest = items.values();
  const timer = setInterval(() => {
    for (let left = Math.ceil((items.size * sliceMs) / everyMs); left > 0; left -= 1) {
      const next = rest.next();
      if (next.done === true) {
        rest = items.values();
        return;
      }
      look(next.value);
    }
  }, sliceMs);
  timer.unref();
  return timer;
}

/** Free lists: what a flight gives back is wide enough for most of the next ones. */
function createMemory(): FlightMemory {
  const times: Float64Array[] = [];
  const texts: Uint8Array[] = [];
  return {
    takeTimes(length) {
      const free = times.pop();
      return free !== undefined && free.length >= length
        ? free
        : new Float64Array(Math.max(64, length));
    },
    takeText: () => texts.pop() ?? new Uint8Array(1024),
    giveBack(usedTimes, usedText) {
      times.push(usedTimes);
      texts.push(usedText);
    },
  };
}

/** The endpoint's own header values (a key) never reach a record, whatever else `redact` knows. */
function redactHeaders(
  headers: Readonly<Record<string, string>>,
  redact: (text: string) => string,
): (text: string) => string {
  const secrets = Object.values(headers)
    .flatMap((value) => [value, value.replace(/^\S+\s+/, "")])
    .filter((value) => value.length >= 8);
  return (text) =>
    redact(secrets.reduce((clean, secret) => clean.replaceAll(secret, "[redacted]"), text));
}
