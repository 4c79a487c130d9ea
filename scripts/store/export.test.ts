import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { appendCase, caseAt, caseAudit, caseHeader } from "../testing/store-case.ts";
import { logicalFiles, recordId, shortRecordId } from "./export.ts";
import { Store } from "./store.ts";

const run = "20251219T103940Z-quickstart-3fa2";
let folder = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "benchbook-export-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

function filled(name: string): Store {
  const store = Store.open(join(folder, name));
  appendCase(store, run);
  return store;
}

describe("the files of a run", () => {
  it("are its experiment, plan, environment, starts, trials, requests and readings", () => {
    const store = filled("a.db");
    const files = new Map(
      logicalFiles(store, run).map(({ name, contents }) => [name, [...contents()].join("")]),
    );
    store.close();
    expect([...files.keys()]).toEqual([
      "environment.json",
      "experiment.resolved.json",
      "experiment.yaml",
      "gpu-readings.jsonl",
      "plan.json",
      "readings.jsonl",
      "requests.jsonl",
      "run.json",
      "starts.jsonl",
      "trials.jsonl",
    ]);
    expect(files.get("experiment.yaml")).toBe(caseHeader(run).experimentSource);
    const lines = (name: string): unknown[] =>
      (files.get(name) ?? "")
        .trimEnd()
        .split("\n")
        .map((line): unknown => JSON.parse(line));
    expect(lines("requests.jsonl")).toHaveLength(5);
    expect(lines("requests.jsonl")[3]).toMatchObject({
      trial: "trial-fp32",
      attempt: 1,
      index: 3,
      status: "completed",
      sentAtMs: 46,
      firstAtMs: 60,
      lastAtMs: 80,
      outputTokens: 3,
      tokenSource: "usage",
      windowTokens: 1.5,
      chunkGapsMs: [20],
    });
    expect(lines("readings.jsonl")).toMatchObject([{ atMs: 20.5 }, { atMs: 60.5, waiting: 1 }]);
    expect(lines("gpu-readings.jsonl")).toMatchObject([
      { trial: "trial-fp32", attempt: 1, atMs: 20, gpu: 0, powerW: 350.25 },
      { gpu: 1, memoryUsedMib: 12 },
      { atMs: 60, gpu: 0 },
      { atMs: 60, gpu: 1 },
    ]);
    expect(lines("starts.jsonl")).toMatchObject([{ start: 1, ready: { startupMs: 1234.5 } }]);
    expect(lines("trials.jsonl")).toMatchObject([{ trial: "trial-fp32", status: "measured" }]);
    expect(JSON.parse(files.get("environment.json") ?? "")).toMatchObject([
      { scope: "run-before" },
    ]);
    // What is this machine's own stays out.
    expect([...files.values()].join("")).not.toContain("/home/user");
  });

  it("are the same bytes with the same digests from another database", () => {
    const first = filled("a.db");
    const second = Store.open(join(folder, "b.db"));
    appendCase(second, "20251218T000000Z-quickstart-0000");
    appendCase(second, run);
    const files = logicalFiles(first, run);
    expect(logicalFiles(second, run).map(({ name, sha256 }) => [name, sha256])).toEqual(
      files.map(({ name, sha256 }) => [name, sha256]),
    );
    for (const { sha256, sizeBytes, contents } of files) {
      const bytes = Buffer.from([...contents()].join(""));
      expect(createHash("sha256").update(bytes).digest("hex")).toBe(sha256);
      expect(bytes.length).toBe(sizeBytes);
    }
    first.close();
    second.close();
  });
});

describe("a record's id", () => {
  it("is the digest of the manifest in order of name, as sha256sum would print it", () => {
    // printf 'aa  a\nbb  b\n' | sha256sum
    const expected = createHash("sha256").update("aa  a\nbb  b\n").digest("hex");
    const files = [
      { name: "b", sha256: "bb" },
      { name: "a", sha256: "aa" },
    ];
    expect(recordId(files)).toBe(expected);
    expect(shortRecordId(expected)).toBe(`bb-${expected.slice(0, 12)}`);
  });

  it("changes with any sample and with no finding, note or end of a leg", () => {
    const store = filled("a.db");
    const id = recordId(logicalFiles(store, run));
    store.appendAudit(run, caseAudit);
    store.appendNote(run, { at: caseAt, kind: "note", text: "x" });
    store.endLeg(run, 1, { endedAt: caseAt, reason: "complete" });
    expect(recordId(logicalFiles(store, run))).toBe(id);
    const leg = store.beginLeg(run, {
      startedAt: caseAt,
      pid: 1,
      host: "h",
      argv: [],
      tool: caseHeader(run).tool,
    });
    expect(recordId(logicalFiles(store, run))).not.toBe(id);
    expect(leg).toBe(2);
    store.close();
  });
});
