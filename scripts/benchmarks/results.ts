// Where the programs of `npm run bench:*` leave their figures: one JSON file per program, with the
// machine and the day they were taken on.
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join, relative } from "node:path";
import { quantile7, sortAscending } from "../stats/quantiles.ts";
import { isoWithOffset } from "../units.ts";

/**
 * Writes data/bench/<name>.json below the working folder.
 * @returns its path, relative
 */
export function writeResults(name: string, results: object): string {
  const folder = join(process.cwd(), "data", "bench");
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${name}.json`);
  const machine = {
    at: isoWithOffset(Date.now()),
    cpu: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    node: process.versions.node,
  };
  writeFileSync(path, `${JSON.stringify({ machine, ...results }, undefined, 2)}\n`);
  return relative(process.cwd(), path);
}

/** @throws RangeError for no values */
export function medianOf(values: readonly number[]): number {
  const median = quantile7(sortAscending(values), 0.5);
  if (median === undefined) throw new RangeError("no values");
  return median;
}
