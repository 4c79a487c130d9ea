import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createRequestReader, type HttpRequest } from "./request-reader.ts";

function read(parts: readonly Buffer[]): readonly HttpRequest[] {
  const reader = createRequestReader();
  const requests: HttpRequest[] = [];
  for (const part of parts) {
    reader.push(part);
    for (let next = reader.next(); next !== undefined; next = reader.next()) requests.push(next);
  }
  return requests;
}

const two = Buffer.from(
  "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nX-Request-Id: r1\r\n\r\nhello" +
    "GET /log?a=1 HTTP/1.1\r\nhost: x\r\n\r\n",
);

describe("createRequestReader", () => {
  it("reads the same requests however their bytes are split", () => {
    const whole = read([two]);
    expect(
      whole.map(({ method, path, requestId, body }) => [method, path, requestId, body.toString()]),
    ).toEqual([
      ["POST", "/v1/completions", "r1", "hello"],
      ["GET", "/log?a=1", undefined, ""],
    ]);
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: two.length - 1 }), { maxLength: 6 }),
        (cuts) => {
          const edges = [0, ...cuts.toSorted((a, b) => a - b), two.length];
          const parts = edges.slice(1).map((edge, place) => two.subarray(edges[place], edge));
          expect(read(parts)).toEqual(whole);
        },
      ),
    );
  });

  it("refuses what has no length, and what is no HTTP", () => {
    const chunked = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";
    expect(() => read([Buffer.from(chunked)])).toThrow("without its length");
    expect(() => read([Buffer.from("hello\r\n\r\n")])).toThrow("no HTTP/1.1");
  });
});
