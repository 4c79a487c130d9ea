import { createServer, type Server } from "node:http";
import { afterEach, describe, expect, it } from "vitest";
import type { ExternalEngine } from "../experiment/experiment.ts";
import { EngineStartError, type VariantOf } from "./engine.ts";
import { external } from "./external.ts";

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
  server = undefined;
});

/** A server that answers each path with a value, and keeps the keys that it was shown. */
function serve(answers: Readonly<Record<string, unknown>>, keys: string[] = []): Promise<string> {
  server = createServer((request, response) => {
    keys.push(request.headers.authorization ?? "");
    const answer = answers[request.url ?? ""];
    response.statusCode = answer === undefined ? 404 : 200;
    response.end(JSON.stringify(answer ?? {}));
  });
  return new Promise((resolve) => {
    server?.listen(0, "127.0.0.1", () => {
      const address = server?.address();
      resolve(`http://127.0.0.1:${typeof address === "object" ? (address?.port ?? 0) : 0}`);
    });
  });
}

function variant(url: string, engine: Partial<ExternalEngine> = {}): VariantOf<ExternalEngine> {
  return {
    name: "v",
    model: "qwen3",
    precision: "auto",
    engine: { kind: "external", name: "server", url, headers: {}, ...engine },
  };
}

const context = { projectRoot: ".", logPath: "", signal: new AbortController().signal };
const models = { data: [{ id: "qwen3", owned_by: "vllm", max_model_len: 4096 }] };

describe("attaching to a server", () => {
  it("takes what it says of itself, with or without /v1 in the url", async () => {
    const url = await serve({
      "/v1/models": models,
      "/version": { version: "0.32.0" },
      "/server_info?config_format=json": {
        vllm_config: { scheduler_config: { max_num_seqs: 64 } },
      },
    });
    const engine = await external.start(variant(`${url}/v1/`), context);
    expect(engine.endpoint).toEqual({ baseUrl: url, model: "qwen3", headers: {} });
    expect(engine.facts).toMatchObject({
      name: "vllm",
      version: "0.32.0",
      maxModelLen: 4096,
      maxNumSeqs: 64,
      argv: undefined,
    });
  });

  it("says that it was not told where a server is silent", async () => {
    const url = await serve({ "/v1/models": { data: [{ id: "qwen3" }] } });
    const { facts } = await external.start(variant(url), context);
    expect(facts).toMatchObject({
      version: undefined,
      config: undefined,
      configDigest: undefined,
      maxModelLen: undefined,
    });
  });

  it("names the models that are served when the wanted one is not", async () => {
    const url = await serve({ "/v1/models": { data: [{ id: "llama" }] } });
    const failure = await external.start(variant(url), context).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(EngineStartError);
    expect(failure).toMatchObject({ mend: "one of: llama" });
  });

  it("says what to mend when nobody answers, or something else than a list of models", async () => {
    await expect(external.start(variant("http://127.0.0.1:1"), context)).rejects.toThrow(
      /no OpenAI-compatible server/,
    );
    const url = await serve({ "/v1/models": "hello" });
    await expect(external.start(variant(url), context)).rejects.toThrow(
      /did not answer with a list/,
    );
  });

  it("sends the key of the named variable and refuses when it is not set", async () => {
    const keys: string[] = [];
    const url = await serve({ "/v1/models": models }, keys);
    const keyed = variant(url, { key: { env: "BENCHBOOK_TEST_KEY" } });
    delete process.env["BENCHBOOK_TEST_KEY"];
    const demand = { longestRequestTokens: 1, largestConcurrency: 1 };
    expect(await external.check(keyed, demand, context)).toHaveLength(1);
    process.env["BENCHBOOK_TEST_KEY"] = "abc";
    expect(await external.check(keyed, demand, context)).toHaveLength(0);
    await external.start(keyed, context);
    delete process.env["BENCHBOOK_TEST_KEY"];
    expect(keys[0]).toBe("Bearer abc");
  });
});
