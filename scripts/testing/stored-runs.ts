// What a command left behind in a project: its newest run, rows of its database, and what it printed.
import { join } from "node:path";
import { z } from "zod";
import { Store } from "../store/store.ts";
import type { StoredRun } from "../store/stored-run.ts";

/** The newest run as it is in the database of the project in `root`. */
export function newestRun(root: string): StoredRun {
  return withStore(root, (store) => store.readRun(store.resolveRun("latest")));
}

/** Rows of one SELECT on the database of the project in `root`. */
export function queryProject(root: string, sql: string): readonly (readonly unknown[])[] {
  return withStore(root, (store) => store.query(sql).rows);
}

function withStore<T>(root: string, use: (store: Store) => T): T {
  const store = Store.open(join(root, "data/benchbook.db"), { readonly: true });
  try {
    return use(store);
  } finally {
    store.close();
  }
}

/** What `run --json` prints. */
export const runResult = z.object({
  run: z.string(),
  verdict: z.enum(["valid", "qualified", "invalid"]),
  findings: z.array(z.object({ rule: z.string(), where: z.string() })),
  reports: z.array(z.string()),
});
