// A run as named streams of bytes that are the same wherever they are made from the same data: what
// an archive holds, and what the record's id is a hash of. Rendered files, estimates and audits are
// made from these and are no part of them.
import { createHash } from "node:crypto";
import type { Store } from "./store.ts";
import { canonicalJson } from "./stored-json.ts";
import type { StoredAttempt, StoredRun, StoredStart } from "./stored-run.ts";

/** A name, and pieces of text that put together are the file. */
interface NamedText {
  readonly name: string;
  /** Begins anew with each call; reads one trial at a time. */
  readonly contents: () => Iterable<string>;
}

export interface LogicalFile extends NamedText {
  /** Hex, of the UTF-8 bytes. */
  readonly sha256: string;
  readonly sizeBytes: number;
}

/**
 * The files of a run, by name, each with its digest. Nothing may be appended to the run meanwhile.
 *
 * @throws UserError when there is no such run.
 */
export function logicalFiles(store: Store, run: string): readonly LogicalFile[] {
  const stored = store.readRun(run);
  const files: readonly NamedText[] = [
    { name: "environment.json", contents: () => environmentJson(store, run) },
    { name: "experiment.resolved.json", contents: () => [resolvedJson(stored)] },
    { name: "experiment.yaml", contents: () => [stored.experimentSource] },
    { name: "gpu-readings.jsonl", contents: () => gpuReadingLines(store, stored.attempts) },
    { name: "plan.json", contents: () => [canonicalJson(stored.plan), "\n"] },
    { name: "readings.jsonl", contents: () => readingLines(store, stored.attempts) },
    { name: "requests.jsonl", contents: () => requestLines(store, stored.attempts) },
    { name: "run.json", contents: () => [canonicalJson(headerOf(stored)), "\n"] },
    // Of runs that have one alone: the ids of others stay what they were.
    ...(stored.roundsEnds.length === 0
      ? []
      : [{ name: "rounds.jsonl", contents: () => stored.roundsEnds.map(jsonLine) }]),
    { name: "starts.jsonl", contents: () => stored.starts.map(startLine) },
    { name: "trials.jsonl", contents: () => stored.attempts.map(jsonLine) },
  ];
  return files.map((file) => ({ ...file, ...digestOf(file.contents()) }));
}

/**
 * The record's id: the sha256 (hex) of the files' manifest, whose lines `sha256  name` are in order
 * of name as `sha256sum -c` reads them.
 */
export function recordId(files: readonly Pick<LogicalFile, "name" | "sha256">[]): string {
  const manifest = files
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, sha256 }) => `${sha256}  ${name}\n`);
  return createHash("sha256").update(manifest.join("")).digest("hex");
}

/** What a record prints of its id: "bb-" and its first twelve digits. */
export function shortRecordId(id: string): string {
  return `bb-${id.slice(0, 12)}`;
}

function digestOf(contents: Iterable<string>): Pick<LogicalFile, "sha256" | "sizeBytes"> {
  const hash = createHash("sha256");
  let sizeBytes = 0;
  for (const piece of contents) {
    hash.update(piece);
    sizeBytes += Buffer.byteLength(piece);
  }
  return { sha256: hash.digest("hex"), sizeBytes };
}

/** The complete experiment, and what of it was filled in. */
const resolvedJson = ({ resolved, defaults, extended }: StoredRun): string =>
  `${canonicalJson({ experiment: resolved, defaults, extended })}\n`;

const jsonLine = (value: object): string => `${canonicalJson(value)}\n`;

/** Without what changes while a run's record is being made (how its legs ended) or is the machine's own (pids, paths). */
function headerOf(run: StoredRun): object {
  return {
    run: run.run,
    experiment: run.experiment,
    title: run.title,
    createdAt: run.createdAt,
    tool: run.tool,
    legs: run.legs.map(({ leg, startedAt, host, tool }) => ({ leg, startedAt, host, tool })),
  };
}

/** Without the pid and the path of the log, which are the machine's own; the log's digest stays. */
function startLine({ ready, ...start }: StoredStart): string {
  if (ready === undefined) return jsonLine(start);
  const { at, startupMs, facts } = ready;
  return jsonLine({ ...start, ready: { at, startupMs, facts } });
}

function* environmentJson(store: Store, run: string): Generator<string> {
  yield "[";
  let separator = "\n";
  for (const snapshot of store.snapshotsOf(run)) {
    yield separator + canonicalJson(snapshot);
    separator = ",\n";
  }
  yield "\n]\n";
}

function* readingLines(store: Store, attempts: readonly StoredAttempt[]): Generator<string> {
  for (const attempt of attempts) {
    const { trial, attempt: number } = attempt;
    for (const reading of store.readingsOf(attempt)) {
      yield jsonLine({ trial, attempt: number, ...reading });
    }
  }
}

function* gpuReadingLines(store: Store, attempts: readonly StoredAttempt[]): Generator<string> {
  for (const attempt of attempts) {
    const { trial, attempt: number } = attempt;
    for (const reading of store.gpuReadingsOf(attempt)) {
      yield jsonLine({ trial, attempt: number, ...reading });
    }
  }
}

/** `chunkGapsMs`: from the first chunk on (`firstAtMs`), each to 0.001 ms; they replace the arrivals. */
function* requestLines(store: Store, attempts: readonly StoredAttempt[]): Generator<string> {
  for (const attempt of attempts) {
    const { trial, attempt: number } = attempt;
    const windowTokens = store.windowTokensOf(attempt);
    for (const { record, sample } of store.eachRequestOf(attempt)) {
      const { chunksAtMs, ...rest } = record;
      yield jsonLine({
        trial,
        attempt: number,
        ...rest,
        inputTokens: sample.inputTokens,
        outputTokens: sample.outputTokens,
        tokenSource: sample.tokenSource,
        windowTokens: windowTokens.get(record.index),
        firstAtMs: sample.firstAtMs,
        lastAtMs: sample.lastAtMs,
        outputChunks: chunksAtMs.length,
        chunkGapsMs: gapsOf(chunksAtMs),
      });
    }
  }
}

function gapsOf(timesMs: Float64Array): readonly number[] {
  return Array.from(timesMs.subarray(1), (timeMs, index) => {
    return Math.round((timeMs - (timesMs[index] ?? timeMs)) * 1000) / 1000;
  });
}
