// Finds the folder that holds experiments/, data/ and reports/.
import { existsSync, mkdirSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { messageOf, UserError } from "../errors.ts";

export interface Project {
  /** Absolute; relative paths of an experiment are resolved against it. */
  readonly root: string;
  readonly data: string;
  readonly reports: string;
  readonly database: string;
}

/**
 * The project of a command: `explicit`, else the nearest folder upwards of `from` with experiments/.
 * @throws UserError when there is none
 */
export function findProject(explicit: string | undefined, from: string = process.cwd()): Project {
  if (explicit !== undefined) {
    const root = resolve(from, explicit);
    if (!existsSync(root)) {
      throw new UserError({
        what: `the project folder ${explicit} does not exist`,
        mend: "create it, or correct --project",
      });
    }
    return projectAt(root);
  }
  for (let folder = resolve(from); ; folder = dirname(folder)) {
    if (existsSync(join(folder, "experiments"))) return projectAt(folder);
    if (folder === dirname(folder)) break;
  }
  throw new UserError({
    what: "no project here: neither this folder nor one above it holds experiments/",
    mend: "go into your project, create experiments/ here, or say --project DIR",
  });
}

/**
 * Creates a folder of the project that a command is about to write to.
 * @throws UserError when it can't be written
 */
export function ensureFolder(folder: string): string {
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    throw new UserError(
      {
        what: `the folder ${folder} can't be created: ${messageOf(error)}`,
        mend: "mend its permissions, or choose another project with --project DIR",
      },
      { cause: error },
    );
  }
  return folder;
}

function projectAt(root: string): Project {
  const data = join(root, "data");
  return { root, data, reports: join(root, "reports"), database: join(data, "benchbook.db") };
}
