// The definitions of other tools beside ours as a terminal prints them, in either language and 80
// columns, and as JSON for machines.
import stringWidth from "string-width";
import type { Language } from "../experiment/experiment.ts";
import { formulaText, ownTool, type SideBySide } from "../stats/definitions.ts";
import { type FigureId, percentileMethods } from "../stats/definitions-figures.ts";
import { tools } from "../stats/definitions-tools.ts";
import {
  figureGroups,
  figureTexts,
  ownNames,
  type PointDefinitions,
  sharedFormulas,
  unitOf,
} from "./record-definitions.ts";
import { table } from "./terminal.ts";

/** Names that leave room for six figures in a line. */
const shortNames: Readonly<Record<string, { readonly zh: string; readonly en: string }>> = {
  vllm: { zh: "vLLM", en: "vLLM" },
  sglang: { zh: "SGLang", en: "SGLang" },
  guidellm: { zh: "GuideLLM", en: "GuideLLM" },
  guidellm_2025: { zh: "GuideLLM 2025", en: "GuideLLM 2025" },
  evalscope: { zh: "EvalScope", en: "EvalScope" },
  mlperf: { zh: "MLPerf", en: "MLPerf" },
  record_fp8: { zh: "手写 FP8 表", en: "record FP8" },
  record_fp4: { zh: "手写 FP4 表", en: "record FP4" },
};

/** What `benchbook report --definitions` prints. */
export function describeDefinitions(
  points: readonly PointDefinitions[],
  language: Language,
): string {
  const say = (zh: string, en: string): string => (language === "zh" ? zh : en);
  return [
    ...points.flatMap((point) => pointLines(point, language)),
    wrap(
      say(
        "第二行是与 benchbook 口径之差。各工具的数值取被测请求，如同整次测试只有它们；benchbook 的速率取稳态窗口。各试次分别计算，再取均值。",
        "The second line of a tool is how far it is from benchbook. Tools' figures are of the measured requests, as if those had been their whole run; benchbook's rates are of the steady window. Each trial by itself, then the mean.",
      ),
    ),
    "",
    say("公式", "Formulas"),
    ...sharedFormulas().flatMap(({ figure, text, tools: users }) => [
      wrap(
        `${figureTexts[figure].head[language]}: ${users.map((id) => nameOf(id, language)).join(say("、", ", "))}`,
        "  ",
      ),
      wrap(text[language], "    "),
    ]),
    "",
    say("口径的出处", "Where the definitions were read"),
    ...tools.flatMap((tool) => [
      `  ${nameOf(tool.id, language)}: ${tool.version}`,
      ...tool.sources.map(({ project, path }) => wrap(`${project} ${path}`, "    ")),
      ...[tool.requests, tool.tokens, tool.limits, percentileMethods[tool.percentiles]].flatMap(
        (text) => (text === undefined ? [] : [wrap(text[language], "    ")]),
      ),
    ]),
    "",
  ].join("\n");
}

function pointLines(found: PointDefinitions, language: Language): readonly string[] {
  const { point, trials, completed } = found;
  const basis =
    language === "zh"
      ? `${trials} 个试次，${completed} 个成功请求`
      : `${trials} ${trials === 1 ? "trial" : "trials"}, ${completed} completed requests`;
  const named = found.rows.flatMap(({ tool, figures }) =>
    ownNames.flatMap((figure) => {
      const text = figures[figure]?.text;
      const { head } = figureTexts[figure];
      return text === undefined
        ? []
        : [`${nameOf(tool, language)} ${head[language]}: ${text} ${unitOf(figure)}`];
    }),
  );
  return [
    `${point}  (${basis})`,
    "",
    figuresTable(figureGroups.latencies, found, language),
    ...(named.length === 0 ? [] : [named.join("; "), ""]),
    figuresTable(figureGroups.rates, found, language),
  ];
}

/** Two lines a tool: its figures, and under them how far each is from ours. */
function figuresTable(
  shown: readonly FigureId[],
  { rows }: PointDefinitions,
  language: Language,
): string {
  const unit = unitOf(shown[0] ?? "qps");
  const body = rows.flatMap(({ tool, figures }) => {
    if (shown.every((figure) => figures[figure] === undefined)) return [];
    const percents = shown.map((figure) => figures[figure]?.percent);
    return [
      [nameOf(tool, language), ...shown.map((figure) => figures[figure]?.text ?? "-")],
      ...(percents.every((percent) => percent === undefined)
        ? []
        : [["", ...percents.map((percent) => (percent === undefined ? "" : `${percent}%`))]]),
    ];
  });
  const heads = shown.map((figure) => figureTexts[figure].head[language]);
  const first = unit === "ms" ? unit : language === "zh" ? "速率" : "rates";
  return table(
    [first, ...heads],
    body,
    shown.map((_, index) => index + 1),
  );
}

function nameOf(tool: string, language: Language): string {
  if (tool === ownTool) return ownTool;
  return (shortNames[tool] ?? tools.find(({ id }) => id === tool)?.name ?? { zh: tool, en: tool })[
    language
  ];
}

/** What a line may be broken after: a Chinese character, a word, a part of a path. */
const pieces =
  /[\p{Script=Han}，。；：、（）]|[^\s/\p{Script=Han}，。；：、（）]*\/|[^\s/\p{Script=Han}，。；：、（）]+|\s+/gu;

/** Breaks at spaces, and between Chinese characters, which have none. */
function wrap(text: string, indent = "", columns = 80): string {
  const lines: string[] = [];
  let line = indent;
  let width = indent.length;
  for (const [piece] of text.matchAll(pieces)) {
    const own = stringWidth(piece);
    const closes = /^[，。；：、）]/u.test(piece);
    if (!closes && piece.trim() !== "" && width + own > columns) {
      lines.push(line.trimEnd());
      line = indent + piece;
      width = indent.length + own;
    } else {
      line += piece;
      width += own;
    }
  }
  return [...lines, line.trimEnd()].join("\n");
}

/** What `benchbook report --definitions --json` prints: numbers as they are, with formula and source. */
export function definitionsJson(
  run: string,
  points: readonly { readonly point: string; readonly definitions: SideBySide }[],
): object {
  return {
    run,
    tools: tools.map(({ id, name, version, sources, requests, tokens, limits, percentiles }) => ({
      ...{ tool: id, name, version, sources, requests, tokens },
      ...{ limits: limits ?? null, percentiles },
    })),
    points: points.map(({ point, definitions: { trials, completed, rows } }) => ({
      point,
      trials,
      completed,
      figures: rows.map(({ tool, figure, value, difference, formula }) => {
        const definition = tools.find(({ id }) => id === tool);
        const id = definition?.figures[figure];
        return {
          ...{ tool, figure, unit: unitOf(figure) },
          ...{ value: value ?? null, difference: difference ?? null, formula },
          text:
            definition === undefined || id === undefined
              ? null
              : formulaText(definition, figure, id),
        };
      }),
    })),
  };
}
