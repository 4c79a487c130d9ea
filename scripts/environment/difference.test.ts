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
  it("is empty for the same machine at another time", () => {
    const told: Told = {
      a: ["comparability", 1],
      b: ["context", { state: "not_applicable", reason: "x" }],
    };
    expect(differenceOf(snapshot(told), { ...snapshot(told), takenAt: "later" })).toEqual([]);
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
    expect(
      differenceOf(before, after).map(({ id, class: fieldClass, kind }) => [id, fieldClass, kind]),
    ).toEqual([
      ["cpu", "comparability", "changed"],
      ["kernel", "context", "changed"],
      ["load", "noise", "changed"],
    ]);
  });

  it("tells a changed value from one that could not be read on one side", () => {
    const absent: FieldValue = { state: "not_collected", reason: "x" };
    const before = snapshot({
      a: ["comparability", 1],
      b: ["comparability", absent],
      c: ["comparability", absent],
      d: ["comparability", 1],
    });
    const after = snapshot({
      a: ["comparability", absent],
      b: ["comparability", 1],
      c: ["comparability", { state: "not_applicable" }],
      e: ["comparability", 1],
    });
    expect(
      Object.fromEntries(differenceOf(before, after).map(({ id, kind }) => [id, kind])),
    ).toEqual({
      a: "became_unknown",
      b: "became_known",
      c: "state",
      d: "only_before",
      e: "only_after",
    });
  });

  it("takes a field that a light snapshot does not hold for no difference", () => {
    const full = snapshot({ a: ["comparability", 1], b: ["noise", 1] });
    const light = snapshot({ b: ["noise", 2] }, true);
    expect(differenceOf(full, light).map(({ id }) => id)).toEqual(["b"]);
    expect(differenceOf(light, full).map(({ id }) => id)).toEqual(["b"]);
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
