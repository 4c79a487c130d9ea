// How long a plan will take, from earlier runs of the same trials.
import type { Plan } from "../experiment/plan.ts";
import type { Store } from "./store.ts";

/**
 * Seconds that a plan is expected to take: its trials as they took before, and a start for each of
 * its starts. A trial that is new takes what its point took in other rounds.
 *
 * @returns undefined when one of its points was never measured in the same way
 */
export function expectedSeconds(store: Store, plan: Plan): number | undefined {
  const trials = plan.rounds.flatMap(({ starts }) => starts.flatMap((start) => start.trials));
  const { rows } = store.query(
    `SELECT trial, point, run, ended_at_ms FROM trial
     WHERE counts AND trial IN (SELECT value FROM json_each(:trials)) ORDER BY run`,
    { trials: JSON.stringify(trials.map(({ id }) => id)) },
  );
  const seen = rows.map(([trial, point, run, endedAtMs]) => ({
    trial: String(trial),
    point: String(point),
    run: String(run),
    endedAtMs: Number(endedAtMs),
  }));
  let totalMs = 0;
  for (const { id, point } of trials) {
    const before =
      seen.findLast(({ trial }) => trial === id) ?? seen.findLast((one) => one.point === point);
    if (before === undefined) return undefined;
    totalMs += before.endedAtMs;
  }
  const latest = seen.at(-1)?.run;
  const lives = latest === undefined ? [] : store.readRun(latest).starts;
  const startups = lives.flatMap(({ ready }) => ready?.startupMs ?? []);
  const starts = plan.rounds.reduce((count, round) => count + round.starts.length, 0);
  if (startups.length > 0) {
    totalMs += (starts * startups.reduce((sum, startupMs) => sum + startupMs, 0)) / startups.length;
  }
  return totalMs / 1000;
}
