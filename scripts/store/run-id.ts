// Names of runs: made from time and experiment, and found again by as little as a person types.
import { UserError } from "../errors.ts";
import { nearestFew } from "../experiment/nearest.ts";

/**
 * A new run's id: UTC time, experiment, four hex digits.
 *
 * @param random gives a number in [0, 1)
 * @example newRunId("quickstart", 1766140780000, () => 0.25) // "20251219T103940Z-quickstart-4000"
 */
export function newRunId(experiment: string, epochMs: number, random: () => number): string {
  const time = new Date(epochMs).toISOString().replace(/\.\d+/, "").replaceAll(/[-:]/g, "");
  const hex = Math.floor(random() * 0x10000)
    .toString(16)
    .padStart(4, "0");
  return `${time}-${experiment}-${hex}`;
}

/**
 * The run that `text` names: an exact id, `latest`, or a beginning or end that only one id has.
 *
 * @param runs ids, oldest first
 * @throws UserError when none or several fit; it names the nearest.
 */
export function findRun(text: string, runs: readonly string[]): string {
  const latest = runs.at(-1);
  if (text === "latest" && latest !== undefined) return latest;
  if (runs.includes(text)) return text;
  const fitting =
    text === "" ? [] : runs.filter((run) => run.startsWith(text) || run.endsWith(text));
  const [only, ...more] = fitting;
  if (only !== undefined && more.length === 0) return only;
  if (only !== undefined) {
    throw new UserError({
      what: `"${text}" fits ${fitting.length} runs: ${fitting.slice(-5).join(", ")}`,
      mend: "more of the id, or its last four digits",
    });
  }
  throw unknownRun(text, runs);
}

/** What to tell somebody who asks for a run that is not there. */
export function unknownRun(text: string, runs: readonly string[]): UserError {
  const [near] = nearestFew(text, runs, 1);
  return near === undefined
    ? new UserError({
        what: `no run named "${text}": there is no run yet`,
        mend: "`benchbook run experiments/quickstart.yaml`",
      })
    : new UserError({
        what: `no run named "${text}"`,
        mend: `${near}, or \`benchbook list\` to see them all`,
      });
}
