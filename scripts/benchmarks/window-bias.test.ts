import { describe, expect, it } from "vitest";
import { achievedConcurrency, throughputWindow } from "../stats/window.ts";
import { longRunTruth, type Protocol, simulateTrial } from "../testing/batching-load.ts";
import { biasOf, type StudiedLoad, studiedLoads } from "./window-bias.ts";

function loadNamed(name: string): StudiedLoad {
  const load = studiedLoads().find((one) => one.name === name);
  if (load === undefined) throw new Error(`no load ${name}`);
  return load;
}

const few = { error: 0.0001, mostTrials: 30 };
const handover: Protocol = {
  window: "handover",
  warmupRequests: 20,
  measured: { kind: "count", requests: 100 },
  firstWave: "whole",
};

/** A short stand-in for the truths of the study. */
function truthOf(load: StudiedLoad, start: "at once" | "apart", change = {}) {
  return longRunTruth(load, { lives: 4, requestsPerLife: 3000, start, seed: "test", ...change });
}

describe("the bias of a window", () => {
  it("is small for the handover, and shows itself where ramp and drain are counted", async () => {
    const load = loadNamed("c10, varying");
    const truths = { heldTo: truthOf(load, "apart"), beside: undefined };
    const ours = await biasOf(load, { ...handover, name: "handover" }, truths, few, "test");
    const fixed = await biasOf(
      load,
      { ...handover, window: "fixed", name: "fixed" },
      truths,
      few,
      "test",
    );
    expect(ours.trials).toBe(30);
    expect(ours.beside).toBeUndefined();
    // In the whole study: QPS 0.1 +- 0.3 %, mean TTFT 0.0 +- 0.2 %; here 30 trials in place of 220.
    expect(Math.abs(ours.heldTo.qps)).toBeLessThan(0.03);
    expect(Math.abs(ours.heldTo.ttft ?? 1)).toBeLessThan(0.03);
    // In the whole study: -6.4 % and +22 %.
    expect(fixed.heldTo.qps).toBeLessThan(-0.03);
    expect(fixed.heldTo.ttft).toBeGreaterThan(0.1);
  });

  it("is small for answers of one length where the first wave is cut, large in lockstep", async () => {
    const load = loadNamed("c10, fixed");
    const many = { lives: 40, requestsPerLife: 400 };
    const truths = { heldTo: truthOf(load, "apart", many), beside: truthOf(load, "at once", many) };
    const measured = { kind: "count", requests: 30 } as const;
    const biasWith = (firstWave: Protocol["firstWave"]) =>
      biasOf(load, { ...handover, measured, firstWave, name: firstWave }, truths, few, "test");
    const [cut, whole] = [await biasWith("cut"), await biasWith("whole")];
    // In the whole study: 0.3 +- 0.3 % of 27.6 ms; trials vary by 3 %, lives by as much.
    expect(Math.abs(cut.heldTo.qps)).toBeLessThan(0.01);
    expect(Math.abs(cut.heldTo.ttft ?? 1)).toBeLessThan(0.04);
    // Neither truth is hidden: +165 % and +10 % in the whole study.
    expect(whole.heldTo.ttft).toBeGreaterThan(1.4);
    expect(whole.beside?.ttft).toBeGreaterThan(0.05);
    expect(cut.beside?.ttft).toBeLessThan(-0.5);
  });

  it("is small for an open loop below saturation", async () => {
    const load = loadNamed("11/s, varying");
    const truth = truthOf(load, "at once", { requestsPerLife: 6000 });
    const bias = await biasOf(
      load,
      {
        name: "open",
        window: "handover",
        warmupRequests: 330,
        measured: { kind: "duration", durationMs: 60_000 },
        firstWave: "whole",
      },
      { heldTo: truth, beside: undefined },
      { ...few, mostTrials: 20 },
      "test",
    );
    expect(Math.abs(bias.heldTo.qps)).toBeLessThan(0.05);
    expect(Math.abs(bias.heldTo.ttft ?? 1)).toBeLessThan(0.05);
  });

  it("comes of trials that a seed repeats, with every stream busy all the time", async () => {
    const load = loadNamed("c40, fixed");
    const protocol: Protocol = {
      ...handover,
      warmupRequests: 80,
      measured: { kind: "count", requests: 120 },
      firstWave: "cut",
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
