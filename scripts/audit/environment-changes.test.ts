import { describe, expect, it } from "vitest";
import { environmentChanges } from "./environment-changes.ts";
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
        before: { state: "value", value: "never" },
        after: { state: "value", value: "always" },
        fromLeg: 1,
        toLeg: 3,
      },
    ]);
    expect(environmentChanges([], () => true)).toEqual([]);
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
