// Bytes of one connection to HTTP/1.1 requests, as far as the paced server needs it: requests with a
// content-length, one after another, however the bytes are split.

export interface HttpRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  /** Of the header that names the request; undefined: none. */
  readonly requestId: string | undefined;
  readonly body: Buffer;
}

export interface RequestReader {
  /** Takes what a read brought. */
  push(bytes: Buffer): void;
  /**
   * The next whole request; undefined: more bytes are needed.
   * @throws when what came is no request that it can read
   */
  next(): HttpRequest | undefined;
}

const headEnd = Buffer.from("\r\n\r\n");
const mostHeadBytes = 65_536;

/** A reader of one connection. */
export function createRequestReader(): RequestReader {
  let parts: Buffer[] = [];
  let length = 0;
  /** Bytes without which the next request can't be whole. */
  let needed = 0;
  return {
    push(bytes) {
      // A read's buffer may be written again after it.
      parts.push(Buffer.from(bytes));
      length += bytes.length;
    },
    next() {
      if (length === 0 || length < needed) return undefined;
      const [first] = parts;
      const all = parts.length === 1 && first !== undefined ? first : Buffer.concat(parts);
      parts = [all];
      const end = all.indexOf(headEnd);
      if (end < 0) {
        if (length > mostHeadBytes) throw new Error("the head of a request has no end");
        return undefined;
      }
      const head = all.toString("latin1", 0, end);
      const bodyAt = end + headEnd.length;
      if (/^transfer-encoding:/im.test(head)) throw new Error("a request without its length");
      needed = bodyAt + Number(/^content-length:\s*(\d+)\s*$/im.exec(head)?.[1] ?? 0);
      if (length < needed) return undefined;
      const [, method, path] = /^([A-Z]+) (\S+) HTTP\/1\.1\r?$/m.exec(head) ?? [];
      if (method === undefined || path === undefined) throw new Error("this is no HTTP/1.1");
      const body = all.subarray(bodyAt, needed);
      const rest = all.subarray(needed);
      parts = rest.length === 0 ? [] : [rest];
      length = rest.length;
      needed = 0;
      const requestId = /^x-request-id:\s*(\S+)\s*$/im.exec(head)?.[1];
      return { method, path, requestId, body };
    },
  };
}
