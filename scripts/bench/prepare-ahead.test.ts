import { describe, expect, it } from "vitest";
import type { PreparedRequest } from "../workload/prompts.ts";
import { prepareAhead } from "./prepare-ahead.ts";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function recordingSource(failsAt = Number.POSITIVE_INFINITY) {
  const asked: number[] = [];
  return {
    asked,
    source: (index: number): PreparedRequest => {
      asked.push(index);
      if (index >= failsAt) throw new Error(`no request ${index}`);
      return {
        body: Buffer.from(String(index)),
        inputTokens: 1,
        outputTokens: 1,
        promptDigest: "0",
      };
    },
  };
}

describe("prepareAhead", () => {
  it("has a wave ready at once, then makes one more per turn as they are taken", async () => {
    const { source, asked } = recordingSource();
    const ahead = prepareAhead(source, { depth: 2 });
    expect(asked).toEqual([0, 1]);
    expect([ahead.take(), ahead.take(), ahead.take()].map(({ body }) => body.toString())).toEqual([
      "0",
      "1",
      "2",
    ]);
    await turn();
    await turn();
    await turn();
    expect(asked).toEqual([0, 1, 2, 3, 4]);
    ahead.stop();
  });

  it("asks for no request beyond the total", async () => {
    const { source, asked } = recordingSource();
    const ahead = prepareAhead(source, { depth: 2, total: 3 });
    ahead.take();
    ahead.take();
    ahead.take();
    await turn();
    expect(asked).toEqual([0, 1, 2]);
  });

  it("throws a source's error only to the one who needs that request", async () => {
    const { source } = recordingSource(2);
    const ahead = prepareAhead(source, { depth: 2 });
    ahead.take();
    await turn();
    expect(ahead.take().body.toString()).toBe("1");
    expect(() => ahead.take()).toThrow("no request 2");
  });
});
