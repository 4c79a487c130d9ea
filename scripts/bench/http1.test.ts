import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type ResponseHead, ResponseParser } from "./http1.ts";

interface Response {
  readonly heads: readonly ResponseHead[];
  readonly body: string;
  readonly isComplete: boolean;
  readonly keepsAlive: boolean;
  readonly fault: string | undefined;
  /** Bytes that were not taken. */
  readonly leftOver: number;
}

/** One response from these pieces, each of which lies at an odd place of a larger buffer. */
function parse(pieces: readonly Buffer[], ends = false): Response {
  const parser = new ResponseParser();
  const heads: ResponseHead[] = [];
  const body: Buffer[] = [];
  parser.expect({
    onHead: (head) => heads.push(head),
    onBody: (bytes, from, to) => body.push(Buffer.from(bytes.subarray(from, to))),
  });
  let leftOver = 0;
  for (const piece of pieces) {
    const room = Buffer.concat([Buffer.from("\r\n0"), piece, Buffer.from("\r\n7\r\n")]);
    const stop = parser.read(room, 3, 3 + piece.length);
    leftOver += 3 + piece.length - stop;
  }
  if (ends) parser.end();
  const { isComplete, keepsAlive, fault } = parser;
  return {
    heads,
    body: Buffer.concat(body).toString("latin1"),
    isComplete,
    keepsAlive,
    fault,
    leftOver,
  };
}

const whole = (text: string, ends = false): Response => parse([Buffer.from(text, "latin1")], ends);

const ok = { status: 200, contentType: undefined, location: undefined };
const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/** Response, and what it differs in from a 200 that keeps its connection. The close that follows it changes nothing. */
const cases: readonly (readonly [string, string, Partial<Response>])[] = [
  ["a sized body", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", { body: "hello" }],
  ["no body", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", { body: "" }],
  [
    "chunks",
    `${chunked}5\r\nhello\r\n1\r\n \r\nb\r\nworld, ahoy\r\n0\r\n\r\n`,
    { body: "hello world, ahoy" },
  ],
  [
    "sizes in both cases and with leading zeros",
    `${chunked}000A\r\n0123456789\r\n00a\r\nabcdefghij\r\n0\r\n\r\n`,
    { body: "0123456789abcdefghij" },
  ],
  [
    "chunk extensions",
    `${chunked}5;a=b;c="d\n e"\r\nhello\r\n1 ;x\r\n!\r\n0;last\r\n\r\n`,
    { body: "hello!" },
  ],
  ["trailers", `${chunked}2\r\nhi\r\n0\r\nX-Sum: 7\r\nContent-Length: 99\r\n\r\n`, { body: "hi" }],
  ["line ends within chunks", `${chunked}4\r\n\r\n\r\n\r\n0\r\n\r\n`, { body: "\r\n\r\n" }],
  [
    "interim responses",
    `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\nContent-Length: 9\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\nx`,
    { heads: [{ ...ok, status: 201 }], body: "x" },
  ],
  [
    "a status without words",
    "HTTP/1.1 500\r\ncontent-length: 1\r\n\r\nx",
    { heads: [{ ...ok, status: 500 }], body: "x" },
  ],
  [
    "the headers that count, in any case",
    "HTTP/1.1 307 Temporary Redirect\r\nLOCATION:http://a/\r\nContent-TYPE: \t text/html; charset=utf-8 \r\ncontent-length: 0\r\n\r\n",
    { heads: [{ status: 307, contentType: "text/html; charset=utf-8", location: "http://a/" }] },
  ],
  ["bare line feeds in the head", "HTTP/1.1 200 OK\ncontent-length: 2\n\nab", { body: "ab" }],
  [
    "204 without a body",
    "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
    { heads: [{ ...ok, status: 204 }], body: "" },
  ],
  [
    "chunks over a length",
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
    { body: "a" },
  ],
  [
    "a connection that closes",
    "HTTP/1.1 200 OK\r\nConnection: foo, Close\r\nContent-Length: 1\r\n\r\na",
    { body: "a", keepsAlive: false },
  ],
  ["HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", { body: "a", keepsAlive: false }],
  [
    "sizes of seven digits and more",
    `${chunked}0000005\r\nhello\r\n00000001\r\n \r\n000000000005\r\nworld\r\n0\r\n\r\n`,
    { body: "hello world" },
  ],
  [
    "HTTP/1.0 that stays",
    "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\na",
    { body: "a" },
  ],
  [
    "a body up to the close",
    "HTTP/1.1 200 OK\r\n\r\nall of it",
    { body: "all of it", keepsAlive: false },
  ],
];

describe("ResponseParser", () => {
  it.each(cases)("reads %s, cut at every byte", (_, text, expected) => {
    const bytes = Buffer.from(text, "latin1");
    const complete = {
      heads: [ok],
      isComplete: true,
      keepsAlive: true,
      fault: undefined,
      leftOver: 0,
      ...expected,
    };
    expect(parse([bytes], true)).toMatchObject(complete);
    for (let cut = 1; cut < bytes.length; cut += 1)
      expect(parse([bytes.subarray(0, cut), bytes.subarray(cut)], true)).toMatchObject(complete);
    expect(
      parse(
        Array.from(bytes, (byte) => Buffer.of(byte)),
        true,
      ),
    ).toMatchObject(complete);
  });

  it("gives the body back whatever its chunks and cuts", () => {
    const extension = fc.constantFrom("", ";a", ' ; b="c"');
    const chunk = fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 40 }), extension);
    fc.assert(
      fc.property(
        fc.array(chunk, { maxLength: 20 }),
        fc.array(fc.nat(), { maxLength: 30 }),
        fc.constantFrom("", "A: b\r\n", "A: b\r\nC: d\r\n"),
        (chunks, cuts, trailers) => {
          const bytes = Buffer.concat([
            Buffer.from(chunked),
            ...chunks.flatMap(([data, tail]) => [
              Buffer.from(`${data.length.toString(16)}${tail}\r\n`),
              data,
              Buffer.from("\r\n"),
            ]),
            Buffer.from(`0\r\n${trailers}\r\n`),
          ]);
          const places = [0, ...cuts.map((cut) => cut % bytes.length), bytes.length].sort(
            (a, b) => a - b,
          );
          const pieces = places.slice(1).map((end, i) => bytes.subarray(places[i], end));
          const body = Buffer.concat(chunks.map(([data]) => data)).toString("latin1");
          expect(parse(pieces)).toMatchObject({ body, isComplete: true, leftOver: 0 });
        },
      ),
      { numRuns: 300, seed: 7 },
    );
  });

  it("tells of broken chunks, read whole, what it tells when they come byte by byte", () => {
    const change = fc.tuple(fc.nat(), fc.uint8Array({ maxLength: 2 }), fc.nat(2));
    const data = fc.string({ unit: fc.constantFrom("a", "\r", "\n", "0", "5"), minLength: 1 });
    let faults = 0;
    fc.assert(
      fc.property(fc.array(data), fc.array(change, { maxLength: 2 }), (chunks, changes) => {
        let body = Buffer.from(
          `${chunks.map((text) => `${text.length.toString(16)}\r\n${text}\r\n`).join("")}0\r\n\r\n`,
        );
        for (const [at, put, lost] of changes) {
          const place = at % body.length;
          body = Buffer.concat([body.subarray(0, place), put, body.subarray(place + lost)]);
          if (body.length === 0) return;
        }
        const bytes = Buffer.concat([Buffer.from(chunked), body]);
        const { heads, body: told, isComplete, keepsAlive, fault } = parse([bytes]);
        if (fault !== undefined) faults += 1;
        const byByte = parse(Array.from(bytes, (byte) => Buffer.of(byte)));
        expect(byByte).toMatchObject({ heads, body: told, isComplete, keepsAlive, fault });
      }),
      { numRuns: 500, seed: 11 },
    );
    expect(faults).toBeGreaterThan(100);
  });

  it.each([
    ["another protocol", "SSH-2.0-OpenSSH\r\n", "not an HTTP/1 response"],
    ["HTTP/2", "HTTP/2 200\r\n\r\n", "not an HTTP/1 response"],
    ["a header without a name", "HTTP/1.1 200 OK\r\n: x\r\n\r\n", "without a name"],
    ["a folded header", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "without a name"],
    [
      "two lengths",
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
      "content length",
    ],
    ["a negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "content length"],
    [
      "compressed transfer",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
      "transfer coding",
    ],
    ["an upgrade", "HTTP/1.1 101 Switching Protocols\r\n\r\n", "another protocol"],
    ["a chunk without a size", `${chunked}\r\nhello`, "no size"],
    ["a size that is no number", `${chunked}5g\r\nhello`, "hexadecimal"],
    ["a size without its LF", `${chunked}5\rhello`, "CRLF"],
    ["an endless size", `${chunked}${"f".repeat(40)}\r\n`, "measure"],
    ["a chunk beyond its size", `${chunked}2\r\nabc\r\n`, "longer than its size"],
    ["an endless header", `HTTP/1.1 200 OK\r\nA: ${"x".repeat(20_000)}`, "longer than 16384"],
    ["endless trailers", `${chunked}0\r\n${"A: b\r\n".repeat(4000)}`, "longer than 16384"],
    ["an endless extension", `${chunked}1;${"x".repeat(20_000)}`, "longer than 16384"],
  ])("faults %s, wherever it is cut", (_, text, words) => {
    for (const size of [text.length, 1, 7]) {
      const pieces = Array.from({ length: Math.ceil(text.length / size) }, (__, i) =>
        Buffer.from(text.slice(i * size, (i + 1) * size), "latin1"),
      );
      const { fault, isComplete } = parse(pieces);
      expect(fault).toContain(words);
      expect(isComplete).toBe(false);
    }
  });

  it("tells a response that the close cut off from one that never came", () => {
    expect(whole("", true).fault).toContain("without a response");
    for (const text of [
      "HTTP/1.1 2",
      chunked,
      `${chunked}5\r\nhel`,
      `${chunked}5\r\nhello\r\n0\r\n`,
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
    ])
      expect(whole(text, true).fault).toContain("in mid-response");
  });

  it("leaves what follows a response to its caller", () => {
    expect(whole("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1")).toMatchObject({
      body: "a",
      isComplete: true,
      leftOver: 8,
    });
    expect(whole(`${chunked}0\r\n\r\n\r\n`)).toMatchObject({ isComplete: true, leftOver: 2 });
  });

  it("reads one response after another, and forgets the last one's headers", () => {
    const parser = new ResponseParser();
    const seen: unknown[] = [];
    for (const text of [
      "HTTP/1.1 302 Found\r\nLocation: /a\r\nContent-Type: b\r\nContent-Length: 0\r\nKeep-Alive: timeout=7, max=3\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ]) {
      parser.expect({ onHead: (head) => seen.push(head), onBody: () => undefined });
      expect(parser.hasBegun).toBe(false);
      parser.read(Buffer.from(text), 0, text.length);
      expect(parser.hasBegun).toBe(true);
      seen.push(parser.keepAliveS);
    }
    expect(seen).toEqual([{ status: 302, location: "/a", contentType: "b" }, 7, ok, undefined]);
  });

  it("hands over nothing after it was stopped, from within too", () => {
    const parser = new ResponseParser();
    const seen: string[] = [];
    parser.expect({
      onHead: () => seen.push("head"),
      onBody: (bytes, from, to) => {
        seen.push(bytes.toString("latin1", from, to));
        parser.stop();
      },
    });
    const bytes = Buffer.from(`${chunked}1\r\na\r\n1\r\nb\r\n0\r\n\r\n`);
    parser.read(bytes, 0, bytes.length);
    parser.read(bytes, 0, bytes.length);
    expect(seen).toEqual(["head", "a"]);
    expect(parser.isComplete).toBe(false);
  });
});
