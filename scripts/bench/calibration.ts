// What is known of the instrument at one load on one machine: how far its time stamps are off, and how
// much more it could take. Measured against the paced server, whose writes are logged.

/** The load that the instrument was held to. */
export interface CalibrationLoad {
  /** Streams at once. */
  readonly streams: number;
  /** Chunks per second of each stream. */
  readonly ratePerS: number;
}

/** Two quantiles of what was measured, ms. */
export interface ErrorQuantiles {
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface Calibration {
  /** ISO 8601 with offset. */
  readonly at: string;
  /** sha256 of what makes a machine another one for the client: processor, cores, system, Node. 64 hex. */
  readonly machine: string;
  /** "0.1.0" or "0.1.0+3819fa3". */
  readonly tool: string;
  readonly load: CalibrationLoad;
  readonly threads: number;
  /** Whether they polled; absent in a calibration of before polling could be asked for. */
  readonly poll?: boolean;
  /** How long each of the two passes measured. */
  readonly seconds: number;
  /** Events that were held to the truth, in both passes. */
  readonly events: number;
  /** Streams at phases of their own: arrival as stamped, less the server's write. */
  readonly event: ErrorQuantiles;
  /** All streams in one engine step, likewise: an event waits for those that are read before it. */
  readonly burst: ErrorQuantiles;
  /** Told gap between two chunks against the true one, absolute; the worse of both passes. */
  readonly gap: ErrorQuantiles;
  /** Told TTFT against the true one, absolute; the worse of both passes. */
  readonly ttft: ErrorQuantiles;
  /** From the stamp of a request's start to its arrival at the server, the way there included. */
  readonly startLag: ErrorQuantiles;
  /** Events per second that the client took as fast as it could, all threads together. */
  readonly eventsPerS: number;
  /** Of one core, the busiest thread's, at the load; the higher of both passes. Of threads that poll: see `ClientReading`. */
  readonly cpuShare: number;
  /** Share of events that came in one read with the one before, at phases of their own. */
  readonly coalescedShare: number;
  readonly eventLoopDelayP99Ms: number;
}
