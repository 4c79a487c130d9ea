// Ends an engine: politely, then firmly, and with everything it started, wherever that went. Gives
// in words what it could not end. Needs /proc.
import { setTimeout as delay } from "node:timers/promises";
import { real } from "../environment/outside.ts";
import { nowMs } from "../units.ts";
import { saysGone } from "./container.ts";
import { familyOf, type HostProcess, isAlive, listProcesses } from "./processes.ts";
import type { Release } from "./watchdog.ts";

/** Longest that the whole family may take for its SIGTERM, which makes a server drop its requests. */
const groupPoliteMs = 5000;
const killedMs = 5000;

/** What is known to belong to an engine; kept, since what left its group can't be found later. */
export interface Family {
  readonly root: number;
  readonly members: readonly HostProcess[];
}

/** The family as it is now, with those of `family` that still live. */
export function lookAgain({ root, members }: Family): Family {
  return {
    root,
    members: familyOf(root, listProcesses(), members).filter(({ zombie }) => !zombie),
  };
}

/**
 * SIGTERM to the engine's own process, which ends its workers in good order; after `politeMs` to all
 * of the family, then SIGKILL.
 * @returns what is left, in words for people
 */
export async function endFamily(
  known: Family,
  { politeMs, release }: { readonly politeMs: number; readonly release: Release | undefined },
): Promise<readonly string[]> {
  const { root } = known;
  let family = lookAgain(known);
  if (release !== undefined) await real.exec(release.polite, { limitMs: politeMs + 5000 });
  const own = family.members.filter(({ pid }) => pid === root);
  send(own, "SIGTERM");
  await allGone(own, politeMs);
  for (const [signal, waitMs] of [
    ["SIGTERM", Math.min(politeMs, groupPoliteMs)],
    ["SIGKILL", killedMs],
  ] as const) {
    family = lookAgain(family);
    send(family.members, signal);
    await allGone(family.members, waitMs);
  }
  const left = lookAgain(family).members.map(
    ({ pid }) => `process ${pid} of the engine could not be ended`,
  );
  return release === undefined ? left : [...left, ...(await releaseFirmly(release))];
}

async function releaseFirmly({ firm }: Release): Promise<readonly string[]> {
  const { exitCode, stderr } = await real.exec(firm, { limitMs: 30_000 });
  if (exitCode === 0 || saysGone(stderr)) return [];
  return [`\`${firm.join(" ")}\` failed: ${stderr.trim()}`];
}

function send(processes: readonly HostProcess[], signal: NodeJS.Signals): void {
  for (const { pid } of processes.filter(isAlive)) {
    try {
      process.kill(pid, signal);
    } catch {
      // It ended between the look and the signal.
    }
  }
}

async function allGone(processes: readonly HostProcess[], withinMs: number): Promise<void> {
  const until = nowMs() + withinMs;
  while (processes.some(isAlive) && nowMs() < until) await delay(20);
}
