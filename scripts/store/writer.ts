// The one way into the database: rows wait in memory for at most half a second, and every transaction
// takes them along.
//
// During a trial nothing is synced to the disk (a sync would stall the client): that survives the
// death of the program. Everything else is synced and survives a power cut too, which therefore
// costs at most the trial under way.
import type { Database, Statement } from "better-sqlite3";
import { messageOf } from "../errors.ts";
import { nowMs } from "../units.ts";
import { isBusy, withAdvice } from "./database.ts";

/** By column. */
export type Values = Readonly<
  Record<string, string | number | boolean | Buffer | null | undefined>
>;
type Bound = Readonly<Record<string, string | number | Buffer | null>>;

export interface WriterOptions {
  readonly flushEveryMs: number;
  readonly lockPatienceMs: number;
}

/** A lock during a trial is waited for only so long; the rows stay in memory and are tried again. */
const lockPatienceInTrialMs = 50;

/**
 * Beyond so many rows in memory they are written without waiting for the timer: so few that a busy
 * trial's rows die young, and do not pile up among the long-lived objects until those are collected.
 */
const largestBatch = 512;

export class Writer {
  readonly #path: string;
  readonly #db: Database;
  readonly #options: WriterOptions;
  readonly #inserts = new Map<string, Statement<[Bound]>>();
  #pending: { readonly table: string; readonly values: Bound }[] = [];
  #timer: NodeJS.Timeout | undefined;
  #lockedSinceMs: number | undefined;
  #failure: Error | undefined;
  #synced: boolean | undefined;

  constructor(path: string, db: Database, options: WriterOptions) {
    this.#path = path;
    this.#db = db;
    this.#options = options;
  }

  /**
   * Takes a row that is in the file within `flushEveryMs`.
   *
   * @throws what went wrong when earlier rows were written in the background.
   */
  append(table: string, values: Values): void {
    this.#raiseFailure();
    this.#pending.push({ table, values: bind(table, values) });
    if (this.#pending.length >= largestBatch) this.#flushInTrial();
    else this.#flushSoon();
  }

  /** Runs `step` in one transaction behind the rows in memory; all of it is on the disk when it returns. */
  write<T>(step: () => T): T {
    return this.#transact(true, step);
  }

  /** Writes and syncs the rows in memory. */
  flush(): void {
    if (this.#pending.length > 0) this.#transact(true, () => undefined);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  /** Within `write`: adds a row and gives its number. Every call for a table gives the same columns. */
  insert(table: string, values: Values): number {
    return this.#insert(table, bind(table, values));
  }

  /** Within `write`: one above the highest number that a run has in a table, from 1. */
  next(table: string, column: string, run: string): number {
    const highest = this.#db
      .prepare<[string], number | null>(`SELECT max(${column}) FROM ${table} WHERE run = ?`)
      .pluck()
      .get(run);
    return (highest ?? 0) + 1;
  }

  #flushSoon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#flushInTrial();
    }, this.#options.flushEveryMs).unref();
  }

  /** Never throws: it runs in a timer. What went wrong is thrown by the next call that can. */
  #flushInTrial(): void {
    if (this.#pending.length === 0) return;
    try {
      this.#transact(false, () => undefined);
    } catch (error) {
      const now = nowMs();
      this.#lockedSinceMs ??= now;
      const locked = error instanceof Error && isBusy(error.cause);
      if (locked && now - this.#lockedSinceMs < this.#options.lockPatienceMs) this.#flushSoon();
      else this.#failure = error instanceof Error ? error : new Error(messageOf(error));
    }
  }

  #raiseFailure(): void {
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure;
  }

  /** One transaction: first what is in memory, then `step`. */
  #transact<T>(synced: boolean, step: () => T): T {
    return withAdvice(this.#path, () => {
      this.#setSynced(synced);
      const result = this.#db
        .transaction(() => {
          for (const { table, values } of this.#pending) this.#insert(table, values);
          return step();
        })
        .immediate();
      this.#pending = [];
      this.#failure = undefined;
      this.#lockedSinceMs = undefined;
      return result;
    });
  }

  #setSynced(synced: boolean): void {
    if (synced === this.#synced) return;
    const patienceMs = synced ? this.#options.lockPatienceMs : lockPatienceInTrialMs;
    this.#db.pragma(`synchronous = ${synced ? "FULL" : "NORMAL"}`);
    this.#db.pragma(`busy_timeout = ${patienceMs}`);
    this.#synced = synced;
  }

  #insert(table: string, values: Bound): number {
    let insert = this.#inserts.get(table);
    if (insert === undefined) {
      const columns = Object.keys(values);
      insert = this.#db.prepare<[Bound]>(
        `INSERT INTO ${table} (${columns.join(", ")}) VALUES (@${columns.join(", @")})`,
      );
      this.#inserts.set(table, insert);
    }
    return Number(insert.run(values).lastInsertRowid);
  }
}

/**
 * Values as SQLite takes them. A number that is none is a bug of the caller and must show at its
 * call: SQLite would store NULL.
 */
function bind(table: string, values: Values): Bound {
  const bound: Record<string, string | number | Buffer | null> = {};
  for (const [column, value] of Object.entries(values)) {
    if (typeof value === "number" && !Number.isFinite(value)) {
      throw new RangeError(`${table}.${column} must be a finite number, got ${value}`);
    }
    bound[column] = typeof value === "boolean" ? Number(value) : (value ?? null);
  }
  return bound;
}
