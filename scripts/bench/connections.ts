// Opens as many connections to a server as a load needs, before the load begins: no request of the
// first wave then waits for a handshake. Nothing is sent on them until a request takes one.
import type { Socket } from "node:net";
import { buildConnector, type Dispatcher, Pool } from "undici";

export interface Connections {
  readonly dispatcher: Dispatcher;
  /** How many connections were open before the first request; fewer than asked for: refused or slow. */
  readonly opened: number;
  /** Closes every connection at once, also those with a request on them. */
  close(): Promise<void>;
}

export interface ConnectionsOptions {
  /** Connections to open, and the most that will ever be open. */
  readonly count: number;
  /** Longest to wait for all of them. A server that refuses is met again, and recorded, by the requests. */
  readonly openMs?: number;
}

/** One connection is closed before the server would: uvicorn closes after 5 s of silence. */
const keepAliveMs = 4000;

/**
 * Opens `count` connections to the origin of `baseUrl` and a pool that uses them. Never throws for
 * a server that does not answer.
 */
export async function openConnections(
  baseUrl: string,
  { count, openMs = 5000 }: ConnectionsOptions,
): Promise<Connections> {
  const { origin, host, hostname, protocol, port } = new URL(baseUrl);
  const connect = buildConnector({ timeout: 10_000 });
  // `host` gives TLS its server name.
  const target = { host, hostname: hostname.replace(/^\[(.*)\]$/, "$1"), protocol, port };

  const ready: Socket[] = [];
  let closed = false;
  const openOne = (): Promise<void> =>
    new Promise((resolve) => {
      connect(target, (...[error, socket]) => {
        // Refused, undici gives no second argument at all: the error alone tells.
        if (error === null) {
          if (closed) socket.destroy();
          else ready.push(socket);
        }
        resolve();
      });
    });
  await atMost(openMs, Promise.all(Array.from({ length: count }, openOne)));
  const opened = ready.length;

  const dispatcher = new Pool(origin, {
    connections: count,
    pipelining: 1,
    headersTimeout: 0,
    bodyTimeout: 0,
    keepAliveTimeout: keepAliveMs,
    connect(options, callback) {
      const socket = takeUsable(ready);
      if (socket === undefined) connect(options, callback);
      // Not within the call: undici looks for its new connection only after this returns.
      else
        queueMicrotask(() => {
          callback(null, socket);
        });
    },
  });

  return {
    dispatcher,
    opened,
    async close() {
      closed = true;
      for (const socket of ready) socket.destroy();
      await dispatcher.destroy();
    },
  };
}

function takeUsable(sockets: Socket[]): Socket | undefined {
  for (;;) {
    const socket = sockets.pop();
    if (socket === undefined || (!socket.destroyed && socket.writable)) return socket;
  }
}

async function atMost(limitMs: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, limitMs);
  });
  await Promise.race([work, limit]);
  clearTimeout(timer);
}
