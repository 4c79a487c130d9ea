// From YAML text to a tree in which every key and every value knows the file, line and column it
// was written at: what a mistake points to, also after `extends` merged two files.
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type ParsedNode,
  parseAllDocuments,
  Scalar,
  type YAMLError,
} from "yaml";

export interface Place {
  /** As the user named it, so that an editor can open it. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
}

export type WrittenScalar = string | number | boolean | null;

export interface WrittenMap {
  readonly kind: "map";
  readonly at: Place;
  /** In the order of the file. */
  readonly entries: ReadonlyMap<string, { readonly keyAt: Place; readonly node: WrittenNode }>;
}

export type WrittenNode =
  | WrittenMap
  | { readonly kind: "list"; readonly at: Place; readonly items: readonly WrittenNode[] }
  | {
      readonly kind: "scalar";
      readonly at: Place;
      readonly value: WrittenScalar;
      /** Written without quotes, so that "8" that comes out of a `${NAME}` is a number. */
      readonly plain: boolean;
    };

/** Keys and list positions from the top: ["variants", "fp8", "model"]. */
export type WrittenPath = readonly (string | number)[];

/** Something that is wrong with the file itself, before anything is known of its meaning. */
export interface SyntaxMistake {
  readonly what: string;
  readonly mend: string;
  readonly at: Place;
}

/** Something that is wrong with what is written, at a path of it. */
export interface Mistake {
  readonly path: WrittenPath;
  /** Whether the key or its value is to blame. */
  readonly part: "key" | "value";
  readonly what: string;
  readonly mend: string;
}

/** More nodes than any experiment has: stops aliases that unfold into aliases. */
const mostNodes = 50_000;

/**
 * The map of a YAML file and what is wrong with its syntax; `tree` is undefined when nothing can
 * be made of it.
 */
export function readTree(
  text: string,
  file: string,
): { readonly tree: WrittenMap | undefined; readonly mistakes: readonly SyntaxMistake[] } {
  const lines = new LineCounter();
  const parsed = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false });
  const documents = Array.isArray(parsed) ? parsed : [];
  const placeOf = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(1, line), column: Math.max(1, col) };
  };
  const top: Place = { file, line: 1, column: 1 };

  const [first, second] = documents;
  const mistakes = documents
    .flatMap((document) => [...document.errors, ...document.warnings])
    .map((error) => ({ ...explain(error, text, lines), at: placeOf(error.pos[0]) }));
  const unreadable = documents.some((document) =>
    document.errors.some((error) => error.code !== "DUPLICATE_KEY"),
  );
  if (unreadable) return { tree: undefined, mistakes: oncePerLine(mistakes) };
  if (second !== undefined) {
    mistakes.push({
      what: `${documents.length} documents are in this file, an experiment is one`,
      mend: "move what follows the --- line to a file of its own",
      at: placeOf(second.range[0]),
    });
  }
  const root = first?.contents;
  if (root === undefined || root === null || (isScalar(root) && root.value === null)) {
    mistakes.push({ what: "the file is empty", mend: smallestExperiment, at: top });
    return { tree: undefined, mistakes };
  }

  let nodes = 0;
  /** Anchors being unfolded: one that holds itself has no end. */
  const unfolding = new Set<unknown>();

  function nodeOf(node: ParsedNode | null, at: Place): WrittenNode {
    nodes += 1;
    if (nodes > mostNodes)
      return refuse(at, `more than ${mostNodes} values`, "split the experiment");
    if (node === null) return { kind: "scalar", at, value: null, plain: true };
    const here = placeOf(node.range[0]);
    if (isAlias(node)) {
      const target = first === undefined ? undefined : node.resolve(first);
      if (target === undefined) {
        return refuse(
          here,
          `*${node.source} names no &${node.source} above it`,
          "write the value out",
        );
      }
      if (unfolding.has(target))
        return refuse(here, `*${node.source} holds itself`, "write the value out");
      unfolding.add(target);
      // What an alias holds was parsed from this same text.
      const unfolded = nodeOf(target as ParsedNode, here);
      unfolding.delete(target);
      return unfolded;
    }
    if (isSeq(node)) {
      return { kind: "list", at: here, items: node.items.map((item) => nodeOf(item, here)) };
    }
    if (isMap(node)) {
      unfolding.add(node);
      const entries = new Map<string, { keyAt: Place; node: WrittenNode }>();
      for (const { key, value } of node.items) {
        const keyAt = placeOf(key.range[0]);
        if (!isScalar(key) || key.value === null || key.value === "__proto__") {
          refuse(keyAt, "a key must be a plain name", "write key: value");
        } else {
          // A number keeps the form it was written in: 0x10 and 1e3 are names here.
          const name = typeof key.value === "string" ? key.value : key.source;
          entries.set(name, { keyAt, node: nodeOf(value, keyAt) });
        }
      }
      unfolding.delete(node);
      return { kind: "map", at: here, entries };
    }
    const { value } = node;
    const known =
      typeof value === "string" || typeof value === "number" || typeof value === "boolean";
    return {
      kind: "scalar",
      at: here,
      value: known ? value : null,
      plain: node.type === Scalar.PLAIN,
    };
  }

  function refuse(at: Place, what: string, mend: string): WrittenNode {
    // The limit is reached once and then for every value that follows.
    if (!mistakes.some((mistake) => mistake.what === what)) mistakes.push({ what, mend, at });
    return { kind: "scalar", at, value: null, plain: true };
  }

  const tree = nodeOf(root, top);
  if (tree.kind !== "map") {
    const seen = tree.kind === "list" ? "a list" : `the text ${JSON.stringify(tree.value)}`;
    mistakes.push({
      what: `an experiment is a map of keys, got ${seen}`,
      mend: smallestExperiment,
      at: tree.at,
    });
    return { tree: undefined, mistakes };
  }
  return { tree, mistakes };
}

const smallestExperiment =
  "the smallest one:\n      experiment: hello\n      variants:\n        tiny:\n          model: data/models/tiny-qwen3\n          engine: embedded";

/** The tree as plain data, for the schema. */
export function plainOf(node: WrittenNode): unknown {
  switch (node.kind) {
    case "scalar":
      return node.value;
    case "list":
      return node.items.map(plainOf);
    case "map":
      return Object.fromEntries(
        [...node.entries].map(([key, entry]) => [key, plainOf(entry.node)]),
      );
  }
}

/** What is written at a path; undefined where nothing is. */
export function nodeAt(tree: WrittenNode, path: WrittenPath): WrittenNode | undefined {
  let node: WrittenNode | undefined = tree;
  for (const step of path) {
    if (node?.kind === "map") node = node.entries.get(String(step))?.node;
    else if (node?.kind === "list") node = node.items[Number(step)];
    else return undefined;
  }
  return node;
}

/** The keys of the map at a path, in the order of the file; empty where there is none. */
export function keysAt(tree: WrittenNode, path: WrittenPath): readonly string[] {
  const node = nodeAt(tree, path);
  return node?.kind === "map" ? [...node.entries.keys()] : [];
}

/** Where a path is written: its value, or its key, or the nearest thing around it that exists. */
export function placeAt(
  tree: WrittenNode,
  path: WrittenPath,
  part: "value" | "key" = "value",
): Place {
  const node = nodeAt(tree, path);
  if (node !== undefined && (part === "value" || path.length === 0)) return node.at;
  const parent = path.slice(0, -1);
  const around = nodeAt(tree, parent);
  const entry = around?.kind === "map" ? around.entries.get(String(path.at(-1))) : undefined;
  if (entry !== undefined) return entry.keyAt;
  // A missing key is asked for at the key of the map that lacks it, or where its list item begins.
  if (path.length === 0) return tree.at;
  return placeAt(tree, parent, typeof parent.at(-1) === "number" ? "value" : "key");
}

/** `over` laid over `base`: maps merge, lists and values replace, an empty value takes a key away. */
export function mergeOver(base: WrittenMap, over: WrittenMap): WrittenMap {
  const entries = new Map(base.entries);
  for (const [key, entry] of over.entries) {
    const below = base.entries.get(key);
    if (below === undefined) entries.set(key, entry);
    else if (entry.node.kind === "scalar" && entry.node.value === null) entries.delete(key);
    else if (entry.node.kind === "map" && below.node.kind === "map") {
      entries.set(key, { keyAt: entry.keyAt, node: mergeOver(below.node, entry.node) });
    } else entries.set(key, entry);
  }
  return { kind: "map", at: over.at, entries };
}

/** One slip often breaks the rest of its line; the first message is the one that helps. */
function oncePerLine(mistakes: readonly SyntaxMistake[]): readonly SyntaxMistake[] {
  const seen = new Set<number>();
  return mistakes.filter(({ at }) => !seen.has(at.line) && seen.add(at.line));
}

/** The parser's complaint in the words of a person who writes the file. */
function explain(
  error: YAMLError,
  text: string,
  lines: LineCounter,
): { readonly what: string; readonly mend: string } {
  const { line } = lines.linePos(error.pos[0]);
  const source = text.split("\n")[line - 1] ?? "";
  if (source.includes("${") && error.code === "UNEXPECTED_TOKEN") {
    return { what: "${NAME} inside { } or [ ] needs quotes", mend: 'write "${NAME}"' };
  }
  const told = explanations[error.code];
  if (told !== undefined) return told;
  return {
    what: `this is not YAML: ${error.message}`,
    mend: "check brackets, quotes and indentation on this line and the one before it",
  };
}

const explanations: Readonly<Partial<Record<YAMLError["code"], { what: string; mend: string }>>> = {
  BAD_INDENT: {
    what: "the indentation does not fit, or a bracket is not closed",
    mend: "indent keys of one map alike, with two spaces a level, and close every [ and {",
  },
  BLOCK_AS_IMPLICIT_KEY: {
    what: "two `key:` on one line",
    mend: "write { key: value } in braces, or the inner key on the next line with two more spaces; quote a text that has a colon",
  },
  DUPLICATE_KEY: {
    what: "this key is written twice in the same map",
    mend: "keep one of the two, or rename one",
  },
  MISSING_CHAR: {
    what: "a quote, bracket or colon is missing",
    mend: "close what was opened; write `key: value` with a space after the colon",
  },
  TAB_AS_INDENT: { what: "a tab is used for indentation", mend: "indent with spaces" },
  BAD_SCALAR_START: {
    what: "a value can't begin with this character",
    mend: 'put the value in quotes: "@..."',
  },
  TAG_RESOLVE_FAILED: {
    what: "a value begins with !, which YAML reads as a tag",
    mend: 'take the tag out, or put the value in quotes: "!..."',
  },
  RESOURCE_EXHAUSTION: {
    what: "maps or lists are nested too deep",
    mend: "an experiment needs five levels at most",
  },
};
