// The cell that holds the definitions of other tools beside ours: per point what each would print of
// the same requests, and once, folded, by which formula and where that was read.
import type { LocalText } from "../experiment/experiment.ts";
import { percentileMethods } from "../stats/definitions-figures.ts";
import { tools } from "../stats/definitions-tools.ts";
import {
  type CellContext,
  checkOptions,
  column,
  inlineCell,
  noTable,
  paragraph,
  plainRow,
  pointsOf,
  simpleHead,
  textCell,
  titled,
  word,
} from "./cell-context.ts";
import type { Block, Inline, Table, TableCell } from "./document.ts";
import type { Cell } from "./notebook-source.ts";
import { textInlines } from "./phrase.ts";
import {
  figureGroups,
  figureTexts,
  ownNames,
  type PointDefinitions,
  type PrintedFigure,
  sharedFormulas,
  unitOf,
} from "./record-definitions.ts";

/** A fold per measured point, and two more for the formulas and for the tools. */
export function toolDefinitions(cell: Cell, context: CellContext): readonly Block[] {
  checkOptions(context, cell, ["variants", "workloads", "points"]);
  const { language } = context;
  const folds = pointsOf(context, cell).flatMap((point): readonly Block[] => {
    const found = context.data.definitions.find((one) => one.point === point.name);
    if (found === undefined) return [];
    return [
      {
        kind: "folded",
        title: textInlines(point.label[language], language),
        detail: word(context, "definitions_basis", {
          trials: String(found.trials),
          requests: String(found.completed),
        }),
        blocks: [figuresTable("latencies", found, context), figuresTable("rates", found, context)],
      },
    ];
  });
  if (folds.length === 0) return [paragraph(word(context, "nothing_measured"), context)];
  return [
    paragraph(word(context, "definitions_intro"), context),
    ...folds,
    fold("definition_formulas", formulasTable(context), context),
    fold("definition_tools", toolsTable(context), context),
  ];
}

function fold(name: string, table: Table, context: CellContext): Block {
  const title = textInlines(titled(name, context), context.language);
  return { kind: "folded", title, detail: "", blocks: [table] };
}

function figuresTable(
  group: keyof typeof figureGroups,
  found: PointDefinitions,
  context: CellContext,
): Table {
  const { language } = context;
  const shown = figureGroups[group];
  return {
    ...noTable,
    id: "",
    label: titled(`definitions_${group}`, context),
    layout: "wide",
    head: [
      [
        ...(simpleHead([column(context, "tool")], context)[0] ?? []),
        ...shown.map((figure) => ({
          content: textInlines(figureTexts[figure].head[language], language),
          unit: unitText(unitOf(figure), language),
          numeric: true,
          columns: 1,
          rows: 1,
          group: false,
        })),
      ],
    ],
    bodies: found.rows
      .filter(({ figures }) => shown.some((figure) => figures[figure] !== undefined))
      .map(({ label, figures }) => [
        plainRow([
          textCell(label[language], context, { head: true }),
          ...shown.map((figure) => figureCell(figures[figure], context)),
        ]),
      ]),
    notes: group === "latencies" ? otherNames(found, context) : [],
  };
}

function figureCell(figure: PrintedFigure | undefined, { language }: CellContext): TableCell {
  if (figure === undefined)
    return inlineCell([{ kind: "absent", text: "–" }], { numeric: true, sort: "" });
  const { text, percent } = figure;
  const sign = language === "zh" ? "%" : " %";
  const content: readonly Inline[] = [
    { kind: "text", text },
    ...(percent === undefined
      ? []
      : [
          { kind: "text" as const, text: " " },
          {
            kind: "emphasis" as const,
            children: [{ kind: "text" as const, text: `${percent}${sign}` }],
          },
        ]),
  ];
  return inlineCell(content, { numeric: true, sort: text.replaceAll(",", "") });
}

/** "AIPerf ICL 12.40 ms": what has no column, since only one tool prints it. */
function otherNames(found: PointDefinitions, context: CellContext): Table["notes"] {
  const { language } = context;
  const named = found.rows.flatMap(({ label, figures }) =>
    ownNames.flatMap((figure) => {
      const text = figures[figure]?.text;
      const { head } = figureTexts[figure];
      return text === undefined
        ? []
        : [`${label[language]} ${head[language]} ${text} ${unitOf(figure)}`];
    }),
  );
  if (named.length === 0) return [];
  const list = named.join(word(context, "clause_separator"));
  return [textInlines(word(context, "definitions_other_names", { list }), language)];
}

function formulasTable(context: CellContext): Table {
  const { language } = context;
  const nameOf = (id: string): string => tools.find((tool) => tool.id === id)?.name[language] ?? id;
  return {
    ...noTable,
    id: "",
    label: titled("definition_formulas", context),
    layout: "plain",
    head: simpleHead(
      ["figure", "formula", "tools"].map((name) => column(context, name)),
      context,
    ),
    bodies: sharedFormulas().map(({ figure, text, tools: users }) => [
      plainRow([
        textCell(figureTexts[figure].head[language], context, { head: true }),
        textCell(text[language], context, { wide: true }),
        textCell(users.map(nameOf).join(word(context, "list_separator")), context, { wide: true }),
      ]),
    ]),
  };
}

function toolsTable(context: CellContext): Table {
  const { language } = context;
  const cellOf = (text: LocalText | undefined): TableCell =>
    text === undefined
      ? inlineCell([{ kind: "absent", text: "–" }])
      : textCell(text[language], context, { wide: true });
  return {
    ...noTable,
    id: "",
    label: titled("definition_tools", context),
    layout: "plain",
    head: simpleHead(
      [
        "tool",
        "counted_requests",
        "what_a_token_is",
        "percentile_method",
        "unknown_here",
        "read_at",
      ].map((name) => column(context, name)),
      context,
    ),
    bodies: tools.map((tool) => [
      plainRow([
        textCell(`${tool.name[language]} ${tool.version}`, context, { head: true }),
        cellOf(tool.requests),
        cellOf(tool.tokens),
        cellOf(percentileMethods[tool.percentiles]),
        cellOf(tool.limits),
        inlineCell(
          tool.sources.flatMap(({ project, path, at }, index): readonly Inline[] => [
            ...(index === 0 ? [] : [{ kind: "break" as const }]),
            { kind: "code", text: `${project} ${path} @ ${at.slice(0, 12)}` },
          ]),
          { wide: true },
        ),
      ]),
    ]),
  };
}

function unitText(unit: string, language: "zh" | "en"): string {
  if (unit !== "requests") return unit;
  return language === "zh" ? "请求" : "requests";
}
