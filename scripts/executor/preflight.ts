// Everything that is wrong with a plan on this machine and can be known before anything starts.

import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { checkEngine } from "../engine/engines.ts";
import { messageOf, UserError, type UserErrorParts } from "../errors.ts";
import type { Variant, Workload } from "../experiment/experiment.ts";
import type { Plan } from "../experiment/plan.ts";
import { readNotebook } from "../report/notebook-source.ts";
import { counted } from "../units.ts";
import { longestRequestTokens, makeRequestSource } from "../workload/prompts.ts";
import { localTokenizer, tokenizerPath } from "../workload/tokenizer.ts";
import { checkDatasets } from "./check-datasets.ts";
import { checkTraces, type TracesCheck } from "./check-traces.ts";
import { checkKeptEngines } from "./kept-engines.ts";
import { checkMachine } from "./machine.ts";

/** All mistakes at once; empty: the plan can be run here. */
export async function preflight(
  plan: Plan,
  projectRoot: string,
): Promise<readonly UserErrorParts[]> {
  const planned = new Set(plan.points.map(({ variant }) => variant));
  const variants = plan.experiment.variants.filter(({ name }) => planned.has(name));
  const traces = await checkTraces(plan.points, projectRoot);
  const checks = await Promise.all(
    variants.map((variant) => checkVariant(plan, variant, { projectRoot, traces })),
  );
  return [
    ...checkPolling(plan, availableParallelism()),
    ...checkKeptEngines(plan, variants),
    ...traces.problems,
    ...checks.flat(),
    ...(await checkDatasets(plan, projectRoot)),
    ...(await checkMachine(plan.experiment, variants, projectRoot)),
    ...checkReport(plan, projectRoot),
  ];
}

/** Threads that never sleep take their cores from everything else on this machine. */
export function checkPolling(
  { experiment: { client } }: Pick<Plan, "experiment">,
  cores: number,
): readonly UserErrorParts[] {
  const threads = client.threads === "auto" ? 1 : client.threads;
  if (!client.poll || threads < cores) return [];
  return [
    {
      what: `client.poll gives each of ${counted(threads, "client thread")} a core of its own, and this machine has ${counted(cores, "core")}: none is left to the rest`,
      where: "client.poll",
      mend: cores > 1 ? `threads: ${cores - 1} at most, or poll: false` : "poll: false",
    },
  ];
}

/** What the record will need: better known now than after hours of measuring. */
function checkReport(
  { experiment: { report } }: Plan,
  projectRoot: string,
): readonly UserErrorParts[] {
  const problems: UserErrorParts[] = [];
  if (report.formats.every((format) => format === "pdf")) {
    problems.push({
      what: "this version makes no pdf",
      where: "report.formats",
      mend: "formats: [html, md]; a browser prints the html file",
    });
  }
  const path = notebookPath(report.notebook, projectRoot);
  if (path === undefined) return problems;
  try {
    readNotebook(readFileSync(path, "utf8"), path);
  } catch (error) {
    problems.push(
      ...(error instanceof UserError
        ? error.parts
        : [
            {
              what: `the notebook can't be read: ${messageOf(error)}`,
              where: "report.notebook",
              mend: "a Markdown file in the project, or leave it out for the default one",
            },
          ]),
    );
  }
  return problems;
}

/** The notebook that ships with benchbook. */
const defaultNotebook = "test-record";

/** Absolute path of an experiment's notebook; undefined: the one that ships with benchbook. */
export function notebookPath(notebook: string, projectRoot: string): string | undefined {
  return notebook === defaultNotebook ? undefined : resolve(projectRoot, notebook);
}

async function checkVariant(
  plan: Plan,
  variant: Variant,
  { projectRoot, traces }: { readonly projectRoot: string; readonly traces: TracesCheck },
): Promise<readonly UserErrorParts[]> {
  const points = plan.points.filter((point) => point.variant === variant.name);
  // A trace brings lengths of its own.
  const workloads = plan.experiment.workloads.filter(({ name }) =>
    points.some(({ workload, load }) => workload === name && load.kind !== "trace"),
  );
  const isTraced = points.some(({ load }) => load.kind === "trace");
  const longest = [
    ...workloads.map(longestRequestTokens),
    ...(isTraced ? [traces.longestRequestTokens] : []),
  ];
  const engineProblems = await checkEngine(
    variant,
    {
      longestRequestTokens: longest.includes(undefined)
        ? undefined
        : Math.max(...longest.map(Number)),
      largestConcurrency: Math.max(
        ...points.map(({ load }) => (load.kind === "concurrency" ? load.concurrency : 1)),
      ),
    },
    { projectRoot },
  );
  if (engineProblems.length > 0) return engineProblems;
  const path = tokenizerPath(variant, projectRoot);
  // Without a tokenizer on disk the running server is asked; that can't be tried before it runs.
  return path === undefined ? [] : checkPrompts(variant, workloads, { path, projectRoot });
}

/** Makes one prompt or conversation of each workload, so that a length that can't be made is known now. */
async function checkPrompts(
  variant: Variant,
  workloads: readonly Workload[],
  { path, projectRoot }: { readonly path: string; readonly projectRoot: string },
): Promise<readonly UserErrorParts[]> {
  try {
    const tokenizer = await localTokenizer(path);
    for (const workload of workloads) {
      if (workload.input.kind === "dataset") continue;
      const source = await makeRequestSource(
        {
          workload,
          model: variant.model,
          seed: "preflight",
          runSeed: "preflight",
          projectRoot,
        },
        tokenizer,
      );
      // The last turn of a conversation carries all of it.
      source.request(workload.turns - 1);
    }
    return [];
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return error.parts.map((part) => ({ where: `variants.${variant.name}`, ...part }));
  }
}
