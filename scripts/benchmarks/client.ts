// Program: the client side by side with its peers against one paced server: events per second of CPU,
// the error of every event's stamp, the lag of the start stamp; medians of several runs, and ratios.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { packageRoot } from "../engine/model-folder.ts";
import { launchPacedServer } from "../engine/paced/launch.ts";
import type { PacedOptions } from "../engine/paced/paced-server.ts";
import { exitCode, UserError } from "../errors.ts";
import { counted, formatDuration, formatNumber, nowMs } from "../units.ts";
import { type ClientFigures, clientFigures } from "./client-figures.ts";
import { type ClientPeer, findPeers, pinnedTo, runPeer } from "./client-peers.ts";
import { compareEndToEnd, describeEndToEnd } from "./end-to-end.ts";
import { medianOf, writeResults } from "./results.ts";
import { describeTable } from "./table.ts";

const usage = `npm run bench:client -- [--peers benchbook,benchbook-poll,undici,fetch,vllm,c] [--cases NAMES] [--runs 5]
    [--seconds 8] [--vllm FOLDER] [--end-to-end] [--streams 200,1000] [--guidellm PATH] [--aiperf PATH]

Cases: flood, 200-uniform, 200-burst, 1000-uniform, 1000-burst, 1000-at-once. Each peer runs in its own
process on one core, the paced server on another; in each run all peers, one after another. Figures are
medians over the runs. --vllm: the folder that has .vllm-cpu, else this checkout.
--end-to-end: instead, whole tools against a server that emits in one step, told against true.
Writes data/bench/client.json or data/bench/end-to-end.json.
`;

interface Case {
  readonly name: string;
  readonly paced: PacedOptions;
  readonly streams: number;
  /** Output events of each stream in a run of so many seconds. */
  readonly tokens: (seconds: number) => number;
  readonly warmTokens: number;
  readonly isFlood: boolean;
}

const cases: readonly Case[] = [
  {
    name: "flood",
    paced: { pace: "flood", ttftMs: 0, gapMs: 0 },
    streams: 32,
    tokens: () => 5000,
    warmTokens: 5000,
    isFlood: true,
  },
  ...(["uniform", "burst"] as const).flatMap((pace) => [
    pacedCase(`200-${pace}`, pace, 200, 40),
    pacedCase(`1000-${pace}`, pace, 1000, 30),
  ]),
  {
    name: "1000-at-once",
    paced: { pace: "uniform", ttftMs: 1000, gapMs: 500 },
    streams: 1000,
    tokens: () => 2,
    warmTokens: 2,
    isFlood: false,
  },
];

function pacedCase(name: string, pace: "uniform" | "burst", streams: number, perS: number): Case {
  return {
    name,
    paced: { pace, ttftMs: 100, gapMs: 1000 / perS },
    streams,
    tokens: (seconds) => Math.max(2, Math.round(perS * seconds)),
    warmTokens: perS,
    isFlood: false,
  };
}

interface Options {
  readonly peers: readonly string[];
  readonly cases: readonly string[];
  readonly runs: number;
  readonly seconds: number;
  readonly streams: readonly number[];
  readonly vllmRoot: string;
  readonly guidellm: string | undefined;
  readonly aiperf: string | undefined;
  readonly endToEnd: boolean;
}

interface Measured {
  readonly case: string;
  readonly peer: string;
  /** Medians over the runs. */
  readonly medians: ClientFigures;
  readonly runs: readonly ClientFigures[];
}

async function main(options: Options): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "benchbook-client-"));
  const startedAtMs = nowMs();
  try {
    if (options.endToEnd) {
      const result = await compareEndToEnd(options, talk);
      talk(`wrote ${writeResults("end-to-end", result)}`);
      process.stdout.write(describeEndToEnd(result.rows));
    } else {
      const { peers, missing, sendStamps } = findPeers(folder, options.vllmRoot);
      for (const why of missing) talk(`left out: ${why}`);
      const wanted = peers.filter(({ name }) => options.peers.includes(name));
      const measured: Measured[] = [];
      for (const one of cases.filter(({ name }) => options.cases.includes(name))) {
        measured.push(...(await measureCase(one, wanted, options, { folder, sendStamps })));
      }
      const settings = { runs: options.runs, seconds: options.seconds, missing };
      const conditions = { isPinned: pinnedTo(0).length > 0, sendsNoted: sendStamps !== undefined };
      talk(`wrote ${writeResults("client", { ...settings, ...conditions, measured })}`);
      process.stdout.write(describe(measured));
    }
    talk(`took ${formatDuration(nowMs() - startedAtMs)}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** All runs of a case; in each run every peer meets a server of its own, one right after another. */
async function measureCase(
  one: Case,
  peers: readonly ClientPeer[],
  { runs: count, seconds }: Options,
  place: { readonly folder: string; readonly sendStamps: string | undefined },
): Promise<readonly Measured[]> {
  const runs = new Map<string, ClientFigures[]>(peers.map(({ name }) => [name, []]));
  for (let run = 1; run <= count; run += 1) {
    for (const peer of peers) {
      const server = await launchPacedServer(one.paced, pinnedTo(0));
      try {
        const job = {
          port: Number(new URL(server.url).port),
          streams: one.streams,
          tokens: one.tokens(seconds),
          warmTokens: one.warmTokens,
          floodS: one.isFlood ? seconds : 0,
        };
        // A flood counts CPU time, of which the notes would take a part.
        const noting = one.isFlood ? { ...place, sendStamps: undefined } : place;
        const result = await runPeer(peer, job, noting);
        // In a flood the kernel's buffers lie between the two stamps: they say nothing of the client.
        const log = one.isFlood ? undefined : await server.log();
        const figures = clientFigures(result, log);
        runs.get(peer.name)?.push(figures);
        talk(`${one.name}, run ${run}/${count}, ${peer.name}: ${inWords(figures)}`);
      } finally {
        await server.close();
      }
    }
  }
  return peers.map(({ name }) => ({
    case: one.name,
    peer: name,
    medians: mediansOf(runs.get(name) ?? []),
    runs: runs.get(name) ?? [],
  }));
}

function mediansOf(runs: readonly ClientFigures[]): ClientFigures {
  const of = (figure: (figures: ClientFigures) => number | undefined): number | undefined => {
    const values = runs.map(figure).filter((value) => value !== undefined);
    return values.length === 0 ? undefined : medianOf(values);
  };
  return {
    eventsPerCpuS: of((figures) => figures.eventsPerCpuS) ?? 0,
    cpuShare: of((figures) => figures.cpuShare) ?? 0,
    errorP50Ms: of((figures) => figures.errorP50Ms),
    errorP99Ms: of((figures) => figures.errorP99Ms),
    errorMaxMs: of((figures) => figures.errorMaxMs),
    collapsedShare: of((figures) => figures.collapsedShare),
    startLagP50Ms: of((figures) => figures.startLagP50Ms),
    startLagP99Ms: of((figures) => figures.startLagP99Ms),
  };
}

function inWords(figures: ClientFigures): string {
  const { errorP50Ms, errorP99Ms, eventsPerCpuS } = figures;
  if (errorP50Ms === undefined || errorP99Ms === undefined)
    return `${formatNumber(eventsPerCpuS / 1000, 0)} k events/s of CPU`;
  return `error p50 ${errorP50Ms.toFixed(3)}, p99 ${errorP99Ms.toFixed(3)} ms, ${formatNumber(figures.cpuShare * 100, 0)} % of a core`;
}

function describe(measured: readonly Measured[]): string {
  const ms = (value: number | undefined): string =>
    value === undefined ? "-" : formatNumber(value, 3);
  const percent = (value: number | undefined): string =>
    value === undefined ? "-" : `${formatNumber(value * 100, 2)} %`;
  const ratio = (ours: number | undefined, theirs: number | undefined): string =>
    ours === undefined || theirs === undefined || theirs === 0
      ? "-"
      : formatNumber(ours / theirs, 2);
  return describeTable([
    [
      ...["case", "peer", "k events/s of CPU", "ours / its"],
      ...["error p50 ms", "error p99 ms", "its / ours", "collapsed"],
      ...["start lag p50 ms", "start lag p99 ms", "CPU"],
    ],
    ...measured.map(({ case: name, peer, medians }) => {
      const ours = measured.find((one) => one.case === name && one.peer === "benchbook")?.medians;
      return [
        name,
        peer,
        formatNumber(medians.eventsPerCpuS / 1000, 0),
        ratio(ours?.eventsPerCpuS, medians.eventsPerCpuS),
        ms(medians.errorP50Ms),
        ms(medians.errorP99Ms),
        ratio(medians.errorP99Ms, ours?.errorP99Ms),
        percent(medians.collapsedShare),
        ms(medians.startLagP50Ms),
        ms(medians.startLagP99Ms),
        percent(medians.cpuShare),
      ];
    }),
  ]);
}

function optionsOf(argv: readonly string[]): Options | "help" {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      peers: { type: "string", default: "benchbook,benchbook-poll,undici,fetch,vllm,c" },
      cases: { type: "string", default: cases.map(({ name }) => name).join(",") },
      runs: { type: "string", default: "5" },
      seconds: { type: "string", default: "8" },
      streams: { type: "string", default: "200,1000" },
      vllm: { type: "string", default: packageRoot },
      guidellm: { type: "string" },
      aiperf: { type: "string" },
      "end-to-end": { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  const known = cases.map(({ name }) => name);
  const asked = values.cases.split(",");
  const unknown = asked.find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new UserError({ what: `there is no case "${unknown}"`, mend: usage });
  return {
    peers: values.peers.split(","),
    cases: asked,
    runs: positive("runs", values.runs),
    seconds: positive("seconds", values.seconds),
    streams: values.streams.split(",").map((text) => positive("streams", text)),
    vllmRoot: resolve(values.vllm),
    guidellm: values.guidellm,
    aiperf: values.aiperf,
    endToEnd: values["end-to-end"],
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
  else {
    talk(`${counted(options.runs, "run")} of each case`);
    await main(options);
  }
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  talk(error.message);
  process.exitCode = exitCode.wrongUse;
}
