import { describe, expect, it } from "vitest";
import { counterGrowth, differenceOf, stealShareBetween } from "./difference.ts";
import type { EnvironmentSnapshot, FieldClass, FieldValue } from "./snapshot.ts";

type Told = Record<string, readonly [FieldClass, FieldValue | string | number]>;

function snapshot(told: Told, light = false): EnvironmentSnapshot {
  return {
    schema: 1,
    takenAt: "2026-01-02T03:04:05.000+00:00",
    ...(light ? { light } : {}),
    fields: Object.entries(told).map(([id, [fieldClass, value]]) => ({
      id,
      group: "host",
      class: fieldClass,
      value: typeof value === "object" ? value : { state: "value", value },
      source: "probe",
      at: `2026-01-02T03:04:05.${String(Object.keys(told).length).padStart(3, "0")}+00:00`,
    })),
    raw: [],
  };
}

describe("the difference of two snapshots", () => {
  const ids = (found: readonly { readonly id: string }[]): readonly string[] =>
    found.map(({ id }) => id);
  const absent: FieldValue = { state: "not_collected", reason: "x" };

  it("is empty for the same machine at another time", () => {
    const told: Told = {
      a: ["comparability", 1],
      b: ["context", { state: "not_applicable", reason: "x" }],
    };
    expect(differenceOf(snapshot(told), { ...snapshot(told), takenAt: "later" })).toEqual({
      comparable: true,
      differences: [],
      unknown: [],
    });
  });

  it("names what must be equal first, then context, then noise", () => {
    const before = snapshot({
      load: ["noise", 1],
      kernel: ["context", "6.1"],
      cpu: ["comparability", "A"],
      os: ["context", "x"],
    });
    const after = snapshot({
      load: ["noise", 2],
      kernel: ["context", "6.2"],
      cpu: ["comparability", "B"],
      os: ["context", "x"],
    });
    const { comparable, differences } = differenceOf(before, after);
    expect(comparable).toBe(false);
    expect(differences.map(({ id, class: fieldClass }) => [id, fieldClass])).toEqual([
      ["cpu", "comparability"],
      ["kernel", "context"],
      ["load", "noise"],
    ]);
  });

  it("takes what could not be read, or was not asked, for unknown and not for another value", () => {
    const before = snapshot({
      a: ["comparability", 1],
      b: ["comparability", absent],
      c: ["comparability", absent],
      d: ["comparability", 1],
      e: ["comparability", { state: "redacted", reason: "x" }],
    });
    const after = snapshot({
      a: ["comparability", absent],
      b: ["comparability", 1],
      c: ["comparability", absent],
      e: ["comparability", 2],
      f: ["comparability", 1],
    });
    const { comparable, differences, unknown } = differenceOf(before, after);
    expect(comparable).toBe(true);
    expect(differences).toEqual([]);
    expect(ids(unknown)).toEqual(["a", "b", "c", "d", "e", "f"]);
  });

  it("is one where a thing applies on one side alone", () => {
    const before = snapshot({ quota: ["comparability", { state: "not_applicable" }] });
    const { differences } = differenceOf(before, snapshot({ quota: ["comparability", 2] }));
    expect(ids(differences)).toEqual(["quota"]);
    const reasoned = snapshot({
      quota: ["comparability", { state: "not_applicable", reason: "x" }],
    });
    expect(differenceOf(before, reasoned).differences).toEqual([]);
  });

  it("takes sizes within a hundredth for noise, and those that must be equal for what they are", () => {
    const size = (value: number): FieldValue => ({ state: "value", value, unit: "B" });
    const classesOf = (fieldClass: FieldClass, from: number, to: number): readonly string[] =>
      differenceOf(
        snapshot({ memory: [fieldClass, size(from)] }),
        snapshot({ memory: [fieldClass, size(to)] }),
      ).differences.map((it) => it.class);
    expect(classesOf("context", 1000, 995)).toEqual(["noise"]); // 5 of 1000
    expect(classesOf("context", 1000, 980)).toEqual(["context"]); // 20 of 1000
    expect(classesOf("comparability", 1000, 999)).toEqual(["comparability"]);
  });

  it("takes a field that a light snapshot does not hold for no difference", () => {
    const full = snapshot({ a: ["comparability", 1], b: ["noise", 1] });
    const light = snapshot({ b: ["noise", 2] }, true);
    for (const [before, after] of [
      [full, light],
      [light, full],
    ] as const) {
      const { differences, unknown } = differenceOf(before, after);
      expect(ids(differences)).toEqual(["b"]);
      expect(unknown).toEqual([]);
    }
  });
});

describe("counters", () => {
  const at = (steal: number, total: number): EnvironmentSnapshot =>
    snapshot({
      "host.cpu.steal_ticks": ["noise", steal],
      "host.cpu.total_ticks": ["noise", total],
    });

  it("grow between two snapshots", () => {
    expect(counterGrowth(at(5, 100), at(8, 200), "host.cpu.steal_ticks")).toBe(3);
    expect(stealShareBetween(at(5, 100), at(8, 200))).toBe(0.03); // 3 of 100 ticks
  });

  it("have no growth where they fell, stood still or are missing", () => {
    expect(counterGrowth(at(5, 100), at(1, 10), "host.cpu.steal_ticks")).toBeUndefined();
    expect(stealShareBetween(at(5, 100), at(5, 100))).toBeUndefined();
    expect(stealShareBetween(snapshot({}), at(5, 100))).toBeUndefined();
  });
});
