import type { IncomingHttpHeaders } from "node:http";
import { afterEach, describe, expect, it } from "vitest";
import type { ExternalEngine } from "../experiment/experiment.ts";
import { type LocalServer, startLocalServer } from "../testing/local-server.ts";
import { EngineStartError, type VariantOf } from "./engine.ts";
import { external } from "./external.ts";

let server: LocalServer | undefined;
afterEach(async () => {
  await server?.close();
  server = undefined;
  delete process.env["BENCHBOOK_TEST_KEY"];
});

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
}

/** A server that answers each path with a value or a status, and keeps what it was asked. */
async function serve(
  answers: Readonly<Record<string, unknown>>,
  { asked = [], unknown = 404 }: { readonly asked?: Asked[]; readonly unknown?: number } = {},
): Promise<string> {
  server = await startLocalServer((request, response) => {
    const path = request.url ?? "";
    asked.push({ method: request.method ?? "", path, headers: request.headers });
    const answer = answers[path];
    if (typeof answer === "number") response.writeHead(answer).end("{}");
    else if (answer === undefined) response.writeHead(unknown).end('{"detail":"Not Found"}');
    else response.end(JSON.stringify(answer));
    return Promise.resolve();
  });
  return server.url;
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
const demand = { longestRequestTokens: 1, largestConcurrency: 1 };
const models = { data: [{ id: "qwen3", owned_by: "vllm", max_model_len: 4096 }] };

async function failureOf(url: string, engine: Partial<ExternalEngine> = {}): Promise<unknown> {
  return external.start(variant(url, engine), context).catch((error: unknown) => error);
}

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
    expect(engine.endpoint).toEqual({
      baseUrl: url,
      model: "qwen3",
      headers: {},
      paths: { completions: "/v1/completions", chat: "/v1/chat/completions" },
    });
    expect(engine.facts).toMatchObject({
      name: "vLLM",
      version: "0.32.0",
      maxModelLen: 4096,
      maxNumSeqs: 64,
      argv: undefined,
      container: undefined,
    });
    expect(engine.notes).toEqual([]);
  });

  it("says that it was not told where a server is silent", async () => {
    const url = await serve({ "/v1/models": { data: [{ id: "qwen3" }] } });
    const { facts } = await external.start(variant(url), context);
    expect(facts).toMatchObject({
      name: "OpenAI-compatible server",
      version: undefined,
      config: undefined,
      configDigest: undefined,
      maxModelLen: undefined,
    });
    expect(new Set(Object.values(facts.settings))).toEqual(new Set([undefined]));
  });

  it("names the models that are served when the wanted one is not", async () => {
    const url = await serve({ "/v1/models": { data: [{ id: "llama" }] } });
    const failure = await failureOf(url);
    expect(failure).toBeInstanceOf(EngineStartError);
    expect(failure).toMatchObject({ mend: "one of: llama" });
  });

  it("takes a name of Ollama without its tag", async () => {
    const url = await serve({
      "/v1/models": { data: [{ id: "qwen3:latest", owned_by: "library" }] },
      "/api/version": { version: "0.12.3" },
    });
    const { facts } = await external.start(variant(url), context);
    expect(facts).toMatchObject({ name: "Ollama", version: "0.12.3" });
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

  it("notices that the server is gone or serves another model by now", async () => {
    const answers: Record<string, unknown> = { "/v1/models": models };
    const url = await serve(answers);
    const engine = await external.start(variant(url), context);
    answers["/v1/models"] = { data: [{ id: "other" }] };
    await expect(engine.readFacts()).rejects.toThrow(/does not serve "qwen3"/);
    await server?.close();
    await expect(engine.readFacts()).rejects.toThrow(/no OpenAI-compatible server/);
  });
});

describe("a gateway", () => {
  it("without a list of models is used as it is told, and the record says so", async () => {
    const url = await serve({ "/v1/chat/completions": 400 });
    const { notes, facts } = await external.start(variant(url), context);
    expect(notes).toEqual([
      `the server at ${url} has no list of models; that it serves "qwen3" is not confirmed`,
    ]);
    expect(facts.name).toBe("OpenAI-compatible server");
  });

  it("with an empty list of models likewise", async () => {
    const url = await serve({ "/v1/models": { data: [] } });
    const { notes } = await external.start(variant(url), context);
    expect(notes).toHaveLength(1);
  });

  it("at other paths and below a prefix is asked there", async () => {
    const asked: Asked[] = [];
    const chat = "/chat/completions?api-version=2024-10-21";
    const url = await serve({ [`/openai/deployments/q${chat}`]: 400 }, { asked });
    const { endpoint } = await external.start(
      variant(`${url}/openai/deployments/q`, { paths: { chat } }),
      context,
    );
    expect(endpoint).toMatchObject({
      baseUrl: `${url}/openai/deployments/q`,
      paths: { chat, completions: "/v1/completions" },
    });
    expect(asked.filter(({ method }) => method === "POST").map(({ path }) => path)).toEqual([
      `/openai/deployments/q${chat}`,
    ]);
  });

  it("that is none is refused with what to correct", async () => {
    const url = await serve({});
    expect(await failureOf(url)).toMatchObject({
      message: `no OpenAI-compatible server answers at ${url}: GET /v1/models answered 404`,
      mend: "start the server, or correct `url` (without /v1), `paths` and `key`",
    });
  });

  it("that wants a key says so, at whichever of its paths", async () => {
    for (const answers of [{ "/v1/models": 401 }, { "/v1/chat/completions": 403 }]) {
      const failure = await failureOf(await serve(answers));
      expect(failure).toMatchObject({
        message: expect.stringMatching(/40[13]: the key is missing or wrong/) as unknown,
        mend: expect.stringContaining("key: { env: NAME }") as unknown,
      });
      await server?.close();
    }
  });
});

describe("secrets of a server", () => {
  it("are read from their variables, sent with every call, and missed before a run", async () => {
    const asked: Asked[] = [];
    const url = await serve({ "/v1/models": models }, { asked });
    const keyed = variant(url, {
      key: { env: "BENCHBOOK_TEST_KEY" },
      headers: { "x-route": "a", "x-api-key": { env: "BENCHBOOK_TEST_KEY" } },
    });
    const problems = await external.check(keyed, demand, context);
    expect(problems.map(({ where }) => where)).toEqual([
      "engines.server.key",
      "engines.server.headers.x-api-key",
    ]);
    process.env["BENCHBOOK_TEST_KEY"] = "abc";
    expect(await external.check(keyed, demand, context)).toEqual([]);
    await external.start(keyed, context);
    expect(asked.length).toBeGreaterThan(2);
    for (const { headers } of asked) {
      expect(headers).toMatchObject({
        authorization: "Bearer abc",
        "x-api-key": "abc",
        "x-route": "a",
      });
    }
  });
});

describe("emptying the prefix cache of a server", () => {
  it("is asked of vLLM and SGLang by their own calls, and not offered by others", async () => {
    const reset = async (answers: Readonly<Record<string, unknown>>): Promise<string> => {
      const url = await serve(answers);
      const engine = await external.start(variant(url), context);
      const result = await engine.resetPrefixCache();
      await server?.close();
      return result;
    };
    const ownedBy = (owner: string) => ({ data: [{ id: "qwen3", owned_by: owner }] });
    expect(await reset({ "/v1/models": models, "/reset_prefix_cache": { success: true } })).toBe(
      "done",
    );
    expect(await reset({ "/v1/models": ownedBy("sglang"), "/flush_cache": "flushed" })).toBe(
      "done",
    );
    expect(await reset({ "/v1/models": ownedBy("sglang"), "/flush_cache": 400 })).toBe("failed");
    expect(await reset({ "/v1/models": ownedBy("sglang") })).toBe("not_offered");
    expect(await reset({ "/v1/models": ownedBy("llamacpp") })).toBe("not_offered");
  });
});
