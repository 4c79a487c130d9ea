// From what a peer saw and what the paced server wrote to the figures of bench:client: the error of
// every event's stamp, events that fell together, the lag of the start stamp. Computes only.
import { z } from "zod";
import type { PacedLog } from "../engine/paced/paced-log.ts";
import { quantile7, sortAscending } from "../stats/quantiles.ts";

/** What a peer wrote: one line of JSON, then the times as float64, request after request. */
const peerHead = z.object({
  /** Of the client's process over the measured waves. */
  cpuMs: z.number(),
  wallMs: z.number(),
  /** Output events of all measured waves. */
  events: z.number(),
  /** Of the last wave. */
  requests: z.array(z.object({ id: z.string(), startAtMs: z.number(), events: z.number() })),
});

export interface PeerResult extends z.infer<typeof peerHead> {
  /** Of each request, in order: when the client saw each output event. */
  readonly timesMs: readonly Float64Array[];
  /** When the system call began that carried a request, by its id; undefined: it was not noted. */
  readonly sendsMs: ReadonlyMap<string, number> | undefined;
}

/**
 * @param sends what send-stamps.c wrote: a line "ID MILLISECONDS" per request; undefined: it did not run
 * @throws where it is no result of a peer
 */
export function readPeerResult(bytes: Buffer, sends: string | undefined): PeerResult {
  const lineEnd = bytes.indexOf(10);
  const head = peerHead.parse(JSON.parse(bytes.toString("utf8", 0, lineEnd)));
  const all = new Float64Array(new Uint8Array(bytes.subarray(lineEnd + 1)).buffer);
  const total = head.requests.reduce((sum, { events }) => sum + events, 0);
  if (all.length !== total) throw new Error(`a peer wrote ${all.length} times of ${total}`);
  let used = 0;
  const timesMs = head.requests.map(({ events }) => {
    used += events;
    return all.subarray(used - events, used);
  });
  const sendsMs = sends
    ?.trim()
    .split("\n")
    .map((line): [string, number] => {
      const [id = "", atMs] = line.split(" ");
      return [id, Number(atMs)];
    });
  return { ...head, timesMs, sendsMs: sendsMs === undefined ? undefined : new Map(sendsMs) };
}

/** undefined: not asked for, as of a flood. */
export interface ClientFigures {
  /** Output events per second of the client's CPU time. */
  readonly eventsPerCpuS: number;
  /** Of one core. */
  readonly cpuShare: number;
  /** Client's stamp minus the server's just before its write, ms. */
  readonly errorP50Ms: number | undefined;
  readonly errorP99Ms: number | undefined;
  readonly errorMaxMs: number | undefined;
  /** Events that carry the stamp of the one before although the server wrote them apart, 0..1. */
  readonly collapsedShare: number | undefined;
  /**
   * From the client's start stamp to the system call that carries the request, ms; where that was not
   * noted, to its arrival in the server, which may be later.
   */
  readonly startLagP50Ms: number | undefined;
  readonly startLagP99Ms: number | undefined;
}

/** Stamps closer than this are one: 1 us. */
const togetherMs = 0.001;

/**
 * @param log of the server; undefined: nothing is compared with it
 * @throws Error where a request or an event of the peer is not in the server's log
 */
export function clientFigures(result: PeerResult, log: PacedLog | undefined): ClientFigures {
  const served = new Map(log?.requests.map((request) => [request.id, request]));
  const errorsMs: number[] = [];
  const lagsMs: number[] = [];
  let gaps = 0;
  let collapsed = 0;
  for (const [index, { id, startAtMs }] of (log === undefined ? [] : result.requests).entries()) {
    const request = served.get(id);
    const seenMs = result.timesMs[index];
    if (request === undefined || seenMs?.length !== request.sentAtMs.length)
      throw new Error(`request ${id}: the server wrote other events than the client saw`);
    lagsMs.push((result.sendsMs?.get(id) ?? request.arrivedAtMs) - startAtMs);
    let seenBefore: number | undefined;
    let sentBefore = 0;
    for (const [event, sentAtMs] of request.sentAtMs.entries()) {
      const atMs = seenMs[event] ?? 0;
      errorsMs.push(atMs - sentAtMs);
      if (seenBefore !== undefined && sentAtMs - sentBefore > togetherMs) {
        gaps += 1;
        if (atMs - seenBefore <= togetherMs) collapsed += 1;
      }
      seenBefore = atMs;
      sentBefore = sentAtMs;
    }
  }
  const errors = sortAscending(errorsMs);
  const lags = sortAscending(lagsMs);
  return {
    eventsPerCpuS: (result.events / result.cpuMs) * 1000,
    cpuShare: result.cpuMs / result.wallMs,
    errorP50Ms: quantile7(errors, 0.5),
    errorP99Ms: quantile7(errors, 0.99),
    errorMaxMs: errors.at(-1),
    collapsedShare: gaps === 0 ? undefined : collapsed / gaps,
    startLagP50Ms: quantile7(lags, 0.5),
    startLagP99Ms: quantile7(lags, 0.99),
  };
}
