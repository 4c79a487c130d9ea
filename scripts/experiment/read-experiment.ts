// From an experiment file to the complete experiment, or to everything that is wrong with it:
// YAML -> extends -> ${NAME} -> schema -> defaults. Unknown comes in, complete goes out.
import { open, readdir } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import { messageOf, systemCodeOf, UserError, type UserErrorParts } from "../errors.ts";
import { findContradictions } from "./agreement.ts";
import { completeExperiment } from "./complete.ts";
import type { Experiment, ReadExperiment } from "./experiment.ts";
import { experimentJsonSchema, valueAt } from "./json-schema.ts";
import { mistakesOf } from "./mistakes.ts";
import { nearest } from "./nearest.ts";
import { explainPattern } from "./patterns.ts";
import { allPoints } from "./plan.ts";
import { experimentSchema } from "./schema.ts";
import { findSecrets } from "./secrets.ts";
import { substitute } from "./substitute.ts";
import {
  keysAt,
  type Mistake,
  mergeOver,
  nodeAt,
  type Place,
  placeAt,
  plainOf,
  readTree,
  type SyntaxMistake,
  type WrittenMap,
  type WrittenPath,
} from "./written.ts";

/** The bytes of a file; fails as Node's file functions do. */
type ReadBytes = (path: string) => Promise<Uint8Array>;

export interface ReadExperimentOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly readBytes?: ReadBytes;
}

/**
 * Reads an experiment file.
 *
 * Paths of models, datasets and traces stay as written: they are relative to the project, and
 * whoever opens them resolves them against it. `extends` alone is relative to its file.
 *
 * @throws UserError with every mistake, each at `file:line:column dotted.path`
 */
export async function readExperiment(
  path: string,
  { env = process.env, readBytes = readSmallFile }: ReadExperimentOptions = {},
): Promise<ReadExperiment> {
  const { tree: merged, source, extended, slips } = await readMerged(path, readBytes);
  const { tree, bad } = substitute(merged, env);
  const written = withoutEmptySections(plainOf(tree));

  const references = bad.map(
    ({ text, name, path: at }): Mistake => ({
      path: at,
      part: "value",
      what:
        name === undefined
          ? `${text} is no reference`
          : `the environment variable ${name} is not set`,
      mend:
        name === undefined
          ? "write ${NAME}, or $${ for a literal ${"
          : `set it, or write \${${name}:-default}`,
    }),
  );
  const secrets = findSecrets(tree);
  const parsed = experimentSchema.safeParse(written);
  const issues = parsed.success
    ? []
    : mistakesOf(parsed.error.issues, written, experimentJsonSchema());
  const contradictions = findContradictions(written);
  // One message a path: a secret or an unset name also breaks the schema, but that is not news.
  const mistakes = oncePerPath([...references, ...secrets, ...contradictions, ...issues]);
  if (slips.length > 0 || mistakes.length > 0 || !parsed.success) {
    throw userError([...slips, ...place(mistakes, tree)], path);
  }

  const { experiment, defaults } = completeExperiment(parsed.data, {
    fileName: path,
    namesOf: (section) => keysAt(tree, [section]),
  });
  const useless = findUselessPatterns(experiment, written);
  if (useless.length > 0) throw userError(place(useless, tree), path);
  return { experiment, source, path: resolve(path), extended, defaults };
}

/** Patterns of `only` and `exclude` that match no point: a point that was meant is not left out. */
function findUselessPatterns(experiment: Experiment, written: unknown): readonly Mistake[] {
  const names = allPoints(experiment).map(({ name }) => name);
  return (["only", "exclude"] as const).flatMap((key) =>
    experiment[key].flatMap((pattern, index): Mistake[] => {
      const told = explainPattern(pattern, names);
      const path = Array.isArray(valueAt(written, [key])) ? [key, index] : [key];
      return told === undefined ? [] : [{ path, part: "value", ...told }];
    }),
  );
}

// Files

interface MergedFile {
  readonly tree: WrittenMap;
  readonly source: string;
  readonly extended: ReadExperiment["extended"];
  /** What is wrong with the syntax, although the rest can be read. */
  readonly slips: readonly PlacedMistake[];
}

/** A chain this long is a mistake even without a cycle. */
const longestChain = 16;

/** The file laid over all that it extends; `above` are the files that extend it, as absolute paths. */
async function readMerged(
  path: string,
  readBytes: ReadBytes,
  above: readonly string[] = [],
  asked?: Place,
): Promise<MergedFile> {
  const source = await readText(path, readBytes, asked);
  const { tree, mistakes: slips } = readTree(source, path);
  if (tree === undefined) throw userError(slips, path);
  const base = nodeAt(tree, ["extends"]);
  // An `extends` that is no text is told by the schema.
  if (base?.kind !== "scalar" || typeof base.value !== "string" || base.value.trim() === "")
    return { tree, source, extended: [], slips };

  const target = isAbsolute(base.value) ? base.value : join(dirname(path), base.value);
  const chain = [...above, resolve(path)];
  const start = chain.indexOf(resolve(target));
  if (start >= 0 || chain.length >= longestChain) {
    const circle = [...chain.slice(start), resolve(target)]
      .map((file) => basename(file))
      .join(" -> ");
    const what =
      start >= 0 ? `extends goes in a circle: ${circle}` : `extends is ${chain.length} files deep`;
    throw userError(
      [...slips, { what, mend: "take one extends out", at: base.at, path: ["extends"] }],
      path,
    );
  }
  const below = await readMerged(target, readBytes, chain, base.at).catch((error: unknown) => {
    if (!(error instanceof UserError)) throw error;
    throw new UserError([...slips.map(inWords), ...error.parts], { cause: error });
  });
  return {
    tree: withoutKey(mergeOver(below.tree, tree), "extends"),
    source,
    extended: [...below.extended, { path: resolve(target), source: below.source }],
    slips: [...slips, ...below.slips],
  };
}

function withoutKey(map: WrittenMap, key: string): WrittenMap {
  return { ...map, entries: new Map([...map.entries].filter(([name]) => name !== key)) };
}

async function readText(
  path: string,
  readBytes: ReadBytes,
  asked: Place | undefined,
): Promise<string> {
  const where = asked === undefined ? {} : { where: `${formatPlace(asked)} extends` };
  let bytes: Uint8Array;
  try {
    bytes = await readBytes(path);
  } catch (error) {
    throw new UserError({ ...(await explainUnreadable(path, error)), ...where }, { cause: error });
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    const what = `${path} is not a text in UTF-8`;
    throw new UserError(
      { what, mend: "give an experiment file, saved as UTF-8", ...where },
      { cause: error },
    );
  }
}

async function explainUnreadable(path: string, error: unknown): Promise<UserErrorParts> {
  const code = systemCodeOf(error) ?? "";
  if (["ENOENT", "ENOTDIR"].includes(code)) {
    return { what: `there is no file ${path}`, mend: await adviseFile(path) };
  }
  if (code === "EISDIR")
    return { what: `${path} is a folder`, mend: "name an experiment file in it" };
  if (["EACCES", "EPERM"].includes(code)) {
    return {
      what: `${path} can't be read: permission denied`,
      mend: "give yourself permission to read it",
    };
  }
  return {
    what: `${path} can't be read: ${messageOf(error)}`,
    mend: "check the file, or name another one",
  };
}

/** The experiment file in the same folder, or in experiments/, that was probably meant. */
async function adviseFile(path: string): Promise<string> {
  const folders = [...new Set([dirname(path), "experiments"])];
  const files = await Promise.all(
    folders.map(async (folder) => {
      // A folder that is not there has no files to offer.
      const names = await readdir(folder).catch(() => []);
      return names.filter((name) => /\.ya?ml$/.test(name)).map((name) => join(folder, name));
    }),
  );
  // Of two files of one name the one in the named folder is meant: later entries of a map win.
  const known = files.toReversed().flat();
  const byName = new Map(known.map((file) => [basename(file).replace(/\.ya?ml$/, ""), file]));
  const near = nearest(basename(path).replace(/\.ya?ml$/, ""), [...byName.keys()]);
  if (near !== undefined) return `did you mean ${byName.get(near) ?? near}?`;
  return known.length === 0
    ? "name an experiment file"
    : `here are ${known.slice(0, 8).join(", ")}`;
}

/** Nobody writes an experiment this long; model weights are. */
const mostBytes = 1_048_576;

async function readSmallFile(path: string): Promise<Uint8Array> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    if (size > mostBytes) throw new Error(`${size} bytes are too many for an experiment`);
    return await file.readFile();
  } finally {
    await file.close();
  }
}

// Mistakes

/** `measure:` with nothing under it says nothing. */
function withoutEmptySections(written: unknown): unknown {
  if (typeof written !== "object" || written === null) return written;
  return Object.fromEntries(Object.entries(written).filter(([, value]) => value !== null));
}

/** The first mistake told about a path is the one that helps. */
function oncePerPath(mistakes: readonly Mistake[]): readonly Mistake[] {
  const told = new Set<string>();
  return mistakes.filter(({ path }) => {
    const name = JSON.stringify(path);
    return !told.has(name) && told.add(name);
  });
}

interface PlacedMistake extends SyntaxMistake {
  readonly path?: WrittenPath;
}

function place(mistakes: readonly Mistake[], tree: WrittenMap): readonly PlacedMistake[] {
  return mistakes.map(({ what, mend, path, part }) => ({
    what,
    mend,
    path,
    at: placeAt(tree, path, part),
  }));
}

/** In the order of the file, the extending one first. */
function userError(mistakes: readonly PlacedMistake[], file: string): UserError {
  const inOrder = mistakes.toSorted(
    ({ at: left }, { at: right }) =>
      Number(left.file !== file) - Number(right.file !== file) ||
      left.line - right.line ||
      left.column - right.column,
  );
  return new UserError(inOrder.map(inWords));
}

function inWords({ what, mend, at, path = [] }: PlacedMistake): UserErrorParts {
  return { what, where: [formatPlace(at), path.join(".")].join(" ").trim(), mend };
}

function formatPlace({ file, line, column }: Place): string {
  return `${file}:${line}:${column}`;
}
