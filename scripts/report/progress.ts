// Shows a run as it goes: a bar with the time left on a terminal, plain lines elsewhere.
import { MultiBar, Presets, type SingleBar } from "cli-progress";
import { formatDuration, nowMs } from "../units.ts";

export interface TrialStep {
  readonly point: string;
  readonly round: number;
  /** At most, where they are on demand. */
  readonly rounds: number;
  /** Rounds that are measured in any case; absent: all of them are. */
  readonly roundsForSure?: number | undefined;
}

export interface Progress {
  /** A line that stays: an engine that starts, a trial that failed. */
  say(line: string): void;
  trialBegan(step: TrialStep): void;
  /** Requests of the measured cohort that are done, and what is in flight. */
  trialMoved(done: number, total: number | undefined, inFlight: number): void;
  /** @param result a few words for the plain line: "QPS 12.3, TTFT 45 ms" */
  trialEnded(step: TrialStep, result: string): void;
  /** Rounds on demand: trials of these points are likely to come up to this round, and no more. */
  expectRounds(lastRound: number, points: readonly string[]): void;
  close(): void;
}

/**
 * @param trials points and rounds that will be measured, in order: what the time left is made of
 * @param stream stderr; results own stdout
 */
export function createProgress(
  trials: readonly TrialStep[],
  stream: NodeJS.WriteStream = process.stderr,
): Progress {
  const clock = estimateTimeLeft(trials);
  return stream.isTTY ? barProgress(clock, stream) : lineProgress(clock, stream);
}

/** How long the trials that are left will take, from those that ended. */
interface TimeLeft {
  began(step: TrialStep): void;
  ended(step: TrialStep): void;
  /** Leaves the points' trials of later rounds out, and takes those up to this round in again. */
  expectRounds(lastRound: number, points: readonly string[]): void;
  /** Trials that ended and that are expected. */
  trials(): { readonly ended: number; readonly total: number };
  /** Milliseconds; undefined until a trial has ended. */
  left(): number | undefined;
}

/**
 * A trial is expected to take what the same point took before, else the mean of those seen; what
 * passes between trials (starts, snapshots) is shared out among them.
 */
export function estimateTimeLeft(
  trials: readonly TrialStep[],
  clock: () => number = nowMs,
): TimeLeft {
  const beganMs = clock();
  const durations = new Map<string, number>();
  const left = [...trials];
  /** By point, where it is not the last of the plan. */
  const lastRounds = new Map<string, number>();
  const expected = (): readonly TrialStep[] =>
    left.filter(({ point, round }) => round <= (lastRounds.get(point) ?? round));
  let trialBeganMs = beganMs;
  let spentInTrialsMs = 0;
  let endedTrials = 0;
  return {
    began: () => {
      trialBeganMs = clock();
    },
    ended: (step) => {
      const tookMs = clock() - trialBeganMs;
      durations.set(step.point, tookMs);
      spentInTrialsMs += tookMs;
      endedTrials += 1;
      const position = left.findIndex(
        ({ point, round }) => point === step.point && round === step.round,
      );
      if (position >= 0) left.splice(position, 1);
    },
    expectRounds: (lastRound, points) => {
      for (const point of points) lastRounds.set(point, lastRound);
    },
    trials: () => ({ ended: endedTrials, total: endedTrials + expected().length }),
    left: () => {
      if (endedTrials === 0) return undefined;
      const meanMs = spentInTrialsMs / endedTrials;
      const besideMs = Math.max(0, clock() - beganMs - spentInTrialsMs) / endedTrials;
      return expected().reduce(
        (sum, { point }) => sum + (durations.get(point) ?? meanMs) + besideMs,
        0,
      );
    },
  };
}

function timeLeftText(clock: TimeLeft): string {
  const leftMs = clock.left();
  return leftMs === undefined ? "time left not known yet" : `about ${formatDuration(leftMs)} left`;
}

function barProgress(clock: TimeLeft, stream: NodeJS.WriteStream): Progress {
  const bars = new MultiBar(
    {
      stream,
      clearOnComplete: true,
      hideCursor: true,
      format: "{bar} {value}/{total} trials  {left}  {what}",
      barsize: 24,
    },
    Presets.shades_classic,
  );
  const bar: SingleBar = bars.create(clock.trials().total, 0, {
    left: timeLeftText(clock),
    what: "",
  });
  let current = "";
  return {
    say: (line) => {
      bars.log(`${line}\n`);
    },
    trialBegan: (step) => {
      clock.began(step);
      current = stepText(step);
      bar.update({ what: current });
    },
    trialMoved: (done, of, inFlight) => {
      const requests = of === undefined ? `${done} requests` : `${done}/${of} requests`;
      bar.update({ what: `${current}: ${requests}, ${inFlight} in flight` });
    },
    trialEnded: (step, result) => {
      clock.ended(step);
      bar.increment(1, { left: timeLeftText(clock) });
      bars.log(`${stepText(step)}: ${result}\n`);
    },
    expectRounds: (lastRound, points) => {
      clock.expectRounds(lastRound, points);
      bar.setTotal(clock.trials().total);
      bar.update({ left: timeLeftText(clock) });
    },
    close: () => {
      bars.stop();
    },
  };
}

function lineProgress(clock: TimeLeft, stream: NodeJS.WriteStream): Progress {
  const say = (line: string): void => {
    stream.write(`${line}\n`);
  };
  return {
    say,
    trialBegan: (step) => {
      clock.began(step);
    },
    trialMoved: () => undefined,
    trialEnded: (step, result) => {
      clock.ended(step);
      const { ended, total } = clock.trials();
      say(`[${ended}/${total}] ${stepText(step)}: ${result}; ${timeLeftText(clock)}`);
    },
    expectRounds: (lastRound, points) => {
      clock.expectRounds(lastRound, points);
    },
    close: () => undefined,
  };
}

function stepText({ point, round, rounds, roundsForSure }: TrialStep): string {
  const least = roundsForSure === undefined ? "" : `${roundsForSure}-`;
  return `round ${round}/${least}${rounds} ${point}`;
}
