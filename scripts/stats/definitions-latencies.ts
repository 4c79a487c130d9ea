// The latencies that tools print, each formula once: in words, and as a function of the clock points.
// Tools share most of them; they differ in which one they give a name.
import {
  type Answer,
  each,
  type Formula,
  openMs,
  per,
  poolOf,
  type Sample,
  type SeenRequest,
  streamMs,
  type ToolCohort,
  textOf,
  tpotOfMeansMs,
  tpotToEndMs,
  waitMs,
} from "./definitions-cohort.ts";
import type { GapPool } from "./inter-token.ts";

/** One value per request, each as often as its weight says. */
function weighted(
  answers: readonly Answer[],
  of: (answer: Answer) => number,
  by: (tokens: number) => number,
): Sample {
  const counted = answers.flatMap((answer) => {
    const weight = answer.outputTokens === undefined ? 0 : by(answer.outputTokens);
    return weight > 0 ? [{ value: of(answer), weight }] : [];
  });
  return {
    values: counted.map(({ value, weight }) => value / weight),
    weights: counted.map(({ weight }) => weight),
  };
}

const firstChoice = (request: SeenRequest): number | undefined =>
  request.firstChoiceAtMs ?? request.firstAtMs;
const lastChoice = (request: SeenRequest): number | undefined =>
  request.lastChoiceAtMs ?? request.lastAtMs;

/** Gaps between tokens when all tokens of a chunk arrive at once: the gaps of chunks, and zeros. */
function gapsOfTokens({ answers, gaps }: ToolCohort): GapPool {
  const texts = answers.map(textOf);
  const isPlain = texts.every(
    (text, index) => text?.chunks === answers[index]?.outputChunks && zerosOf(text) === 0,
  );
  if (isPlain) return gaps();
  return poolOf(
    answers.flatMap((answer, index) => {
      const text = texts[index];
      const chunksAtMs = answer.chunksAtMs.subarray(answer.outputChunks - (text?.chunks ?? 0));
      return [{ outputChunks: chunksAtMs.length, chunksAtMs }, zeroGaps(zerosOf(text))];
    }),
  );
}

/** Tokens that came with another in their chunk. */
function zerosOf(text: ReturnType<typeof textOf>): number {
  return text?.tokens === undefined ? 0 : Math.max(0, Math.round(text.tokens - text.chunks));
}

function zeroGaps(count: number): Parameters<GapPool["add"]>[0] {
  return { outputChunks: count + 1, chunksAtMs: new Float64Array(count + 1) };
}

/** Chunk gaps with the chunks that hold a choice and no output. */
function gapsOfChoices({ completed, answers, gaps }: ToolCohort): GapPool {
  const edges = completed.flatMap((request) => {
    const first = firstChoice(request);
    const last = lastChoice(request);
    if (first === undefined || last === undefined) return [];
    const { firstAtMs = last, lastAtMs = first } = request;
    return [firstAtMs - first, last - lastAtMs].filter((gap) => gap > 0);
  });
  if (edges.length === 0) return gaps();
  return poolOf([
    ...answers,
    ...edges.map((gap) => ({ outputChunks: 2, chunksAtMs: Float64Array.of(0, gap) })),
  ]);
}

/** By key; all in milliseconds. */
export const latencyFormulas = {
  ttft_output: {
    text: {
      zh: "首个输出分块（含推理内容） - 发送；没有输出的请求不计",
      en: "first output chunk, reasoning included - sent; requests without output have none",
    },
    kind: "sample",
    of: ({ answers }) => each(answers, waitMs),
  },
  ttft_choice: {
    text: {
      zh: "首个带 choices 的分块（内容可为空） - 发送",
      en: "first chunk with a choice, even an empty one - sent",
    },
    kind: "sample",
    of: ({ completed }) =>
      each(completed, (request) => {
        const first = firstChoice(request);
        return first === undefined ? undefined : first - request.sentAtMs;
      }),
  },
  ttft_or_zero: {
    text: {
      zh: "首个输出分块（含推理内容） - 发送；没有输出的成功请求按 0 计入",
      en: "first output chunk, reasoning included - sent; a request that succeeds without output counts as 0",
    },
    kind: "sample",
    of: ({ completed }) =>
      each(completed, ({ firstAtMs, sentAtMs }) =>
        firstAtMs === undefined ? 0 : firstAtMs - sentAtMs,
      ),
  },
  ttft_text_or_zero: {
    text: {
      zh: "首个正文分块（推理内容不算） - 发送；没有正文按 0 计入",
      en: "first chunk of text, reasoning not counted - sent; a request without text counts as 0",
    },
    kind: "sample",
    of: ({ completed, answers }) => ({
      values: [
        ...each(
          answers,
          (answer) => (textOf(answer)?.firstAtMs ?? answer.sentAtMs) - answer.sentAtMs,
        ).values,
        ...Array.from({ length: completed.length - answers.length }, () => 0),
      ],
    }),
  },
  ttft_text_streamed: {
    text: {
      zh: "首个正文分块（推理内容不算） - 发送；只算正文多于一个 token 的请求",
      en: "first chunk of text, reasoning not counted - sent; only requests with more than one token of text",
    },
    kind: "sample",
    of: ({ answers }) =>
      each(answers, (answer) => {
        const text = textOf(answer);
        return text?.tokens === undefined || text.tokens <= 1
          ? undefined
          : text.firstAtMs - answer.sentAtMs;
      }),
  },

  tpot_last: {
    text: {
      zh: "(末个输出分块 - 首个输出分块) / (n - 1)，逐请求；n > 1",
      en: "(last - first output chunk) / (n - 1) per request; n > 1",
    },
    kind: "sample",
    of: ({ answers }) =>
      each(answers, (answer) =>
        (answer.outputTokens ?? 0) > 1
          ? per(streamMs(answer), (answer.outputTokens ?? 0) - 1)
          : undefined,
      ),
  },
  tpot_choice: {
    text: {
      zh: "(末个 - 首个带 choices 的分块) / (n - 1)，逐请求；n > 1",
      en: "(last - first chunk with a choice) / (n - 1) per request; n > 1",
    },
    kind: "sample",
    of: ({ completed }) =>
      each(completed, (request) => {
        const first = firstChoice(request);
        const last = lastChoice(request);
        if (first === undefined || last === undefined) return undefined;
        return per(last - first, (request.outputTokens ?? 0) - 1);
      }),
  },
  tpot_end: {
    text: {
      zh: "(流结束 - 首个输出分块) / (n - 1)，逐请求；n > 1",
      en: "(end of the stream - first output chunk) / (n - 1) per request; n > 1",
    },
    kind: "sample",
    of: ({ answers }) => each(answers, tpotToEndMs),
  },
  tpot_from_start: {
    text: {
      zh: "(末个输出分块 - 发送) / n，按 n 加权：首 token 时延也摊在内",
      en: "(last output chunk - sent) / n, weighted by n: the wait for the first token is in it",
    },
    kind: "sample",
    of: ({ answers }) =>
      weighted(
        answers,
        ({ lastAtMs, sentAtMs }) => lastAtMs - sentAtMs,
        (n) => n,
      ),
  },
  tpot_over_n: {
    text: {
      zh: "(末个 - 首个输出分块) / n，按 n 加权",
      en: "(last - first output chunk) / n, weighted by n",
    },
    kind: "sample",
    of: ({ answers }) => weighted(answers, streamMs, (n) => n),
  },
  tpot_text: {
    text: {
      zh: "(末个 - 首个正文分块) / (n - 1)，逐请求；推理内容不算，n > 1",
      en: "(last - first chunk of text) / (n - 1) per request; reasoning not counted, n > 1",
    },
    kind: "sample",
    of: ({ answers }) =>
      each(answers, (answer) => {
        const text = textOf(answer);
        return text?.tokens === undefined
          ? undefined
          : per(answer.lastAtMs - text.firstAtMs, text.tokens - 1);
      }),
  },
  tpot_after_first_chunk: {
    text: {
      zh: "(流结束 - 首个输出分块) / 首个分块之后的 token 数，逐请求",
      en: "(end of the stream - first output chunk) / tokens after the first chunk, per request",
    },
    kind: "sample",
    of: ({ answers }) =>
      each(answers, ({ endedAtMs, firstAtMs, outputTokens = 0, outputChunks }) =>
        per(endedAtMs - firstAtMs, outputTokens - outputTokens / outputChunks),
      ),
  },
  tpot_of_means: {
    text: {
      zh: "(平均 E2E - 平均 TTFT) / (平均 n - 1)",
      en: "(mean E2E - mean TTFT) / (mean n - 1)",
    },
    kind: "number",
    of: tpotOfMeansMs,
  },
  tpot_all_tokens: {
    text: { zh: "(E2E - TTFT) / n，逐请求", en: "(E2E - TTFT) / n per request" },
    kind: "sample",
    of: ({ answers }) => each(answers, (answer) => per(streamMs(answer), answer.outputTokens)),
  },

  itl_chunks: {
    text: {
      zh: "相邻输出分块的间隔，全部请求合并",
      en: "gaps between output chunks, all requests pooled",
    },
    kind: "gaps",
    of: ({ gaps }) => gaps(),
  },
  itl_choices: {
    text: {
      zh: "相邻带 choices 分块的间隔，全部请求合并",
      en: "gaps between chunks with a choice, all requests pooled",
    },
    kind: "gaps",
    of: gapsOfChoices,
  },
  itl_weighted: {
    text: {
      zh: "(末个 - 首个输出分块) / (n - 1)，按 n - 1 加权",
      en: "(last - first output chunk) / (n - 1), weighted by n - 1",
    },
    kind: "sample",
    of: ({ answers }) => weighted(answers, streamMs, (n) => n - 1),
  },
  itl_tokens: {
    text: {
      zh: "相邻 token 的间隔，全部请求合并；同一分块内为 0，推理内容不算",
      en: "gaps between tokens, all requests pooled; 0 within a chunk, reasoning not counted",
    },
    kind: "gaps",
    of: gapsOfTokens,
  },
  itl_with_ttft: {
    text: {
      zh: "(TTFT + 正文分块间隔之和) / n，逐请求；没有正文按 0 计入",
      en: "(TTFT + sum of the gaps between chunks of text) / n per request; 0 without text",
    },
    kind: "sample",
    of: ({ completed, answers }) => ({
      values: [
        ...each(answers, (answer) => {
          const text = textOf(answer);
          return text === undefined ? 0 : per(answer.lastAtMs - answer.sentAtMs, text.tokens);
        }).values,
        ...Array.from({ length: completed.length - answers.length }, () => 0),
      ],
    }),
  },
  ntpot: {
    text: {
      zh: "(流结束 - 发送) / n，逐请求；没有正文按 0 计入",
      en: "(end of the stream - sent) / n per request; 0 without text",
    },
    kind: "sample",
    of: ({ completed, answers }) => ({
      values: [
        ...each(answers, (answer) => {
          const text = textOf(answer);
          return text === undefined ? 0 : per(openMs(answer), text.tokens);
        }).values,
        ...Array.from({ length: completed.length - answers.length }, () => 0),
      ],
    }),
  },

  e2e_last: {
    text: { zh: "末个输出分块 - 发送", en: "last output chunk - sent" },
    kind: "sample",
    of: ({ answers }) => each(answers, ({ lastAtMs, sentAtMs }) => lastAtMs - sentAtMs),
  },
  e2e_choice: {
    text: { zh: "末个带 choices 的分块 - 发送", en: "last chunk with a choice - sent" },
    kind: "sample",
    of: ({ completed }) =>
      each(completed, (request) => {
        const last = lastChoice(request);
        return last === undefined ? undefined : last - request.sentAtMs;
      }),
  },
  e2e_end: {
    text: {
      zh: "流结束 - 发送；usage 分块和 [DONE] 也在内",
      en: "end of the stream - sent: the usage chunk and [DONE] are in it",
    },
    kind: "sample",
    of: ({ completed }) => each(completed, openMs),
  },
  e2e_any_end: {
    text: {
      zh: "流结束 - 发送；失败的请求也计入",
      en: "end of the stream - sent; failed requests count",
    },
    kind: "sample",
    of: ({ sent }) => each(sent, openMs),
  },
} as const satisfies Readonly<Record<string, Formula>>;
