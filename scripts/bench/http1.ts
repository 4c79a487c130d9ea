// From the bytes of a connection, cut anywhere, to one HTTP/1.x response after another: status, the
// few headers that matter here, and body segments as ranges of the read buffer, so that a body costs
// no allocation. Held to undici's parser by http1.test.ts and wire.test.ts.

/** A final response's head; 1xx are skipped. A header that did not come is undefined. */
export interface ResponseHead {
  readonly status: number;
  readonly contentType: string | undefined;
  readonly location: string | undefined;
}

/** Called within `read`; either may call `stop`. */
export interface ResponseListener {
  onHead(head: ResponseHead): void;
  /** A part of the body, bytes[from, to), without any transfer coding; valid only during the call. */
  onBody(bytes: Buffer, from: number, to: number): void;
}

// Where in a response the parser is. Numbers: they are compared for every chunk of a stream.
const beforeStatus = 0;
const inHeaders = 1;
const inSized = 2;
const untilClose = 3;
const inChunkSize = 4;
const inChunkExtension = 5;
const afterChunkSize = 6;
const inChunk = 7;
const afterChunk = 8;
const afterChunkCr = 9;
const inTrailers = 10;
const complete = 11;
const broken = 12;

const lf = 10;
const cr = 13;

/** As Node's own: more is not a server's answer but a mistake. */
const headLimitBytes = 16_384;
const largestChunkBytes = 2 ** 40;

const hexDigits = new Int8Array(256).fill(-1);
for (const digits of ["0123456789abcdef", "0123456789ABCDEF"])
  for (const [value, digit] of Buffer.from(digits).entries()) hexDigits[digit] = value;

const silent: ResponseListener = { onHead: () => undefined, onBody: () => undefined };

/** Reads the responses of one connection; `expect` names the listener of the next one. */
export class ResponseParser {
  #state = complete;
  #listener = silent;
  #fault = "";
  #hasBegun = false;
  #keepsAlive = false;

  /** An unfinished line of the head or the trailers. */
  #line = "";
  #headBytes = 0;
  #left = 0;
  #digits = 0;

  #status = 0;
  #isHttp10 = false;
  #contentType: string | undefined;
  #location: string | undefined;
  #contentLength: number | undefined;
  #transferEncoding: string | undefined;
  #connection = "";
  #keepAliveS: number | undefined;

  /** The response has ended, all of it was handed over. */
  get isComplete(): boolean {
    return this.#state === complete;
  }

  /** What is wrong with these bytes; undefined: nothing so far. */
  get fault(): string | undefined {
    return this.#state === broken ? this.#fault : undefined;
  }

  /** A byte of the response was seen, be it of a 1xx. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** The connection may carry another request; known once the response is complete. */
  get keepsAlive(): boolean {
    return this.#keepsAlive;
  }

  /** How long the server keeps an idle connection, as it said in `Keep-Alive`, s; undefined: it did not. */
  get keepAliveS(): number | undefined {
    return this.#keepAliveS;
  }

  /** A request is on its way: what comes next is its response. */
  expect(listener: ResponseListener): void {
    this.#listener = listener;
    this.#hasBegun = false;
    this.#beginHead();
  }

  /** Hands over nothing more. */
  stop(): void {
    this.#listener = silent;
    this.#break("stopped");
  }

  /**
   * Takes bytes[from, to). Returns where it stopped: `to`, or before it where the response ended
   * (what follows belongs to no request) or is no HTTP.
   */
  read(bytes: Buffer, from: number, to: number): number {
    let at = from;
    if (at < to) this.#hasBegun = true;
    while (at < to) {
      switch (this.#state) {
        case inChunkSize:
          at =
            this.#digits === 0
              ? this.#readChunks(bytes, at, to)
              : this.#readChunkSize(bytes, at, to);
          break;
        case inChunk: {
          const end = Math.min(to, at + this.#left);
          this.#left -= end - at;
          if (this.#left === 0) this.#state = afterChunk;
          this.#listener.onBody(bytes, at, end);
          at = end;
          break;
        }
        case afterChunk:
        case afterChunkCr:
          at = this.#readChunkEnd(bytes, at);
          break;
        case inSized: {
          const end = Math.min(to, at + this.#left);
          this.#left -= end - at;
          if (this.#left === 0) this.#state = complete;
          this.#listener.onBody(bytes, at, end);
          at = end;
          break;
        }
        case untilClose:
          this.#listener.onBody(bytes, at, to);
          at = to;
          break;
        case inChunkExtension:
          at = this.#skipExtension(bytes, at, to);
          break;
        case afterChunkSize:
          if (bytes[at] === lf) at = this.#beginChunk(at + 1);
          else this.#break("a chunk size does not end in CRLF");
          break;
        case beforeStatus:
        case inHeaders:
        case inTrailers:
          at = this.#readLines(bytes, at, to);
          break;
        default:
          return at;
      }
    }
    return at;
  }

  /** The server closed the connection: the end of some responses, a fault in all others. */
  end(): void {
    if (this.#state === untilClose) this.#state = complete;
    else if (this.#state < complete)
      this.#break(
        this.#hasBegun
          ? "the server closed the connection in mid-response"
          : "the server closed the connection without a response",
      );
  }

  #break(fault: string): void {
    if (this.#state === broken) return;
    this.#state = broken;
    this.#fault = fault;
    this.#keepsAlive = false;
  }

  #beginHead(): void {
    this.#state = beforeStatus;
    this.#line = "";
    this.#headBytes = 0;
    this.#keepsAlive = false;
    this.#contentType = undefined;
    this.#location = undefined;
    this.#contentLength = undefined;
    this.#transferEncoding = undefined;
    this.#connection = "";
    this.#keepAliveS = undefined;
  }

  /**
   * Hands over the chunks that lie here whole, as most do, without a change of state for each of their
   * parts; goes on with the size of the first that is cut, the last, or out of the ordinary.
   */
  #readChunks(bytes: Buffer, from: number, to: number): number {
    let at = from;
    for (;;) {
      let size = 0;
      let line = at;
      for (; line < to && line < at + 7; line += 1) {
        const digit = hexDigits[bytes[line] ?? 0] ?? -1;
        if (digit < 0) break;
        size = (size << 4) | digit;
      }
      const begin = line + 2;
      const end = begin + size;
      if (
        size === 0 ||
        end + 2 > to ||
        bytes[line] !== cr ||
        bytes[line + 1] !== lf ||
        bytes[end] !== cr ||
        bytes[end + 1] !== lf
      )
        return this.#readChunkSize(bytes, at, to);
      this.#listener.onBody(bytes, begin, end);
      if (this.#state !== inChunkSize) return end;
      at = end + 2;
    }
  }

  #readChunkSize(bytes: Buffer, from: number, to: number): number {
    let at = from;
    while (at < to) {
      const byte = bytes[at] ?? 0;
      const digit = hexDigits[byte] ?? -1;
      at += 1;
      if (digit >= 0) {
        this.#left = this.#left * 16 + digit;
        this.#digits += 1;
        if (this.#left > largestChunkBytes) {
          this.#break("a chunk size is beyond all measure");
          return at;
        }
        continue;
      }
      if (this.#digits === 0) this.#break("a chunk has no size");
      else if (byte === cr && at < to && bytes[at] === lf) return this.#beginChunk(at + 1);
      else if (byte === cr) this.#state = afterChunkSize;
      else if (byte === 0x3b || byte === 0x20 || byte === 0x09) this.#state = inChunkExtension;
      else this.#break("a chunk size is no hexadecimal number");
      return at;
    }
    return at;
  }

  #skipExtension(bytes: Buffer, from: number, to: number): number {
    let at = from;
    while (at < to && bytes[at] !== cr) at += 1;
    this.#countHead(at - from);
    if (at === to || this.#state === broken) return at;
    this.#state = afterChunkSize;
    return at + 1;
  }

  #beginChunk(at: number): number {
    this.#digits = 0;
    this.#headBytes = 0;
    this.#state = this.#left === 0 ? inTrailers : inChunk;
    return at;
  }

  #readChunkEnd(bytes: Buffer, at: number): number {
    if (this.#state === afterChunk && bytes[at] === cr) this.#state = afterChunkCr;
    else if (this.#state === afterChunkCr && bytes[at] === lf) this.#state = inChunkSize;
    else this.#break("a chunk is longer than its size says");
    return at + 1;
  }

  /** Lines of the head or the trailers, one a call; a bare LF ends one too, as RFC 9112 allows. */
  #readLines(bytes: Buffer, from: number, to: number): number {
    let end = from;
    while (end < to && bytes[end] !== lf) end += 1;
    this.#countHead(end + 1 - from);
    if (this.#state === broken) return end;
    this.#line += bytes.toString("latin1", from, end);
    if (end === to) return to;
    const line = this.#line.endsWith("\r") ? this.#line.slice(0, -1) : this.#line;
    this.#line = "";
    if (this.#state === inTrailers) {
      if (line === "") this.#state = complete;
    } else if (this.#state === beforeStatus) this.#readStatus(line);
    else if (line === "") this.#finishHead();
    else this.#readHeader(line);
    return end + 1;
  }

  #countHead(bytes: number): void {
    this.#headBytes += bytes;
    if (this.#headBytes > headLimitBytes)
      this.#break(`the head of the response is longer than ${headLimitBytes} bytes`);
  }

  #readStatus(line: string): void {
    const match = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: |$)/.exec(line);
    if (match === null) {
      this.#break(`not an HTTP/1 response: ${JSON.stringify(line.slice(0, 80))}`);
      return;
    }
    this.#isHttp10 = match[1] === "0";
    this.#status = Number(match[2]);
    this.#state = inHeaders;
  }

  #readHeader(line: string): void {
    const colon = line.indexOf(":");
    if (colon <= 0 || !/^[!#$%&'*+.^_`|~\w-]+$/.test(line.slice(0, colon))) {
      this.#break(`a header line without a name: ${JSON.stringify(line.slice(0, 80))}`);
      return;
    }
    const value = line.slice(colon + 1).trim();
    switch (line.slice(0, colon).toLowerCase()) {
      case "content-type":
        this.#contentType ??= value;
        break;
      case "location":
        this.#location ??= value;
        break;
      case "content-length": {
        const length = /^\d{1,15}$/.test(value) ? Number(value) : undefined;
        if (length === undefined || (this.#contentLength ?? length) !== length)
          this.#break(`not a content length: ${JSON.stringify(value.slice(0, 80))}`);
        this.#contentLength = length;
        break;
      }
      case "transfer-encoding":
        this.#transferEncoding =
          this.#transferEncoding === undefined ? value : `${this.#transferEncoding}, ${value}`;
        break;
      case "connection":
        this.#connection += `,${value.toLowerCase()}`;
        break;
      case "keep-alive": {
        const seconds = /(?:^|[,;\s])timeout=(\d{1,6})/i.exec(value)?.[1];
        if (seconds !== undefined) this.#keepAliveS = Number(seconds);
      }
    }
  }

  #finishHead(): void {
    const status = this.#status;
    if (status === 101) {
      this.#break("the server switched to another protocol");
      return;
    }
    if (status < 200) {
      this.#beginHead();
      return;
    }
    const coding = this.#transferEncoding?.toLowerCase();
    if (coding !== undefined && coding !== "chunked") {
      this.#break(`not a transfer coding that was asked for: ${JSON.stringify(coding)}`);
      return;
    }
    const hasBody = status !== 204 && status !== 304;
    const isChunked = hasBody && coding === "chunked";
    const length = this.#contentLength;
    const tokens = this.#connection.split(",").map((token) => token.trim());
    this.#keepsAlive =
      (!hasBody || isChunked || length !== undefined) &&
      (this.#isHttp10 ? tokens.includes("keep-alive") : !tokens.includes("close"));
    this.#left = 0;
    this.#digits = 0;
    if (isChunked) {
      this.#state = inChunkSize;
      this.#headBytes = 0;
    } else if (!hasBody || length === 0) this.#state = complete;
    else if (length === undefined) this.#state = untilClose;
    else {
      this.#state = inSized;
      this.#left = length;
    }
    this.#listener.onHead({ status, contentType: this.#contentType, location: this.#location });
  }
}
