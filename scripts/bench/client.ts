// Sends requests and gives back their records: undici's dispatch with a raw handler, one time stamp
// per read, and one sweep over all requests in flight in place of two timers for each.
import type { Dispatcher } from "undici";
import type { EngineEndpoint } from "../engine/engine.ts";
import { Flight, type FlightLimits, type OutgoingRequest, type Read } from "./flight.ts";
import type { RequestRecord } from "./request-record.ts";

export interface ClientOptions {
  readonly dispatcher: Dispatcher;
  readonly endpoint: EngineEndpoint;
  /** Below the base URL; a query may follow. */
  readonly path: string;
  readonly limits: FlightLimits;
  /** Milliseconds since the trial's zero. */
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
  /** Stops the sweep; what is in flight is cancelled. */
  close(): void;
}

/** A client for one trial. It opens no connection of its own: that is the dispatcher's part. */
export function createClient(options: ClientOptions): Client {
  const { dispatcher, endpoint, path, limits, sinceZero } = options;
  const base = new URL(endpoint.baseUrl);
  const flights = new Set<Flight>();
  const target: Dispatcher.DispatchOptions = {
    path: `${base.pathname.replace(/\/+$/, "")}${path}`,
    method: "POST",
    headers: {
      ...endpoint.headers,
      "content-type": "application/json",
      accept: "text/event-stream",
      "accept-encoding": "identity",
    },
  };
  const readOf = createReadStamp(sinceZero);
  const redact = redactHeaders(endpoint.headers, options.redact);

  const sweep = setInterval(
    () => {
      for (const flight of [...flights]) flight.checkLimits();
    },
    Math.min(100, Math.max(5, Math.min(limits.requestMs, limits.stallMs) / 10)),
  );
  sweep.unref();

  const cancelAll = (cause: string): void => {
    for (const flight of [...flights]) flight.cancel(cause);
  };

  return {
    send(request, onEnd) {
      const flight = new Flight(request, {
        limits,
        sinceZero,
        readOf,
        redact,
        onEnd(record) {
          flights.delete(flight);
          onEnd(record);
        },
      });
      flights.add(flight);
      dispatcher.dispatch({ ...target, body: request.prepared.body }, flight);
    },
    cancelAll,
    get inFlight() {
      return flights.size;
    },
    close() {
      clearInterval(sweep);
      cancelAll("the client was closed");
    },
  };
}

/**
 * One stamp per read. undici hands over each HTTP chunk in a call of its own although one read
 * brought several: they are slices of one buffer, within one turn. A later read may reuse the
 * buffer (Node's pool), so the turn counts as well.
 */
function createReadStamp(sinceZero: () => number): (chunk: Uint8Array) => Read {
  let read: Read = { number: 0, atMs: 0 };
  let buffer: ArrayBufferLike | undefined;
  const forget = (): void => {
    buffer = undefined;
  };
  return (chunk) => {
    if (chunk.buffer !== buffer) {
      read = { number: read.number + 1, atMs: sinceZero() };
      buffer = chunk.buffer;
      queueMicrotask(forget);
    }
    return read;
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
