// A process of its own that writes runs, for the tests of what survives two writers and a kill:
//   node dist/testing/store-writer.js FILE RUN TRIALS REQUESTS PAUSE_MS
// It says on stdout, a JSON line each, what it appended and when, and which trials it ended.
import { writeSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { Store } from "../store/store.ts";
import { nowMs } from "../units.ts";
import { caseAt, caseBegin, caseHeader, caseLeg, caseRecord, caseSummary } from "./store-case.ts";

/** A line that the writer says. */
export type WriterLine =
  | {
      readonly kind: "request";
      readonly trial: string;
      readonly index: number;
      readonly atMs: number;
    }
  | { readonly kind: "ended"; readonly trial: string }
  | { readonly kind: "done" };

const [file = "", run = "", trials = "", requests = "", pauseMs = ""] = process.argv.slice(2);

const say = (line: WriterLine): void => {
  writeSync(1, `${JSON.stringify(line)}\n`);
};

const store = Store.open(file);
store.createRun(caseHeader(run));
const leg = store.beginLeg(run, { ...caseLeg, pid: process.pid });
const start = store.beginStart(run, { leg, variant: "fp32", round: 1, startedAt: caseAt });
for (let number = 1; number <= Number(trials); number += 1) {
  const begin = caseBegin("fp32", start);
  const trial = `trial-${number}`;
  const key = store.beginTrial(run, { ...begin, trial: { ...begin.trial, id: trial } });
  for (let index = 0; index < Number(requests); index += 1) {
    const times = { dueAtMs: index, sentAtMs: index, endedAtMs: index + 40 };
    const chunks = Array.from({ length: 32 }, (_, chunk) => index + chunk + 1);
    store.appendRequest(key, caseRecord(index, "measured", times, chunks));
    say({ kind: "request", trial, index, atMs: nowMs() });
    if (Number(pauseMs) > 0) await pause(Number(pauseMs));
  }
  store.endTrial(key, {
    summary: caseSummary,
    status: "measured",
    windowTokens: new Map(),
    window: undefined,
  });
  say({ kind: "ended", trial });
}
store.endLeg(run, leg, { endedAt: caseAt, reason: "complete" });
store.close();
say({ kind: "done" });
