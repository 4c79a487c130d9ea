import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeChunkTimes, decodeGaps, encodeChunkTimes } from "./chunk-times.ts";

describe("chunk times", () => {
  it("packs three even gaps into seven bytes, worked by hand", () => {
    // 12, 37, 62 ms are 12000, 37000, 62000 us; gaps 12000, 25000, 25000; changes 12000, 13000, 0;
    // zigzag 24000, 26000, 0. 24000 = 187 * 128 + 64 -> c0, then 187 = 1 * 128 + 59 -> bb 01.
    // 26000 = 203 * 128 + 16 -> 90, then 203 = 1 * 128 + 75 -> cb 01. 0 -> 00.
    const blob = encodeChunkTimes(Float64Array.of(12, 37, 62));
    expect(blob.toString("hex")).toBe("c0bb01" + "90cb01" + "00");
    expect([...decodeChunkTimes(blob)]).toEqual([12, 37, 62]);
  });

  it("packs no chunk into no byte", () => {
    expect(encodeChunkTimes(new Float64Array(0)).length).toBe(0);
    expect(decodeChunkTimes(Buffer.alloc(0)).length).toBe(0);
  });

  it("gives back every time to half a microsecond, in any order, over hours", () => {
    const time = fc.double({ min: -1e9, max: 1e9, noNaN: true });
    fc.assert(
      fc.property(fc.array(time, { maxLength: 200 }), (times) => {
        const back = decodeChunkTimes(encodeChunkTimes(Float64Array.from(times)));
        expect(back.length).toBe(times.length);
        times.forEach((value, index) => {
          // 1e-7: a double near 1e9 has steps of 1.2e-7 ms.
          expect(Math.abs((back[index] ?? Number.NaN) - value)).toBeLessThanOrEqual(0.0005 + 2e-7);
        });
      }),
    );
  });

  it("gives back whole microseconds exactly, so packing twice gives the same bytes", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 1e12 }), { maxLength: 100 }),
        (microseconds) => {
          const first = encodeChunkTimes(Float64Array.from(microseconds, (value) => value / 1000));
          expect(encodeChunkTimes(decodeChunkTimes(first)).equals(first)).toBe(true);
        },
      ),
    );
  });

  it("gives the gaps of whole microseconds, of any size and sign, in the places of their chunks", () => {
    const gap = fc.oneof(
      fc.integer({ min: -20_000, max: 60_000 }),
      fc.integer({ min: -3_000_000, max: 3_000_000 }),
      fc.integer({ min: -(2 ** 40), max: 2 ** 40 }),
    );
    fc.assert(
      fc.property(fc.array(gap, { maxLength: 100 }), (gaps) => {
        let timeUs = 0;
        const times = Float64Array.from(gaps, (one) => (timeUs += one) / 1000);
        const into = new Float64Array(gaps.length + 1).fill(-1);
        expect(decodeGaps(encodeChunkTimes(times), into, gaps.length)).toBe(timeUs);
        expect([...into]).toEqual([...gaps, -1]);
      }),
    );
  });

  it("takes few bytes per token of a stream with the jitter of a real one", () => {
    // 512 tokens, one each 25 ms with a jitter of +-0.1 ms: measured 1.7 bytes per token;
    // a jitter of +-3 ms: 2.0. A REAL column would take 8 and a row's head.
    let state = 1;
    const random = (): number => (state = (state * 48271) % 2147483647) / 2147483647;
    const times = Float64Array.from(
      { length: 512 },
      (_, i) => 40 + 25 * i + (random() - 0.5) * 0.2,
    );
    expect(encodeChunkTimes(times).length / times.length).toBeLessThan(3);
  });

  it("refuses a time that is no number, and bytes that end within one", () => {
    expect(() => encodeChunkTimes(Float64Array.of(1, Number.NaN))).toThrow(RangeError);
    expect(() => decodeChunkTimes(Buffer.from([0x80]))).toThrow("end within a number");
    const gaps = new Float64Array(4);
    for (const [bytes, count] of [
      [[0x80, 0x80, 0x80], 1] as const,
      [[2], 2] as const,
      [[2, 2], 1] as const,
    ]) {
      expect(() => decodeGaps(Buffer.from(bytes), gaps, count)).toThrow("do not hold");
    }
  });
});
