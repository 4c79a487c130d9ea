import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  findSecrets,
  isSecretName,
  redactArguments,
  redactEnvironmentVariables,
  redactText,
  redactValue,
  secretsOf,
} from "./redact.ts";

// No real secrets: forms filled with letters in order.
const base62 = "aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1fG2";
const hex64 = "0123456789abcdef".repeat(4);

describe("secrets in text", () => {
  it.each([
    ["OpenAI", `sk-${base62}`],
    ["OpenAI project", "sk-proj-abcdefghijklmnopqrst"],
    ["Hugging Face", "hf_abcdefghijklmnopqrstuvwx"],
    ["GitHub", "ghp_abcdefghijklmnopqrstuvwxyz0123456789"],
    ["GitLab", "glpat-abcdefghij0123456789"],
    ["NVIDIA", "nvapi-abcdefghij0123456789abcd"],
    ["AWS", "AKIAIOSFODNN7EXAMPLE"],
    ["Alibaba Cloud", "LTAI5tAbCdEfGhIjKlMnOpQr"],
    ["JSON web token", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjMifQ.abc123abc123"],
    ["drawn at random", base62],
  ])("a key in the form of %s goes wherever it stands", (_, key) => {
    for (const text of [key, `see ${key}.`, `path/${key}/x`, `"${key}"`])
      expect(redactText(text)).not.toContain(key);
    expect(findSecrets(`x\nsee ${key}`)).toMatchObject([{ line: 2 }]);
  });

  it.each([
    ["--api-key abcdef --port 8000", "--api-key [redacted] --port 8000"],
    ["--api-key=abcdef --port 8000", "--api-key=[redacted] --port 8000"],
    ["--extra=api_key=abc note= token=abc", "--extra=api_key=[redacted] note= token=[redacted]"],
    ["HF_TOKEN=abc VLLM_PORT=1", "HF_TOKEN=[redacted] VLLM_PORT=1"],
    [`{"api_key": "abc", "max_tokens": "5"}`, `{"api_key": "[redacted]", "max_tokens": "5"}`],
    ["Namespace(api_key='abc', port=8000)", "Namespace(api_key='[redacted]', port=8000)"],
    ["Namespace(api_key=['abc'], port=8000)", "Namespace(api_key=[redacted], port=8000)"],
    ["password: hunter2", "password: [redacted]"],
    ["http://user:pa@ss@host/v1", "http://[redacted]@host/v1"],
    [
      "https://abc@host:8000/v1?token=abc&n=1",
      "https://[redacted]@host:8000/v1?token=[redacted]&n=1",
    ],
    ["Authorization: Bearer abc", "Authorization: [redacted]"],
    ["curl -H 'Authorization: Basic dXNlcjpwYXNz' x", "curl -H 'Authorization: [redacted]' x"],
    ["sent Bearer abcdefg123", "sent Bearer [redacted]"],
    ["bearer abcdefg123", "bearer [redacted]"],
    ["['serve', '--api-key', 'abc']", "['serve', '--api-key', '[redacted]']"],
    [`["--hf-token","abc","--port","80"]`, `["--hf-token","[redacted]","--port","80"]`],
    ["non-default args: {'api_key': ['abc']}", "non-default args: {'api_key': [redacted]}"],
    ["sshpass -p abc ssh host", "sshpass -p [redacted] ssh host"],
    ["[sshpass, -p, abc, ssh]", "[sshpass, -p, [redacted], ssh]"],
    ["SSHPASS=abc", "SSHPASS=[redacted]"],
  ])("%s", (text, redacted) => {
    expect(redactText(text)).toBe(redacted);
    expect(redactText(redacted)).toBe(redacted);
  });

  it("what is known in full goes wherever it stands, encoded in a URL or in JSON too", () => {
    const known = ['plain "word" 1'];
    const text = `a ${known[0] ?? ""} b plain%20%22word%22%201 c plain \\"word\\" 1`;
    expect(redactText(text, known)).toBe("a [redacted] b [redacted] c [redacted]");
  });

  it.each([
    "max_tokens=512 num_tokens=7 prompt_tokens: 16 tokens: 100",
    "--tokenizer /models/tiny --tokenizer-mode auto --max-model-len 4096",
    "eos_token_id=2047 pad_token='<|endoftext|>' skip_special_tokens=True",
    "num_key_value_heads=8 key_value=3 sort_key=name",
    "api_key=None use_auth_token=False",
    `sha256:${hex64}`,
    "f99dc42659d81da44999855bffde58fb2f4d732e",
    "GPU-11111111-2222-3333-4444-555555555555",
    "integrity sha512-AbCdEfGh1234567890aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789==",
    "/models/models--Qwen--Qwen3-14B-FP8/snapshots/f99dc42659d81da44999855bffde58fb2f4d732e",
    "Qwen2_5_VLForConditionalGeneration LlavaNextVideoForConditionalGeneration",
    "author=somebody monkey=1 keyboard=us token latency, Basic configuration, Bearer of news",
    "http://127.0.0.1:8000/v1/models https://example.com/a@b",
    "root=UUID=11111111-2222-3333-4444-555555555555 ro console=ttyS0",
    "HF_TOKEN_PATH=/etc/token SSH_AUTH_SOCK=/run/agent key_file=a.pem",
    "Using CompressedTensorsW8A8Fp8MoEMethod and CompressedTensorsW4A16Sparse24Scheme",
    "_ZN8cutlass13device_kernelIN5flash11enable_sm90INS1_16FlashAttnFwdSm90INS1_24CollectiveILi2EEE",
    "at _ZN4vllm12_GLOBAL__N_115paged_attentionIfLi128EEEvPT_+0x12",
    "Aborted request chatcmpl-9a8B7c6D5e4F3g2H1i0J9k8L7m, cmpl-0a1B2c3D4e5F6a7B8c9D0e1F2a3B4c5D-0",
    "MIG-GPU-11111111-2222-3333-4444-555555555555/7/0 CUDA_VISIBLE_DEVICES=MIG-11111111-2222-3333",
    "['--max-num-seqs', '16', '--tokenizer', 'x']",
    "首 token 时延：12.5 ms；password 未填写",
  ])("leaves alone: %s", (text) => {
    expect(redactText(text)).toBe(text);
    expect(findSecrets(text)).toEqual([]);
  });

  it("a page's own fonts and a chart's keys are no reason not to publish it", () => {
    const page = `<style>src:url(data:font/woff2;base64,${base62}${base62}=)</style><g data-key="a1b2" key="ttft">`;
    expect(findSecrets(page)).toEqual([]);
  });

  it("is done after one pass, and the last scan then finds nothing", () => {
    const piece = fc.oneof(
      fc.string({ maxLength: 12 }),
      fc.constantFrom(
        "api_key=",
        "--token ",
        "Bearer ",
        "://a:b@c",
        '"password": "',
        "'",
        `sk-${base62}`,
        " ",
        "\n",
      ),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const once = redactText(pieces.join(""));
        expect(redactText(once)).toBe(once);
        expect(findSecrets(once)).toEqual([]);
      }),
      { seed: 1, numRuns: 500 },
    );
  });

  it("takes time in proportion to the text", () => {
    for (const text of [
      "a".repeat(200_000),
      "a-".repeat(100_000),
      "a=".repeat(100_000),
      "key=".repeat(50_000),
      "key='".repeat(50_000),
    ])
      expect(redactText(text).length).toBeGreaterThan(0);
  }, 5000);
});

describe("secret names", () => {
  it.each([
    "api_key",
    "apiKey",
    "HF_TOKEN",
    "OPENAI_API_KEY",
    "dbPassword",
    "client-secret",
    "auth",
    "AWS_SECRET_ACCESS_KEY",
    "_authToken",
    "credentials",
    "key",
    "token",
    "ACCESS_KEY_ID",
  ])("%s", (name) => {
    expect(isSecretName(name)).toBe(true);
  });
  it.each([
    "tokenizer",
    "max_tokens",
    "num_tokens",
    "token_ids",
    "eos_token",
    "max_num_batched_tokens",
    "num_key_value_heads",
    "author",
    "keyboard",
    "key_file",
    "API_KEY_ENV",
    "cache_key",
    "port",
    "TOKENIZERS_PARALLELISM",
    "kv_cache_dtype",
  ])("not %s", (name) => {
    expect(isSecretName(name)).toBe(false);
  });
});

describe("secrets in structured things", () => {
  it("environment variables lose the values of secret names and the credentials within others", () => {
    expect(
      redactEnvironmentVariables({
        VLLM_API_KEY: "abc",
        PROXY: "http://u:p@host",
        OMP_NUM_THREADS: "1",
        MAX_TOKENS: "5",
      }),
    ).toEqual({
      VLLM_API_KEY: "[redacted]",
      PROXY: "http://[redacted]@host",
      OMP_NUM_THREADS: "1",
      MAX_TOKENS: "5",
    });
  });

  it("a command line loses the word after a secret flag, whatever characters it has", () => {
    expect(
      redactArguments(["vllm", "--api-key", "a,b;c d", "--port", "80", "--token=x,y"]),
    ).toEqual(["vllm", "--api-key", "[redacted]", "--port", "80", "--token=[redacted]"]);
  });

  it("a value under a secret name is of the state redacted", () => {
    expect(redactValue("api_key", "abc").state).toBe("redacted");
    expect(redactValue("note", `hf_${"a".repeat(30)}`).state).toBe("redacted");
    expect(redactValue("max_num_seqs", 16)).toEqual({ state: "value", value: 16 });
    expect(redactValue("use_auth", true)).toEqual({ state: "value", value: true });
  });

  it("only values that no ordinary text would hold are taken for known secrets", () => {
    expect(
      secretsOf({ A_KEY: "production", B_TOKEN: "x1y2z3w4v5", PATH: "/usr/bin1", C_KEY: "ab1" }),
    ).toEqual(["x1y2z3w4v5"]);
  });
});
