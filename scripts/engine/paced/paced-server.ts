// An OpenAI-compatible server whose truth is known: it sends tokens at a pace and logs when each
// chunk was written, so that an instrument can be held to it. On raw sockets, with frames made once:
// it has to be faster than what it holds to account.
import { createServer, type Socket } from "node:net";
import { messageOf } from "../../errors.ts";
import { nowMs } from "../../units.ts";
import {
  type CompletionRequest,
  countWords,
  digestOf,
  readCompletionRequest,
  readTokenizeText,
} from "./completion-request.ts";
import { createLogBook, type LogEntry, logOf, type PacedLog, writeLog } from "./paced-log.ts";
import { createRequestReader, type HttpRequest } from "./request-reader.ts";
import {
  chunksPerBlock,
  makeFrames,
  plainResponse,
  type StreamForm,
  type StreamFrames,
  streamHead,
} from "./vllm-frames.ts";

export interface PacedOptions {
  /**
   * `uniform`: every stream at its own phase; `burst`: one engine step for all streams; `flood`: as
   * fast as its client reads.
   */
  readonly pace: "uniform" | "burst" | "flood";
  /** From a request's arrival to its first chunk, and a phase of at most one gap more. Not in a flood. */
  readonly ttftMs: number;
  /** From chunk to chunk. Not in a flood. */
  readonly gapMs: number;
  /** Output tokens of every request; undefined: its own `max_tokens`, else 16. */
  readonly tokens?: number | undefined;
  /** Default 1. */
  readonly tokensPerChunk?: number | undefined;
  /** Whether usage is sent to those who ask for it; default true. */
  readonly usage?: boolean | undefined;
  /** Default 0: any free one. */
  readonly port?: number | undefined;
}

export interface PacedServer {
  /** "http://127.0.0.1:40123". */
  readonly url: string;
  /** What was done so far. */
  log(): Promise<PacedLog>;
  /** Cuts what is open and frees the port. */
  close(): Promise<void>;
}

/** A stream that is being answered. */
interface Stream {
  readonly socket: Socket;
  readonly entry: LogEntry;
  readonly request: CompletionRequest;
  readonly frames: StreamFrames;
  readonly chunks: number;
  /** When its next chunk is to be written. */
  dueAtMs: number;
  /** Goes on with the connection once the stream has ended. */
  readonly onEnd: () => void;
}

/** Chunks and requests that are served before the sockets are looked at again. */
const writesPerTurn = 16;
const readsPerTurn = 4;

/** Serves until it is closed: both completion routes, /v1/models, /health, /tokenize (words), /metrics in vLLM's names, /log. */
export async function createPacedServer(options: PacedOptions): Promise<PacedServer> {
  const { pace, ttftMs, gapMs, tokensPerChunk = 1, usage = true, port = 0 } = options;
  const book = createLogBook();
  const sockets = new Set<Socket>();
  const frames = new Map<string, StreamFrames>();
  /** Streams with a pace, in no order. */
  const paced: Stream[] = [];
  const floods = new Set<Stream>();
  const arrived: (() => void)[] = [];
  let promptTokensTotal = 0;
  let tokensTotal = 0;
  let timer: NodeJS.Timeout | undefined;
  let isWriting = false;
  let wakesAtMs = Number.POSITIVE_INFINITY;
  const firstStepAtMs = nowMs();

  const framesOf = (form: StreamForm): StreamFrames => {
    const key = JSON.stringify(form);
    const known = frames.get(key) ?? makeFrames(form);
    frames.set(key, known);
    return known;
  };

  /** The first step of the engine at or after a time. */
  const stepAt = (atMs: number): number =>
    gapMs === 0 ? atMs : firstStepAtMs + Math.ceil((atMs - firstStepAtMs) / gapMs - 1e-9) * gapMs;

  const writeChunk = (stream: Stream): void => {
    const { socket, entry, request, chunks } = stream;
    const position = entry.sent;
    const isLast = position === chunks - 1;
    const bytes = isLast
      ? stream.frames.last(entry.tokens - position * tokensPerChunk, position === 0)
      : position === 0
        ? stream.frames.first
        : stream.frames.middle;
    entry.sent += 1;
    tokensTotal += isLast ? entry.tokens - position * tokensPerChunk : tokensPerChunk;
    entry.times[position] = nowMs();
    // Who wants no stream gets all of it at the end.
    if (request.stream) socket.write(bytes);
    if (isLast) endStream(stream);
  };

  const endStream = (stream: Stream): void => {
    const { socket, entry, request, frames: own, onEnd } = stream;
    const { tokens } = entry;
    floods.delete(stream);
    const promptTokens = countWords(request.prompt);
    promptTokensTotal += promptTokens;
    const used = { promptTokens, tokens };
    socket.write(
      request.stream
        ? own.end(usage && request.includeUsage ? used : undefined)
        : plainResponse("200 OK", "application/json", wholeAnswer(request, used)),
    );
    onEnd();
  };

  /** Writes what is due, and sleeps until the next chunk is. */
  const tick = (): void => {
    wakesAtMs = Number.POSITIVE_INFINITY;
    const now = nowMs();
    isWriting = true;
    writeSlice(
      paced.filter(({ dueAtMs }) => dueAtMs <= now),
      0,
      now,
    );
  };
  /** A step of many streams is written in slices: requests that come meanwhile are stamped in between. */
  const writeSlice = (due: readonly Stream[], from: number, now: number): void => {
    for (const stream of due.slice(from, from + writesPerTurn)) {
      if (stream.entry.abandoned) continue;
      writeChunk(stream);
      // A late server slips, as an engine does: it never sends two steps at once.
      stream.dueAtMs += gapMs;
      if (stream.dueAtMs < now) stream.dueAtMs = pace === "burst" ? stepAt(now) : now + gapMs;
    }
    if (from + writesPerTurn < due.length) {
      setImmediate(() => {
        writeSlice(due, from + writesPerTurn, now);
      });
      return;
    }
    isWriting = false;
    let nextAtMs = Number.POSITIVE_INFINITY;
    for (let index = paced.length - 1; index >= 0; index -= 1) {
      const stream = paced[index];
      if (stream === undefined) continue;
      if (stream.entry.sent < stream.chunks && !stream.entry.abandoned)
        nextAtMs = Math.min(nextAtMs, stream.dueAtMs);
      else {
        const last = paced.pop();
        if (last !== undefined && index < paced.length) paced[index] = last;
      }
    }
    if (paced.length > 0) wakeAt(nextAtMs);
  };
  const wakeAt = (atMs: number): void => {
    if (isWriting || wakesAtMs <= atMs) return;
    clearTimeout(timer);
    wakesAtMs = atMs;
    timer = setTimeout(tick, Math.max(0, atMs - nowMs()));
  };

  const flood = (stream: Stream): void => {
    const { socket, entry, chunks } = stream;
    if (entry.abandoned) return;
    const left = chunks - entry.sent;
    if (left <= 1 || entry.sent === 0) writeChunk(stream);
    else {
      const count = Math.min(chunksPerBlock, left - 1);
      const { block, middle } = stream.frames;
      entry.times.fill(nowMs(), entry.sent, entry.sent + count);
      entry.sent += count;
      tokensTotal += count * tokensPerChunk;
      socket.write(count === chunksPerBlock ? block : block.subarray(0, count * middle.length));
    }
    if (entry.sent === chunks) return;
    const goOn = (): void => {
      flood(stream);
    };
    if (socket.writableNeedDrain) socket.once("drain", goOn);
    else setImmediate(goOn);
  };

  const serve = (
    socket: Socket,
    { path, body, requestId }: HttpRequest,
    arrivedAtMs: number,
    { begun, ended }: { begun: (stream: Stream) => void; ended: () => void },
  ): void => {
    const request = readCompletionRequest(body.toString("utf8"), path);
    const tokens = Math.max(1, options.tokens ?? request.maxTokens ?? 16);
    const chunks = Math.ceil(tokens / tokensPerChunk);
    const position = book.entries.length;
    const entry = book.begin(
      { id: requestId ?? request.requestId ?? digestOf(request.prompt), arrivedAtMs, tokens },
      chunks,
    );
    const { isChat, model } = request;
    const readyAtMs = arrivedAtMs + ttftMs;
    const stream: Stream = {
      socket,
      entry,
      request,
      frames: framesOf({ isChat, model, tokensPerChunk }),
      chunks,
      dueAtMs:
        pace === "burst" ? stepAt(readyAtMs) : readyAtMs + gapMs * ((position * goldenRatio) % 1),
      onEnd: ended,
    };
    begun(stream);
    if (request.stream) socket.write(streamHead);
    if (pace === "flood") {
      floods.add(stream);
      flood(stream);
    } else {
      paced.push(stream);
      wakeAt(stream.dueAtMs);
    }
  };

  const answer = (socket: Socket, request: HttpRequest): void => {
    const json = (value: unknown): void => {
      socket.write(plainResponse("200 OK", "application/json", JSON.stringify(value)));
    };
    const [route = ""] = request.path.split("?");
    if (route === "/v1/models") {
      json({
        object: "list",
        data: [{ id: "paced", object: "model", owned_by: "benchbook", max_model_len: 131_072 }],
      });
    } else if (route === "/tokenize") {
      json({ count: countWords(readTokenizeText(request.body.toString("utf8"))) });
    } else if (route === "/health") {
      socket.write(plainResponse("200 OK", "text/plain", ""));
    } else if (route === "/metrics") {
      const running = paced.length + floods.size;
      socket.write(
        plainResponse(
          "200 OK",
          "text/plain; version=0.0.4; charset=utf-8",
          metricsText({ running, promptTokensTotal, tokensTotal }),
        ),
      );
    } else if (route === "/log") {
      socket.write(plainResponse("200 OK", "application/json", writeLog(book.entries, cpuMs())));
    } else {
      socket.write(
        plainResponse("404 Not Found", "application/json", JSON.stringify({ detail: "Not Found" })),
      );
    }
  };

  let turnAtMs: number | undefined;
  /**
   * When this turn of the event loop saw its first bytes: all that it reads was there by then, however
   * long the reads of the others take.
   */
  const seenAt = (): number => {
    if (turnAtMs === undefined) {
      turnAtMs = nowMs();
      setImmediate(() => {
        turnAtMs = undefined;
      });
    }
    return turnAtMs;
  };

  /** All reads of a turn come before the first request is looked into. */
  const afterReads = (step: () => void): void => {
    if (arrived.push(step) === 1) setImmediate(readSlice);
  };
  const readSlice = (): void => {
    for (const one of arrived.splice(0, readsPerTurn)) one();
    if (arrived.length > 0) setImmediate(readSlice);
  };

  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    const reader = createRequestReader();
    let current: Stream | undefined;
    const take = (arrivedAtMs: number): void => {
      try {
        while (current === undefined) {
          const request = reader.next();
          if (request === undefined) return;
          if (request.method === "POST" && request.path.includes("/completions")) {
            serve(socket, request, arrivedAtMs, {
              begun: (stream) => {
                current = stream;
              },
              ended: () => {
                current = undefined;
                take(nowMs());
              },
            });
          } else answer(socket, request);
        }
      } catch (error) {
        const detail = JSON.stringify({ error: { message: messageOf(error) } });
        socket.end(plainResponse("400 Bad Request", "application/json", detail));
      }
    };
    socket.on("data", (bytes: Buffer) => {
      const arrivedAtMs = seenAt();
      reader.push(bytes);
      afterReads(() => {
        take(arrivedAtMs);
      });
    });
    // A client that goes away in mid-stream is an event of the log, not an error.
    socket.on("error", () => undefined);
    socket.on("close", () => {
      sockets.delete(socket);
      if (current === undefined) return;
      current.entry.abandoned = true;
      floods.delete(current);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ port, host: "127.0.0.1", backlog: 4096 }, resolve);
  });
  const address = server.address();
  const taken = typeof address === "object" && address !== null ? address.port : port;
  return {
    url: `http://127.0.0.1:${taken}`,
    log: () => Promise.resolve(logOf(book.entries, cpuMs())),
    close: () =>
      new Promise((resolve) => {
        clearTimeout(timer);
        server.close(() => {
          resolve();
        });
        for (const socket of sockets) socket.destroy();
      }),
  };
}

/** Its multiples, modulo 1, fill the unit interval evenly from the first on. */
const goldenRatio = 0.618_033_988_749_895;

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

function wholeAnswer(
  { isChat, model }: CompletionRequest,
  { promptTokens, tokens }: { readonly promptTokens: number; readonly tokens: number },
): string {
  const text = " tok".repeat(tokens);
  const choice = isChat ? { message: { role: "assistant", content: text } } : { text };
  return JSON.stringify({
    id: "cmpl-6f1c0d5e3b9a4c27b1e0a8d94f2c7b63",
    object: isChat ? "chat.completion" : "text_completion",
    model,
    choices: [{ index: 0, ...choice, finish_reason: "length" }],
    usage: {
      prompt_tokens: promptTokens,
      completion_tokens: tokens,
      total_tokens: promptTokens + tokens,
    },
  });
}

function metricsText(totals: {
  readonly running: number;
  readonly promptTokensTotal: number;
  readonly tokensTotal: number;
}): string {
  return [
    "# TYPE vllm:num_requests_running gauge",
    `vllm:num_requests_running{engine="0"} ${totals.running}.0`,
    "# TYPE vllm:num_requests_waiting gauge",
    'vllm:num_requests_waiting{engine="0"} 0.0',
    "# TYPE vllm:prompt_tokens_total counter",
    `vllm:prompt_tokens_total{engine="0"} ${totals.promptTokensTotal}.0`,
    "# TYPE vllm:generation_tokens_total counter",
    `vllm:generation_tokens_total{engine="0"} ${totals.tokensTotal}.0`,
    "",
  ].join("\n");
}
