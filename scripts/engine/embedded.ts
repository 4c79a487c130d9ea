// The engine that ships with benchbook: a tiny model in a Node process of its own.
import { existsSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { z } from "zod";
import type { UserErrorParts } from "../errors.ts";
import type { EmbeddedEngine, EngineArguments, Precision } from "../experiment/experiment.ts";
import { weightFiles } from "./embedded/model-folder.ts";
import { usualBlockSize } from "./embedded/options.ts";
import type {
  EngineAdapter,
  EngineDemand,
  EngineFacts,
  RunningEngine,
  StartContext,
  VariantOf,
} from "./engine.ts";
import { EngineStartError } from "./engine.ts";
import { isFree, launchProcess, waitUntilReady } from "./launch.ts";
import { findModelFolder, packageRoot } from "./model-folder.ts";
import { resetPrefixCache } from "./reset-prefix-cache.ts";
import { selfReport } from "./self-report.ts";

/** The weights' place in the model's folder; undefined: the engine has no such precision. */
export function weightFileOf(precision: Precision): string | undefined {
  return precision === "fp32" || precision === "q8" ? weightFiles[precision] : undefined;
}

/** What the engine takes from an experiment; the values are examples. */
const knownArguments: Readonly<Record<string, number | boolean>> = {
  "max-num-seqs": 16,
  "max-model-len": 4096,
  "max-num-batched-tokens": 2048,
  "enable-prefix-caching": true,
  "block-size": 16,
  "num-blocks": 4096,
  threads: 1,
};

export const embedded: EngineAdapter<EmbeddedEngine> = { check, start };

function check(
  variant: VariantOf<EmbeddedEngine>,
  demand: EngineDemand,
  { projectRoot }: Pick<StartContext, "projectRoot">,
): Promise<readonly UserErrorParts[]> {
  const problems: UserErrorParts[] = [];
  const where = `variants.${variant.name}`;
  for (const [key, value] of Object.entries(variant.engine.args)) {
    const problem = argumentProblem(key, value);
    if (problem !== undefined) problems.push({ ...problem, where: `${where}.args` });
  }
  const weights = weightFileOf(variant.precision);
  if (weights === undefined) {
    problems.push({
      what: `the embedded engine has no precision "${variant.precision}"`,
      where: `${where}.precision`,
      mend: `one of ${Object.keys(weightFiles).join(", ")}`,
    });
  }
  const folder = findModelFolder(variant.model, projectRoot);
  const config =
    folder === undefined
      ? { problem: `the model folder ${variant.model} does not exist` }
      : readModelConfig(folder);
  if (folder === undefined || "problem" in config) {
    problems.push({
      what: "problem" in config ? config.problem : "",
      where: `${where}.model`,
      mend: "data/models/tiny-qwen3 ships with benchbook",
    });
    return Promise.resolve(problems);
  }
  for (const file of ["tokenizer.json", ...(weights === undefined ? [] : [weights])]) {
    if (!existsSync(join(folder, file))) {
      problems.push({
        what: `the model folder ${variant.model} holds no ${file}`,
        where: `${where}.model`,
        mend: "give a folder in the layout of an ONNX export, with config.json, tokenizer.json and onnx/",
      });
    }
  }
  const limit = Math.min(
    config.maxPositions,
    numberOf(variant.engine.args, "max-model-len") ?? config.maxPositions,
  );
  if (demand.longestRequestTokens !== undefined && demand.longestRequestTokens > limit) {
    problems.push({
      what: `input + output is ${demand.longestRequestTokens} tokens, more than the ${limit} that the model allows`,
      where,
      mend: `shorten the workload to at most ${limit} tokens in all`,
    });
  }
  const blocks = numberOf(variant.engine.args, "num-blocks");
  const blockSize = numberOf(variant.engine.args, "block-size") ?? usualBlockSize;
  if (blocks !== undefined && blocks * blockSize < limit) {
    problems.push({
      what: `num-blocks ${blocks} of ${blockSize} tokens hold less than one request of ${limit} tokens`,
      where: `${where}.args`,
      mend: `num-blocks: ${Math.ceil(limit / blockSize)}, or a smaller max-model-len`,
    });
  }
  return Promise.resolve(problems);
}

function argumentProblem(
  key: string,
  value: EngineArguments[string],
): Pick<UserErrorParts, "what" | "mend"> | undefined {
  const example = Object.hasOwn(knownArguments, key) ? knownArguments[key] : undefined;
  if (example === undefined) {
    return {
      what: `the embedded engine has no argument "${key}"`,
      mend: `one of ${Object.keys(knownArguments).join(", ")}`,
    };
  }
  if (typeof example === "boolean") {
    if (typeof value === "boolean") return undefined;
    return {
      what: `the embedded engine's ${key} must be true or false, got ${String(value)}`,
      mend: `${key}: false`,
    };
  }
  if (typeof value === "number" && Number.isInteger(value) && value >= 1) return undefined;
  return {
    what: `the embedded engine's ${key} must be a whole number from 1, got ${String(value)}`,
    mend: `${key}: ${example}`,
  };
}

async function start(
  variant: VariantOf<EmbeddedEngine>,
  { projectRoot, logPath, signal }: StartContext,
): Promise<RunningEngine> {
  const port = variant.engine.port === "auto" ? 0 : variant.engine.port;
  if (port !== 0 && !(await isFree(port))) {
    throw new EngineStartError(
      `port ${port} of 127.0.0.1 is taken`,
      "end the program that holds it, or write `port: auto`",
    );
  }
  const folder = findModelFolder(variant.model, projectRoot);
  if (folder === undefined) {
    throw new EngineStartError(`the model folder ${variant.model} is gone`, "put it back");
  }
  // As one would type it in the project's folder: the same on every machine, and fit to publish.
  const near = (path: string): string => {
    const inProject = relative(projectRoot, path);
    return inProject.startsWith("..") ? path : inProject;
  };
  const argv = [
    process.execPath,
    near(join(packageRoot, "dist/engine/embedded/server.js")),
    "--exit-with-stdin",
    ...[
      "--model",
      near(folder),
      "--precision",
      variant.precision,
      "--served-model-name",
      variant.model,
    ],
    ...["--host", "127.0.0.1", "--port", String(port)],
    ...Object.entries(variant.engine.args).flatMap(([key, value]) =>
      typeof value === "boolean"
        ? [value ? `--${key}` : `--no-${key}`]
        : [`--${key}`, String(value)],
    ),
  ];
  const engine = await launchProcess(argv, { env: variant.engine.env, logPath, cwd: projectRoot });
  try {
    // Its own log says where it listens, so no other program's answer can be taken for its own.
    const { url: baseUrl, startupMs } = await waitUntilReady(engine, urlInLog(logPath), {
      readyMs: variant.engine.readyMs,
      signal,
      logPath,
    });
    const endpoint = { baseUrl, model: variant.model, headers: {} };
    const readFacts = async (): Promise<EngineFacts> => {
      const report = await selfReport(endpoint, { model: variant.model });
      return {
        ...report,
        name: "benchbook embedded",
        argv,
        env: variant.engine.env,
        // What it says, and what it can't have.
        settings: { ...report.settings, cudaGraphs: "none", speculative: "none" },
        nonDefaultArgs: variant.engine.args,
        container: undefined,
      };
    };
    return {
      endpoint,
      facts: await readFacts(),
      readFacts,
      startupMs,
      pid: engine.pid,
      logPath,
      exited: engine.exited,
      interpreter: undefined,
      resetPrefixCache: () => resetPrefixCache(endpoint),
      stop: () => engine.stop(),
    };
  } catch (error) {
    await engine.stop();
    throw error;
  }
}

/** The address in the line that the engine's log ends its start with; undefined: not yet. */
function urlInLog(logPath: string): () => string | undefined {
  return () => /ready (http:\/\/\S+)/.exec(readFileSync(logPath, "utf8"))?.[1];
}

const modelConfig = z.object({ max_position_embeddings: z.number().int().positive() });

function readModelConfig(
  folder: string,
): { readonly maxPositions: number } | { readonly problem: string } {
  const path = join(folder, "config.json");
  if (!existsSync(path)) return { problem: `the model folder ${folder} holds no config.json` };
  try {
    const parsed = modelConfig.safeParse(JSON.parse(readFileSync(path, "utf8")));
    if (parsed.success) return { maxPositions: parsed.data.max_position_embeddings };
    return { problem: `${path} names no max_position_embeddings` };
  } catch (error) {
    return {
      problem: `${path} is not JSON: ${error instanceof Error ? error.message : String(error)}`,
    };
  }
}

function numberOf(args: EngineArguments, key: string): number | undefined {
  const value = args[key];
  return typeof value === "number" ? value : undefined;
}
