// One leg of a run, an uninterrupted execution of it: its machine, its watches, its engines, from its
// first row in the store to its last; and what a leg that was killed left behind.
import { hostname } from "node:os";
import { join } from "node:path";
import { toolIdentityOf } from "../environment/client.ts";
import { processStartedAt, stillRuns } from "../environment/process.ts";
import type { EnvironmentSnapshot } from "../environment/snapshot.ts";
import { messageOf, UserError } from "../errors.ts";
import { type Plan, type Round, roundsForSure } from "../experiment/plan.ts";
import { ensureFolder, type Project } from "../experiment/project.ts";
import { createProgress } from "../report/progress.ts";
import type { Store } from "../store/store.ts";
import type { StoredLeg, StoredRun } from "../store/stored-run.ts";
import { isoWithOffset } from "../units.ts";
import { calibrationForRun, threadsFor } from "./calibration.ts";
import { cleanLeftLogs, endLeftovers } from "./leftovers.ts";
import { createLocalExecutor } from "./local.ts";
import type { EngineMachine } from "./machine.ts";
import { type MeasureOutcome, measure } from "./measure.ts";
import { roundsOnDemand } from "./rounds-on-demand.ts";
import { sharedServerNotes } from "./shared-servers.ts";

/** A run and the rounds of it that are to be measured now. */
export interface Task {
  readonly run: string;
  readonly plan: Plan;
  readonly rounds: readonly Round[];
  /** What was done about the engines of a leg that was killed. */
  readonly leftovers: readonly string[];
  /** The engines' machine, and what it was before; undefined: nothing is left to measure. */
  readonly there:
    | { readonly machine: EngineMachine; readonly before: EnvironmentSnapshot }
    | undefined;
}

/** Measures what a task has, until its end or the signal's. */
export async function measureLeg(
  store: Store,
  project: Project,
  { run, plan: planned, rounds, leftovers, there }: Task,
  { signal, talk }: { readonly signal: AbortSignal; readonly talk: (line: string) => void },
): Promise<MeasureOutcome> {
  const { experiment } = planned;
  const onDemand = experiment.measure.rounds.kind === "until";
  const forSure = onDemand ? roundsForSure(experiment.measure) : undefined;
  const steps = rounds.flatMap(({ round, starts }) =>
    starts.flatMap(({ trials }) =>
      trials.map(({ point }) => ({
        point,
        round,
        rounds: planned.roundCount,
        roundsForSure: forSure,
      })),
    ),
  );
  if (there === undefined || steps.length === 0) return { measured: 0, failed: [] };
  const { machine, before } = there;
  const tool = toolIdentityOf(before);
  const leg = store.beginLeg(
    run,
    {
      startedAt: isoWithOffset(Date.now()),
      pid: process.pid,
      pidStartedAt: processStartedAt(process.pid),
      host: hostname(),
      argv: process.argv.slice(2),
      tool,
    },
    refuseWhileAlive,
  );
  for (const text of leftovers)
    store.appendNote(run, { at: isoWithOffset(Date.now()), leg, kind: "leftover", text });
  for (const text of machine.notices) {
    talk(text);
    store.appendNote(run, { at: isoWithOffset(Date.now()), leg, kind: "engine-host", text });
  }
  store.appendSnapshot(run, { leg, scope: "run-before" }, before);
  for (const text of sharedServerNotes(planned)) talk(`Note: ${text}`);
  const known = await calibrationForRun(store, planned, { tool, talk, signal }).catch(
    (error: unknown) => {
      const text = `the client was not calibrated: ${messageOf(error)}`;
      talk(text);
      store.appendNote(run, { at: isoWithOffset(Date.now()), leg, kind: "calibration", text });
      return undefined;
    },
  );
  if (known !== undefined) store.useCalibration(run, leg, known.id);
  talk(
    `Run ${run}: ${onDemand ? "at most " : ""}${steps.length} trials of ${planned.points.length} points in ${forSure === undefined ? "" : `${forSure} to `}${planned.roundCount} rounds`,
  );
  const gpus = machine.watchGpus(experiment.telemetry.gpuMs);
  const executor = createLocalExecutor({
    experiment,
    points: planned.points,
    projectRoot: project.root,
    signal,
    run,
    leg,
    snapshot: machine.around,
    gpus,
    requestFolder: logFolderOf(project, run),
    clientThreads: (load) => threadsFor(load, experiment.client, known?.calibration),
  });
  const progress = createProgress(steps);
  let reason: "complete" | "interrupted" | "failed" = "failed";
  try {
    const outcome = await measure(
      {
        run,
        leg,
        rounds,
        roundsInAll: planned.roundCount,
        roundsForSure: forSure,
        onDemand: roundsOnDemand({ store, run, plan: planned }, leg, progress),
        logFolder: ensureFolder(logFolderOf(project, run)),
        signal,
      },
      executor,
      store,
      progress,
    );
    if (!signal.aborted) {
      store.appendSnapshot(run, { leg, scope: "run-after" }, await machine.after());
    }
    if (signal.aborted) reason = "interrupted";
    else if (outcome.failed.length === 0) reason = "complete";
    return outcome;
  } finally {
    progress.close();
    await Promise.all([executor.close(), gpus.close()]).finally(() => {
      store.endLeg(run, leg, { endedAt: isoWithOffset(Date.now()), reason });
    });
  }
}

/** A run is measured by one process at a time. */
export function refuseWhileAlive({ pid, pidStartedAt, host }: StoredLeg): void {
  if (host !== hostname() || !stillRuns(pid, pidStartedAt)) return;
  throw new UserError({
    what: `the run is still being measured by process ${pid}`,
    mend: "wait for it, or stop it with Ctrl-C where it runs",
  });
}

/**
 * Ends what a killed leg left behind on this host.
 * @returns a line for each thing that was found
 */
export async function clearUp(stored: StoredRun, project: Project): Promise<readonly string[]> {
  const host = hostname();
  const { variants } = stored.resolved;
  const logFolder = logFolderOf(project, stored.run);
  return [
    ...(await endLeftovers(stored, host)),
    ...(await cleanLeftLogs(stored, host, { logFolder, variants })),
  ];
}

function logFolderOf(project: Project, run: string): string {
  return join(project.data, "runs", run);
}
