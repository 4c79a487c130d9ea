// The one clock, and the one way from a number to text and from text to a number.
// Inside, time is float milliseconds; only here is it parsed, converted or rounded.

/**
 * `performance.now()` counts from the start of its thread; this is where that start lies on the host's
 * clock. Of several looks the quickest counts: in a slow one the thread had to wait between two clocks.
 */
const threadStartMs = startOfThread();

function startOfThread(): number {
  let bestNs = Number.POSITIVE_INFINITY;
  let startMs = 0;
  for (let look = 0; look < 16; look += 1) {
    const before = process.hrtime.bigint();
    const sinceStartMs = performance.now();
    const tookNs = Number(process.hrtime.bigint() - before);
    if (tookNs >= bestNs) continue;
    bestNs = tookNs;
    startMs = (Number(before) + tookNs / 2) / 1e6 - sinceStartMs;
  }
  return startMs;
}

/**
 * Milliseconds of the host's monotonic clock, sub-microsecond resolution: the same in every thread
 * and process of a machine, to a few microseconds.
 */
export function nowMs(): number {
  return threadStartMs + performance.now();
}

/** Milliseconds since the Unix epoch of a `nowMs()` value, by this thread's time origin. */
export function epochMsOf(monotonicMs: number): number {
  return performance.timeOrigin + (monotonicMs - threadStartMs);
}

/**
 * ISO 8601 with milliseconds and the offset of the machine's time zone, never a bare time.
 *
 * @example isoWithOffset(0) // "1970-01-01T08:00:00.000+08:00" in Shanghai
 */
export function isoWithOffset(
  epochMs: number,
  offsetMinutes = -new Date(epochMs).getTimezoneOffset(),
): string {
  const local = new Date(epochMs + offsetMinutes * 60_000).toISOString().slice(0, -1);
  const size = Math.abs(offsetMinutes);
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${local}${offsetMinutes < 0 ? "-" : "+"}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

const durationUnitsMs = { us: 0.001, ms: 1, s: 1000, min: 60_000, h: 3_600_000 } as const;

/** Milliseconds of "2 s", "50ms", "10 min", "1 h"; undefined for anything else, a bare number too. */
export function parseDurationMs(text: string): number | undefined {
  const match = /^\s*(\d+(?:\.\d+)?)\s*(us|ms|s|min|h)\s*$/.exec(text);
  if (match === null) return undefined;
  return Number(match[1]) * durationUnitsMs[match[2] as keyof typeof durationUnitsMs];
}

/** A ratio 0..1 of "1%", "0.5 %"; undefined for anything else, a bare number too. */
export function parseShare(text: string): number | undefined {
  const match = /^\s*(\d+(?:\.\d+)?)\s*%\s*$/.exec(text);
  return match === null ? undefined : Number(match[1]) / 100;
}

/**
 * A duration for people, at most two units: "850 ms", "12.4 s", "3 min 20 s", "2 h 05 min".
 */
export function formatDuration(durationMs: number): string {
  if (durationMs < 1000) return `${Math.round(durationMs)} ms`;
  if (durationMs < 59_950) return `${(durationMs / 1000).toFixed(1).replace(/\.0$/, "")} s`;
  const seconds = Math.round(durationMs / 1000);
  if (seconds < 3600) {
    const rest = seconds % 60;
    return rest === 0 ? `${seconds / 60} min` : `${Math.floor(seconds / 60)} min ${rest} s`;
  }
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

/** A count of bytes for people, binary units: "1.4 MiB", "23.5 GiB". */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? String(value) : value.toFixed(1)} ${units[unit] ?? ""}`;
}

/**
 * A number with a fixed count of decimals and a comma between thousands: (12345.678, 1) -> "12,345.7".
 */
export function formatNumber(value: number, decimals: number): string {
  const [whole = "", fraction] = Math.abs(value).toFixed(decimals).split(".");
  const grouped = whole.replaceAll(/\B(?=(\d{3})+$)/g, ",");
  const text = fraction === undefined ? grouped : `${grouped}.${fraction}`;
  return value < 0 && Number(value.toFixed(decimals)) !== 0 ? `−${text}` : text;
}

/** A count with its noun: "1 round", "3 rounds", "1,200 requests". */
export function counted(count: number, noun: string): string {
  return `${formatNumber(count, 0)} ${noun}${count === 1 ? "" : "s"}`;
}
