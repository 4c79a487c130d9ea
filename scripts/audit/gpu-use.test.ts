import { describe, expect, it } from "vitest";
import type { Variant } from "../experiment/experiment.ts";
import { unknownGpus } from "../stats/gpu-metrics.ts";
import {
  beforeAt,
  experiment,
  onMachine,
  settings,
  snapshot,
  startSaying,
  stored,
} from "./fixtures/run.ts";
import { gpusInUse, gpusOfVariant } from "./gpu-use.ts";
import type { AuditInput } from "./rule.ts";

const [embedded] = experiment.variants;
if (embedded === undefined) throw new Error("the fixture has a variant");
const vllm: Variant = {
  ...embedded,
  engine: { kind: "vllm", name: "vllm", port: "auto", args: {}, env: {}, readyMs: 1, prefix: [] },
};
const attached: Variant = {
  ...embedded,
  engine: { kind: "external", name: "server", url: "http://127.0.0.1:1", headers: {} },
};

type Fields = NonNullable<Parameters<typeof snapshot>[1]>;

const here: Fields = { "client.engine_relation": "same host" };

/** Four idle GPUs. */
const machine: Fields = {
  ...here,
  "gpu.count": 4,
  ...Object.fromEntries([0, 1, 2, 3].map((gpu) => [`gpu.${gpu}.memory.used_mib`, 4])),
};

/** A run of two starts; each has its processes on these GPUs. */
function onGpus(
  variant: Variant,
  {
    tensorParallel,
    used = [],
    fields = {},
  }: {
    readonly tensorParallel?: number;
    readonly used?: readonly number[];
    readonly fields?: Fields;
  } = {},
): AuditInput {
  const idle = snapshot(beforeAt, { ...machine, ...fields });
  const busy = (start: number): Fields =>
    Object.fromEntries(
      used.map((gpu) => [`gpu.${gpu}.processes.list`, `${start}${gpu} VLLM::Worker 70000 MiB`]),
    );
  return {
    ...onMachine({ ...machine, ...fields }),
    experiment: { ...experiment, variants: [variant] },
    starts: [1, 2].map((round) =>
      startSaying(round, { settings: { ...settings, tensorParallel } }),
    ),
    snapshots: [
      stored("run-before", idle),
      ...[1, 2].map((start) =>
        stored("start", snapshot(beforeAt, { ...machine, ...fields, ...busy(start) }), { start }),
      ),
    ],
  };
}

describe("the GPUs of a variant's engine", () => {
  it("are none on a machine without, and of an engine that computes on none", () => {
    expect(gpusOfVariant(onMachine(here), vllm)).toEqual({ count: 0, indexes: [] });
    expect(gpusOfVariant(onGpus(embedded), embedded)).toEqual({ count: 0, indexes: [] });
  });

  it("are those on which its processes appeared", () => {
    const input = onGpus(vllm, { tensorParallel: 2, used: [1, 3] });
    expect(gpusOfVariant(input, vllm)).toEqual({ count: 2, indexes: [1, 3] });
    expect(gpusOfVariant(onGpus(vllm, { used: [2] }), vllm)).toEqual({ count: 1, indexes: [2] });
  });

  it("are not guessed where more appeared than it says to use, or nothing did", () => {
    const crowded = onGpus(vllm, { tensorParallel: 2, used: [0, 1, 3] });
    expect(gpusOfVariant(crowded, vllm)).toEqual({ count: 2, indexes: undefined });
    expect(gpusOfVariant(onGpus(vllm, { tensorParallel: 2 }), vllm)).toEqual({
      count: 2,
      indexes: undefined,
    });
    expect(gpusOfVariant({ ...onGpus(vllm), starts: [] }, vllm)).toEqual(unknownGpus);
  });

  it("are all where it uses as many as there are", () => {
    expect(gpusOfVariant(onGpus(vllm, { tensorParallel: 4 }), vllm)).toEqual({
      count: 4,
      indexes: [0, 1, 2, 3],
    });
  });

  it("are none of this machine's where it runs elsewhere", () => {
    const there = onGpus(attached, {
      tensorParallel: 4,
      fields: { "client.engine_relation": "other host" },
    });
    expect(gpusOfVariant(there, attached)).toEqual({ count: 4, indexes: [] });
  });

  it("are told for slices where MIG cut them", () => {
    const cut = onGpus(vllm, {
      tensorParallel: 1,
      used: [1],
      fields: { "gpu.1.mig.current": "Enabled" },
    });
    expect(gpusOfVariant(cut, vllm)).toEqual({ count: 1, indexes: [1], isSliced: true });
  });
});

describe("the GPUs that a run's rules look at", () => {
  it("are those in use where we attached, else all", () => {
    const fields = { "gpu.2.memory.used_mib": 71_000 };
    expect(gpusInUse(onGpus(attached, { fields }))).toEqual([2]);
    expect(gpusInUse(onGpus(attached))).toEqual([0, 1, 2, 3]);
  });
});
