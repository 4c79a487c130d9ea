// The open loop: requests are sent when they are due, whether or not earlier ones were answered. What
// is late (the client was busy, or a prompt was not made yet) is sent at once, and `sent - due` shows it.
import { beginLoad, type LoadOptions, type RunningLoad } from "./load.ts";
import type { RequestPhase, RequestRecord } from "./request-record.ts";
import { type Arrival, createSchedule } from "./schedule.ts";
import { createTally } from "./tally.ts";
import { setPreciseTimer } from "./timer.ts";

/** One turn of a conversation that began with an arrival. */
interface Turn {
  readonly conversation: number;
  readonly turn: number;
  readonly phase: RequestPhase;
  /** Since the trial's zero. */
  readonly dueAtMs: number;
}

/**
 * Runs an open loop; what is due at its begin is handed to the client before this returns. Each
 * arrival begins a conversation; a later turn is due when the one before it was answered, and is of
 * the phase of that time. The trial is over when its window has ended and all that is measured has;
 * until then arrivals go on as filler.
 *
 * Of a trial that threads share, thread t of T sends the arrivals i with i % T = t.
 */
export function runOpenLoop(options: LoadOptions): RunningLoad {
  const { input, sinceZero, setTimer = setPreciseTimer } = options;
  const { source, load } = input;
  if (load.kind === "concurrency") throw new Error("a concurrency is no open loop");
  const { thread, threads } = options.share ?? { thread: 0, threads: 1 };
  const tally = createTally(options.memory);
  const schedule = createSchedule({ ...input, load });
  const openedAtMs = tally.setTime("opened", sinceZero());
  let next: Arrival | undefined;
  let cancelTimer = (): void => undefined;
  /** Their request is not made yet. */
  let starved: Turn[] = [];

  /** Goes to the next arrival that is this thread's. */
  const advance = (): void => {
    do next = schedule.next();
    while (next !== undefined && next.number % threads !== thread);
  };

  const sendDue = (): void => {
    while (next !== undefined && !life.isOver) {
      const { number, phase } = next;
      const dueAtMs = openedAtMs + next.dueAtMs;
      const waitMs = dueAtMs - sinceZero();
      if (waitMs > 0) {
        cancelTimer = setTimer(() => {
          life.run(sendDue);
        }, waitMs);
        return;
      }
      tally.add("tickets", source.turns);
      send({ conversation: number, turn: 0, phase, dueAtMs });
      if (phase === "filler") closeWindow();
      advance();
    }
    if (next === undefined) closeWindow();
  };

  /** The window has ended: from now on the trial waits for its measured requests alone. */
  const closeWindow = (): void => {
    tally.change("measuredTotal", 0, (schedule.measuredTotal ?? 0) + 1);
    if (!life.isOver && isOver()) life.end({ kind: "complete" });
  };
  const isOver = (): boolean => {
    const arrivals = tally.read("measuredTotal") - 1;
    return arrivals >= 0 && tally.read("measuredDone") >= arrivals + tally.read("measuredTurns");
  };

  const send = (turn: Turn): void => {
    const { conversation, phase, dueAtMs } = turn;
    const wanted = conversation * source.turns + turn.turn;
    const prepared = source.request(wanted);
    if (prepared === undefined) {
      if (source.total === undefined || wanted < source.total) starved.push(turn);
      else if (phase !== "filler") endShort(source.total);
      return;
    }
    const index = source.turns === 1 ? conversation : tally.add("turns") - 1;
    life.send({ index, phase, dueAtMs, prepared }, (record) => {
      const later = laterTurn(turn, record);
      // Before the request counts as done, so that no other thread finds everything done between.
      if (later?.phase === "measured") tally.add("measuredTurns");
      if (phase === "measured") tally.add("measuredDone");
      return {
        isLast: isOver(),
        follow: () => {
          if (later !== undefined) send(later);
        },
      };
    });
  };

  /** The turn that follows a request; undefined: its conversation is over, or broke off. */
  const laterTurn = ({ conversation, turn }: Turn, record: RequestRecord): Turn | undefined => {
    if (turn + 1 === source.turns || record.status !== "completed") return undefined;
    const dueAtMs = record.endedAtMs;
    // The schedule knows the phases up to its next arrival.
    if (next !== undefined && openedAtMs + next.dueAtMs <= dueAtMs) {
      cancelTimer();
      sendDue();
    }
    return { conversation, turn: turn + 1, phase: schedule.phaseAt(dueAtMs - openedAtMs), dueAtMs };
  };

  const endShort = (requests: number): void => {
    const reason = `there are only ${requests} requests: too few for the warm-up and the measured ones`;
    life.end({ kind: "aborted", reason });
  };

  const life = beginLoad(options, tally, {
    poked() {
      const hungry = starved;
      starved = [];
      for (const turn of hungry) if (!life.isOver) send(turn);
    },
    stopped() {
      cancelTimer();
    },
    expected: () => tally.read("tickets"),
  });
  source.onMore(() => {
    life.running.poke();
  });
  life.run(() => {
    const { measured, warmupRequests, traceAtMs } = input;
    const needed = warmupRequests + (measured.kind === "count" ? measured.requests : 1);
    if (traceAtMs !== undefined && traceAtMs.length < needed) endShort(traceAtMs.length);
    else {
      advance();
      sendDue();
    }
  });
  return life.running;
}
