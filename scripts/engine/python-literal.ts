// What Python programs print of their objects, read as data: dictionaries, calls such as
// `Namespace(host=None, port=8000)`, lists, enum members. Tolerant, since logs cut and wrap them: what
// can be read is kept, what can't is left out.

/** A Python value as plain data; `None` is null, tuples and sets are lists, objects are records. */
export type PythonValue =
  | string
  | number
  | boolean
  | null
  | readonly PythonValue[]
  | { readonly [name: string]: PythonValue };

export type PythonRecord = Readonly<Record<string, PythonValue>>;

/** Deeper nesting is cut: no configuration has it, but a broken line might. */
const deepest = 40;

/**
 * The keyword arguments of `a=1, b='x', c=Foo(d=None)`, up to the end of the text or a closing bracket.
 *
 * @example readKeywords("model='m', dtype=torch.bfloat16") // { model: "m", dtype: "torch.bfloat16" }
 */
export function readKeywords(text: string): PythonRecord {
  return Object.fromEntries(new Reader(text).parts("").named);
}

/** The value that a text begins with; undefined for an empty text. What follows it is left alone. */
export function readPythonValue(text: string): PythonValue | undefined {
  return new Reader(text).value("", 0);
}

/** A place in a text that only moves forward. */
class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  value(end: string, depth: number): PythonValue | undefined {
    this.#take(/\s*/y);
    const next = this.#text[this.#at];
    if (next === undefined || depth > deepest) return undefined;
    if (this.#peek(/[bruf]{0,2}(?=['"])/iy)) return this.#quoted();
    if (next === "{") return this.#braces(depth);
    if (next === "[" || next === "(") {
      this.#at += 1;
      return this.parts(next === "[" ? "]" : ")", depth + 1).unnamed;
    }
    if (next === "<") return this.#angled();
    return this.#bare(end, depth);
  }

  /** What stands between brackets, or to the end of the text where `end` is empty. */
  parts(
    end: string,
    depth = 0,
  ): {
    readonly named: readonly (readonly [string, PythonValue])[];
    readonly unnamed: readonly PythonValue[];
  } {
    const named: [string, PythonValue][] = [];
    const unnamed: PythonValue[] = [];
    while (this.#at < this.#text.length) {
      this.#take(/[\s,]*/y);
      const next = this.#text[this.#at];
      if (next === undefined) break;
      if (next === ")" || next === "]" || next === "}") {
        if (next === end) this.#at += 1;
        // A closing bracket of another kind: the text is cut or wrapped; whoever opened it takes it.
        break;
      }
      const before = this.#at;
      const name = this.#take(/([A-Za-z_][\w.-]*)\s*=(?!=)/y)?.[1];
      const value = this.value(end, depth);
      if (value !== undefined) {
        if (name === undefined) unnamed.push(value);
        else named.push([name, value]);
      }
      if (this.#at === before) this.#at += 1;
    }
    return { named, unnamed };
  }

  /** A dictionary, or a set as a list. */
  #braces(depth: number): PythonValue {
    this.#at += 1;
    const entries: [string, PythonValue][] = [];
    const members: PythonValue[] = [];
    while (this.#at < this.#text.length) {
      this.#take(/[\s,]*/y);
      const next = this.#text[this.#at];
      if (next === undefined || next === ")" || next === "]") break;
      if (next === "}") {
        this.#at += 1;
        break;
      }
      const before = this.#at;
      const key = this.value(":", depth + 1);
      if (this.#take(/\s*:/y) === undefined) {
        if (key !== undefined) members.push(key);
      } else {
        const value = this.value("}", depth + 1);
        if (key !== undefined && value !== undefined) entries.push([keyText(key), value]);
      }
      if (this.#at === before) this.#at += 1;
    }
    return entries.length === 0 && members.length > 0 ? members : Object.fromEntries(entries);
  }

  #quoted(): string {
    this.#take(/[bruf]*/iy);
    const quote = this.#text[this.#at] ?? "";
    this.#at += 1;
    let read = "";
    while (this.#at < this.#text.length) {
      const letter = this.#text[this.#at] ?? "";
      this.#at += 1;
      if (letter === quote) break;
      if (letter !== "\\") read += letter;
      else {
        const escaped = this.#text[this.#at] ?? "";
        this.#at += 1;
        read += escapes[escaped] ?? escaped;
      }
    }
    return read;
  }

  /** `<CUDAGraphMode.PIECEWISE: 1>` is "PIECEWISE"; any other object is its own text. */
  #angled(): string {
    const member = this.#take(/<[\w.]*?(\w+)\s*:\s*(?:'[^']*'|"[^"]*"|[^<>])*>/y)?.[1];
    return member ?? this.#take(/<[^<>]*>?/y)?.[0] ?? "";
  }

  /** A name, a number, an unquoted text, or a call of a name. */
  #bare(end: string, depth: number): PythonValue | undefined {
    const stop = end === ":" ? /[^,)\]}:(]+/y : /[^,)\]}(]+/y;
    const word = this.#take(stop)?.[0].trim() ?? "";
    if (word !== "" && this.#text[this.#at] === "(" && /^[\w.]+$/.test(word)) {
      this.#at += 1;
      const { named, unnamed } = this.parts(")", depth + 1);
      if (named.length > 0 || unnamed.length === 0) return Object.fromEntries(named);
      return unnamed.length === 1 ? unnamed[0] : unnamed;
    }
    // An unquoted text may hold brackets: "tcp://host (local)".
    const rest =
      this.#text[this.#at] === "(" ? (this.#take(/\([^()]*\)[^,)\]}]*/y)?.[0] ?? "") : "";
    return word + rest === "" ? undefined : plain(word + rest);
  }

  #peek(pattern: RegExp): boolean {
    pattern.lastIndex = this.#at;
    return pattern.test(this.#text);
  }

  #take(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text);
    if (match === null) return undefined;
    this.#at = pattern.lastIndex;
    return match;
  }
}

const escapes: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r" };

/** JSON's words too: some versions print parts of their configuration as JSON. */
const words: Readonly<Record<string, PythonValue>> = {
  None: null,
  null: null,
  True: true,
  true: true,
  False: false,
  false: false,
};

function plain(word: string): PythonValue {
  if (Object.hasOwn(words, word)) return words[word] ?? null;
  return /^-?\d+(?:\.\d*)?(?:e[+-]?\d+)?$/i.test(word) ? Number(word) : word;
}

function keyText(key: PythonValue): string {
  return typeof key === "object" && key !== null ? JSON.stringify(key) : String(key);
}
