// Engines that a leg of a run left alive when it was killed: they hold the memory and the ports that
// the next leg needs.
import { setTimeout as delay } from "node:timers/promises";
import { signalGroup } from "../engine/launch.ts";
import { processStartedAt, stillRuns } from "../environment/process.ts";
import type { StoredRun } from "../store/stored-run.ts";
import { nowMs } from "../units.ts";

const politeMs = 10_000;

/**
 * Ends the engines of a run that still run on this host although nobody ended their start; only
 * processes that are the very ones which were noted down.
 *
 * @returns a line for each engine that was found
 */
export async function endLeftovers(
  { legs, starts }: Pick<StoredRun, "legs" | "starts">,
  host: string,
): Promise<readonly string[]> {
  const here = new Set(legs.filter((leg) => leg.host === host).map(({ leg }) => leg));
  const lines: string[] = [];
  for (const { leg, variant, ready, end } of starts) {
    const { pid, pidStartedAt } = ready ?? {};
    if (end !== undefined || !here.has(leg) || pid === undefined || pidStartedAt === undefined)
      continue;
    if (!stillRuns(pid, pidStartedAt)) continue;
    const ended = await endGroup(pid, pidStartedAt);
    lines.push(
      ended
        ? `${variant}: its engine (process ${pid}) was still running and was stopped`
        : `${variant}: its engine (process ${pid}) is still running and could not be stopped`,
    );
  }
  return lines;
}

async function endGroup(pid: number, startedAt: string): Promise<boolean> {
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    signalGroup(pid, signal);
    const until = nowMs() + politeMs;
    while (processStartedAt(pid) === startedAt && nowMs() < until) await delay(50);
    if (processStartedAt(pid) !== startedAt) return true;
  }
  return false;
}
