// The closed loop: so many slots, each sends its next request when its last one ended. Runs on
// events alone; whoever reads its records can't slow it.
import { createCohort } from "./cohort.ts";
import { isFailure, restAfterFailuresMs } from "./failures.ts";
import { beginLoad, type LoadOptions, type RunningLoad } from "./load.ts";
import type { RequestPhase, RequestRecord } from "./request-record.ts";
import { createTally } from "./tally.ts";
import { setPreciseTimer } from "./timer.ts";

/** A request that has its place in the load and may still wait to be made. */
interface Place {
  readonly ticket: number;
  readonly phase: RequestPhase;
  readonly dueAtMs: number;
}

interface Slot {
  failuresInARow: number;
  cancelRest: () => void;
  /** The conversation that the slot holds, and its next turn. */
  conversation: { readonly number: number; turn: number } | undefined;
  place: Place | undefined;
}

/**
 * Runs a closed loop; its first wave is handed to the client before this returns. A conversation
 * keeps its slot from turn to turn, and ends early with a turn that fails. In a closed loop
 * `dueAtMs` is when the slot became free; for the first wave, when the load began.
 *
 * Of a trial that threads share each has its part of the slots; every dispatch, in whatever thread,
 * takes the trial's next ticket, which is the request's index and decides its phase and prompt.
 */
export function runClosedLoop(options: LoadOptions): RunningLoad {
  const { input, sinceZero, setTimer = setPreciseTimer, tellOthers } = options;
  const { source } = input;
  const { thread, threads } = options.share ?? { thread: 0, threads: 1 };
  if (input.load.kind !== "concurrency") throw new Error(`a ${input.load.kind} is no closed loop`);
  const { concurrency } = input.load;
  const tally = createTally(options.memory);
  const cohort = createCohort({ ...input, total: source.total }, tally);
  const slots = Array.from(
    { length: Math.ceil((concurrency - thread) / threads) },
    (): Slot => ({
      failuresInARow: 0,
      cancelRest: () => undefined,
      conversation: undefined,
      place: undefined,
    }),
  );
  /** Nothing to send until another request ends. */
  let waiting: Slot[] = [];
  /** Their request is not made yet. */
  let starved: Slot[] = [];

  const useSlot = (slot: Slot, dueAtMs: number): void => {
    if (life.isOver) return;
    const holds = source.turns === 1 || takeConversation(slot);
    const step = holds ? cohort.next(sinceZero()) : ({ kind: "none" } as const);
    if (step.kind === "over") life.end({ kind: "complete" });
    else if (step.kind === "wait") waiting.push(slot);
    else if (step.kind === "none") retire();
    else {
      if (source.turns === 1) tally.add("tickets");
      slot.place = { ticket: step.ticket, phase: step.phase, dueAtMs };
      sendFrom(slot);
    }
  };

  const takeConversation = (slot: Slot): boolean => {
    if (slot.conversation !== undefined) return true;
    const number = tally.add("conversations") - 1;
    tally.add("tickets", source.turns);
    if (source.total !== undefined && (number + 1) * source.turns > source.total) return false;
    slot.conversation = { number, turn: 0 };
    return true;
  };

  const sendFrom = (slot: Slot): void => {
    const { place, conversation } = slot;
    if (place === undefined) return;
    const { ticket, phase, dueAtMs } = place;
    const prepared = source.request(
      conversation === undefined ? ticket : conversation.number * source.turns + conversation.turn,
    );
    if (prepared === undefined) {
      starved.push(slot);
      return;
    }
    slot.place = undefined;
    life.send({ index: ticket, phase, dueAtMs, prepared }, (record) => {
      const counted = cohort.ended(phase, record.endedAtMs);
      if (counted === "drained" && input.window === "fixed") tellOthers?.();
      return {
        isLast: counted === "over",
        follow: () => {
          free(slot, record);
        },
      };
    });
  };

  const free = (slot: Slot, record: RequestRecord): void => {
    if (input.window === "fixed") wake(record.endedAtMs);
    endTurn(slot, record);
    slot.failuresInARow = isFailure(record) ? slot.failuresInARow + 1 : 0;
    const restMs = restAfterFailuresMs(slot.failuresInARow);
    const dueAtMs = record.endedAtMs + restMs;
    if (restMs === 0) useSlot(slot, dueAtMs);
    else
      slot.cancelRest = setTimer(() => {
        life.run(() => {
          useSlot(slot, dueAtMs);
        });
      }, restMs);
  };

  const endTurn = (slot: Slot, record: RequestRecord): void => {
    const { conversation } = slot;
    if (conversation === undefined) return;
    conversation.turn += 1;
    if (isFailure(record) || conversation.turn === source.turns) slot.conversation = undefined;
  };

  /** A slot for which there is no request any more. */
  const retire = (): void => {
    if (tally.add("retired") < concurrency) return;
    const { measuredDone } = cohort;
    const reason = `the workload has no more requests: ${measuredDone} were measured`;
    life.end({ kind: "aborted", reason });
  };

  const wake = (atMs: number): void => {
    const woken = waiting;
    waiting = [];
    for (const slot of woken) useSlot(slot, atMs);
  };

  const life = beginLoad(options, tally, {
    poked() {
      const hungry = starved;
      starved = [];
      for (const slot of hungry) if (!life.isOver) sendFrom(slot);
      wake(sinceZero());
    },
    stopped() {
      for (const slot of slots) slot.cancelRest();
    },
    expected: () => 2 * concurrency,
  });
  source.onMore(() => {
    life.running.poke();
  });
  life.run(() => {
    const openedAtMs = sinceZero();
    for (const slot of slots) useSlot(slot, openedAtMs);
  });
  return life.running;
}
