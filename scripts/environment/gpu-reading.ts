// What one GPU was doing at one moment of a trial.

/** One reading of one GPU; undefined: the device or its driver does not offer it. */
export interface GpuReading {
  /** Since the trial's zero. */
  readonly atMs: number;
  /** Index as nvidia-smi counts. */
  readonly gpu: number;
  readonly uuid: string | undefined;
  readonly powerW: number | undefined;
  readonly smClockMhz: number | undefined;
  readonly memoryClockMhz: number | undefined;
  readonly temperatureC: number | undefined;
  /** Ratio 0..1. */
  readonly utilization: number | undefined;
  readonly memoryUsedMib: number | undefined;
  readonly pcieGeneration: number | undefined;
  readonly pcieWidth: number | undefined;
  /** Event reasons that hold at this moment, as a bit mask. */
  readonly eventReasons: number | undefined;
  /** Counters of event reasons since the driver was loaded, us: they grow without a sampling gap. */
  readonly swPowerCapUs: number | undefined;
  readonly hwThermalUs: number | undefined;
  readonly swThermalUs: number | undefined;
  readonly hwPowerBrakeUs: number | undefined;
  readonly syncBoostUs: number | undefined;
}
