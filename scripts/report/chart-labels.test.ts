import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isInside, type Label, overlaps, placeLabels } from "./chart-labels.ts";

const bounds = { x: 0, y: 0, width: 300, height: 200 };
const label = (text: string, x: number, y: number, required = true): Label => ({
  text,
  widthPx: 40,
  anchor: { x, y },
  sides: ["right"],
  required,
});

describe("placeLabels", () => {
  it("puts a lone label at its first side, beside the mark", () => {
    const [placed] = placeLabels([label("q8", 100, 100)], { bounds, marks: [], lines: [] });
    expect(placed).toMatchObject({ align: "left", box: { x: 109, y: 92.5 }, leader: undefined });
  });

  it("turns to the other side where the panel ends", () => {
    const [placed] = placeLabels([label("q8", 290, 100)], { bounds, marks: [], lines: [] });
    expect(placed?.align).toBe("right");
    expect(placed?.box.x).toBe(241);
  });

  it("keeps off a line and off another mark where it can", () => {
    const line = { from: { x: 0, y: 100 }, to: { x: 300, y: 100 } };
    const mark = { x: 105, y: 85, width: 60, height: 10 };
    const [placed] = placeLabels([label("q8", 100, 100)], { bounds, marks: [mark], lines: [line] });
    const box = placed?.box ?? bounds;
    expect(overlaps(box, mark)).toBe(false);
    expect(box.y > 100 || box.y + box.height < 100).toBe(true);
  });

  it("ties a label that had to move away to its mark, and drops one that need not be there", () => {
    const crowd = Array.from({ length: 14 }, (_, index) =>
      label(`v${index}`, 150, 100, index < 13),
    );
    const placed = placeLabels(crowd, { bounds, marks: [], lines: [] });
    expect(placed.slice(0, 13).every((one) => one !== undefined)).toBe(true);
    expect(placed.some((one) => one?.leader !== undefined)).toBe(true);
    expect(placed[13]).toBeUndefined();
  });

  it("never lets two labels meet or one leave the panel, whatever the marks", () => {
    const labels = fc.array(
      fc.record({
        text: fc.constant("x"),
        widthPx: fc.integer({ min: 5, max: 120 }),
        anchor: fc.record({
          x: fc.integer({ min: 0, max: 300 }),
          y: fc.integer({ min: 0, max: 200 }),
        }),
        sides: fc.constant(["right", "above"] as const),
        required: fc.boolean(),
      }),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(labels, (wishes) => {
        const placed = placeLabels(wishes, { bounds, marks: [], lines: [] }).filter(
          (one) => one !== undefined,
        );
        placed.forEach(({ box }, index) => {
          expect(isInside(box, bounds)).toBe(true);
          for (const other of placed.slice(index + 1)) expect(overlaps(box, other.box)).toBe(false);
        });
      }),
    );
  });
});
