import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { experiment as healthy, healthy as healthyRun } from "../audit/fixtures/run.ts";
import type { EngineFacts, RunningEngine } from "../engine/engine.ts";
import { undisclosedSettings } from "../engine/engine.ts";
import { differenceOf } from "../environment/difference.ts";
import { reasons } from "../environment/reasons.ts";
import type { EnvironmentField, EnvironmentSnapshot } from "../environment/snapshot.ts";
import { UserError } from "../errors.ts";
import type { Experiment, Variant } from "../experiment/experiment.ts";
import { checkMachine, openMachine } from "./machine.ts";

let root = "";
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "benchbook-machine-"));
});
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

const attached: Variant = {
  name: "fp8",
  model: "chat",
  precision: "fp8",
  engine: { kind: "external", name: "server", url: "http://127.0.0.1:1", headers: {} },
};
const launched: Variant = {
  name: "fp32",
  model: "tiny",
  precision: "fp32",
  engine: { kind: "embedded", name: "embedded", port: "auto", args: {}, env: {}, readyMs: 1000 },
};

const facts: EngineFacts = {
  name: "vllm",
  version: "0.12.0",
  argv: undefined,
  env: {},
  config: { max_num_seqs: 16 },
  configDigest: "d1",
  maxModelLen: 4096,
  maxNumSeqs: 16,
  settings: undisclosedSettings,
  nonDefaultArgs: undefined,
  container: undefined,
};
const engine: RunningEngine = {
  endpoint: { baseUrl: "http://127.0.0.1:1", model: "chat", headers: {} },
  facts,
  startupMs: undefined,
  pid: undefined,
  logPath: undefined,
  exited: new Promise(() => undefined),
  interpreter: undefined,
  readFacts: () => Promise.resolve(facts),
  resetPrefixCache: () => Promise.resolve("not_offered"),
  stop: () => Promise.resolve([]),
};

const [plainPoint] = healthyRun.plan.points;
if (plainPoint === undefined) throw new Error("the fixture has a point");
const point = { ...plainPoint, variant: attached.name };

function open(
  environment: Experiment["environment"],
  variant: Variant = attached,
): ReturnType<typeof openMachine> {
  const experiment = { ...healthy, variants: [variant], environment };
  return openMachine({ experiment, points: [point] }, root);
}

function field(snapshot: EnvironmentSnapshot, id: string): EnvironmentField | undefined {
  return snapshot.fields.find((one) => one.id === id);
}

describe("this machine", () => {
  it("is read before, around and after, and nobody has to be told", async () => {
    const machine = await open({ kind: "local" });
    const before = await machine.before();
    const light = await machine.around(attached, engine, true);
    expect(field(before, "host.kernel")?.readOn).toBeUndefined();
    expect(light.light).toBe(true);
    expect(field(light, "engine.fp8.config_digest")?.value).toMatchObject({ value: "d1" });
    expect(machine.notices).toEqual([]);
    expect(machine.nvidiaSmi).toEqual(["nvidia-smi"]);
    await machine.close();
  });

  it("has GPUs that nobody takes for those of an engine elsewhere", async () => {
    const url = "http://192.0.2.7:8000";
    const variant = { ...attached, engine: { ...attached.engine, url } };
    const machine = await open({ kind: "local" }, variant);
    expect(machine.nvidiaSmi).toBeUndefined();
    const watch = machine.watchGpus(1000);
    const readings = watch.watch({ zeroMs: 0, signal: new AbortController().signal });
    expect(await readings.next()).toEqual({
      done: true,
      value: {
        readings: 0,
        missed: 0,
        meanCostMs: undefined,
        unavailable: reasons.engineElsewhere,
      },
    });
    await watch.close();
    await machine.close();
  });
});

describe("a machine that is probed", () => {
  it("is read over one connection, and says by which words nvidia-smi runs there", async () => {
    const machine = await open({ kind: "probe", command: ["env"] });
    const before = await machine.before();
    const light = await machine.around(attached, engine, true);
    const after = await machine.after();
    await machine.close();
    expect(field(before, "host.kernel")).toMatchObject({
      readOn: hostname(),
      value: { state: "value" },
    });
    expect(field(light, "host.load_1m")).toMatchObject({
      readOn: hostname(),
      value: { state: "value" },
    });
    expect(differenceOf(before, after).comparable).toBe(true);
    expect(machine.notices).toEqual([`The engine's host is ${hostname()}, probed there`]);
    expect(machine.nvidiaSmi).toEqual(["env", "nvidia-smi"]);
  });

  it("and can't be reached is a mistake that can be mended", async () => {
    await expect(open({ kind: "probe", command: ["false"] })).rejects.toThrow(UserError);
    expect(
      await checkMachine({ environment: { kind: "probe", command: ["false"] } }, [attached], root),
    ).toMatchObject([{ where: "environment.probe: false" }]);
    expect(
      await checkMachine({ environment: { kind: "probe", command: ["env"] } }, [attached], root),
    ).toEqual([]);
  });
});

describe("a machine that a file describes", () => {
  const write = (takenAt: string, name = "gpu-node-7", kernel = "6.8"): void => {
    const fields = Object.entries({ "host.hostname": name, "host.kernel": kernel }).map(
      ([id, value]) => ({
        id,
        group: "host",
        class: "context",
        value: { state: "value", value },
        source: "probe",
        at: takenAt,
      }),
    );
    writeFileSync(join(root, "env.json"), JSON.stringify({ schema: 1, takenAt, fields, raw: [] }));
  };
  const environment = { kind: "from", path: "env.json" } as const;
  const first = "2026-01-02T03:04:05+08:00";

  it("is read before, not around trials, and after only where it was made anew", async () => {
    write(first);
    const machine = await open(environment);
    expect(machine.nvidiaSmi).toBeUndefined();
    expect(machine.notices[0]).toContain("gpu-node-7 as its snapshot file describes it");
    const before = await machine.before();
    expect(field(before, "host.kernel")).toMatchObject({
      value: { value: "6.8" },
      readOn: "gpu-node-7",
      at: first,
    });
    const absent = (snapshot: EnvironmentSnapshot, id = "host.kernel"): unknown =>
      field(snapshot, id)?.value;
    const reasoned = (reason: string): object => ({ state: "not_collected", reason });
    expect(absent(await machine.around(attached, engine, true), "host.load_1m")).toEqual(
      reasoned(reasons.hostFromFile),
    );
    expect(absent(await machine.around(attached, engine, false))).toEqual(
      reasoned(reasons.hostFromFile),
    );
    expect(absent(await machine.after())).toEqual(reasoned(reasons.hostFileUnchanged));
    rmSync(join(root, "env.json"));
    expect(absent(await machine.after())).toEqual(reasoned(reasons.hostFileUnchanged));
    // An hour later, though its clock reads less: it stands in another zone.
    write("2026-01-02T04:04:05+09:00");
    expect(absent(await machine.after())).toEqual(reasoned(reasons.hostFileUnchanged));
    write("2026-01-01T21:04:05+00:00", "gpu-node-7", "6.9");
    expect(field(await machine.after(), "host.kernel")).toMatchObject({ value: { value: "6.9" } });
    write("2026-01-03T00:00:00+08:00", "gpu-node-8");
    expect(absent(await machine.after())).toEqual(reasoned(reasons.hostFileOfAnother));
  });

  it("and that is missing is a mistake that can be mended", async () => {
    const missing = { kind: "from", path: "none.json" } as const;
    const [problem] = await checkMachine({ environment: missing }, [attached], root);
    expect(problem?.what).toContain("no such snapshot file");
    expect(problem?.where).toBe(join(root, "none.json"));
  });
});

it("an engine that runs here is not described by another machine", async () => {
  const probe = { kind: "probe", command: ["env"] } as const;
  const [problem] = await checkMachine({ environment: probe }, [attached, launched], root);
  expect(problem?.what).toContain("fp32 runs on this machine");
  expect(await checkMachine({ environment: { kind: "local" } }, [launched], root)).toEqual([]);
});
