// Program: one client on one core against a paced server, in the form that every peer of bench:client
// has: a warm-up wave, then waves of streams; writes when each event of the last wave was seen.
// `node client-peer.js NAME PORT STREAMS TOKENS WARM_TOKENS FLOOD_SECONDS OUT`
import { writeFileSync } from "node:fs";
import { Agent, type Dispatcher, fetch, Pool } from "undici";
import { openClient } from "../bench/client.ts";
import { startPolling } from "../bench/polling.ts";
import { nowMs } from "../units.ts";

/** One request of a wave and what was seen of it. */
interface Seen {
  readonly id: string;
  startAtMs: number;
  /** Arrival of each output event, room for all. */
  readonly times: Float64Array;
  events: number;
}

/** Sends a wave and resolves when all of it has ended. */
type Wave = (requests: readonly Seen[], tokens: number) => Promise<void>;

interface Peer {
  readonly wave: Wave;
  readonly close: () => Promise<void>;
}

interface Place {
  readonly url: string;
  readonly streams: number;
}

const route = "/v1/completions";
const prompt = " tok".repeat(512);

function bodyOf(id: string, tokens: number): Buffer {
  return Buffer.from(
    JSON.stringify({
      model: "paced",
      prompt,
      max_tokens: tokens,
      stream: true,
      stream_options: { include_usage: true },
      request_id: id,
    }),
  );
}

const peers: Readonly<Record<string, (place: Place) => Promise<Peer>>> = {
  benchbook: openBenchbook,
  "benchbook-poll": async (place) => {
    const { wave, close } = await openBenchbook(place);
    const polling = startPolling();
    return {
      wave,
      close: () => {
        polling.stop();
        return close();
      },
    };
  },
  undici: openUndici,
  fetch: openFetch,
};

/** The client of this project, as a load uses it. */
async function openBenchbook({ url, streams }: Place): Promise<Peer> {
  const client = await openClient({
    endpoint: { baseUrl: url, model: "paced", headers: {} },
    path: route,
    limits: { requestMs: 600_000, stallMs: 600_000 },
    sinceZero: nowMs,
    redact: (text) => text,
    connections: streams,
    mostConnections: streams,
  });
  const wave: Wave = (requests, tokens) => {
    const outgoing = requests.map(({ id }, index) => ({
      index,
      phase: "measured" as const,
      dueAtMs: 0,
      prepared: {
        body: bodyOf(id, tokens),
        inputTokens: 512,
        outputTokens: tokens,
        promptDigest: "0000000000000000",
      },
    }));
    return untilAll(requests.length, (onEnd) => {
      for (const [index, request] of outgoing.entries()) {
        client.send(request, (record) => {
          const seen = requests[index];
          if (record.status !== "completed" || seen === undefined)
            throw new Error(`a request ended as ${record.status}`);
          seen.startAtMs = record.sentAtMs ?? 0;
          seen.events = record.chunksAtMs.length;
          seen.times.set(record.chunksAtMs);
          onEnd();
        });
      }
    });
  };
  return { wave, close: () => client.close() };
}

/** The least that undici allows: its dispatch, a raw handler, a search for the blank line. */
function openUndici({ url, streams }: Place): Promise<Peer> {
  const pool = new Pool(url, {
    connections: streams,
    pipelining: 1,
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  const target: Dispatcher.DispatchOptions = {
    path: route,
    method: "POST",
    headers: { "content-type": "application/json" },
  };
  const wave: Wave = (requests, tokens) =>
    untilAll(requests.length, (onEnd) => {
      const bodies = requests.map(({ id }) => bodyOf(id, tokens));
      for (const [index, seen] of requests.entries()) {
        let endsInNewline = false;
        pool.dispatch(
          { ...target, body: bodies[index] ?? null },
          {
            onRequestStart() {
              seen.startAtMs = nowMs();
            },
            onResponseStart() {
              return undefined;
            },
            onResponseData(_controller, chunk) {
              const atMs = nowMs();
              let at = 0;
              if (endsInNewline && chunk[0] === newline) {
                stamp(seen, atMs);
                at = 1;
              }
              endsInNewline = false;
              for (let next = chunk.indexOf(newline, at); next >= 0; ) {
                if (next + 1 === chunk.length) {
                  endsInNewline = true;
                  break;
                }
                at = next + 1;
                if (chunk[at] === newline) {
                  stamp(seen, atMs);
                  at += 1;
                }
                next = chunk.indexOf(newline, at);
              }
            },
            onResponseEnd: onEnd,
            onResponseError(_controller, error) {
              throw error;
            },
          },
        );
      }
    });
  return Promise.resolve({ wave, close: () => pool.close() });
}

const newline = 10;

/** fetch, web streams, text, JSON.parse of each event: how a client is written in an afternoon. */
function openFetch({ url, streams }: Place): Promise<Peer> {
  const dispatcher = new Agent({ connections: streams, headersTimeout: 0, bodyTimeout: 0 });
  const one = async (seen: Seen, sent: Buffer): Promise<void> => {
    seen.startAtMs = nowMs();
    const headers = { "content-type": "application/json" };
    const response = await fetch(`${url}${route}`, {
      method: "POST",
      headers,
      body: sent,
      dispatcher,
    });
    if (response.body === null) throw new Error("a response without a body");
    const decoder = new TextDecoder();
    let text = "";
    const body: AsyncIterable<Uint8Array> = response.body;
    for await (const bytes of body) {
      text += decoder.decode(bytes, { stream: true });
      for (;;) {
        const end = text.indexOf("\n\n");
        if (end < 0) break;
        const data = text.slice(0, end).replace(/^data: /, "");
        text = text.slice(end + 2);
        if (data === "[DONE]") continue;
        const event = JSON.parse(data) as { readonly choices: readonly unknown[] };
        if (event.choices.length > 0) stamp(seen, nowMs());
      }
    }
  };
  const wave: Wave = async (requests, tokens) => {
    const bodies = requests.map(({ id }) => bodyOf(id, tokens));
    await Promise.all(requests.map((seen, index) => one(seen, bodies[index] ?? Buffer.alloc(0))));
  };
  return Promise.resolve({ wave, close: () => dispatcher.close() });
}

function stamp(seen: Seen, atMs: number): void {
  // Usage and [DONE] follow the last output event and are none.
  if (seen.events === seen.times.length) return;
  seen.times[seen.events] = atMs;
  seen.events += 1;
}

/** Starts something that ends so many times, and waits for that. */
function untilAll(count: number, start: (onEnd: () => void) => void): Promise<void> {
  return new Promise((resolve) => {
    let ended = 0;
    start(() => {
      ended += 1;
      if (ended === count) resolve();
    });
  });
}

function newWave(name: string, streams: number, tokens: number): readonly Seen[] {
  return Array.from({ length: streams }, (_, index) => ({
    id: `${name}-${index}`,
    startAtMs: 0,
    times: new Float64Array(tokens),
    events: 0,
  }));
}

const [name = "", port, ...numbers] = process.argv.slice(2, 7);
const [streams = 1, tokens = 1, warmTokens = 0] = numbers.map(Number);
const floodMs = Number(process.argv[7] ?? 0) * 1000;
const out = process.argv[8] ?? "/dev/stdout";

const open = peers[name];
if (open === undefined) throw new Error(`no peer is named "${name}"`);
const peer = await open({ url: `http://127.0.0.1:${port ?? ""}`, streams });
if (warmTokens > 0) await peer.wave(newWave("warm", streams, warmTokens), warmTokens);

let requests = newWave("w0", streams, tokens);
let events = 0;
let waves = 0;
const cpuBefore = process.cpuUsage();
const fromMs = nowMs();
for (;;) {
  await peer.wave(requests, tokens);
  events += requests.reduce((sum, seen) => sum + seen.events, 0);
  waves += 1;
  if (nowMs() - fromMs >= floodMs) break;
  requests = newWave(`w${waves}`, streams, tokens);
}
const wallMs = nowMs() - fromMs;
const { user, system } = process.cpuUsage(cpuBefore);

const head = {
  cpuMs: (user + system) / 1000,
  wallMs,
  events,
  requests: requests.map((seen) => ({
    id: seen.id,
    startAtMs: seen.startAtMs,
    events: seen.events,
  })),
};
writeFileSync(
  out,
  Buffer.concat([
    Buffer.from(`${JSON.stringify(head)}\n`),
    ...requests.map(({ times, events: count }) =>
      Buffer.from(times.buffer, times.byteOffset, count * Float64Array.BYTES_PER_ELEMENT),
    ),
  ]),
);
await peer.close();
