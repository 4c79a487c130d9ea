import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CompletionStream } from "./completion-stream.ts";
import { EventShapes, newMemo, type StreamMemo } from "./event-shapes.ts";
import { SseScanner } from "./sse.ts";
import { readStreamEvent, type StreamEvent } from "./stream-events.ts";

class CountedShapes extends EventShapes {
  matches = 0;

  override match(bytes: Buffer, from: number, to: number, memo: StreamMemo): number {
    const end = super.match(bytes, from, to, memo);
    if (end !== 0) this.matches += 1;
    return end;
  }
}

/** What a stream told, each with the piece that brought it, and its output. */
interface Told {
  readonly events: readonly (readonly [piece: number, ...what: unknown[]])[];
  readonly output: string;
}

type Piece = Uint8Array;

/** The complete way: every event parsed. */
function tellByParsing(pieces: readonly Piece[]): Told {
  const events: [number, ...unknown[]][] = [];
  let output = "";
  let piece = 0;
  const scanner = new SseScanner((event) => {
    const meaning = readStreamEvent(event);
    if (meaning.kind === "chunk") output += meaning.output;
    events.push([piece, ...whatOf(meaning, event.closed)]);
  });
  for (const bytes of pieces) {
    scanner.push(bytes);
    piece += 1;
  }
  scanner.end();
  return { events, output };
}

function whatOf(meaning: StreamEvent, closed: boolean): unknown[] {
  if (meaning.kind !== "chunk" || meaning.usage !== undefined) return [meaning, closed];
  return [meaning.output !== "", meaning.finishReason];
}

/** The way of the product; the pieces lie in a buffer that is overwritten after each read. */
function tell(pieces: readonly Piece[], shapes = new EventShapes()): Told {
  const events: [number, ...unknown[]][] = [];
  let piece = 0;
  const stream = new CompletionStream(
    {
      onChunk: (hasOutput, finishReason) => events.push([piece, hasOutput, finishReason]),
      onEvent: (meaning, closed) => events.push([piece, ...whatOf(meaning, closed)]),
    },
    shapes,
    new Uint8Array(4),
  );
  const longest = pieces.reduce((most, { length }) => Math.max(most, length), 0);
  const buffer = Buffer.alloc(longest + 9);
  for (const bytes of pieces) {
    buffer.fill("\n");
    buffer.set(bytes, 5);
    stream.read(buffer, 5, 5 + bytes.length);
    piece += 1;
  }
  stream.end();
  return { events, output: stream.output() };
}

function cutAt(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [0, ...new Set(cuts.map((cut) => cut % (bytes.length + 1))), bytes.length].sort(
    (a, b) => a - b,
  );
  return places.slice(1).map((end, i) => bytes.subarray(places[i], end));
}

const vllmEvent = (text: string, id = "cmpl-1", created = 1_795_505_987): string =>
  `data: {"id":"${id}","object":"text_completion","created":${created},"model":"m","choices":[{"index":0,"text":${JSON.stringify(text)},"logprobs":null,"finish_reason":null,"stop_reason":null}]}\n\n`;
const chatEvent = (delta: object, finishReason: string | null = null, id = "chatcmpl-1"): string =>
  `data: ${JSON.stringify({ id, object: "chat.completion.chunk", created: 1_795_505_987, model: "m", choices: [{ index: 0, delta, logprobs: null, finish_reason: finishReason }] })}\n\n`;

/** How many of these events are known by their bytes when they come after `before`. */
function knownAfter(before: readonly string[], events: readonly string[]): number {
  const shapes = new EventShapes();
  tell([Buffer.from(before.join(""))], shapes);
  return events.filter((event) => {
    const bytes = Buffer.from(event);
    return shapes.match(bytes, 0, bytes.length, newMemo()) === bytes.length;
  }).length;
}

describe("EventShapes", () => {
  it("knows the events of a stream again after the first, whatever their text", () => {
    const texts = ["a", " tok", "速度", 'say \\"', "\n\t", "é\u2028", "\ud800", "😀", "}]}", "\\"];
    expect(
      knownAfter(
        [vllmEvent("x")],
        texts.map((text) => vllmEvent(text)),
      ),
    ).toBe(texts.length);
  });

  it("knows those of other streams and later seconds", () => {
    expect(
      knownAfter(
        [vllmEvent("x")],
        [vllmEvent("y", "cmpl-2", 1_795_505_988), vllmEvent("y", "z", 3)],
      ),
    ).toBe(2);
  });

  it("knows them where id and time stamp follow the text, as they change too", () => {
    const late = (text: string, id: string, created: number): string =>
      `data: ${JSON.stringify({ choices: [{ index: 0, text }], created, id })}\n\n`;
    const events = [
      late("b", "1", 5),
      late("c", "1", 6),
      late("d", "22", 6),
      late('"', "22", 6),
      late("", "22", 6),
      late("e", "22", 0),
    ];
    expect(knownAfter([late("a", "1", 5)], events)).toBe(4);
    const stream = Buffer.from([late("a", "1", 5), ...events].join(""));
    for (let cut = 0; cut < stream.length; cut += 1) {
      const pieces = [stream.subarray(0, cut), stream.subarray(cut)];
      expect(tell(pieces)).toEqual(tellByParsing(pieces));
    }
  });

  it("knows a chat's role, reasoning, text and finish, each once it was seen", () => {
    const turn = (id: string, text: string): string[] => [
      chatEvent({ role: "assistant", content: "" }, null, id),
      chatEvent({ reasoning: text }, null, id),
      chatEvent({ content: text }, null, id),
      chatEvent({ content: text }, "length", id),
      chatEvent({}, "stop", id),
    ];
    expect(knownAfter(turn("a", "hm"), turn("b", "so"))).toBe(5);
    expect(knownAfter(turn("a", "hm").slice(0, 2), turn("b", "so"))).toBe(2);
  });

  it("does not know what may mean something else", () => {
    const others = [
      vllmEvent(""),
      vllmEvent("a").replace('"finish_reason":null', '"finish_reason":"stop"'),
      vllmEvent("a").replace("\n\n", "\n"),
      vllmEvent("a").replace('"text":"a"', '"text":"\\x"'),
      vllmEvent("a").replace('"text":"a"', '"text":"\u0001"'),
      vllmEvent("a").replace('"text":"a"', '"text":"a\nb"'),
      vllmEvent("a").replace('"text":"a"', '"text":"\\u00g0"'),
      vllmEvent("a").replace('"text":"a"', '"text":"a","text":"b"'),
      vllmEvent("a").replace("1795505987", "007"),
      vllmEvent("a").replace("1795505987", "1.5"),
      `event: error\n${vllmEvent("a")}`,
      `\uFEFF${vllmEvent("a")}`,
      "data: [DONE]\n\n",
    ];
    expect(knownAfter([vllmEvent("x")], others)).toBe(0);
  });

  it("never learns an event with usage, with two texts, or with an error", () => {
    const withUsage = vllmEvent("a").replace("]}\n", '],"usage":{"completion_tokens":1}}\n');
    const twoTexts = chatEvent({ content: "a", reasoning: "a" });
    const error = 'data: {"error":{"message":"a"}}\n\n';
    for (const event of [withUsage, twoTexts, error])
      expect(knownAfter([event], [event.replaceAll('"a"', '"b"')])).toBe(0);
  });
});

describe("CompletionStream", () => {
  const text = fc.oneof(
    fc.string({ unit: "binary", maxLength: 6 }),
    fc.constantFrom("a", " tok", "速度", '"', "\\", "\n", "\ud83d", "\ude00", ""),
  );
  const id = fc.constantFrom("cmpl-1", "cmpl-22", "b\\u00e9", "");
  const created = fc.constantFrom(1_795_505_987, 1_795_505_988, 0, 1.5);
  const usage = fc.oneof(
    { weight: 9, arbitrary: fc.constant(undefined) },
    { weight: 1, arbitrary: fc.record({ prompt_tokens: fc.nat(9), completion_tokens: fc.nat(9) }) },
  );
  const reason = fc.constantFrom(null, null, null, "stop", "length", "abort", "");
  const json = fc
    .tuple(id, created, text, usage, reason, fc.nat(5), fc.boolean())
    .map(([theId, theCreated, content, theUsage, finish_reason, kind, isLate]) => {
      const choice =
        kind === 0
          ? { index: 0, delta: { role: "assistant", content }, finish_reason }
          : kind === 1
            ? { index: 0, delta: { reasoning: content }, finish_reason }
            : kind === 2
              ? {
                  index: 0,
                  delta: {
                    tool_calls: [{ id: theId, function: { name: "f", arguments: content } }],
                  },
                  finish_reason,
                }
              : { index: 0, text: content, logprobs: null, finish_reason };
      // llama.cpp names its id and time behind the text.
      const about = { id: theId, object: "x", created: theCreated };
      const said = { choices: [choice], usage: theUsage };
      return JSON.stringify(isLate ? { ...said, ...about } : { ...about, ...said });
    });
  const lineEnd = fc.constantFrom("\n", "\n", "\n", "\r\n", "\r");
  const event = fc.oneof(
    {
      weight: 8,
      arbitrary: fc
        .tuple(
          fc.constantFrom("data: ", "data: ", "data:", "id: 3\ndata: ", "event: x\ndata: "),
          json,
          lineEnd,
        )
        .map(([field, data, end]) => field + data + end + end),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        "data: [DONE]\n\n",
        ": ping\n\n",
        "data: {\n\n",
        "\n",
        "\uFEFF",
        'event: error\ndata: {"message":"m"}\n\n',
        'data: {"error":{"message":"m"}}\n\n',
        "data: ",
      ),
    },
  );
  const change = fc.tuple(fc.nat(), fc.uint8Array({ maxLength: 2 }), fc.nat(2));
  /** Streams as servers send them, most of them, and some with a few bytes put in, changed or lost. */
  const stream = fc
    .tuple(
      fc.array(event, { maxLength: 6 }),
      fc.array(fc.nat(5), { minLength: 10, maxLength: 30 }),
      fc.array(change, { maxLength: 3 }),
    )
    .map(([events, order, changes]) => {
      // Events repeat, so that what was learned is met again.
      const texts =
        events.length === 0
          ? []
          : [...events, ...order.map((i) => events[i % events.length] ?? "")];
      let bytes = Buffer.from(texts.join(""));
      for (const [at, put, lost] of changes) {
        const place = bytes.length === 0 ? 0 : at % bytes.length;
        bytes = Buffer.concat([bytes.subarray(0, place), put, bytes.subarray(place + lost)]);
      }
      return bytes;
    });

  it("tells of any stream, cut anywhere, what parsing every event tells", () => {
    let shapes = new CountedShapes();
    let runs = 0;
    let matches = 0;
    fc.assert(
      fc.property(stream, fc.array(fc.nat(), { maxLength: 6 }), (bytes, cuts) => {
        const pieces = cutAt(bytes, cuts);
        const truth = tellByParsing(pieces);
        // With what it learns from this stream alone, and with what a few before it taught.
        if (runs % 6 === 0) shapes = new CountedShapes();
        runs += 1;
        const own = new CountedShapes();
        expect(tell(pieces, own)).toEqual(truth);
        matches += own.matches;
        const before = shapes.matches;
        expect(tell(pieces, shapes)).toEqual(truth);
        matches += shapes.matches - before;
      }),
      { numRuns: 1500, seed: 31 },
    );
    // The short way was taken, often.
    expect(matches).toBeGreaterThan(10_000);
  });

  it("keeps half characters apart as they came", () => {
    const euro = Buffer.from("€");
    const [before = "", after = ""] = vllmEvent("@").split("@");
    const halves = [euro.subarray(0, 2), euro.subarray(2)].flatMap((half) => [
      Buffer.from(before),
      half,
      Buffer.from(after),
    ]);
    const bytes = Buffer.concat([Buffer.from(vllmEvent("a") + vllmEvent("b")), ...halves]);
    expect(tell([bytes])).toEqual(tellByParsing([bytes]));
    expect(tell([bytes]).output).toMatch(/^ab\uFFFD+$/);
  });

  const fixtures = fileURLToPath(new URL("../../../shared/fixtures/05-sse/", import.meta.url));
  const ours = fileURLToPath(new URL("../testing/vllm-0.32.0/", import.meta.url));
  const streamsIn = (folder: string): string[] =>
    readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((name) => /\.sse$|replays\/.*(streaming\.\d|edge_cases\/[^/]+)$/.test(name))
      .map((name) => folder + name);
  const check = (path: string): void => {
    const bytes = readFileSync(path);
    for (const size of [bytes.length, 1, 7, 64, 1460]) {
      const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
        bytes.subarray(i * size, (i + 1) * size),
      );
      expect(tell(pieces)).toEqual(tellByParsing(pieces));
    }
  };

  it("reads vLLM's streams as parsing does", () => {
    const streams = streamsIn(ours);
    expect(streams).toHaveLength(3);
    streams.forEach(check);
  });

  it.skipIf(!existsSync(fixtures))(
    "reads every other server's as parsing does (skipped without ../shared/fixtures)",
    () => {
      const streams = streamsIn(fixtures);
      expect(streams.length).toBeGreaterThan(30);
      streams.forEach(check);
    },
  );
});
