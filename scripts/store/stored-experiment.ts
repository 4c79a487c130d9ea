// An experiment as a run of today or of an older version stored it, to the experiment of today: what it
// could not say yet is what it did without saying.
import type { Experiment, Workload } from "../experiment/experiment.ts";
import type { Plan } from "../experiment/plan.ts";
import { parseStored } from "./stored-json.ts";

/** What came later; JSON also drops keys without a value. */
type Stored = Omit<Experiment, "client" | "workloads" | "limits"> & {
  readonly client?: Partial<Experiment["client"]>;
  readonly workloads: readonly (Omit<Workload, "turns"> & Partial<Pick<Workload, "turns">>)[];
  readonly limits: Omit<Experiment["limits"], "failureCount" | "trialMs"> &
    Partial<Experiment["limits"]>;
};

export function readStoredExperiment(json: string): Experiment {
  return ofToday(parseStored(json) as Stored);
}

export function readStoredPlan(json: string): Plan {
  const plan = parseStored(json) as Omit<Plan, "experiment"> & { readonly experiment: Stored };
  return { ...plan, experiment: ofToday(plan.experiment) };
}

function ofToday({ client, workloads, limits, ...experiment }: Stored): Experiment {
  return {
    ...experiment,
    client: { threads: "auto", poll: false, calibrate: true, ...client },
    workloads: workloads.map((workload) => ({ turns: 1, ...workload })),
    limits: { failureCount: undefined, trialMs: undefined, ...limits },
  };
}
