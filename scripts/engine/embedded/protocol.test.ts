import { describe, expect, it } from "vitest";
import {
  ApiError,
  fitMaxTokens,
  parseChat,
  parseCompletion,
  parseDetokenize,
  parseTokenize,
} from "./protocol.ts";

function refusalOf(act: () => unknown): ApiError {
  try {
    act();
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
  throw new Error("it was accepted");
}

describe("requests", () => {
  it("take a prompt as text, as token ids, or as a list of one of either", () => {
    const text = { kind: "text", text: "hi" };
    const tokens = { kind: "tokens", tokens: [1, 2] };
    expect(parseCompletion({ prompt: "hi" }).prompt).toEqual(text);
    expect(parseCompletion({ prompt: ["hi"] }).prompt).toEqual(text);
    expect(parseCompletion({ prompt: [1, 2] }).prompt).toEqual(tokens);
    expect(parseCompletion({ prompt: [[1, 2]] }).prompt).toEqual(tokens);
  });

  it("are complete when little is said, and null counts as unsaid", () => {
    const expected = {
      model: undefined,
      prompt: { kind: "text", text: "hi" },
      stream: false,
      includeUsage: false,
      continuousUsage: false,
      returnTokenIds: false,
      maxTokens: 16,
      settings: { temperature: 1, topP: 1, minTokens: 0, ignoreEos: false, stop: [] },
      seed: undefined,
    };
    expect(parseCompletion({ prompt: "hi" })).toEqual(expected);
    expect(
      parseCompletion({
        prompt: "hi",
        max_tokens: null,
        stop: null,
        stream_options: null,
        seed: null,
      }),
    ).toEqual(expected);
  });

  it("of a chat take text parts, and max_completion_tokens before max_tokens", () => {
    const request = parseChat({
      messages: [
        { role: "system", content: "short" },
        {
          role: "user",
          content: [
            { type: "text", text: "a" },
            { type: "text", text: "b" },
          ],
        },
      ],
      max_tokens: 5,
      max_completion_tokens: 7,
      stop: "x",
      stream: true,
      stream_options: { include_usage: true, continuous_usage_stats: true },
    });
    expect(request).toMatchObject({
      prompt: {
        kind: "chat",
        messages: [
          { role: "system", content: "short" },
          { role: "user", content: "a\nb" },
        ],
        open: true,
      },
      maxTokens: 7,
      settings: { stop: ["x"] },
      includeUsage: true,
      continuousUsage: true,
    });
  });

  it.each<[string, unknown, string]>([
    ["no prompt", {}, "prompt"],
    ["an empty prompt", { prompt: "" }, "prompt"],
    ["no token ids", { prompt: [] }, "prompt"],
    ["several prompts", { prompt: ["a", "b"] }, "prompt"],
    ["a fraction as a token", { prompt: [1.5] }, "prompt"],
    ["max_tokens 0", { prompt: "a", max_tokens: 0 }, "max_tokens"],
    ["max_tokens as text", { prompt: "a", max_tokens: "9" }, "max_tokens"],
    ["a negative temperature", { prompt: "a", temperature: -1 }, "temperature"],
    ["top_p 0", { prompt: "a", top_p: 0 }, "top_p"],
    ["two answers", { prompt: "a", n: 2 }, "n"],
    ["logprobs, which are not offered", { prompt: "a", logprobs: 5 }, "logprobs"],
    ["echo, which is not offered", { prompt: "a", echo: true }, "echo"],
    ["top_k, which is not offered", { prompt: "a", top_k: 5 }, "top_k"],
    ["stream_options without a stream", { prompt: "a", stream_options: {} }, "stream_options"],
    ["a list as the body", [], "body"],
  ])("are refused with 400 and the field's name: %s", (_, body, param) => {
    const refusal = refusalOf(() => parseCompletion(body));
    expect(refusal).toMatchObject({ status: 400, param });
  });

  it("of a chat are refused without messages or with tools", () => {
    expect(refusalOf(() => parseChat({ messages: [] })).param).toBe("messages");
    expect(refusalOf(() => parseChat({ messages: [{ content: "a" }] })).param).toBe(
      "messages.0.role",
    );
    const message = { role: "user", content: "a" };
    expect(refusalOf(() => parseChat({ messages: [message], tools: [{}] })).param).toBe("tools");
    expect(
      refusalOf(() => parseChat({ messages: [message], response_format: { type: "json_object" } }))
        .param,
    ).toBe("response_format.type");
  });

  it("must fit into the context, prompt and answer together", () => {
    const request = parseCompletion({ prompt: "a", max_tokens: 60, min_tokens: 60 });
    expect(fitMaxTokens(request, 40, 100)).toBe(60);
    expect(refusalOf(() => fitMaxTokens(request, 41, 100))).toMatchObject({
      status: 400,
      type: "BadRequestError",
      param: "input_tokens",
    });
    expect(refusalOf(() => fitMaxTokens(request, 1, 59)).param).toBe("max_tokens");
    const eager = parseCompletion({ prompt: "a", max_tokens: 5, min_tokens: 6 });
    expect(refusalOf(() => fitMaxTokens(eager, 1, 100)).param).toBe("min_tokens");
  });

  it("of a chat without a limit may fill the context, and are refused when the prompt alone fills it", () => {
    const chat = parseChat({ messages: [{ role: "user", content: "a" }] });
    expect(fitMaxTokens(chat, 30, 100)).toBe(70);
    expect(refusalOf(() => fitMaxTokens(chat, 100, 100)).param).toBe("input_tokens");
  });

  it("to tokenize take a prompt or messages, to detokenize token ids", () => {
    expect(parseTokenize({ prompt: "a" })).toEqual({ kind: "text", text: "a" });
    expect(
      parseTokenize({ messages: [{ role: "user", content: "a" }], add_generation_prompt: false }),
    ).toEqual({
      kind: "chat",
      messages: [{ role: "user", content: "a" }],
      open: false,
    });
    expect(refusalOf(() => parseTokenize({})).status).toBe(400);
    expect(parseDetokenize({ tokens: [1] })).toEqual([1]);
    expect(refusalOf(() => parseDetokenize({ tokens: ["a"] })).param).toBe("tokens.0");
  });
});
