// What every probe is made of: a recorder that keeps whatever was read, and readings that become
// fields. A probe that fails turns into fields that say so, never into a failed capture.

import { messageOf, systemCodeOf } from "../errors.ts";
import { isoWithOffset, nowMs } from "../units.ts";
import type { Outside, Ran } from "./outside.ts";
import { type Reason, reasons } from "./reasons.ts";
import type {
  EnvironmentField,
  FieldClass,
  FieldGroup,
  FieldSource,
  FieldValue,
  RawProbe,
} from "./snapshot.ts";

/** A value or a stated absence, and where it came from. */
export interface Reading {
  readonly value: FieldValue;
  readonly source?: FieldSource;
  readonly rawIndex?: number | undefined;
}

/** A field that a probe always yields, in whatever state. */
export interface DeclaredField {
  readonly id: string;
  readonly class: FieldClass;
}

/** Fields with `rawIndex` counted within `raw`; `joinProbes` counts them anew. */
export interface ProbeResult {
  readonly fields: readonly EnvironmentField[];
  readonly raw: readonly RawProbe[];
}

/** A text that was read, or why it was not. */
export type Text =
  | { readonly text: string; readonly rawIndex: number }
  | { readonly text: undefined; readonly reason: Reason; readonly rawIndex: number };

export interface Recorder {
  readonly raw: readonly RawProbe[];
  /** `keep` cuts what must not be kept before it is kept. */
  read(path: string, keep?: (text: string) => string): Promise<Text>;
  /** Many small files as one raw probe, "path: text" a line; what can't be read is left out. */
  readAll(what: string, paths: readonly string[]): Promise<{ texts: string[]; rawIndex: number }>;
  run(
    command: readonly string[],
    env?: Readonly<Record<string, string>>,
    allowance?: Allowance,
  ): Promise<Ran & { readonly rawIndex: number }>;
  /** Keeps what was found by other means than a file or a command. */
  note(what: string, text: string): number;
}

/** What one command may do beyond the usual. */
export interface Allowance {
  /** Cuts what must not be kept before it is kept. */
  readonly keep?: (text: string) => string;
  /** Characters kept of its output. Default 64 Ki. */
  readonly longest?: number;
  /** By how much its time limit is longer. Default 1. */
  readonly patience?: number;
}

/** Longest text that is kept of one probe; beyond it head and tail are, and the cut is said. */
const longestRaw = 64 * 1024;

/**
 * A recorder whose every read and run ends within `limitMs`. What it keeps went through `redact`;
 * what it hands to the probe did not.
 */
export function recorder(
  outside: Outside,
  limitMs: number,
  redact: (text: string) => string,
): Recorder {
  const raw: RawProbe[] = [];
  // Redacted before it is cut: half a secret is not known for one.
  const keepable = (text: string, longest = longestRaw): string => shorten(redact(text), longest);
  const reserve = (command: string): number =>
    raw.push({ command, exitCode: undefined, stdout: "", stderr: "", durationMs: 0 }) - 1;

  return {
    raw,

    async read(path, keep = (text) => text) {
      const command = redact(`read ${path}`);
      const rawIndex = reserve(command);
      const startedMs = nowMs();
      const kept = (parts: Partial<RawProbe>): void => {
        const durationMs = nowMs() - startedMs;
        raw[rawIndex] = {
          command,
          exitCode: undefined,
          stdout: "",
          stderr: "",
          durationMs,
          ...parts,
        };
      };
      try {
        const text = keep(await within(limitMs, outside.readFile(path)));
        kept({ stdout: keepable(text) });
        return { text, rawIndex };
      } catch (error) {
        kept({ failure: systemCodeOf(error) ?? redact(messageOf(error)) });
        return { text: undefined, reason: reasonOf(error), rawIndex };
      }
    },

    async readAll(what, paths) {
      const command = `read ${what}`;
      const rawIndex = reserve(command);
      const startedMs = nowMs();
      const readOne = (path: string): Promise<string | undefined> =>
        within(limitMs, outside.readFile(path)).catch(() => undefined);
      const read = await (outside.readFiles === undefined
        ? Promise.all(paths.map(readOne))
        : within(limitMs, outside.readFiles(paths)).catch(() => []));
      const found = paths.flatMap((path, position) => {
        const text = read[position]?.trim();
        return text === undefined ? [] : [{ path, text }];
      });
      const stdout = keepable(found.map(({ path, text }) => `${path}: ${text}\n`).join(""));
      const durationMs = nowMs() - startedMs;
      raw[rawIndex] = { command, exitCode: undefined, stdout, stderr: "", durationMs };
      return { texts: found.map(({ text }) => text), rawIndex };
    },

    async run(command, env, { keep = (text: string) => text, longest, patience = 1 } = {}) {
      const line = redact(command.map(quoteWord).join(" "));
      const rawIndex = reserve(line);
      const ran = await outside.exec(command, {
        limitMs: limitMs * patience,
        ...(env === undefined ? {} : { env }),
      });
      const { exitCode, durationMs, failure } = ran;
      raw[rawIndex] = {
        command: line,
        exitCode,
        stdout: keepable(keep(ran.stdout), longest),
        stderr: keepable(keep(ran.stderr), longest),
        durationMs,
        ...(failure === undefined ? {} : { failure }),
      };
      return { ...ran, rawIndex };
    },

    note(what, text) {
      const command = redact(what);
      const rawIndex = reserve(command);
      raw[rawIndex] = {
        command,
        exitCode: undefined,
        stdout: keepable(text),
        stderr: "",
        durationMs: 0,
      };
      return rawIndex;
    },
  };
}

/** A reading that holds a value; an empty text is none and says so with `otherwise`. */
export function known(
  value: string | number | boolean | undefined,
  options: {
    readonly unit?: string | undefined;
    readonly rawIndex?: number | undefined;
    readonly source?: FieldSource;
  } & {
    readonly otherwise?: Reason;
  } = {},
): Reading {
  const { unit, rawIndex, source, otherwise = reasons.fileUnexpected } = options;
  const rest = { ...(source === undefined ? {} : { source }), rawIndex };
  const cleaned = typeof value === "string" ? value.trim() : value;
  const absent =
    cleaned === undefined ||
    cleaned === "" ||
    (typeof cleaned === "number" && !Number.isFinite(cleaned));
  if (absent) return { value: { state: "not_collected", reason: otherwise }, ...rest };
  return {
    value: { state: "value", value: cleaned, ...(unit === undefined ? {} : { unit }) },
    ...rest,
  };
}

export function notCollected(reason: string, rawIndex?: number): Reading {
  return { value: { state: "not_collected", reason }, rawIndex };
}

export function notApplicable(reason: string, rawIndex?: number): Reading {
  return { value: { state: "not_applicable", reason }, rawIndex };
}

/** One field of a reading. Its source is `probe` where the reading names none. */
export function fieldOf(
  id: string,
  group: FieldGroup,
  fieldClass: FieldClass,
  reading: Reading,
  at: string,
): EnvironmentField {
  const { value, source = "probe", rawIndex } = reading;
  return {
    id,
    group,
    class: fieldClass,
    value,
    source,
    at,
    ...(rawIndex === undefined ? {} : { rawIndex }),
  };
}

/** Now, as fields carry it. */
export function timeOf(outside: Outside): string {
  return isoWithOffset(outside.now());
}

/** All fields and raw outputs in the order of the probes, `rawIndex` counted through. */
export function joinProbes(results: readonly ProbeResult[]): ProbeResult {
  const fields: EnvironmentField[] = [];
  const raw: RawProbe[] = [];
  for (const result of results) {
    const offset = raw.length;
    for (const field of result.fields)
      fields.push(
        field.rawIndex === undefined ? field : { ...field, rawIndex: field.rawIndex + offset },
      );
    raw.push(...result.raw);
  }
  return { fields, raw };
}

/** @throws {TimeoutError} when the promise is still open after `limitMs`. */
export async function within<T>(limitMs: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new TimeoutError(`no answer within ${limitMs} ms`));
    }, limitMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

class TimeoutError extends Error {}

/** Why something could not be read, in the words of a field. */
export function reasonOf(error: unknown): Reason {
  if (error instanceof TimeoutError) return reasons.timedOut;
  return reasonsOfCodes[systemCodeOf(error) ?? ""] ?? reasons.fileUnreadable;
}

const reasonsOfCodes: Readonly<Record<string, Reason>> = {
  ENOENT: reasons.fileMissing,
  ETIMEDOUT: reasons.timedOut,
  EHOSTUNREACH: reasons.hostUnreachable,
};

/** A command line's word as a shell would need it. */
export function quoteWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

function shorten(text: string, longest: number): string {
  if (text.length <= longest) return text;
  const half = longest / 2;
  const cut = `\n[cut: ${text.length - longest} of ${text.length} characters]\n`;
  return text.slice(0, half) + cut + text.slice(-half);
}
