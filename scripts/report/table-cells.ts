// Cells of the tables that are not of measured numbers: identity, verdicts, workload, definitions,
// deviations, starts, reproduction, glossary.
import { definitionId, metrics } from "../stats/metrics.ts";
import {
  type CellContext,
  checkOptions,
  column,
  inlineCell,
  noTable,
  numberedCaption,
  paragraph,
  plainRow,
  pointsOf,
  simpleHead,
  textCell,
  titled,
  word,
} from "./cell-context.ts";
import { wordOf } from "./dictionary.ts";
import type { Block, Inline, Table } from "./document.ts";
import type { Cell } from "./notebook-source.ts";
import { phraseInlines, pointMark, textInlines } from "./phrase.ts";
import type { RecordData } from "./record-data.ts";
import type { TextRow } from "./record-parts.ts";
import { resultsTables } from "./results-table.ts";
import { visible } from "./typography.ts";

function pairs(
  name: string,
  rows: readonly TextRow[],
  context: CellContext,
  label?: string,
): Table {
  const { dictionary, language } = context;
  return {
    ...noTable,
    id: "",
    label: label ?? titled(name, context),
    layout: "pairs",
    bodies: rows.map((row) => [
      plainRow([
        textCell(wordOf(dictionary, "rows", row.key, language), context, { head: true }),
        inlineCell(phraseInlines(row.value, language, dictionary), { wide: true }),
      ]),
    ]),
  };
}

/** Variants down, loads across. */
export function verdictTable(cell: Cell, context: CellContext): readonly Block[] {
  checkOptions(context, cell, ["variants", "workloads", "points"]);
  const { data, language, dictionary } = context;
  const points = pointsOf(context, cell);
  const loads = [...new Set(points.map((point) => point.shortLabel[language]))];
  return [
    {
      ...noTable,
      id: "",
      label: titled("verdicts", context),
      layout: "plain",
      head: simpleHead([column(context, "variant"), ...loads], context),
      bodies: data.variants
        .filter((variant) => points.some((point) => point.variant === variant.name))
        .map((variant) => [
          plainRow([
            inlineCell([{ kind: "variant", place: variant.place, label: variant.name }], {
              head: true,
            }),
            ...loads.map((load) => {
              const point = points.find(
                (one) => one.variant === variant.name && one.shortLabel[language] === load,
              );
              if (point === undefined) return textCell("–", context);
              const links = point.reasons.flatMap((reason): readonly Inline[] => [
                { kind: "text", text: " " },
                {
                  kind: "link",
                  href: `#${reason.id}`,
                  children: [{ kind: "text", text: reason.rule }],
                },
              ]);
              return inlineCell([pointMark(point, language, dictionary), ...links]);
            }),
          ]),
        ]),
    },
  ];
}

export function workloadTables(cell: Cell, context: CellContext): readonly Block[] {
  checkOptions(context, cell, []);
  const { workloads } = context.data;
  return workloads.flatMap(({ name, rows }): readonly Block[] => [
    ...(workloads.length > 1
      ? [
          {
            kind: "heading" as const,
            level: 4 as const,
            id: "",
            number: undefined,
            content: [{ kind: "data" as const, text: name }],
          },
        ]
      : []),
    pairs("workload", rows, context),
  ]);
}

/** Planned beside achieved: concurrency, lengths, requests. */
export function plannedTable(cell: Cell, context: CellContext): readonly Block[] {
  checkOptions(context, cell, ["variants", "workloads", "points"]);
  const columns = ["concurrency", "input_lengths", "output_lengths", "requests"];
  const options = { ...cell.options, columns, reasons: false };
  return resultsTables({ ...cell, options }, context).map((table) => {
    const label = titled("planned", context);
    return {
      ...table,
      label,
      caption: [{ kind: "strong", children: textInlines(label, context.language) }],
    };
  });
}

export function definitionsTable(cell: Cell, context: CellContext): readonly Block[] {
  checkOptions(context, cell, []);
  const { data, language } = context;
  const shown = metrics.flatMap((metric) => {
    const key = Object.values(data.metrics).find(
      (one) => one.definition === definitionId(metric) && context.shown.has(one.key),
    );
    return key === undefined ? [] : [{ ...key, name: metric.name }];
  });
  return [
    {
      ...noTable,
      ...numberedCaption("definitions", context),
      layout: "plain",
      head: simpleHead(
        ["definition", "name", "formula", "unit"].map((name) => column(context, name)),
        context,
      ),
      bodies: shown.map((metric) => [
        plainRow([
          inlineCell([{ kind: "code", text: metric.definition }]),
          textCell(metric.name[language], context),
          textCell(metric.formula[language], context, { wide: true }),
          textCell(metric.unit[language], context),
        ]),
      ]),
    },
  ];
}

export function deviationsTable(cell: Cell, context: CellContext): readonly Block[] {
  checkOptions(context, cell, []);
  const { data, language, dictionary } = context;
  if (data.deviations.length === 0) return [paragraph(word(context, "no_deviations"), context)];
  const logs = data.deviations.filter(({ log }) => log !== undefined && log !== "");
  return [
    {
      ...noTable,
      id: "",
      label: titled("deviations", context),
      layout: "plain",
      head: simpleHead(
        ["id", "deviation", "handling"].map((name) => column(context, name)),
        context,
      ),
      bodies: data.deviations.map((deviation) => [
        plainRow([
          textCell(deviation.id, context, { head: true }),
          inlineCell(phraseInlines(deviation.what, language, dictionary), { wide: true }),
          inlineCell(phraseInlines(deviation.handling, language, dictionary), { wide: true }),
        ]),
      ]),
    },
    ...logs.map(
      (deviation): Block => ({
        kind: "folded",
        title: textInlines(`${deviation.id} ${word(context, "last_words")}`, language),
        detail: "",
        blocks: [{ kind: "code", text: visible(deviation.log ?? ""), command: false }],
      }),
    ),
  ];
}

/** Columns that only some records need stand where they say something. */
export function startsTable(cell: Cell, context: CellContext): readonly Block[] {
  checkOptions(context, cell, []);
  const { data, language, dictionary } = context;
  const hasCaches = data.variants.some(({ name }) => {
    const own = data.starts.filter(({ variant }) => variant === name);
    return new Set(own.flatMap(({ kvCacheTokens }) => kvCacheTokens ?? [])).size > 1;
  });
  const isShared = data.starts.some(({ servedRounds }) => servedRounds !== undefined);
  const names = [
    ...["start", "variant", "round", "startup"],
    ...(hasCaches ? ["kv_cache_tokens"] : []),
    ...(isShared ? ["served_rounds"] : []),
    "ended",
  ];
  const head = names.map((name) => column(context, name));
  const [first = []] = simpleHead(head, context, hasCaches ? [2, 3, 4] : [2, 3]);
  return [
    ...(data.flags["kept_engine"] === true
      ? [paragraph(word(context, "restarts_not_measured"), context)]
      : []),
    {
      ...noTable,
      id: "",
      label: titled("starts", context),
      layout: "plain",
      head: [first.map((one, index) => (index === 3 ? { ...one, unit: "s" } : one))],
      bodies: data.starts.map((start) => [
        plainRow([
          textCell(start.start, context, { head: true }),
          inlineCell([variantInline(start.variant, data)]),
          textCell(start.round, context, { numeric: true }),
          textCell(start.startupS ?? "–", context, { numeric: true }),
          ...(hasCaches ? [textCell(start.kvCacheTokens ?? "–", context, { numeric: true })] : []),
          ...(isShared ? [textCell(start.servedRounds ?? start.round, context)] : []),
          inlineCell(phraseInlines(start.ended, language, dictionary), { wide: true }),
        ]),
      ]),
    },
  ];
}

/** Metrics whose median round is worth a table: those that a record is quoted for. */
const medianKeys = ["output_tps", "qps", "ttft.mean", "tpot.mean", "e2e.mean"] as const;

/** The order-statistic interval of the median round, which needs ten rounds; nothing below that. */
export function medianRoundTable(cell: Cell, context: CellContext): readonly Block[] {
  checkOptions(context, cell, []);
  const { data, language } = context;
  const rows = data.points.filter(({ numbers }) =>
    medianKeys.some((key) => numbers[key]?.medianRound !== undefined),
  );
  if (rows.length === 0) return [];
  const heads = medianKeys.map((key) => {
    const name = data.metrics[key]?.head[language] ?? key;
    return `${name} (${rows[0]?.numbers[key]?.unit[language] ?? ""})`;
  });
  return [
    paragraph(word(context, "median_round"), context),
    {
      ...noTable,
      ...numberedCaption("median_round", context),
      layout: "plain",
      head: simpleHead([column(context, "point"), ...heads], context, [1, 2, 3, 4, 5]),
      bodies: rows.map((point) => [
        plainRow([
          textCell(point.label[language], context, { head: true }),
          ...medianKeys.map((key) => {
            const interval = point.numbers[key]?.medianRound;
            const text = interval === undefined ? "–" : `[${interval.low}, ${interval.high}]`;
            return textCell(text, context, { numeric: true });
          }),
        ]),
      ]),
    },
  ];
}

function variantInline(name: string, data: RecordData): Inline {
  const place = data.variants.find((variant) => variant.name === name)?.place ?? 0;
  return { kind: "variant", place, label: name };
}

export function glossary(
  cell: Cell,
  { dictionary, language, ...context }: CellContext,
): readonly Block[] {
  checkOptions({ dictionary, language, ...context }, cell, []);
  return [
    {
      kind: "terms",
      terms: Object.values(dictionary.glossary).map(({ term, meaning }) => ({
        term: textOf(textInlines(term[language], language)),
        meaning: textOf(textInlines(meaning[language], language)),
      })),
    },
  ];
}

function textOf(content: readonly Inline[]): string {
  return content.map((inline) => ("text" in inline ? inline.text : "")).join("");
}

export function identityTable(cell: Cell, context: CellContext): readonly Block[] {
  checkOptions(context, cell, []);
  return [pairs("identity", context.data.identity, context)];
}

/** What the client's own error is known to be, and how busy it was. */
export function instrumentTable(cell: Cell, context: CellContext): readonly Block[] {
  checkOptions(context, cell, []);
  const { instrument } = context.data;
  return instrument.length === 0 ? [] : [pairs("instrument", instrument, context)];
}

export function reproduction(cell: Cell, context: CellContext): readonly Block[] {
  checkOptions(context, cell, []);
  const { command, rows } = context.data.reproduction;
  return [
    { kind: "code", text: visible(command), command: true },
    pairs("reproduction", rows, context),
  ];
}
