import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Variant } from "../experiment/experiment.ts";
import { type LocalServer, startLocalServer } from "../testing/local-server.ts";
import { startEngine } from "./engines.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "benchbook-engines-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** A server that answers each path with a value. */
function serve(answers: Readonly<Record<string, unknown>>): Promise<LocalServer> {
  return startLocalServer((request, response) => {
    const answer = answers[request.url ?? ""];
    response.writeHead(answer === undefined ? 404 : 200).end(JSON.stringify(answer ?? {}));
    return Promise.resolve();
  });
}

const models = { data: [{ id: "qwen3", owned_by: "vllm" }] };

function variantOf(url: string, headers: Readonly<Record<string, string>>): Variant {
  return {
    name: "a",
    model: "qwen3",
    precision: "auto",
    engine: { kind: "external", name: "e", url, headers },
  };
}

describe("what an engine says of itself", () => {
  it("loses no word or number that a plain header happens to hold", async () => {
    const model_config = { model: "qwen3-14b-en", seed: "1234" };
    const server = await serve({
      "/v1/models": models,
      "/server_info?config_format=json": { vllm_config: { model_config } },
    });
    const headers = { "x-lang": "en", "x-route": "1234", "x-api-key": "qwen3-14b" };
    const { facts } = await startEngine(variantOf(server.url, headers), {
      projectRoot: folder,
      logPath: join(folder, "none.log"),
      signal: new AbortController().signal,
    });
    await server.close();
    expect(facts.config).toEqual({
      "vllm_config.model_config.seed": "1234",
      // A header that is named like a key holds one, and that goes wherever it stands.
      "vllm_config.model_config.model": "[redacted]-en",
    });
  });

  it("comes with word of a log that could not be cleaned", async () => {
    const server = await serve({ "/v1/models": models });
    const logPath = join(folder, "a-folder.log");
    mkdirSync(logPath);
    const engine = await startEngine(variantOf(server.url, {}), {
      projectRoot: folder,
      logPath,
      signal: new AbortController().signal,
    });
    const left = await engine.stop();
    await server.close();
    expect(left).toEqual([expect.stringContaining("may still hold secrets: EISDIR")]);
  });
});
