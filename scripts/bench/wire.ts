// The connections of a client to one server, on sockets of node:net and node:tls: opened before the
// load, reused, and read into one shared buffer. undici, which serves everything else, makes objects of
// every chunk, and collecting them holds up the clock of all streams at once.
import type { Socket } from "node:net";
import { messageOf, systemCodeOf } from "../errors.ts";
import { nowMs } from "../units.ts";
import { type ResponseListener, ResponseParser } from "./http1.ts";
import { parseTarget, type WireTarget } from "./wire-target.ts";

/** One read from a socket: everything that came together shares it. It changes with the next read. */
export interface Read {
  readonly number: number;
  /** By the clock that was given to the wire. */
  readonly atMs: number;
}

/** A request's way over the wire, as it is told to the one who sent it. Ends with one of the last two. */
export interface Exchange extends ResponseListener {
  /** The request is about to be written; once more when the connection had died unnoticed. */
  onSend(): void;
  onEnd(): void;
  onBroken(cause: string): void;
}

export interface WireOptions extends WireTarget {
  /** Connections to open before the load. */
  readonly connections: number;
  /** The most that will ever be open; requests beyond them wait. */
  readonly mostConnections: number;
  /** Stamps the reads. */
  readonly stamp: () => number;
  /** Longest to wait for the connections. A server that refuses is met again by the requests. */
  readonly openMs?: number;
  readonly clock?: () => number;
}

export interface Wire {
  /** Connections that were open before the first request; fewer than asked for: refused or slow. */
  readonly opened: number;
  readonly lastRead: Read;
  /** POSTs a body as soon as there is a connection for it; the answer gives the request up. */
  send(body: Uint8Array, exchange: Exchange): () => void;
  /** Breaks every connection, tells nobody, and resolves when the sockets are closed. */
  close(): Promise<void>;
}

interface Sending {
  readonly body: Uint8Array;
  readonly exchange: Exchange;
  connection: Connection | undefined;
  isRepeated: boolean;
  isGivenUp: boolean;
}

interface Connection {
  readonly socket: Socket;
  readonly parser: ResponseParser;
  /** A request that no other connection may take; undefined: it serves who waits. */
  readonly reservedFor: Sending | undefined;
  readonly openingSinceMs: number;
  isOpen: boolean;
  isDropped: boolean;
  sending: Sending | undefined;
  /** Responses that it has carried. */
  served: number;
  /** It lay idle before its present request, so that the server may have closed it meanwhile. */
  wasIdle: boolean;
  idleSinceMs: number;
  keepAliveMs: number;
  error: Error | undefined;
}

/** A connection that has served is closed before the server would: uvicorn closes after 5 s of silence. */
const keepAliveMs = 4000;
const connectMs = 10_000;
/** A read costs the kernel a word to the sender, and an event that it cuts in two is parsed: fewer, larger reads. */
const readBufferBytes = 131_072;
/** A body up to this size is copied behind its head: one buffer is cheaper to write than two. */
const copiedBodyBytes = 16_384;

/**
 * Opens the connections to the server of `baseUrl`. Never throws for a server that does not answer.
 *
 * @throws UserError when the address or a header is none that HTTP allows
 */
export async function openWire(options: WireOptions): Promise<Wire> {
  const { connections, mostConnections, stamp, openMs = 5000, clock = nowMs } = options;
  const { head, isSecure, connect } = parseTarget(options);

  const lastRead = { number: 0, atMs: 0 };
  const readBuffer = Buffer.allocUnsafeSlow(readBufferBytes);
  const all = new Set<Connection>();
  const idle: Connection[] = [];
  const waiting = new Set<Sending>();
  const closing = new Set<Socket>();
  let opening = 0;
  let turnOf: Connection | undefined;
  let isClosed = false;
  let onClosed: () => void = () => undefined;
  let onSettled: () => void = () => undefined;

  const open = (reservedFor?: Sending): void => {
    const connection: Connection = {
      socket: connect({
        buffer: readBuffer,
        callback: (count: number) => {
          readFrom(connection, count);
          return true;
        },
      }),
      parser: new ResponseParser(),
      reservedFor,
      openingSinceMs: clock(),
      isOpen: false,
      isDropped: false,
      sending: undefined,
      served: 0,
      wasIdle: false,
      idleSinceMs: 0,
      keepAliveMs,
      error: undefined,
    };
    const { socket, parser } = connection;
    all.add(connection);
    closing.add(socket);
    if (reservedFor === undefined) opening += 1;
    socket.setNoDelay(true);
    socket.once(isSecure ? "secureConnect" : "connect", () => {
      if (connection.isDropped) return;
      connection.isOpen = true;
      if (reservedFor === undefined) opening -= 1;
      connection.idleSinceMs = clock();
      if (reservedFor === undefined || reservedFor.isGivenUp) offer(connection);
      else write(connection, reservedFor);
      onSettled();
    });
    socket.on("error", (error) => {
      connection.error = error;
    });
    socket.once("end", () => {
      if (connection.isDropped) return;
      // The end of a stream is a read of no bytes.
      stampRead();
      if (connection.sending === undefined) lose(connection, "");
      else {
        parser.end();
        settle(connection, true);
      }
    });
    socket.once("close", () => {
      const { error } = connection;
      if (!connection.isDropped)
        lose(connection, error === undefined ? "the connection was closed" : describe(error));
      closing.delete(socket);
      if (closing.size === 0) onClosed();
    });
  };

  /** An idle connection to whoever waits longest, else to the pool. */
  const offer = (connection: Connection): void => {
    for (const next of waiting) {
      waiting.delete(next);
      write(connection, next);
      return;
    }
    idle.push(connection);
  };

  const write = (connection: Connection, sending: Sending): void => {
    const { socket, parser } = connection;
    const { body, exchange } = sending;
    // The moment after a response is the server's moment to close as well.
    connection.wasIdle = connection.served > 0 || clock() - connection.idleSinceMs > 1000;
    connection.sending = sending;
    sending.connection = connection;
    parser.expect(exchange);
    const start = Buffer.from(`${head}${body.length}\r\n\r\n`, "latin1");
    const whole = body.length <= copiedBodyBytes ? Buffer.concat([start, body]) : undefined;
    exchange.onSend();
    if (whole !== undefined) socket.write(whole);
    else {
      socket.cork();
      socket.write(start);
      socket.write(body);
      socket.uncork();
    }
  };

  const readFrom = (connection: Connection, count: number): void => {
    // The stamp comes first: before any parsing.
    if (!isSecure || turnOf !== connection) stampRead();
    // TLS hands over each of its records in a call of its own although one read brought several.
    if (isSecure) {
      if (turnOf === undefined) setImmediate(endTurn);
      turnOf = connection;
    }
    if (connection.isDropped) return;
    if (connection.sending === undefined) {
      // Nobody asked: a time-out's answer, or bytes beyond the last response.
      lose(connection, "");
      return;
    }
    const end = connection.parser.read(readBuffer, 0, count);
    settle(connection, end < count);
  };

  const stampRead = (): void => {
    lastRead.atMs = stamp();
    lastRead.number += 1;
  };

  const endTurn = (): void => {
    turnOf = undefined;
  };

  /** Ends the exchange when its response has ended or turned out to be none. */
  const settle = (connection: Connection, isSpent: boolean): void => {
    const { parser, sending } = connection;
    if (sending === undefined) return;
    if (parser.fault !== undefined) {
      lose(connection, parser.fault);
    } else if (parser.isComplete) {
      connection.sending = undefined;
      connection.served += 1;
      connection.idleSinceMs = clock();
      connection.keepAliveMs = Math.min(keepAliveMs, (parser.keepAliveS ?? Infinity) * 800);
      // First the connection, then the news of it: who hears it may send the next request at once.
      if (parser.keepsAlive && !isSpent) offer(connection);
      else drop(connection);
      sending.exchange.onEnd();
    }
  };

  /** A connection is no more; its request fails, or goes once more over a new one. */
  const lose = (connection: Connection, cause: string): void => {
    const { parser, sending, wasIdle, isOpen, reservedFor } = connection;
    connection.sending = undefined;
    if (sending !== undefined && wasIdle && !parser.hasBegun && !sending.isRepeated) {
      sending.isRepeated = true;
      sending.connection = undefined;
      drop(connection, sending);
      return;
    }
    drop(connection);
    onSettled();
    if (sending !== undefined) sending.exchange.onBroken(cause);
    else if (!isOpen && reservedFor !== undefined) {
      if (!reservedFor.isGivenUp) reservedFor.exchange.onBroken(cause);
    } else if (!isOpen) {
      for (const unserved of waiting) {
        waiting.delete(unserved);
        unserved.exchange.onBroken(cause);
        break;
      }
    }
  };

  const drop = (connection: Connection, repeated?: Sending): void => {
    if (connection.isDropped) return;
    connection.isDropped = true;
    connection.parser.stop();
    connection.socket.destroy();
    if (!connection.isOpen && connection.reservedFor === undefined) opening -= 1;
    all.delete(connection);
    const place = idle.indexOf(connection);
    if (place !== -1) idle.splice(place, 1);
    if (isClosed) return;
    if (repeated !== undefined) open(repeated);
    openForWaiting();
  };

  const openForWaiting = (): void => {
    while (opening < waiting.size && all.size < mostConnections) open();
  };

  const takeIdle = (): Connection | undefined => {
    for (;;) {
      // The one that was used last is the least likely to be closed.
      const connection = idle.pop();
      if (connection === undefined) return undefined;
      if (connection.socket.writable && !isStale(connection)) return connection;
      drop(connection);
    }
  };

  const isStale = ({ served, idleSinceMs, keepAliveMs: limitMs }: Connection): boolean =>
    served > 0 && clock() - idleSinceMs > limitMs;

  const sweep = setInterval(() => {
    for (const connection of idle.filter(isStale)) drop(connection);
    for (const connection of all)
      if (!connection.isOpen && clock() - connection.openingSinceMs > connectMs)
        lose(connection, `ETIMEDOUT: no connection within ${connectMs / 1000} s`);
  }, 500);
  sweep.unref();

  const closeAll = (): Promise<void> => {
    isClosed = true;
    clearInterval(sweep);
    waiting.clear();
    for (const connection of [...all]) {
      connection.sending = undefined;
      drop(connection);
    }
    return new Promise<void>((resolve) => {
      onClosed = resolve;
      if (closing.size === 0) resolve();
    });
  };
  let closed: Promise<void> | undefined;

  for (let i = 0; i < connections; i += 1) open();
  await atMost(openMs, (resolve) => {
    onSettled = () => {
      if (opening === 0) resolve();
    };
    onSettled();
  });
  const opened = idle.length;
  onSettled = () => undefined;

  return {
    opened,
    lastRead,
    send(body, exchange) {
      const sending: Sending = {
        body,
        exchange,
        connection: undefined,
        isRepeated: false,
        isGivenUp: false,
      };
      const connection = isClosed ? undefined : takeIdle();
      if (connection !== undefined) write(connection, sending);
      else if (isClosed) exchange.onBroken("the client was closed");
      else {
        waiting.add(sending);
        openForWaiting();
      }
      return () => {
        sending.isGivenUp = true;
        waiting.delete(sending);
        const { connection: carrying } = sending;
        if (carrying?.sending !== sending) return;
        carrying.sending = undefined;
        drop(carrying);
      };
    },
    close() {
      closed ??= closeAll();
      return closed;
    },
  };
}

/** "ECONNREFUSED: connect ECONNREFUSED 127.0.0.1:9"; of several addresses tried, the first one's. */
function describe(error: Error): string {
  const shown =
    error instanceof AggregateError && error.errors[0] instanceof Error ? error.errors[0] : error;
  const code = systemCodeOf(shown);
  const message = messageOf(shown);
  return code === undefined || message.includes(code) ? message : `${code}: ${message}`;
}

async function atMost(limitMs: number, work: (resolve: () => void) => void): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, limitMs);
    work(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
