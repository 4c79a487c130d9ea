// From the bytes of a response, cut anywhere, to server-sent events. Finds line and event boundaries
// by scanning bytes and decodes nothing: what an event means is the business of stream-events.ts.

/** One event. The bytes are valid only during the call that hands them over: copy what must be kept. */
export interface SseEvent {
  /** The `data` lines joined by LF; undefined when the event has none. */
  readonly data: Buffer | undefined;
  /** The `event` field, "" when there is none. */
  readonly type: string;
  /** The `error` field, which the standard does not know and llama.cpp used through 2025. */
  readonly error: Buffer | undefined;
  /** False for what was still open when the stream ended: no blank line closed it. */
  readonly closed: boolean;
}

export interface SseScanner {
  /** Takes the next bytes; calls back once for each event that they close. */
  push(chunk: Uint8Array): void;
  /**
   * Takes bytes up to and with the first blank line, or all of them; returns how many it took. Calls
   * back at most once.
   */
  next(chunk: Uint8Array): number;
  /** Nothing is open: the next byte begins an event. */
  readonly atBoundary: boolean;
  /** The caller has read a whole event by other means; only at a boundary. */
  skip(): void;
  /** The stream ended: hands over an event that no blank line closed, if there is one. */
  end(): void;
}

const lf = 10;
const cr = 13;
const space = 32;
const colon = 58;

/**
 * A scanner for one stream, by the WHATWG rules: lines end in LF, CRLF or CR, one space after the
 * colon is not part of the value, a leading byte order mark and comments are skipped, `id` and
 * `retry` ignored. Two things differ on purpose: an `error` field is kept, and an event that the end
 * of the stream left open is handed over, marked, because servers forget the last blank line.
 *
 * @param onEvent called within `push` and `end`; its event holds views that die with the call
 */
export function createSseScanner(onEvent: (event: SseEvent) => void): SseScanner {
  // A line that the last chunk left unfinished; grows by doubling, so long lines stay linear.
  let carry = Buffer.allocUnsafe(256);
  let carried = 0;
  // A CR ended the last line: an LF that follows belongs to it.
  let afterCr = false;
  let atStart = true;

  let data: Buffer | undefined;
  let dataIsView = false;
  let error: Buffer | undefined;
  let type = "";

  const keep = (bytes: Uint8Array): void => {
    if (carried + bytes.length > carry.length) {
      const wider = Buffer.allocUnsafe(Math.max(carry.length * 2, carried + bytes.length));
      carry.copy(wider, 0, 0, carried);
      carry = wider;
    }
    carry.set(bytes, carried);
    carried += bytes.length;
  };

  const emit = (closed: boolean): void => {
    if (data !== undefined || error !== undefined) onEvent({ data, type, error, closed });
    data = undefined;
    error = undefined;
    type = "";
  };

  /** Answers whether it was the blank line that closes an event. */
  const readLine = (line: Buffer, isView: boolean): boolean => {
    const text = atStart ? withoutByteOrderMark(line) : line;
    atStart = false;
    if (text.length === 0) {
      emit(true);
      return true;
    }
    const end = text.indexOf(colon);
    if (end === 0) return false;
    const name = (end === -1 ? text : text.subarray(0, end)).toString("latin1");
    const value = end === -1 ? text.subarray(text.length) : valueFrom(text, end + 1);
    if (name === "data") {
      if (data === undefined) {
        data = isView ? value : Buffer.from(value);
        dataIsView = isView;
      } else {
        data = Buffer.concat([data, newline, value]);
        dataIsView = false;
      }
    } else if (name === "event") {
      type = value.toString("utf8");
    } else if (name === "error") {
      error = Buffer.from(value);
    }
    return false;
  };

  const endLine = (rest: Buffer): boolean => {
    if (carried === 0) return readLine(rest, true);
    keep(rest);
    const line = carry.subarray(0, carried);
    carried = 0;
    return readLine(line, false);
  };

  const next = (chunk: Uint8Array): number => {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    let from = 0;
    if (afterCr && bytes.length > 0) {
      afterCr = false;
      if (bytes[0] === lf) from = 1;
    }
    let nextCr = bytes.indexOf(cr, from);
    let nextLf = bytes.indexOf(lf, from);
    while (nextCr !== -1 || nextLf !== -1) {
      const crFirst = nextCr !== -1 && (nextLf === -1 || nextCr < nextLf);
      const end = crFirst ? nextCr : nextLf;
      const isBlank = endLine(bytes.subarray(from, end));
      from = end + 1;
      if (crFirst) {
        if (from === bytes.length) afterCr = true;
        else if (bytes[from] === lf) from += 1;
        nextCr = bytes.indexOf(cr, from);
      }
      if (isBlank) return from;
      if (nextLf !== -1 && nextLf < from) nextLf = bytes.indexOf(lf, from);
    }
    if (from < bytes.length) keep(bytes.subarray(from));
    // The read buffer is not ours to hold: an open event takes its bytes along.
    if (dataIsView && data !== undefined) {
      data = Buffer.from(data);
      dataIsView = false;
    }
    return bytes.length;
  };

  return {
    next,
    push(chunk) {
      for (let from = 0; from < chunk.length; ) from += next(chunk.subarray(from));
    },
    get atBoundary() {
      return carried === 0 && data === undefined && error === undefined && type === "";
    },
    skip() {
      atStart = false;
      afterCr = false;
    },
    end() {
      if (carried > 0) endLine(empty);
      emit(false);
    },
  };
}

const newline = Buffer.from("\n");
const empty = Buffer.alloc(0);

function valueFrom(line: Buffer, start: number): Buffer {
  return line.subarray(line[start] === space ? start + 1 : start);
}

function withoutByteOrderMark(line: Buffer): Buffer {
  return line[0] === 0xef && line[1] === 0xbb && line[2] === 0xbf ? line.subarray(3) : line;
}
