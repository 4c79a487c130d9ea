// What happens to the store when the machine, the disk or another process misbehaves.
import { spawn } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import SqliteDatabase from "better-sqlite3";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { exitCode, UserError } from "../errors.ts";
import {
  appendCase,
  caseAt,
  caseBegin,
  caseHeader,
  caseLeg,
  caseRecord,
} from "../testing/store-case.ts";
import type { WriterLine } from "../testing/store-writer.ts";
import { Store } from "./store.ts";
import type { AttemptKey } from "./stored-run.ts";

let folder = "";
let path = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "benchbook-faults-"));
  path = join(folder, "benchbook.db");
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const writer = join(import.meta.dirname, "../../dist/testing/store-writer.js");

/**
 * Runs the writer in a process of its own until it ends by itself or has said `killAfter` lines, when
 * it is killed with SIGKILL. Gives every line it said.
 */
async function write(
  run: string,
  { trials, requests, pauseMs }: Record<"trials" | "requests" | "pauseMs", number>,
  killAfter = Number.POSITIVE_INFINITY,
): Promise<readonly WriterLine[]> {
  const options = [path, run, trials, requests, pauseMs].map(String);
  const child = spawn(process.execPath, [writer, ...options], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines: WriterLine[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(JSON.parse(line) as WriterLine);
    if (lines.length === killAfter) child.kill("SIGKILL");
  }
  return lines;
}

function check(file: string): void {
  const db = new SqliteDatabase(file);
  expect(db.pragma("integrity_check", { simple: true })).toBe("ok");
  expect(db.pragma("foreign_key_check")).toEqual([]);
  db.close();
}

describe("two processes", () => {
  it("make one new database at once and write their runs side by side, losing nothing", async () => {
    const runs = ["20251219T103940Z-quickstart-0001", "20251219T103940Z-quickstart-0002"];
    const load = { trials: 12, requests: 40, pauseMs: 0 };
    const said = await Promise.all(runs.map((run) => write(run, load)));
    for (const lines of said) expect(lines.at(-1)).toEqual({ kind: "done" });
    const store = Store.open(path);
    for (const run of runs) {
      const samples = store.samplesOf(run);
      expect(samples).toHaveLength(12);
      for (const { requests } of samples) expect(requests).toHaveLength(40);
    }
    expect(store.listRuns().map(({ status }) => status)).toEqual(["complete", "complete"]);
    store.close();
    check(path);
  });
});

describe("kill -9 in the middle of writing", () => {
  // Requests of a trial, and the moment in lines said: drawn once, in a trial's begin, middle and end.
  // At a request per millisecond the last is within a trial that has run for more than two seconds.
  it.each([
    [250, 1],
    [250, 97],
    [250, 250],
    [250, 251],
    [250, 252],
    [250, 901],
    [10_000, 2300],
  ])(
    "in trials of %i requests after %i lines loses at most the last second, no ended trial, and lets the run go on",
    async (perTrial, killAfter) => {
      const run = "20251219T103940Z-quickstart-0001";
      const lines = await write(run, { trials: 1000, requests: perTrial, pauseMs: 1 }, killAfter);
      const ended = lines.filter((line) => line.kind === "ended");
      const requests = lines.filter((line) => line.kind === "request");
      expect(requests.length).toBeGreaterThan(0);
      const lastAtMs = requests.at(-1)?.atMs ?? 0;

      const store = Store.open(path);
      const attempts = store.attemptsOf(run);
      const stored = new Set(
        attempts.flatMap((attempt) =>
          store.requestsOf(attempt).map(({ index }) => `${attempt.trial} ${index}`),
        ),
      );
      const mustBeThere = requests.filter(
        ({ trial, atMs }) => atMs <= lastAtMs - 1000 || ended.some((line) => line.trial === trial),
      );
      if (killAfter >= perTrial * 2 || killAfter > 2000) expect(mustBeThere).not.toHaveLength(0);
      expect(mustBeThere.filter(({ trial, index }) => !stored.has(`${trial} ${index}`))).toEqual(
        [],
      );
      for (const { trial } of ended) {
        expect(attempts.find((attempt) => attempt.trial === trial)?.status).toBe("measured");
      }
      expect(store.liveLeg(run)?.leg).toBe(1);

      // What was cut off is repeated as a new attempt and stays listed.
      const cut = attempts.find(({ status }) => status === "unfinished");
      const leg = store.beginLeg(run, caseLeg);
      const start = store.beginStart(run, { leg, variant: "fp32", round: 1, startedAt: caseAt });
      const begin = caseBegin("fp32", start);
      const trial = { ...begin.trial, id: cut?.trial ?? "trial-new" };
      const again = store.beginTrial(run, { ...begin, trial });
      expect(again.attempt).toBe(cut === undefined ? 1 : 2);
      store.close();
      check(path);
    },
  );
});

describe("a full disk", () => {
  const run = "20251219T103940Z-quickstart-0001";

  /** A store whose file may grow by one page of 16 KiB, with a trial begun. */
  function nearlyFull(): { readonly store: Store; readonly key: AttemptKey } {
    const before = Store.open(path);
    appendCase(before, run);
    const start = before.beginStart(run, { leg: 1, variant: "q8", round: 1, startedAt: caseAt });
    before.close();
    const db = new SqliteDatabase(path);
    const pages = Number(db.pragma("page_count", { simple: true }));
    db.close();
    const store = Store.open(path, { maxPages: pages + 1 });
    return { store, key: store.beginTrial(run, caseBegin("q8", start)) };
  }
  const big = (index: number): Parameters<Store["appendRequest"]>[1] => ({
    ...caseRecord(index, "measured", { dueAtMs: 0, sentAtMs: 0, endedAtMs: 1 }, []),
    status: "rejected",
    httpStatus: 500,
    body: "x".repeat(2000),
  });

  it("is said when a trial ends, and all that was stored before stays readable", () => {
    const { store, key } = nearlyFull();
    for (let index = 0; index < 100; index += 1) store.appendRequest(key, big(index));
    const end = {
      summary: undefined,
      status: "failed",
      windowTokens: new Map(),
      window: undefined,
    } as const;
    let error: unknown;
    try {
      store.endTrial(key, end);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(UserError);
    expect(error).toMatchObject({
      exitCode: exitCode.failed,
      parts: [{ what: "the disk is full; everything stored before is safe", where: path }],
    });
    expect(store.samplesOf(run)).toHaveLength(1);
    expect(() => {
      store.close();
    }).toThrow("the disk is full");
    check(path);

    // With room again the run goes on: the trial is missing, not half there.
    const roomy = Store.open(path);
    expect(roomy.samplesOf(run).map(({ requests }) => requests.length)).toEqual([5]);
    expect(roomy.missingTrials(run).map(({ variant }) => variant)).toEqual(["q8"]);
    roomy.close();
  });

  it("is said at the next append when it was met in the background", () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const { store, key } = nearlyFull();
    for (let index = 0; index < 100; index += 1) store.appendRequest(key, big(index));
    vi.advanceTimersByTime(1000);
    vi.useRealTimers();
    expect(() => {
      store.appendRequest(key, big(100));
    }).toThrow("the disk is full");
    expect(() => {
      store.close();
    }).toThrow("the disk is full");
  });
});

/** Root may write anywhere: a test of what may not be written runs as nobody. */
function asNobody<T>(step: () => T): T {
  if (process.getuid?.() !== 0) return step();
  process.seteuid?.(65534);
  try {
    return step();
  } finally {
    process.seteuid?.(0);
  }
}

describe("a path that is no good", () => {
  const refused = (file: string, options?: Parameters<typeof Store.open>[1]): string => {
    try {
      asNobody(() => {
        Store.open(file, options).close();
      });
    } catch (error) {
      if (error instanceof UserError) return error.message;
      throw error;
    }
    return "opened";
  };

  beforeEach(() => {
    chmodSync(folder, 0o755);
  });

  it("is refused when the folder can't be written, whether the file is there or not", () => {
    Store.open(path).close();
    chmodSync(path, 0o444);
    chmodSync(folder, 0o555);
    const said =
      /can't be opened: .*\n {2}at {3}.*\n {2}mend make the folder and the file writable/;
    expect(refused(path)).toMatch(said);
    expect(refused(join(folder, "other.db"))).toMatch(said);
    expect(refused(join(folder, "data", "other.db"))).toMatch(said);
    chmodSync(folder, 0o755);
  });

  it("is refused when a file stands where the folder should", () => {
    writeFileSync(join(folder, "data"), "");
    expect(refused(join(folder, "data", "benchbook.db"))).toContain("can't be opened");
    mkdirSync(path);
    expect(refused(path)).toContain("can't be opened");
  });

  it("is refused for reading when nothing is there", () => {
    expect(refused(path, { readonly: true })).toContain("can't be opened");
    expect(refused(join(folder, "none", "x.db"), { readonly: true })).toContain("can't be opened");
  });

  it("is refused when the file is no database, or another program's, and it is left alone", () => {
    writeFileSync(path, "hello ".repeat(1000));
    expect(() => Store.open(path)).toThrow(/this file is not a database\n {2}at {3}.*benchbook.db/);
    const other = join(folder, "other.db");
    const db = new SqliteDatabase(other);
    db.exec("CREATE TABLE mine (a)");
    db.close();
    expect(() => Store.open(other)).toThrow("was not made by benchbook");
    const again = new SqliteDatabase(other);
    expect(again.pragma("journal_mode", { simple: true })).toBe("delete");
    again.close();
  });

  it("is refused when another program keeps it locked", () => {
    const store = Store.open(path, { lockPatienceMs: 1 });
    const other = new SqliteDatabase(path);
    other.exec("BEGIN IMMEDIATE");
    expect(() => {
      store.createRun(caseHeader("20251219T103940Z-quickstart-0001"));
    }).toThrow(
      /another program kept the database locked for too long\n {2}at {3}.*\n {2}mend close/,
    );
    other.close();
    store.createRun(caseHeader("20251219T103940Z-quickstart-0001"));
    store.close();
  });
});
