// Engines that a leg of a run left alive when it was killed: they hold the memory and the ports that
// the next leg needs, and their logs hold the secrets that nobody took out.
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { removeContainer } from "../engine/container.ts";
import { cleanEngineLog } from "../engine/engines.ts";
import { signalGroup } from "../engine/launch.ts";
import { listProcesses } from "../engine/processes.ts";
import { stillRuns } from "../environment/process.ts";
import type { Variant } from "../experiment/experiment.ts";
import type { StoredRun, StoredStart } from "../store/stored-run.ts";
import { nowMs } from "../units.ts";
import { legOfLog } from "./log-path.ts";

const politeMs = 10_000;

/**
 * Ends the engines of a run that still run on this host although nobody ended their start; only
 * processes that are the very ones which were noted down, and containers of the very name.
 *
 * @returns a line for each engine that was found
 */
export async function endLeftovers(
  run: Pick<StoredRun, "legs" | "starts">,
  host: string,
): Promise<readonly string[]> {
  const lines: string[] = [];
  for (const { variant, ready } of unendedStarts(run, host)) {
    const told = (what: string, ended: boolean): void => {
      lines.push(
        ended
          ? `${variant}: its engine (${what}) was still running and was stopped`
          : `${variant}: its engine (${what}) is still running and could not be stopped`,
      );
    };
    const { pid, pidStartedAt, facts } = ready ?? {};
    const isThere = pid !== undefined && pidStartedAt !== undefined && stillRuns(pid, pidStartedAt);
    if (isThere && groupLives(pid)) told(`process ${pid}`, await endGroup(pid));
    // It is no child of the command that ran it, and outlives it.
    const container = facts?.container;
    const removed = container === undefined ? undefined : await removeContainer(container);
    if (container !== undefined && removed !== undefined)
      told(`container ${container.name}`, removed);
  }
  return lines;
}

/**
 * Takes the secrets out of the logs of starts that nobody ended: as a rule an engine's end does it.
 * @returns a line for each log of which that was not possible
 */
export async function cleanLeftLogs(
  run: Pick<StoredRun, "legs" | "starts">,
  host: string,
  { logFolder, variants }: { readonly logFolder: string; readonly variants: readonly Variant[] },
): Promise<readonly string[]> {
  const legs = new Set(unendedStarts(run, host).map(({ leg }) => leg));
  const names = existsSync(logFolder) ? readdirSync(logFolder) : [];
  const unclean: string[] = [];
  for (const name of names) {
    const leg = legOfLog(name);
    if (leg === undefined || !legs.has(leg)) continue;
    for (const why of await cleanEngineLog(join(logFolder, name), variants))
      unclean.push(`${name}: ${why}`);
  }
  return unclean;
}

function unendedStarts(
  { legs, starts }: Pick<StoredRun, "legs" | "starts">,
  host: string,
): readonly StoredStart[] {
  const here = new Set(legs.filter((leg) => leg.host === host).map(({ leg }) => leg));
  return starts.filter(({ end, leg }) => end === undefined && here.has(leg));
}

/** Whether a process of it does more than wait to be buried, as it may for long in a container. */
function groupLives(group: number): boolean {
  return listProcesses().some((process) => process.group === group && !process.zombie);
}

/** Until its last process is gone: a worker holds memory longer than its server. */
async function endGroup(pid: number): Promise<boolean> {
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    signalGroup(pid, signal);
    const until = nowMs() + politeMs;
    while (groupLives(pid) && nowMs() < until) await delay(50);
    if (!groupLives(pid)) return true;
  }
  return false;
}
