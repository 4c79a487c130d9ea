// The cells about the prefix cache: its proof per point, and the tokens as client and server counted
// them. Reasons that several points share stand once, under the table.
import type { LocalText } from "../experiment/experiment.ts";
import {
  type CellContext,
  checkOptions,
  column,
  inlineCell,
  noTable,
  numberedCaption,
  paragraph,
  plainRow,
  pointHead,
  pointsOf,
  textCell,
  word,
} from "./cell-context.ts";
import { wordOf } from "./dictionary.ts";
import type { Block, HeadCell, Table, TableCell } from "./document.ts";
import type { Cell } from "./notebook-source.ts";
import { phraseInlines, textInlines } from "./phrase.ts";
import type { CacheRow, PrintedShare, PrintedTokens } from "./record-cache.ts";
import type { PointData } from "./record-parts.ts";
import { setText, visible } from "./typography.ts";

interface Row {
  readonly point: PointData;
  readonly cache: CacheRow;
}

/** Both tables, of the points that were measured. */
export function cacheTables(cell: Cell, context: CellContext): readonly Block[] {
  checkOptions(context, cell, ["variants", "workloads", "points"]);
  const rows = pointsOf(context, cell).flatMap((point): readonly Row[] => {
    const cache = context.data.cache.find((one) => one.point === point.name);
    return cache === undefined ? [] : [{ point, cache }];
  });
  if (rows.length === 0) return [paragraph(word(context, "nothing_measured"), context)];
  return [proofTable(rows, context), ...tokensTable(rows, context)];
}

function proofTable(rows: readonly Row[], context: CellContext): Table {
  const { language, dictionary } = context;
  const head = (text: string, options: Partial<HeadCell>): HeadCell =>
    headCell(text, options, context);
  const group = (name: string): HeadCell => head(groupName(name, context), { columns: 2 });
  const rateAndCounts = (counts: string): readonly HeadCell[] => [
    head(column(context, "hit_rate"), { unit: "%", rows: 1 }),
    head(column(context, counts), { unit: "token", rows: 1 }),
  ];
  return {
    ...noTable,
    ...numberedCaption("cache", context),
    layout: "wide",
    head: [
      [
        head(column(context, "point"), { rows: 2, numeric: false }),
        head(column(context, "cache_policy"), { rows: 2, numeric: false }),
        head(column(context, "expected_hit_rate"), { rows: 2, numeric: false }),
        group("cache_counters"),
        group("cache_usage"),
        head(column(context, "cache_reset"), { rows: 2, numeric: false }),
      ],
      [...rateAndCounts("hits_queries"), ...rateAndCounts("cached_input")],
    ],
    bodies: rows.map(({ point, cache }) => [
      plainRow([
        pointHead(point, context),
        inlineCell(phraseInlines(cache.policy, language, dictionary)),
        inlineCell(phraseInlines(cache.expected, language, dictionary), { wide: true }),
        ...shareCells(cache.counters, context),
        ...shareCells(cache.usage, context),
        inlineCell(phraseInlines(cache.reset, language, dictionary)),
      ]),
    ]),
    notes: notesOf(
      [
        absentNote("cache_counters", rows, ({ counters }) => counters, context),
        absentNote("cache_usage", rows, ({ usage }) => usage, context),
        word(context, "cache_note"),
        rows.some(({ cache }) => cache.hasArithmetic) ? word(context, "cache_arithmetic") : "",
      ],
      context,
    ),
  };
}

function headCell(text: string, options: Partial<HeadCell>, { language }: CellContext): HeadCell {
  const columns = options.columns ?? 1;
  return {
    content: textInlines(text, language),
    unit: undefined,
    numeric: true,
    columns,
    rows: 1,
    group: columns > 1,
    ...options,
  };
}

function shareCells(share: PrintedShare, context: CellContext): readonly TableCell[] {
  if (share.kind === "absent") return [absentCell(context), dashCell()];
  return [
    textCell(share.rate, context, { numeric: true }),
    textCell(share.counts, context, { numeric: true }),
  ];
}

function absentCell(context: CellContext): TableCell {
  return inlineCell([{ kind: "absent", text: word(context, "not_collected") }], { numeric: true });
}

function dashCell(): TableCell {
  return inlineCell([{ kind: "absent", text: "–" }], { numeric: true });
}

/** Client beside server; one sentence where nothing can be compared for one reason. */
function tokensTable(rows: readonly Row[], context: CellContext): readonly Block[] {
  const sides = ["promptTokens", "outputTokens"] as const;
  const all = rows.flatMap(({ cache }) => sides.map((side) => cache[side]));
  if (all.every(({ kind }) => kind === "absent")) {
    const note = absentNote("counted_tokens", rows, ({ promptTokens }) => promptTokens, context);
    return note === "" ? [] : [paragraph(note, context)];
  }
  const heads = ["client_tokens", "server_tokens", "tokens_off"].map((name) =>
    headCell(column(context, name), {}, context),
  );
  const group = (name: string): HeadCell =>
    headCell(groupName(name, context), { columns: heads.length }, context);
  return [
    {
      ...noTable,
      ...numberedCaption("counted-tokens", context),
      layout: "wide",
      head: [
        [
          headCell(column(context, "point"), { rows: 2, numeric: false }, context),
          group("input_tokens"),
          group("output_tokens"),
        ],
        [...heads, ...heads],
      ],
      bodies: rows.map(({ point, cache }) => [
        plainRow([
          pointHead(point, context),
          ...sides.flatMap((side) => tokenCells(cache[side], context)),
        ]),
      ]),
      notes: notesOf(
        [
          absentNote("input_tokens", rows, ({ promptTokens }) => promptTokens, context),
          absentNote("output_tokens", rows, ({ outputTokens }) => outputTokens, context),
          word(context, "tokens_note"),
          rows.some(({ cache }) => cache.isBounded) ? word(context, "tokens_bounds") : "",
        ],
        context,
      ),
    },
  ];
}

function tokenCells(tokens: PrintedTokens, context: CellContext): readonly TableCell[] {
  if (tokens.kind === "absent") return [absentCell(context), dashCell(), dashCell()];
  return [tokens.client, tokens.server, tokens.off].map((text) =>
    textCell(text, context, { numeric: true }),
  );
}

function groupName(name: string, { dictionary, language }: CellContext): string {
  return wordOf(dictionary, "column_groups", name, language);
}

/** "引擎计数未采集：/metrics 返回 HTTP 404（fp8 并发 10、…）": "" where no point lacks it. */
function absentNote(
  name: string,
  rows: readonly Row[],
  of: (cache: CacheRow) => { readonly kind: string; readonly why?: LocalText },
  context: CellContext,
): string {
  const { language } = context;
  const byReason = new Map<string, string[]>();
  for (const { point, cache } of rows) {
    const { why } = of(cache);
    if (why === undefined) continue;
    const text = visible(why[language]);
    byReason.set(text, [...(byReason.get(text) ?? []), visible(point.label[language])]);
  }
  if (byReason.size === 0) return "";
  const reasons = [...byReason].map(([why, points]) =>
    points.length === rows.length
      ? why
      : word(context, "why_of", { why, points: points.join(word(context, "list_separator")) }),
  );
  return word(context, "absent_because", {
    what: groupName(name, context),
    why: reasons.join(word(context, "clause_separator")),
  });
}

function notesOf(texts: readonly string[], { language }: CellContext): Table["notes"] {
  const shown = texts.filter((text) => text !== "");
  if (shown.length === 0) return [];
  const joint = language === "zh" ? "" : " ";
  return [textInlines(setText(shown.join(joint), language), language)];
}
