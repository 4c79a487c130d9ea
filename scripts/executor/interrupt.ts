// Ctrl-C once stops well, twice leaves at once.
import { exitCode } from "../errors.ts";

export interface Interrupt {
  /** Aborted by the first signal. */
  readonly signal: AbortSignal;
  /** Gives the signals back their usual meaning. */
  release(): void;
}

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Listens for Ctrl-C. Engines that benchbook started end with it even when it leaves at once: their
 * standard input closes.
 */
export function stopOnSignals(talk: (line: string) => void): Interrupt {
  const controller = new AbortController();
  const onSignal = (): void => {
    if (controller.signal.aborted) process.exit(exitCode.interrupted);
    talk("Stopping: the engine is stopped, what was measured is kept. Once more leaves at once.");
    controller.abort("interrupted");
  };
  for (const signal of signals) process.on(signal, onSignal);
  return {
    signal: controller.signal,
    release: () => {
      for (const signal of signals) process.off(signal, onSignal);
    },
  };
}
