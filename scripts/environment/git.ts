// A folder's git commit, and whether its files differ from it.

import { known, notCollected, type Reading, type Recorder } from "./probe.ts";
import { type Reason, reasons } from "./reasons.ts";

export interface GitState {
  readonly commit: Reading;
  /** Whether a tracked file differs from the commit; new files do not count. */
  readonly dirty: Reading;
}

/**
 * The git state of a folder.
 *
 * @param root the folder must be the top of its checkout: an installed package lies within the
 *   repository of whoever installed it, whose commit is not its own
 * @param otherwise the reason where there is no checkout
 */
export async function readGit(
  record: Recorder,
  folder: string,
  { root, otherwise }: { readonly root: boolean; readonly otherwise: Reason },
): Promise<GitState> {
  const git = (...words: string[]): ReturnType<Recorder["run"]> =>
    // Without the lock `status` writes nothing into a repository that it only looks at.
    record.run(["git", "-C", folder, ...words], { GIT_OPTIONAL_LOCKS: "0" });
  const [place, head, status] = await Promise.all([
    git("rev-parse", "--show-cdup"),
    git("rev-parse", "HEAD"),
    git("status", "--porcelain", "--untracked-files=no"),
  ]);
  const none = (reason: Reason, rawIndex: number): GitState => ({
    commit: notCollected(reason, rawIndex),
    dirty: notCollected(reason, rawIndex),
  });
  if (place.failure === "missing") return none(reasons.noGit, place.rawIndex);
  if (place.failure === "timed out") return none(reasons.timedOut, place.rawIndex);
  if (place.exitCode !== 0) {
    const outside = place.stderr.includes("not a git repository");
    return none(outside ? otherwise : reasons.gitFailed, place.rawIndex);
  }
  // --show-cdup prints the way up to the top: nothing at the top itself.
  if (root && place.stdout.trim() !== "") return none(otherwise, place.rawIndex);
  return {
    commit:
      head.exitCode === 0 && /^[0-9a-f]{40,64}\s*$/.test(head.stdout)
        ? known(head.stdout, { rawIndex: head.rawIndex })
        : notCollected(reasons.gitFailed, head.rawIndex),
    dirty:
      status.exitCode === 0
        ? known(status.stdout.trim() !== "", { rawIndex: status.rawIndex })
        : notCollected(
            status.failure === "timed out" ? reasons.timedOut : reasons.gitFailed,
            status.rawIndex,
          ),
  };
}
