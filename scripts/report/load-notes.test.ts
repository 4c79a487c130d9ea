import { describe, expect, it } from "vitest";
import { loadNotes } from "./load-notes.ts";

const point = (kind: "concurrency" | "rate" | "ramp" | "trace") => ({
  load: { kind, label: { zh: "", en: "" } },
});

describe("loadNotes", () => {
  it("says nothing of a closed loop", () => {
    expect(loadNotes([point("concurrency")])).toEqual([]);
  });

  it("says once how an open loop counts, and what a ramp and a trace are not", () => {
    const notes = loadNotes([point("rate"), point("rate"), point("ramp"), point("trace")]);
    expect(notes.map(({ en }) => en.split(":")[0])).toEqual(["Open loop", "Ramp", "Trace"]);
    expect(notes[0]?.en).toContain("a point is saturated");
    expect(notes[1]?.en).toContain("none of its figures is a steady value");
  });
});
