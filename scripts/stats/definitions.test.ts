import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sideBySide, type ToolFigure } from "./definitions.ts";
import type { MarkedRequest, MarkedTrial } from "./definitions-cohort.ts";
import { type FigureId, figures } from "./definitions-figures.ts";
import { tools } from "./definitions-tools.ts";
import { request, trial } from "./fixtures/trials.ts";

/** "vllm" -> "tpot.mean" -> 30. */
function table(trials: readonly MarkedTrial[]): Record<string, Record<string, number | undefined>> {
  const rows: Record<string, Record<string, number | undefined>> = {};
  for (const { tool, figure, value } of sideBySide(trials).rows)
    rows[tool] = { ...rows[tool], [figure]: value };
  return rows;
}

/** One column of the table, of the tools that print the figure and have it. */
function column(trials: readonly MarkedTrial[], figure: FigureId): Record<string, number> {
  return Object.fromEntries(
    Object.entries(table(trials)).flatMap(([tool, row]) => {
      const value = row[figure];
      return value === undefined ? [] : [[tool, value]];
    }),
  );
}

function closeTo(found: Record<string, number>, expected: Record<string, number>): void {
  expect(Object.keys(found).sort()).toEqual(Object.keys(expected).sort());
  for (const [tool, value] of Object.entries(expected))
    expect(found[tool], tool).toBeCloseTo(value, 9);
}

/** A trial whose window is that of tools: first dispatch to last end. */
function run(requests: readonly MarkedRequest[], parts: Partial<MarkedTrial> = {}): MarkedTrial {
  return { ...trial(requests, { window: "fixed" }), ...parts, requests };
}

// Sent at 0; three chunks at 100, 160 and 220 ms that hold 3 tokens each, so n = 9; the stream, with
// its usage chunk and [DONE], ends at 250 ms. 90 tokens in.
const chunky = request({
  chunksAtMs: Float64Array.of(100, 160, 220),
  outputTokens: 9,
  inputTokens: 90,
  endedAtMs: 250,
});

describe("one chunk with several tokens", () => {
  const trials = [run([chunky])];

  it("has a TPOT by each definition", () => {
    closeTo(column(trials, "tpot.mean"), {
      benchbook: 15, // (220 - 100) / (9 - 1)
      vllm: 15,
      sglang: 18.75, // (250 - 100) / 8
      guidellm: 220 / 9, // (220 - 0) / 9
      guidellm_2025: 120 / 9, // (220 - 100) / 9
      evalscope: 18.75,
      inference_perf: 15,
      mlperf: 25, // (250 - 100) / (9 - 3): three tokens came with the first chunk
      record_fp8: 15,
      record_fp4: 120 / 9,
    });
  });

  it("has an ITL by each definition", () => {
    closeTo(column(trials, "itl.mean"), {
      benchbook: 60, // (60 + 60) / 2 gaps of chunks
      vllm: 60,
      sglang: 60,
      aiperf: 15, // TPOT under another name
      guidellm: 15, // 120 / 8
      guidellm_2025: 15,
      evalscope: 60,
      inference_perf: 15, // 60, 60 and six zeros within chunks: 120 / 8
      llmperf: 220 / 9, // (TTFT 100 + 60 + 60) / 9
    });
    expect(column(trials, "icl.mean")).toEqual({ aiperf: 60 });
    closeTo(column(trials, "ntpot.mean"), { inference_perf: 250 / 9 });
  });

  it("ends at the last output or at the end of the stream", () => {
    closeTo(column(trials, "e2e.mean"), {
      benchbook: 220,
      vllm: 220,
      sglang: 250,
      aiperf: 220,
      guidellm: 250,
      guidellm_2025: 250,
      evalscope: 250,
      inference_perf: 250,
      mlperf: 250,
      llmperf: 250,
      record_fp8: 220,
      record_fp4: 220,
    });
  });

  it("has rates and speeds by each definition", () => {
    // 9 tokens in 250 ms: 36 a second. AIPerf stops at the last output: 9 / 0.22. An old GuideLLM
    // leaves out the token of the last instant: 8 / 0.25.
    closeTo(column(trials, "output_tps"), {
      benchbook: 36,
      vllm: 36,
      sglang: 36,
      aiperf: 9 / 0.22,
      guidellm: 36,
      guidellm_2025: 32,
      evalscope: 36,
      inference_perf: 36,
      mlperf: 36,
      llmperf: 36,
    });
    // (90 + 9) / 0.25
    closeTo(column(trials, "total_tps"), {
      vllm: 396,
      sglang: 396,
      aiperf: 99 / 0.22,
      guidellm: 396,
      evalscope: 396,
      inference_perf: 396,
    });
    closeTo(column(trials, "user_tps"), {
      benchbook: 1000 / 15,
      aiperf: 1000 / 15,
      evalscope: 1000 / 18.75,
      llmperf: 36, // 9 / 0.25: the wait for the first token is in it
      record_fp8: 1000 / 15,
      record_fp4: 75, // 9 / 0.12
    });
    // 90 / 0.1
    closeTo(column(trials, "prompt_tps"), { benchbook: 900, record_fp8: 900, record_fp4: 900 });
    closeTo(column(trials, "concurrency"), { benchbook: 1, sglang: 1, guidellm: 1 });
  });

  it("names its difference from ours", () => {
    const found = sideBySide(trials).rows.find(
      ({ tool, figure }) => tool === "guidellm" && figure === "tpot.mean",
    );
    // 24.44 / 15 - 1
    expect(found?.difference).toBeCloseTo(220 / 9 / 15 - 1, 12);
    expect(found?.formula).toBe("tpot_from_start");
  });
});

describe("one-token outputs", () => {
  // A: one token at 50 ms, ended 60. B: sent 100, tokens at 150, 170, 190, ended 200; n = 3.
  const one = request({ chunksAtMs: Float64Array.of(50), outputTokens: 1, endedAtMs: 60 });
  const three = request({
    sentAtMs: 100,
    chunksAtMs: Float64Array.of(150, 170, 190),
    outputTokens: 3,
    endedAtMs: 200,
  });
  const trials = [run([one, three])];

  it("have no TPOT, but weigh in where the first token does", () => {
    closeTo(column(trials, "tpot.mean"), {
      benchbook: 20, // 40 / 2, of B alone
      vllm: 20,
      sglang: 25, // (200 - 150) / 2
      guidellm: 35, // (50 + 90) / (1 + 3)
      guidellm_2025: 10, // (0 + 40) / (1 + 3)
      evalscope: 25,
      inference_perf: 20,
      mlperf: 25, // (200 - 150) / 2; A has nothing after its first chunk
      record_fp8: 20, // mean E2E 70 - mean TTFT 50 = 20; mean n 2, less 1
      record_fp4: 20 / 3, // (0 / 1 + 40 / 3) / 2
    });
  });

  it("have no TTFT for inference-perf, and make an ITL of their own for LLMPerf", () => {
    closeTo(column([run([one])], "ttft.mean"), {
      benchbook: 50,
      vllm: 50,
      sglang: 50,
      aiperf: 50,
      guidellm: 50,
      guidellm_2025: 50,
      evalscope: 50,
      mlperf: 50,
      llmperf: 50,
      record_fp8: 50,
      record_fp4: 50,
    });
    closeTo(column(trials, "itl.mean"), {
      benchbook: 20,
      vllm: 20,
      sglang: 20,
      aiperf: 20,
      guidellm: 20,
      guidellm_2025: 20,
      evalscope: 20,
      inference_perf: 20,
      llmperf: 40, // (50 / 1 + 90 / 3) / 2
    });
  });
});

describe("reasoning first", () => {
  // Four tokens of reasoning at 40, 60, 80, 100, then two of text at 120 and 150; ended 160; n = 6.
  // A role chunk came at 10, a chunk with the finish reason at 155.
  const thinking: MarkedRequest = {
    ...request({
      chunksAtMs: Float64Array.of(40, 60, 80, 100, 120, 150),
      outputTokens: 6,
      endedAtMs: 160,
    }),
    reasoningChunks: 4,
    firstChoiceAtMs: 10,
    lastChoiceAtMs: 155,
  };
  const trials = [run([thinking])];

  it("stops the TTFT at the role chunk, at the reasoning, or at the text", () => {
    closeTo(column(trials, "ttft.mean"), {
      benchbook: 40,
      vllm: 10,
      sglang: 40,
      aiperf: 40,
      guidellm: 40,
      guidellm_2025: 40,
      evalscope: 40,
      inference_perf: 120,
      mlperf: 40,
      llmperf: 120,
      record_fp8: 40,
      record_fp4: 40,
    });
  });

  it("changes TPOT and ITL of what looks at text or at choices alone", () => {
    const found = table(trials);
    expect(found["benchbook"]?.["tpot.mean"]).toBe(22); // 110 / 5
    expect(found["vllm"]?.["tpot.mean"]).toBe(29); // (155 - 10) / 5
    expect(found["inference_perf"]?.["tpot.mean"]).toBe(30); // (150 - 120) / (2 - 1)
    expect(found["benchbook"]?.["itl.mean"]).toBe(22); // 110 / 5 gaps
    expect(found["vllm"]?.["itl.mean"]).toBeCloseTo(145 / 7, 12); // 30 + 110 + 5 in 7 gaps
    expect(found["inference_perf"]?.["itl.mean"]).toBe(30);
    expect(found["llmperf"]?.["itl.mean"]).toBe(75); // (120 + 30) / 2 tokens of text
    expect(found["vllm"]?.["e2e.mean"]).toBe(155);
    expect(found["inference_perf"]?.["output_tps"]).toBeCloseTo(2 / 0.16, 9);
    expect(found["vllm"]?.["output_tps"]).toBeCloseTo(6 / 0.16, 9);
  });
});

describe("failed requests", () => {
  // Answered: sent 100, tokens at 150 and 170, ended 200. Failed: sent 0, refused at 400.
  const good = request({
    sentAtMs: 100,
    chunksAtMs: Float64Array.of(150, 170),
    outputTokens: 2,
    inputTokens: 8,
    endedAtMs: 200,
  });
  const bad = request({
    status: "rejected",
    chunksAtMs: Float64Array.of(),
    outputTokens: undefined,
    endedAtMs: 400,
  });
  const trials = [run([bad, good])];

  it("are no zeros in a latency, and a latency of their own for MLPerf", () => {
    const found = column(trials, "e2e.mean");
    expect(found["benchbook"]).toBe(70);
    expect(found["sglang"]).toBe(100);
    expect(found["mlperf"]).toBe(250); // (100 + 400) / 2
    expect(column(trials, "ttft.mean")["mlperf"]).toBe(50);
  });

  it("stretch the time of some, and count in the rate of one", () => {
    closeTo(column(trials, "qps"), {
      benchbook: 2.5, // 1 in 0..400 ms, its own fixed window
      vllm: 2.5,
      sglang: 2.5,
      aiperf: 1 / 0.07, // 100..170
      guidellm: 2.5,
      guidellm_2025: 10, // 100..200
      evalscope: 10,
      inference_perf: 2.5,
      mlperf: 5, // both ended
      llmperf: 2.5,
      record_fp8: 2.5,
      record_fp4: 2.5,
    });
    expect(column(trials, "output_tps")["evalscope"]).toBe(20);
  });

  it("leave no figure behind when nothing completed", () => {
    const left = sideBySide([run([bad])]).rows.filter(({ value }) => value !== undefined);
    // One request was in flight all the time: that is all there is to say.
    expect(left.map(({ tool, figure }) => `${tool} ${figure}`)).toEqual(["benchbook concurrency"]);
  });
});

describe("a request with zero output", () => {
  // Answered: sent 0, tokens at 50 and 70, ended 80. Empty: sent 0, ended 100 without a chunk.
  const good = request({ chunksAtMs: Float64Array.of(50, 70), outputTokens: 2, endedAtMs: 80 });
  const empty = request({ chunksAtMs: Float64Array.of(), outputTokens: 0, endedAtMs: 100 });
  const trials = [run([good, empty])];

  it("has no TTFT, a zero, or fails", () => {
    const found = table(trials);
    expect(found["benchbook"]?.["ttft.mean"]).toBe(50);
    expect(found["sglang"]?.["ttft.mean"]).toBe(25);
    expect(found["evalscope"]?.["ttft.mean"]).toBe(25);
    expect(found["llmperf"]?.["ttft.mean"]).toBe(25);
    expect(found["llmperf"]?.["itl.mean"]).toBe(17.5); // (70 / 2 + 0) / 2
    expect(found["aiperf"]?.["ttft.mean"]).toBe(50);
    expect(found["sglang"]?.["e2e.mean"]).toBe(90);
    expect(found["guidellm"]?.["e2e.mean"]).toBe(80);
    expect(found["vllm"]?.["qps"]).toBe(20);
    expect(found["guidellm"]?.["qps"]).toBe(10);
    expect(found["aiperf"]?.["qps"]).toBeCloseTo(1 / 0.07, 9);
  });
});

describe("the window of an open loop", () => {
  it("ends for MLPerf with the request that was sent last", () => {
    // A 0..300, B 100..200: (2 - 1) / 0.2 s instead of 2 / 0.3 s.
    const a = request({ chunksAtMs: Float64Array.of(50, 300), endedAtMs: 300 });
    const b = request({ sentAtMs: 100, chunksAtMs: Float64Array.of(150, 200), endedAtMs: 200 });
    const open = [run([a, b], { plannedConcurrency: undefined })];
    expect(column(open, "qps")["mlperf"]).toBeCloseTo(5, 9);
    expect(column(open, "output_tps")["mlperf"]).toBeCloseTo(20, 9);
    expect(column([run([a, b])], "qps")["mlperf"]).toBeCloseTo(2 / 0.3, 9);
  });
});

describe("the 99th percentile", () => {
  it("is taken as each tool takes it", () => {
    // TTFT 1..50 ms, one request each.
    const requests = Array.from({ length: 50 }, (_, i) =>
      request({ chunksAtMs: Float64Array.of(i + 1, i + 2), outputTokens: 2, endedAtMs: 60 }),
    );
    const found = column([run(requests)], "ttft.p99");
    expect(found["benchbook"]).toBeCloseTo(49.51, 9); // h = 49 x 0.99 = 48.51
    expect(found["vllm"]).toBeCloseTo(49.51, 9);
    expect(found["evalscope"]).toBeCloseTo(50, 9); // rank ceil(49.5)
    expect(found["mlperf"]).toBeCloseTo(49, 9); // the value at floor(48.51)
    expect(found["guidellm"]).toBe(50); // 49 of 50 are 98 %
  });

  it("weighs requests by their tokens for GuideLLM", () => {
    // 199 tokens after the first at 10 ms each, one at 90 ms: the first 99.5 % are at 10.
    const long = request({
      chunksAtMs: Float64Array.of(10, 2000),
      outputTokens: 200,
      endedAtMs: 2000,
    });
    const short = request({
      chunksAtMs: Float64Array.of(10, 100),
      outputTokens: 2,
      endedAtMs: 100,
    });
    expect(column([run([long, short])], "itl.p99")["guidellm"]).toBe(10);
    expect(column([run([long, short])], "itl.p99")["aiperf"]).toBeCloseTo(10 + 0.99 * 80, 9);
  });
});

const marked = fc
  .record({
    sentAtMs: fc.integer({ min: 0, max: 1000 }),
    gaps: fc.array(fc.integer({ min: 0, max: 500 }), { maxLength: 6 }),
    tokensPerChunk: fc.integer({ min: 1, max: 4 }),
    tailMs: fc.integer({ min: 0, max: 50 }),
    reasoningChunks: fc.integer({ min: 0, max: 2 }),
    status: fc.constantFrom("completed", "completed", "failed", "cancelled" as const),
  })
  .map(({ sentAtMs, gaps, tokensPerChunk, tailMs, reasoningChunks, status }): MarkedRequest => {
    let atMs = sentAtMs;
    const chunksAtMs = Float64Array.from(gaps, (gap) => {
      atMs += gap;
      return atMs;
    });
    const outputTokens = chunksAtMs.length * tokensPerChunk;
    return {
      ...request({ sentAtMs, chunksAtMs, outputTokens, endedAtMs: atMs + tailMs, status }),
      reasoningChunks: Math.min(reasoningChunks, chunksAtMs.length),
    };
  });
const cohorts = fc.array(marked, { maxLength: 8 });

/** What is not as it should be, in words; figures that both lack agree. */
function unlike(
  before: readonly ToolFigure[],
  after: readonly ToolFigure[],
  factor: (figure: FigureId) => number = () => 1,
): readonly string[] {
  return before.flatMap(({ tool, figure, value }, index) => {
    const expected = value === undefined ? undefined : value * factor(figure);
    const found = after[index]?.value;
    const alike =
      expected === undefined || found === undefined
        ? expected === found
        : Math.abs(found - expected) <= 1e-9 * Math.max(1, Math.abs(expected));
    return alike ? [] : [`${tool} ${figure}: ${found} for ${expected}`];
  });
}

describe("every figure", () => {
  it("is a finite number of at least 0, or absent", () => {
    fc.assert(
      fc.property(cohorts, fc.boolean(), (requests, open) => {
        const parts = open ? { plannedConcurrency: undefined } : {};
        const { rows } = sideBySide([run(requests, parts)]);
        const wrong = rows.filter(
          ({ value }) => value !== undefined && !(value >= 0 && Number.isFinite(value)),
        );
        expect(wrong).toEqual([]);
      }),
      { numRuns: 40 },
    );
    expect(sideBySide([]).rows.every(({ value }) => value === undefined)).toBe(true);
  });

  it("grows with time where it is a latency, and falls where it is a rate", () => {
    const four = (atMs: number | undefined): number | undefined =>
      atMs === undefined ? undefined : atMs * 4;
    const scaled = (one: MarkedRequest): MarkedRequest => ({
      ...one,
      dueAtMs: one.dueAtMs * 4,
      sentAtMs: four(one.sentAtMs),
      firstAtMs: four(one.firstAtMs),
      lastAtMs: four(one.lastAtMs),
      endedAtMs: one.endedAtMs * 4,
      chunksAtMs: one.chunksAtMs.map((atMs) => atMs * 4),
    });
    const factors = new Map(
      figures.map(({ id, unit }) => [id, unit === "ms" ? 4 : unit === "requests" ? 1 : 1 / 4]),
    );
    fc.assert(
      fc.property(cohorts, (requests) => {
        const before = sideBySide([run(requests)]).rows;
        const after = sideBySide([run(requests.map(scaled))]).rows;
        expect(unlike(before, after, (figure) => factors.get(figure) ?? 0)).toEqual([]);
      }),
      { numRuns: 30 },
    );
  });

  it("does not depend on the order of the requests", () => {
    fc.assert(
      fc.property(cohorts, (requests) => {
        const there = sideBySide([run(requests)]).rows;
        const back = sideBySide([run([...requests].reverse())]).rows;
        expect(unlike(there, back)).toEqual([]);
      }),
      { numRuns: 30 },
    );
  });
});

describe("the tools", () => {
  it("each have a source with a version, and a formula for every figure that they print", () => {
    expect(tools).toHaveLength(11);
    for (const { id, sources, figures: printed } of tools) {
      expect(sources.length, id).toBeGreaterThan(0);
      expect(
        sources.every(({ at }) => at !== ""),
        id,
      ).toBe(true);
      expect(Object.keys(printed).length, id).toBeGreaterThan(3);
    }
  });
});

// Files of the tools themselves, beside the checkout; what they printed must come out of their own requests.
const fixtures = fileURLToPath(new URL("../../../shared/fixtures", import.meta.url));
const vllmFile = `${fixtures}/10-vllm-cpu/bench-serve-c10.json`;

describe.skipIf(!existsSync(vllmFile))("a result file of vLLM 0.32.0 (shared/fixtures)", () => {
  it("has the figures that its requests make by its definitions", () => {
    const file = JSON.parse(readFileSync(vllmFile, "utf8")) as {
      readonly duration: number;
      readonly ttfts: readonly number[];
      readonly itls: readonly (readonly number[])[];
      readonly latencies: readonly number[];
      readonly start_times: readonly number[];
      readonly input_lens: readonly number[];
      readonly output_lens: readonly number[];
    } & Readonly<Record<string, number>>;
    const requests = file.ttfts.map((ttftS, i): MarkedRequest => {
      const sentAtMs = ((file.start_times[i] ?? 0) - Math.min(...file.start_times)) * 1000;
      let atMs = sentAtMs + ttftS * 1000;
      const chunks = [atMs];
      for (const gap of file.itls[i] ?? []) chunks.push((atMs += gap * 1000));
      return request({
        sentAtMs,
        chunksAtMs: Float64Array.from(chunks),
        outputTokens: file.output_lens[i],
        inputTokens: file.input_lens[i],
        endedAtMs: sentAtMs + (file.latencies[i] ?? 0) * 1000,
      });
    });
    expect(requests).toHaveLength(40);
    const found = table([run(requests, { plannedConcurrency: 10 })])["vllm"] ?? {};
    const printed: Readonly<Record<string, number | undefined>> = {
      "ttft.mean": file["mean_ttft_ms"],
      "ttft.p99": file["p99_ttft_ms"],
      "tpot.mean": file["mean_tpot_ms"],
      "itl.mean": file["mean_itl_ms"],
      "itl.p99": file["p99_itl_ms"],
      "e2e.mean": file["mean_e2el_ms"],
    };
    for (const [figure, value] of Object.entries(printed))
      expect(found[figure] ?? 0, figure).toBeCloseTo(value ?? -1, 6);
    // Its duration runs from before the first request to after the last: 0.1 % longer here.
    expect((found["output_tps"] ?? 0) / (file["output_throughput"] ?? 1)).toBeCloseTo(1, 2);
    expect((found["total_tps"] ?? 0) / (file["total_token_throughput"] ?? 1)).toBeCloseTo(1, 2);
  });
});

const aiperfFile = `${fixtures}/06-results/aiperf/ajc-qwen_concurrency2-profile_export.jsonl`;

describe.skipIf(!existsSync(aiperfFile))("a file of AIPerf's requests (shared/fixtures)", () => {
  it("has the figures of each request by its definitions", () => {
    const lines = readFileSync(aiperfFile, "utf8").trim().split("\n");
    expect(lines.length).toBeGreaterThan(5);
    for (const line of lines) {
      const { metrics } = JSON.parse(line) as {
        readonly metrics: Readonly<Record<string, { readonly value: number | readonly number[] }>>;
      };
      const number = (name: string): number => Number(metrics[name]?.value);
      const gaps = metrics["inter_chunk_latency"]?.value;
      let atMs = number("time_to_first_token");
      const chunks = [atMs];
      for (const gap of Array.isArray(gaps) ? gaps : []) chunks.push((atMs += Number(gap)));
      const outputTokens = number("output_sequence_length");
      const one = request({ chunksAtMs: Float64Array.from(chunks), outputTokens });
      const found = table([run([one])])["aiperf"] ?? {};
      expect(found["e2e.mean"]).toBeCloseTo(number("request_latency"), 3);
      expect(found["itl.mean"]).toBeCloseTo(number("inter_token_latency"), 6);
      expect(found["user_tps"]).toBeCloseTo(number("output_token_throughput_per_user"), 4);
    }
  });
});
