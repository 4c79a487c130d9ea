import { afterEach, describe, expect, it, vi } from "vitest";
import { chunkOf, doneEvent } from "../testing/local-server.ts";
import { type PacedServer, startPacedServer } from "../testing/paced-server.ts";
import { nowMs } from "../units.ts";
import { type Client, type ClientOptions, openClient } from "./client.ts";
import { EventShapes } from "./event-shapes.ts";
import { Flight, type OutgoingRequest } from "./flight.ts";
import { ResponseParser } from "./http1.ts";
import type { RequestRecord } from "./request-record.ts";

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function paced(
  schedule: Parameters<typeof startPacedServer>[0]["schedule"],
): Promise<PacedServer> {
  const server = await startPacedServer({ schedule });
  closers.push(server.close);
  return server;
}

async function clientOf(url: string, options: Partial<ClientOptions> = {}): Promise<Client> {
  const client = await openClient({
    endpoint: { baseUrl: url, model: "m", headers: {} },
    path: "/v1/completions",
    limits: { requestMs: 30_000, stallMs: 30_000 },
    connections: 4,
    sinceZero: nowMs,
    redact: (text) => text,
    ...options,
  });
  closers.push(() => client.close());
  return client;
}

const outgoing = (index: number, outputTokens = 4): OutgoingRequest => ({
  index,
  phase: "measured",
  dueAtMs: nowMs(),
  prepared: {
    body: Buffer.from(JSON.stringify({ model: "m", max_tokens: outputTokens, stream: true })),
    inputTokens: 1,
    outputTokens,
    promptDigest: "0",
  },
});

const send = (client: Client, request: OutgoingRequest): Promise<RequestRecord> =>
  new Promise((resolve) => {
    client.send(request, resolve);
  });

describe("openClient", () => {
  it("has its connections open before the first request", async () => {
    const server = await paced(() => ({ ttftMs: 1, gapMs: 1 }));
    const client = await clientOf(server.url, { connections: 7 });
    expect(client.openedConnections).toBe(7);
    // The kernel has them all; the server takes them one by one.
    await vi.waitFor(async () => {
      expect(await server.connectionCount()).toBe(7);
    });
  });

  it("stamps what waits for a connection when it is sent, not when it is due", async () => {
    const server = await paced(() => ({ ttftMs: 60, gapMs: 1 }));
    const client = await clientOf(server.url, { connections: 1, mostConnections: 1 });
    const [first, second] = await Promise.all([
      send(client, outgoing(0)),
      send(client, outgoing(1)),
    ]);
    expect([first.status, second.status]).toEqual(["completed", "completed"]);
    expect(second.sentAtMs ?? 0).toBeGreaterThanOrEqual(first.endedAtMs);
    expect((second.sentAtMs ?? 0) - second.dueAtMs).toBeGreaterThan(50);
  });

  it("sends without waiting where no most is set", async () => {
    const server = await paced(() => ({ ttftMs: 50, gapMs: 1 }));
    const client = await clientOf(server.url, { connections: 2 });
    const records = await Promise.all(
      Array.from({ length: 20 }, (_, i) => send(client, outgoing(i))),
    );
    expect(records.every(({ status }) => status === "completed")).toBe(true);
    expect(Math.max(...server.served.map(({ inFlight }) => inFlight))).toBeGreaterThan(2);
  });

  it("ends what waits when it is cancelled or beyond its limit, without sending it", async () => {
    const server = await paced(() => ({ ttftMs: 60_000, gapMs: 1 }));
    const client = await clientOf(server.url, {
      connections: 1,
      mostConnections: 1,
      limits: { requestMs: 150, stallMs: 30_000 },
    });
    const [sent, waited] = await Promise.all([
      send(client, outgoing(0)),
      send(client, outgoing(1)),
    ]);
    expect(sent.status).toBe("timedOut");
    expect(waited).toMatchObject({ status: "timedOut" });
    const later = [send(client, outgoing(2)), send(client, outgoing(3))];
    client.cancelAll("enough");
    for (const record of await Promise.all(later))
      expect(record).toMatchObject({ status: "cancelled", cause: "enough" });
    expect(client.inFlight).toBe(0);
    await client.close();
    await vi.waitFor(async () => {
      expect(await server.connectionCount()).toBe(0);
    });
  });

  it("gives every record times of its own, also beyond the planned tokens", async () => {
    const server = await paced((index) => ({ ttftMs: 1, gapMs: 0, tokens: index === 0 ? 500 : 3 }));
    const client = await clientOf(server.url, { connections: 1, mostConnections: 1 });
    const long = await send(client, outgoing(0, 2));
    const before = [...long.chunksAtMs];
    const short = await send(client, outgoing(1, 2));
    expect(before).toHaveLength(500);
    expect(before).toEqual([...before].sort((a, b) => a - b));
    expect([...long.chunksAtMs]).toEqual(before);
    expect(short.chunksAtMs).toHaveLength(3);
    expect(short.chunksAtMs.buffer.byteLength).toBe(3 * 8);
  });
});

// A guard of the instrument that needs no clock: what is allocated is collected, at the cost of all
// streams at once. One object for each event would be 16 bytes or more.
describe("the way of an ordinary event, from read to record", () => {
  const perRead = 50;
  const event = chunkOf({ isChat: false, model: "m", maxTokens: 1 }, " tok");
  const block = Buffer.from(`${event.length.toString(16)}\r\n${event}\r\n`.repeat(perRead));

  /** Heap bytes that one round takes: the median of many short runs, as a collection spoils the run in which it falls. */
  function allocatedBytesOf(round: () => void): number {
    const rounds = 100;
    const grown = Array.from({ length: 201 }, () => {
      const before = process.memoryUsage().heapUsed;
      for (let i = 0; i < rounds; i += 1) round();
      return process.memoryUsage().heapUsed - before;
    });
    return (grown.sort((a, b) => a - b)[100] ?? Infinity) / rounds;
  }

  it("allocates nothing", () => {
    const rounds = 2000 + 201 * 100;
    const read = { number: 0, atMs: 0 };
    const records: RequestRecord[] = [];
    const flight = new Flight(outgoing(0, rounds * perRead), {
      limits: { requestMs: 1e9, stallMs: 1e9 },
      sinceZero: nowMs,
      read,
      shapes: new EventShapes(),
      memory: {
        takeTimes: (length) => new Float64Array(length),
        takeText: () => new Uint8Array(2 ** 23),
        giveBack: () => undefined,
      },
      redact: (text) => text,
      onEnd: (record) => records.push(record),
    });
    const parser = new ResponseParser();
    parser.expect(flight);
    const head = Buffer.from(
      "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
    );
    parser.read(head, 0, head.length);
    const feed = (): void => {
      read.number += 1;
      read.atMs = nowMs();
      parser.read(block, 0, block.length);
    };
    for (let i = 0; i < 2000; i += 1) feed();
    const bytes = allocatedBytesOf(feed);
    const end = Buffer.from(`e\r\n${doneEvent}\r\n0\r\n\r\n`);
    parser.read(end, 0, end.length);
    expect(parser.isComplete).toBe(true);
    flight.onEnd();

    const [record] = records;
    const events = rounds * perRead;
    expect(record?.status).toBe("completed");
    expect(record?.chunksAtMs).toHaveLength(events);
    // All but the first of each read came with the one before it.
    expect(record?.coalescedChunks).toBe(events - events / perRead);
    // Measured: 0.3 bytes, of what each read needs; a view for each event makes it 96.
    expect(bytes / perRead).toBeLessThan(4);
  });

  it("would be seen to allocate", () => {
    const views: unknown[] = [];
    const bytes = allocatedBytesOf(() => {
      for (let i = 0; i < perRead; i += 1) views[i] = { i };
    });
    expect(views).toHaveLength(perRead);
    // An object of one field is 32 bytes or so.
    expect(bytes / perRead).toBeGreaterThan(12);
  });
});
