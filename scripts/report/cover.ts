// The cover: what a reader takes away who reads nothing else. Title, verdict with its reasons, one
// chart, the headline numbers with their intervals, who measured when, how to measure again.
import { UserError } from "../errors.ts";
import { type CellContext, inlineCell, noTable, textCell, unknown, word } from "./cell-context.ts";
import { chartFigure } from "./chart-cells.ts";
import { type ChartId, chartIds } from "./charts.ts";
import { wordOf } from "./dictionary.ts";
import type { Cover, CoverReason, Inline, Mark, Table } from "./document.ts";
import { metricText } from "./metric-texts.ts";
import type { NotebookSource } from "./notebook-source.ts";
import { localInlines, phraseInlines, pointMark, textInlines } from "./phrase.ts";
import { joinInlines } from "./prose.ts";
import type { FindingData, PointData } from "./record-parts.ts";
import { knownColumns } from "./results-columns.ts";
import { numberCell } from "./results-table.ts";
import { visible } from "./typography.ts";

/** Which number of which load stands on the cover. */
interface Headline {
  readonly metric: string;
  readonly load: "lowest" | "highest";
}

/** Lines of reasons on the cover; what is left out is counted on the last. */
const mostReasons = 5;

export async function coverOf(notebook: NotebookSource, context: CellContext): Promise<Cover> {
  const { data, language, dictionary } = context;
  const { chart, headline } = settingsOf(notebook, context);
  const first = data.workloads[0]?.name;
  const names = data.points.filter((point) => point.workload === first).map(({ name }) => name);
  const figure = chart === undefined ? undefined : await chartFigure(chart, names, 468, context);
  const facts = data.identity;
  const row = (key: string): readonly Inline[] =>
    phraseInlines(facts.find((one) => one.key === key)?.value ?? [], language, dictionary);
  return {
    title: visible(data.title[language]),
    subtitle: phraseInlines(data.subtitle, language, dictionary)
      .map((inline) => ("text" in inline ? inline.text : ""))
      .join(""),
    mark: data.verdict,
    verdict: wordOf(dictionary, "marks", data.verdict, language),
    reasons: reasonsOf(context),
    figure: figure?.kind === "figure" ? figure : undefined,
    headline: headlineTable(headline, context),
    facts: [
      {
        label: word(context, "numbers_read"),
        value: localInlines(data.intervalNote, language),
        command: false,
      },
      {
        label: word(context, "tester"),
        value: [...row("tester"), { kind: "break" }, ...row("period")],
        command: false,
      },
      {
        label: word(context, "again"),
        value: [{ kind: "code", text: visible(data.reproduction.command) }],
        command: true,
      },
    ],
  };
}

const settingNames = ["sections", "cover-chart", "cover-headline"];

function settingsOf(
  { settings, path }: NotebookSource,
  context: CellContext,
): { readonly chart: ChartId | undefined; readonly headline: readonly Headline[] } {
  for (const name of Object.keys(settings)) {
    if (!settingNames.includes(name)) {
      throw unknown(context, { line: 1 }, "setting", name, settingNames);
    }
  }
  const chart = settings["cover-chart"];
  const id = chartIds.find((one) => one === chart);
  if (chart !== undefined && id === undefined) {
    const name = typeof chart === "string" ? chart : JSON.stringify(chart);
    throw unknown(context, { line: 1 }, "chart", name, chartIds);
  }
  const headline = settings["cover-headline"] ?? [];
  const list: readonly unknown[] = Array.isArray(headline) ? headline : [headline];
  return {
    chart: id,
    headline: list.map((one) => {
      const match = typeof one === "string" ? /^(\S+) at (lowest|highest)$/.exec(one) : null;
      if (match === null) {
        throw new UserError({
          what: `cover-headline takes a metric at a load, got ${JSON.stringify(one)}`,
          where: `${path}:1 cover-headline`,
          mend: "write output_tps at highest, or ttft.p50 at lowest",
        });
      }
      return { metric: match[1] ?? "", load: match[2] === "lowest" ? "lowest" : "highest" };
    }),
  };
}

/** What is wrong first, grouped by rule; then what is sound; then what could not be checked. */
function reasonsOf(context: CellContext): readonly CoverReason[] {
  const { data, language, dictionary } = context;
  const label = (mark: Mark): string => wordOf(dictionary, "marks", mark, language);
  const colon = word(context, "title_separator");
  const stop = word(context, "full_stop");
  const groups = new Map<string, FindingData[]>();
  for (const finding of data.findings) {
    if (finding.mark === undefined) continue;
    const key = `${finding.mark} ${finding.rule}`;
    groups.set(key, [...(groups.get(key) ?? []), finding]);
  }
  const lines = [...groups.values()].flatMap((findings): readonly CoverReason[] => {
    const [one] = findings;
    if (one?.mark === undefined) return [];
    const places = findings.map((finding) => visible(finding.label[language]));
    const name =
      places.length > 3
        ? `${places.slice(0, 2).join(word(context, "list_separator"))} ${word(context, "and_more", { count: String(language === "zh" ? places.length : places.length - 2) })}`
        : places.join(word(context, "list_separator"));
    return [
      {
        mark: one.mark,
        label: label(one.mark),
        content: joinInlines(
          [
            { kind: "strong", children: [{ kind: "data", text: name }] },
            { kind: "text", text: colon },
            ...localInlines(one.seen, language),
            { kind: "text", text: /[.。!！?？]$/.test(one.seen[language]) ? " " : `${stop} ` },
            { kind: "link", href: `#${one.id}`, children: [{ kind: "text", text: one.rule }] },
          ],
          language,
        ),
      },
    ];
  });
  const shown = lines.slice(0, mostReasons);
  const hidden = lines.slice(mostReasons);
  const valid = data.points.filter((point) => point.mark === "valid");
  const unjudged = data.points.filter((point) => point.measured && point.mark === "not_checked");
  const missing = data.points.filter((point) => !point.measured);
  const names = (points: readonly PointData[]): string =>
    points.length === data.points.length
      ? word(context, "every_point", { count: String(points.length) })
      : byVariant(points, context);
  const checks = wordOf(dictionary, "sections", "checks", language);
  const line = (mark: Mark, text: string): CoverReason => ({
    mark,
    label: label(mark),
    content: textInlines(text, language),
  });
  return [
    ...shown,
    ...hidden
      .slice(0, 1)
      .map(({ mark }) =>
        line(
          mark,
          word(context, "more_findings", { count: String(hidden.length), section: checks }),
        ),
      ),
    ...(valid.length > 0 ? [line("valid", names(valid) + stop)] : []),
    ...(unjudged.length > 0
      ? [line("not_checked", `${word(context, "no_verdict")}${colon}${names(unjudged)}${stop}`)]
      : []),
    ...(missing.length > 0
      ? [
          {
            ...line("not_checked", names(missing) + stop),
            label: wordOf(dictionary, "marks", "not_measured", language),
          },
        ]
      : []),
    ...(data.notChecked.length > 0
      ? [
          line(
            "not_checked",
            word(context, "rules_not_checked", {
              count: String(data.notChecked.length),
              section: checks,
            }) + stop,
          ),
        ]
      : []),
  ];
}

/** "fp32 并发 1、并发 8；q8 并发 1": each variant once. */
function byVariant(points: readonly PointData[], context: CellContext): string {
  const { language, data } = context;
  const colon = language === "zh" ? " " : ": ";
  return data.variants
    .flatMap(({ name }) => {
      const loads = points
        .filter((point) => point.variant === name)
        .map((point) => visible(point.shortLabel[language]));
      return loads.length === 0 ? [] : [name + colon + loads.join(word(context, "list_separator"))];
    })
    .join(word(context, "clause_separator"));
}

/** A row per variant, a column per headline number, of the first workload. */
function headlineTable(headline: readonly Headline[], context: CellContext): Table | undefined {
  const { data, language } = context;
  const workload = data.workloads[0]?.name;
  const planned = data.points.filter((point) => point.workload === workload);
  const points = planned.filter((point) => point.measured);
  const loads = [...new Set(points.map((point) => point.shortLabel.en))];
  const usable = loads.filter((load) =>
    points.every((point) => point.shortLabel.en !== load || point.mark !== "invalid"),
  );
  const pick = { lowest: usable[0] ?? loads[0], highest: usable.at(-1) ?? loads.at(-1) };
  const columns: { readonly metric: string; readonly load: string }[] = [];
  for (const { metric, load } of headline) {
    if (metricText(metric) === undefined) {
      throw unknown(context, { line: 1 }, "metric", metric, knownColumns(context));
    }
    if (!Object.hasOwn(data.metrics, metric)) continue;
    const at = pick[load];
    if (at === undefined || columns.some((one) => one.metric === metric && one.load === at))
      continue;
    columns.push({ metric, load: at });
  }
  if (columns.length === 0 || points.length === 0) return undefined;
  const footnotes = new Map<string, string>();
  const bodies = data.variants
    .filter((variant) => planned.some((point) => point.variant === variant.name))
    .map((variant): Table["bodies"][number] => [
      {
        kind: "row",
        struck: false,
        cells: [
          inlineCell([{ kind: "variant", place: variant.place, label: variant.name }], {
            head: true,
          }),
          ...columns.map(({ metric, load }) => {
            const point = planned.find(
              (one) => one.variant === variant.name && one.shortLabel.en === load,
            );
            const number = point?.numbers[metric];
            if (point === undefined || number === undefined) return textCell("–", context);
            if (!point.measured)
              return inlineCell([pointMark(point, language, context.dictionary)]);
            const { content } = numberCell(number, footnotes, context);
            const mark: readonly Inline[] =
              point.mark === "valid"
                ? []
                : [{ kind: "text", text: " " }, pointMark(point, language, context.dictionary)];
            return inlineCell([...content, ...mark], { struck: point.mark === "invalid" });
          }),
        ],
      },
    ]);
  const separator = language === "zh" ? "，" : ", ";
  const notes = [...footnotes].map(([text, letter]) => `${letter}\u00a0${text}`);
  return {
    ...noTable,
    id: "",
    label: word(context, "headline"),
    layout: "plain",
    head: [
      [
        { content: [], unit: undefined, numeric: false, columns: 1, rows: 1, group: false },
        ...columns.map(({ metric, load }) => {
          const text = data.metrics[metric];
          const point = points.find((one) => one.shortLabel.en === load);
          const symbol = text?.head[language] ?? metric;
          const named = metric.endsWith(".mean")
            ? word(context, "mean_of", { metric: symbol })
            : symbol;
          const head = `${named}${separator}${point?.shortLabel[language] ?? load}`;
          return {
            content: textInlines(head, language),
            unit: text?.unit[language],
            numeric: false,
            columns: 1,
            rows: 1,
            group: false,
          };
        }),
      ],
    ],
    bodies,
    notes:
      notes.length === 0
        ? []
        : [textInlines(notes.join(word(context, "clause_separator")), language)],
  };
}
