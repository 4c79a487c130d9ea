// Brings a database file to this program's schema: creates it, migrates an older one, refuses a
// newer one or somebody else's. The version is SQLite's own `user_version`.
import type { Database } from "better-sqlite3";
import { UserError } from "../errors.ts";
import { migrations } from "./tables.ts";
import { viewsSql } from "./views.ts";

/** "bbok": marks the file as benchbook's (`file` and `sqlite3` show it). */
const applicationId = 0x62626f6b;

/**
 * Migrates `db` to the newest of `steps`, all in one transaction: a kill leaves the old version.
 *
 * @throws UserError when the file is another program's or of a newer benchbook.
 */
export function migrate(db: Database, path: string, steps: readonly string[] = migrations): void {
  if (checkVersion(db, path, steps.length) === steps.length) return;
  db.transaction(() => {
    // Looked at again under the write lock: another process may have migrated meanwhile.
    const from = checkVersion(db, path, steps.length);
    if (from === steps.length) return;
    for (const step of steps.slice(from)) db.exec(step);
    db.exec(viewsSql());
    db.pragma(`application_id = ${applicationId}`);
    db.pragma(`user_version = ${steps.length}`);
  }).immediate();
}

/**
 * The file's schema version; 0 for an empty file.
 *
 * @throws UserError when the file is another program's or of a version above `newest`.
 */
export function checkVersion(db: Database, path: string, newest = migrations.length): number {
  const version = Number(db.pragma("user_version", { simple: true }));
  const owner = Number(db.pragma("application_id", { simple: true }));
  const tables = db.prepare<[], number>("SELECT count(*) FROM sqlite_schema").pluck().get() ?? 0;
  if (owner !== applicationId && (tables > 0 || version !== 0 || owner !== 0)) {
    throw new UserError({
      what: "this SQLite database was not made by benchbook",
      where: path,
      mend: "moving it away, or another project folder with --project",
    });
  }
  if (version > newest) {
    throw new UserError({
      what: `the database has schema version ${version}, this benchbook knows up to ${newest}`,
      where: path,
      mend: "the newer benchbook that wrote it, or another project folder with --project",
    });
  }
  return version;
}
