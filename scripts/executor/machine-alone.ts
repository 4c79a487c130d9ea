// A machine without a run: captured now, and what it is held against.

import { existsSync } from "node:fs";
import { captureEnvironment } from "../environment/capture.ts";
import { readSnapshotFile } from "../environment/host-file.ts";
import type { EnvironmentSnapshot } from "../environment/snapshot.ts";
import { UserError } from "../errors.ts";
import { findProject } from "../experiment/project.ts";
import { readExperiment } from "../experiment/read-experiment.ts";
import { Store } from "../store/store.ts";
import { connect } from "./machine.ts";
import { enginesUnderTest } from "./under-test.ts";

/**
 * This machine, or the one on which a command runs a shell.
 * @param experiment whose models' files are read too; undefined: none
 * @throws UserError when the other machine can't be reached
 */
export async function captureAlone(
  projectRoot: string,
  {
    experiment,
    probe,
  }: { readonly experiment: string | undefined; readonly probe: string | undefined },
): Promise<EnvironmentSnapshot> {
  const variants =
    experiment === undefined ? [] : (await readExperiment(experiment)).experiment.variants;
  const command = probe?.split(/\s+/).filter((word) => word !== "");
  if (command?.length === 0) {
    throw new UserError({
      what: "--probe names no command",
      mend: 'benchbook env --probe "ssh gpu-node-7"',
    });
  }
  const outside = command === undefined ? undefined : await connect(command, "--probe");
  try {
    return await captureEnvironment({
      engines: enginesUnderTest({ variants }, projectRoot),
      stated: { other: {} },
      projectRoot,
      host: outside && { kind: "probed", outside },
    });
  } finally {
    await outside?.close();
  }
}

/**
 * A snapshot from its file, or the one that a run took before its last stretch.
 * @throws UserError when there is no such file or run
 */
export function snapshotAgainst(
  noun: string,
  projectFolder: string | undefined,
): EnvironmentSnapshot | Promise<EnvironmentSnapshot> {
  if (noun.endsWith(".json") || existsSync(noun)) return readSnapshotFile(noun);
  const { database } = findProject(projectFolder);
  if (!existsSync(database)) {
    throw new UserError({
      what: "there is no run yet",
      mend: "benchbook run makes one; a file is named by its path: --against env.json",
    });
  }
  const store = Store.open(database, { readonly: true });
  try {
    const run = store.resolveRun(noun);
    const taken = store.snapshotsOf(run).filter(({ scope }) => scope === "run-before");
    const last = taken.at(-1);
    if (last !== undefined) return last.snapshot;
    throw new UserError({
      what: `${run} holds no snapshot of its environment`,
      mend: "benchbook list shows the runs; one that measured something holds it",
    });
  } finally {
    store.close();
  }
}
