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
 * A class, so that the scanners of all streams are one shape of object to the compiler: `atBoundary`
 * is asked for every event.
 */
export class SseScanner {
  readonly #onEvent: (event: SseEvent) => void;
  /** A line that the last chunk left unfinished; grows by doubling, so long lines stay linear. */
  #carry = Buffer.allocUnsafe(256);
  #carried = 0;
  /** A CR ended the last line: an LF that follows belongs to it. */
  #afterCr = false;
  #atStart = true;

  #data: Buffer | undefined;
  #dataIsView = false;
  #error: Buffer | undefined;
  #type = "";

  /** @param onEvent called within `push`, `next` and `end`; its event holds views that die with the call */
  constructor(onEvent: (event: SseEvent) => void) {
    this.#onEvent = onEvent;
  }

  /** Nothing is open: the next byte begins an event. */
  get atBoundary(): boolean {
    return (
      this.#carried === 0 &&
      this.#data === undefined &&
      this.#error === undefined &&
      this.#type === ""
    );
  }

  /** The caller has read a whole event by other means; only at a boundary. */
  skip(): void {
    this.#atStart = false;
    this.#afterCr = false;
  }

  /** Takes the next bytes; calls back once for each event that they close. */
  push(chunk: Uint8Array): void {
    for (let from = 0; from < chunk.length; ) from += this.next(chunk.subarray(from));
  }

  /**
   * Takes bytes up to and with the first blank line, or all of them; returns how many it took. Calls
   * back at most once.
   */
  next(chunk: Uint8Array): number {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    let from = 0;
    if (this.#afterCr && bytes.length > 0) {
      this.#afterCr = false;
      if (bytes[0] === lf) from = 1;
    }
    let nextCr = bytes.indexOf(cr, from);
    let nextLf = bytes.indexOf(lf, from);
    while (nextCr !== -1 || nextLf !== -1) {
      const crFirst = nextCr !== -1 && (nextLf === -1 || nextCr < nextLf);
      const end = crFirst ? nextCr : nextLf;
      const isBlank = this.#endLine(bytes.subarray(from, end));
      from = end + 1;
      if (crFirst) {
        if (from === bytes.length) this.#afterCr = true;
        else if (bytes[from] === lf) from += 1;
        nextCr = bytes.indexOf(cr, from);
      }
      if (isBlank) return from;
      if (nextLf !== -1 && nextLf < from) nextLf = bytes.indexOf(lf, from);
    }
    if (from < bytes.length) this.#keep(bytes.subarray(from));
    // The read buffer is not ours to hold: an open event takes its bytes along.
    if (this.#dataIsView && this.#data !== undefined) {
      this.#data = Buffer.from(this.#data);
      this.#dataIsView = false;
    }
    return bytes.length;
  }

  /** The stream ended: hands over an event that no blank line closed, if there is one. */
  end(): void {
    if (this.#carried > 0) this.#endLine(empty);
    this.#emit(false);
  }

  #keep(bytes: Uint8Array): void {
    if (this.#carried + bytes.length > this.#carry.length) {
      const wider = Buffer.allocUnsafe(
        Math.max(this.#carry.length * 2, this.#carried + bytes.length),
      );
      this.#carry.copy(wider, 0, 0, this.#carried);
      this.#carry = wider;
    }
    this.#carry.set(bytes, this.#carried);
    this.#carried += bytes.length;
  }

  #emit(closed: boolean): void {
    const data = this.#data;
    const error = this.#error;
    if (data !== undefined || error !== undefined)
      this.#onEvent({ data, type: this.#type, error, closed });
    this.#data = undefined;
    this.#error = undefined;
    this.#type = "";
  }

  #endLine(rest: Buffer): boolean {
    if (this.#carried === 0) return this.#readLine(rest, true);
    this.#keep(rest);
    const line = this.#carry.subarray(0, this.#carried);
    this.#carried = 0;
    return this.#readLine(line, false);
  }

  /** Answers whether it was the blank line that closes an event. */
  #readLine(line: Buffer, isView: boolean): boolean {
    const text = this.#atStart ? withoutByteOrderMark(line) : line;
    this.#atStart = false;
    if (text.length === 0) {
      this.#emit(true);
      return true;
    }
    const end = text.indexOf(colon);
    if (end === 0) return false;
    const name = (end === -1 ? text : text.subarray(0, end)).toString("latin1");
    const value = end === -1 ? text.subarray(text.length) : valueFrom(text, end + 1);
    if (name === "data") {
      if (this.#data === undefined) {
        this.#data = isView ? value : Buffer.from(value);
        this.#dataIsView = isView;
      } else {
        this.#data = Buffer.concat([this.#data, newline, value]);
        this.#dataIsView = false;
      }
    } else if (name === "event") {
      this.#type = value.toString("utf8");
    } else if (name === "error") {
      this.#error = Buffer.from(value);
    }
    return false;
  }
}

const newline = Buffer.from("\n");
const empty = Buffer.alloc(0);

function valueFrom(line: Buffer, start: number): Buffer {
  return line.subarray(line[start] === space ? start + 1 : start);
}

function withoutByteOrderMark(line: Buffer): Buffer {
  return line[0] === 0xef && line[1] === 0xbb && line[2] === 0xbf ? line.subarray(3) : line;
}
