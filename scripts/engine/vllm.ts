// vLLM, launched by benchbook: from a program of this host or in a container, with its log in a file,
// watched with all its workers, and gone without a trace after its stop.
import { randomBytes } from "node:crypto";
import { relative } from "node:path";
import type { VllmEngine } from "../experiment/experiment.ts";
import { findCheckpoint } from "./checkpoint.ts";
import { containerRun, hostWithin, inspectContainer, mountedAt } from "./container.ts";
import type { EngineAdapter, EngineFacts, RunningEngine, StartContext } from "./engine.ts";
import { EngineStartError } from "./engine.ts";
import {
  type EngineProcess,
  freePort,
  isFree,
  launchProcess,
  type PickWorkers,
  waitUntilReady,
} from "./launch.ts";
import { beginningOf } from "./log-text.ts";
import { findModelFolder } from "./model-folder.ts";
import { resetPrefixCache } from "./reset-prefix-cache.ts";
import { laterDescriptionMs, selfReport, servedModels } from "./self-report.ts";
import { check } from "./vllm-check.ts";
import {
  type Serving,
  serveArguments,
  servedName,
  type VllmCommand,
  type VllmVariant,
  vllmCommand,
  vllmEnvironment,
} from "./vllm-command.ts";
import { diagnoseStart } from "./vllm-log.ts";
import { interpreterOf, tokenizerFolder } from "./vllm-programs.ts";
import type { Release } from "./watchdog.ts";

export const vllm: EngineAdapter<VllmEngine> = { check, start };

/** How long an orderly end may take. The server waits that long for requests that are not cancelled. */
const politeMs = 15_000;

/** The same for one that serves nobody yet: while it loads it does not heed SIGTERM at all. */
const unservedMs = 3000;

/** How much of a log's beginning holds the configuration that vLLM prints. */
const configurationBytes = 512 * 1024;

interface Launch extends VllmCommand {
  readonly release: Release | undefined;
  /** The name of its container. */
  readonly container: string | undefined;
}

async function start(variant: VllmVariant, context: StartContext): Promise<RunningEngine> {
  const { engine } = variant;
  const { projectRoot, logPath, signal } = context;
  const port = await portOf(engine);
  const launch = launchOf(variant, port, projectRoot);
  const { argv, binFolder, release } = launch;
  const env = vllmEnvironment(engine);
  const path = binFolder === undefined ? {} : { PATH: `${binFolder}:${process.env["PATH"] ?? ""}` };
  const running = await launchProcess(argv, {
    // A PATH that the experiment sets stands as it is written.
    env: { ...path, ...env },
    logPath,
    cwd: projectRoot,
    release,
  });
  try {
    const { url: baseUrl, startupMs } = await waitUntilReady(
      running,
      () => `http://127.0.0.1:${port}`,
      { readyMs: engine.readyMs, signal, logPath, diagnose: diagnoseStart },
    );
    const model = servedName(variant);
    const headers = authorization(env);
    const connection = { baseUrl, headers };
    await refuseStranger(connection, model, port);
    const container = await guardWorkers(variant, launch, running);
    const readFacts = async (limitMs?: number): Promise<EngineFacts> => ({
      ...(await selfReport(connection, {
        model,
        log: beginningOf(logPath, configurationBytes),
        ...(limitMs === undefined ? {} : { limitMs }),
      })),
      argv,
      env: container === undefined ? { ...inheritedSettings(process.env), ...env } : env,
      container,
    });
    return {
      endpoint: { baseUrl, model, headers },
      facts: await readFacts(),
      readFacts: () => readFacts(laterDescriptionMs),
      startupMs,
      pid: running.pid,
      logPath,
      exited: running.exited,
      interpreter: launch.interpreter,
      resetPrefixCache: () => resetPrefixCache(connection),
      stop: () => running.stop(politeMs),
    };
  } catch (error) {
    await running.stop(unservedMs);
    throw error;
  }
}

/** @throws EngineStartError when the port that is asked for is taken */
async function portOf({ port, name }: VllmEngine): Promise<number> {
  if (port === "auto") return freePort();
  if (await isFree(port)) return port;
  throw new EngineStartError(
    `port ${port} of 127.0.0.1 is taken`,
    `end the program that holds it, or write \`port: auto\` under engines.${name}`,
  );
}

function launchOf(variant: VllmVariant, port: number, projectRoot: string): Launch {
  const { engine, model, tokenizer } = variant;
  const found = findCheckpoint(variant, projectRoot);
  const checkpoint = found !== undefined && "problem" in found ? undefined : found;
  const modelFolder = findModelFolder(model, projectRoot);
  const serving = (place: (folder: string) => string, host: string): Serving => ({
    model: modelFolder === undefined ? model : place(modelFolder),
    isFolder: modelFolder !== undefined,
    tokenizer: tokenizer === undefined ? undefined : place(tokenizerFolder(tokenizer, projectRoot)),
    host,
    port,
    checkpoint,
  });
  if (engine.container === undefined) {
    // As one would type it in the project's folder: the same on every machine, and fit to publish.
    const near = (path: string): string => {
      const inProject = relative(projectRoot, path);
      return inProject === "" || inProject.startsWith("..") ? path : inProject;
    };
    const command = vllmCommand(variant, serving(near, "127.0.0.1"), {
      projectRoot,
      near,
      defaultVenv: process.env["VLLM_VENV"],
      interpreterOf,
    });
    return { ...command, release: undefined, container: undefined };
  }
  const folders = [
    ...(modelFolder === undefined ? [] : [modelFolder]),
    ...(tokenizer === undefined ? [] : [tokenizerFolder(tokenizer, projectRoot)]),
  ];
  const name = `benchbook-${randomBytes(4).toString("hex")}`;
  const run = containerRun(engine.container, {
    name,
    port,
    folders: [...new Set(folders)],
    variables: Object.keys(vllmEnvironment(engine)),
    entrypoint: "vllm",
    serve: ["serve", ...serveArguments(variant, serving(mountedAt, hostWithin(engine.container)))],
  });
  return { ...run, binFolder: undefined, container: name };
}

/** vLLM asks for a key where VLLM_API_KEY is set for it. */
/** Variables that vLLM and the libraries under it read: they decide a run as much as arguments do. */
const settingNames =
  /^(?:(?:VLLM|NCCL|CUDA|HIP|ROCR|ASCEND|HCCL|TORCH|PYTORCH|OMP|GLOO|UCX|FLASHINFER|TRITON)_|LD_PRELOAD$)/;

function inheritedSettings(
  env: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) =>
      value !== undefined && settingNames.test(name) ? [[name, value]] : [],
    ),
  );
}

function authorization(env: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const key = env["VLLM_API_KEY"] ?? process.env["VLLM_API_KEY"] ?? "";
  return key === "" ? {} : { authorization: `Bearer ${key}` };
}

/** @throws EngineStartError when another server took the port in the moment before the start */
async function refuseStranger(
  connection: Parameters<typeof servedModels>[0],
  model: string,
  port: number,
): Promise<void> {
  const listed = await servedModels(connection);
  if ("models" in listed && listed.models.some(({ id }) => id === model)) return;
  const seen =
    "why" in listed ? listed.why : `it serves ${listed.models.map(({ id }) => id).join(", ")}`;
  throw new EngineStartError(
    `the server on port ${port} is not the vLLM that was started for ${model}: ${seen}`,
    "end the other program, or write `port: auto`",
  );
}

/** @returns what runs in the container; undefined: it runs in none */
async function guardWorkers(
  { engine }: VllmVariant,
  launch: Launch,
  running: EngineProcess,
): Promise<EngineFacts["container"]> {
  if (engine.container === undefined || launch.container === undefined) {
    running.guard(running.pid, pickWorkers);
    return undefined;
  }
  const { facts, pid } = await inspectContainer(engine.container, {
    name: launch.container,
    serving: launch.argv.slice(launch.argv.indexOf("serve")).join(" "),
  });
  const { digest } = engine.container;
  if (digest !== undefined && facts.digest !== undefined && facts.digest !== digest) {
    throw new EngineStartError(
      `the container runs ${facts.digest}, not the pinned ${digest}`,
      "correct `container.digest`",
    );
  }
  if (pid !== undefined) running.guard(pid, pickWorkers);
  return facts;
}

/**
 * vLLM's processes title themselves ("VLLM::EngineCore", "VLLM::Worker_TP0"). Where they can't
 * (setproctitle is missing, an old version), they are those that Python's multiprocessing spawned,
 * or forked from the server.
 */
const pickWorkers: PickWorkers = (processes) => {
  const titled = processes.filter(({ commandLine }) => commandLine.startsWith("VLLM::"));
  if (titled.length > 0) return titled;
  const servers = new Map(processes.map(({ pid, commandLine }) => [pid, commandLine]));
  return processes.filter(
    ({ parent, commandLine }) =>
      /multiprocessing[.-](spawn|forkserver)/.test(commandLine) ||
      servers.get(parent) === commandLine,
  );
};
