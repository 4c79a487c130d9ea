// What can go wrong that a person can mend, and how the program's end is told to the shell.

export const exitCode = { fine: 0, failed: 1, wrongUse: 2, interrupted: 130 } as const;
export type ExitCode = (typeof exitCode)[keyof typeof exitCode];

export interface UserErrorParts {
  /** What is wrong, with the value that was seen: "request rate must be above 0, got -2". */
  readonly what: string;
  /** Where: "experiments/chat.yaml:14:18 load.requestRate". Absent where there is no place. */
  readonly where?: string;
  /** How to mend it: "try 0.5 for one request every two seconds". */
  readonly mend: string;
}

/**
 * One or several mistakes that a person can mend. Anything else that is thrown is a bug.
 *
 * @example throw new UserError({ what: "no run named x", mend: "benchbook list shows the runs" })
 */
export class UserError extends Error {
  readonly parts: readonly UserErrorParts[];
  readonly exitCode: ExitCode;

  constructor(
    parts: UserErrorParts | readonly UserErrorParts[],
    options: { readonly exitCode?: ExitCode; readonly cause?: unknown } = {},
  ) {
    const all = "what" in parts ? [parts] : parts;
    super(all.map(describeParts).join("\n"), { cause: options.cause });
    this.name = "UserError";
    this.parts = all;
    this.exitCode = options.exitCode ?? exitCode.wrongUse;
  }
}

/** The text of one mistake: what, and on lines of their own where it stands and how to mend it. */
export function describeParts({ what, where, mend }: UserErrorParts): string {
  return [what, ...(where === undefined ? [] : [`  at   ${where}`]), `  mend ${mend}`].join("\n");
}

/** The message of anything that was thrown; for logs and for `cause`. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The `code` of a Node system error ("ENOENT"), else undefined. */
export function systemCodeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string"
    ? error.code
    : undefined;
}
