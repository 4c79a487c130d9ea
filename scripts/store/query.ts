// One SELECT over the views, bounded in rows and time, on a connection that can't write: what a
// notebook's `sql` cell and a curious person run.
import SqliteDatabase, { type Database } from "better-sqlite3";
import { messageOf, systemCodeOf, UserError } from "../errors.ts";
import { nowMs } from "../units.ts";
import { decodeChunkTimes } from "./chunk-times.ts";
import { withAdvice } from "./database.ts";

type SqlValue = string | number | Buffer | null;
/** By position (`?`) or by name (`@run`). */
export type SqlParameters = readonly SqlValue[] | Readonly<Record<string, SqlValue>>;

export interface QueryLimits {
  readonly maxRows?: number;
  /** Looked at whenever a row is ready: a SELECT that thinks long before its first row runs on. */
  readonly maxMs?: number;
}

export interface QueryResult {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly SqlValue[])[];
  /** There were more rows than `maxRows`. */
  readonly cut: boolean;
}

/** @throws UserError for SQL that is wrong, is no SELECT, or takes too long. */
export function runQuery(
  path: string,
  sql: string,
  parameters: SqlParameters = [],
  { maxRows = 10_000, maxMs = 10_000 }: QueryLimits = {},
): QueryResult {
  return withAdvice(path, () => {
    const db = new SqliteDatabase(path, { readonly: true });
    try {
      offerChunkGap(db);
      return select(db, sql, parameters, maxRows, maxMs);
    } catch (error) {
      if (!isWrongSql(error)) throw error;
      throw new UserError(
        { what: `the query is wrong: ${messageOf(error)}`, where: sql, mend: columnsAdvice },
        { cause: error },
      );
    } finally {
      db.close();
    }
  });
}

/** SQLite's word for wrong SQL, or better-sqlite3's for parameters that do not fit it. */
function isWrongSql(error: unknown): boolean {
  const code = systemCodeOf(error);
  return code === undefined
    ? error instanceof RangeError || error instanceof TypeError
    : /^SQLITE_(ERROR|RANGE|MISMATCH)$/.test(code);
}

const columnsAdvice =
  "SELECT name, meaning FROM view_column WHERE view = 'request', which lists the columns";

function select(
  db: Database,
  sql: string,
  parameters: SqlParameters,
  maxRows: number,
  maxMs: number,
): QueryResult {
  const statement = db.prepare<[SqlParameters], SqlValue[]>(sql);
  if (!statement.reader || !statement.readonly) {
    throw new UserError({
      what: "a query must be one SELECT: what was measured is never changed",
      where: sql,
      mend: "a statement that begins with SELECT or WITH",
    });
  }
  const deadline = nowMs() + maxMs;
  const rows: (readonly SqlValue[])[] = [];
  for (const row of statement.raw().iterate(parameters)) {
    if (rows.length === maxRows) return { columns: namesOf(statement.columns()), rows, cut: true };
    rows.push(row);
    if (nowMs() > deadline) {
      throw new UserError({
        what: `the query took longer than ${maxMs / 1000} s`,
        where: sql,
        mend: "WHERE run = ..., which uses an index, or fewer joins",
      });
    }
  }
  return { columns: namesOf(statement.columns()), rows, cut: false };
}

function namesOf(columns: readonly { readonly name: string }[]): readonly string[] {
  return columns.map(({ name }) => name);
}

/**
 * The table function `chunk_gap(chunk_times)`: each output chunk of a request, from 0, when it
 * arrived, and how long after the one before (NULL for the first).
 *
 * @example SELECT avg(g.gap_ms) FROM request r, chunk_gap(r.chunk_times) g WHERE r.run = @run
 */
function offerChunkGap(db: Database): void {
  db.table("chunk_gap", {
    parameters: ["chunk_times"],
    columns: ["chunk", "at_ms", "gap_ms"],
    *rows(chunkTimes: unknown) {
      if (!(chunkTimes instanceof Uint8Array)) return;
      let before: number | undefined;
      for (const [chunk, atMs] of decodeChunkTimes(chunkTimes).entries()) {
        yield [chunk, atMs, before === undefined ? null : atMs - before];
        before = atMs;
      }
    },
  });
}
