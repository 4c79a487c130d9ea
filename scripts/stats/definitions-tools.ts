// What each tool prints: which formula goes by which name, what it counts, and where that was read. A
// new tool, or a new version of one, is one entry.
import type { LocalText } from "../experiment/experiment.ts";
import type { ToolDefinition } from "./definitions-figures.ts";

const onlySuccessful: LocalText = {
  zh: "只算成功的请求；失败的不进时延，但墙钟时间照算",
  en: "successful ones; failed ones have no latency, and their time counts",
};
const usage: LocalText = { zh: "服务端 usage", en: "the server's usage" };
const noTextMarks: LocalText = {
  zh: "样本不记哪些分块是推理内容，这里都按正文算",
  en: "samples do not say which chunks are reasoning: all count as text here",
};

export const tools: readonly ToolDefinition[] = [
  {
    id: "vllm",
    name: { zh: "vLLM bench serve", en: "vLLM bench serve" },
    version: "0.32.0",
    sources: [
      { project: "vllm-project/vllm", path: "vllm/benchmarks/serve.py", at: "0.32.0" },
      {
        project: "vllm-project/vllm",
        path: "vllm/benchmarks/lib/endpoint_request_func.py",
        at: "0.32.0",
      },
    ],
    percentiles: "linear",
    requests: {
      zh: "至少收到一个带 choices 的分块才算成功，内容可为空；失败的不进时延，但墙钟时间照算",
      en: "successful with one chunk that holds a choice, even an empty one; failed ones have no latency, and their time counts",
    },
    emptyAnswers: "count",
    tokens: {
      zh: "服务端 usage；没有或为 0 时重新分词",
      en: "the server's usage; where that is missing or 0, the text tokenized again",
    },
    limits: {
      zh: "样本不记角色分块、结束分块等空分块：对话接口的 TTFT 会比这里短，ITL 会多出相应的间隔",
      en: "samples do not keep empty chunks (role, finish reason): of a chat endpoint its TTFT is shorter than here, and its ITL has their gaps",
    },
    figures: {
      "ttft.mean": "ttft_choice",
      "ttft.p99": "ttft_choice",
      "tpot.mean": "tpot_choice",
      "itl.mean": "itl_choices",
      "itl.p99": "itl_choices",
      "e2e.mean": "e2e_choice",
      qps: "qps_run",
      output_tps: "output_run",
      total_tps: "total_run",
    },
  },
  {
    id: "sglang",
    name: { zh: "SGLang bench_serving", en: "SGLang bench_serving" },
    version: "0.5.23",
    sources: [
      { project: "sgl-project/sglang", path: "python/sglang/benchmark/serving.py", at: "0.5.23" },
    ],
    percentiles: "linear",
    requests: {
      zh: "流正常结束即成功，没有输出也算，TTFT 记 0；失败的不进时延，但墙钟时间照算",
      en: "successful when the stream ends well, even without output: its TTFT is 0 then; failed ones have no latency, and their time counts",
    },
    emptyAnswers: "count",
    tokens: {
      zh: "服务端 usage；流式请求默认不要 usage，收不到时取要求的输出长度",
      en: "the server's usage, which it does not ask for in a stream: where none comes, the length that was asked for",
    },
    limits: {
      zh: "这里是 OpenAI 接口的口径。/generate 接口把间隔均分给分块里的 token；开启投机解码时 OpenAI 接口也这样分",
      en: "as of its OpenAI backends; on /generate a gap is split over the tokens of its chunk, and so it is on OpenAI backends with speculative decoding",
    },
    figures: {
      "ttft.mean": "ttft_or_zero",
      "ttft.p99": "ttft_or_zero",
      "tpot.mean": "tpot_end",
      "itl.mean": "itl_chunks",
      "itl.p99": "itl_chunks",
      "e2e.mean": "e2e_end",
      qps: "qps_run",
      output_tps: "output_run",
      total_tps: "total_run",
      concurrency: "concurrency_run",
    },
  },
  {
    id: "aiperf",
    name: { zh: "AIPerf", en: "AIPerf" },
    version: "0.13.0",
    sources: [
      { project: "ai-dynamo/aiperf", path: "src/aiperf/metrics/types", at: "0.13.0" },
      { project: "ai-dynamo/aiperf", path: "src/aiperf/metrics/metric_dicts.py", at: "0.13.0" },
      {
        project: "ai-dynamo/aiperf",
        path: "src/aiperf/common/models/record_models.py",
        at: "0.13.0",
      },
    ],
    percentiles: "linear",
    requests: {
      zh: "没有内容分块的请求算出错；出错的请求不进时延，也不进墙钟时间",
      en: "a request without a chunk of content is an error; errors have no latency, and their time does not count",
    },
    emptyAnswers: "fail",
    tokens: {
      zh: "默认重新分词（输出与推理内容之和），--use-server-token-count 才取 usage；这里用 usage",
      en: "the text tokenized again, reasoning included, unless --use-server-token-count; here the usage",
    },
    figures: {
      "ttft.mean": "ttft_output",
      "ttft.p99": "ttft_output",
      "itl.mean": "tpot_last",
      "itl.p99": "tpot_last",
      "e2e.mean": "e2e_last",
      "icl.mean": "itl_chunks",
      qps: "qps_answered",
      output_tps: "output_answered",
      total_tps: "total_answered",
      user_tps: "user_inverse",
    },
  },
  {
    id: "guidellm",
    name: { zh: "GuideLLM", en: "GuideLLM" },
    version: "0.8.1",
    sources: [
      {
        project: "vllm-project/guidellm",
        path: "src/guidellm/schemas/base/request_stats.py",
        at: "0.8.1",
      },
      {
        project: "vllm-project/guidellm",
        path: "src/guidellm/benchmark/schemas/metrics.py",
        at: "0.8.1",
      },
      {
        project: "vllm-project/guidellm",
        path: "src/guidellm/schemas/base/statistics.py",
        at: "0.8.1",
      },
    ],
    percentiles: "cumulative",
    requests: {
      zh: "成功、出错、未完成分开统计，这里是成功的；既没有文本也没有输出 token 的请求算出错；墙钟时间含全部请求",
      en: "successful, errored and incomplete ones apart, here the successful; a request with neither text nor output tokens is an error; the time of all of them counts",
    },
    emptyAnswers: "fail",
    tokens: {
      zh: "服务端 usage；没有时把每个分块当作一个 token",
      en: "the server's usage; where there is none, one token per chunk",
    },
    figures: {
      "ttft.mean": "ttft_output",
      "ttft.p99": "ttft_output",
      "tpot.mean": "tpot_from_start",
      "itl.mean": "itl_weighted",
      "itl.p99": "itl_weighted",
      "e2e.mean": "e2e_end",
      qps: "qps_run",
      output_tps: "output_run",
      total_tps: "total_run",
      concurrency: "concurrency_run",
    },
  },
  {
    id: "guidellm_2025",
    name: { zh: "GuideLLM 2025-06", en: "GuideLLM 2025-06" },
    version: "47ce2924",
    sources: [
      {
        project: "vllm-project/guidellm",
        path: "src/guidellm/benchmark/benchmark.py",
        at: "47ce29248e510dd6852133a7e833efed30a96a16",
      },
      {
        project: "vllm-project/guidellm",
        path: "src/guidellm/utils/statistics.py",
        at: "1bd8846a10b58b1b3fdce55925335621e32d0c00",
      },
    ],
    percentiles: "cumulative",
    requests: {
      zh: "成功、出错、未完成分开统计，这里是成功的；没有输出 token 的请求不进 TTFT、TPOT 和 ITL",
      en: "successful, errored and incomplete ones apart, here the successful; those without output tokens have no TTFT, TPOT and ITL",
    },
    emptyAnswers: "count",
    tokens: usage,
    figures: {
      "ttft.mean": "ttft_output",
      "ttft.p99": "ttft_output",
      "tpot.mean": "tpot_over_n",
      "itl.mean": "itl_weighted",
      "itl.p99": "itl_weighted",
      "e2e.mean": "e2e_end",
      qps: "qps_completed",
      output_tps: "output_before_end",
    },
  },
  {
    id: "evalscope",
    name: { zh: "EvalScope perf", en: "EvalScope perf" },
    version: "1.14.1",
    sources: [
      {
        project: "modelscope/evalscope",
        path: "evalscope/perf/utils/benchmark_util.py",
        at: "1.14.1",
      },
      {
        project: "modelscope/evalscope",
        path: "evalscope/perf/plugin/api/default_api.py",
        at: "1.14.1",
      },
      { project: "modelscope/evalscope", path: "evalscope/perf/utils/db_util.py", at: "1.14.1" },
    ],
    percentiles: "nearest_rank",
    requests: {
      zh: "流里没有报错即成功，没有输出也算，TTFT 记 0；被拒绝的请求不进墙钟时间",
      en: "successful when the stream brings no error, even without output: its TTFT is 0 then; the time of rejected requests does not count",
    },
    emptyAnswers: "count",
    tokens: {
      zh: "服务端 usage；没有时重新分词",
      en: "the server's usage; where there is none, the text tokenized again",
    },
    figures: {
      "ttft.mean": "ttft_or_zero",
      "ttft.p99": "ttft_or_zero",
      "tpot.mean": "tpot_end",
      "itl.mean": "itl_chunks",
      "itl.p99": "itl_chunks",
      "e2e.mean": "e2e_end",
      qps: "qps_completed",
      output_tps: "output_completed",
      total_tps: "total_completed",
      user_tps: "user_of_mean_end",
    },
  },
  {
    id: "inference_perf",
    name: { zh: "inference-perf", en: "inference-perf" },
    version: "0.7.0",
    sources: [
      {
        project: "kubernetes-sigs/inference-perf",
        path: "inference_perf/reportgen/base.py",
        at: "0.7.0",
      },
      {
        project: "kubernetes-sigs/inference-perf",
        path: "inference_perf/apis/streaming_parser.py",
        at: "0.7.0",
      },
      {
        project: "kubernetes-sigs/inference-perf",
        path: "inference_perf/apis/chat.py",
        at: "0.7.0",
      },
    ],
    percentiles: "linear",
    requests: {
      zh: "只算成功的请求；正文不多于一个 token 的没有 TTFT、TPOT 和 ITL；墙钟时间含失败的请求",
      en: "successful ones; those with at most one token of text have no TTFT, TPOT and ITL; the time of failed ones counts",
    },
    emptyAnswers: "count",
    tokens: {
      zh: "默认重新分词，只算正文；这里用 usage",
      en: "the text tokenized again unless told otherwise, reasoning not counted; here the usage",
    },
    limits: noTextMarks,
    figures: {
      "ttft.mean": "ttft_text_streamed",
      "ttft.p99": "ttft_text_streamed",
      "tpot.mean": "tpot_text",
      "itl.mean": "itl_tokens",
      "itl.p99": "itl_tokens",
      "e2e.mean": "e2e_end",
      "ntpot.mean": "ntpot",
      qps: "qps_run",
      output_tps: "output_text_run",
      total_tps: "total_text_run",
    },
  },
  {
    id: "mlperf",
    name: { zh: "MLPerf Endpoints", en: "MLPerf Endpoints" },
    version: "0479710d",
    sources: [
      {
        project: "mlcommons/endpoints",
        path: "src/inference_endpoint/async_utils/services/metrics_aggregator/metrics_table.py",
        at: "0479710d65fffc88edf23678e94d010ae6e9ed03",
      },
      {
        project: "mlcommons/endpoints",
        path: "src/inference_endpoint/metrics/report.py",
        at: "03cd909097caf5b7afb13daaa82dee5c6f439806",
      },
      {
        project: "mlcommons/endpoints",
        path: "src/inference_endpoint/async_utils/services/metrics_aggregator/registry.py",
        at: "021c223cd202d56a797d90cd6cc40864ca4ef573",
      },
      {
        project: "mlcommons/inference",
        path: "loadgen/results.cc",
        at: "05a9cec3596d4018ed22b934d9b8c04b7369086c",
      },
    ],
    percentiles: "lower",
    requests: {
      zh: "失败的请求也算结束，计入请求速率和时延；没有输出的没有 TTFT",
      en: "failed ones count as ended, in the request rate and in the latency; those without output have no TTFT",
    },
    emptyAnswers: "count",
    tokens: {
      zh: "重新分词，含推理内容；首个分块的 token 数这里按平均每块 token 数算",
      en: "the text tokenized again, reasoning included; here the usage, and for the first chunk the mean tokens per chunk",
    },
    figures: {
      "ttft.mean": "ttft_output",
      "ttft.p99": "ttft_output",
      "tpot.mean": "tpot_after_first_chunk",
      "e2e.mean": "e2e_any_end",
      qps: "qps_mlperf",
      output_tps: "output_mlperf",
    },
  },
  {
    id: "llmperf",
    name: { zh: "LLMPerf", en: "LLMPerf" },
    version: "0451d33b",
    sources: [
      {
        project: "ray-project/llmperf",
        path: "src/llmperf/ray_clients/openai_chat_completions_client.py",
        at: "0451d33bd3b1c304b0d5b1cc74dda15c13b7415c",
      },
      {
        project: "ray-project/llmperf",
        path: "token_benchmark_ray.py",
        at: "004d3afb0e4b01201ea21dd5085135ee291a67c0",
      },
    ],
    percentiles: "linear",
    requests: {
      zh: "没有错误码即成功，没有正文也算，TTFT 和 ITL 记 0；墙钟时间含全部请求",
      en: "successful without an error code, even without text: its TTFT and ITL are 0 then; the time of all requests counts",
    },
    emptyAnswers: "count",
    tokens: {
      zh: "重新分词，只算正文；这里用 usage",
      en: "the text tokenized again, reasoning not counted; here the usage",
    },
    limits: noTextMarks,
    figures: {
      "ttft.mean": "ttft_text_or_zero",
      "ttft.p99": "ttft_text_or_zero",
      "itl.mean": "itl_with_ttft",
      "itl.p99": "itl_with_ttft",
      "e2e.mean": "e2e_end",
      qps: "qps_run",
      output_tps: "output_text_run",
      user_tps: "user_whole_request",
    },
  },
  {
    id: "record_fp8",
    name: { zh: "手写记录，FP8 表", en: "hand-written, FP8 table" },
    version: "2025-12-18",
    sources: [{ project: "test-record-qwen3-14b.zh.md", path: "FP8", at: "2025-12-18" }],
    percentiles: "linear",
    requests: onlySuccessful,
    emptyAnswers: "count",
    tokens: { zh: "固定输出长度", en: "the fixed length of the answers" },
    limits: {
      zh: "记录没有写公式，口径由表中数字反推；E2E 的终点和 QPS 的时间段没有写明",
      en: "the record states no formula: they follow from its figures; where E2E ends and over what time QPS is taken, it does not say",
    },
    figures: {
      "ttft.mean": "ttft_output",
      "tpot.mean": "tpot_of_means",
      "e2e.mean": "e2e_last",
      qps: "qps_run",
      user_tps: "user_of_means",
      prompt_tps: "prompt_of_means",
    },
  },
  {
    id: "record_fp4",
    name: { zh: "手写记录，FP4 表", en: "hand-written, FP4 table" },
    version: "2025-12-18",
    sources: [{ project: "test-record-qwen3-14b.zh.md", path: "FP4", at: "2025-12-18" }],
    percentiles: "linear",
    requests: onlySuccessful,
    emptyAnswers: "count",
    tokens: { zh: "固定输出长度", en: "the fixed length of the answers" },
    limits: {
      zh: "记录没有写公式，口径由表中数字反推：并发 200 一行的 Prompt TPS 是输入 / TTFT 的 12.57 倍，只能是比值的均值",
      en: "the record states no formula: they follow from its figures; the Prompt TPS of its row of 200 is 12.57 times input / TTFT, which only a mean of ratios can be",
    },
    figures: {
      "ttft.mean": "ttft_output",
      "tpot.mean": "tpot_all_tokens",
      "e2e.mean": "e2e_last",
      qps: "qps_run",
      user_tps: "user_all_tokens",
      prompt_tps: "prompt_ratios",
    },
  },
];
