// Program: how fast the store takes requests in and gives percentiles back, and what it keeps a
// token in. Ratios of one run count; the absolute figures are this machine's.
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { RequestRecord } from "../bench/request-record.ts";
import { seededRandom } from "../experiment/random.ts";
import { gapSpread } from "../stats/inter-token.ts";
import { quantile7, sortAscending } from "../stats/quantiles.ts";
import type { RequestSample } from "../stats/samples.ts";
import { trialMetrics } from "../stats/trial-metrics.ts";
import { decodeChunkTimes, encodeChunkTimes } from "../store/chunk-times.ts";
import { Store } from "../store/store.ts";
import {
  caseAt,
  caseBegin,
  caseHeader,
  caseLeg,
  caseRecord,
  caseSummary,
} from "../testing/store-case.ts";
import { formatNumber, nowMs } from "../units.ts";
import { medianOf, writeResults } from "./results.ts";

const usage = `npm run bench:store -- [--tokens 800] [--million 8] [--runs 5] [--json]

Appends requests of --tokens output chunks (25 ms apart, normal jitter of 1 ms) to a store of its own
until it holds --million million chunks, flushes and seals the trial, then reads the trial back and
takes mean, p50, p90 and p99 of the gaps, as a record does; then by sorting all of them; then every
metric of the trial. Medians of --runs runs.
`;

const percentiles = [50, 90, 99] as const;

type Figures = Readonly<Record<string, number>>;

function oneRun(tokens: number, chunks: number, seed: string): Figures {
  const folder = mkdtempSync(join(tmpdir(), "benchbook-bench-store-"));
  try {
    const random = seededRandom(seed);
    const requests = Math.ceil(chunks / tokens);
    // A few hundred different streams are enough: making the samples is not what is measured.
    const streams = Array.from({ length: Math.min(requests, 256) }, () => streamOf(tokens, random));
    const records = streams.map(
      (timesMs, index): RequestRecord => ({
        ...caseRecord(index, "measured", { dueAtMs: 0, sentAtMs: 0, endedAtMs: 1e6 }, []),
        chunksAtMs: timesMs,
      }),
    );
    const recordAt = (index: number): RequestRecord => {
      const record = records[index % records.length];
      if (record === undefined) throw new RangeError("no stream was made");
      return { ...record, index };
    };

    const encoding = timed(() => {
      let bytes = 0;
      for (let index = 0; index < requests; index += 1)
        bytes += encodeChunkTimes(recordAt(index).chunksAtMs).length;
      return bytes;
    });
    const packed = records.map(({ chunksAtMs }) => encodeChunkTimes(chunksAtMs));
    const decoding = timed(() => {
      let last = 0;
      for (let index = 0; index < requests; index += 1)
        last += decodeChunkTimes(packed[index % packed.length] ?? new Uint8Array()).length;
      return last;
    });

    const path = join(folder, "store.db");
    const store = Store.open(path);
    store.createRun(caseHeader("run"));
    const leg = store.beginLeg("run", { ...caseLeg, pid: process.pid });
    const start = store.beginStart("run", { leg, variant: "fp32", round: 1, startedAt: caseAt });
    const key = store.beginTrial("run", caseBegin("fp32", start));
    const appending = timed(() => {
      for (let index = 0; index < requests; index += 1) store.appendRequest(key, recordAt(index));
      store.flush();
    });
    store.endTrial(key, {
      summary: caseSummary,
      status: "measured",
      windowTokens: new Map(),
      window: undefined,
    });
    const reading = timed(() =>
      gapSpread(store.samplesOfAttempt(key).requests.filter(hasGaps), percentiles),
    );
    const sorting = timed(() => {
      const requests = store.samplesOfAttempt(key).requests.filter(hasGaps);
      const sorted = sortAscending(Float64Array.from(requests.flatMap(gapsOf)));
      return percentiles.map((percentile) => quantile7(sorted, percentile / 100));
    });
    for (const [place, sorted] of sorting.value.entries()) {
      const told = reading.value.percentiles[place];
      if (told === undefined || sorted === undefined || Math.abs(told / sorted - 1) > 1e-9)
        throw new Error(
          `p${percentiles[place] ?? ""} is ${told ?? ""}, and by sorting ${sorted ?? ""}`,
        );
    }
    const metrics = timed(() =>
      trialMetrics(store.samplesOfAttempt(key), { percentiles, slo: [] }),
    );
    store.close();
    const total = requests * tokens;
    return {
      "chunk times packed, million/s": total / encoding.ms / 1000,
      "chunk times unpacked, million/s": total / decoding.ms / 1000,
      "chunk times appended and flushed, million/s": total / appending.ms / 1000,
      "requests appended and flushed, thousand/s": requests / appending.ms,
      "bytes per chunk time, packed": encoding.value / total,
      "bytes per chunk time, whole file": statSync(path).size / total,
      "read back and percentiles of the gaps, ms": reading.ms,
      "the same, ms of CPU": reading.cpuMs,
      "the same by sorting, ms": sorting.ms,
      "sorting / counting": sorting.ms / reading.ms,
      "read back and every metric of the trial, ms": metrics.ms,
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Whether the gaps of a request are in the figures of its trial. */
function hasGaps({ phase, status, outputChunks }: RequestSample): boolean {
  return phase === "measured" && status === "completed" && outputChunks > 1;
}

function gapsOf({ chunksAtMs }: { readonly chunksAtMs: Float64Array }): number[] {
  return Array.from(chunksAtMs.subarray(1), (atMs, index) => atMs - (chunksAtMs[index] ?? atMs));
}

function streamOf(tokens: number, random: () => number): Float64Array {
  let atMs = 1000 * random();
  return Float64Array.from({ length: tokens }, () => {
    const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    atMs += Math.max(0.05, 25 + normal);
    return atMs;
  });
}

function timed<T>(step: () => T): {
  readonly value: T;
  readonly ms: number;
  /** Of all threads of this process: more than `ms` where the garbage is collected beside it. */
  readonly cpuMs: number;
} {
  const beganMs = nowMs();
  const before = process.cpuUsage();
  const value = step();
  const { user, system } = process.cpuUsage(before);
  return { value, ms: nowMs() - beganMs, cpuMs: (user + system) / 1000 };
}

const { values } = parseArgs({
  options: {
    tokens: { type: "string", default: "800" },
    million: { type: "string", default: "8" },
    runs: { type: "string", default: "5" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
if (values.help) process.stdout.write(usage);
else {
  const tokens = Number(values.tokens);
  const chunks = Number(values.million) * 1e6;
  const runs = Array.from({ length: Number(values.runs) }, (_, run) => {
    process.stderr.write(`run ${run + 1} of ${values.runs}\n`);
    return oneRun(tokens, chunks, `bench/${run}`);
  });
  const names = Object.keys(runs[0] ?? {});
  const medians = Object.fromEntries(
    names.map((name) => [name, medianOf(runs.map((figures) => figures[name] ?? 0))]),
  );
  const path = writeResults("store", { tokens, chunks, runs, medians });
  if (values.json) process.stdout.write(`${JSON.stringify({ medians, path }, undefined, 2)}\n`);
  else {
    const width = Math.max(...names.map((name) => name.length));
    for (const name of names)
      process.stdout.write(`${name.padEnd(width)}  ${formatNumber(medians[name] ?? 0, 2)}\n`);
    process.stdout.write(`${chunks / 1e6} million chunks, ${tokens} a request; ${path}\n`);
  }
}
