// Cells of the checks: what was found, what could not be checked, what was.
import {
  type CellContext,
  checkOptions,
  column,
  inlineCell,
  noTable,
  paragraph,
  plainRow,
  simpleHead,
  textCell,
  titled,
  word,
} from "./cell-context.ts";
import { wordOf } from "./dictionary.ts";
import type { Block } from "./document.ts";
import type { Cell } from "./notebook-source.ts";
import { localInlines, markInline, textInlines } from "./phrase.ts";
import { visible } from "./typography.ts";

export function findingsTable(cell: Cell, context: CellContext): readonly Block[] {
  checkOptions(context, cell, []);
  const { data, dictionary, language } = context;
  if (data.findings.length === 0) return [paragraph(word(context, "no_findings"), context)];
  const heads = ["rule", "severity", "where", "expected", "seen", "verdict", "mend"];
  return [
    {
      ...noTable,
      id: "",
      label: titled("findings", context),
      layout: "wide",
      head: simpleHead(
        heads.map((name) => column(context, name)),
        context,
      ),
      bodies: data.findings.map((finding) => [
        plainRow([
          textCell(finding.rule, context, { head: true, id: finding.id }),
          textCell(wordOf(dictionary, "severities", finding.severity, language), context),
          inlineCell([{ kind: "data", text: visible(finding.label[language]) }]),
          inlineCell(localInlines(finding.expected, language), { wide: true }),
          inlineCell(localInlines(finding.seen, language), { wide: true }),
          inlineCell(
            finding.mark === undefined
              ? [{ kind: "text", text: "–" }]
              : [markInline(finding.mark, language, dictionary)],
          ),
          inlineCell(
            finding.waived === undefined
              ? localInlines(finding.mend, language)
              : [{ kind: "data", text: visible(word(context, "waived", finding.waived)) }],
            { wide: true },
          ),
        ]),
      ]),
    },
  ];
}

export function notCheckedTable(cell: Cell, context: CellContext): readonly Block[] {
  checkOptions(context, cell, []);
  const { data, language } = context;
  if (data.notChecked.length === 0) return [paragraph(word(context, "nothing_unchecked"), context)];
  return [
    {
      ...noTable,
      id: "",
      label: titled("not-checked", context),
      layout: "plain",
      head: simpleHead(
        ["rule", "where", "why"].map((name) => column(context, name)),
        context,
      ),
      bodies: data.notChecked.map((one) => [
        plainRow([
          textCell(one.rule, context, { head: true }),
          inlineCell([{ kind: "data", text: visible(one.label[language]) }]),
          inlineCell(localInlines(one.why, language), { wide: true }),
        ]),
      ]),
    },
  ];
}

export function checkedRules(cell: Cell, context: CellContext): readonly Block[] {
  checkOptions(context, cell, []);
  const { data, language } = context;
  return [
    {
      kind: "folded",
      title: textInlines(word(context, "passed", { count: String(data.checked.length) }), language),
      detail: "",
      blocks: [paragraph(data.checked.join(word(context, "list_separator")), context)],
    },
  ];
}
