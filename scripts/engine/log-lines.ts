// A log as a program wrote it to plain lines: without colours, without progress bars drawn over each
// other, without JSON around them, and without the prefixes that differ by version.

/** One line of a log without its decoration. */
export interface LogLine {
  /** Of the process that wrote it: "EngineCore_DP0"; empty where the line does not say. */
  readonly process: string;
  /** "WARNING"; empty where the line does not say. */
  readonly level: string;
  readonly text: string;
}

/** Colours of a terminal, also where the escape character was lost on the way. */
const colours = /\u001b\[[0-9;?]*[ -/]*[@-~]|\[\d{1,2}(?:;\d{1,2})*m/g;

const linePrefix =
  /^(?:[\w.-]*\s*\| |log: )?(?:\((\w[\w.-]*)(?: [^()]*)?\bpid=\d+[^()]*\)\s*)?(?:(DEBUG|INFO|WARNING|ERROR|CRITICAL) \d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)? (?:\[[^\]\s]*:\d+\]|\S+:\d+\]) ?)?(?:\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?: (\w[\w ]*))?\] )?/;

/** The lines of a log without colours, progress bars over themselves, JSON and prefixes. */
export function readLogLines(log: string): readonly LogLine[] {
  return joinWrapped(log.replaceAll(colours, "").split(/\r\n|\r|\n/)).map((raw) => {
    const line = raw.startsWith("{") ? messageOfJson(raw) : raw;
    const [prefix = "", process = "", level = "", worker = ""] = linePrefix.exec(line) ?? [];
    return { process: process === "" ? worker : process, level, text: line.slice(prefix.length) };
  });
}

/** Longest that a wrapped line is put together again. */
const longestWrapped = 200;

/**
 * A terminal that was copied wraps the line of the configuration: lines that begin like none of a log
 * go on with it until its brackets close.
 */
function joinWrapped(lines: readonly string[]): readonly string[] {
  const joined: string[] = [];
  let open = 0;
  for (const line of lines) {
    const last = joined.at(-1);
    if (open > 0 && last !== undefined && line !== "" && !beginsALine.test(line)) {
      joined[joined.length - 1] = last + line;
      open -= 1;
    } else {
      joined.push(line);
      open = /with config: model=|non-default args: \{|args=ServerArgs\(/.test(line)
        ? longestWrapped
        : 0;
    }
  }
  return joined;
}

const beginsALine =
  /^(?:\(|\[|\{|\||(?:DEBUG|INFO|WARNING|ERROR|CRITICAL)\b|Traceback|Process |\s|\d{4}-|\w+\s+\| )/;

function messageOfJson(line: string): string {
  try {
    const parsed: unknown = JSON.parse(line);
    if (typeof parsed !== "object" || parsed === null) return line;
    for (const key of ["message", "msg", "log", "event"]) {
      const message: unknown = Object.getOwnPropertyDescriptor(parsed, key)?.value;
      if (typeof message === "string") return message.trimEnd();
    }
    return line;
  } catch {
    // A line that only begins like JSON.
    return line;
  }
}

/** The first line's match. */
export function firstMatch(
  lines: readonly LogLine[],
  pattern: RegExp,
): RegExpExecArray | undefined {
  for (const { text } of lines) {
    const match = pattern.exec(text);
    if (match !== null) return match;
  }
  return undefined;
}

/** The last line's match. */
export function lastMatch(lines: readonly LogLine[], pattern: RegExp): RegExpExecArray | undefined {
  return firstMatch(lines.toReversed(), pattern);
}
