import { afterEach, describe, expect, it, vi } from "vitest";
import { driveToEnd, smallTrial } from "../testing/drive-input.ts";
import { startFaultyServer } from "../testing/faulty-server.ts";
import { type LocalServer, startLocalServer } from "../testing/local-server.ts";
import { startPacedServer } from "../testing/paced-server.ts";
import { nowMs } from "../units.ts";
import type { EngineReading, WatchEnd } from "./request-record.ts";
import { waitUntilIdle, watchEngine } from "./telemetry.ts";

const servers: LocalServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});
function keep<Server extends LocalServer>(server: Server): Server {
  servers.push(server);
  return server;
}

const endpointOf = (url: string) => ({ baseUrl: url, model: "sim", headers: {} });

/** Watches until told to stop, by the reader, after each reading. */
async function watch(
  url: string,
  everyMs: number,
  stop: (readings: readonly EngineReading[]) => boolean,
) {
  const end = new AbortController();
  const readings: EngineReading[] = [];
  const watching = watchEngine(endpointOf(url), { everyMs, zeroMs: nowMs(), signal: end.signal });
  for (;;) {
    const next = await watching.next();
    if (next.done === true) return { readings, end: next.value satisfies WatchEnd };
    readings.push(next.value);
    if (stop(readings)) end.abort();
  }
}

describe("watchEngine", () => {
  it("reads at once, then again and again, and once more at the end", async () => {
    const { url } = keep(await startPacedServer({ schedule: () => ({ ttftMs: 1, gapMs: 1 }) }));
    const { readings, end } = await watch(url, 5, ({ length }) => length === 4);
    expect(readings).toHaveLength(5);
    expect(end).toMatchObject({ readings: 5, missed: 0, unavailable: undefined });
    expect(end.meanCostMs).toBeGreaterThan(0);
    const times = readings.map(({ atMs }) => atMs);
    expect(times).toEqual([...times].sort((a, b) => a - b));
    expect(times[0]).toBeGreaterThanOrEqual(0);
    expect(readings[0]).toMatchObject({ running: 0, waiting: 0, kvUsage: undefined });
  });

  it("counts over a whole trial what the trial's usage says", async () => {
    const { url, connectionCount } = keep(
      await startPacedServer({ schedule: () => ({ ttftMs: 3, gapMs: 1 }) }),
    );
    const end = new AbortController();
    const zeroMs = nowMs();
    const watching = watchEngine(endpointOf(url), { everyMs: 10_000, zeroMs, signal: end.signal });
    const first = await watching.next();
    const { records } = await driveToEnd(
      smallTrial(
        { url, concurrency: 2, measured: { kind: "count", requests: 6 } },
        { window: "fixed", zeroMs },
      ),
    );
    end.abort();
    const last = await watching.next();
    expect(records).toHaveLength(6);
    if (first.done === true || last.done === true) throw new Error("two readings were expected");
    const tokens = records.reduce((sum, { usage }) => sum + (usage.completionTokens ?? 0), 0);
    expect((last.value.generationTokensTotal ?? 0) - (first.value.generationTokensTotal ?? 0)).toBe(
      tokens,
    );
    expect(last.value.atMs).toBeGreaterThan(Math.max(...records.map(({ endedAtMs }) => endedAtMs)));
    expect((await watching.next()).done).toBe(true);
    await vi.waitFor(async () => {
      expect(await connectionCount()).toBe(0);
    });
  });

  it("ends at once, with the reason, where there is nothing to watch", async () => {
    const { url } = keep(await startFaultyServer());
    expect(await watch(url, 5, () => false)).toEqual({
      readings: [],
      end: { readings: 0, missed: 0, meanCostMs: undefined, unavailable: "HTTP 404 from /metrics" },
    });
    const strange = keep(
      await startLocalServer((_request, response) => {
        response.end("node_cpu_seconds_total 4\n");
        return Promise.resolve();
      }),
    );
    expect((await watch(strange.url, 5, () => false)).end.unavailable).toContain("no series");
  });

  it("passes over a page that fails, and goes on", async () => {
    let asked = 0;
    const { url } = keep(
      await startLocalServer((_request, response) => {
        asked += 1;
        if (asked === 2) response.socket?.destroy();
        else if (asked === 3) response.writeHead(503).end();
        else response.end("vllm:num_requests_running 1\n");
        return Promise.resolve();
      }),
    );
    const { readings, end } = await watch(url, 2, ({ length }) => length === 2);
    expect(readings.map(({ running }) => running)).toEqual([1, 1, 1]);
    expect(end).toMatchObject({ readings: 3, missed: 2 });
  });

  /** A server whose page counts how often it was asked. */
  async function counting(onAsked: (asked: number) => void = () => undefined) {
    let asked = 0;
    return keep(
      await startLocalServer((_request, response) => {
        asked += 1;
        onAsked(asked);
        response.end(`vllm:prompt_tokens_total ${asked}\n`);
        return Promise.resolve();
      }),
    );
  }

  it("reads at once when it is asked to, and again where that came while it was reading", async () => {
    const readNow = new EventTarget();
    const ask = (): void => void readNow.dispatchEvent(new Event("read"));
    const { url } = await counting((asked) => {
      if (asked === 2) ask();
    });
    const end = new AbortController();
    const options = { everyMs: 3_600_000, zeroMs: nowMs(), signal: end.signal, readNow };
    const watching = watchEngine(endpointOf(url), options);
    const next = async () => {
      const { value, done } = await watching.next();
      return done === true ? value : value.promptTokensTotal;
    };
    expect(await next()).toBe(1);
    // It sleeps for an hour now; one event wakes it, and the one that came during that reading too.
    const second = next();
    ask();
    expect(await second).toBe(2);
    expect(await next()).toBe(3);
    const last = next();
    end.abort();
    expect(await last).toBe(4);
    expect(await next()).toMatchObject({ readings: 4, missed: 0 });
    // Nobody listens any more.
    ask();
    expect((await watching.next()).done).toBe(true);
  });

  it("finds the page of trtllm-serve, whose /metrics is something else", async () => {
    const asked: string[] = [];
    const { url } = keep(
      await startLocalServer((request, response) => {
        asked.push(request.url ?? "");
        response.end(
          request.url === "/prometheus/metrics" ? "trtllm_num_requests_running 2\n" : "[]",
        );
        return Promise.resolve();
      }),
    );
    const { readings } = await watch(url, 2, ({ length }) => length === 2);
    expect(readings.map(({ running }) => running)).toEqual([2, 2, 2]);
    expect(asked).toEqual([
      "/metrics",
      "/prometheus/metrics",
      "/prometheus/metrics",
      "/prometheus/metrics",
    ]);
  });

  it("outlives an engine that is not there", async () => {
    const { url, close } = await startFaultyServer();
    await close();
    const watching = watchEngine(endpointOf(url), {
      everyMs: 5,
      zeroMs: 0,
      signal: AbortSignal.timeout(30),
    });
    const { value, done } = await watching.next();
    expect(done).toBe(true);
    expect(value).toMatchObject({ readings: 0, unavailable: undefined });
  });
});

describe("waitUntilIdle", () => {
  const serverWith = async (pages: readonly string[]) => {
    let asked = 0;
    return keep(
      await startLocalServer((_request, response) => {
        response.end(pages[Math.min(asked, pages.length - 1)]);
        asked += 1;
        return Promise.resolve();
      }),
    );
  };
  const idleness = async (pages: readonly string[], limitMs: number) => {
    const { url } = await serverWith(pages);
    return waitUntilIdle(endpointOf(url), {
      limitMs,
      everyMs: 1,
      signal: new AbortController().signal,
    });
  };
  const page = (running: number, waiting: number) =>
    `vllm:num_requests_running ${running}\nvllm:num_requests_waiting ${waiting}\n`;

  it("waits until nothing runs or waits", async () => {
    expect(await idleness([page(2, 1), page(0, 1), page(0, 0)], 20_000)).toBe("idle");
  });
  it("gives up after its limit", async () => {
    expect(await idleness([page(1, 0)], 20)).toBe("busy");
  });
  it("does not wait for an engine that does not say", async () => {
    expect(await idleness(["sglang:token_usage 0.1\n"], 20_000)).toBe("unknown");
    const { url } = keep(await startFaultyServer());
    expect(
      await waitUntilIdle(endpointOf(url), {
        limitMs: 20_000,
        signal: new AbortController().signal,
      }),
    ).toBe("unknown");
  });
});
