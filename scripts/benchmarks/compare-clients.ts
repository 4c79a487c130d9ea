// From alternated pairs of measurements by two clients on one server to ratios with intervals, to
// what each told against the server's own clock, and to tables for people. Computes only.
import { median } from "simple-statistics";
import { pairedRatio } from "../stats/ratios.ts";
import { formatNumber } from "../units.ts";

/** One load that both clients put on the server, all requests cold. */
export interface ClientLoad {
  readonly concurrency: number;
  readonly requests: number;
  readonly inputTokens: number;
  /** Tokens of an answer, on average. */
  readonly outputTokens: number;
  /**
   * Lengths of answers are drawn evenly from the average -+ this share of it, 0..1. At 0 all end
   * together and begin together: how the server batches such a wave hangs on milliseconds between
   * its requests, and TTFT with it.
   */
  readonly outputSpread: number;
}

/** Fewest and most tokens of an answer. */
export function outputRange({ outputTokens, outputSpread }: ClientLoad): {
  readonly low: number;
  readonly high: number;
} {
  return {
    low: Math.max(1, Math.floor(outputTokens * (1 - outputSpread))),
    high: Math.ceil(outputTokens * (1 + outputSpread)),
  };
}

/** One statistic of each of the three latencies. */
export interface Latencies {
  readonly ttftMs: number;
  readonly tpotMs: number;
  readonly itlMs: number;
}

/** What a client told of one measurement, over its requests (TTFT, TPOT) or chunk gaps (ITL). */
export interface Told {
  readonly medians: Latencies;
  readonly means: Latencies;
  readonly requests: number;
  /** Totals over the requests. */
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** Chunks that the client counts as output. */
  readonly outputChunks: number;
}

/** What a client told, and what the server's own histograms say of the same requests. */
export interface Measured extends Told {
  readonly serverMeans: Latencies;
}

const clients = ["benchbook", "vllmBench"] as const;
type ClientName = (typeof clients)[number];

/** What both told of the same load, one right after the other. */
export interface Pair extends Readonly<Record<ClientName, Measured>> {
  readonly first: ClientName;
}

const metrics = ["ttft", "tpot", "itl"] as const;
type MetricName = (typeof metrics)[number];

/** The band of a ratio that counts as the same. */
const sameBand = { low: 0.95, high: 1.05 } as const;

export interface ComparedRow {
  readonly concurrency: number;
  readonly metric: MetricName;
  /** Medians over the pairs, ms. */
  readonly benchbookMs: number;
  readonly vllmBenchMs: number;
  /** Geometric mean of benchbook / vllm bench over the pairs, and its 95 % interval (paired t on logs). */
  readonly ratio: number;
  readonly low: number;
  readonly high: number;
  /** The interval lies inside the band, reaches into it, or lies outside. */
  readonly against: "inside" | "meets" | "apart";
}

/** Ratios of the medians that both told. @param pairs at least two; fewer give no row, since their spread was not measured */
export function compareClients(
  concurrency: number,
  pairs: readonly Pair[],
): readonly ComparedRow[] {
  return metrics.flatMap((metric): readonly ComparedRow[] => {
    const ours = pairs.map(({ benchbook }) => benchbook.medians[`${metric}Ms`]);
    const theirs = pairs.map(({ vllmBench }) => vllmBench.medians[`${metric}Ms`]);
    const ratio = pairedRatio(ours, theirs);
    if (ratio === undefined) return [];
    const { low, high } = ratio;
    const inside = low >= sameBand.low && high <= sameBand.high;
    const apart = high < sameBand.low || low > sameBand.high;
    return [
      {
        concurrency,
        metric,
        benchbookMs: median(ours),
        vllmBenchMs: median(theirs),
        ratio: ratio.value,
        low,
        high,
        against: inside ? "inside" : apart ? "apart" : "meets",
      },
    ];
  });
}

/** A client's mean against the server's own mean over the same requests, medians over the pairs. */
export interface ServerRow {
  readonly concurrency: number;
  readonly metric: MetricName;
  readonly client: ClientName;
  readonly serverMs: number;
  /** Told minus the server's. */
  readonly excessMs: number;
}

/**
 * How much each client's mean exceeds the server's own: where the server itself says that the two
 * loads went differently, the clients may differ and both be right.
 */
export function compareWithServer(
  concurrency: number,
  pairs: readonly Pair[],
): readonly ServerRow[] {
  return metrics.flatMap((metric) =>
    clients.map((client) => {
      const seen = pairs.map((pair) => ({
        server: pair[client].serverMeans[`${metric}Ms`],
        told: pair[client].means[`${metric}Ms`],
      }));
      return {
        concurrency,
        metric,
        client,
        serverMs: median(seen.map(({ server }) => server)),
        excessMs: median(seen.map(({ server, told }) => told - server)),
      };
    }),
  );
}

/** Two tables for a terminal, one line a row. */
export function describeComparison(
  rows: readonly ComparedRow[],
  serverRows: readonly ServerRow[],
): string {
  const band = `[${sameBand.low}, ${sameBand.high}]`;
  return [
    describeTable([
      ["c", "median", "benchbook ms", "vllm bench ms", "ratio", "95 % interval", band],
      ...rows.map((row) => [
        String(row.concurrency),
        row.metric.toUpperCase(),
        formatNumber(row.benchbookMs, 2),
        formatNumber(row.vllmBenchMs, 2),
        formatNumber(row.ratio, 3),
        `[${formatNumber(row.low, 3)}, ${formatNumber(row.high, 3)}]`,
        row.against,
      ]),
    ]),
    describeTable([
      ["c", "mean", "client", "server's own ms", "told minus server's ms"],
      ...serverRows.map((row) => [
        String(row.concurrency),
        row.metric.toUpperCase(),
        row.client === "vllmBench" ? "vllm bench" : row.client,
        formatNumber(row.serverMs, 2),
        formatNumber(row.excessMs, 2),
      ]),
    ]),
  ].join("\n");
}

function describeTable(lines: readonly (readonly string[])[]): string {
  const widths = (lines[0] ?? []).map((_, column) =>
    Math.max(...lines.map((line) => line[column]?.length ?? 0)),
  );
  return lines
    .map((line) => line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  "))
    .map((line) => `${line.trimEnd()}\n`)
    .join("");
}
