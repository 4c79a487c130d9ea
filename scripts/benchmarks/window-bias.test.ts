import { describe, expect, it } from "vitest";
import { achievedConcurrency, throughputWindow } from "../stats/window.ts";
import { longRunTruth, type Protocol, simulateTrial } from "../testing/batching-load.ts";
import { biasOf, type StudiedLoad, studiedLoads } from "./window-bias.ts";

function loadNamed(name: string): StudiedLoad {
  const load = studiedLoads().find((one) => one.name === name);
  if (load === undefined) throw new Error(`no load ${name}`);
  return load;
}

const small = { lives: 4, requestsPerLife: 3000, cutFirstWave: false, seed: "test" };
const few = { error: 0.0001, mostTrials: 30 };
const handover: Protocol = {
  window: "handover",
  warmupRequests: 20,
  measured: { kind: "count", requests: 100 },
  cutFirstWave: false,
};

describe("the bias of a window", () => {
  it("is small for the handover, and shows itself where ramp and drain are counted", async () => {
    const load = loadNamed("c10, varying");
    const truth = longRunTruth(load, small);
    const ours = await biasOf(load, { ...handover, name: "handover" }, truth, few, "test");
    const fixed = await biasOf(
      load,
      { ...handover, window: "fixed", name: "fixed" },
      truth,
      few,
      "test",
    );
    expect(ours.trials).toBe(30);
    // In the whole study: QPS 0.1 +- 0.3 %, mean TTFT 0.0 +- 0.2 %; here 30 trials in place of 220.
    expect(Math.abs(ours.qpsBias)).toBeLessThan(0.03);
    expect(Math.abs(ours.ttftBias ?? 1)).toBeLessThan(0.03);
    // In the whole study: -6.4 % and +22 %.
    expect(fixed.qpsBias).toBeLessThan(-0.03);
    expect(fixed.ttftBias).toBeGreaterThan(0.1);
  });

  it("is small for an open loop below saturation", async () => {
    const load = loadNamed("11/s, varying");
    const truth = longRunTruth(load, { ...small, requestsPerLife: 6000 });
    const bias = await biasOf(
      load,
      {
        name: "open",
        window: "handover",
        warmupRequests: 330,
        measured: { kind: "duration", durationMs: 60_000 },
        cutFirstWave: false,
      },
      truth,
      { ...few, mostTrials: 20 },
      "test",
    );
    expect(Math.abs(bias.qpsBias)).toBeLessThan(0.05);
    expect(Math.abs(bias.ttftBias ?? 1)).toBeLessThan(0.05);
  });

  it("comes of trials that a seed repeats, with every stream busy all the time", async () => {
    const load = loadNamed("c40, fixed");
    const protocol: Protocol = {
      ...handover,
      warmupRequests: 80,
      measured: { kind: "count", requests: 120 },
      cutFirstWave: true,
    };
    const [one, same, other] = await Promise.all(
      ["a", "a", "b"].map((seed) => simulateTrial(load, protocol, seed)),
    );
    expect(one).toEqual(same);
    expect(one).not.toEqual(other);
    expect(one?.requests.filter(({ phase }) => phase === "measured")).toHaveLength(120);
    const window = one === undefined ? undefined : throughputWindow(one);
    if (one === undefined || window === undefined) throw new Error("no window");
    expect(achievedConcurrency(one, window)).toBeCloseTo(40, 6);
  });
});
