// From the body of a streamed completion, cut anywhere, to what happens in it. An event of a known
// shape is known by its bytes, every other goes through sse.ts and stream-events.ts, which decide what
// it means; completion-stream.test.ts holds that the two ways tell the same.
import { type EventShapes, newMemo } from "./event-shapes.ts";
import { SseScanner } from "./sse.ts";
import { readStreamEvent, type StreamEvent } from "./stream-events.ts";

export interface CompletionListener {
  /** An event arrived that says nothing but this: output or none, and mostly no finish reason. */
  onChunk(hasOutput: boolean, finishReason: string | undefined): void;
  /** Any other event; `closed` false: the stream ended in it. */
  onEvent(event: StreamEvent, closed: boolean): void;
}

const lf = 10;

/** Reads one stream; keeps its output. */
export class CompletionStream {
  readonly #listener: CompletionListener;
  readonly #shapes: EventShapes;
  readonly #scanner: SseScanner;
  readonly #memo = newMemo();
  /** What the event meant that the scanner has just read. */
  #lesson: StreamEvent | undefined;

  /** JSON strings without their quotes, each followed by LF, which none of them can hold. */
  #text: Uint8Array;
  #textLength = 0;

  /** @param text memory for the output; grows where it must, and goes back with `takeMemory` */
  constructor(listener: CompletionListener, shapes: EventShapes, text: Uint8Array) {
    this.#listener = listener;
    this.#shapes = shapes;
    this.#text = text;
    this.#scanner = new SseScanner((event) => {
      const meaning = readStreamEvent(event);
      this.#lesson = meaning;
      this.#tell(meaning, event.closed);
    });
  }

  /** Takes bytes[from, to), which need not outlive the call. */
  read(bytes: Buffer, from: number, to: number): void {
    const shapes = this.#shapes;
    const scanner = this.#scanner;
    let at = from;
    while (at < to) {
      const isBoundary = scanner.atBoundary;
      if (isBoundary) {
        const end = shapes.match(bytes, at, to, this.#memo);
        if (end !== 0) {
          scanner.skip();
          const { hasOutput, finishReason } = shapes.matched;
          if (hasOutput) this.#keepBytes(bytes, shapes.textFrom, shapes.textTo);
          this.#listener.onChunk(hasOutput, finishReason);
          at = end;
          continue;
        }
      }
      const end = at + scanner.next(bytes.subarray(at, to));
      const lesson = this.#takeLesson();
      if (isBoundary && lesson !== undefined) shapes.learn(bytes, at, end, lesson);
      at = end;
    }
  }

  /** The stream ended. */
  end(): void {
    this.#scanner.end();
  }

  /** All output so far. */
  output(): string {
    const text = Buffer.from(this.#text.buffer, this.#text.byteOffset, this.#textLength);
    // Each piece on its own, as each was sent: half a character in one does not meet its other half.
    const pieces = JSON.parse(`["${text.toString("utf8").replaceAll("\n", '","')}"]`) as string[];
    return pieces.join("");
  }

  /** Gives back the memory; the stream is not used again. */
  takeMemory(): Uint8Array {
    return this.#text;
  }

  #tell(meaning: StreamEvent, closed: boolean): void {
    if (meaning.kind === "chunk" && meaning.output !== "") this.#keepText(meaning.output);
    if (meaning.kind === "chunk" && meaning.usage === undefined)
      this.#listener.onChunk(meaning.output !== "", meaning.finishReason);
    else this.#listener.onEvent(meaning, closed);
  }

  #takeLesson(): StreamEvent | undefined {
    const lesson = this.#lesson;
    this.#lesson = undefined;
    return lesson;
  }

  #keepText(text: string): void {
    const bytes = Buffer.from(JSON.stringify(text).slice(1, -1));
    this.#keepBytes(bytes, 0, bytes.length);
  }

  #keepBytes(bytes: Uint8Array, from: number, to: number): void {
    let length = this.#textLength;
    if (length + to - from + 1 > this.#text.length) {
      const wider = new Uint8Array((this.#text.length + to - from) * 2 + 64);
      wider.set(this.#text.subarray(0, length));
      this.#text = wider;
    }
    const text = this.#text;
    // A token is a few bytes: a loop beats a call, and `subarray` would allocate.
    for (let i = from; i < to; i += 1, length += 1) text[length] = bytes[i] ?? 0;
    text[length] = lf;
    this.#textLength = length + 1;
  }
}
