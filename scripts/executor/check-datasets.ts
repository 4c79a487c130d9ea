// Before a run: whether its datasets are there, can be read, and have as many prompts as one trial of
// each point sends.
import { UserError, type UserErrorParts } from "../errors.ts";
import type { DatasetSpec, Measure, Workload } from "../experiment/experiment.ts";
import type { Plan, Point } from "../experiment/plan.ts";
import { sendableEntries } from "../workload/dataset-prompts.ts";

/** What is wrong with the datasets of a plan. Entries that turn out too long are told by the run. */
export async function checkDatasets(
  { experiment, points }: Plan,
  projectRoot: string,
): Promise<readonly UserErrorParts[]> {
  const problems: UserErrorParts[] = [];
  for (const workload of experiment.workloads) {
    const { input } = workload;
    // A trace brings its own lengths.
    const served = points.filter(
      (point) => point.workload === workload.name && point.load.kind !== "trace",
    );
    if (input.kind !== "dataset" || served.length === 0) continue;
    problems.push(
      ...(await checkDataset(workload, input, served, {
        projectRoot,
        window: experiment.measure.window,
      })),
    );
  }
  return problems;
}

async function checkDataset(
  workload: Workload,
  input: DatasetSpec,
  points: readonly Point[],
  { projectRoot, window }: { readonly projectRoot: string; readonly window: Measure["window"] },
): Promise<readonly UserErrorParts[]> {
  const where = `workloads.${workload.name}.input`;
  let conversations: number;
  try {
    conversations = await sendableEntries(workload, input, projectRoot);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return error.parts.map((part) => ({ ...part, where: part.where ?? where }));
  }
  const { turns } = workload;
  if (conversations === 0) {
    return [
      {
        what: `no entry of ${input.path} can be sent with ${turns === 1 ? "this workload" : `${turns} turns`}`,
        where,
        mend: "choose another dataset, or fewer turns",
      },
    ];
  }
  if (input.repeat) return [];
  const there = conversations * turns;
  const needs = points.map((point) => ({ point, needed: leastRequests(point, window) }));
  const most = needs.reduce((left, right) => (right.needed > left.needed ? right : left));
  if (most.needed <= there) return [];
  return [
    {
      what: `a trial of ${most.point.name} sends at least ${most.needed} requests, ${input.path} has ${there}${turns === 1 ? "" : ` (${conversations} conversations of ${turns} turns)`}`,
      where,
      mend: "measure fewer requests, add entries, or write repeat: true beside dataset: what is sent again hits the prefix cache",
    },
  ];
}

/** Requests that a trial sends for sure: those before the window, the cohort, and a filler for each stream but one. */
function leastRequests(
  { load, warmupRequests, measured }: Point,
  window: Measure["window"],
): number {
  const cohort = measured.kind === "count" ? measured.requests : 1;
  const fillers = load.kind === "concurrency" && window === "handover" ? load.concurrency - 1 : 0;
  return warmupRequests + cohort + fillers;
}
