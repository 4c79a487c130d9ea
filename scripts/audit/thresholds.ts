// Every number at which a rule changes its mind, with the reason for it, in one place.

interface Threshold {
  readonly value: number;
  readonly unit: string;
  readonly reason: string;
}

export const thresholds = {
  achievedShare: {
    value: 0.95,
    unit: "of the planned concurrency",
    reason: "a client that idles more than 5 % of its slots measures a smaller load than it names",
  },
  achievedBlocksFrom: {
    value: 10,
    unit: "concurrent requests",
    reason: "below it one slow turn-around of the client weighs more than 5 %",
  },
  keptUpShare: {
    value: 0.95,
    unit: "of the offered rate",
    reason: "a server that answers less than arrives has a queue that grows for ever",
  },
  inFlightGrowth: {
    value: 1.5,
    unit: "times the requests in flight at the window's begin",
    reason:
      "a steady load keeps them level; a half more at the end of every window is a queue that grows",
  },
  inFlightGrowthFrom: {
    value: 2,
    unit: "requests",
    reason: "less is the coming and going of single requests",
  },
  engineSeesShare: {
    value: 0.9,
    unit: "of the achieved concurrency",
    reason:
      "running + waiting is sampled, so only a gap of more than 10 % tells of a cap before the engine",
  },
  engineReadings: {
    value: 10,
    unit: "readings in the window",
    reason: "fewer samples of a gauge do not make a mean",
  },
  hitRateOff: {
    value: 0.01,
    unit: "of prompt tokens",
    reason: "one point of hit rate moves prefill work by one percent",
  },
  hitRatesDiffer: {
    value: 0.005,
    unit: "of prompt tokens",
    reason: "half of what a hit rate may be off: beyond it one of two sources is wrong",
  },
  tokenCountsDiffer: {
    value: 0.005,
    unit: "of the tokens",
    reason:
      "client and server count the same events: what is left is a request in between readings",
  },
  foreignTokens: {
    value: 0.01,
    unit: "of the tokens",
    reason: "an engine that works this much for somebody else is not the planned load's alone",
  },
  chatTemplateTokens: {
    value: 256,
    unit: "tokens",
    reason:
      "no usual chat template with its default system prompt is longer; more in common is cache",
  },
  clientDelayShare: {
    value: 0.05,
    unit: "of the mean TTFT",
    reason: "a client that sends this late adds its own queue to what the user would see",
  },
  failureShareWarn: { value: 0, unit: "of requests", reason: "no failure is expected" },
  failureShareFail: {
    value: 0.01,
    unit: "of requests",
    reason: "requests that fail free the engine for those that are measured",
  },
  outputLengthOff: {
    value: 0.01,
    unit: "of the planned output",
    reason: "throughput and E2E move with the output length one to one",
  },
  throttledShare: {
    value: 0.01,
    unit: "of the time of the trials",
    reason: "as for steal: one percent is the smallest change this record claims to see",
  },
  stealShare: {
    value: 0.01,
    unit: "of CPU time",
    reason: "a neighbour that takes more than one percent is part of the measurement",
  },
  shmBytes: {
    value: 2 ** 30,
    unit: "bytes",
    reason: "collectives between GPUs of one host exchange buffers through /dev/shm",
  },
  eventLoopDelayP99Ms: {
    value: 5,
    unit: "ms",
    reason:
      "time stamps are late by as much as the event loop is; below 5 % of a figure that cannot be seen in it",
  },
  clientCpuShare: {
    value: 0.8,
    unit: "of one core",
    reason: "above it bursts of chunks wait for the client",
  },
  calibratedSlack: {
    value: 0.05,
    unit: "of the calibrated streams",
    reason:
      "what is in flight is a mean over the window; the calibration holds as many all the time",
  },
  headroom: {
    value: 0.1,
    unit: "of the events per second that the client can take",
    reason: "at a tenth of them each event finds the client idle, whatever stream it is of",
  },
  clockDriftMs: {
    value: 50,
    unit: "ms",
    reason: "a wall clock that was set during a trial misdates what it is compared with",
  },
  kvUsage: {
    value: 0.95,
    unit: "of the KV cache",
    reason: "beyond it requests are held back or preempted",
  },
  rounds: {
    value: 3,
    unit: "rounds",
    reason: "with two, the interval is 12.7 standard errors wide on either side",
  },
  windowS: {
    value: 60,
    unit: "s",
    reason:
      "shorter windows miss what happens once a minute: garbage collection, clocks, neighbours",
  },
  lockstepOrder: {
    value: 0.8,
    unit: "0 (spread) to 1 (in step)",
    reason:
      "dispatch phases spread at random over twelve requests reach 0.8 once in two thousand times",
  },
  lockstepFrom: {
    value: 4,
    unit: "concurrent requests",
    reason: "two or three streams fall into step by chance",
  },
  loadPerCpu: {
    value: 0.25,
    unit: "of the logical CPUs",
    reason: "a machine that is busy before the run is shared with somebody",
  },
  uptimeS: {
    value: 600,
    unit: "s",
    reason: "a machine that has just started still settles: caches, clocks, background jobs",
  },
  gpuIdleMemoryMib: {
    value: 1024,
    unit: "MiB",
    reason:
      "a driver keeps some hundred MiB of an idle GPU for itself; a process that computes takes more",
  },
  gpuReadings: {
    value: 5,
    unit: "readings in the windows of a point",
    reason: "fewer samples of a clock do not make a median",
  },
  gpuSlowdownShare: {
    value: 0.001,
    unit: "of the window",
    reason: "a thousandth of the window moves no figure of three digits",
  },
  gpuClockShare: {
    value: 0.9,
    unit: "of the maximum clock",
    reason: "compute and bandwidth follow the clocks; the usual boost range is within a tenth",
  },
  gpuPowerW: {
    value: 1,
    unit: "W",
    reason: "limits are printed to a hundredth and set in whole watts",
  },
  trendOverRun: {
    value: 0.01,
    unit: "of the figure, from the first round to the last",
    reason: "as for steal: one percent is the smallest change this record claims to see",
  },
  trendWithinTrial: {
    value: 0.05,
    unit: "of the figure, from the begin of the window to its end",
    reason:
      "the protocol alone moves mean TTFT within a window by up to 7 %, so less says nothing of the engine",
  },
  goesWithTau: {
    value: 0.8,
    unit: "rank correlation over the rounds",
    reason: "nine of ten pairs of rounds in the same order; of five rounds chance does it in 8 %",
  },
  outlyingRoundMads: {
    value: 3.5,
    unit: "scaled median absolute deviations of the other rounds",
    reason: "the usual cut-off for a modified z-score (Iglewicz and Hoaglin 1993)",
  },
} as const satisfies Readonly<Record<string, Threshold>>;
