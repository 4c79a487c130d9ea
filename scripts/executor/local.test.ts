// The life of engines over the starts of a run, on a paced server in place of an engine.
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type EngineExit, type RunningEngine, undisclosedSettings } from "../engine/engine.ts";
import type { EnvironmentSnapshot } from "../environment/snapshot.ts";
import { makePlan, type PlannedStart } from "../experiment/plan.ts";
import { readExperiment } from "../experiment/read-experiment.ts";
import { createTestProject, type TestProject } from "../testing/command.ts";
import { type PacedServer, startPacedServer } from "../testing/paced-server.ts";
import { createLocalExecutor, type LocalExecutor } from "./local.ts";
import type { StartEvent } from "./start-events.ts";

const packageRoot = join(import.meta.dirname, "../..");

let server: PacedServer;
let project: TestProject;
beforeEach(async () => {
  server = await startPacedServer({ schedule: () => ({ ttftMs: 1, gapMs: 0 }) });
  project = createTestProject();
});
afterEach(async () => {
  await server.close();
  project.remove();
});

interface Stage {
  readonly executor: LocalExecutor;
  /** The starts of the plan, in order. */
  readonly starts: readonly PlannedStart[];
  /** What was launched, in order. */
  readonly engines: readonly FakeEngine[];
  readonly interrupt: AbortController;
}

interface FakeEngine extends RunningEngine {
  stops: number;
  die(): void;
}

/** @param snapshot taken around what happens; by default it takes no time */
async function stage(
  measure: string,
  snapshot: (engine: FakeEngine, light: boolean) => void = () => undefined,
): Promise<Stage> {
  const path = project.experiment(
    "life",
    [
      "engines: { e: { kind: embedded } }",
      "variants: { a: { model: data/models/tiny-qwen3, precision: fp32, engine: e } }",
      "workloads: { w: { input: 16, output: 2 } }",
      "loads: { concurrency: [1, 2] }",
      `measure: ${measure}`,
      "telemetry: { engine: 10 ms }",
    ].join("\n"),
  );
  const { experiment } = await readExperiment(path);
  const plan = makePlan(experiment);
  const engines: FakeEngine[] = [];
  const interrupt = new AbortController();
  const executor = createLocalExecutor({
    experiment,
    points: plan.points,
    projectRoot: packageRoot,
    signal: interrupt.signal,
    run: "run",
    leg: 1,
    requestFolder: project.root,
    clientThreads: () => ({ threads: 1 }),
    gpus: {
      async *watch() {
        yield* await Promise.resolve([]);
        return { readings: 0, missed: 0, meanCostMs: undefined, unavailable: "none" };
      },
    },
    snapshot: (_variant, _engine, light) => {
      const latest = engines.at(-1);
      if (latest !== undefined) snapshot(latest, light);
      return Promise.resolve(emptySnapshot);
    },
    launch: () => {
      const engine = fakeEngine(server.url);
      engines.push(engine);
      return Promise.resolve(engine);
    },
  });
  return { executor, starts: plan.rounds.flatMap(({ starts }) => starts), engines, interrupt };
}

const emptySnapshot: EnvironmentSnapshot = {
  schema: 1,
  takenAt: "2026-01-02T03:04:05.000+00:00",
  fields: [],
  raw: [],
};

function fakeEngine(baseUrl: string): FakeEngine {
  let end: (exit: EngineExit) => void = () => undefined;
  const exited = new Promise<EngineExit>((resolve) => {
    end = resolve;
  });
  const facts = {
    name: "fake",
    version: undefined,
    argv: [],
    env: {},
    config: undefined,
    configDigest: undefined,
    maxModelLen: undefined,
    maxNumSeqs: undefined,
    settings: undisclosedSettings,
    nonDefaultArgs: undefined,
    container: undefined,
  };
  const exit = (signal: string): void => {
    end({ exitCode: undefined, signal, lastWords: "the last words" });
  };
  const engine: FakeEngine = {
    endpoint: { baseUrl, model: "tiny", headers: {} },
    facts,
    startupMs: 1,
    pid: 1,
    logPath: undefined,
    exited,
    interpreter: undefined,
    readFacts: () => Promise.resolve(facts),
    resetPrefixCache: () => Promise.resolve("done"),
    stops: 0,
    die: () => {
      exit("SIGKILL");
    },
    stop: () => {
      engine.stops += 1;
      exit("SIGTERM");
      return Promise.resolve([]);
    },
  };
  return engine;
}

/** What happened in a start, without what comes many times. */
async function storyOf(
  { executor, starts }: Stage,
  position: number,
  onEvent: (event: StartEvent) => void = () => undefined,
): Promise<readonly string[]> {
  const start = starts[position];
  if (start === undefined) throw new Error("the plan has no such start");
  const story: string[] = [];
  const isLast = position === starts.length - 1;
  for await (const event of executor.runStart(start, { logPath: "none.log", isLast })) {
    onEvent(event);
    if (event.kind === "launching") story.push(event.restart ? "launched again" : "launched");
    if (event.kind === "ready") story.push(event.reused ? "reused" : "ready");
    if (event.kind === "trial-ended") story.push(`trial ${event.status}`);
    if (event.kind === "ended") story.push(event.reason);
  }
  return story;
}

describe("an engine that is kept", () => {
  const keep = "{ rounds: 3, requests: 4, percentiles: [50], keep: true }";

  it("serves every round, and is stopped after its last one", async () => {
    const on = await stage(keep);
    const trials = ["trial measured", "trial measured"];
    expect(await storyOf(on, 0)).toEqual(["launched", "ready", ...trials, "kept"]);
    expect(await storyOf(on, 1)).toEqual(["reused", ...trials, "kept"]);
    expect(on.engines[0]?.stops).toBe(0);
    expect(await storyOf(on, 2)).toEqual(["reused", ...trials, "stopped"]);
    expect(on.engines.map(({ stops }) => stops > 0)).toEqual([true]);
  });

  it("and dies between two rounds is told as dead before another is launched", async () => {
    const on = await stage(keep);
    await storyOf(on, 0);
    on.engines[0]?.die();
    await on.engines[0]?.exited;
    const details: unknown[] = [];
    const story = await storyOf(on, 1, (event) => {
      if (event.kind === "ended" && event.reason === "died") details.push(event.detail);
    });
    expect(story).toEqual([
      "died",
      "launched",
      "ready",
      "trial measured",
      "trial measured",
      "kept",
    ]);
    expect(details).toEqual(["the engine died (killed by SIGKILL)\nthe last words"]);
    expect(on.engines[0]?.stops).toBe(1);
    on.engines[1]?.die();
    await on.engines[1]?.exited;
    const died = await on.executor.close();
    expect(died.get("a")).toContain("killed by SIGKILL");
  });

  it("is stopped when the run ends before its next round", async () => {
    const on = await stage(keep);
    await storyOf(on, 0);
    expect((await on.executor.close()).size).toBe(0);
    expect(on.engines[0]?.stops).toBe(1);
  });
});

describe("an engine that dies", () => {
  const once = "{ rounds: 1, requests: 4, percentiles: [50] }";

  it("while its first snapshot is taken costs no trial", async () => {
    const on = await stage(once, (engine, light) => {
      if (!light && on.engines.length === 1) engine.die();
    });
    expect(await storyOf(on, 0)).toEqual([
      "launched",
      "ready",
      "died",
      "launched again",
      "ready",
      "trial measured",
      "trial measured",
      "stopped",
    ]);
  });

  it("while the snapshot before a trial is taken costs no trial", async () => {
    let lights = 0;
    const on = await stage(once, (engine, light) => {
      lights += light ? 1 : 0;
      // Two around the first trial, then the one before the second.
      if (light && lights === 3) engine.die();
    });
    const story = await storyOf(on, 0);
    expect(story.filter((step) => step === "trial measured")).toHaveLength(2);
    expect(story.filter((step) => step === "trial failed")).toEqual([]);
    expect(story).toContain("launched again");
  });
});

describe("Ctrl-C", () => {
  const once = "{ rounds: 1, requests: 4, percentiles: [50] }";

  it("between two trials begins no further one, and stops the engine", async () => {
    const on = await stage(once);
    const story = await storyOf(on, 0, (event) => {
      if (event.kind === "trial-ended") on.interrupt.abort("interrupted");
    });
    expect(story).toEqual(["launched", "ready", "trial measured", "stopped"]);
    expect(on.engines[0]?.stops).toBeGreaterThan(0);
  });

  it("before a trial's load begins leaves no trial that was never sent", async () => {
    const on = await stage(once, (_engine, light) => {
      if (light) on.interrupt.abort("interrupted");
    });
    expect(await storyOf(on, 0)).toEqual(["launched", "ready", "stopped"]);
  });
});

describe("whoever runs a start", () => {
  it("may leave it at any moment, and the engine is stopped", async () => {
    for (const at of ["ready", "snapshot", "trial-began"]) {
      const on = await stage("{ rounds: 1, requests: 4, percentiles: [50] }");
      await expect(
        storyOf(on, 0, (event) => {
          if (event.kind === at) throw new Error("the disk is full");
        }),
      ).rejects.toThrow("the disk is full");
      expect(on.engines[0]?.stops).toBeGreaterThan(0);
    }
  });
});
