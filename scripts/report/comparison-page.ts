// From two compared sides to one HTML page in the theme of a record: whether they may be compared, the
// outcome, the table, figure 14, and what was not compared. Opens offline like a record.
import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { messageOf, systemCodeOf, UserError } from "../errors.ts";
import type { Language } from "../experiment/experiment.ts";
import type { ComparedSides } from "../review/compare.ts";
import type { Comparison } from "../stats/comparison.ts";
import { gatingMetrics } from "../stats/stopping.ts";
import { formatNumber } from "../units.ts";
import {
  column,
  inlineCell,
  noTable,
  paragraph,
  plainRow,
  simpleHead,
  textCell,
  titled,
  type Wording,
  word,
} from "./cell-context.ts";
import type { ChartPoint } from "./chart-data.ts";
import { valueText } from "./chart-text.ts";
import { renderChart } from "./charts.ts";
import { comparisonTable } from "./comparison-table.ts";
import { overallText, whyText } from "./comparison-text.ts";
import { readDictionary, wordOf } from "./dictionary.ts";
import type { Block, PageDocument, Table, TableCell } from "./document.ts";
import { embedFonts } from "./fonts.ts";
import { type HtmlOptions, renderHtml } from "./html.ts";
import { metricText } from "./metric-texts.ts";
import { textInlines } from "./phrase.ts";
import { templatesFolder } from "./render-record.ts";
import { visible, withUnit } from "./typography.ts";

export interface ComparisonPageOptions {
  readonly language: Language;
  readonly margin: number | undefined;
  readonly embedFonts?: HtmlOptions["embedFonts"];
}

/**
 * Writes the page of a comparison.
 *
 * @throws UserError for a path that cannot be written
 */
export async function writeComparisonPage(
  sides: ComparedSides,
  { path, ...options }: ComparisonPageOptions & { readonly path: string },
): Promise<void> {
  const html = await comparisonPage(sides, options);
  try {
    await writeFile(path, html);
  } catch (error) {
    if (systemCodeOf(error) === undefined) throw error;
    throw new UserError(
      {
        what: `the page cannot be written: ${messageOf(error)}`,
        where: path,
        mend: "name a file in a folder that exists and is writable",
      },
      { cause: error },
    );
  }
}

/** The page as one HTML file; the same sides give the same bytes. */
export async function comparisonPage(
  sides: ComparedSides,
  { language, margin, embedFonts: fonts = embedFonts }: ComparisonPageOptions,
): Promise<string> {
  const dictionary = readDictionary(join(templatesFolder, "dictionary.json"));
  const counts = { table: 0, figure: 0 };
  const context: PageWords = {
    language,
    dictionary,
    number: (kind) => {
      counts[kind] += 1;
      return `${wordOf(dictionary, "words", kind, language)}\u00a0${counts[kind]}`;
    },
  };
  const { comparison } = sides;
  const outcome = comparison === undefined ? undefined : overallText(comparison, language);
  const document: PageDocument = {
    language,
    recordId: undefined,
    date: "",
    tool: "benchbook",
    cover: {
      title: word(context, "compare_between", { a: visible(sides.a), b: visible(sides.b) }),
      subtitle: (outcome ?? word(context, "compare_not_comparable")).replace(/[。.]$/, ""),
    },
    blocks: [
      heading("comparison", "s1", context),
      ...(comparison === undefined || comparison.cells.length === 0
        ? [paragraph(word(context, "compare_nothing"), context)]
        : await comparedBlocks({ ...sides, comparison }, margin, context)),
      ...(sides.obstacles.length === 0 ? [] : [obstacleTable(sides, context)]),
      ...(sides.notCompared.length === 0 ? [] : [notComparedTable(sides, context)]),
    ],
  };
  return renderHtml(document, {
    templates: templatesFolder,
    dictionary,
    embedFonts: fonts,
    other: undefined,
  });
}

type PageWords = Wording & { readonly number: (kind: "table" | "figure") => string };

function heading(name: string, id: string, context: PageWords): Block {
  const { dictionary, language } = context;
  const content = textInlines(wordOf(dictionary, "sections", name, language), language);
  return { kind: "heading", level: 2, id, number: undefined, content };
}

async function comparedBlocks(
  sides: ComparedSides & { readonly comparison: Comparison },
  margin: number | undefined,
  context: PageWords,
): Promise<readonly Block[]> {
  const { language } = context;
  const { comparison, values, oneProcess } = sides;
  const { requests, metrics } = values;
  const pointOf = (place: string, own: boolean): ChartPoint | undefined =>
    values.points.find(
      ({ name, variant }) => name === `${variant}/${place}` && (variant !== "b") === own,
    );
  const basis = requests === undefined ? [] : [word(context, "compare_requests", range(requests))];
  const labels = { a: visible(values.labels.a), b: visible(values.labels.b) };
  const table = comparisonTable(
    {
      comparison,
      rows: comparison.cells.map(({ point, metric }) => ({
        head: inlineCell([{ kind: "data", text: visible(point) }], { head: true }),
        value: valueCell(pointOf(point, true), metric, language),
        base: valueCell(pointOf(point, false), metric, language),
      })),
      base: labels.b,
      compared: labels.a,
      oneProcess,
      basis,
      computed: comparison.cells
        .flatMap(({ metric }) => metricText(metric) ?? [])
        .filter(
          (text, index, all) =>
            all.findIndex(({ definition }) => definition === text.definition) === index,
        )
        .map(({ definition, formula }) => ({ source: definition, definition: formula[language] })),
    },
    context,
  );
  const request = {
    id: "variant-ratios",
    language,
    points: values.points,
    compare: {
      paired: values.paired,
      margin,
      base: "b",
      metrics,
      panels: gatingMetrics,
      oneProcess,
    },
  } as const;
  const [wide, narrow] = [
    await renderChart({ ...request, width: 744 }),
    await renderChart({ ...request, width: 346 }),
  ];
  const intro = paragraph(word(context, "compare_ratio_of", labels), context);
  if (wide.status === "empty" || narrow.status === "empty") return [intro, table];
  const number = context.number("figure");
  return [
    intro,
    {
      kind: "figure",
      id: "fig-1",
      numbered: number,
      name: createHash("sha256").update(wide.svg).digest("hex").slice(0, 8),
      finding: wide.finding,
      caption: textInlines([wide.note, ...basis].join(language === "zh" ? "" : " "), language),
      wide: wide.svg,
      narrow: narrow.svg,
      computed: [],
    },
    table,
  ];
}

function range({ least, most }: { readonly least: number; readonly most: number }): {
  readonly requests: string;
} {
  const [from, to] = [formatNumber(least, 0), formatNumber(most, 0)];
  return { requests: from === to ? from : `${from}–${to}` };
}

function valueCell(point: ChartPoint | undefined, metric: string, language: Language): TableCell {
  const found = point?.metrics[metric];
  const { scale = 1, unit } = metricText(metric) ?? {};
  if (found === undefined) return inlineCell([{ kind: "absent", text: "–" }], { numeric: true });
  const scaled = (value: number | undefined): number | undefined =>
    value === undefined ? undefined : value * scale;
  const text = valueText({
    value: found.value * scale,
    low: scaled(found.low),
    high: scaled(found.high),
    halfWidth: scaled(found.halfWidth),
    perRound: [],
  });
  return inlineCell([{ kind: "text", text: withUnit(text, unit?.[language] ?? "", language) }], {
    numeric: true,
  });
}

function obstacleTable({ obstacles, a, b }: ComparedSides, context: PageWords): Table {
  return pairTable(
    "obstacles",
    [column(context, "field"), visible(a), visible(b)],
    obstacles.map((one) => [one.field, one.a, one.b]),
    context,
  );
}

function notComparedTable({ notCompared }: ComparedSides, context: PageWords): Table {
  return pairTable(
    "not_compared",
    [column(context, "point"), column(context, "compared_why")],
    notCompared.map(({ point, why }) => [point, whyText(why, context.language)]),
    context,
  );
}

function pairTable(
  name: string,
  heads: readonly string[],
  rows: readonly (readonly string[])[],
  context: PageWords,
): Table {
  const number = context.number("table");
  const label = titled(name, context);
  return {
    ...noTable,
    id: `tab-${number.replaceAll(/\D/g, "")}`,
    numbered: number,
    caption: [{ kind: "strong", children: textInlines(label, context.language) }],
    label,
    layout: "plain",
    head: simpleHead(heads, context),
    bodies: rows.map((row) => [
      plainRow(
        row.map((text, index) =>
          index === 0
            ? textCell(visible(text), context, { head: true })
            : inlineCell([{ kind: "data", text: visible(text) }], { wide: true }),
        ),
      ),
    ]),
  };
}
