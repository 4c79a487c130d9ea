import { describe, expect, it } from "vitest";
import type { EnvironmentField } from "../environment/snapshot.ts";
import type { StoredSnapshot } from "../store/stored-run.ts";
import { driftOf, environmentChanges, whenText } from "./environment-changes.ts";
import { beforeAt, snapshot, stored } from "./fixtures/run.ts";

const thp = (value: Parameters<typeof snapshot>[1], leg = 1) =>
  stored("run-before", snapshot(beforeAt, value), { leg });

describe("changes of the environment", () => {
  it("are those of watched fields, each against the last snapshot that holds the field", () => {
    const snapshots = [
      thp({ "host.thp": "never" }),
      thp({ "host.thp": undefined, "host.load_1m": 3 }),
      thp({ "host.thp": { state: "not_collected", reason: "not asked" } }, 2),
      thp({ "host.thp": "always" }, 3),
      thp({ "host.thp": "always" }, 3),
    ];
    expect(environmentChanges(snapshots, ({ id }) => id === "host.thp")).toEqual([
      {
        id: "host.thp",
        class: "context",
        before: { state: "value", value: "never" },
        after: { state: "value", value: "always" },
        from: { leg: 1, scope: "run-before", takenAt: beforeAt },
        to: { leg: 3, scope: "run-before", takenAt: beforeAt },
      },
    ]);
    expect(environmentChanges([], () => true)).toEqual([]);
  });

  it("are no drift where snapshots are of other engines: of all before the run, of one at its start", () => {
    const relation = (value: string): StoredSnapshot =>
      moment(
        "start",
        {},
        {
          id: "client.engine_relation",
          group: "client",
          class: "comparability",
          value,
        },
      );
    expect(driftOf([relation("mixed"), relation("same host")])).toEqual([]);
  });

  it("hold a unit that changed, and a value that ceased to apply", () => {
    const size = (unit: string) =>
      ({
        "host.swap_bytes": { state: "value", value: 1, unit },
      }) as const;
    const watched = ({ id }: { readonly id: string }): boolean => id === "host.swap_bytes";
    expect(environmentChanges([thp(size("B")), thp(size("MiB"))], watched)).toHaveLength(1);
    const none = { "host.swap_bytes": { state: "not_applicable" } } as const;
    expect(environmentChanges([thp(size("B")), thp(none), thp(none)], watched)).toHaveLength(1);
  });
});

/** One field in a snapshot of its own, at its place in a run of two rounds with a start each. */
function moment(
  scope: StoredSnapshot["scope"],
  place: Partial<StoredSnapshot>,
  parts: Pick<EnvironmentField, "id" | "group" | "class"> & { readonly value: string },
): StoredSnapshot {
  const { value, ...field } = parts;
  return stored(
    scope,
    {
      schema: 1,
      takenAt: beforeAt,
      fields: [{ ...field, value: { state: "value", value }, source: "probe", at: beforeAt }],
      raw: [],
    },
    place,
  );
}

const mig = (value: string) =>
  ({ id: "gpu.0.mig.current", group: "gpu", class: "comparability", value }) as const;
const digest = (value: string) =>
  ({ id: "engine.fp8.config_digest", group: "engine", class: "comparability", value }) as const;
const limit = (value: string) =>
  ({ id: "gpu.0.power_limit", group: "gpu", class: "context", value }) as const;
const load = (value: string) =>
  ({ id: "host.load_1m", group: "host", class: "noise", value }) as const;

const roundOne = { start: 1, trial: "t1" };
const roundTwo = { start: 2, trial: "t2" };
const attempts = [
  { trial: "t1", point: "fp8/c40", round: 1 },
  { trial: "t2", point: "fp8/c40", round: 2 },
];

describe("drift", () => {
  it("says between which trials MIG was switched, and that it was switched back", () => {
    const drift = driftOf([
      moment("run-before", {}, mig("Disabled")),
      moment("trial-before", roundOne, mig("Disabled")),
      moment("trial-after", roundOne, mig("Disabled")),
      moment("trial-before", roundTwo, mig("Enabled")),
      moment("trial-after", roundTwo, mig("Enabled")),
      moment("run-after", {}, mig("Disabled")),
    ]);
    expect(drift.map(({ id, from, to }) => [id, from.trial, to.trial])).toEqual([
      ["gpu.0.mig.current", "t1", "t2"],
      ["gpu.0.mig.current", "t2", undefined],
    ]);
    expect(drift.map((change) => whenText(change, attempts))).toEqual([
      {
        zh: "第 1 轮 fp8/c40 后、第 2 轮 fp8/c40 前",
        en: "after fp8/c40 of round 1, before fp8/c40 of round 2",
      },
      { zh: "第 2 轮 fp8/c40 后", en: "after fp8/c40 of round 2" },
    ]);
  });

  it("says when something changed during one trial", () => {
    const [change] = driftOf([
      moment("trial-before", roundTwo, limit("450")),
      moment("trial-after", roundTwo, limit("300")),
    ]);
    if (change === undefined) throw new Error("there is a change");
    expect(whenText(change, attempts)?.en).toBe("during fp8/c40 of round 2");
  });

  it("holds an engine that became another within one life, and not that lives differ", () => {
    const [change, ...more] = driftOf([
      moment("start", { start: 1 }, digest("a")),
      moment("trial-before", roundOne, digest("a")),
      moment("trial-after", roundOne, digest("a")),
      moment("start", { start: 2 }, digest("b")),
      moment("trial-before", roundTwo, digest("c")),
    ]);
    if (change === undefined) throw new Error("there is a change");
    expect(more).toEqual([]);
    expect(change.before).toEqual({ state: "value", value: "b" });
    expect(whenText(change, attempts)?.en).toBe("after start 2, before fp8/c40 of round 2");
  });

  it("is silent of what changes on its own, and of a change that only the whole run shows", () => {
    expect(
      driftOf([moment("run-before", {}, load("1")), moment("run-after", {}, load("2"))]),
    ).toEqual([]);
    const [change] = driftOf([
      moment("run-before", {}, limit("450")),
      moment("run-after", {}, limit("300")),
    ]);
    if (change === undefined) throw new Error("there is a change");
    expect(whenText(change, attempts)).toBeUndefined();
  });
});
