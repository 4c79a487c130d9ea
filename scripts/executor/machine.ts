// Where the machine of the engines is read, for as long as a run lasts: this machine, another one over
// one connection, or a snapshot file that was made there.

import { hostname } from "node:os";
import { resolve } from "node:path";
import type { RunningEngine } from "../engine/engine.ts";
import { captureEnvironment, type EngineHost } from "../environment/capture.ts";
import { relationOf } from "../environment/client.ts";
import { type GpuWatch, openGpuWatch } from "../environment/gpu-telemetry.ts";
import { describeHostFile, type HostFile, readHostFile } from "../environment/host-file.ts";
import { real } from "../environment/outside.ts";
import {
  describeUnreachable,
  HostUnreachable,
  openRemote,
  type RemoteOutside,
  withoutPrompts,
} from "../environment/outside-remote.ts";
import { reasons } from "../environment/reasons.ts";
import type { EnvironmentSnapshot } from "../environment/snapshot.ts";
import { UserError, type UserErrorParts } from "../errors.ts";
import type { Experiment, Variant } from "../experiment/experiment.ts";
import type { Plan } from "../experiment/plan.ts";
import { enginesUnderTest } from "./under-test.ts";

export interface EngineMachine {
  /** Full, before the run. */
  before(): Promise<EnvironmentSnapshot>;
  /** Of one engine that runs: full after its start, light around its trials. */
  readonly around: (
    variant: Variant,
    engine: RunningEngine,
    light: boolean,
  ) => Promise<EnvironmentSnapshot>;
  /** Full, after the run. */
  after(): Promise<EnvironmentSnapshot>;
  /** What a person should know of it; empty for this machine. */
  readonly notices: readonly string[];
  /** Words that run nvidia-smi there; undefined: its GPUs can't be watched. */
  readonly nvidiaSmi: readonly string[] | undefined;
  /** Watches its GPUs until it is closed; says why where it can't. */
  watchGpus(everyMs: number): GpuWatch;
  /** Ends the connection. */
  close(): Promise<void>;
}

/**
 * The machine of a plan's engines.
 * @throws UserError when it can't be reached, or its file can't be used
 */
export async function openMachine(
  { experiment, points }: Pick<Plan, "experiment" | "points">,
  projectRoot: string,
): Promise<EngineMachine> {
  const planned = new Set(points.map(({ variant }) => variant));
  const variants = experiment.variants.filter(({ name }) => planned.has(name));
  const { stated } = experiment;
  const place = await openPlace(experiment.environment, variants, projectRoot);
  const whole = async (host: EngineHost | undefined): Promise<EnvironmentSnapshot> =>
    captureEnvironment({
      engines: enginesUnderTest({ variants }, projectRoot),
      stated,
      projectRoot,
      host,
    });
  return {
    before: () => whole(place.host),
    around: async (variant, engine, light) =>
      captureEnvironment({
        light,
        engines: enginesUnderTest({ variants: [variant] }, projectRoot, {
          facts: await engine.readFacts().catch(() => undefined),
          interpreter: engine.interpreter,
        }),
        stated,
        projectRoot,
        host: place.during,
      }),
    after: async () => whole(await place.after()),
    notices: place.notices,
    nvidiaSmi: "words" in place.gpus ? place.gpus.words : undefined,
    watchGpus: (everyMs) =>
      "words" in place.gpus
        ? openGpuWatch({ everyMs, command: place.gpus.words })
        : unwatched(place.gpus.unavailable),
    close: place.close,
  };
}

/** GPUs that can't be read while trials run. */
function unwatched(unavailable: string): GpuWatch {
  return {
    async *watch() {
      yield* await Promise.resolve([]);
      return { readings: 0, missed: 0, meanCostMs: undefined, unavailable };
    },
    close: () => Promise.resolve(),
  };
}

/** Everything that keeps the machine from being read, and can be known before a run. */
export async function checkMachine(
  { environment }: Pick<Experiment, "environment">,
  variants: readonly Variant[],
  projectRoot: string,
): Promise<readonly UserErrorParts[]> {
  if (environment.kind === "local") return [];
  const launchedHere = variants.filter(({ engine }) => runsHere(engine));
  if (launchedHere.length > 0) {
    const names = launchedHere.map(({ name }) => name).join(", ");
    return [
      {
        what: `the engine of ${names} runs on this machine, but \`environment\` reads another one`,
        where: "environment",
        mend: "take `environment` out: this machine is probed without it",
      },
    ];
  }
  try {
    const place = await openPlace(environment, variants, projectRoot);
    await place.close();
    return [];
  } catch (error) {
    if (error instanceof UserError) return error.parts;
    throw error;
  }
}

/** Launched by us and not by a command or a container that may bring it elsewhere. */
function runsHere(engine: Variant["engine"]): boolean {
  if (engine.kind === "embedded") return true;
  return engine.kind === "vllm" && engine.command === undefined && engine.container === undefined;
}

/**
 * A connection to another machine.
 * @param where the command was written
 * @throws UserError when it can't be reached
 */
export async function connect(command: readonly string[], where?: string): Promise<RemoteOutside> {
  try {
    return await openRemote(command);
  } catch (error) {
    if (!(error instanceof HostUnreachable)) throw error;
    throw new UserError(describeUnreachable(error, command, where), { cause: error });
  }
}

interface Place {
  /** As it is read before the run; undefined: this machine. */
  readonly host: EngineHost | undefined;
  /** While the run goes on. */
  readonly during: EngineHost | undefined;
  readonly after: () => Promise<EngineHost | undefined>;
  readonly notices: readonly string[];
  /** Words that run nvidia-smi there, or why nobody may. */
  readonly gpus: { readonly words: readonly string[] } | { readonly unavailable: string };
  readonly close: () => Promise<void>;
}

async function openPlace(
  environment: Experiment["environment"],
  variants: readonly Variant[],
  projectRoot: string,
): Promise<Place> {
  const nothing = { notices: [], close: () => Promise.resolve() };
  switch (environment.kind) {
    case "local":
      return {
        ...nothing,
        host: undefined,
        during: undefined,
        after: () => Promise.resolve(undefined),
        // Those of this machine are taken for the engine's only where no engine is elsewhere.
        gpus: variants.every(isHere)
          ? { words: ["nvidia-smi"] }
          : { unavailable: reasons.engineElsewhere },
      };
    case "probe": {
      const outside = await connect(environment.command);
      const host: EngineHost = { kind: "probed", outside };
      return {
        host,
        during: host,
        after: () => Promise.resolve(host),
        notices: [`The engine's host is ${outside.elsewhere.name}, probed there`],
        gpus: { words: [...withoutPrompts(environment.command), "nvidia-smi"] },
        close: () => outside.close(),
      };
    }
    case "from": {
      const path = resolve(projectRoot, environment.path);
      const file = await readHostFile(path);
      const told = (one: HostFile): EngineHost => ({ kind: "told", file: one });
      return {
        ...nothing,
        host: told(file),
        during: told({ ...file, absent: reasons.hostFromFile }),
        after: async () => told(await readAgain(path, file)),
        notices: describeHostFile(file, { hostname: hostname(), nowMs: Date.now() }),
        gpus: { unavailable: reasons.hostFromFile },
      };
    }
  }
}

function isHere({ engine }: Variant): boolean {
  const url = engine.kind === "external" ? engine.url : undefined;
  return relationOf({ url }, real) === "same host";
}

/** The file as it is after the run; without a value of any field where it was not made anew. */
async function readAgain(path: string, before: HostFile): Promise<HostFile> {
  const unchanged = { ...before, absent: reasons.hostFileUnchanged };
  let again: HostFile;
  try {
    again = await readHostFile(path);
  } catch (error) {
    // Taken away or half written: it says nothing of the moment after the run.
    if (error instanceof UserError) return unchanged;
    throw error;
  }
  const isNewer = Date.parse(again.snapshot.takenAt) > Date.parse(before.snapshot.takenAt);
  if (!isNewer) return unchanged;
  return again.name === before.name ? again : { ...before, absent: reasons.hostFileOfAnother };
}
