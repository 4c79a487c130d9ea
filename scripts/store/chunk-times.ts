// Arrival times of a request's chunks to a BLOB of about two bytes per token, and back.
// Microsecond integers, delta-of-delta, zigzag, varint (LEB128): a steady stream's times differ
// little from gap to gap, so most of what is left fits one or two bytes.

/** Beyond it (some 30 years) a varint would leave the safe integers. */
const farthestMs = 1e12;

/** A varint of a safe integer takes at most eight bytes. */
const longestVarintBytes = 8;

/** Changes of a gap below it (some nine minutes) are packed in 32-bit arithmetic, which is several times faster. */
const smallUs = 2 ** 29;

/** Where a request's times are packed before they are copied out; grows with the longest request. */
let scratch = new Uint8Array(4096);

/**
 * Packs times in milliseconds, rounded to the microsecond.
 *
 * @throws RangeError for a time that is not finite or lies beyond 30 years: a bug of the caller.
 * @example encodeChunkTimes(Float64Array.of(12, 37, 62)).length // 7: three bytes, three, one
 */
export function encodeChunkTimes(timesMs: Float64Array): Buffer {
  if (scratch.length < timesMs.length * longestVarintBytes)
    scratch = new Uint8Array(2 * timesMs.length * longestVarintBytes);
  const bytes = scratch;
  let end = 0;
  let lastUs = 0;
  let lastGapUs = 0;
  for (const timeMs of timesMs) {
    if (!(timeMs <= farthestMs && timeMs >= -farthestMs)) {
      throw new RangeError(`a chunk time must be a finite number of milliseconds, got ${timeMs}`);
    }
    const timeUs = Math.floor(timeMs * 1000 + 0.5);
    const gapUs = timeUs - lastUs;
    const change = gapUs - lastGapUs;
    if (change < smallUs && change >= -smallUs) {
      let rest = (change << 1) ^ (change >> 31);
      while (rest >= 0x80) {
        bytes[end++] = (rest & 0x7f) | 0x80;
        rest >>>= 7;
      }
      bytes[end++] = rest;
    } else {
      let rest = change >= 0 ? change * 2 : -change * 2 - 1;
      while (rest >= 0x80) {
        bytes[end++] = (rest % 0x80) + 0x80;
        rest = Math.floor(rest / 0x80);
      }
      bytes[end++] = rest;
    }
    lastUs = timeUs;
    lastGapUs = gapUs;
  }
  return Buffer.from(bytes.subarray(0, end));
}

/**
 * Unpacks what `encodeChunkTimes` packed; each time is exact to 0.5 microseconds.
 *
 * @param count how many times they are, where it is known; saves a pass
 * @throws Error when the bytes do not hold so many whole numbers: the BLOB is damaged.
 */
export function decodeChunkTimes(bytes: Uint8Array, count = countVarints(bytes)): Float64Array {
  const timesMs = new Float64Array(count);
  decodeGaps(bytes, timesMs, count);
  let timeUs = 0;
  for (let index = 0; index < count; index += 1) {
    timeUs += timesMs[index] ?? 0;
    timesMs[index] = timeUs / 1000;
  }
  return timesMs;
}

/**
 * Unpacks the gaps alone, in whole microseconds: into place `i` of `gapsUs`, which has `count` or
 * more, the time of chunk `i` less the one before; into place 0 the first time.
 *
 * @returns the last time, in whole microseconds; 0 when there is none
 * @throws Error when the bytes do not hold `count` whole numbers: the BLOB is damaged.
 * @example of the bytes of 12, 37 and 62 ms: 12000, 25000, 25000; returns 62000
 */
export function decodeGaps(bytes: Uint8Array, gapsUs: Float64Array, count: number): number {
  let timeUs = 0;
  let gapUs = 0;
  let position = 0;
  for (let index = 0; index < count; index += 1) {
    let byte = bytes[position++] ?? 0;
    let value = byte & 0x7f;
    if (byte >= 0x80) {
      byte = bytes[position++] ?? 0;
      value |= (byte & 0x7f) << 7;
    }
    if (byte < 0x80) gapUs += (value >>> 1) ^ -(value & 1);
    else {
      // Changes of more than 8 ms, which are rare enough for arithmetic that holds all of them.
      let scale = 0x4000;
      do {
        byte = bytes[position++] ?? 0;
        value += (byte & 0x7f) * scale;
        scale *= 0x80;
      } while (byte >= 0x80);
      gapUs += value % 2 === 0 ? value / 2 : -(value + 1) / 2;
    }
    timeUs += gapUs;
    gapsUs[index] = gapUs;
  }
  if (position !== bytes.length) {
    throw new Error(`${bytes.length} bytes of chunk times do not hold ${count} times`);
  }
  return timeUs;
}

function countVarints(bytes: Uint8Array): number {
  let count = 0;
  for (const byte of bytes) if (byte < 0x80) count += 1;
  const last = bytes[bytes.length - 1];
  if (last !== undefined && last >= 0x80) throw new Error("chunk times end within a number");
  return count;
}
