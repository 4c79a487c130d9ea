// Program: how far QPS and mean TTFT, told by a protocol, lie from the long-run truth of a simulated
// continuous-batching server. The real load logic and the real statistics run, in virtual time.
import { parseArgs } from "node:util";
import { exitCode, UserError } from "../errors.ts";
import type { FirstWaveKind, LongRunTruth } from "../testing/batching-load.ts";
import { formatDuration, formatNumber, nowMs } from "../units.ts";
import { writeResults } from "./results.ts";
import { describeTable } from "./table.ts";
import {
  type Bias,
  biasOf,
  type StudiedLoad,
  type StudiedProtocol,
  studiedLoads,
  truthsOf,
} from "./window-bias.ts";

const usage = `npm run bench:window -- [--protocols PATTERN] [--loads PATTERN] [--error 0.3] [--most 4000] [--seed 1]
    [--network MS] [--lives 200]

Bias of the told QPS and mean TTFT at 10, 40 and 200 streams, fixed and varying lengths; the first
protocol of each load is the product's. It is held to the truth of streams that know nothing of each
other; with fixed lengths the truth of streams that began at once is shown beside it. Trials are repeated
until the standard error of a bias is at most --error percent, or --most trials were made.
PATTERN is a regular expression that a name must match. --network: delays between client and server vary, exponentially with this
mean, in place of 0.2 ms always. --lives: of the truth; fewer are longer. Writes data/bench/window-study.json.
`;

interface Options {
  readonly protocols: string;
  readonly loads: string;
  readonly errorPercent: number;
  readonly mostTrials: number;
  readonly seed: string;
  /** undefined: always the same. */
  readonly networkMs: number | undefined;
  readonly lives: number;
}

/** What the product does first, then what others do, and changes that might do better. */
function protocolsFor({ load, lengths }: StudiedLoad): readonly StudiedProtocol[] {
  if (load.kind === "rate") return openProtocols(load.requestRatePerS);
  const perStream = lengths === "fixed" ? 3 : 10;
  const protocol = (
    firstWave: FirstWaveKind,
    warmup: number,
    { window = "handover", measured = perStream }: ProtocolChange = {},
  ): StudiedProtocol => ({
    name: `${window}, first wave ${firstWave}, warm-up ${warmup}c, ${measured}c measured`,
    window,
    warmupRequests: warmup * load.concurrency,
    measured: { kind: "count", requests: measured * load.concurrency },
    firstWave,
  });
  const product = lengths === "fixed" ? "cut" : "whole";
  const other = lengths === "fixed" ? "whole" : "cut";
  return [
    protocol(product, 2),
    protocol(other, 2),
    ...[0, 2].map((warmup) => protocol("whole", warmup, { window: "fixed" })),
    protocol("stratified", 2),
    ...[1, 3].map((warmup) => protocol(product, warmup)),
    ...[1, 3, 4, 6, 8].map((warmup) => protocol(other, warmup)),
    ...[2, 4].map((times) => protocol(product, 2, { measured: perStream * times })),
  ];
}

interface ProtocolChange {
  readonly window?: StudiedProtocol["window"];
  /** Requests per stream. */
  readonly measured?: number;
}

/** Measured: what is due in a minute or two. */
function openProtocols(requestRatePerS: number): readonly StudiedProtocol[] {
  return [30, 60].flatMap((warmupS) =>
    [60, 120].map((measuredS) => ({
      name: `open, ${warmupS} s warm-up, ${measuredS} s measured`,
      window: "handover" as const,
      warmupRequests: Math.round(warmupS * requestRatePerS),
      measured: { kind: "duration" as const, durationMs: measuredS * 1000 },
      firstWave: "whole" as const,
    })),
  );
}

async function main(options: Options): Promise<void> {
  const startedAtMs = nowMs();
  const precision = { error: options.errorPercent / 100, mostTrials: options.mostTrials };
  const { networkMs } = options;
  const loads = studiedLoads(
    networkMs === undefined ? undefined : (random) => -Math.log(1 - random()) * networkMs,
  );
  const studied = [];
  for (const load of loads.filter(({ name }) => new RegExp(options.loads).test(name))) {
    const truths = truthsOf(load, options);
    if (truths.beside !== undefined) tellTruth(`${load.name}, begun at once`, truths.beside);
    tellTruth(`${load.name}, begun apart`, truths.heldTo);
    const biases: Bias[] = [];
    for (const protocol of protocolsFor(load)) {
      if (!new RegExp(options.protocols).test(protocol.name)) continue;
      const bias = await biasOf(load, protocol, truths, precision, options.seed);
      biases.push(bias);
      const { qps, ttft } = bias.heldTo;
      talk(`  ${protocol.name}: QPS ${percent(qps)}, TTFT ${percent(ttft)}`);
    }
    studied.push({ load: load.name, truths, biases });
  }
  talk(`wrote ${writeResults("window-study", { ...options, studied })}`);
  process.stdout.write(tableOf(studied.flatMap(({ biases }) => biases)));
  talk(`took ${formatDuration(nowMs() - startedAtMs)}`);
}

function tellTruth(name: string, { qps, qpsError, ttftMs, ttftError }: LongRunTruth): void {
  talk(
    `${name}: ${formatNumber(qps, 3)} requests/s (error ${percent(qpsError)}), ` +
      `mean TTFT ${formatNumber(ttftMs, 1)} ms (error ${percent(ttftError)})`,
  );
}

function tableOf(biases: readonly Bias[]): string {
  return describeTable([
    [
      "load",
      "protocol",
      "QPS bias",
      "± SE",
      "mean TTFT bias",
      "± SE",
      "against streams begun at once: QPS",
      "mean TTFT",
      "sd of a trial, QPS",
      "TTFT",
      "requests",
      "trials",
      "called saturated",
    ],
    ...biases.map((bias) => [
      bias.load,
      bias.protocol,
      percent(bias.heldTo.qps),
      percent(bias.heldTo.qpsError),
      percent(bias.heldTo.ttft),
      percent(bias.heldTo.ttftError),
      percent(bias.beside?.qps),
      percent(bias.beside?.ttft),
      percent(bias.qpsSpread),
      percent(bias.ttftSpread),
      formatNumber(bias.requestsPerTrial, 0),
      String(bias.trials),
      percent(bias.saturatedShare),
    ]),
  ]);
}

function percent(share: number | undefined): string {
  return share === undefined ? "-" : `${formatNumber(share * 100, 2)} %`;
}

function optionsOf(argv: readonly string[]): Options | "help" {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      protocols: { type: "string", default: "" },
      loads: { type: "string", default: "" },
      error: { type: "string", default: "0.3" },
      most: { type: "string", default: "4000" },
      seed: { type: "string", default: "1" },
      network: { type: "string" },
      lives: { type: "string", default: "200" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  return {
    protocols: values.protocols,
    loads: values.loads,
    errorPercent: positive("error", values.error),
    mostTrials: positive("most", values.most),
    seed: values.seed,
    networkMs: values.network === undefined ? undefined : positive("network", values.network),
    lives: positive("lives", values.lives),
  };
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (value > 0 && Number.isFinite(value)) return value;
  throw new UserError({ what: `--${name} must be above 0, got "${text}"`, mend: usage });
}

function talk(text: string): void {
  process.stderr.write(`${text}\n`);
}

try {
  const options = optionsOf(process.argv.slice(2));
  if (options === "help") process.stdout.write(usage);
  else await main(options);
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  talk(error.message);
  process.exitCode = exitCode.wrongUse;
}
