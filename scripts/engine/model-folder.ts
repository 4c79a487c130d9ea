// Finds the folder of a model that an experiment names by a path.
import { existsSync } from "node:fs";
import { isAbsolute, join } from "node:path";

/** The package's folder: this file is two folders below it, in scripts/ and in dist/ alike. */
export const packageRoot = join(import.meta.dirname, "../..");

/**
 * Absolute folder of `model`: as it stands, under the project, or under the package, where the tiny
 * model ships. undefined: there is no such folder here, so the name is a hub id or a served name.
 */
export function findModelFolder(model: string, projectRoot: string): string | undefined {
  const candidates = isAbsolute(model)
    ? [model]
    : [join(projectRoot, model), join(packageRoot, model)];
  return candidates.find((folder) => existsSync(folder));
}
