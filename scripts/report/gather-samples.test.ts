import { describe, expect, it } from "vitest";
import { stream, trial } from "../stats/fixtures/trials.ts";
import type { AttemptKey, StoredAttempt } from "../store/stored-run.ts";
import { samplesOnDemand } from "./gather-samples.ts";

/** Ten requests of five chunks: 2,100 bytes as the shelf reckons. */
const requests = Array.from({ length: 10 }, (_, index) => stream(100 * index, { tokens: 5 }));
const trialBytes = 2100;

const attempt = (name: string, parts: Partial<StoredAttempt> = {}): StoredAttempt => ({
  run: "run",
  trial: name,
  attempt: 1,
  point: "fp8/c2",
  variant: "fp8",
  workload: "chat",
  load: { kind: "concurrency", concurrency: 2 },
  round: 1,
  repeat: 1,
  seed: name,
  start: 1,
  leg: 1,
  startedAt: "2026-01-01T00:00:00.000+00:00",
  plannedConcurrency: 2,
  warmupRequests: 0,
  measured: { kind: "count", requests: 10 },
  windowKind: "handover",
  status: "measured",
  reason: undefined,
  counts: true,
  summary: undefined,
  window: undefined,
  cacheReset: "done",
  watches: undefined,
  ...parts,
});

/** A store that notes which trials were read. */
function storeNoting(): {
  readonly reads: string[];
  readonly store: Parameters<typeof samplesOnDemand>[0];
} {
  const reads: string[] = [];
  return {
    reads,
    store: {
      samplesOfAttempt: (key: AttemptKey) => {
        reads.push(key.trial);
        return trial(requests, { trial: key.trial });
      },
      readingsOf: () => [],
      gpuReadingsOf: () => [],
    },
  };
}

describe("samples on demand", () => {
  it("are of the attempts that count, and read no request before it is asked for", () => {
    const { reads, store } = storeNoting();
    const attempts = [attempt("a", { counts: false }), attempt("a", { attempt: 2 }), attempt("b")];
    const samples = samplesOnDemand(store, attempts);
    expect(samples.map(({ trial: of, attempt: number }) => [of, number])).toEqual([
      ["a", 2],
      ["b", 1],
    ]);
    expect(reads).toEqual([]);
    expect(samples[0]).toMatchObject({ point: "fp8/c2", window: "handover", cacheReset: "done" });
    expect(samples[1]?.requests).toHaveLength(10);
    expect(reads).toEqual(["b"]);
  });

  it("hold no more requests at once than they have room for, and read again what was let go", () => {
    const { reads, store } = storeNoting();
    const attempts = ["a", "b", "c"].map((name) => attempt(name));
    const [a, b, c] = samplesOnDemand(store, attempts, 2 * trialBytes);
    for (const one of [a, b, a, c, a, b]) expect(one?.requests).toHaveLength(10);
    // c takes the place of b, which was not asked for as lately as a; then b that of c.
    expect(reads).toEqual(["a", "b", "c", "b"]);
  });

  it("keep the latest trial even where it has more than the room", () => {
    const { reads, store } = storeNoting();
    const [a] = samplesOnDemand(store, [attempt("a")], 1);
    expect(a?.requests).toBe(a?.requests);
    expect(reads).toEqual(["a"]);
  });
});
