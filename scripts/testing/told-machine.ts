// A machine told by a test: files, folders and answers of commands instead of the real ones. What
// was not told is not there.

import { sha256Of } from "../environment/digest.ts";
import type { FileStatus, Outside, Ran } from "../environment/outside.ts";

export interface ToldMachine {
  /** Absolute path -> text. */
  readonly files?: Readonly<Record<string, string>>;
  /** First words of a command -> how it ends; the longest that fits answers. Others are missing. */
  readonly commands?: Readonly<Record<string, Partial<Ran>>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly argv?: readonly string[];
  readonly hostname?: string;
  readonly addresses?: readonly string[];
  /** Parts of the world replaced by hand. */
  readonly instead?: Partial<Outside>;
}

/** The outside world as told. Its clock stands at 2026-01-02T03:04:05Z. */
export function toldMachine(told: ToldMachine = {}): Outside {
  const files = told.files ?? {};
  const commands = told.commands ?? {};
  const missing = (path: string): Promise<never> =>
    Promise.reject(Object.assign(new Error(`no such file: ${path}`), { code: "ENOENT" }));
  return {
    exec(command) {
      const line = command.join(" ");
      const [answer] = Object.keys(commands)
        .filter((start) => line.startsWith(start))
        .sort((a, b) => b.length - a.length);
      const told = answer === undefined ? undefined : commands[answer];
      return Promise.resolve({
        exitCode: told === undefined ? undefined : 0,
        stdout: "",
        stderr: "",
        durationMs: 1,
        failure: told === undefined ? "missing" : undefined,
        ...told,
      });
    },
    readFile: (path) => {
      const text = files[path];
      return text === undefined ? missing(path) : Promise.resolve(text);
    },
    readDirectory: (path) => {
      const names = namesIn(path, files);
      return names.length === 0 ? missing(path) : Promise.resolve(names);
    },
    listFiles: (folder) => {
      const found = Object.entries(files)
        .filter(([path]) => path.startsWith(`${folder}/`))
        .map(([path, text]): FileStatus => ({ path, bytes: text.length, mtimeMs: 0 }));
      return found.length === 0 ? missing(folder) : Promise.resolve(found);
    },
    sha256: ({ path }) => {
      const text = files[path];
      return text === undefined ? missing(path) : Promise.resolve(sha256Of(text));
    },
    fileSystemBytes: missing,
    hostFacts: () => missing("systeminformation"),
    now: () => Date.UTC(2026, 0, 2, 3, 4, 5),
    timeZone: () => "UTC",
    hostname: () => told.hostname ?? "told",
    addresses: () => told.addresses ?? ["127.0.0.1"],
    env: told.env ?? {},
    argv: told.argv ?? ["node", "cli.js"],
    versions: { node: "v20.19.0", v8: "11.3" },
    platform: "linux-x64",
    ...told.instead,
  };
}

function namesIn(folder: string, files: Readonly<Record<string, string>>): readonly string[] {
  const names = Object.keys(files)
    .filter((path) => path.startsWith(`${folder}/`))
    .map((path) => path.slice(folder.length + 1).split("/")[0] ?? "");
  return [...new Set(names)].sort();
}
