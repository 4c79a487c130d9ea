// What whole tools tell of a server that emits in one step for all streams, against the server's own
// log of exactly the requests that each tool measured.

import { launchPacedServer } from "../engine/paced/launch.ts";
import type { PacedLog, PacedRequest } from "../engine/paced/paced-log.ts";
import { vllmCpuPlace } from "../engine/vllm-cpu/recipe.ts";
import { messageOf } from "../errors.ts";
import { meanOfSorted, quantile7, sortAscending } from "../stats/quantiles.ts";
import { formatNumber } from "../units.ts";
import { medianOf } from "./results.ts";
import { describeTable } from "./table.ts";
import { findTools, type ToldLatencies, type Tool, type ToolLoad } from "./whole-tools.ts";

export interface EndToEndOptions {
  readonly streams: readonly number[];
  readonly runs: number;
  readonly vllmRoot: string;
  readonly guidellm: string | undefined;
  readonly aiperf: string | undefined;
}

export interface EndToEndRow {
  readonly streams: number;
  readonly tool: string;
  /** Medians over the runs. */
  readonly told: ToldLatencies;
  readonly truth: ToldLatencies;
  readonly runs: readonly { readonly told: ToldLatencies; readonly truth: ToldLatencies }[];
}

export interface EndToEnd {
  readonly rows: readonly EndToEndRow[];
  readonly missing: readonly string[];
  readonly failed: readonly string[];
}

/** Runs each tool on each load, in turn; a tool that fails is told and left out. */
export async function compareEndToEnd(
  options: EndToEndOptions,
  talk: (text: string) => void,
): Promise<EndToEnd> {
  const { tools, missing } = findTools({ ...options, vllm: vllmCpuPlace(options.vllmRoot) });
  for (const why of missing) talk(`left out: ${why}`);
  const rows: EndToEndRow[] = [];
  const failed: string[] = [];
  for (const streams of options.streams) {
    const runs = new Map<string, EndToEndRow["runs"][number][]>();
    for (let run = 1; run <= options.runs; run += 1) {
      for (const tool of tools) {
        try {
          const pair = await measure(tool, streams, run);
          runs.set(tool.name, [...(runs.get(tool.name) ?? []), pair]);
          talk(`${streams} streams, run ${run}/${options.runs}, ${tool.name}: ${inWords(pair)}`);
        } catch (error) {
          failed.push(`${tool.name} at ${streams} streams: ${messageOf(error)}`);
          talk(`failed: ${failed.at(-1) ?? ""}`);
        }
      }
    }
    for (const [tool, pairs] of runs) {
      const told = medians(pairs.map((pair) => pair.told));
      const truth = medians(pairs.map((pair) => pair.truth));
      rows.push({ streams, tool, told, truth, runs: pairs });
    }
  }
  return { rows, missing, failed };
}

/** One tool on a server of its own. */
async function measure(
  tool: Tool,
  streams: number,
  seed: number,
): Promise<EndToEndRow["runs"][number]> {
  const perS = streams > 200 ? 30 : 40;
  const load: ToolLoad = {
    concurrency: streams,
    requests: Math.max(2 * streams, 400),
    inputTokens: 64,
    outputTokens: 100,
  };
  const server = await launchPacedServer({ pace: "burst", ttftMs: 100, gapMs: 1000 / perS });
  try {
    const { told, measured } = await tool.run(server.url, load, seed);
    return { told, truth: truthOf(await server.log(), measured, load.requests) };
  } finally {
    await server.close();
  }
}

/**
 * The server's own latencies: arrival to first write, write to write.
 * @param measured prompts' digests; undefined: the last `count` requests, after what a tool sends to
 * see whether the server is there
 * @throws Error where the log does not hold them all
 */
export function truthOf(
  log: PacedLog,
  measured: ReadonlySet<string> | undefined,
  count: number,
): ToldLatencies {
  const requests =
    measured === undefined
      ? log.requests.filter(({ abandoned }) => !abandoned).slice(-count)
      : log.requests.filter(({ id }) => measured.has(id));
  const expected = measured?.size ?? count;
  if (requests.length !== expected)
    throw new Error(`the server's log holds ${requests.length} of ${expected} measured requests`);
  const ttfts = sortAscending(requests.flatMap(ttftOf));
  const gaps = sortAscending(requests.flatMap(gapsOf));
  return {
    ttftMeanMs: meanOfSorted(ttfts) ?? 0,
    ttftP99Ms: quantile7(ttfts, 0.99) ?? 0,
    itlMeanMs: meanOfSorted(gaps) ?? 0,
    itlP99Ms: quantile7(gaps, 0.99) ?? 0,
  };
}

function ttftOf({ arrivedAtMs, sentAtMs }: PacedRequest): readonly number[] {
  const [firstAtMs] = sentAtMs;
  return firstAtMs === undefined ? [] : [firstAtMs - arrivedAtMs];
}

function gapsOf({ sentAtMs }: PacedRequest): readonly number[] {
  const gaps: number[] = [];
  let before: number | undefined;
  for (const atMs of sentAtMs) {
    if (before !== undefined) gaps.push(atMs - before);
    before = atMs;
  }
  return gaps;
}

function medians(all: readonly ToldLatencies[]): ToldLatencies {
  return {
    ttftMeanMs: medianOf(all.map((one) => one.ttftMeanMs)),
    ttftP99Ms: medianOf(all.map((one) => one.ttftP99Ms)),
    itlMeanMs: medianOf(all.map((one) => one.itlMeanMs)),
    itlP99Ms: medianOf(all.map((one) => one.itlP99Ms)),
  };
}

function inWords({ told, truth }: EndToEndRow["runs"][number]): string {
  const pair = (name: keyof ToldLatencies): string =>
    `${formatNumber(told[name], 2)} (true ${formatNumber(truth[name], 2)})`;
  return `TTFT mean ${pair("ttftMeanMs")}, p99 ${pair("ttftP99Ms")}; ITL mean ${pair("itlMeanMs")}, p99 ${pair("itlP99Ms")} ms`;
}

/** A table for a terminal: told, true, and the difference, for each figure. */
export function describeEndToEnd(rows: readonly EndToEndRow[]): string {
  const figures = ["ttftMeanMs", "ttftP99Ms", "itlMeanMs", "itlP99Ms"] as const;
  const titles = {
    ttftMeanMs: "TTFT mean",
    ttftP99Ms: "TTFT p99",
    itlMeanMs: "ITL mean",
    itlP99Ms: "ITL p99",
  };
  return describeTable([
    ["streams", "tool", "figure", "told ms", "true ms", "told - true ms", "in %"],
    ...rows.flatMap(({ streams, tool, told, truth }) =>
      figures.map((figure) => [
        String(streams),
        tool,
        titles[figure],
        formatNumber(told[figure], 2),
        formatNumber(truth[figure], 2),
        formatNumber(told[figure] - truth[figure], 2),
        formatNumber((told[figure] / truth[figure] - 1) * 100, 2),
      ]),
    ),
  ]);
}
