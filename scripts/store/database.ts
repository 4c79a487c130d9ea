// Opens the SQLite file as the store wants it, and turns what a person can mend (a full disk, a
// folder that can't be written, a lock that stays) from SQLite's codes into advice.
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import SqliteDatabase, { type Database } from "better-sqlite3";
import { type ExitCode, exitCode, systemCodeOf, UserError } from "../errors.ts";
import { nowMs } from "../units.ts";
import { checkVersion, migrate } from "./schema.ts";
import { migrations } from "./tables.ts";

export interface DatabaseOptions {
  readonly readonly: boolean;
  /** How long to wait for another process's lock before giving up. */
  readonly lockPatienceMs: number;
  /** Quota of the file in pages of 16 KiB; undefined: only the disk limits it. */
  readonly maxPages: number | undefined;
}

/**
 * Opens `path`, making folder and file where they are missing (not when readonly), at this program's
 * schema version. WAL: readers never wait for the writer, nor it for them.
 *
 * @throws UserError for everything a person can mend.
 */
export function openDatabase(path: string, options: DatabaseOptions): Database {
  return withAdvice(path, () => {
    if (!options.readonly) mkdirSync(dirname(path), { recursive: true });
    const db = new SqliteDatabase(path, {
      readonly: options.readonly,
      timeout: options.lockPatienceMs,
    });
    try {
      if (options.readonly) requireCurrent(db, path);
      else prepareForWriting(db, path, options);
      return db;
    } catch (error) {
      db.close();
      throw error;
    }
  });
}

function prepareForWriting(db: Database, path: string, options: DatabaseOptions): void {
  checkVersion(db, path);
  db.pragma("page_size = 16384");
  patiently(options.lockPatienceMs, () => db.pragma("journal_mode = WAL"));
  // Checkpoints sync the disk and would stall the client in the middle of a trial: the store makes
  // them itself, between trials.
  db.pragma("wal_autocheckpoint = 0");
  db.pragma("foreign_keys = ON");
  if (options.maxPages !== undefined) db.pragma(`max_page_count = ${options.maxPages}`);
  migrate(db, path);
}

function requireCurrent(db: Database, path: string): void {
  if (checkVersion(db, path) === migrations.length) return;
  throw new UserError({
    what: "the database is of an older benchbook and must be brought up to date before it is read",
    where: path,
    mend: "`benchbook list` where the file can be written: it brings the file up to date",
  });
}

/**
 * Tries again while another process holds the file. Turning a file to WAL is the one step for which
 * SQLite does not wait by itself.
 */
function patiently<T>(patienceMs: number, step: () => T): T {
  const deadline = nowMs() + patienceMs;
  for (;;) {
    try {
      return step();
    } catch (error) {
      if (systemCodeOf(error) !== "SQLITE_BUSY" || nowMs() > deadline) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
    }
  }
}

/** True for a lock of another process that did not go away in time. */
export function isBusy(error: unknown): boolean {
  return /^SQLITE_(BUSY|LOCKED)/.test(systemCodeOf(error) ?? "");
}

/**
 * Runs `step`; what it throws and a person can mend becomes a UserError about `path`, all else is
 * thrown as it is.
 */
export function withAdvice<T>(path: string, step: () => T): T {
  try {
    return step();
  } catch (error) {
    const code = systemCodeOf(error) ?? (error instanceof TypeError ? error.message : "");
    const advice = advices.find(([pattern]) => pattern.test(code));
    if (advice === undefined) throw error;
    const [, what, mend, exit] = advice;
    throw new UserError({ what, where: path, mend }, { exitCode: exit, cause: error });
  }
}

/** SQLite's or the system's code (better-sqlite3 gives a missing folder no code), what it means, what helps. */
const advices: readonly (readonly [pattern: RegExp, what: string, mend: string, exit: ExitCode])[] =
  [
    [
      /^SQLITE_NOTADB$/,
      "this file is not a database",
      "move it away (benchbook makes a new one), or another project folder with --project",
      exitCode.wrongUse,
    ],
    [
      /^SQLITE_CORRUPT/,
      "the database is damaged",
      "a copy of it, or `sqlite3 FILE .recover` to save what can be read",
      exitCode.failed,
    ],
    [
      /^(SQLITE_FULL|ENOSPC|EDQUOT|SQLITE_IOERR_SHMSIZE)$/,
      "the disk is full; everything stored before is safe",
      "make room, then `benchbook run --resume`",
      exitCode.failed,
    ],
    [
      /^SQLITE_IOERR_(WRITE|FSYNC|DIR_FSYNC|TRUNCATE|READ|SHORT_READ)$/,
      "the disk refused to read or write",
      "look at the disk (dmesg), or another project folder with --project",
      exitCode.failed,
    ],
    [
      /^SQLITE_(BUSY|LOCKED)/,
      "another program kept the database locked for too long",
      "close programs that hold it open for writing (an SQLite browser, a backup), then once more",
      exitCode.failed,
    ],
    [
      /^(SQLITE_READONLY|SQLITE_CANTOPEN|SQLITE_PERM|SQLITE_AUTH|EACCES|EPERM|EROFS|ENOENT|ENOTDIR|EEXIST)|directory does not exist/,
      "the database can't be opened: its file or folder is missing or can't be written",
      "make the folder and the file writable (SQLite keeps two more files beside it), or another project folder with --project",
      exitCode.wrongUse,
    ],
  ];
