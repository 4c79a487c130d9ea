// Knows an event again by its bytes. The events of a completion stream differ in their text, their id
// and their time stamp only: a shape is the bytes around these, learned from one event that was read
// the complete way. Comparing costs a few dozen nanoseconds and allocates nothing, where parsing costs
// microseconds; what fits no shape is parsed.
import { SseScanner } from "./sse.ts";
import { readStreamEvent, type StreamEvent } from "./stream-events.ts";

/** What every event of a shape says, apart from the text itself. */
export interface EventShape {
  readonly hasOutput: boolean;
  readonly finishReason: string | undefined;
}

/**
 * What stood before and after the text of one stream's last output event: id and time stamp mostly
 * stay, so that two comparisons do for the next event.
 */
export interface StreamMemo {
  shape: KnownShape | undefined;
  before: Piece;
  after: Piece;
  lessons: number;
}

export function newMemo(): StreamMemo {
  return { shape: undefined, before: noPiece, after: noPiece, lessons: 0 };
}

/** The shapes that the streams of one client have shown; they share it, for they resemble each other. */
export class EventShapes {
  readonly #shapes: KnownShape[] = [];
  #view: DataView = new DataView(new ArrayBuffer(0));
  #viewed: Buffer | undefined;
  #lessons = 0;
  #matches = 0;

  /** The shape of the last match. */
  matched: EventShape = noShape;
  /** Where its text lies, as it stands in the JSON string; meaningful where the shape has output. */
  textFrom = 0;
  textTo = 0;

  /**
   * Where the event that begins at `from` ends, its blank line included, when all of it lies before
   * `to` and it has a known shape; 0 else.
   */
  match(bytes: Buffer, from: number, to: number, memo: StreamMemo): number {
    if (bytes !== this.#viewed) {
      this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      this.#viewed = bytes;
    }
    const { shape: last, before, after } = memo;
    const text = from + before.length;
    if (last !== undefined && text < to && isSame(this.#view, from, before)) {
      const rest = skipString(bytes, text, to);
      const end = rest + after.length;
      if (rest !== text && end <= to && isSame(this.#view, rest, after)) {
        this.#matches += 1;
        this.matched = last;
        this.textFrom = text;
        this.textTo = rest;
        return end;
      }
    }
    const shapes = this.#shapes;
    for (let i = 0; i < shapes.length; i += 1) {
      const shape = shapes[i] ?? noShape;
      const end = this.#fit(shape, bytes, from, to);
      if (end === 0) continue;
      this.#matches += 1;
      this.matched = shape;
      if (shape.hasOutput) this.#remember(memo, shape, bytes.subarray(from, end), from);
      // The streams of a load move through the same shapes together: the last one is likely the next.
      if (i > 0) {
        shapes[i] = shapes[0] ?? noShape;
        shapes[0] = shape;
      }
      return end;
    }
    return 0;
  }

  /**
   * Learns the shape of an event that was just read the complete way: bytes[from, to), from one event
   * boundary to the next. Nothing is learned of an event whose meaning its text alone does not decide.
   */
  learn(bytes: Buffer, from: number, to: number, meaning: StreamEvent): void {
    // A server whose every event differs costs its parsing, not a lesson for each as well.
    if (this.#lessons >= freeLessons + this.#matches / 32) return;
    if (meaning.kind !== "chunk" || meaning.usage !== undefined) return;
    if (to - from > longestEvent) return;
    this.#lessons += 1;
    const shape = shapeOf(bytes.toString("latin1", from, to), meaning);
    if (shape === undefined) return;
    this.#shapes.unshift(shape);
    this.#shapes.length = Math.min(this.#shapes.length, mostShapes);
  }

  /** A server that changes its time stamp with every event is not worth the copy. */
  #remember(memo: StreamMemo, shape: KnownShape, event: Buffer, from: number): void {
    memo.shape = undefined;
    if (memo.lessons >= mostMemoLessons) return;
    memo.lessons += 1;
    memo.shape = shape;
    memo.before = pieceOf(Buffer.from(event.subarray(0, this.textFrom - from)));
    memo.after = pieceOf(Buffer.from(event.subarray(this.textTo - from)));
  }

  /** Fits the shape's pieces, each but the first behind its hole. */
  #fit(shape: KnownShape, bytes: Buffer, from: number, to: number): number {
    const { pieces, holes } = shape;
    const view = this.#view;
    let at = from;
    for (let i = 0; i < pieces.length; i += 1) {
      if (i > 0) {
        const start = at;
        const hole = holes[i - 1] ?? inId;
        at = hole === inNumber ? skipDigits(bytes, at, to) : skipString(bytes, at, to);
        if (at === start) return 0;
        if (hole === inText) {
          this.textFrom = start;
          this.textTo = at;
        }
      }
      const piece = pieces[i] ?? noPiece;
      if (at + piece.length > to || !isSame(view, at, piece)) return 0;
      at += piece.length;
    }
    return at;
  }
}

interface KnownShape extends EventShape {
  /** What lies before, between and after the holes. */
  readonly pieces: readonly Piece[];
  readonly holes: readonly number[];
  /** Which hole is the text's; -1: it has none. */
  readonly textHole: number;
}

interface Piece {
  readonly length: number;
  readonly bytes: Buffer;
  /** The same, eight bytes a word, little-endian; what is left over is in `lastWord`. */
  readonly words: Float64Array;
  /** The last eight bytes; they overlap the last of `words`. */
  readonly lastWord: number;
}

// Kinds of holes.
const inId = 0;
const inNumber = 1;
const inText = 2;

const freeLessons = 64;
const mostShapes = 8;
const longestEvent = 4096;
/** Beginnings that one stream may learn: its time stamp changes once a second. */
const mostMemoLessons = 256;
const noPiece: Piece = {
  length: 0,
  bytes: Buffer.alloc(0),
  words: new Float64Array(0),
  lastWord: 0,
};
const noShape: KnownShape = {
  hasOutput: false,
  finishReason: undefined,
  pieces: [],
  holes: [],
  textHole: -1,
};

/**
 * Words through a DataView, since an event begins at any address; as float64, which are compared in a
 * register. Equal words are equal bytes but for the two zeros, and a piece holds no NUL byte; a word
 * that reads as NaN equals nothing, so that its event is read the complete way.
 */
function isSame(view: DataView, at: number, { length, bytes, words, lastWord }: Piece): boolean {
  if (length < 8) {
    for (let i = 0; i < length; i += 1) if (view.getUint8(at + i) !== bytes[i]) return false;
    return true;
  }
  const count = words.length;
  let from = at;
  let i = 0;
  for (; i + 4 <= count; i += 4, from += 32)
    if (
      view.getFloat64(from, true) !== words[i] ||
      view.getFloat64(from + 8, true) !== words[i + 1] ||
      view.getFloat64(from + 16, true) !== words[i + 2] ||
      view.getFloat64(from + 24, true) !== words[i + 3]
    )
      return false;
  for (; i < count; i += 1, from += 8) if (view.getFloat64(from, true) !== words[i]) return false;
  return view.getFloat64(at + length - 8, true) === lastWord;
}

const quote = 0x22;
const backslash = 0x5c;

/** The end of a non-empty, well-formed JSON string's content that begins at `from`; else `from`. */
function skipString(bytes: Buffer, from: number, to: number): number {
  let at = from;
  while (at < to) {
    const byte = bytes[at] ?? 0;
    if (byte === quote) return at;
    if (byte < 0x20) return from;
    if (byte !== backslash) at += 1;
    else {
      const length = escapeLength(bytes, at, to);
      if (length === 0) return from;
      at += length;
    }
  }
  return from;
}

/** 2 for \n, 6 for \u00e9; 0 for what JSON does not know. */
function escapeLength(bytes: Buffer, at: number, to: number): number {
  const letter = at + 1 < to ? (bytes[at + 1] ?? 0) : 0;
  if (letter !== 0x75) return simpleEscapes.includes(letter) ? 2 : 0;
  for (let i = at + 2; i < at + 6; i += 1) {
    const digit = i < to ? (bytes[i] ?? 0) : 0;
    const isHex =
      (digit >= 0x30 && digit <= 0x39) || ((digit | 0x20) >= 0x61 && (digit | 0x20) <= 0x66);
    if (!isHex) return 0;
  }
  return 6;
}

const simpleEscapes = Uint8Array.from(Buffer.from('"\\/bfnrt'));

/** The end of a whole number without a leading zero that begins at `from`; else `from`. */
function skipDigits(bytes: Buffer, from: number, to: number): number {
  let at = from;
  while (at < to) {
    const byte = bytes[at] ?? 0;
    if (byte < 0x30 || byte > 0x39) break;
    if (byte === 0x30 && at === from) return from;
    at += 1;
  }
  return at;
}

interface Hole {
  readonly kind: number;
  readonly from: number;
  readonly to: number;
}

/**
 * The shape of one event, given as latin1 so that its characters are its bytes. Sound because the
 * pieces hold all of the JSON's structure, and because no reader looks at an `id` or at `created`; that
 * the text is the output is proved by reading the event with other fillings.
 */
function shapeOf(
  event: string,
  meaning: Extract<StreamEvent, { kind: "chunk" }>,
): KnownShape | undefined {
  // Also keeps a byte order mark out, which means something at the start of a stream only.
  if (!event.startsWith("data:") || !/\n\r?\n$/.test(event) || event.includes("\0"))
    return undefined;
  const { finishReason } = meaning;
  const hasOutput = meaning.output !== "";
  const ignored = [
    ...holesOf(event, inId, /("id"\s*:\s*")((?:[^"\\]|\\.)+)"/g),
    ...holesOf(event, inNumber, /("created"\s*:\s*)([1-9]\d*)(?=[,}\s])/g),
  ];
  const texts = hasOutput
    ? holesOf(
        event,
        inText,
        /("(?:text|content|reasoning|reasoning_content|arguments)"\s*:\s*")((?:[^"\\]|\\.)+)"/g,
      )
    : [undefined];
  for (const text of texts) {
    const holes = [...ignored, ...(text === undefined ? [] : [text])].sort(
      (a, b) => a.from - b.from,
    );
    const pieces = piecesAround(event, holes);
    const isProved = probes.every((probe) => {
      const read = readAlone(fill(pieces, holes, probe));
      return (
        read?.kind === "chunk" &&
        read.output === (hasOutput ? probe.text : "") &&
        read.finishReason === finishReason &&
        read.usage === undefined
      );
    });
    if (isProved)
      return {
        hasOutput,
        finishReason,
        pieces: pieces.map((piece) => pieceOf(Buffer.from(piece, "latin1"))),
        textHole: holes.findIndex(({ kind }) => kind === inText),
        holes: holes.map(({ kind }) => kind),
      };
  }
  return undefined;
}

function holesOf(event: string, kind: number, pattern: RegExp): Hole[] {
  return [...event.matchAll(pattern)].map((match) => {
    const [, before = "", inside = ""] = match;
    const from = match.index + before.length;
    return { kind, from, to: from + inside.length };
  });
}

function piecesAround(event: string, holes: readonly Hole[]): string[] {
  return [...holes, undefined].map((hole, i) =>
    event.slice(i === 0 ? 0 : holes[i - 1]?.to, hole?.from),
  );
}

const probes = [
  { id: "a", number: "1", text: "b" },
  { id: "cmpl-0", number: "1800000000", text: " probe" },
] as const;

function fill(
  pieces: readonly string[],
  holes: readonly Hole[],
  { id, number, text }: (typeof probes)[number],
): string {
  const fillings = holes.map(({ kind }) =>
    kind === inId ? id : kind === inNumber ? number : text,
  );
  return pieces.map((piece, i) => piece + (fillings[i] ?? "")).join("");
}

/** What the bytes say the complete way; undefined unless they are exactly one closed event. */
function readAlone(event: string): StreamEvent | undefined {
  const read: StreamEvent[] = [];
  const scanner = new SseScanner((found) => {
    if (found.closed) read.push(readStreamEvent(found));
  });
  scanner.skip();
  const bytes = Buffer.from(event, "latin1");
  return scanner.next(bytes) === bytes.length && scanner.atBoundary ? read[0] : undefined;
}

function pieceOf(bytes: Buffer): Piece {
  const words = Float64Array.from({ length: bytes.length >> 3 }, (_, i) =>
    bytes.readDoubleLE(i * 8),
  );
  const { length } = bytes;
  return { length, bytes, words, lastWord: length < 8 ? 0 : bytes.readDoubleLE(length - 8) };
}
