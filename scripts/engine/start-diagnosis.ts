// From the lines of a log to why the engine did not start, or ended: a known cause, else the exception
// that stands for itself, else what is left of a process that was killed.
import type { LogLine } from "./log-lines.ts";
import { type Cause, causes, type StartDiagnosis, traces, warnedCauses } from "./start-causes.ts";

/**
 * The first cause that the lines tell of.
 *
 * @param answeredAt index of the line that says that the server answers; -1: it never did. What was
 *   printed before that was survived, and exceptions after it are mostly those of requests.
 */
export function diagnose(
  lines: readonly LogLine[],
  answeredAt: number,
): StartDiagnosis | undefined {
  const told = lines.slice(answeredAt + 1);
  const serious = told.filter(({ level }) => !/^(?:DEBUG|INFO|WARNING)$/.test(level));
  const known = firstCause(causes, serious) ?? firstCause(warnedCauses, told);
  if (known !== undefined) return known;

  if (answeredAt !== -1 && !serious.some(({ text }) => fatal.test(text))) {
    return firstCause(traces, serious);
  }
  const thrown = serious
    .filter(({ process }) => answeredAt === -1 || process !== "APIServer")
    .map(({ text }) => text)
    .filter((text) => exception.test(text));
  const cause = thrown.findLast((text) => !follows.test(text));
  if (cause !== undefined) return unknownCause(cause);
  const trace = firstCause(traces, serious);
  const wrapper = thrown.findLast((text) => wrapped.test(text));
  return trace ?? (wrapper === undefined ? undefined : unknownCause(wrapper));
}

function firstCause(
  known: readonly Cause[],
  lines: readonly LogLine[],
): StartDiagnosis | undefined {
  for (const { pattern, tell } of known) {
    for (const { text } of lines) {
      const match = pattern.exec(text);
      if (match !== null) return tell(match.slice(1).map((said: string | undefined) => said ?? ""));
    }
  }
  return undefined;
}

const longestCause = 300;

function unknownCause(line: string): StartDiagnosis {
  const cause = line.replace(/^(?:\[rank\d+\]: |\s*\| )/, "");
  return {
    what: `the engine failed with ${cause.length > longestCause ? `${cause.slice(0, longestCause)}…` : cause}`,
    mend: "its log holds the whole story",
  };
}

/** An exception as Python ends a traceback with it. */
const exception =
  /^(?:\[rank\d+\]: |\s*\| )?((?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Interrupt|Timeout|Expired)(?:\(\w+\))?)(?:: (.*))?$/;

/** Exceptions that only say that there was another one. */
const follows =
  /^(?:\w+\.)*(?:EngineDeadError|AsyncEngineDeadError|EOFError|SystemExit|CancelledError|BrokenPipeError|ConnectionResetError|ChildProcessError|KeyboardInterrupt|VLLMValidationError)\b|Engine (?:core|process) (?:initialization )?failed|worker died|RuntimeError: cancelled|maximum context length/;

/** The ones of them that do say that the engine failed. */
const wrapped = /EngineDeadError|Engine (?:core|process) (?:initialization )?failed/;

/** That an engine which had come up came to its end. */
const fatal =
  /EngineDeadError|EngineCore (?:encountered|hit) |Got fatal signal|died unexpectedly|Fatal Python error|Engine core proc \S+ died/;
