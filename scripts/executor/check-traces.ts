// Whether the traces of a plan can be replayed: known before anything starts.
import { resolve } from "node:path";
import { UserError, type UserErrorParts } from "../errors.ts";
import type { Point } from "../experiment/plan.ts";
import { formatNumber } from "../units.ts";
import { readTrace, type TraceRequest } from "../workload/trace.ts";

export interface TracesCheck {
  readonly problems: readonly UserErrorParts[];
  /** Input and output of the longest request of all traces; undefined: there is no trace that can be read. */
  readonly longestRequestTokens: number | undefined;
}

/** Reads every trace that points are measured under, once each. */
export async function checkTraces(
  points: readonly Point[],
  projectRoot: string,
): Promise<TracesCheck> {
  const problems: UserErrorParts[] = [];
  let longest: number | undefined;
  const paths = points.flatMap(({ load }) => (load.kind === "trace" ? [load.path] : []));
  for (const path of new Set(paths)) {
    try {
      const { requests } = await readTrace(resolve(projectRoot, path));
      longest = requests.reduce(
        (most, { inputTokens, outputTokens }) => Math.max(most, inputTokens + outputTokens),
        longest ?? 0,
      );
      problems.push(...tooShort(points, path, requests));
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      problems.push(...error.parts);
    }
  }
  return { problems, longestRequestTokens: longest };
}

function tooShort(
  points: readonly Point[],
  path: string,
  requests: readonly TraceRequest[],
): readonly UserErrorParts[] {
  return points.flatMap(({ name, load, warmupRequests, measured }): UserErrorParts[] => {
    if (load.kind !== "trace" || load.path !== path) return [];
    const needed = warmupRequests + (measured.kind === "count" ? measured.requests : 1);
    if (requests.length >= needed) return [];
    const has = `${formatNumber(requests.length, 0)} ${requests.length === 1 ? "request" : "requests"}`;
    return [
      {
        what: `point ${name}: ${path} has ${has}, and ${formatNumber(needed, 0)} are asked for`,
        where: "measure",
        mend: "take warmup and requests out of measure: then the whole trace is measured",
      },
    ];
  });
}
