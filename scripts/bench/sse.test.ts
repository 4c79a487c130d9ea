import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SseScanner } from "./sse.ts";

interface TextEvent {
  readonly data: string | undefined;
  readonly type: string;
  readonly error: string | undefined;
  readonly closed: boolean;
}

function scan(chunks: readonly Uint8Array[]): TextEvent[] {
  const events: TextEvent[] = [];
  const scanner = new SseScanner(({ data, type, error, closed }) => {
    events.push({ data: data?.toString(), type, error: error?.toString(), closed });
  });
  for (const chunk of chunks) {
    // Read buffers are reused by whoever read them: what is kept must not live in them.
    const own = Uint8Array.from(chunk);
    scanner.push(own);
    own.fill(0x78);
  }
  scanner.end();
  return events;
}

const scanText = (text: string): TextEvent[] => scan([Buffer.from(text)]);
const dataOf = (text: string): (string | undefined)[] => scanText(text).map(({ data }) => data);

/** The rules again, over the whole text at once, by other means: lines by a regular expression. */
function scanByRule(bytes: Buffer): TextEvent[] {
  const lines = bytes
    .toString("latin1")
    .replace(/^\xef\xbb\xbf/, "")
    .split(/\r\n|\r|\n/);
  const events: TextEvent[] = [];
  let data: string[] = [];
  let type = "";
  let error: string | undefined;
  const flush = (closed: boolean): void => {
    if (data.length > 0 || error !== undefined) {
      events.push({
        data: data.length > 0 ? utf8(data.join("\n")) : undefined,
        type,
        error,
        closed,
      });
    }
    data = [];
    type = "";
    error = undefined;
  };
  for (const [number, line] of lines.entries()) {
    if (line === "") {
      // The last piece of a split is what follows the last line end: no line of its own when empty.
      if (number < lines.length - 1) flush(true);
      continue;
    }
    const [, name = "", value = ""] = /^([^:]*)(?:: ?([^]*))?$/.exec(line) ?? [];
    if (name === "data") data.push(value);
    if (name === "event") type = utf8(value);
    if (name === "error") error = utf8(value);
  }
  flush(false);
  return events;
}

const utf8 = (latin1: string): string => Buffer.from(latin1, "latin1").toString("utf8");

function cutAt(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [0, ...new Set(cuts.map((cut) => cut % (bytes.length + 1))), bytes.length].sort(
    (a, b) => a - b,
  );
  return places.slice(1).map((end, i) => bytes.subarray(places[i], end));
}

describe("SseScanner", () => {
  it("ends lines at LF, CRLF and CR, mixed", () => {
    expect(dataOf("data: a\n\ndata: b\r\n\r\ndata: c\r\rdata: d\n\r\n")).toEqual([
      "a",
      "b",
      "c",
      "d",
    ]);
  });

  it("takes a CR that ends a chunk as a whole line end, at once", () => {
    const seen: string[] = [];
    const scanner = new SseScanner(({ data }) => seen.push(String(data)));
    scanner.push(Buffer.from("data: a\r\n\r"));
    expect(seen).toEqual(["a"]);
    scanner.push(Buffer.from("\ndata: b\n\n"));
    expect(seen).toEqual(["a", "b"]);
  });

  it("strips one space after the colon, not two, and needs none", () => {
    expect(dataOf("data:a\n\ndata: b\n\ndata:  c\n\ndata\n\ndata:\n\n")).toEqual([
      "a",
      "b",
      " c",
      "",
      "",
    ]);
  });

  it("joins the data lines of one event", () => {
    expect(dataOf('data: {"a":\ndata:\ndata: 1}\n\n')).toEqual(['{"a":\n\n1}']);
  });

  it("skips comments, unknown fields and blank lines", () => {
    expect(scanText(": ping\n\nid: 4\nretry: 9\n\n\n\n: x\ndata: a\n: y\n\n")).toEqual([
      { data: "a", type: "", error: undefined, closed: true },
    ]);
  });

  it("keeps the event field for its event only", () => {
    expect(
      scanText("event: error\ndata: a\n\ndata: b\n\nevent: lost\n\ndata: c\n\n").map(
        ({ type }) => type,
      ),
    ).toEqual(["error", "", ""]);
  });

  it("keeps an error field, which the standard would drop", () => {
    expect(scanText('error: {"code":400}\n\ndata: [DONE]\n\n')).toEqual([
      { data: undefined, type: "", error: '{"code":400}', closed: true },
      { data: "[DONE]", type: "", error: undefined, closed: true },
    ]);
  });

  it("hands over what no blank line closed, marked as such", () => {
    expect(scanText("data: a\n\ndata: [DONE]")).toEqual([
      { data: "a", type: "", error: undefined, closed: true },
      { data: "[DONE]", type: "", error: undefined, closed: false },
    ]);
    expect(scanText("data: a\n").map(({ closed }) => closed)).toEqual([false]);
    expect(scanText("")).toEqual([]);
    expect(scanText("data: a\n\n: bye")).toHaveLength(1);
  });

  it("skips a byte order mark at the start only", () => {
    expect(dataOf("\uFEFFdata: a\n\n\uFEFFdata: b\n\n")).toEqual(["a"]);
  });

  it("stays linear on a line that comes byte by byte", () => {
    const long = "x".repeat(200_000);
    const bytes = Buffer.from(`data: ${long}\n\n`);
    expect(scan(Array.from(bytes, (byte) => Uint8Array.of(byte)))[0]?.data).toBe(long);
  });

  it("gives the same events wherever the bytes are cut", () => {
    const lineEnd = fc.constantFrom("\n", "\r\n", "\r");
    const text = fc
      .string({ unit: "binary", maxLength: 12 })
      .map((value) => value.replace(/[\r\n]/g, "."));
    const field = fc.constantFrom(
      "data: ",
      "data:",
      "data",
      "event: ",
      "error: ",
      ": ",
      "id: ",
      "dat: ",
    );
    const line = fc.oneof(
      { weight: 3, arbitrary: fc.tuple(field, text, lineEnd).map((parts) => parts.join("")) },
      { weight: 2, arbitrary: lineEnd },
    );
    const stream = fc
      .tuple(fc.array(line, { maxLength: 30 }), text)
      .map(([lines, tail]) => Buffer.from(lines.join("") + tail));
    fc.assert(
      fc.property(stream, fc.array(fc.nat(), { maxLength: 40 }), (bytes, cuts) => {
        const whole = scan([bytes]);
        expect(whole).toEqual(scanByRule(bytes));
        expect(scan(cutAt(bytes, cuts))).toEqual(whole);
        expect(scan(Array.from(bytes, (byte) => Uint8Array.of(byte)))).toEqual(whole);
      }),
      { numRuns: 500, seed: 20 },
    );
  });
});

const fixtures = fileURLToPath(new URL("../../../shared/fixtures/05-sse/", import.meta.url));
const ours = fileURLToPath(new URL("../testing/vllm-0.32.0/", import.meta.url));

function streamsIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => /\.sse$|replays\/.*(streaming\.\d|edge_cases\/[^/]+)$/.test(name))
    .map((name) => folder + name);
}

describe("SseScanner on streams of real servers", () => {
  const check = (path: string): void => {
    const bytes = readFileSync(path);
    const whole = scan([bytes]);
    expect(whole.length).toBeGreaterThan(0);
    expect(whole).toEqual(scanByRule(bytes));
    for (const size of [1, 7, 64, 1460]) {
      const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
        bytes.subarray(i * size, (i + 1) * size),
      );
      expect(scan(pieces)).toEqual(whole);
    }
  };

  it("reads vLLM's the same wherever they are cut", () => {
    const streams = streamsIn(ours);
    expect(streams).toHaveLength(3);
    streams.forEach(check);
  });

  it.skipIf(!existsSync(fixtures))(
    "reads every other server's the same too (skipped without ../shared/fixtures)",
    () => {
      const streams = streamsIn(fixtures);
      expect(streams.length).toBeGreaterThan(30);
      streams.forEach(check);
    },
  );
});
