import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { SseScanner } from "./sse.ts";
import { readStreamEvent, type StreamEvent } from "./stream-events.ts";

function eventsOf(bytes: Uint8Array): StreamEvent[] {
  const events: StreamEvent[] = [];
  const scanner = new SseScanner((event) => events.push(readStreamEvent(event)));
  scanner.push(bytes);
  scanner.end();
  return events;
}

const meaningOf = (json: string): StreamEvent | undefined =>
  eventsOf(Buffer.from(`data: ${json}\n\n`))[0];
const deltaHasOutput = (delta: unknown): boolean => {
  const meaning = meaningOf(
    JSON.stringify({ choices: [{ index: 0, delta, finish_reason: null }] }),
  );
  expect(meaning?.kind).toBe("chunk");
  return meaning?.kind === "chunk" && meaning.output !== "";
};

/** What a whole stream says. */
function summaryOf(bytes: Uint8Array) {
  const events = eventsOf(bytes);
  const chunks = events.filter((event) => event.kind === "chunk");
  return {
    output: chunks.filter(({ output }) => output !== "").length,
    finish: chunks.findLast(({ finishReason }) => finishReason !== undefined)?.finishReason,
    usage: chunks.findLast(({ usage }) => usage !== undefined)?.usage,
    done: events.some(({ kind }) => kind === "done"),
    errors: events.flatMap((event) => (event.kind === "error" ? [event.message] : [])),
    malformed: events.filter(({ kind }) => kind === "malformed").length,
  };
}

describe("readStreamEvent", () => {
  it("counts text, reasoning and tool-call arguments as output", () => {
    expect(meaningOf('{"choices":[{"index":0,"text":"a"}]}')).toMatchObject({ output: "a" });
    expect(deltaHasOutput({ content: "a" })).toBe(true);
    expect(deltaHasOutput({ reasoning: "a" })).toBe(true);
    expect(deltaHasOutput({ reasoning_content: "a", content: null })).toBe(true);
    expect(deltaHasOutput({ tool_calls: [{ index: 0, function: { arguments: "{" } }] })).toBe(true);
  });

  it("does not count a role, empty text or a tool's bare name", () => {
    expect(meaningOf('{"choices":[{"index":0,"text":""}]}')).toMatchObject({ output: "" });
    expect(deltaHasOutput({ role: "assistant", content: "" })).toBe(false);
    expect(deltaHasOutput({ role: "assistant", content: null })).toBe(false);
    expect(deltaHasOutput({})).toBe(false);
    expect(
      deltaHasOutput({ tool_calls: [{ index: 0, function: { name: "f", arguments: "" } }] }),
    ).toBe(false);
    expect(deltaHasOutput({ tool_calls: null })).toBe(false);
  });

  it("reads usage, with the cached tokens where each server puts them", () => {
    const usageOf = (usage: unknown) => {
      const meaning = meaningOf(JSON.stringify({ choices: [], usage }));
      return meaning?.kind === "chunk" ? meaning.usage : undefined;
    };
    const counts = { prompt_tokens: 300, completion_tokens: 20 };
    expect(usageOf({ ...counts, prompt_tokens_details: { cached_tokens: 256 } })).toEqual({
      promptTokens: 300,
      completionTokens: 20,
      cachedTokens: 256,
    });
    expect(usageOf({ ...counts, cached_tokens: 128 })?.cachedTokens).toBe(128);
    expect(usageOf({ ...counts, prompt_cache_hit_tokens: 64 })?.cachedTokens).toBe(64);
    expect(usageOf({ ...counts, prompt_tokens_details: null })?.cachedTokens).toBeUndefined();
    expect(usageOf({ prompt_tokens: -1, completion_tokens: 1.5 })).toEqual({
      promptTokens: undefined,
      completionTokens: undefined,
      cachedTokens: undefined,
    });
    expect(usageOf(null)).toBeUndefined();
  });

  it("knows every form of an error", () => {
    const messages = (stream: string) => summaryOf(Buffer.from(stream)).errors;
    expect(messages('data: {"error":{"message":"died","code":500}}\n\n')).toEqual(["died"]);
    expect(messages('data: {"error":"died"}\n\n')).toEqual(["died"]);
    expect(messages('data: {"object":"error","message":"boom"}\n\n')).toEqual(["boom"]);
    expect(messages('error: {"code":400}\n\n')).toEqual(['{"code":400}']);
    expect(messages('event: error\ndata: {"error":{"message":"bad tool"}}\n\n')).toEqual([
      "bad tool",
    ]);
    expect(messages("event: error\ndata: plain words\n\n")).toEqual(["plain words"]);
    expect(messages('data: {"choices":[{"text":"","finish_reason":"abort"}]}\n\n')).toHaveLength(1);
    expect(messages('data: {"error":null,"choices":[{"text":"a"}]}\n\n')).toEqual([]);
  });

  it("tells done, keep-alives and broken JSON apart", () => {
    expect(meaningOf("[DONE]")).toEqual({ kind: "done" });
    expect(meaningOf(" [DONE] ")).toEqual({ kind: "done" });
    expect(meaningOf("")).toEqual({ kind: "nothing" });
    expect(meaningOf('{"choices":[')).toMatchObject({ kind: "malformed" });
    expect(meaningOf("[1,2]")).toMatchObject({ kind: "malformed" });
    expect(meaningOf('{"foo":1}')).toMatchObject({ kind: "chunk", output: "" });
  });
});

describe("readStreamEvent on a real vLLM 0.32.0", () => {
  const read = (name: string) =>
    summaryOf(readFileSync(new URL(`../testing/vllm-0.32.0/${name}.sse`, import.meta.url)));

  // 24 tokens were asked for; the usage of the last chunk is in the file: 2 and 12 prompt tokens.
  it("counts 24 output chunks of 24 tokens, and takes the last usage of many", () => {
    expect(read("stream-completions")).toEqual({
      output: 24,
      finish: "length",
      usage: { promptTokens: 2, completionTokens: 24, cachedTokens: 0 },
      done: true,
      errors: [],
      malformed: 0,
    });
    expect(read("stream-chat")).toMatchObject({
      output: 24,
      finish: "length",
      usage: { promptTokens: 12, completionTokens: 24, cachedTokens: 0 },
    });
  });

  it("sees the error of a killed engine although [DONE] follows", () => {
    const { errors, done, finish } = read("stream-engine-killed");
    expect(errors).toHaveLength(1);
    expect(errors[0]).toContain("EngineCore encountered an issue");
    expect(done).toBe(true);
    expect(finish).toBeUndefined();
  });
});

const fixtures = new URL("../../../shared/fixtures/05-sse/", import.meta.url);

// Counts read off the files by hand (`grep -c` of the field in question).
describe.skipIf(!existsSync(fixtures))(
  "readStreamEvent on other servers (skipped without ../shared/fixtures)",
  () => {
    const read = (name: string) => summaryOf(readFileSync(new URL(name, fixtures)));
    const nothingWrong = { errors: [], malformed: 0 };

    it.each([
      [
        "reconstructed/continuous-usage-stats.sse",
        {
          output: 2,
          finish: "stop",
          done: true,
          usage: { promptTokens: 7, completionTokens: 2, cachedTokens: undefined },
          ...nothingWrong,
        },
      ],
      [
        "reconstructed/crlf-and-bare-cr.sse",
        { output: 1, finish: undefined, done: true, usage: undefined, ...nothingWrong },
      ],
      [
        "reconstructed/keepalive-comments-and-empty-data.sse",
        { output: 1, finish: undefined, done: true, usage: undefined, ...nothingWrong },
      ],
      [
        "reconstructed/llamacpp-2025-error-field.sse",
        { output: 0, done: true, errors: [expect.stringContaining("context size")] },
      ],
      [
        "reconstructed/llamacpp-done-without-blank-line.sse",
        { output: 1, finish: "stop", done: true, ...nothingWrong },
      ],
      [
        "reconstructed/trtllm-full-text-instead-of-delta.sse",
        { output: 3, done: true, ...nothingWrong },
      ],
      [
        "reconstructed/truncated-in-utf8.sse",
        { output: 0, done: false, finish: undefined, errors: [], malformed: 1 },
      ],
      [
        "reconstructed/vllm-error-midstream.sse",
        { output: 1, done: true, errors: [expect.stringContaining("EngineCore")] },
      ],
      ["reconstructed/vllm-legacy-error-object.sse", { output: 0, done: true, errors: ["boom"] }],
      [
        "reconstructed/vllm-reasoning-vs-reasoning_content.sse",
        { output: 3, finish: "stop", done: true, ...nothingWrong },
      ],
      [
        "pydantic-ai/test_tool_use_failed_error_streaming-1.sse",
        { errors: [expect.stringContaining("Tool call validation failed")] },
      ],
    ])("%s", (name, expected) => {
      expect(read(name)).toMatchObject(expected);
    });
  },
);
