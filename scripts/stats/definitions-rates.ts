// The rates that tools print, each formula once: in words, and as a function of the clock points. They
// differ in which requests count and from when to when.
import {
  type Answer,
  each,
  type Formula,
  meanOf,
  openMs,
  per,
  spanS,
  streamMs,
  type ToolCohort,
  textOf,
  tokensOf,
  totalOf,
  tpotOfMeansMs,
  tpotToEndMs,
  waitMs,
} from "./definitions-cohort.ts";

/** Tokens that an old GuideLLM leaves out: those that fall on the last instant of all. */
function tokensBeforeTheEnd(answers: readonly Answer[]): number | undefined {
  const total = totalOf(answers, tokensOf);
  const endMs = answers.reduce((most, { endedAtMs }) => Math.max(most, endedAtMs), 0);
  const atTheEnd = answers.filter(
    ({ endedAtMs, outputTokens = 0 }) => endedAtMs === endMs && outputTokens > 1,
  ).length;
  return total === undefined ? undefined : total - atTheEnd;
}

/** Wall time of a fixed set of requests: the first dispatch to the last end, failures included. */
const wholeRun = ({ sent }: ToolCohort): number | undefined => spanS(sent);
const answeredRun = ({ answers }: ToolCohort): number | undefined =>
  spanS(answers, ({ lastAtMs }) => lastAtMs);

/** MLPerf LoadGen's window of an open loop: to the end of the request that was issued last. */
function loadgenWindow({ sent }: ToolCohort): number | undefined {
  const [first] = sent;
  if (first === undefined) return undefined;
  const last = sent.reduce((a, b) => (b.sentAtMs > a.sentAtMs ? b : a), first);
  return spanS(sent, () => last.endedAtMs);
}
const mlperfWindow = (cohort: ToolCohort): number | undefined =>
  cohort.isOpenLoop && cohort.sent.length > 1 ? loadgenWindow(cohort) : wholeRun(cohort);

const outputOf = ({ completed }: ToolCohort): number | undefined => totalOf(completed, tokensOf);
const bothOf = ({ completed }: ToolCohort): number | undefined =>
  totalOf(completed, (request) => {
    const output = tokensOf(request);
    const { inputTokens } = request;
    return output === undefined || inputTokens === undefined ? undefined : output + inputTokens;
  });

/** Tokens of what is not reasoning; undefined: not counted. */
function textTokensOf({ answers }: ToolCohort): number | undefined {
  const counts = answers.map((answer) => {
    const text = textOf(answer);
    return text === undefined ? 0 : text.tokens;
  });
  const known = counts.filter((count) => count !== undefined);
  return answers.length === 0 || known.length < counts.length
    ? undefined
    : known.reduce((a, b) => a + b, 0);
}

/** By key; requests and tokens per second, and requests in flight. */
export const rateFormulas = {
  qps_run: {
    text: {
      zh: "成功请求数 / (全部请求的首次发送到最后结束)",
      en: "successful requests / (first dispatch to last end of all requests)",
    },
    kind: "number",
    of: (cohort) => per(cohort.completed.length, wholeRun(cohort)),
  },
  qps_answered: {
    text: {
      zh: "有输出的成功请求数 / (它们的首次发送到最后一个输出分块)",
      en: "successful requests with output / (their first dispatch to their last output chunk)",
    },
    kind: "number",
    of: (cohort) => per(cohort.answers.length, answeredRun(cohort)),
  },
  qps_completed: {
    text: {
      zh: "成功请求数 / (成功请求的首次发送到最后结束)",
      en: "successful requests / (first dispatch to last end of the successful ones)",
    },
    kind: "number",
    of: ({ completed }) => per(completed.length, spanS(completed)),
  },
  qps_mlperf: {
    text: {
      zh: "结束的请求数（含失败） / (首次发送到最后结束)；开环取 (请求数 - 1) / (首次发送到最后发出的请求结束)",
      en: "ended requests, failed ones included / (first dispatch to last end); open loop: (requests - 1) / (first dispatch to the end of the request sent last)",
    },
    kind: "number",
    of: (cohort) => {
      const { sent } = cohort;
      const ended = cohort.isOpenLoop && sent.length > 1 ? sent.length - 1 : sent.length;
      return cohort.completed.length === 0 ? undefined : per(ended, mlperfWindow(cohort));
    },
  },

  output_run: {
    text: {
      zh: "成功请求的输出 token / (全部请求的首次发送到最后结束)",
      en: "output tokens of successful requests / (first dispatch to last end of all requests)",
    },
    kind: "number",
    of: (cohort) => per(outputOf(cohort), wholeRun(cohort)),
  },
  output_text_run: {
    text: {
      zh: "正文 token（推理内容不算） / (全部请求的首次发送到最后结束)",
      en: "tokens of text, reasoning not counted / (first dispatch to last end of all requests)",
    },
    kind: "number",
    of: (cohort) => per(textTokensOf(cohort), wholeRun(cohort)),
  },
  output_answered: {
    text: {
      zh: "输出 token / (有输出的请求的首次发送到最后一个输出分块)",
      en: "output tokens / (first dispatch to last output chunk of the requests with output)",
    },
    kind: "number",
    of: (cohort) => per(outputOf(cohort), answeredRun(cohort)),
  },
  output_completed: {
    text: {
      zh: "输出 token / (成功请求的首次发送到最后结束)",
      en: "output tokens / (first dispatch to last end of the successful requests)",
    },
    kind: "number",
    of: (cohort) => per(outputOf(cohort), spanS(cohort.completed)),
  },
  output_before_end: {
    text: {
      zh: "输出 token / (有输出的请求的首次发送到最后结束)；落在最后一刻的 token 不计",
      en: "output tokens / (first dispatch to last end of the requests with output); those of the last instant are left out",
    },
    kind: "number",
    of: ({ answers }) => per(tokensBeforeTheEnd(answers), spanS(answers)),
  },
  output_mlperf: {
    text: {
      zh: "输出 token / 与请求速率相同的窗口",
      en: "output tokens / the window of the request rate",
    },
    kind: "number",
    of: (cohort) =>
      cohort.completed.length === 0 ? undefined : per(outputOf(cohort), mlperfWindow(cohort)),
  },

  total_run: {
    text: {
      zh: "成功请求的输入与输出 token / (全部请求的首次发送到最后结束)",
      en: "input and output tokens of successful requests / (first dispatch to last end of all requests)",
    },
    kind: "number",
    of: (cohort) => per(bothOf(cohort), wholeRun(cohort)),
  },
  total_text_run: {
    text: {
      zh: "输入 token 与正文 token 之和 / (全部请求的首次发送到最后结束)",
      en: "input tokens and tokens of text / (first dispatch to last end of all requests)",
    },
    kind: "number",
    of: (cohort) => {
      const input = totalOf(cohort.completed, ({ inputTokens }) => inputTokens);
      const text = textTokensOf(cohort);
      return input === undefined || text === undefined
        ? undefined
        : per(input + text, wholeRun(cohort));
    },
  },
  total_answered: {
    text: {
      zh: "输入与输出 token / (有输出的请求的首次发送到最后一个输出分块)",
      en: "input and output tokens / (first dispatch to last output chunk of the requests with output)",
    },
    kind: "number",
    of: (cohort) => per(bothOf({ ...cohort, completed: cohort.answers }), answeredRun(cohort)),
  },
  total_completed: {
    text: {
      zh: "输入与输出 token / (成功请求的首次发送到最后结束)",
      en: "input and output tokens / (first dispatch to last end of the successful requests)",
    },
    kind: "number",
    of: (cohort) => per(bothOf(cohort), spanS(cohort.completed)),
  },

  user_inverse: {
    text: { zh: "1000 / TPOT，逐请求", en: "1000 / TPOT per request" },
    kind: "sample",
    of: ({ answers }) =>
      each(answers, (answer) =>
        (answer.outputTokens ?? 0) > 1
          ? per(1000 * ((answer.outputTokens ?? 0) - 1), streamMs(answer))
          : undefined,
      ),
  },
  user_of_mean_end: {
    text: {
      zh: "1000 / 平均 TPOT；TPOT 到流结束",
      en: "1000 / mean TPOT, TPOT to the end of the stream",
    },
    kind: "number",
    of: (cohort) =>
      per(1000, meanOf(cohort.answers.flatMap((answer) => tpotToEndMs(answer) ?? []))),
  },
  user_of_means: {
    text: { zh: "1000 / TPOT", en: "1000 / TPOT" },
    kind: "number",
    of: (cohort) => per(1000, tpotOfMeansMs(cohort)),
  },
  user_all_tokens: {
    text: {
      zh: "1000 n / (E2E - TTFT)，逐请求：比值的均值",
      en: "1000 n / (E2E - TTFT) per request: a mean of ratios",
    },
    kind: "sample",
    of: ({ answers }) =>
      each(answers, (answer) =>
        answer.outputTokens === undefined
          ? undefined
          : per(1000 * answer.outputTokens, streamMs(answer)),
      ),
  },
  user_whole_request: {
    text: {
      zh: "1000 n / (流结束 - 发送)，逐请求：等待首 token 的时间也在内",
      en: "1000 n / (end of the stream - sent) per request: the wait for the first token is in it",
    },
    kind: "sample",
    of: ({ completed }) =>
      each(completed, (request) => {
        const tokens = tokensOf(request);
        return tokens === undefined ? undefined : per(1000 * tokens, openMs(request));
      }),
  },

  prompt_of_means: {
    text: { zh: "平均输入 token / 平均 TTFT", en: "mean input tokens / mean TTFT" },
    kind: "number",
    of: ({ answers }) =>
      per(
        totalOf(answers, ({ inputTokens }) => inputTokens),
        answers.reduce((sum, answer) => sum + waitMs(answer), 0) / 1000,
      ),
  },
  prompt_ratios: {
    text: {
      zh: "输入 token / TTFT，逐请求：比值的均值",
      en: "input tokens / TTFT per request: a mean of ratios",
    },
    kind: "sample",
    of: ({ answers }) =>
      each(answers, (answer) =>
        answer.inputTokens === undefined
          ? undefined
          : per(1000 * answer.inputTokens, waitMs(answer)),
      ),
  },

  concurrency_run: {
    text: {
      zh: "成功请求的 (结束 - 发送) 之和 / (全部请求的首次发送到最后结束)",
      en: "sum of (end - sent) of successful requests / (first dispatch to last end of all requests)",
    },
    kind: "number",
    of: (cohort) => {
      const runS = wholeRun(cohort);
      if (cohort.completed.length === 0 || runS === undefined) return undefined;
      return per(
        cohort.completed.reduce((sum, request) => sum + openMs(request), 0),
        runS * 1000,
      );
    },
  },
} as const satisfies Readonly<Record<string, Formula>>;
