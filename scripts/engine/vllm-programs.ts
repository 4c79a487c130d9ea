// Where vLLM's programs and folders lie on this host.
import { readFileSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { which } from "zx/core";

/** Absolute path of a program, on PATH or at a path; undefined: there is none that can be run. */
export function programPath(program: string): string | undefined {
  return which.sync(program, { nothrow: true }) ?? undefined;
}

/**
 * The interpreter that a Python script is run by, from its first lines: "#!/opt/v/bin/python", or the
 * shell form that installers write where that path is too long. undefined: no script of Python.
 */
export function interpreterOf(program: string): string | undefined {
  const path = programPath(program);
  if (path === undefined) return undefined;
  const [first = "", second = ""] = readFileSync(path, "latin1").slice(0, 1024).split("\n");
  const direct = /^#!\s*(\S*python[\d.]*)\s*$/.exec(first)?.[1];
  return direct ?? /^'''exec' "?([^"\s]*python[\d.]*)"? /.exec(second)?.[1];
}

/** The folder of a tokenizer that is given as a folder or as its tokenizer.json. */
export function tokenizerFolder(tokenizer: string, projectRoot: string): string {
  const path = resolve(projectRoot, tokenizer);
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true ? dirname(path) : path;
}
