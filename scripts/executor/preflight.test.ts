import { describe, expect, it } from "vitest";
import { caseHeader } from "../testing/store-case.ts";
import { checkPolling } from "./preflight.ts";

function planWith(client: { readonly threads: number | "auto"; readonly poll: boolean }): {
  readonly experiment: ReturnType<typeof caseHeader>["plan"]["experiment"];
} {
  const { experiment } = caseHeader("run").plan;
  return { experiment: { ...experiment, client: { ...client, calibrate: false } } };
}

describe("client threads that poll", () => {
  it("leave at least one core to everything else", () => {
    expect(checkPolling(planWith({ threads: "auto", poll: true }), 2)).toEqual([]);
    expect(checkPolling(planWith({ threads: 2, poll: true }), 2)).toEqual([
      {
        what: "client.poll gives each of 2 client threads a core of its own, and this machine has 2 cores: none is left to the rest",
        where: "client.poll",
        mend: "threads: 1 at most, or poll: false",
      },
    ]);
    expect(checkPolling(planWith({ threads: "auto", poll: true }), 1)).toHaveLength(1);
    expect(checkPolling(planWith({ threads: 8, poll: false }), 2)).toEqual([]);
  });
});
