// What the paced server did, request by request: the truth that an instrument is held to. Times go
// into memory that was made before; the log leaves the process as one JSON text.
/** What was done for one request; times are `nowMs()` values, which all processes of a host share. */
export interface PacedRequest {
  /** `x-request-id`, else `request_id` in the body, else the first 16 hex of the sha256 of its prompt. */
  readonly id: string;
  /** When the read began that brought the request's last byte. */
  readonly arrivedAtMs: number;
  /** Of each output chunk, just before it was written; ascending. */
  readonly sentAtMs: Float64Array;
  /** Output tokens asked for. */
  readonly tokens: number;
  /** The client went away before the end. */
  readonly abandoned: boolean;
}

export interface PacedLog {
  /** In order of arrival. */
  readonly requests: readonly PacedRequest[];
  /** CPU time of the server's process since its start. */
  readonly cpuMs: number;
}

/** A request as it is being answered. */
export interface LogEntry {
  readonly id: string;
  readonly arrivedAtMs: number;
  readonly tokens: number;
  /** Room for all of its chunks. */
  readonly times: Float64Array;
  sent: number;
  abandoned: boolean;
}

export interface LogBook {
  /** Opens an entry with room for so many chunks. */
  begin(request: Pick<LogEntry, "id" | "arrivedAtMs" | "tokens">, chunks: number): LogEntry;
  readonly entries: readonly LogEntry[];
}

/** Chunk times that are allocated at once: 8 MiB. */
const blockLength = 2 ** 20;

/** An empty log whose first block of times is already mapped into memory. */
export function createLogBook(): LogBook {
  const entries: LogEntry[] = [];
  let block = new Float64Array(blockLength).fill(0);
  let used = 0;
  return {
    entries,
    begin(request, chunks) {
      if (used + chunks > block.length) {
        block = new Float64Array(Math.max(blockLength, chunks));
        used = 0;
      }
      const times = block.subarray(used, used + chunks);
      used += chunks;
      const entry = { ...request, times, sent: 0, abandoned: false };
      entries.push(entry);
      return entry;
    },
  };
}

/** What `writeLog` writes. */
interface WrittenLog {
  readonly cpuMs: number;
  readonly requests: readonly {
    readonly id: string;
    readonly arrivedAtMs: number;
    readonly tokens: number;
    readonly chunks: number;
    readonly abandoned: boolean;
  }[];
  /** Base64 of all chunk times as float64, little-endian, request after request. */
  readonly times: string;
}

/** The log as it is now; times are copied. */
export function logOf(entries: readonly LogEntry[], cpuMs: number): PacedLog {
  return {
    cpuMs,
    requests: entries.map(({ times, sent, ...request }) => ({
      ...request,
      sentAtMs: times.slice(0, sent),
    })),
  };
}

/** The text of a log, as `GET /log` answers. */
export function writeLog(entries: readonly LogEntry[], cpuMs: number): string {
  const parts = entries.map(({ times, sent }) =>
    Buffer.from(times.buffer, times.byteOffset, sent * Float64Array.BYTES_PER_ELEMENT),
  );
  const requests = entries.map(({ id, arrivedAtMs, tokens, sent, abandoned }) => ({
    id,
    arrivedAtMs,
    tokens,
    chunks: sent,
    abandoned,
  }));
  const times = Buffer.concat(parts).toString("base64");
  return JSON.stringify({ cpuMs, requests, times } satisfies WrittenLog);
}

/** The log of a text that `writeLog` made in another process of ours. */
export function readLog(text: string): PacedLog {
  const { cpuMs, requests, times } = JSON.parse(text) as WrittenLog;
  const bytes = Buffer.from(times, "base64");
  const all = new Float64Array(new Uint8Array(bytes).buffer);
  let used = 0;
  return {
    cpuMs,
    requests: requests.map(({ chunks, ...request }) => {
      used += chunks;
      return { ...request, sentAtMs: all.subarray(used - chunks, used) };
    }),
  };
}
