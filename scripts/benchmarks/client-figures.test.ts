import { describe, expect, it } from "vitest";
import type { PacedLog } from "../engine/paced/paced-log.ts";
import { clientFigures, type PeerResult, readPeerResult } from "./client-figures.ts";
import { truthOf } from "./end-to-end.ts";

const log: PacedLog = {
  cpuMs: 0,
  requests: [
    {
      id: "probe",
      arrivedAtMs: 1,
      sentAtMs: Float64Array.of(2),
      tokens: 1,
      abandoned: false,
    },
    {
      id: "w0-0",
      arrivedAtMs: 100,
      sentAtMs: Float64Array.of(200, 225, 250),
      tokens: 3,
      abandoned: false,
    },
  ],
};

const result: PeerResult = {
  cpuMs: 5,
  wallMs: 200,
  events: 3,
  requests: [{ id: "w0-0", startAtMs: 99, events: 3 }],
  // The second event was seen only with the third.
  timesMs: [Float64Array.of(200.1, 250.3, 250.3)],
  sendsMs: new Map([["w0-0", 99.5]]),
};

describe("clientFigures", () => {
  it("holds every stamp to the server's write", () => {
    const figures = clientFigures(result, log);
    // Errors 0.1, 25.3 and 0.3 ms; type 7 at 0.99 of three: 0.3 + 0.98 x (25.3 - 0.3).
    expect(figures.errorP50Ms).toBeCloseTo(0.3, 9);
    expect(figures.errorP99Ms).toBeCloseTo(24.8, 9);
    expect(figures.errorMaxMs).toBeCloseTo(25.3, 9);
    expect(figures.collapsedShare).toBe(0.5);
    expect(figures.startLagP50Ms).toBeCloseTo(0.5, 9);
    expect(figures.eventsPerCpuS).toBe(600);
    expect(figures.cpuShare).toBe(0.025);
  });

  it("takes the server's arrival where nobody noted the send", () => {
    expect(clientFigures({ ...result, sendsMs: undefined }, log).startLagP50Ms).toBeCloseTo(1, 9);
  });

  it("refuses a client that saw another count of events than the server wrote", () => {
    const short = { ...result, timesMs: [Float64Array.of(200.1, 250.3)] };
    expect(() => clientFigures(short, log)).toThrow("w0-0");
  });
});

describe("readPeerResult", () => {
  it("reads the head, the times of each request, and when requests really left", () => {
    const head = {
      cpuMs: 1,
      wallMs: 2,
      events: 3,
      requests: [
        { id: "w0-0", startAtMs: 1, events: 2 },
        { id: "w0-1", startAtMs: 1, events: 1 },
      ],
    };
    const times = Buffer.from(Float64Array.of(10, 20, 30).buffer);
    const bytes = Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), times]);
    const read = readPeerResult(bytes, "w0-0 1.5\nw0-1 1.75\n");
    expect(read.timesMs).toEqual([Float64Array.of(10, 20), Float64Array.of(30)]);
    expect(read.sendsMs?.get("w0-1")).toBe(1.75);
    expect(() => readPeerResult(bytes.subarray(0, -8), undefined)).toThrow("2 times of 3");
  });
});

describe("the truth of an end-to-end run", () => {
  it("is the server's own, over exactly the measured requests", () => {
    const truth = truthOf(log, new Set(["w0-0"]), 1);
    expect(truth).toEqual({ ttftMeanMs: 100, ttftP99Ms: 100, itlMeanMs: 25, itlP99Ms: 25 });
    // A tool that names no prompts: the last ones, without what it sent to see who is there.
    expect(truthOf(log, undefined, 1)).toEqual(truth);
  });

  it("is refused where requests are missing from the log", () => {
    expect(() => truthOf(log, new Set(["other"]), 1)).toThrow("0 of 1");
  });
});
