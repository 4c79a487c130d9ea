// The built engine as its clients meet it: the same chunks, keys and types as recorded from vLLM
// (fixtures/), the same errors, and the openai client works with it.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const entry = "dist/engine/embedded/server.js";
const folder = "data/models/tiny-qwen3";

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface Launched {
  readonly process: ChildProcess;
  readonly ready: Promise<string>;
  readonly ended: Promise<Ended>;
}

function launch(...argv: readonly string[]): Launched {
  if (!existsSync(entry)) throw new Error(`${entry} is missing: npm run build`);
  const child = spawn(process.execPath, [entry, ...argv], { stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  const ready = new Promise<string>((resolve) => {
    child.stdout.on("data", (data: Buffer) => {
      stdout += data.toString();
      const [, url] = /ready (http:\S+)\n/.exec(stdout) ?? [];
      if (url !== undefined) resolve(url);
    });
  });
  child.stderr.on("data", (data: Buffer) => {
    stderr += data.toString();
  });
  const ended = once(child, "close").then(() => ({ code: child.exitCode, stdout, stderr }));
  return { process: child, ready, ended };
}

/** Where it serves; throws with its last words when it ends instead. */
async function readyUrl(engine: Launched): Promise<string> {
  const died = engine.ended.then(({ code, stderr }) => {
    throw new Error(`the engine ended with ${code}: ${stderr}`);
  });
  died.catch(() => undefined);
  return Promise.race([engine.ready, died]);
}

async function fixture(name: string): Promise<string> {
  return readFile(new URL(`./fixtures/${name}`, import.meta.url), "utf8");
}

/** Every place in a JSON value with its type: "choices[].delta.content: string". */
function shapeOf(value: unknown, path = ""): readonly string[] {
  if (Array.isArray(value)) {
    return [`${path}: array`, ...new Set(value.flatMap((item) => shapeOf(item, `${path}[]`)))];
  }
  if (typeof value === "object" && value !== null) {
    return Object.entries(value).flatMap(([key, inner]) => shapeOf(inner, `${path}.${key}`));
  }
  return [`${path}: ${value === null ? "null" : typeof value}`];
}

type ChunkKind = "opening" | "text" | "last" | "usage" | "error" | "done";

interface Chunk {
  readonly kind: ChunkKind;
  readonly shape: readonly string[];
}

function chunksOf(stream: string): readonly Chunk[] {
  return stream
    .split("\n\n")
    .filter((event) => event !== "")
    .map((event) => {
      expect(event.startsWith("data: ")).toBe(true);
      const data = event.slice("data: ".length);
      if (data === "[DONE]") return { kind: "done", shape: [] };
      const value: unknown = JSON.parse(data);
      const shape = shapeOf(value);
      return { kind: kindOf(shape), shape };
    });
}

function kindOf(shape: readonly string[]): ChunkKind {
  if (shape.includes(".error.message: string")) return "error";
  if (!shape.some((place) => place.startsWith(".choices[]"))) return "usage";
  if (shape.some((place) => place.startsWith(".choices[].delta.role"))) return "opening";
  return shape.includes(".choices[].finish_reason: string") ? "last" : "text";
}

/** The kinds in order, with runs of the same kind once: how a stream reads. */
function courseOf(chunks: readonly Chunk[]): readonly ChunkKind[] {
  return chunks.map(({ kind }) => kind).filter((kind, place, all) => kind !== all[place - 1]);
}

/** All places that chunks of one kind have. */
function placesOf(chunks: readonly Chunk[], kind: ChunkKind): readonly string[] {
  return [
    ...new Set(chunks.filter((chunk) => chunk.kind === kind).flatMap(({ shape }) => shape)),
  ].sort();
}

function expectSameShapes(ours: readonly Chunk[], theirs: readonly Chunk[]): void {
  expect(courseOf(ours)).toEqual(courseOf(theirs));
  for (const kind of new Set(theirs.map((chunk) => chunk.kind))) {
    expect(placesOf(ours, kind), kind).toEqual(placesOf(theirs, kind));
  }
}

describe("the embedded engine", () => {
  let engine: Launched;
  let base: string;
  let client: OpenAI;

  beforeAll(async () => {
    engine = launch("--model", folder, "--port", "0", "--max-num-seqs", "2");
    base = await readyUrl(engine);
    client = new OpenAI({ baseURL: `${base}/v1`, apiKey: "none", maxRetries: 0 });
  });

  afterAll(async () => {
    engine.process.kill("SIGTERM");
    const { code } = await engine.ended;
    expect(code).toBe(0);
  });

  async function post(path: string, body: unknown): Promise<Response> {
    return fetch(base + path, {
      method: "POST",
      body: typeof body === "string" ? body : JSON.stringify(body),
    });
  }

  async function metric(name: string, labels = ""): Promise<number> {
    const text = await (await fetch(`${base}/metrics`)).text();
    const line = text
      .split("\n")
      .find((other) => other.startsWith(`vllm:${name}{`) && other.includes(labels));
    if (line === undefined) throw new Error(`no metric ${name}`);
    return Number(line.split(" ").at(-1));
  }

  async function metricBecomes(name: string, expected: number, labels = ""): Promise<void> {
    const deadlineMs = performance.now() + 10_000;
    while ((await metric(name, labels)) !== expected) {
      if (performance.now() > deadlineMs) throw new Error(`${name} did not become ${expected}`);
    }
  }

  it("streams completions as vLLM does", async () => {
    const response = await post("/v1/completions", {
      model: "tiny-qwen3",
      prompt: [500, 600],
      max_tokens: 24,
      min_tokens: 24,
      ignore_eos: true,
      seed: 1,
      stream: true,
      stream_options: { include_usage: true },
    });
    expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
    const ours = chunksOf(await response.text());
    expect(ours.filter(({ kind }) => kind === "text").length).toBeGreaterThan(15);
    expectSameShapes(ours, chunksOf(await fixture("stream-completions.sse")));
  });

  it("streams chat with usage and token ids in every chunk as vLLM does", async () => {
    const response = await post("/v1/chat/completions", {
      messages: [{ role: "user", content: "What is a round?" }],
      max_tokens: 24,
      min_tokens: 24,
      ignore_eos: true,
      seed: 1,
      return_token_ids: true,
      stream: true,
      stream_options: { include_usage: true, continuous_usage_stats: true },
    });
    const stream = await response.text();
    expectSameShapes(chunksOf(stream), chunksOf(await fixture("stream-chat.sse")));
    // The usage of each chunk grows by the chunk's own tokens.
    const events = stream.split("\n\n").filter((event) => event.startsWith("data: {"));
    let tokens = 0;
    for (const event of events) {
      const { choices, usage } = JSON.parse(event.slice("data: ".length)) as {
        choices: readonly { token_ids?: readonly number[] }[];
        usage: { prompt_tokens: number; completion_tokens: number; total_tokens: number };
      };
      tokens += choices[0]?.token_ids?.length ?? 0;
      expect(usage.completion_tokens).toBe(tokens);
      expect(usage.total_tokens).toBe(usage.prompt_tokens + tokens);
    }
    expect(tokens).toBe(24);
  });

  it("sends no usage that was not asked for", async () => {
    const response = await post("/v1/completions", { prompt: "the", max_tokens: 2, stream: true });
    expect(courseOf(chunksOf(await response.text()))).not.toContain("usage");
  });

  it("describes its model as vLLM does", async () => {
    const ours: unknown = await (await fetch(`${base}/v1/models`)).json();
    const theirs: unknown = JSON.parse(await fixture("v1-models.json"));
    const withoutPermissions = (value: unknown): readonly string[] =>
      shapeOf(value).filter((place) => !place.startsWith(".data[].permission[]"));
    expect(withoutPermissions(ours).toSorted()).toEqual(withoutPermissions(theirs).toSorted());
    expect(ours).toMatchObject({ data: [{ id: "tiny-qwen3", max_model_len: 4096 }] });
  });

  it.each([
    ["error-bad-json.txt", '{"model": "tiny-qwen3", "prompt": "hi", "stream": }', false],
    ["error-too-long.txt", { prompt: "hi", max_tokens: 99_999 }, true],
    ["error-unknown-model.txt", { model: "nope", prompt: "hi" }, true],
  ])("refuses as vLLM does: %s", async (name, body, sameWords) => {
    const lines = (await fixture(name)).trimEnd().split("\n");
    const theirs = JSON.parse(lines[0] ?? "") as { error: Record<string, unknown> };
    const response = await post("/v1/completions", body);
    expect(response.status).toBe(Number(lines[1]));
    const ours = (await response.json()) as { error: Record<string, unknown> };
    expect(shapeOf(ours)).toEqual(shapeOf(theirs));
    expect(ours.error).toMatchObject({ type: theirs.error["type"], code: theirs.error["code"] });
    if (sameWords) {
      const message = String(theirs.error["message"]).replace("16384", "4096");
      expect(ours.error).toEqual({ ...theirs.error, message });
    }
  });

  it("refuses a prompt that leaves no room for the answer", async () => {
    const prompt = Array.from({ length: 4000 }, () => 500);
    const response = await post("/v1/completions", { prompt, max_tokens: 97 });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { type: "BadRequestError", code: 400 } });
    expect((await post("/v1/completions", { prompt, max_tokens: 1 })).status).toBe(200);
  });

  it("tokenizes, and gives the text back", async () => {
    const prompt = "the server keeps 缓存";
    const tokenized = (await (await post("/tokenize", { prompt })).json()) as {
      count: number;
      max_model_len: number;
      tokens: number[];
    };
    expect(tokenized.count).toBe(tokenized.tokens.length);
    expect(tokenized.max_model_len).toBe(4096);
    const back = await post("/detokenize", { tokens: tokenized.tokens });
    expect(await back.json()).toEqual({ prompt });
    const usage = await post("/v1/completions", { prompt, max_tokens: 1 });
    expect(await usage.json()).toMatchObject({ usage: { prompt_tokens: tokenized.count } });
  });

  it("shows its version, health and resolved configuration", async () => {
    expect((await fetch(`${base}/health`)).status).toBe(200);
    expect(await (await fetch(`${base}/version`)).json()).toEqual({
      version: expect.any(String) as string,
    });
    expect(await (await fetch(`${base}/server_info`)).json()).toMatchObject({
      served_model_name: "tiny-qwen3",
      precision: "fp32",
      max_num_seqs: 2,
      max_model_len: 4096,
      max_num_batched_tokens: 2048,
      threads: 1,
      enable_prefix_caching: true,
      enable_chunked_prefill: true,
      block_size: 16,
      num_gpu_blocks: 512, // 2 requests of 4096 tokens
      dtype: "float32",
      quantization: "none",
      kv_cache_dtype: "float32",
      attention_backend: "onnxruntime-cpu",
      cudagraph_mode: "none",
      tensor_parallel_size: 1,
      speculative_config: "none",
      load_format: "onnx",
      executor: "onnxruntime cpu",
      onnxruntime_version: expect.stringMatching(/^1\./) as string,
    });
  });

  it("answers the same seed with the same text, alone and beside others, streamed and not", async () => {
    const ask = async (seed: number): Promise<string | undefined> => {
      const answer = await client.completions.create({
        model: "tiny-qwen3",
        prompt: "the harbour",
        max_tokens: 20,
        seed,
      });
      return answer.choices[0]?.text;
    };
    const first = await ask(5);
    expect(first).not.toBe("");
    expect(await Promise.all([ask(5), ask(6), ask(7), ask(5)])).toEqual([
      first,
      expect.not.stringMatching(/^$/) as string,
      expect.not.stringMatching(/^$/) as string,
      first,
    ]);
    const stream = await client.completions.create({
      model: "tiny-qwen3",
      prompt: "the harbour",
      max_tokens: 20,
      seed: 5,
      stream: true,
    });
    let streamed = "";
    for await (const chunk of stream) streamed += chunk.choices[0]?.text ?? "";
    expect(streamed).toBe(first);
  });

  it("streams chat to the openai client, with usage", async () => {
    const stream = await client.chat.completions.create({
      model: "tiny-qwen3",
      messages: [{ role: "user", content: "hello" }],
      max_completion_tokens: 12,
      stream: true,
      stream_options: { include_usage: true },
      // The engine's own fields travel as they are.
      ...{ min_tokens: 12 },
    });
    let text = "";
    let role: string | undefined;
    let finishReason: string | null | undefined;
    let completionTokens: number | undefined;
    for await (const chunk of stream) {
      role ??= chunk.choices[0]?.delta.role;
      text += chunk.choices[0]?.delta.content ?? "";
      finishReason ??= chunk.choices[0]?.finish_reason;
      completionTokens ??= chunk.usage?.completion_tokens;
    }
    expect(role).toBe("assistant");
    expect(text).not.toBe("");
    expect(text).not.toContain("\u{FFFD}");
    expect(finishReason).toBe("length");
    expect(completionTokens).toBe(12);
  });

  it("frees the sequence of a client that goes away", async () => {
    const aborted = await metric("request_success_total", 'finished_reason="abort"');
    const stream = await client.completions.create({
      model: "tiny-qwen3",
      prompt: "the sea",
      max_tokens: 4000,
      stream: true,
      ...{ ignore_eos: true, min_tokens: 4000 },
    });
    let chunks = 0;
    for await (const chunk of stream) {
      expect(chunk.object).toBe("text_completion");
      chunks += 1;
      if (chunks === 1) expect(await metric("num_requests_running")).toBe(1);
      if (chunks === 3) break;
    }
    await metricBecomes("num_requests_running", 0);
    expect(await metric("request_success_total", 'finished_reason="abort"')).toBe(aborted + 1);
  });

  it("lets requests beyond max-num-seqs wait, and frees those that give up waiting", async () => {
    const gone = new AbortController();
    const long = {
      prompt: "the sea",
      max_tokens: 4000,
      min_tokens: 4000,
      ignore_eos: true,
      stream: true,
    };
    const requests = Array.from({ length: 4 }, async () =>
      fetch(`${base}/v1/completions`, {
        method: "POST",
        body: JSON.stringify(long),
        signal: gone.signal,
      }),
    );
    await Promise.all(requests);
    await metricBecomes("num_requests_running", 2);
    expect(await metric("num_requests_waiting")).toBe(2);
    expect(await metric("kv_cache_usage_perc")).toBeGreaterThan(0);
    gone.abort();
    await metricBecomes("num_requests_running", 0);
    await metricBecomes("num_requests_waiting", 0);
  });

  it("counts tokens as the answers' usage does", async () => {
    const before = await metric("generation_tokens_total");
    const promptBefore = await metric("prompt_tokens_total");
    await Promise.all(
      [3, 5, 7].map((maxTokens) =>
        post("/v1/completions", {
          prompt: [500, 501, 502],
          max_tokens: maxTokens,
          min_tokens: maxTokens,
        }),
      ),
    );
    expect((await metric("generation_tokens_total")) - before).toBe(15);
    expect((await metric("prompt_tokens_total")) - promptBefore).toBe(9);
  });

  it("reuses no prompt when it was told not to, and has the blocks that it was told", async () => {
    const plain = launch(
      ...["--model", folder, "--port", "0", "--no-enable-prefix-caching"],
      ...["--block-size", "32", "--num-blocks", "300"],
    );
    try {
      const url = await readyUrl(plain);
      const prompt = Array.from({ length: 100 }, (_, place) => 500 + place);
      for (let turn = 0; turn < 2; turn += 1) {
        const response = await fetch(`${url}/v1/completions`, {
          method: "POST",
          body: JSON.stringify({ prompt, max_tokens: 1 }),
        });
        expect(await response.json()).toMatchObject({
          usage: { prompt_tokens: 100, prompt_tokens_details: { cached_tokens: 0 } },
        });
      }
      expect(await (await fetch(`${url}/server_info`)).json()).toMatchObject({
        enable_prefix_caching: false,
        block_size: 32,
        num_gpu_blocks: 300,
      });
      const metrics = await (await fetch(`${url}/metrics`)).text();
      expect(metrics).toMatch(/^vllm:prefix_cache_queries_total\{.*\} 0$/m);
      expect(metrics).toMatch(/^vllm:prompt_tokens_total\{.*\} 200$/m);
    } finally {
      plain.process.kill("SIGTERM");
      await plain.ended;
    }
  });

  it("ends with 1 and says so when its port is taken", async () => {
    const { port } = new URL(base);
    const { code, stderr } = await launch("--model", folder, "--port", port).ended;
    expect(code).toBe(1);
    expect(stderr).toContain(`port ${port} is taken`);
  });
});

describe("the embedded engine does not start, with 2 and a word on how to mend it,", () => {
  it.each<[string, readonly string[], RegExp]>([
    ["without a model", [], /--model is missing/],
    ["with an unknown flag", ["--model", folder, "--modle", "x"], /--modle/],
    [
      "with an impossible number",
      ["--model", folder, "--max-num-seqs", "0"],
      /--max-num-seqs must be a whole number/,
    ],
    [
      "with fewer blocks than one request may need",
      ["--model", folder, "--num-blocks", "255"],
      /255 of 16 tokens hold less than one request of 4096/,
    ],
    ["with an unknown precision", ["--model", folder, "--precision", "fp4"], /fp32 or q8, got fp4/],
    ["with a context beyond the model's", ["--model", folder, "--max-model-len", "5000"], /4096/],
    ["on a folder that is missing", ["--model", "data/models/nope"], /does not exist/],
    ["on a folder without a model", ["--model", "data/models"], /has no config\.json/],
  ])("%s", async (_, argv, message) => {
    const { code, stderr } = await launch(...argv).ended;
    expect(stderr).toMatch(message);
    expect(stderr).toContain("  mend ");
    expect(code).toBe(2);
  });

  it("on weights that are broken", async () => {
    const broken = await mkdtemp(join(tmpdir(), "benchbook-model-"));
    try {
      await cp(folder, broken, { recursive: true });
      await writeFile(join(broken, "onnx/model.onnx"), "not a graph");
      const { code, stderr } = await launch("--model", broken).ended;
      expect(stderr).toContain("the model's weights cannot be loaded");
      expect(code).toBe(2);
    } finally {
      await rm(broken, { recursive: true });
    }
  });
});
