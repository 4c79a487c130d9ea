import { readFileSync } from "node:fs";
import { afterEach, describe, expect, it } from "vitest";
import { type LocalServer, startLocalServer } from "../testing/local-server.ts";
import { type SelfReport, type SelfReportOptions, selfReport } from "./self-report.ts";

const real = (name: string): string =>
  readFileSync(new URL(`../testing/vllm-0.32.0/${name}`, import.meta.url), "utf8");

let server: LocalServer | undefined;
afterEach(async () => {
  await server?.close();
  server = undefined;
});

/** What a server with these answers says of itself; a text is sent as it is. */
async function reportOf(
  answers: Readonly<Record<string, unknown>>,
  options: SelfReportOptions = {},
): Promise<SelfReport> {
  server = await startLocalServer((request, response) => {
    const answer = answers[request.url ?? ""];
    response.statusCode = answer === undefined ? 404 : 200;
    response.end(typeof answer === "string" ? answer : JSON.stringify(answer ?? {}));
    return Promise.resolve();
  });
  const report = await selfReport({ baseUrl: server.url, headers: {} }, options);
  await server.close();
  return report;
}

const list = (owner: string) => ({ data: [{ id: "m", owned_by: owner }] });

describe("vLLM 0.32.0", () => {
  const answers = {
    "/v1/models": real("v1-models.json"),
    "/version": { version: "0.32.0" },
    "/server_info?config_format=json": real("server_info.json"),
    "/metrics": real("metrics-before.txt"),
  };

  it("says it all in its development mode", async () => {
    const report = await reportOf(answers);
    expect(report).toMatchObject({
      name: "vLLM",
      version: "0.32.0",
      maxNumSeqs: 256,
      maxModelLen: 16384,
      settings: {
        dtype: "float32",
        quantization: "none",
        kvCacheDtype: "auto",
        cudaGraphs: "none",
        enforceEager: true,
        chunkedPrefill: true,
        prefixCaching: true,
        blockSize: 128,
        kvCacheTokens: 524288,
        maxNumBatchedTokens: 2048,
        tensorParallel: 1,
        gpuMemoryUtilization: 0.92,
        speculative: "none",
        loadFormat: "dummy",
      },
    });
    expect(report.config).toMatchObject({
      "vllm_config.cache_config.block_size": 128,
      "system_env.torch_version": "2.13.0+cpu",
    });
    // Listings of the machine are no configuration.
    expect(report.config).not.toHaveProperty(["system_env.cpu_info"]);
  });

  it("is read in the text form too", async () => {
    const report = await reportOf({
      ...answers,
      "/server_info?config_format=json": real("server_info.txt"),
    });
    expect(report).toMatchObject({
      maxModelLen: 16384,
      settings: { dtype: "float32", prefixCaching: true, blockSize: 128, kvCacheTokens: 524288 },
    });
    expect(report.config).toMatchObject({
      "vllm_config.compilation_config.cudagraph_mode": "NONE",
    });
  });

  it("has its start-up log speak where the server does not", async () => {
    const report = await reportOf(
      { "/v1/models": answers["/v1/models"], "/metrics": answers["/metrics"] },
      { log: real("serve-killed.log") },
    );
    expect(report).toMatchObject({
      name: "vLLM",
      version: "0.32.0",
      maxNumSeqs: 256,
      nonDefaultArgs: { dtype: "float32", max_num_seqs: 256, enforce_eager: true },
      settings: {
        dtype: "float32",
        kvCacheTokens: 524288,
        cudaGraphs: "none",
        blockSize: 128,
        gpuMemoryUtilization: 0.92,
      },
    });
    expect(report.config).toMatchObject({ "vllm_config.max_seq_len": 16384 });
    expect(report.configDigest).toMatch(/^[0-9a-f]{64}$/);
  });

  it("that dies while it is asked leaves no configuration of another source behind", async () => {
    server = await startLocalServer((request, response) => {
      if (request.url?.startsWith("/server_info") === true) response.destroy();
      else if (request.url === "/v1/models") response.end(real("v1-models.json"));
      else response.writeHead(404).end();
      return Promise.resolve();
    });
    const log = real("serve-killed.log");
    const report = await selfReport({ baseUrl: server.url, headers: {} }, { log });
    expect(report).toMatchObject({ config: undefined, configDigest: undefined, version: "0.32.0" });
    expect(report.settings.dtype).toBe("float32");
  });

  it("has the same digest after a restart on another port with other free memory, and another for another setting", async () => {
    const digestWith = async (
      replace: readonly (readonly [string, string])[],
    ): Promise<unknown> => {
      const text = replace.reduce(
        (info, [from, to]) => {
          expect(info).toContain(from);
          return info.replaceAll(from, to);
        },
        JSON.stringify(JSON.parse(real("server_info.json"))),
      );
      const report = await reportOf({ ...answers, "/server_info?config_format=json": text });
      return report.configDigest;
    };
    const first = await digestWith([]);
    const restarted = await digestWith([
      ['"instance_id":"1795505878455008835"', '"instance_id":"1795515148404930925"'],
      ['"data_parallel_rpc_port":29550', '"data_parallel_rpc_port":31234'],
      ['"num_gpu_blocks":4096', '"num_gpu_blocks":4000'],
      ['"kv_cache_size_tokens":524288', '"kv_cache_size_tokens":512000'],
      ["vllm_mm_", "vllm_mm_x"],
      ["/home/user", "/root"],
      ["/srv/models/tiny-qwen3", "/models/t"],
    ]);
    expect(restarted).toBe(first);
    expect(await digestWith([['"max_num_seqs":256', '"max_num_seqs":128']])).not.toBe(first);
  });
});

describe("other servers", () => {
  it("SGLang tells its arguments, whose seed is drawn at every start", async () => {
    const info = (seed: number) => ({
      model_path: "/m",
      tp_size: 2,
      mem_fraction_static: 0.83,
      random_seed: seed,
      disable_radix_cache: false,
      attention_backend: "flashinfer",
      chunked_prefill_size: 8192,
      max_total_num_tokens: 414382,
      max_running_requests: 2048,
      version: "0.5.4",
      internal_states: [{ last_gen_throughput: 12.5 + seed }],
    });
    const first = await reportOf({ "/get_server_info": info(1) });
    expect(first).toMatchObject({
      name: "SGLang",
      version: "0.5.4",
      maxNumSeqs: 2048,
      settings: {
        tensorParallel: 2,
        prefixCaching: true,
        chunkedPrefill: true,
        kvCacheTokens: 414382,
        attentionBackend: "FLASHINFER",
      },
    });
    const { internal_states: states, version, ...args } = info(2);
    const nested = { server_args: args, internal_states: states, version };
    const second = await reportOf({ "/v1/models": list("sglang"), "/server_info": nested });
    expect(second.settings).toEqual(first.settings);
    expect(second.configDigest).toBe(first.configDigest);
  });

  it("llama.cpp tells its slots and their context", async () => {
    const report = await reportOf({
      "/v1/models": list("llamacpp"),
      "/props": {
        default_generation_settings: { n_ctx: 8192, params: { temperature: 0.8 } },
        total_slots: 4,
        model_path: "/models/m.gguf",
        chat_template: "{{ messages }}",
        build_info: "b8681-Debian",
      },
    });
    expect(report).toMatchObject({
      name: "llama.cpp",
      version: "b8681-Debian",
      maxModelLen: 8192,
      maxNumSeqs: 4,
      config: {
        "default_generation_settings.n_ctx": 8192,
        total_slots: 4,
        model_path: "/models/m.gguf",
      },
    });
  });

  it("Ollama tells of the model once it is loaded", async () => {
    const report = await reportOf(
      {
        "/v1/models": { data: [{ id: "m:latest", owned_by: "library" }] },
        "/api/version": { version: "0.12.3" },
        "/api/ps": {
          models: [
            {
              name: "m:latest",
              size: 5137025024,
              digest: "2ae6",
              details: { format: "gguf", quantization_level: "Q4_0" },
              expires_at: "2026-01-01T00:00:00Z",
              size_vram: 5137025024,
              context_length: 4096,
            },
          ],
        },
      },
      { model: "m:latest" },
    );
    expect(report).toMatchObject({
      name: "Ollama",
      version: "0.12.3",
      maxModelLen: 4096,
      settings: { quantization: "Q4_0" },
    });
    expect(report.config).not.toHaveProperty(["expires_at"]);
  });

  it("TGI tells its limits", async () => {
    const report = await reportOf({
      "/v1/models": { data: [{ id: "m", owned_by: "m" }] },
      "/info": {
        model_id: "m",
        model_dtype: "torch.float16",
        max_concurrent_requests: 128,
        max_total_tokens: 4096,
        max_batch_total_tokens: 65536,
        version: "3.3.4",
        sha: "abc",
      },
    });
    expect(report).toMatchObject({
      name: "TGI",
      version: "3.3.4",
      maxModelLen: 4096,
      settings: { dtype: "float16", kvCacheTokens: 65536 },
    });
  });

  it("TensorRT-LLM tells its version alone", async () => {
    const report = await reportOf({
      "/v1/models": list("tensorrt_llm"),
      "/version": { version: "1.1.0" },
    });
    expect(report).toMatchObject({ name: "TensorRT-LLM", version: "1.1.0", config: undefined });
  });

  it("a gateway is called by the owner of its models", async () => {
    expect(await reportOf({ "/v1/models": list("acme") })).toMatchObject({
      name: "acme",
      version: undefined,
      configDigest: undefined,
      nonDefaultArgs: undefined,
    });
  });

  it("nobody at all is no exception", async () => {
    const report = await selfReport({ baseUrl: "http://127.0.0.1:1", headers: {} });
    expect(report).toMatchObject({ name: "OpenAI-compatible server", config: undefined });
  });
});
