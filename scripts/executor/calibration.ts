// Calibrates the instrument for a load: as many threads as it takes, errors reduced to quantiles; and
// finds out whether a stored calibration already answers for a plan.
import { createHash } from "node:crypto";
import { arch, availableParallelism, cpus, hostname, release } from "node:os";
import { type PassErrors, runFlood, runPass } from "../bench/calibrate.ts";
import type { Calibration, CalibrationLoad, ErrorQuantiles } from "../bench/calibration.ts";
import type { ThreadsOptions } from "../bench/threads.ts";
import type { ToolIdentity } from "../environment/client.ts";
import type { ClientSpec } from "../experiment/experiment.ts";
import type { Plan, Point } from "../experiment/plan.ts";
import { describeCalibration } from "../report/calibration-text.ts";
import { quantile7, sortAscending } from "../stats/quantiles.ts";
import type { Store } from "../store/store.ts";
import { counted, formatNumber, isoWithOffset } from "../units.ts";

export interface CalibrationOptions {
  readonly load: CalibrationLoad;
  /** `auto`: one, and more where one does not do. */
  readonly threads: ClientSpec["threads"];
  readonly poll: boolean;
  /** How long each of the two passes measures. */
  readonly seconds: number;
  readonly tool: ToolIdentity;
  readonly signal: AbortSignal;
}

/** What a plan's client is calibrated with where nothing else is said. */
const usualRatePerS = 30;
const leastStreams = 64;
const usualSeconds = 1.5;

/** A calibration this old says little of the machine as it is now. */
const recentMs = 7 * 24 * 3600 * 1000;

/** One thread is enough as long as it stays below these. */
const enough = { cpuShare: 0.6, eventP99Ms: 1, burstP99Ms: 6 };

/** How far a calibration is beyond what is enough; at most 1: it is enough. */
function excessOf({ cpuShare, event, burst }: Calibration): number {
  return Math.max(
    cpuShare / enough.cpuShare,
    event.p99Ms / enough.eventP99Ms,
    burst.p99Ms / enough.burstP99Ms,
  );
}

/**
 * Measures the client's own error at a load. Takes about three seconds more than twice `seconds`, for
 * each count of threads that is tried.
 */
export async function calibrateClient(options: CalibrationOptions): Promise<Calibration> {
  const { threads, poll } = options;
  const cores = availableParallelism() - (poll ? 1 : 0);
  const counts = threads === "auto" ? countsToTry(cores) : [threads];
  let best: Calibration | undefined;
  for (const count of counts) {
    const calibration = await calibrateThreads(count, options);
    if (best === undefined || excessOf(calibration) < excessOf(best)) best = calibration;
    if (excessOf(calibration) <= 1) return calibration;
  }
  if (best === undefined) throw new Error("a calibration needs at least one thread");
  return best;
}

/** 1, 2 and 4 threads, but not more than there are cores; threads that poll leave one to all others. */
function countsToTry(cores: number): readonly number[] {
  return [1, 2, 4].filter((count) => count === 1 || count <= cores);
}

async function calibrateThreads(
  threads: number,
  { load, poll, seconds, tool, signal }: CalibrationOptions,
): Promise<Calibration> {
  const pass = { load, threads, poll, seconds, signal };
  const uniform = await runPass({ ...pass, pace: "uniform" });
  const burst = await runPass({ ...pass, pace: "burst" });
  const eventsPerS = await runFlood({ threads, signal });
  const worse = (of: (errors: PassErrors) => Float64Array): ErrorQuantiles => {
    const both = [quantilesOf(of(uniform)), quantilesOf(of(burst))];
    return {
      p50Ms: Math.max(...both.map(({ p50Ms }) => p50Ms)),
      p99Ms: Math.max(...both.map(({ p99Ms }) => p99Ms)),
    };
  };
  return {
    at: isoWithOffset(Date.now()),
    machine: machineDigest(),
    tool: toolName(tool),
    load,
    threads,
    poll,
    seconds,
    events: uniform.events.length + burst.events.length,
    event: quantilesOf(uniform.events),
    burst: quantilesOf(burst.events),
    gap: worse(({ gaps }) => gaps),
    ttft: worse(({ ttfts }) => ttfts),
    startLag: worse(({ startLags }) => startLags),
    eventsPerS,
    cpuShare: Math.max(uniform.client.cpuShare, burst.client.cpuShare),
    coalescedShare: uniform.coalesced / uniform.events.length,
    eventLoopDelayP99Ms: Math.max(
      uniform.client.eventLoopDelayP99Ms,
      burst.client.eventLoopDelayP99Ms,
    ),
  };
}

/** Of the sizes: an error to either side is an error. */
function quantilesOf(errors: Float64Array): ErrorQuantiles {
  const sorted = sortAscending([...errors].map(Math.abs));
  return { p50Ms: quantile7(sorted, 0.5) ?? 0, p99Ms: quantile7(sorted, 0.99) ?? 0 };
}

/** The largest load of a plan, as it is calibrated for. */
export function calibrationLoadOf(points: readonly Pick<Point, "load">[]): CalibrationLoad {
  const streams = points.map(({ load }) => {
    switch (load.kind) {
      case "concurrency":
        return load.concurrency;
      // How many are in flight the engine decides: answers of four seconds are assumed.
      case "rate":
        return 4 * load.requestRatePerS;
      case "ramp":
        return 4 * Math.max(load.fromPerS, load.toPerS);
      case "trace":
        return leastStreams;
    }
  });
  return { streams: Math.ceil(Math.max(leastStreams, ...streams)), ratePerS: usualRatePerS };
}

/**
 * The calibration that a run goes by: a stored one of this machine, this version and this load or a
 * larger one, else a new one, which is stored; undefined where the experiment wants none.
 */
export async function calibrationForRun(
  store: Store,
  { experiment, points }: Pick<Plan, "experiment" | "points">,
  {
    tool,
    talk,
    signal,
  }: Pick<CalibrationOptions, "tool" | "signal"> & { readonly talk: (line: string) => void },
): Promise<{ readonly id: number; readonly calibration: Calibration } | undefined> {
  const { client } = experiment;
  if (!client.calibrate) return undefined;
  const load = calibrationLoadOf(points);
  const stored = store
    .calibrations()
    .findLast(({ calibration }) => answersFor(calibration, { load, ...client, tool }));
  if (stored !== undefined) {
    talk(
      `The client was calibrated at ${stored.calibration.at}: ${describeCalibration(stored.calibration)}`,
    );
    return stored;
  }
  talk(
    `Calibrating the client at ${counted(load.streams, "stream")} x ${formatNumber(load.ratePerS, 0)} chunks/s against a server of known truth: about ${Math.ceil(2 * usualSeconds + 5)} s`,
  );
  const calibration = await calibrateClient({
    load,
    threads: client.threads,
    poll: client.poll,
    seconds: usualSeconds,
    tool,
    signal,
  });
  talk(describeCalibration(calibration));
  return { id: store.appendCalibration(calibration), calibration };
}

/** Whether a stored calibration spares a new one. */
function answersFor(
  calibration: Calibration,
  { load, threads, poll, tool }: Pick<CalibrationOptions, "load" | "threads" | "poll" | "tool">,
): boolean {
  return (
    calibration.machine === machineDigest() &&
    calibration.tool === toolName(tool) &&
    calibration.load.streams >= load.streams &&
    calibration.load.ratePerS >= load.ratePerS &&
    (threads === "auto" || threads === calibration.threads) &&
    poll === (calibration.poll ?? false) &&
    Date.now() - Date.parse(calibration.at) < recentMs
  );
}

/** Threads that drive a load: never more than it has streams. */
export function threadsFor(
  load: Point["load"],
  { threads: wanted, poll }: ClientSpec,
  calibration: Calibration | undefined,
): Required<Pick<ThreadsOptions, "threads" | "poll">> {
  const threads = wanted === "auto" ? (calibration?.threads ?? 1) : wanted;
  return {
    threads: load.kind === "concurrency" ? Math.min(threads, load.concurrency) : threads,
    poll,
  };
}

function machineDigest(): string {
  const processors = cpus();
  const machine = {
    host: hostname(),
    processor: processors[0]?.model,
    processors: processors.length,
    usable: availableParallelism(),
    system: `${process.platform} ${release()} ${arch()}`,
    node: process.version,
  };
  return createHash("sha256").update(JSON.stringify(machine)).digest("hex");
}

function toolName({ version, commit }: ToolIdentity): string {
  return commit === undefined ? version : `${version}+${commit.slice(0, 7)}`;
}
