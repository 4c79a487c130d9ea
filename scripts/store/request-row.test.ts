import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { caseRecord } from "../testing/store-case.ts";
import { packSamples } from "./packed-samples.ts";
import { toRequestRow } from "./request-row.ts";

describe("the sample of a stored request", () => {
  it("tells the gaps of its chunk times, with the first and the last time exact", () => {
    const gap = fc.oneof(
      fc.double({ min: 0, max: 60, noNaN: true }),
      fc.double({ min: -10, max: 1e5, noNaN: true }),
      fc.constant(0),
    );
    fc.assert(
      fc.property(fc.array(fc.array(gap, { maxLength: 20 }), { maxLength: 8 }), (requests) => {
        const rows = requests.map((gaps, index) => {
          let atMs = 0;
          const times = gaps.map((one) => (atMs += one));
          const clock = { dueAtMs: 0, sentAtMs: 0, endedAtMs: 1e9 };
          return toRequestRow(1, caseRecord(index, "measured", clock, times), undefined);
        });
        for (const sample of packSamples(rows)) {
          const { chunksAtMs } = sample;
          const gapsUs = new Float64Array(sample.outputChunks);
          sample.gapsUs?.(gapsUs);
          for (let chunk = 1; chunk < chunksAtMs.length; chunk += 1) {
            const byTimesUs = 1000 * ((chunksAtMs[chunk] ?? 0) - (chunksAtMs[chunk - 1] ?? 0));
            // 1e-6: a double near 2e9 microseconds has steps of 2.4e-7.
            expect(Math.abs((gapsUs[chunk] ?? Number.NaN) - byTimesUs)).toBeLessThan(1e-6);
          }
          if (gapsUs.length < 2) continue;
          const sumUs = gapsUs.subarray(1).reduce((sum, one) => sum + one, 0);
          const spanUs = 1000 * ((sample.lastAtMs ?? 0) - (sample.firstAtMs ?? 0));
          expect(Math.abs(sumUs - spanUs)).toBeLessThan(1e-5);
        }
      }),
    );
  });
});
