import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it } from "vitest";
import { driveToEnd, smallTrial } from "./drive-input.ts";
import { type PacedServer, startPacedServer } from "./paced-server.ts";

let server: PacedServer | undefined;
afterEach(async () => {
  await server?.close();
  server = undefined;
});

describe("startPacedServer", () => {
  it("keeps to its schedule, never early, and logs every chunk", async () => {
    server = await startPacedServer({
      schedule: (i) => ({ ttftMs: 20 + 10 * i, gapMs: 5, tokens: 6, tokensPerChunk: 2 }),
    });
    const { records } = await driveToEnd(
      smallTrial(
        { url: server.url, concurrency: 1, measured: { kind: "count", requests: 2 } },
        { window: "fixed" },
      ),
    );
    expect(records).toHaveLength(2);
    expect(server.served).toHaveLength(2);
    for (const [i, { arrivedAtMs, sentAtMs, tokens, wasAbandoned }] of server.served.entries()) {
      expect([tokens, wasAbandoned]).toEqual([6, false]);
      // 3 chunks of 2 tokens.
      const due = [0, 5, 10].map((gap) => 20 + 10 * i + gap);
      expect(sentAtMs).toHaveLength(3);
      expect(sentAtMs.every((atMs, chunk) => atMs - arrivedAtMs >= (due[chunk] ?? 0))).toBe(true);
    }
  });

  it("runs as a program of its own and tells what it sent", async () => {
    const program = fileURLToPath(new URL("../../dist/testing/paced-server.js", import.meta.url));
    const child = spawn(process.execPath, [program, '{"ttftMs":2,"gapMs":1}'], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    try {
      const [url] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
      const { records } = await driveToEnd(
        smallTrial({ url, concurrency: 2 }, { window: "fixed" }),
      );
      expect(records.map(({ status }) => status)).toEqual(Array(4).fill("completed"));
      const log = (await (await fetch(`${url}/log`)).json()) as {
        served: { sentAtMs: number[] }[];
      };
      expect(log.served.map(({ sentAtMs }) => sentAtMs.length)).toEqual([4, 4, 4, 4]);
    } finally {
      child.kill();
      await once(child, "exit");
    }
  });
});
