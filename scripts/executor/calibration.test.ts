import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Point } from "../experiment/plan.ts";
import { Store } from "../store/store.ts";
import { caseHeader } from "../testing/store-case.ts";
import {
  calibrateClient,
  calibrationForRun,
  calibrationLoadOf,
  threadsFor,
} from "./calibration.ts";

const tool = { version: "0.1.0", commit: undefined, dirty: undefined, node: "20" };
const signal = new AbortController().signal;
let folder = "";
let store: Store;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "benchbook-calibration-"));
  store = Store.open(join(folder, "benchbook.db"));
});
afterEach(() => {
  store.close();
  rmSync(folder, { recursive: true });
});

const concurrency = (streams: number): Pick<Point, "load"> => ({
  load: { kind: "concurrency", concurrency: streams },
});

describe("calibrationLoadOf", () => {
  it("is the plan's largest load, and never less than 64 streams", () => {
    expect(calibrationLoadOf([concurrency(1), concurrency(8)]).streams).toBe(64);
    expect(calibrationLoadOf([concurrency(8), concurrency(200)]).streams).toBe(200);
    const rate = {
      load: { kind: "rate", requestRatePerS: 50, arrivals: { kind: "poisson" } },
    } as const;
    // Answers of four seconds: 200 in flight.
    expect(calibrationLoadOf([rate]).streams).toBe(200);
  });
});

describe("threadsFor", () => {
  it("is what the experiment says, or the calibration, and never more than there are streams", () => {
    const load = concurrency(2).load;
    const auto = { threads: "auto", poll: false, calibrate: true } as const;
    const four = { threads: 4, poll: true, calibrate: true } as const;
    expect(threadsFor(load, auto, undefined)).toEqual({ threads: 1, poll: false });
    expect(threadsFor(load, four, undefined)).toEqual({ threads: 2, poll: true });
    expect(threadsFor(concurrency(9).load, four, undefined)).toEqual({ threads: 4, poll: true });
  });
});

describe("calibrationForRun", () => {
  it("takes a stored one of this machine, version and load or a larger one, and no other", async () => {
    const calibration = await calibrateClient({
      load: { streams: 64, ratePerS: 30 },
      threads: 1,
      poll: false,
      seconds: 0.1,
      tool,
      signal,
    });
    expect(calibration).toMatchObject({ tool: "0.1.0", threads: 1, load: { streams: 64 } });
    expect(calibration.eventsPerS).toBeGreaterThan(0);
    expect(calibration.events).toBeGreaterThan(0);
    const id = store.appendCalibration({ ...calibration, load: { streams: 200, ratePerS: 30 } });
    // Of another machine, newer.
    store.appendCalibration({ ...calibration, machine: "00" });
    store.appendCalibration({ ...calibration, tool: "9.9.9" });
    const said: string[] = [];
    const talk = (line: string): void => void said.push(line);
    const { plan } = caseHeader("run");
    const found = await calibrationForRun(store, plan, { tool, talk, signal });
    expect(found?.id).toBe(id);
    expect(said[0]).toContain("The client was calibrated at");
    expect(store.calibrations()).toHaveLength(3);
  });

  it("measures none where the experiment wants none", async () => {
    const { plan } = caseHeader("run");
    const experiment = {
      ...plan.experiment,
      client: { threads: "auto", poll: false, calibrate: false },
    } as const;
    const talk = (): void => undefined;
    expect(
      await calibrationForRun(store, { ...plan, experiment }, { tool, talk, signal }),
    ).toBeUndefined();
    expect(store.calibrations()).toEqual([]);
  });
});
