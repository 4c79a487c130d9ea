// Arrival times of a request's chunks to a BLOB of about two bytes per token, and back.
// Microsecond integers, delta-of-delta, zigzag, varint (LEB128): a steady stream's times differ
// little from gap to gap, so most of what is left fits one or two bytes.

/** Beyond it (some 30 years) a varint would leave the safe integers. */
const farthestMs = 1e12;

/** A varint of a safe integer takes at most eight bytes. */
const longestVarintBytes = 8;

/**
 * Packs times in milliseconds, rounded to the microsecond.
 *
 * @throws RangeError for a time that is not finite or lies beyond 30 years: a bug of the caller.
 * @example encodeChunkTimes(Float64Array.of(12, 37, 62)).length // 7: three bytes, three, one
 */
export function encodeChunkTimes(timesMs: Float64Array): Buffer {
  const bytes = Buffer.allocUnsafe(timesMs.length * longestVarintBytes);
  let end = 0;
  let lastUs = 0;
  let lastGapUs = 0;
  for (const timeMs of timesMs) {
    if (!(Math.abs(timeMs) <= farthestMs)) {
      throw new RangeError(`a chunk time must be a finite number of milliseconds, got ${timeMs}`);
    }
    const timeUs = Math.round(timeMs * 1000);
    const gapUs = timeUs - lastUs;
    const change = gapUs - lastGapUs;
    let rest = change >= 0 ? change * 2 : -change * 2 - 1;
    while (rest >= 0x80) {
      bytes[end++] = (rest % 0x80) + 0x80;
      rest = Math.floor(rest / 0x80);
    }
    bytes[end++] = rest;
    lastUs = timeUs;
    lastGapUs = gapUs;
  }
  return Buffer.from(bytes.subarray(0, end));
}

/**
 * Unpacks what `encodeChunkTimes` packed; each time is exact to 0.5 microseconds.
 *
 * @throws Error when the bytes end within a number: the BLOB is damaged.
 */
export function decodeChunkTimes(bytes: Uint8Array): Float64Array {
  const timesMs = new Float64Array(countVarints(bytes));
  let timeUs = 0;
  let gapUs = 0;
  let position = 0;
  for (let index = 0; index < timesMs.length; index += 1) {
    let value = 0;
    let scale = 1;
    let byte: number;
    do {
      byte = bytes[position++] ?? 0;
      value += (byte & 0x7f) * scale;
      scale *= 0x80;
    } while (byte >= 0x80);
    gapUs += value % 2 === 0 ? value / 2 : -(value + 1) / 2;
    timeUs += gapUs;
    timesMs[index] = timeUs / 1000;
  }
  return timesMs;
}

function countVarints(bytes: Uint8Array): number {
  let count = 0;
  for (const byte of bytes) if (byte < 0x80) count += 1;
  const last = bytes.at(-1);
  if (last !== undefined && last >= 0x80) throw new Error("chunk times end within a number");
  return count;
}
