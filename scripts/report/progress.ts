// Shows a run as it goes: a bar with the time left on a terminal, plain lines elsewhere.
import { MultiBar, Presets, type SingleBar } from "cli-progress";
import { formatDuration, nowMs } from "../units.ts";

export interface TrialStep {
  readonly point: string;
  readonly round: number;
  readonly rounds: number;
}

export interface Progress {
  /** A line that stays: an engine that starts, a trial that failed. */
  say(line: string): void;
  trialBegan(step: TrialStep): void;
  /** Requests of the measured cohort that are done, and what is in flight. */
  trialMoved(done: number, total: number | undefined, inFlight: number): void;
  /** @param result a few words for the plain line: "QPS 12.3, TTFT 45 ms" */
  trialEnded(step: TrialStep, result: string): void;
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
  return stream.isTTY
    ? barProgress(trials.length, clock, stream)
    : lineProgress(trials.length, clock, stream);
}

/** How long the trials that are left will take, from those that ended. */
interface TimeLeft {
  began(step: TrialStep): void;
  ended(step: TrialStep): void;
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
    left: () => {
      if (endedTrials === 0) return undefined;
      const meanMs = spentInTrialsMs / endedTrials;
      const besideMs = Math.max(0, clock() - beganMs - spentInTrialsMs) / endedTrials;
      return left.reduce((sum, { point }) => sum + (durations.get(point) ?? meanMs) + besideMs, 0);
    },
  };
}

function timeLeftText(clock: TimeLeft): string {
  const leftMs = clock.left();
  return leftMs === undefined ? "time left not known yet" : `about ${formatDuration(leftMs)} left`;
}

function barProgress(total: number, clock: TimeLeft, stream: NodeJS.WriteStream): Progress {
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
  const bar: SingleBar = bars.create(total, 0, { left: timeLeftText(clock), what: "" });
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
    close: () => {
      bars.stop();
    },
  };
}

function lineProgress(total: number, clock: TimeLeft, stream: NodeJS.WriteStream): Progress {
  let ended = 0;
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
      ended += 1;
      say(`[${ended}/${total}] ${stepText(step)}: ${result}; ${timeLeftText(clock)}`);
    },
    close: () => undefined,
  };
}

function stepText({ point, round, rounds }: TrialStep): string {
  return `round ${round}/${rounds} ${point}`;
}
