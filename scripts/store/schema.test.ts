// How a migration is tested. `fixtures/version-N.sql` is a database as version N of the schema left
// it, with a small run in it; it is written once (by the first test, when that version is made) and
// never again. Every such database must open today and give back its run. To make version N + 1, add
// a step to `migrations` (an empty one when only views change) and run this file once: it writes
// version-(N+1).sql, and the older fixtures prove that the step leads there.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import SqliteDatabase, { type Database } from "better-sqlite3";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { UserError } from "../errors.ts";
import {
  appendCase,
  caseAt,
  caseAudit,
  caseCalibration,
  caseEstimate,
  caseGpuReadings,
  caseHeader,
  caseReadings,
  caseRecords,
  caseRoundsEnd,
  caseSnapshot,
  caseWindowTokens,
} from "../testing/store-case.ts";
import { checkVersion, migrate } from "./schema.ts";
import { Store } from "./store.ts";
import { migrations } from "./tables.ts";
import { viewColumns } from "./views.ts";

const run = "20251219T103940Z-quickstart-3fa2";
const fixtures = join(import.meta.dirname, "fixtures");
let folder = "";
let path = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "benchbook-schema-"));
  path = join(folder, "benchbook.db");
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** The whole database as SQL: tables, rows, then what hangs on them. */
function dump(db: Database): string {
  interface Part {
    readonly type: string;
    readonly name: string;
    readonly sql: string;
  }
  const parts = db
    .prepare<[], Part>("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
    .all();
  const tables = parts.filter(({ type }) => type === "table");
  const rows = tables.flatMap(({ name }) => {
    const columns = db
      .prepare(`SELECT * FROM ${name}`)
      .columns()
      .map((column) => `quote(${column.name})`);
    return db
      .prepare<[], string>(`SELECT ${columns.join(" || ', ' || ")} FROM ${name}`)
      .pluck()
      .all()
      .map((values) => `INSERT INTO ${name} VALUES (${values})`);
  });
  const pragmas = ["application_id", "user_version"].map(
    (name) => `PRAGMA ${name} = ${String(db.pragma(name, { simple: true }))}`,
  );
  const others = parts.filter(({ type }) => type !== "table");
  return [
    ...pragmas,
    ...tables.map(({ sql }) => sql),
    ...rows,
    ...others.map(({ sql }) => sql),
    "",
  ].join(";\n");
}

function fill(store: Store): void {
  appendCase(store, run);
  store.appendNote(run, { at: caseAt, leg: 1, kind: "note", text: "说明" });
  store.appendEstimates(run, {
    definitionVersion: "1",
    rows: [{ point: "fp32/c2", estimate: caseEstimate }],
  });
  store.appendAudit(run, caseAudit);
  store.useCalibration(run, 1, store.appendCalibration(caseCalibration));
  store.appendRoundsEnd(run, caseRoundsEnd);
  store.endLeg(run, 1, { endedAt: caseAt, reason: "interrupted" });
}

describe("the schema", () => {
  it("of this version is the one that its fixture froze: a change needs a new version", async () => {
    const store = Store.open(path);
    fill(store);
    store.close();
    const db = new SqliteDatabase(path, { readonly: true });
    await expect(dump(db)).toMatchFileSnapshot(join(fixtures, `version-${migrations.length}.sql`));
    db.close();
  });

  it.each(readdirSync(fixtures))("%s opens today and gives back its run", (name) => {
    const old = new SqliteDatabase(path);
    old.exec(readFileSync(join(fixtures, name), "utf8"));
    old.close();
    const store = Store.open(path);
    const stored = store.readRun(run);
    expect(stored).toMatchObject(caseHeader(run));
    const [attempt] = stored.attempts;
    if (attempt === undefined) throw new Error("the fixture has no attempt");
    expect(store.requestsOf(attempt)).toEqual(caseRecords);
    expect(store.readingsOf(attempt)).toEqual(caseReadings);
    expect(store.gpuReadingsOf(attempt)).toEqual(caseGpuReadings);
    expect(store.windowTokensOf(attempt)).toEqual(caseWindowTokens);
    expect(store.snapshotsOf(run).map(({ snapshot }) => snapshot)).toEqual([caseSnapshot]);
    expect(store.estimatesOf(run)?.rows.map(({ estimate }) => estimate)).toEqual([caseEstimate]);
    expect(store.auditOf(run)).toEqual(caseAudit);
    const hasEnds = Number(/\d+/.exec(name)?.[0]) >= 3;
    expect(stored.roundsEnds).toEqual(hasEnds ? [caseRoundsEnd] : []);
    store.close();
    const now = new SqliteDatabase(path, { readonly: true });
    expect(checkVersion(now, path)).toBe(migrations.length);
    expect(now.prepare("SELECT DISTINCT view FROM view_column").pluck().all().toSorted()).toEqual(
      Object.keys(viewColumns).toSorted(),
    );
    now.close();
  });

  it("is brought up by later steps only, and keeps what was stored", () => {
    const store = Store.open(path);
    fill(store);
    store.close();
    const db = new SqliteDatabase(path);
    migrate(db, path, [...migrations, "ALTER TABLE run_row ADD COLUMN site TEXT"]);
    expect(db.prepare("SELECT run, site FROM run_row").raw().all()).toEqual([[run, null]]);
    expect(db.prepare("SELECT count(*) FROM request").pluck().get()).toBe(caseRecords.length);
    expect(db.pragma("user_version", { simple: true })).toBe(migrations.length + 1);
    db.close();
  });

  it("stays as it was when a step fails half-way", () => {
    Store.open(path).close();
    const db = new SqliteDatabase(path);
    const broken = "CREATE TABLE extra (a) STRICT, WITHOUT ROWID";
    expect(() => {
      migrate(db, path, [...migrations, `CREATE TABLE half (a TEXT) STRICT; ${broken}`]);
    }).toThrow();
    expect(db.pragma("user_version", { simple: true })).toBe(migrations.length);
    expect(db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'half'").get()).toBeUndefined();
    db.close();
  });

  it("of a newer benchbook is refused with advice, and the file is left as it was", () => {
    Store.open(path).close();
    const db = new SqliteDatabase(path);
    db.pragma(`user_version = ${migrations.length + 1}`);
    db.close();
    const before = readFileSync(path);
    for (const readonly of [false, true]) {
      expect(() => Store.open(path, { readonly })).toThrow(
        new UserError({
          what: `the database has schema version ${migrations.length + 1}, this benchbook knows up to ${migrations.length}`,
          where: path,
          mend: "the newer benchbook that wrote it, or another project folder with --project",
        }),
      );
    }
    expect(readFileSync(path).equals(before)).toBe(true);
  });

  it("of an older version is not brought up by a reader, which says what does", () => {
    const db = new SqliteDatabase(path);
    db.pragma("application_id = 1650618219");
    db.exec("CREATE TABLE run_row (a TEXT) STRICT");
    db.close();
    expect(() => Store.open(path, { readonly: true })).toThrow(
      /must be brought up to date before it is read/,
    );
  });
});
