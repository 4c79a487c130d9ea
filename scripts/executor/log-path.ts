// Where the log of an engine's life lies among the files of its run, and which leg a log is of.
import { join } from "node:path";

/** "data/runs/RUN/fp8-r2-l1.log": one file for each start. */
export function logPathOf(
  folder: string,
  {
    variant,
    round,
    leg,
  }: { readonly variant: string; readonly round: number; readonly leg: number },
): string {
  return join(folder, `${variant}-r${round}-l${leg}.log`);
}

/** The log of the engine that is started again in the same start. */
export function restartLogPath(logPath: string): string {
  return logPath.replace(/\.log$/, "-restart.log");
}

/** undefined: the file is no engine's log. */
export function legOfLog(name: string): number | undefined {
  const leg = /-r\d+-l(\d+)(?:-restart)?\.log$/.exec(name)?.[1];
  return leg === undefined ? undefined : Number(leg);
}
