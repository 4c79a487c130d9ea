// A variant to the command line that serves it with vLLM. Pure: what the machine has is told. All
// that is added to what the experiment says is added here, so that it stands in the recorded argv
// and environment:
//   --enable-prompt-tokens-details   cached tokens of each request come with its usage
//   VLLM_SERVER_DEV_MODE=1           opens /server_info and /reset_prefix_cache, on 127.0.0.1
//   VLLM_NO_USAGE_STATS, DO_NOT_TRACK   no statistics are sent while it is measured
// What the experiment itself writes wins over each of them.
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import type { EngineArguments, Variant, VllmEngine } from "../experiment/experiment.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { precisionArguments } from "./vllm-precision.ts";

export type VllmVariant = Variant & { readonly engine: VllmEngine };

/** The part of a command line that follows the words which start the server. */
export interface Serving {
  /** The model as vLLM finds it: a folder or a hub id. */
  readonly model: string;
  /** A hub id has a revision; a folder has none that vLLM could take. */
  readonly isFolder: boolean;
  /** Folder of the tokenizer; undefined: the model's own. */
  readonly tokenizer: string | undefined;
  readonly host: string;
  readonly port: number;
  /** undefined: its files are not on this host. */
  readonly checkpoint: Checkpoint | undefined;
}

export interface VllmCommand {
  readonly argv: readonly string[];
  /** Words that run the interpreter which runs vLLM; undefined: not known. */
  readonly interpreter: readonly string[] | undefined;
  /** Must be the first folder on PATH: vLLM runs ninja and others that lie beside it. */
  readonly binFolder: string | undefined;
}

const defaultEnvironment = {
  VLLM_SERVER_DEV_MODE: "1",
  VLLM_NO_USAGE_STATS: "1",
  DO_NOT_TRACK: "1",
} as const;

/** The variables that are set for vLLM. */
export function vllmEnvironment({
  env,
}: Pick<VllmEngine, "env">): Readonly<Record<string, string>> {
  return { ...defaultEnvironment, ...env };
}

/** The name that requests put in `model`. */
export function servedName({ model, engine }: VllmVariant): string {
  const written = argumentOf(engine.args, "served-model-name");
  return written === undefined ? model : String(written);
}

/**
 * The model and all options. The variant's own come last, as written.
 *
 * @example ["/models/qwen3", "--served-model-name", "qwen3", "--host", "127.0.0.1", "--port", "8000",
 *   "--dtype", "bfloat16", "--enable-prompt-tokens-details", "--max-num-seqs", "256"]
 */
export function serveArguments(variant: VllmVariant, serving: Serving): readonly string[] {
  const { args } = variant.engine;
  const { revision } = variant;
  const added: EngineArguments = {
    "served-model-name": variant.model,
    host: serving.host,
    port: serving.port,
    ...precisionArguments(variant, serving.checkpoint),
    ...(revision === undefined || serving.isFolder ? {} : { revision }),
    ...(serving.tokenizer === undefined ? {} : { tokenizer: serving.tokenizer }),
    "enable-prompt-tokens-details": true,
  };
  const missing = Object.entries(added).filter(([key]) => argumentOf(args, key) === undefined);
  return [serving.model, ...[...missing, ...Object.entries(args)].flatMap(optionWords)];
}

/**
 * The whole command line for a vLLM that lies on this host.
 * @param near a path as one would type it in the project's folder, where the command is run
 * @param shebang the interpreter that the program named first is a script of; undefined: not known
 */
export function vllmCommand(
  variant: VllmVariant,
  serving: Serving,
  outside: {
    readonly projectRoot: string;
    readonly near: (path: string) => string;
    /** VLLM_VENV: used where the experiment names no program. */
    readonly defaultVenv: string | undefined;
    readonly interpreterOf: (program: string) => string | undefined;
  },
): VllmCommand {
  const { prefix, python, command } = variant.engine;
  const venv = venvOf(variant.engine, outside.defaultVenv);
  const rest = serveArguments(variant, serving);
  if (venv !== undefined) {
    const bin = join(resolve(outside.projectRoot, venv), "bin");
    const interpreter = join(bin, "python");
    // Through the interpreter: the first line of a script is cut off at 127 bytes on many systems.
    const words = [interpreter, join(bin, "vllm")].map(outside.near);
    return {
      argv: [...prefix, ...words, "serve", ...rest],
      interpreter: [interpreter],
      binFolder: bin,
    };
  }
  if (python !== undefined) {
    const path = placed(python, outside.projectRoot);
    return {
      argv: [...prefix, outside.near(path), "-m", "vllm.entrypoints.cli.main", "serve", ...rest],
      interpreter: [path],
      binFolder: isAbsolute(path) ? dirname(path) : undefined,
    };
  }
  const words = command ?? ["vllm", "serve"];
  const [program = ""] = words;
  const isPython = /^python[\d.]*$/.test(basename(program));
  const found = isPython
    ? placed(program, outside.projectRoot)
    : outside.interpreterOf(placed(program, outside.projectRoot));
  return {
    argv: [...prefix, ...words, ...rest],
    interpreter: found === undefined ? undefined : [found],
    binFolder: undefined,
  };
}

/** The virtual environment that vLLM is taken from; undefined: another program is. */
export function venvOf(
  { venv, python, command, container }: VllmEngine,
  defaultVenv: string | undefined,
): string | undefined {
  if (venv !== undefined) return venv;
  const isOpen = python === undefined && command === undefined && container === undefined;
  return isOpen ? defaultVenv : undefined;
}

/** A program with a slash lies in the project unless it is absolute; one without is looked up on PATH. */
export function placed(program: string, projectRoot: string): string {
  return program.includes("/") ? resolve(projectRoot, program) : program;
}

/** Flags of vLLM that have no --no- form: false means to leave them out. */
const withoutNegation = new Set(["headless", "disable-log-stats", "aggregate-engine-logging"]);

/** One argument as words: true is a bare flag, false its negation. */
function optionWords([key, value]: readonly [
  string,
  string | number | boolean,
]): readonly string[] {
  if (value === true) return [`--${key}`];
  if (value === false) return withoutNegation.has(dashed(key)) ? [] : [`--no-${key}`];
  const text = String(value);
  // A value that begins with a dash would be taken for an option.
  return text.startsWith("-") ? [`--${key}=${text}`] : [`--${key}`, text];
}

/** An argument of the experiment; vLLM takes underscores for dashes. */
export function argumentOf(
  args: EngineArguments,
  name: string,
): EngineArguments[string] | undefined {
  return Object.entries(args).find(([key]) => dashed(key) === name)?.[1];
}

function dashed(key: string): string {
  return key.replaceAll("_", "-");
}
