// From labels and what is already drawn to places for the labels: near their marks, inside the
// panel, off lines and marks where that can be had, and never on one another.

export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

interface Place {
  readonly x: number;
  readonly y: number;
}

export interface Segment {
  readonly from: Place;
  readonly to: Place;
}

type Side = "right" | "left" | "above" | "below";

export interface Label {
  readonly text: string;
  /** Width as set, px. */
  readonly widthPx: number;
  /** Centre of the mark it names. */
  readonly anchor: Place;
  /** Best first; sides not named come last. */
  readonly sides: readonly Side[];
  /** A label that must be: it may move away from its mark and is then tied to it by a line. */
  readonly required: boolean;
}

export interface PlacedLabel {
  readonly label: Label;
  readonly box: Box;
  readonly align: "left" | "right" | "center";
  /** Line from the mark to a label that had to move away; undefined: it stands beside its mark. */
  readonly leader: Segment | undefined;
}

export interface LabelScene {
  readonly bounds: Box;
  /** Marks and intervals that a label should not cover. */
  readonly marks: readonly Box[];
  readonly lines: readonly Segment[];
}

/** Height of a line of 12 px text. */
export const labelHeightPx = 15;

const gapPx = 9;
const leaderFromPx = 22;

/** Least px between two labels on one line, or they read as one. */
const wordGapPx = 5;

interface Candidate {
  readonly box: Box;
  readonly align: PlacedLabel["align"];
  readonly cost: number;
}

/**
 * Places labels in their order, the first best. A label without a free place is undefined in the
 * result: one that is not required after its sides were tried, a required one only if the panel is full.
 */
export function placeLabels(
  labels: readonly Label[],
  scene: LabelScene,
): readonly (PlacedLabel | undefined)[] {
  const placed: PlacedLabel[] = [];
  return labels.map((label) => {
    const free = (candidate: Candidate): boolean =>
      isInside(candidate.box, scene.bounds) &&
      placed.every(({ box }) => !overlaps(widened(box), candidate.box));
    const best =
      cheapest(beside(label).filter(free), scene) ??
      (label.required ? cheapest(anywhere(label, scene.bounds).filter(free), scene) : undefined);
    if (best === undefined) return undefined;
    const result: PlacedLabel = {
      label,
      box: best.box,
      align: best.align,
      leader: leaderOf(label.anchor, best.box),
    };
    placed.push(result);
    return result;
  });
}

function widened({ x, y, width, height }: Box): Box {
  return { x: x - wordGapPx, y, width: width + 2 * wordGapPx, height };
}

function beside(label: Label): Candidate[] {
  const { anchor, widthPx: width } = label;
  const height = labelHeightPx;
  const order: readonly Side[] = [...label.sides, "right", "left", "above", "below"];
  const slides = [0, 4, -4, 8, -8, 12, -12, 16, -16, 22, -22, 28, -28];
  return slides.flatMap((slide) =>
    [...new Set(order)].map((side, rank): Candidate => {
      const cost = rank * 5 + Math.abs(slide) * 0.8;
      const y = anchor.y - height / 2 + slide;
      switch (side) {
        case "right":
          return { box: { x: anchor.x + gapPx, y, width, height }, align: "left", cost };
        case "left":
          return { box: { x: anchor.x - gapPx - width, y, width, height }, align: "right", cost };
        case "above":
        case "below": {
          const away = side === "above" ? -height - gapPx + 2 : gapPx - 2;
          const x = anchor.x - width / 2 + slide * 1.5;
          return { box: { x, y: anchor.y + away, width, height }, align: "center", cost };
        }
      }
    }),
  );
}

// On a grid over the whole panel, the nearer the better.
function anywhere(label: Label, bounds: Box): Candidate[] {
  const candidates: Candidate[] = [];
  for (let y = bounds.y; y + labelHeightPx <= bounds.y + bounds.height; y += 5) {
    for (let x = bounds.x; x + label.widthPx <= bounds.x + bounds.width; x += 8) {
      const box = { x, y, width: label.widthPx, height: labelHeightPx };
      candidates.push({ box, align: "left", cost: 40 + distance(label.anchor, box) });
    }
  }
  return candidates;
}

function cheapest(candidates: readonly Candidate[], scene: LabelScene): Candidate | undefined {
  let best: Candidate | undefined;
  let bestCost = Number.POSITIVE_INFINITY;
  for (const candidate of candidates) {
    const cost = candidate.cost + coverCost(candidate.box, scene);
    if (cost < bestCost) {
      best = candidate;
      bestCost = cost;
    }
  }
  return best;
}

function coverCost(box: Box, scene: LabelScene): number {
  const near: Box = { x: box.x - 2, y: box.y, width: box.width + 4, height: box.height };
  let cost = 0;
  for (const mark of scene.marks) if (overlaps(mark, near)) cost += 30;
  for (const line of scene.lines) cost += lengthInside(line, near) * 1.2;
  return cost;
}

function leaderOf(anchor: Place, box: Box): Segment | undefined {
  if (distance(anchor, box) < leaderFromPx) return undefined;
  const to = nearest(anchor, box);
  const share = 6 / Math.hypot(to.x - anchor.x, to.y - anchor.y);
  const from = { x: anchor.x + (to.x - anchor.x) * share, y: anchor.y + (to.y - anchor.y) * share };
  return { from, to };
}

function nearest({ x, y }: Place, box: Box): Place {
  return {
    x: Math.min(Math.max(x, box.x), box.x + box.width),
    y: Math.min(Math.max(y, box.y), box.y + box.height),
  };
}

function distance(from: Place, box: Box): number {
  const to = nearest(from, box);
  return Math.hypot(to.x - from.x, to.y - from.y);
}

/** Whether two boxes share area; touching edges do not. */
export function overlaps(a: Box, b: Box): boolean {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}

/** Whether the first box lies wholly in the second. */
export function isInside(inner: Box, outer: Box): boolean {
  return (
    inner.x >= outer.x &&
    inner.y >= outer.y &&
    inner.x + inner.width <= outer.x + outer.width &&
    inner.y + inner.height <= outer.y + outer.height
  );
}

/** Px of a segment that lie in a box (Liang and Barsky's clipping). */
function lengthInside({ from, to }: Segment, box: Box): number {
  const dx = to.x - from.x;
  const dy = to.y - from.y;
  let enter = 0;
  let leave = 1;
  const edges = [
    [-dx, from.x - box.x],
    [dx, box.x + box.width - from.x],
    [-dy, from.y - box.y],
    [dy, box.y + box.height - from.y],
  ] as const;
  for (const [towards, room] of edges) {
    if (towards === 0) {
      if (room < 0) return 0;
    } else if (towards < 0) enter = Math.max(enter, room / towards);
    else leave = Math.min(leave, room / towards);
  }
  return enter >= leave ? 0 : (leave - enter) * Math.hypot(dx, dy);
}
