// What a killed engine leaves on this host: shared memory in /dev/shm and the sockets between its
// processes in the folder for temporary files. Removed is only what appeared since its start, is
// ours, is named like the things vLLM, PyTorch and NCCL make, and is used by no process any more.
import { type Dirent, existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { messageOf } from "../errors.ts";
import { isMapped } from "./processes.ts";

export interface Places {
  readonly sharedMemory: string;
  readonly temporary: string;
}

const thisHost: Places = { sharedMemory: "/dev/shm", temporary: tmpdir() };

const socketTable = "/proc/net/unix";

/** Python's shared memory and semaphores, torch's and NCCL's segments, vLLM's own. */
const segmentName = /^(psm_|torch_|nccl-|sem\.mp-|sem\.loky-|vllm)/;

/** ZeroMQ's sockets have the names that vLLM gives them: a UUID each. */
const socketName = /^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/;

/**
 * Paths that may be an engine's: to be handed to `removeRemains` when it has ended. None where this
 * system does not tell (in /proc) who uses them.
 */
export function listRemains(places: Places = thisHost): ReadonlySet<string> {
  const { sharedMemory, temporary } = places;
  if (!existsSync(socketTable)) return new Set();
  return new Set([
    ...entries(sharedMemory)
      .filter((entry) => entry.isFile() && segmentName.test(entry.name))
      .map(({ name }) => join(sharedMemory, name)),
    ...entries(temporary)
      .filter((entry) => entry.isSocket() && socketName.test(entry.name))
      .map(({ name }) => join(temporary, name)),
  ]);
}

/** Between two looks: what a process has just made, and not yet taken into use, is not removed. */
const secondLookMs = 100;

/**
 * Removes what an engine left behind.
 * @param before what was there when it started
 * @returns what could not be removed, in words for people
 */
export async function removeRemains(
  before: ReadonlySet<string>,
  places: Places = thisHost,
): Promise<readonly string[]> {
  const unused = (paths: readonly string[]): readonly string[] => {
    const sockets = paths.length === 0 ? "" : boundSockets();
    return paths.filter((path) => isUnused(path, sockets));
  };
  const left = unused([...listRemains(places)].filter((path) => !before.has(path)));
  if (left.length === 0) return [];
  await delay(secondLookMs);
  return unused(left).flatMap((path) => {
    try {
      rmSync(path, { force: true });
      return [];
    } catch (error) {
      return [`${path} could not be removed: ${messageOf(error)}`];
    }
  });
}

/** Ours, and in the hands of no process. */
function isUnused(path: string, sockets: string): boolean {
  const status = statSync(path, { throwIfNoEntry: false });
  if (status?.uid !== userInfo().uid) return false;
  return status.isSocket() ? !sockets.includes(path) : !isMapped(status.ino);
}

function entries(folder: string): readonly Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch {
    // A system without it.
    return [];
  }
}

/** The sockets that processes of this host have bound, by their paths. */
function boundSockets(): string {
  return readFileSync(socketTable, "utf8");
}
