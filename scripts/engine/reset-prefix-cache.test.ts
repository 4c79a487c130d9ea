import { createServer, type Server } from "node:http";
import { afterEach, describe, expect, it } from "vitest";
import { resetPrefixCache } from "./reset-prefix-cache.ts";

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
  server = undefined;
});

/** Answers one after another, the last one again and again; keeps what it was asked. */
async function serve(
  answers: readonly (readonly [status: number, body: string])[],
  asked: string[] = [],
): Promise<string> {
  const left = [...answers];
  const listening = createServer((request, response) => {
    asked.push(
      `${request.method ?? ""} ${request.url ?? ""} ${request.headers.authorization ?? ""}`,
    );
    const [status, body] = (left.length > 1 ? left.shift() : left[0]) ?? [500, ""];
    response.writeHead(status).end(body);
  });
  server = listening;
  await new Promise<void>((resolve) => listening.listen(0, "127.0.0.1", resolve));
  const address = listening.address();
  return `http://127.0.0.1:${typeof address === "object" ? (address?.port ?? 0) : 0}`;
}

describe("emptying a server's prefix cache", () => {
  it.each<[string, number, string, string]>([
    ["vLLM 0.32.0", 200, '{"success":true}', "done"],
    ["an older vLLM, which does not say", 200, "", "done"],
    ["a server without such a call", 404, '{"detail":"Not Found"}', "not_offered"],
    ["a server that knows the path for something else", 405, "", "not_offered"],
    ["a server that wants another key", 401, "", "failed"],
    ["a broken server", 500, "Internal Server Error", "failed"],
    ["vLLM 0.32.0 that goes on refusing", 200, '{"success":false}', "failed"],
  ])("ends as %s answers", async (_, status, body, expected) => {
    const asked: string[] = [];
    const baseUrl = await serve([[status, body]], asked);
    const headers = { authorization: "Bearer k" };
    expect(await resetPrefixCache({ baseUrl, headers }, { withinMs: 20, everyMs: 1 })).toBe(
      expected,
    );
    expect(asked[0]).toBe("POST /reset_prefix_cache Bearer k");
  });

  it("waits for requests that are on their way out", async () => {
    const asked: string[] = [];
    const refusal = [200, '{"success":false}'] as const;
    const baseUrl = await serve([refusal, refusal, [200, '{"success":true}']], asked);
    expect(await resetPrefixCache({ baseUrl, headers: {} }, { everyMs: 1 })).toBe("done");
    expect(asked).toHaveLength(3);
  });

  it("waits for them on SGLang too, by its own call", async () => {
    const asked: string[] = [];
    const baseUrl = await serve(
      [
        [400, "Flush cache failed."],
        [200, "Cache flushed."],
      ],
      asked,
    );
    const ways = { dialect: "SGLang", everyMs: 1 } as const;
    expect(await resetPrefixCache({ baseUrl, headers: {} }, ways)).toBe("done");
    expect(asked).toEqual(["POST /flush_cache ", "POST /flush_cache "]);
  });

  it("fails where nobody answers", async () => {
    const baseUrl = await serve([[200, ""]]);
    server?.close();
    server?.closeAllConnections();
    expect(await resetPrefixCache({ baseUrl, headers: {} })).toBe("failed");
  });
});
