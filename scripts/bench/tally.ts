// What the threads of one trial must agree on, in memory that they share: how many requests went out,
// ended and failed, and how the trial ended. One thread alone uses the same code.
import type { DriveSummary } from "./request-record.ts";

type Outcome = DriveSummary["outcome"];

/** Whole numbers of 32 bits, each changed by atomic operations alone. */
const words = [
  /** Requests of the source that were begun; a conversation counts with all its turns. */
  "tickets",
  /** Of a closed loop: dispatches, and in a high bit whether a measured duration has ended. */
  "cohort",
  /** Of an open loop of conversations: turns dispatched. */
  "turns",
  /** Conversations begun. */
  "conversations",
  /** Slots of a closed loop that have no more to send. */
  "retired",
  "warmupsDone",
  "measuredDone",
  /** Measured requests that there will be, plus 1; 0: not known yet. */
  "measuredTotal",
  /** Measured turns of conversations after their first, in an open loop. */
  "measuredTurns",
  "completed",
  "failed",
  /** 0: goes on; 1: one thread writes how it ended; 2: complete; 3: aborted. */
  "end",
  "reasonBytes",
] as const;
type Word = (typeof words)[number];

/** Times of the trial, each set once: whole microseconds, plus 1 so that 0 is "not yet". */
const times = ["opened", "firstMeasured"] as const;
type Time = (typeof times)[number];

const timesAt = 8 * Math.ceil((4 * words.length) / 8);
const reasonAt = timesAt + 8 * times.length;
/** A longer reason of an aborted trial is cut. */
const mostReasonBytes = 4096;

/** The memory of one trial: every thread of it makes its tally over the same one. */
export function newTrialMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(reasonAt + mostReasonBytes);
}

export interface Tally {
  read(word: Word): number;
  /** @returns the number after it */
  add(word: Word, by?: number): number;
  /** Sets a number that still is `from`. @returns whether it was, and so is `to` now */
  change(word: Word, from: number, to: number): boolean;
  /** Sets a time that was not set before. @returns the time as it is set, ms */
  setTime(time: Time, atMs: number): number;
  /** ms; undefined: not set yet. */
  timeOf(time: Time): number | undefined;
  /** Ends the trial; the first end counts. @returns whether it was this one */
  end(outcome: Outcome): boolean;
  /** How the trial ended, in any thread; undefined: it goes on. */
  readonly outcome: Outcome | undefined;
}

/** A trial's tally over its memory; without one, over memory of its own. */
export function createTally(memory: SharedArrayBuffer = newTrialMemory()): Tally {
  const numbers = new Int32Array(memory, 0, words.length);
  const stamps = new BigInt64Array(memory, timesAt, times.length);
  const reason = new Uint8Array(memory, reasonAt, mostReasonBytes);
  const read = (word: Word): number => Atomics.load(numbers, words.indexOf(word));
  const change = (word: Word, from: number, to: number): boolean =>
    Atomics.compareExchange(numbers, words.indexOf(word), from, to) === from;
  const timeOf = (time: Time): number | undefined => {
    const stamp = Atomics.load(stamps, times.indexOf(time));
    return stamp === 0n ? undefined : Number(stamp - 1n) / 1000;
  };

  return {
    read,
    add: (word, by = 1) => Atomics.add(numbers, words.indexOf(word), by) + by,
    change,
    timeOf,
    setTime(time, atMs) {
      const stamp = BigInt(Math.round(atMs * 1000)) + 1n;
      Atomics.compareExchange(stamps, times.indexOf(time), 0n, stamp);
      return timeOf(time) ?? atMs;
    },
    end(outcome) {
      if (!change("end", 0, 1)) return false;
      if (outcome.kind === "aborted") {
        const bytes = new TextEncoder().encode(outcome.reason).subarray(0, mostReasonBytes);
        reason.set(bytes);
        Atomics.store(numbers, words.indexOf("reasonBytes"), bytes.length);
      }
      Atomics.store(numbers, words.indexOf("end"), outcome.kind === "complete" ? 2 : 3);
      return true;
    },
    get outcome(): Outcome | undefined {
      const end = read("end");
      if (end < 2) return undefined;
      if (end === 2) return { kind: "complete" };
      // A copy: decoders take no shared memory.
      const bytes = reason.slice(0, read("reasonBytes"));
      return { kind: "aborted", reason: new TextDecoder().decode(bytes).replace(/\uFFFD+$/, "") };
    },
  };
}
