// From a notebook's text to its pieces: front matter, prose, cells, code, each with its line and, for
// a :::zh or :::en block, its language. Everything that is wrong is said with file and line.
import { parseDocument } from "yaml";
import { UserError, type UserErrorParts } from "../errors.ts";
import type { Language } from "../experiment/experiment.ts";
import { nearest } from "../experiment/nearest.ts";

export interface Cell {
  readonly kind: "cell";
  readonly cell: CellName;
  /** First line of the cell: which table, chart, part of the environment. */
  readonly name: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly line: number;
  readonly language: Language | undefined;
}

export type Piece =
  | Cell
  | {
      readonly kind: "prose";
      readonly text: string;
      readonly line: number;
      readonly language: Language | undefined;
    }
  | {
      readonly kind: "code";
      readonly text: string;
      readonly line: number;
      readonly language: Language | undefined;
    };

export interface NotebookSource {
  /** Absolute, or as the user gave it: what messages name. */
  readonly path: string;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly pieces: readonly Piece[];
}

const cellNames = ["table", "chart", "env", "checks", "compare"] as const;
export type CellName = (typeof cellNames)[number];

/** Fences that are code to show and no cell. */
const codeLanguages = [
  "",
  "bash",
  "console",
  "diff",
  "http",
  "ini",
  "javascript",
  "js",
  "json",
  "markdown",
  "md",
  "plain",
  "py",
  "python",
  "sh",
  "shell",
  "text",
  "toml",
  "ts",
  "txt",
  "typescript",
  "xml",
  "yaml",
  "yml",
];

/** Splits a notebook. @throws UserError with all that is wrong, each with file and line. */
export function readNotebook(text: string, path: string): NotebookSource {
  const mistakes: UserErrorParts[] = [];
  const lines = text.replaceAll("\r\n", "\n").split("\n");
  const matter = readFrontMatter(lines, path, mistakes);
  const pieces: Piece[] = [];
  let prose: string[] = [];
  let proseLine = matter.next + 1;
  let language: Language | undefined;
  let languageLine = 0;
  const flush = (next: number): void => {
    if (prose.some((line) => line.trim() !== "")) {
      pieces.push({ kind: "prose", text: prose.join("\n"), line: proseLine, language });
    }
    prose = [];
    proseLine = next;
  };

  for (let index = matter.next; index < lines.length; index += 1) {
    const line = lines[index] ?? "";
    const fence = /^(`{3,}|~{3,})\s*([^\s`]*)\s*(.*)$/.exec(line);
    const container = /^\s{0,3}:::\s*(\w*)\s*$/.exec(line);
    if (fence !== null) {
      flush(index + 2);
      const end = closingFence(lines, index, fence[1] ?? "```");
      if (end === undefined) {
        mistakes.push({
          what: `the fence ${fence[1] ?? ""}${fence[2] ?? ""} is never closed`,
          where: `${path}:${index + 1}`,
          mend: "end it with a line of the same marks",
        });
        return fail(mistakes);
      }
      const piece = readFence(
        fence[2] ?? "",
        lines.slice(index + 1, end),
        index + 1,
        language,
        path,
        mistakes,
      );
      if (piece !== undefined) pieces.push(piece);
      index = end;
      proseLine = end + 2;
    } else if (container !== null) {
      flush(index + 2);
      const name = container[1] ?? "";
      if (name === "" && language === undefined) {
        mistakes.push({
          what: "::: closes a block that was not opened",
          where: `${path}:${index + 1}`,
          mend: "open it with :::zh or :::en, or remove the line",
        });
      } else if (name !== "" && name !== "zh" && name !== "en") {
        mistakes.push({
          what: `unknown block :::${name}`,
          where: `${path}:${index + 1}`,
          mend: "use :::zh or :::en",
        });
      } else if (name !== "" && language !== undefined) {
        mistakes.push({
          what: `:::${name} begins inside the :::${language} block of line ${languageLine}`,
          where: `${path}:${index + 1}`,
          mend: "close the first block with ::: before it",
        });
      }
      language = name === "zh" || name === "en" ? name : undefined;
      languageLine = index + 1;
    } else {
      prose.push(line);
    }
  }
  flush(lines.length);
  if (language !== undefined) {
    mistakes.push({
      what: `the :::${language} block is never closed`,
      where: `${path}:${languageLine}`,
      mend: "end it with a line of :::",
    });
  }
  if (mistakes.length > 0) return fail(mistakes);
  return { path, settings: matter.settings, pieces };
}

function fail(mistakes: readonly UserErrorParts[]): never {
  throw new UserError(mistakes);
}

function closingFence(lines: readonly string[], from: number, marks: string): number | undefined {
  for (let index = from + 1; index < lines.length; index += 1) {
    const line = (lines[index] ?? "").trimEnd();
    if (line.startsWith(marks) && line.replaceAll(marks[0] ?? "`", "") === "") return index;
  }
  return undefined;
}

function readFence(
  name: string,
  body: readonly string[],
  line: number,
  language: Language | undefined,
  path: string,
  mistakes: UserErrorParts[],
): Piece | undefined {
  if (isCellName(name)) {
    const options = readYaml(
      body.slice(1).join("\n"),
      `${path}:${line + 2}`,
      line + 2,
      path,
      mistakes,
    );
    const first = body[0]?.trim() ?? "";
    if (first === "") {
      mistakes.push({
        what: `the ${name} cell says not which`,
        where: `${path}:${line}`,
        mend: `put its name on the first line, as in the default notebook`,
      });
    }
    return { kind: "cell", cell: name, name: first, options, line, language };
  }
  if (codeLanguages.includes(name)) return { kind: "code", text: body.join("\n"), line, language };
  const near = nearest(name, [...cellNames, ...codeLanguages.filter((one) => one !== "")]);
  mistakes.push({
    what: `unknown cell ${name}`,
    where: `${path}:${line}`,
    mend: near === undefined ? `use one of ${cellNames.join(", ")}` : `write ${near}`,
  });
  return undefined;
}

function isCellName(name: string): name is CellName {
  return (cellNames as readonly string[]).includes(name);
}

function readFrontMatter(
  lines: readonly string[],
  path: string,
  mistakes: UserErrorParts[],
): { readonly settings: Readonly<Record<string, unknown>>; readonly next: number } {
  if (lines[0]?.trimEnd() !== "---") return { settings: {}, next: 0 };
  const end = lines.findIndex((line, index) => index > 0 && line.trimEnd() === "---");
  if (end === -1) {
    mistakes.push({
      what: "the front matter is never closed",
      where: `${path}:1`,
      mend: "end it with a line of ---",
    });
    return fail(mistakes);
  }
  const settings = readYaml(lines.slice(1, end).join("\n"), `${path}:2`, 2, path, mistakes);
  return { settings, next: end + 1 };
}

/** A YAML mapping, {} where there is nothing; what is wrong goes to `mistakes`. */
function readYaml(
  text: string,
  where: string,
  firstLine: number,
  path: string,
  mistakes: UserErrorParts[],
): Readonly<Record<string, unknown>> {
  const document = parseDocument(text, { prettyErrors: true, version: "1.2", merge: false });
  const error = document.errors[0];
  if (error !== undefined) {
    mistakes.push({
      what: `not valid YAML: ${error.message.split("\n")[0] ?? ""}`,
      where: `${path}:${firstLine - 1 + (error.linePos?.[0].line ?? 1)}`,
      mend: "write options as `name: value`, one a line",
    });
    return {};
  }
  const value: unknown = document.toJS({ maxAliasCount: 0 });
  if (value === null || value === undefined) return {};
  if (typeof value !== "object" || Array.isArray(value)) {
    mistakes.push({
      what: "options are not a mapping",
      where,
      mend: "write options as `name: value`, one a line",
    });
    return {};
  }
  return Object.fromEntries(Object.entries(value));
}
